"""What ``dedup`` returns: the counts, and their lines for the terminal."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.rundir.verdicts.reasons import EXACT_DUPLICATE, NEAR_DUPLICATE, UNREADABLE, label_reason
from curate.runtime.console import WIDTH
from curate.runtime.numbers import format_share
from curate.runtime.text import command, escape_unprintable, fold_whitespace, shorten
from curate.stages.dedup.options import Keeper

RULES: Mapping[Keeper, str] = {
    "longest": "the longest",
    "first": "the first",
    "lowest-ppl": "the one of the lowest perplexity",
}

EXACT_LABEL, NEAR_LABEL = label_reason(EXACT_DUPLICATE), label_reason(NEAR_DUPLICATE)


@dataclass(frozen=True, slots=True)
class CopyCluster:
    """A cluster: one document and its copies."""

    documents: int
    """Documents of this corpus, the keeper among them unless it lies in another corpus."""
    exact: int
    """Documents with the words of the keeper, the keeper left out."""
    near: int
    keeper_source: str | None
    """The name of the other corpus that the keeper lies in; None for this one."""
    keeper_file: str
    keeper_row: int
    keeper_id: str | None
    opening: str
    """How the keeper's text begins."""


@dataclass(frozen=True, slots=True)
class OtherCorpus:
    """A corpus of ``--against``."""

    name: str
    read: int
    unreadable: int
    dropped: int
    """Documents of ours whose keeper lies in it."""


@dataclass(frozen=True, slots=True)
class DedupSummary:
    """What ``dedup`` returns: read = unique + keepers + exact + near + empty + unreadable."""

    run: str
    read: int
    unique: int
    """Documents without copies, those without a word among them."""
    keepers: int
    exact: int
    """Dropped: the same words as their keeper."""
    near: int
    """Dropped: in one cluster with their keeper."""
    empty: int
    unreadable: int
    wordless: int
    """Documents of punctuation alone, which are kept and not compared."""
    by_character: int
    """Documents in scripts without spaces, whose shingles are of characters."""
    clusters: int
    largest: tuple[CopyCluster, ...]
    through_others: int
    """Near copies that are less similar to their keeper than the threshold, and joined with it through others."""
    compared: int
    """Pairs that were compared exactly."""
    agreed: int
    """Of those, pairs at or above the threshold."""
    crowded: int
    """Documents that shared a bucket with so many others that they were not compared with all of them."""
    elsewhere: Mapping[str, Mapping[str, int]]
    """Of the exact, the near, and the kept, those that another reason rejects first, by its label: the other verbs
    count them under that."""
    parameters: Mapping[str, Any]
    chances: Mapping[str, float]
    """The probability that LSH proposes a pair, by its similarity; empty without LSH."""
    against: tuple[OtherCorpus, ...]
    scored: bool
    """Whether the run has scores, which ``filter`` and ``export`` need."""
    seconds: float
    score_command: str | None = None
    """The command that scores the corpus; None where it is scored."""

    @property
    def kept(self) -> int:
        """Documents that are kept, those without copies among them."""
        return self.unique + self.keepers

    @property
    def exit_code(self) -> int:
        """3 when some rows could not be read, else 0."""
        return 3 if self.unreadable or any(other.unreadable for other in self.against) else 0

    def counts(self) -> dict[str, int]:
        """Return every count, as ``run.json`` records them."""
        return {name: value for name, value in self.as_dict().items() if type(value) is int}

    def as_dict(self) -> dict[str, Any]:
        """Return all fields and ``kept``, as ``--json`` prints them."""
        return {**asdict(self), "kept": self.kept}

    def render(self) -> str:
        """Return the lines for the terminal, in at most 100 columns."""
        return "\n".join([*_render_counts(self), *_render_notes(self), *_render_largest(self), "", *_render_next(self)])


