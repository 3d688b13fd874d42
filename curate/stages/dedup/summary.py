"""What ``dedup`` found, as counts and as lines for a person."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.rundir.reasons import EXACT_DUPLICATE, NEAR_DUPLICATE, UNREADABLE, label_reason
from curate.runtime.numbers import percent
from curate.runtime.text import command

RULES = {"longest": "the longest", "first": "the first", "lowest-ppl": "the one of the lowest perplexity"}

EXACT_LABEL, NEAR_LABEL = label_reason(EXACT_DUPLICATE), label_reason(NEAR_DUPLICATE)


@dataclass(frozen=True, slots=True)
class CopyCluster:
    """Documents that are copies of one."""

    documents: int
    """Of this corpus; its keeper is among them unless that lies in another."""
    exact: int
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
    """A corpus that this one was held against."""

    name: str
    read: int
    unreadable: int
    dropped: int
    """Documents of ours that have their keeper in it."""


@dataclass(frozen=True, slots=True)
class DedupSummary:
    """What ``dedup`` found: read = unique + keepers + exact + near + empty + unreadable."""

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
    """Documents of punctuation alone; they are kept, and compared with none."""
    by_character: int
    """Documents in scripts without spaces, whose shingles are of characters."""
    clusters: int
    largest: tuple[CopyCluster, ...]
    through_others: int
    """Near copies that lie below the threshold of their keeper and hang together with it through others."""
    compared: int
    """Pairs that were compared exactly."""
    agreed: int
    """Of those, pairs at or above the threshold."""
    crowded: int
    """Documents that met so many strangers in one bucket that they were not compared with all of them."""
    parameters: Mapping[str, Any]
    chances: Mapping[str, float]
    """The probability that a pair is looked at, by its similarity."""
    against: tuple[OtherCorpus, ...]
    scored: bool
    """Whether the run has scores, which the verbs that decide need."""
    seconds: float

    @property
    def kept(self) -> int:
        return self.unique + self.keepers

    @property
    def exit_code(self) -> int:
        """3 when some rows could not be read, else 0."""
        return 3 if self.unreadable or any(other.unreadable for other in self.against) else 0

    def counts(self) -> dict[str, int]:
        """Every count, as ``run.json`` has them."""
        return {name: value for name, value in self.as_dict().items() if type(value) is int}

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept}

    def render(self) -> str:
        """The result as a person wants it, in at most 100 columns."""
        return "\n".join([*_render_counts(self), *_render_notes(self), *_render_largest(self), "", *_render_next(self)])


# Showing.


def _render_counts(found: DedupSummary) -> list[str]:
    threshold, words = found.parameters["threshold"], found.parameters["shingle"]
    lines = [
        ("read", found.read, ""),
        (f"  {UNREADABLE}", found.unreadable, f"{found.run}/unreadable.jsonl" if found.unreadable else ""),
        ("  empty", found.empty, ""),
        (f"  {EXACT_LABEL}", found.exact, "of the same words"),
        (f"  {NEAR_LABEL}", found.near, f"Jaccard {threshold:g} and above, shingles of {words} words"),
        ("kept", found.kept, f"{found.unique:,} without copies, {found.keepers:,} that stand for theirs"),
    ]
    if not found.chances:
        del lines[4]
    return [f"{name:<20}{count:>13,}  {percent(count, found.read):>7}   {note}".rstrip() for name, count, note in lines]


def _render_notes(found: DedupSummary) -> list[str]:
    """Labelled lines: what was found how, and what a reader should know about it."""
    notes = [("clusters", f"{found.clusters:,}; {RULES[found.parameters['keep']]} of each is kept")]
    notes += [("bands", _bands_text(found))] if found.chances else []
    if found.compared:
        notes.append(("verified", f"{found.compared:,} pairs were compared exactly, {found.agreed:,} are near copies"))
    if found.through_others:
        text = f"{found.through_others:,} {NEAR_LABEL} lie below"
        text += f" {found.parameters['threshold']:g} of the one that"
        notes.append(("joined", f"{text} is kept; they hang together with it through others"))
    if found.crowded:
        text = f"{found.crowded:,} documents met so many strangers in a bucket that they were not compared with all"
        notes.append(("crowded", f"{text}; a higher --threshold makes buckets smaller"))
    notes += [("against", _against_text(other)) for other in found.against]
    if found.wordless:
        notes.append(("no words", f"{found.wordless:,} documents of punctuation alone are kept, compared with none"))
    if found.by_character:
        text = f"{found.by_character:,} documents are in a script without spaces: each character counts as a word"
        notes.append(("characters", text))
    return [line for label, text in notes for line in _labelled(label, text)]


def _bands_text(found: DedupSummary) -> str:
    cut = found.parameters["bands"]
    first, *more = [(value, _chance(chance)) for value, chance in found.chances.items()]
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


def _render_largest(found: DedupSummary) -> list[str]:
    lines = ["largest clusters, and what is kept of each"] if found.largest else []
    for one in found.largest:
        where = one.keeper_id or f"{one.keeper_file}:{one.keeper_row}"
        name = where if one.keeper_source is None else f"{one.keeper_source} {where}"
        line = f"{one.documents:>9,}   {_visible(name)[:60]}   {_visible(one.opening)}"
        lines.append(line if len(line) <= 100 else line[:98] + " …")
    return lines


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _render_next(found: DedupSummary) -> list[str]:
    if not found.scored:
        return [f"next: {command('score CORPUS', found.run)}", "      (without a model: --model none)"]
    return [f"next: {command('status', found.run)}", f"      {command('export out/', found.run)}"]
