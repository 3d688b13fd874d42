"""What ``decontaminate`` returns: the counts and hits that the terminal, the JSON and the page show."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

BLIND = "blind to paraphrase and translation; words were compared, not meanings"
"""What no comparison of words finds."""


@dataclass(frozen=True, slots=True)
class EvalSetReport:
    """The counts of one eval set."""

    name: str
    items: int
    unmatchable: tuple[str, ...]
    """Ids of the items that are too short or too common to be searched for."""
    items_hit: int
    """Items with a hit that is a leak."""
    documents: int
    """Documents that items of this set contaminate."""
    review: int
    """Other documents for review."""
    rules: Mapping[str, int]
    """Hits that are leaks, by rule."""
    variants: int = 0
    """Documents that no item of this set contaminates, but which have one with other numbers."""


@dataclass(frozen=True, slots=True)
class CanaryRecall:
    """How many of the items that were planted in one kind were found."""

    kind: str
    """One of ``canaries.KINDS``."""
    planted: int
    found: int

    @property
    def share(self) -> float:
        """The share of the planted items that was found; NaN where none was planted."""
        return self.found / self.planted if self.planted else float("nan")


@dataclass(frozen=True, slots=True)
class DecontaminationSummary:
    """What ``decontaminate`` returns."""

    run: str
    corpus: str
    method: str
    action: str
    turns: str | None
    """Which turns of conversations were searched; None for a corpus without conversations."""
    counts: Mapping[str, int]
    """read = scanned + empty + unreadable; scanned = clean + review + variant + contaminated; dropped is part of
    the last two."""
    sets: tuple[EvalSetReport, ...]
    recall: tuple[CanaryRecall, ...]
    strongest: tuple[Mapping[str, Any], ...]
    """The leaks of the most bits, by the columns of the hits."""
    weakest: tuple[Mapping[str, Any], ...]
    """The leaks of the fewest bits that are not among the strongest."""
    report: str | None
    """The path of the page with the hits; None where no page was written."""
    variants: str = "keep"
    """What becomes of documents that have an item with other numbers: keep or drop."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """Eval items by the language whose word table they were judged by (``wordlists.languages``)."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    fail_on_hit: bool = False
    verified: bool = False
    """Whether an export was searched and nothing written."""
    score_command: str | None = None
    """The command that scores the corpus, without which other verbs cannot go on; None where it is scored."""
    solutions: int = 0
    """Solutions in code that were searched for by their tokens, whatever their names."""
    redaction: str | None = None
    """What is redacted in the texts of the hits, as ``--redact`` takes it; None for nothing."""

    @property
    def exit_code(self) -> int:
        """4 for a leak under --fail-on-hit or --verify, 3 where some rows could not be read, else 0.

        A variant is a leak here where variants are dropped.
        """
        forbidden = self.counts["contaminated"] + (self.counts.get("variant", 0) if self.variants == "drop" else 0)
        if forbidden and (self.fail_on_hit or self.verified):
            return 4
        return 3 if self.counts["unreadable"] else 0

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, with the recall by kind, as ``--json`` prints them."""
        recall = {of_kind.kind: asdict(of_kind) | {"recall": of_kind.share} for of_kind in self.recall}
        return {**asdict(self), "recall": recall}

    def render(self) -> str:
        """Return the lines for the terminal."""
        from curate.stages.decontaminate.report import render_result

        return render_result(self)
