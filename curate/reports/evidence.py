"""The evidence on one document in the hits and the duplicates of a run, as values and as lines."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from curate.rundir import parquet, sql
from curate.rundir.run import Run
from curate.rundir.verdicts.reasons import duplicate_reason
from curate.rundir.verdicts.rejections import Rejections, hits_source
from curate.runtime.console import WIDTH
from curate.runtime.numbers import format_whole_percent
from curate.runtime.redaction import Redactor
from curate.runtime.text import count_fitting, fold_whitespace, wrap_parts
from curate.stages.decontaminate.report.redacted import is_cut_after, is_cut_before, list_marks, redact_hit
from curate.stages.decontaminate.report.terminal import make_excerpt
from curate.stages.decontaminate.report.wording import Hit, name_item

HITS, COPIES = 5, 3
"""Hits, and copies of a keeper, that are shown of one document."""
LABEL = 16
ACTIONS = {"drop": "evidence", "mark": "marked", "cut": "to be cut", "none": "for review"}
VARIANT = "variant"
SHOWN = (
    "turn", "role", "eval_set", "eval_id", "part", "verdict", "action", "rule", "coverage", "bits", "start", "end",
    "before", "matched_text", "after", "eval_text",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentPosition:
    """The key of a document, and its id."""

    file: str
    row: int
    id: str | None = None
    source: str | None = None
    """The name of the ``--against`` corpus that has it; None for the corpus of the run."""

    def redact(self, redactor: Redactor) -> "DocumentPosition":
        """Return the position with its id redacted."""
        return self if self.id is None else replace(self, id=redactor(self.id))

    def __str__(self) -> str:
        source = f"{self.source} " if self.source else ""
        return fold_whitespace(f"{source}{self.file}:{self.row}" + (f" ({self.id})" if self.id else ""))


@dataclass(frozen=True, slots=True)
class CopyEvidence:
    """The cluster of a document that has copies, as far as it concerns this document."""

    kind: str
    """keeper (this one is kept), exact or near."""
    keeper: DocumentPosition
    jaccard: float
    """Similarity to the keeper, 0 to 1."""
    others: tuple[DocumentPosition, ...]
    """Of a keeper: the first of the copies that are dropped for it."""
    number: int
    """Of a keeper: the number of copies that are dropped for it."""
    fate: tuple[str, str | None] = ("undecided", None)
    """The decision on the keeper, and its reason."""

    def reason(self) -> str:
        """Return why it is dropped: ``near duplicate of a.jsonl:3 (web-3), Jaccard .93``."""
        similar = f", Jaccard {int(self.jaccard * 100 + 1e-9) / 100:.2f}".replace(" 0.", " .")
        return f"{duplicate_reason(self.kind)} of {self.keeper}{similar if self.kind == 'near' else ''}"

    def lines(self) -> list[str]:
        """Return lines that name the keeper of a copy, or the copies of a keeper."""
        if self.kind != "keeper":
            return wrap_parts("a copy", split_line(self.reason()))
        many = f"{self.number:,} cop{'y' if self.number == 1 else 'ies'}"
        kept = "stood for" if self.fate[0] == "dropped" else "keeps"
        more = self.number - len(self.others)
        named = [*map(str, self.others), *([f"and {more:,} more"] if more else [])]
        return wrap_parts("keeper", split_line(f"{kept} {many}: {', '.join(named)}"))

    def fate_lines(self) -> list[str]:
        """Return lines that say why nothing of the cluster is kept; none where its keeper is not dropped."""
        if self.fate[0] != "dropped" or self.keeper.source is not None:
            return []
        if self.kind == "keeper":
            return wrap_parts("", split_line("nothing is kept in its place: its copies are dropped for it"))
        return wrap_parts("", split_line(f"that one is dropped too, {fold_whitespace(self.fate[1] or '')}"))


@dataclass(frozen=True, slots=True)
class DocumentEvidence:
    """The evidence on one document."""

    hits: tuple[Hit, ...] = ()
    """Rows of the hits table: leaks, then variants, then review, those with most bits first; at most ``HITS``."""
    more_hits: int = 0
    """Hits beyond those."""
    copies: CopyEvidence | None = None
    """None where the document has no copies, or the run no duplicates."""

    def lines(self) -> list[str]:
        """Return the lines of the hits; none where there are none."""
        lines = [line for hit in self.hits for line in describe_hit(hit)]
        if self.more_hits:
            lines.append(f"{'':<{LABEL}}and {self.more_hits:,} more")
        return lines


def describe_hit(hit: Hit) -> list[str]:
    """Return the lines of one hit: the eval item, the scores of the match, and both texts with shared words in ⟦ ⟧."""
    figures = f"{hit['verdict']}: {name_item(hit)}, {hit['rule']}, {format_whole_percent(hit['coverage'])} of its words"
    turn = "" if hit["turn"] is None else f", turn {hit['turn']} ({hit['role']})"
    lines = wrap_parts(name_action(hit), split_line(fold_whitespace(f"{figures}, {hit['bits']:,.0f} bits{turn}")))
    here, there = list_marks(hit)
    before, after = hit["before"] or "", hit["after"] or ""
    moved = [(first + len(before), last + len(before)) for first, last in here]
    complete = before + hit["matched_text"] + after
    text = make_excerpt(complete, moved, is_cut_before(hit), not is_cut_after(hit))
    return [
        *lines,
        *wrap_parts("  document", split_line(text)),
        *wrap_parts("  eval item", split_line(make_excerpt(hit["eval_text"], there, False, True))),
    ]


def name_action(hit: Hit) -> str:
    """Return what a hit means for its document, as the label of its lines."""
    return VARIANT if hit["verdict"] == VARIANT and hit["action"] == "none" else ACTIONS[hit["action"]]


def split_line(text: str) -> Iterator[str]:
    """Yield the words of a text; a word that is wider than a line, as in scripts without spaces, comes in pieces."""
    for word in text.split():
        while count_fitting(word, WIDTH - LABEL) < len(word):
            most = count_fitting(word, WIDTH - LABEL)
            yield word[:most]
            word = word[most:]
        yield word


def read_evidence(run: Run, rejections: Rejections, file: str, row: int, redactor: Redactor) -> DocumentEvidence:
    """Return the hits and the copies of a document, from those tables that ``rejections`` has, redacted."""
    hits, more = _read_hits(run, file, row) if rejections.hits is not None else ((), 0)
    copies = _read_copies(run, file, row) if rejections.duplicates is not None else None
    if copies is not None and redactor:
        others = tuple(one.redact(redactor) for one in copies.others)
        copies = replace(copies, keeper=copies.keeper.redact(redactor), others=others)
    return DocumentEvidence(tuple(redact_hit(hit, redactor) for hit in hits), more, copies)


def _read_hits(run: Run, file: str, row: int) -> tuple[tuple[dict[str, Any], ...], int]:
    if not parquet.list_parts(run.hits):
        return (), 0
    here = f"FROM {hits_source(run)} WHERE file = ? AND row = ?"
    order = "ORDER BY verdict = 'review', verdict, bits DESC, eval_set, eval_id, start"  # contaminated, variant, review
    rows = sql.ask_dicts(f"SELECT *, count(*) OVER () AS many {here} {order} LIMIT {HITS}", [file, row])
    many = rows[0]["many"] if rows else 0
    return tuple({name: hit[name] for name in SHOWN} for hit in rows), many - len(rows)


def _read_copies(run: Run, file: str, row: int) -> CopyEvidence | None:
    source = sql.parquet_source(run.duplicates)
    rows = sql.ask_dicts(f"SELECT * FROM {source} WHERE file = ? AND row = ?", [file, row])
    if not rows:
        return None
    copy = rows[0]
    file, row, other = copy["keeper_file"], copy["keeper_row"], copy["keeper_source"]
    kept = [] if other else sql.ask_dicts(f"SELECT id FROM {source} WHERE file = ? AND row = ? AND keeper", [file, row])
    keeper = DocumentPosition(file, row, kept[0]["id"] if kept else None, other)
    if not copy["keeper"]:
        return CopyEvidence(copy["kind"], keeper, copy["jaccard"], (), 0)
    dropped = f"{source} WHERE NOT keeper AND keeper_source IS NULL AND keeper_file = ? AND keeper_row = ?"
    number = sql.ask_dicts(f"SELECT count(*) AS number FROM {dropped}", [file, row])[0]["number"]
    others = sql.ask_dicts(f"SELECT file, row, id FROM {dropped} LIMIT {COPIES}", [file, row])
    return CopyEvidence(copy["kind"], keeper, copy["jaccard"], tuple(DocumentPosition(**one) for one in others), number)
