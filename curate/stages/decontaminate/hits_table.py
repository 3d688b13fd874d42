"""The hits of a run: written in parts, slice by slice, completed, and summed up. ``hits_record`` begins them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.rundir import parquet, schemas, sql
from curate.rundir.guards import manifests
from curate.rundir.run import Run
from curate.rundir.verdicts import reasons
from curate.rundir.verdicts.rejections import hits_source
from curate.stages.decontaminate.hits_record import DEALT
from curate.stages.decontaminate.matches import CONTAMINATED, VARIANT, Match
from curate.stages.decontaminate.options import Action, Variants

if TYPE_CHECKING:
    from curate.corpus import Documents
    from curate.stages.decontaminate.evalsets import EvalItem

CONTEXT = 160
"""Characters of the document that a hit keeps before and after the match; fewer where the document begins or ends."""
LEFT = 0.2
"""Share of a document that must be left after cutting; otherwise it is dropped."""
FREQUENT_SHARE, FREQUENT_DOCUMENTS = 0.01, 20
"""Share and number of the documents from which on an item that leaks into them is noted."""
COUNTED = ("read", "scanned", "clean", "review", "variant", "contaminated", "dropped", "empty", "unreadable", "bytes")


@dataclass(frozen=True, slots=True)
class ScannedText:
    """One text that was searched: a document, or a turn of one."""

    document: int
    """Index of the document in its slice."""
    text: str
    turn: int | None = None
    """Index of the turn in its conversation; None for a document that is no conversation."""
    role: str | None = None
    """Who speaks."""


@dataclass(slots=True)
class HitCounts:
    """Counts of one slice, or of all."""

    counts: Counter[str] = field(default_factory=Counter)
    """Documents (and bytes) by the names in COUNTED."""
    sets: Counter[str] = field(default_factory=Counter)
    """Contaminated documents by eval set."""

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of a part, as ``as_dict`` returns them."""
        self.counts.update(other["counts"])
        self.sets.update(other["sets"])

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as they are recorded."""
        return {"counts": {name: self.counts[name] for name in COUNTED}, "sets": dict(sorted(self.sets.items()))}


def write_hits(path: Path, table: pa.Table, counts: HitCounts, note: Mapping[str, Any]) -> None:
    """Write the part of one slice: its hits, and in its metadata ``note`` and what was counted."""
    parquet.write_part(path, table, {**note, **counts.as_dict()})


def sum_counts(notes: Iterable[Mapping[str, Any]]) -> HitCounts:
    """Check that no document was lost, and return the counts of all slices.

    ``notes`` are the metadata of all parts, as ``write_hits`` wrote them.
    """
    total = HitCounts()
    for note in notes:
        total.add(note)
    counts = total.counts
    reasons.check_documents_add_up(
        "decontaminate", counts["read"], counts["scanned"], counts["empty"], counts["unreadable"]
    )
    reasons.check_documents_add_up(
        "decontaminate",
        counts["scanned"],
        counts["clean"] + counts["review"] + counts["variant"],
        counts["contaminated"],
        0,
    )
    return total


def complete_hits(run: Run, counts: HitCounts, findings: Mapping[str, Any]) -> None:
    """Record that the hits are complete, with the counts of all slices and with ``findings``.

    It is the last that is written: until then ``status`` says that the work is not done, and no number is half of it.
    """
    sums = counts.as_dict()
    record = {**(run.stage("decontaminate") or {}), "complete": True}
    record.pop(DEALT, None)
    record |= {"counts": {**sums["counts"], "sets": sums["sets"]}, manifests.KEY: run.record_manifest("hits")}
    run.save("decontaminate", {**record, **findings})


def tabulate_hits(
    documents: "Documents",
    scanned: list[ScannedText],
    matches: list[Match],
    items: "list[EvalItem]",
    action: Action,
    variants: Variants = "keep",
) -> tuple[pa.Table, HitCounts]:
    """Return the hits of one slice as a table of ``schemas.HITS``, and its counts.

    ``Match.document`` is an index of ``scanned``, ``Match.item`` one of ``items``.
    """
    by_document: dict[int, list[Match]] = {}
    for match in matches:
        by_document.setdefault(scanned[match.document].document, []).append(match)
    statuses = Counter(documents.statuses)
    files = documents.files
    tally = HitCounts(Counter(read=len(documents), empty=statuses["empty"], unreadable=statuses["unreadable"]))
    tally.counts["bytes"] = sum(len(text.text.encode()) for text in scanned)
    rows: list[dict[str, Any]] = []
    for index in range(len(documents)):
        if documents.statuses[index] != "ok":
            continue
        of_document = by_document.get(index, [])
        tally.counts["scanned"] += 1
        leaks = [match for match in of_document if match.verdict == CONTAMINATED]
        effect = choose_action(action, leaks, [text for text in scanned if text.document == index] if leaks else [])
        varied = any(match.verdict == VARIANT for match in of_document)
        kind = "contaminated" if leaks else "variant" if varied else "review" if of_document else "clean"
        tally.counts[kind] += 1
        tally.counts["dropped"] += (effect == "drop" and bool(leaks)) or (varied and variants == "drop")
        effects = {CONTAMINATED: effect, VARIANT: "drop" if variants == "drop" else "none"}
        tally.sets.update({items[match.item].set for match in leaks})
        rows += [
            _make_row(documents, files[index], index, scanned[match.document], match, items[match.item], effects)
            for match in of_document
        ]
    return pa.Table.from_pylist(rows, schema=schemas.HITS), tally


def choose_action(action: Action, leaks: list[Match], texts: list[ScannedText]) -> str:
    """Return what becomes of one document with leaks: drop, mark or cut.

    ``texts`` are those of the document. One of which cutting would leave less than LEFT is dropped.
    """
    if action != "cut-span":
        return action
    total = sum(len(text.text) for text in texts)
    covered, reach = 0, 0
    for match in sorted(leaks, key=lambda match: match.start):
        covered += max(0, match.end - max(match.start, reach))
        reach = max(reach, match.end)
    return "cut" if total - covered >= LEFT * total else "drop"


def _make_row(
    documents: "Documents",
    file: str,
    index: int,
    scanned: ScannedText,
    match: Match,
    item: "EvalItem",
    effects: Mapping[str, str],
) -> dict[str, Any]:
    text = scanned.text
    return {
        "file": file,
        "row": int(documents.rows[index]),
        "id": documents.ids[index],
        "turn": scanned.turn,
        "role": scanned.role,
        "eval_set": item.set,
        "eval_id": item.id,
        "part": match.part,
        "verdict": match.verdict,
        "action": effects.get(match.verdict, "none"),
        "rule": match.rule,
        "containment": match.containment,
        "coverage": match.coverage,
        "bits": match.bits,
        "longest_match": match.longest,
        "answer_found": match.answer_found,
        "start": match.start,
        "end": match.end,
        "before": text[max(0, match.start - CONTEXT) : match.start],
        "matched_text": text[match.start : match.end],
        "after": text[match.end : match.end + CONTEXT],
        "eval_text": match.text,
    }


def count_by_set(run: Run, names: Sequence[str]) -> list[tuple[int, int, int, dict[str, int], int]]:
    """Return for each eval set what ``EvalSetReport`` has of it, from the items hit on.

    A document counts once in a set: as contaminated, else as one with a variant, else as one for review.
    """
    source, leak = hits_source(run), "verdict = 'contaminated'"
    varied = f"{leak} OR verdict = 'variant'"
    sums = sql.ask(
        f"SELECT eval_set, count(DISTINCT eval_id) FILTER ({leak}), "
        f"count(DISTINCT (file, row)) FILTER ({leak}), count(DISTINCT (file, row)) FILTER ({varied}), "
        f"count(DISTINCT (file, row)) FROM {source} GROUP BY 1"
    )
    rules = sql.ask(f"SELECT eval_set, rule, count(*) FROM {source} WHERE {leak} GROUP BY 1, 2 ORDER BY 1, 2")
    counts = {name: tuple(numbers) for name, *numbers in sums}
    found = []
    for name in names:
        items, leaks, some, every = counts.get(name, (0, 0, 0, 0))
        by_rule = {rule: number for owner, rule, number in rules if owner == name}
        found.append((items, leaks, every - some, by_rule, some - leaks))
    return found


def describe_frequent_items(run: Run, scanned: int) -> list[str]:
    """Return notes on the items that leak into very many of the ``scanned`` documents, at most five.

    Such an item is boilerplate of the corpus, or has leaked everywhere.
    """
    least = max(FREQUENT_DOCUMENTS, FREQUENT_SHARE * scanned)
    rows = sql.ask(
        f"SELECT eval_set, eval_id, count(DISTINCT (file, row)) AS many FROM {hits_source(run)} "
        f"WHERE verdict = 'contaminated' GROUP BY 1, 2 HAVING many >= {least} ORDER BY many DESC, 1, 2 LIMIT 5"
    )
    return [
        f"{name} {item} is in {many:,} documents ({many / scanned:.1%}): boilerplate, or leaked everywhere"
        for name, item, many in rows
    ]


def select_extremes(run: Run, most: int) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Return the ``most`` leaks of the most bits, one a document, and those of the fewest that are not among them."""
    best = f"SELECT * FROM {hits_source(run)} WHERE verdict = 'contaminated'"
    best += " QUALIFY row_number() OVER (PARTITION BY file, row ORDER BY bits DESC, eval_set, eval_id) = 1"
    strongest = sql.ask_dicts(f"{best} ORDER BY bits DESC, file, row LIMIT {most}")
    weakest = sql.ask_dicts(f"{best} ORDER BY bits, file, row LIMIT {most}")
    taken = {(hit["file"], hit["row"]) for hit in strongest}
    return tuple(strongest), tuple(hit for hit in weakest if (hit["file"], hit["row"]) not in taken)


def select_for_page(run: Run, most: int) -> list[dict[str, Any]]:
    """Return at most so many hits, those that a person should judge.

    First leaks, of the documents whose strongest hit is weakest; then variants and hits for review, which have a fifth
    of the number and what the leaks leave of it.
    """
    source = hits_source(run)
    order = "max(bits) OVER (PARTITION BY file, row), file, row, bits DESC, eval_set, eval_id"
    review = sql.ask_dicts(
        f"SELECT * FROM {source} WHERE verdict <> 'contaminated' "
        f"ORDER BY verdict = 'review', bits DESC, file, row LIMIT {most}"
    )
    room = max(most - len(review), most - most // 5)
    leaks = sql.ask_dicts(f"SELECT * FROM {source} WHERE verdict = 'contaminated' ORDER BY {order} LIMIT {room}")
    return [*leaks, *review[: most - len(leaks)]]
