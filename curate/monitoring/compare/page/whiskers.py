"""The differences of groups as dots with whiskers: shares of a row's width, on one scale for all rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from curate.monitoring.compare.groups import ComparedGroup
from curate.monitoring.compare.measures import show_change
from curate.monitoring.compare.verdicts import Metric, Tolerance
from curate.runtime.chart_axes import Scale, Tick, fit_scale, label_value

MOST_TICKS = 8
TICK_COLUMNS = 46
"""Characters that the labels of all ticks have room for on a narrow screen."""
FAR = 20.0
"""Spreads of the middle half from which a difference is an arrow at the edge, so that the others can be told apart."""
REACH = 3.0
"""Whiskers of middle length that the scale holds beyond the outermost dots; longer ones are cut."""
FEW = 8
"""Rows below which no difference is far from the others."""

MarkKind = Literal["beyond", "within", "unsure", "unmeasured", "new", "differs", "same"]
VERDICT_KINDS: dict[str, MarkKind] = {
    "beyond": "beyond",
    "within": "within",
    "cannot tell": "unsure",
    "unmeasured": "unmeasured",
}


@dataclass(frozen=True, slots=True)
class DifferenceMark:
    """A dot with its whisker."""

    name: str
    row: ComparedGroup
    kind: MarkKind
    """By the verdict; without a tolerance, whether the interval holds 0."""
    at: float
    """The dot, as a share of the width; NaN for no dot."""
    low: float
    """The whisker is ``low`` … ``high``, as shares of the width; NaN for no whisker."""
    high: float
    beyond: int
    """−1 where the dot is below the scale, 1 where above it, else 0."""
    cut: tuple[bool, bool]
    """Whether the whisker goes on beyond the scale, on the left and on the right."""
    is_boundless: bool
    """Whether there are too few documents for an interval."""

    @property
    def has_dot(self) -> bool:
        return not math.isnan(self.at)

    @property
    def has_whisker(self) -> bool:
        return self.has_dot and not self.beyond and not math.isnan(self.low)


@dataclass(frozen=True, slots=True)
class DifferencePlot:
    """Marks of rows, in their order, on one scale."""

    marks: Sequence[DifferenceMark]
    ticks: Sequence[Tick]
    zero: float
    """Where no difference is, as a share of the width."""
    band: tuple[float, float] | None
    """What is within the tolerance, as shares of the width."""

    @property
    def has_arrows(self) -> bool:
        """Whether something lies beyond the scale."""
        return any(mark.beyond or any(mark.cut) for mark in self.marks)


def plot_differences(
    rows: Sequence[tuple[str, ComparedGroup]], metric: Metric, tolerance: Tolerance | None
) -> DifferencePlot:
    """Return the marks of some rows with their names; their scale holds 0 and the tolerance."""
    limits = _find_limits(metric, tolerance)
    scale = choose_scale([row for _, row in rows], [0.0, *(one for one in limits or () if math.isfinite(one))])
    band = None if limits is None else (scale.share(limits[0]), scale.share(limits[1]))
    marks = [_make_mark(name, row, scale) for name, row in rows]
    return DifferencePlot(marks, list_ticks(scale, metric), scale.share(0.0), band)


def _find_limits(metric: Metric, tolerance: Tolerance | None) -> tuple[float, float] | None:
    """Return the changes between which a measure stays within the tolerance."""
    if tolerance is None:
        return None
    low = -math.inf if tolerance.only_worse else show_change(-tolerance.half_width, metric)
    return low, show_change(tolerance.half_width, metric)


def choose_scale(rows: Sequence[ComparedGroup], also: Sequence[float]) -> Scale:
    """Return a linear scale of the changes of rows that holds ``also``.

    It holds all dots but those that are very far from the others, and whiskers as long as most.
    """
    known = [row for row in rows if math.isfinite(row.change)]
    widths = [row.change_high - row.change_low for row in known if not is_boundless(row)]
    width = float(np.median(widths)) if widths else 0.0
    values = np.array([row.change for row in known])
    if len(values) >= FEW:
        lower, upper = np.quantile(values, [0.25, 0.75])
        room = FAR * max(upper - lower, width)
        near = (values >= lower - room) & (values <= upper + room)
        known, values = [row for row, is_near in zip(known, near.tolist(), strict=True) if is_near], values[near]
    ends = [*values.tolist(), *also]
    least, most = min(values, default=0.0) - REACH * width, max(values, default=0.0) + REACH * width
    for row in known:
        if not is_boundless(row):
            ends += [max(row.change_low, least), min(row.change_high, most)]
    return fit_scale([float(end) for end in ends], False)


def is_boundless(row: ComparedGroup) -> bool:
    """Return whether there are too few documents for an interval of a difference."""
    return math.isinf(row.low) or math.isinf(row.high)


def _make_mark(name: str, row: ComparedGroup, scale: Scale) -> DifferenceMark:
    boundless = math.isfinite(row.change) and is_boundless(row)
    low, high = (math.nan if boundless else scale.share(end) for end in (row.change_low, row.change_high))
    cut = (scale.beyond(row.change_low) < 0, scale.beyond(row.change_high) > 0)
    return DifferenceMark(
        name,
        row,
        choose_kind(row),
        scale.share(row.change),
        low,
        high,
        scale.beyond(row.change),
        (False, False) if boundless else cut,
        boundless,
    )


def choose_kind(row: ComparedGroup) -> MarkKind:
    """Return how a row is marked."""
    if row.verdict is not None:
        return VERDICT_KINDS[row.verdict]
    if row.is_new:
        return "new"
    if math.isnan(row.change):
        return "unmeasured"
    return "same" if row.low <= 0 <= row.high else "differs"


def list_ticks(scale: Scale, metric: Metric) -> list[Tick]:
    """Return as many ticks as have room for their labels, at most ``MOST_TICKS``; perplexity's are in per cent."""
    shown = Scale(100 * scale.low, 100 * scale.high, False) if metric == "perplexity" else scale
    ticks: list[Tick] = []
    for most in range(MOST_TICKS, 2, -1):
        ticks = [Tick(tick.share, label_change(tick.label, metric)) for tick in shown.list_ticks(most)]
        if sum(len(tick.label) + 2 for tick in ticks) <= TICK_COLUMNS:
            break
    return ticks


def label_change(label: str, metric: Metric) -> str:
    """Return the label of a tick with its sign, and its unit where that is per cent."""
    unit = " %" if metric == "perplexity" else ""
    if label.startswith("-"):
        return f"−{_shorten_thousands(label[1:])}{unit}"
    return f"{'' if label == '0' else '+'}{label}{unit}"


def _shorten_thousands(label: str) -> str:
    try:
        return label_value(float(label))
    except ValueError:
        return label
