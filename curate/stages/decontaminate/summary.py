"""What ``decontaminate`` found, as values: for the screen, for JSON, for the page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

BLIND = "blind to paraphrase and translation; words were compared, not meanings"


@dataclass(frozen=True, slots=True)
class EvalSetReport:
    """What became of one eval set."""

    name: str
    items: int
    unmatchable: tuple[str, ...]
    """Ids of the items that are too short or too common to be looked for."""
    items_hit: int
    documents: int
    """Contaminated ones."""
    review: int
    """Documents for review, contaminated by nothing of this set."""
    rules: Mapping[str, int]
    """Hits that are leaks, by rule."""


@dataclass(frozen=True, slots=True)
class CanaryRecall:
    """What was found of the items of one kind that were planted."""

    kind: str
    planted: int
    found: int

    @property
    def share(self) -> float:
        return self.found / self.planted if self.planted else float("nan")


@dataclass(frozen=True, slots=True)
class DecontaminationSummary:
    """What ``decontaminate`` found."""

    run: str
    corpus: str
    method: str
    action: str
    turns: str | None
    counts: Mapping[str, int]
    """read = scanned + empty + unreadable; scanned = clean + review + contaminated; dropped of the contaminated."""
    sets: tuple[EvalSetReport, ...]
    recall: tuple[CanaryRecall, ...]
    strongest: tuple[Mapping[str, Any], ...]
    weakest: tuple[Mapping[str, Any], ...]
    report: str | None
    """The page with the hits."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    fail_on_hit: bool = False
    verified: bool = False
    """An export was looked through, and nothing written."""

    @property
    def exit_code(self) -> int:
        """4 where --fail-on-hit met a hit, 3 when some rows could not be read, else 0."""
        if self.counts["contaminated"] and (self.fail_on_hit or self.verified):
            return 4
        return 3 if self.counts["unreadable"] else 0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "recall": {one.kind: asdict(one) | {"recall": one.share} for one in self.recall}}

    def render(self) -> str:
        from curate.stages.decontaminate import report as decontaminate_report

        return decontaminate_report.render(self)