def _render_counts(summary: DedupSummary) -> list[str]:
    threshold, words = summary.parameters["threshold"], summary.parameters["shingle"]
    lines = [
        ("read", summary.read, ""),
        (f"  {UNREADABLE}", summary.unreadable, f"{summary.run}/unreadable.jsonl" if summary.unreadable else ""),
        ("  empty", summary.empty, ""),
        (f"  {EXACT_LABEL}", summary.exact, "of the same words and symbols"),
        (f"  {NEAR_LABEL}", summary.near, f"Jaccard {threshold:g} and above, shingles of {words} words"),
        ("kept", summary.kept, f"{summary.unique:,} without copies, {summary.keepers:,} that stand for theirs"),
    ]
    if not summary.chances:
        del lines[4]
    shares = (format_share(count, summary.read) for _, count, _ in lines)
    rows = zip(lines, shares, strict=True)
    return [f"{name:<20}{count:>13,}  {share:>7}   {note}".rstrip() for (name, count, note), share in rows]


def _render_notes(summary: DedupSummary) -> list[str]:
    """Return labelled lines: how copies were found, and what else to know."""
    notes = [("counted", text) for text in describe_elsewhere(summary.elsewhere)]
    notes += [("clusters", f"{summary.clusters:,}; {RULES[summary.parameters['keep']]} of each is kept")]
    notes += [("bands", _bands_text(summary))] if summary.chances else []
    if summary.compared:
        text = f"{summary.compared:,} pairs were compared exactly, {summary.agreed:,} are near copies"
        notes.append(("verified", text))
    if summary.through_others:
        threshold = summary.parameters["threshold"]
        text = f"{summary.through_others:,} {NEAR_LABEL} lie below {threshold:g} of the one that"
        notes.append(("joined", f"{text} is kept; they are joined with it through others"))
    if summary.crowded:
        text = f"{summary.crowded:,} documents shared a bucket with so many others that they were not compared with all"
        notes.append(("crowded", f"{text}; a higher --threshold makes buckets smaller"))
    notes += [("against", _against_text(other)) for other in summary.against]
    if summary.wordless:
        notes.append(("no words", f"{summary.wordless:,} documents of punctuation alone are kept, compared with none"))
    if summary.by_character:
        text = f"{summary.by_character:,} documents are in a script without spaces: each character counts as a word"
        notes.append(("characters", text))
    return [line for label, text in notes for line in _labelled(label, text)]


def describe_elsewhere(elsewhere: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a sentence for each kind of document that the other verbs count under another reason."""
    labels = {"exact": EXACT_LABEL, "near": NEAR_LABEL, "kept": "documents that are kept here"}
    sentences = []
    for kind, counted in elsewhere.items():
        named = ", ".join(f"{reason} {documents:,}" for reason, documents in counted.items())
        text = (
            f"{sum(counted.values()):,} of the {labels[kind]} have a reason that comes first, and are counted under it"
        )
        sentences += [f"{text}: {named}"] if counted else []
    return sentences


def _bands_text(summary: DedupSummary) -> str:
    cut = summary.parameters["bands"]
    first, *more = [(value, _chance(chance)) for value, chance in summary.chances.items()]
    text = f"{cut['bands']} bands × {cut['rows']} rows: a pair at {first[0]} is found with probability {first[1]}"
    return text + "".join(f", at {value} {chance}" for value, chance in more)


def _chance(value: float) -> str:
    """Three digits, never rounded up to 1."""
    return f"{min(value, 0.999):.3f}" if value < 1 else "1"


def _against_text(other: OtherCorpus) -> str:
    text = f"{other.name}: {other.dropped:,} documents have a copy among its {other.read:,}"
    return f"{text}; {other.unreadable:,} of those could not be read" if other.unreadable else text


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=f"{label:<12}", subsequent_indent=" " * 12, break_on_hyphens=False)


def _render_largest(summary: DedupSummary) -> list[str]:
    lines = ["largest clusters, and what is kept of each"] if summary.largest else []
    for cluster in summary.largest:
        keeper = cluster.keeper_id or f"{cluster.keeper_file}:{cluster.keeper_row}"
        name = keeper if cluster.keeper_source is None else f"{cluster.keeper_source} {keeper}"
        named = shorten(fold_whitespace(name), 60)
        lines.append(shorten(f"{cluster.documents:>9,}   {named}   {fold_whitespace(cluster.opening)}", WIDTH))
    return lines


def _render_next(summary: DedupSummary) -> list[str]:
    if not summary.scored:
        first = summary.score_command or command("score CORPUS", summary.run)
        return [f"next: {escape_unprintable(first)}", "      (without a model: --model none)"]
    return [f"next: {command('status', summary.run)}", f"      {command('export out/', summary.run)}"]
