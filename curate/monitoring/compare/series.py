"""Sides as steps of time: how fast a measure drifts, at which step it jumped, and since when it is another one.

The slope is that of the line of least squares through the steps, whose numbers are evenly spaced; a jump is the
difference of a step and the one before. Intervals of all slopes and jumps of all groups hold together. The change is
where the cumulative sum of departures from the mean of the series (CUSUM; Page 1954, Biometrika 41) is farthest from 0;
how often draws of a series that does not change reach as far is its p-value, adjusted for all groups by Holm's method.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curate.monitoring.compare.contrasts import LEVEL, ROUNDING, Ends, RatioContrast, find_joint_intervals
from curate.monitoring.compare.groups import ComparedGroup, MeasuredGroup, make_row
from curate.monitoring.compare.measures import show_change, show_level
from curate.monitoring.compare.verdicts import Tolerance, Verdict, combine_verdicts
from curate.runtime.arrays import BoolArray, Float64Array
from curate.sft.ranking.bootstrap import adjust_p_values

_UNKNOWN = Ends(math.nan, math.nan)
SIGNIFICANT = 0.05
"""The adjusted p-value of a change that is reported."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A measure of one group of documents over the steps."""

    name: str
    documents: tuple[int, ...]
    """Of each step."""
    levels: tuple[float, ...]
    """Perplexity or bits per byte of each step; NaN where it was not measured."""
    slope: float
    """By step, in nats per token or bits per byte; NaN where a step was not measured."""
    slope_low: float
    slope_high: float
    change: float
    """The slope as it is shown: a share of the perplexity, or bits per byte."""
    change_low: float
    change_high: float
    since: int | None
    """The first step after the change, from 0; None where none is significant."""
    p_value: float
    """Of the change, adjusted for all groups; NaN where it was not measured."""
    jumps: tuple[ComparedGroup, ...]
    """Of each step but the first: the step before and it."""
    verdict: Verdict | None
    """On the slope and all jumps; None without a tolerance."""

    @property
    def crossed(self) -> list[int]:
        """The steps whose jump is beyond the tolerance."""
        return [index + 1 for index, jump in enumerate(self.jumps) if jump.verdict == "beyond"]


@dataclass(frozen=True, slots=True)
class Series:
    """Steps of time."""

    steps: tuple[str, ...]
    paired: bool
    num_pairs: int
    all: SeriesRow
    groups: tuple[SeriesRow, ...]
    without_time: int = 0
    """Documents that have no value of the time column, and are in no step."""

    @property
    def rows(self) -> list[SeriesRow]:
        """All rows, that of all documents first."""
        return [self.all, *self.groups]


def make_slope_weights(measured_K: BoolArray) -> list[float]:
    """Return the weights of the contrast that is the slope of the line of least squares through the measured steps.

    The weights of the others are 0, and all are where fewer than two were measured.
    """
    steps_K = np.arange(len(measured_K))
    away_K = np.where(measured_K, steps_K - steps_K[measured_K].mean() if measured_K.any() else 0.0, 0.0)
    squared = float(away_K @ away_K)
    weights: list[float] = (away_K / squared if squared else np.zeros(len(steps_K))).tolist()
    return weights


def make_jump_weights(steps: int) -> list[list[float]]:
    """Return the weights of the difference of each step and the one before."""
    return [[-1.0 if k == step - 1 else 1.0 if k == step else 0.0 for k in range(steps)] for step in range(1, steps)]


def make_rows(groups: Sequence[MeasuredGroup], metric: str, tolerance: Tolerance | None) -> list[SeriesRow]:
    """Return the row of each group of a series of at least two steps, in their order.

    A group that was not measured at a step has the slope and the change of its other steps.
    """
    jump_weights = make_jump_weights(len(groups[0].documents))
    slopes = [_estimate_slope(group) for group in groups]
    jumps = [[group.estimate(each) for each in jump_weights] for group in groups]
    several = [[slope, *some] for slope, some in zip(slopes, jumps, strict=True)]
    ends = iter(find_joint_intervals([one for row in several for one in row if one is not None]))
    p_values, since = np.full(len(groups), math.nan), [0] * len(groups)
    rows = []
    for number, (group, row) in enumerate(zip(groups, several, strict=True)):
        own = [_UNKNOWN if one is None else next(ends) for one in row]
        since[number], p_values[number] = _find_own_change(group)
        made = tuple(
            make_row(group, each, one, end, metric, tolerance)
            for each, one, end in zip(jump_weights, row[1:], own[1:], strict=True)
        )
        rows.append(_make_series_row(group, row[0], own[0], made, metric, tolerance))
    return _add_changes(rows, since, p_values)


