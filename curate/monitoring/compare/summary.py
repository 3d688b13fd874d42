"""What ``curate compare`` returns: its numbers, its screen and its exit code."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from curate.monitoring.compare.by_kind import KindRow
from curate.monitoring.compare.calibration import Calibration
from curate.monitoring.compare.cost import SideCost
from curate.monitoring.compare.distributions import SideDistribution
from curate.monitoring.compare.leak import LeakReport
from curate.monitoring.compare.pair import ComparedPair
from curate.monitoring.compare.series import Series
from curate.monitoring.compare.verdicts import Metric, Tolerance, Verdict, choose_exit_code, combine_verdicts
from curate.monitoring.compare.worst import ChangedDocument
from curate.runtime.published import hide_folders

FORMAT = 1
"""The version of the JSON."""


@dataclass(frozen=True, slots=True)
class SideSummary:
    """What a side is, and what it sums to."""

    label: str
    path: str
    kind: str
    """run, export, baseline or step."""
    model: str
    tokenizer: str | None
    documents: int
    """Those with numbers."""
    tokens: int
    bytes: int
    perplexity: float
    bits_per_byte: float
    evaluator: str = ""
    """The fingerprint of the model and of how it read (``conditions.fingerprint_evaluator``); empty where unknown."""


@dataclass(frozen=True, slots=True)
class SideComparison:
    """Two or more sides compared."""

    sides: tuple[SideSummary, ...]
    metric: Metric
    metric_reason: str
    """Why perplexity was not compared; empty where it was, or could have been."""
    ignored: tuple[str, ...]
    """In what the sides were read differently, under ``--anyway``."""
    noise: tuple[str, ...]
    """What else differs and changes numbers a little."""
    within: tuple[str, ...]
    cluster: str | None
    tolerance: Tolerance | None
    unsure: Literal["pass", "fail"] | None
    pairs: tuple[ComparedPair, ...]
    """Each side after the first compared with that; empty for a series."""
    series: Series | None = None
    costs: tuple[SideCost, ...] = ()
    changed: tuple[ChangedDocument, ...] = ()
    leak: LeakReport | None = None
    kinds: tuple[KindRow, ...] = ()
    calibration: Calibration | None = None
    distributions: tuple[SideDistribution, ...] = ()
    """Of the measure, by side."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """What was written, by what it is: baseline, page."""

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on all rows."""
        found = [row.verdict for pair in self.pairs for row in pair.rows if row.verdict is not None]
        if self.series is not None:
            found += [row.verdict for row in self.series.rows if row.verdict is not None]
        if self.leak is not None and self.tolerance is not None and self.leak.alarms:
            found.append("beyond")
        return found

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on all of it; None without a tolerance."""
        return combine_verdicts(self.verdicts) if self.tolerance is not None else None

    @property
    def exit_code(self) -> int:
        """0 within the tolerance or without one, 4 beyond, 5 cannot tell; ``unsure`` makes 0 or 4 of the last."""
        return choose_exit_code(self.verdicts, self.unsure) if self.tolerance is not None else 0

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints; paths are those that were given, models have no folder of this machine."""
        found = asdict(self)
        for side in found["sides"]:
            side["model"] = hide_folders(side["model"])
        found["tolerance"] = None if self.tolerance is None else self.tolerance.text
        found["only_worse"] = self.tolerance is not None and self.tolerance.only_worse
        return {"format": FORMAT, "verdict": self.verdict, "exit_code": self.exit_code, **found}

    def render(self) -> str:
        """Return the screen."""
        from curate.monitoring.compare.screen import render_comparison

        return render_comparison(self)