def _estimate_slope(group: MeasuredGroup) -> RatioContrast | None:
    weights = make_slope_weights(~np.isnan(np.array(group.levels)))
    return group.estimate(weights) if any(weights) else None


def _find_own_change(group: MeasuredGroup) -> tuple[int, float]:
    """Return the step since which a group is another, and the p-value; NaN where fewer than three were measured."""
    measured = np.flatnonzero(~np.isnan(np.array(group.levels)))
    if len(measured) < 3 or group.ratios is None:
        return 0, math.nan
    steps = []
    for first, second in itertools.pairwise(measured.tolist()):
        weights = [-1.0 if k == first else 1.0 if k == second else 0.0 for k in range(len(group.levels))]
        steps.append(stretch_draws(group.ratios.estimate(weights)))
    place, p_value = find_change(np.array(group.levels)[measured], np.stack(steps, axis=1))
    return int(measured[place]), p_value


def _make_series_row(
    group: MeasuredGroup,
    slope: RatioContrast | None,
    ends: Ends,
    jumps: tuple[ComparedGroup, ...],
    metric: str,
    tolerance: Tolerance | None,
) -> SeriesRow:
    verdict = None
    if tolerance is not None:
        of_slope: list[Verdict] = [] if slope is None else [tolerance.judge(ends)]
        verdicts = [*of_slope, *(jump.verdict for jump in jumps if jump.verdict is not None)]
        verdict = combine_verdicts(verdicts) if verdicts else None
    value = math.nan if slope is None else slope.value
    return SeriesRow(
        group.name,
        group.documents,
        tuple(show_level(level, metric) for level in group.levels),
        value,
        ends.low,
        ends.high,
        show_change(value, metric),
        show_change(ends.low, metric),
        show_change(ends.high, metric),
        None,
        math.nan,
        jumps,
        verdict,
    )


def _add_changes(rows: Sequence[SeriesRow], since: Sequence[int], p_values: Float64Array) -> list[SeriesRow]:
    """Return the rows with their changes, the p-values adjusted for all of them."""
    known = np.flatnonzero(~np.isnan(p_values))
    adjusted = np.full(len(rows), math.nan)
    adjusted[known] = adjust_p_values(p_values[known])
    return [
        replace(row, since=step if adjusted[index] < SIGNIFICANT else None, p_value=float(adjusted[index]))
        for index, (row, step) in enumerate(zip(rows, since, strict=True))
    ]


def stretch_draws(contrast: RatioContrast) -> Float64Array:
    """Return the draws of a contrast, stretched to the half width of its own 95 % interval.

    Draws of few documents of very different lengths vary less than the estimate does; the studentised interval knows.
    """
    quantile = float(np.quantile(np.abs(contrast.draws_B), LEVEL))
    half = contrast.error * contrast.reach
    return contrast.draws_B * max(half / quantile, 1.0) if quantile and math.isfinite(half) else contrast.draws_B


def find_change(levels_K: Float64Array, jumps_BJ: Float64Array) -> tuple[int, float]:
    """Return the first step after the farthest cumulative sum, and its p-value.

    ``jumps_BJ`` are draws of the noise of the jumps: how far each is away from the jump of the sample. The p-value is
    1 / (B + 1) or more, and 1 for a series that does not move.
    """
    away_K = np.cumsum(levels_K - levels_K.mean())[:-1]
    noise_BK = np.concatenate([np.zeros((len(jumps_BJ), 1)), np.cumsum(jumps_BJ, axis=1)], axis=1)
    drawn_BK = np.cumsum(noise_BK - noise_BK.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    farthest = float(np.abs(away_K).max())
    if farthest <= ROUNDING * float(np.abs(levels_K).max()):
        return 0, 1.0
    reached = int((np.abs(drawn_BK).max(axis=1) >= farthest).sum())
    return int(np.abs(away_K).argmax()) + 1, (reached + 1) / (len(drawn_BK) + 1)
