"""Groups of documents of several sides: their ratios, drawn, and under a tolerance the verdict on a difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from curate.monitoring.compare.baseline import BaselineGroup
from curate.monitoring.compare.contrasts import (
    ApartRatios,
    DrawnRatios,
    DrawnSide,
    Ends,
    PairedRatios,
    RatioContrast,
    UnequalRatios,
    draw_known,
    draw_side,
    find_joint_intervals,
)
from curate.monitoring.compare.measures import show_change, show_level, split_sides
from curate.monitoring.compare.verdicts import Metric, Tolerance, Verdict
from curate.runtime.arrays import Float64Array
from curate.stages.order.permutations import random_bits

ALL = "all"
"""The name of the row of all documents."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the units of groups are drawn."""

    metric: Metric
    draws: int
    seed: int

    def make_generator(self, *words: str) -> np.random.Generator:
        """Return random numbers that depend on the seed and the words alone."""
        return np.random.Generator(random_bits(self.seed, *"\0".join(words).encode()))


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredGroup:
    """What a group of documents measures on each side."""

    name: str
    documents: tuple[int, ...]
    """Of each side."""
    levels: tuple[float, ...]
    """The measure of each side in the unit of differences; NaN where it was not measured."""
    ratios: DrawnRatios | None
    """None where no side was measured."""
    held: tuple[int, ...] = ()
    """Of paired sides, the documents that each has of the group, whether paired or not."""

    def lacks_pairs(self, side: int) -> bool:
        """Return whether less than half of the documents of a side are in pairs, which then are no measure of it."""
        return bool(self.held) and 2 * self.documents[side] < self.held[side]

    def estimate(self, weights: Sequence[float]) -> RatioContrast | None:
        """Return the contrast with these weights, one a side; None where a side that has a weight was not measured."""
        lacks = any(weight and math.isnan(level) for weight, level in zip(weights, self.levels, strict=True))
        return None if self.ratios is None or lacks else self.ratios.estimate(weights)


def measure_pairs(name: str, sums_UC: Float64Array, documents: Sequence[int], drawing: Drawing) -> MeasuredGroup:
    """Return a group of documents that all sides share; ``sums_UC`` are those of ``PairedUnits``.

    ``documents`` are those that each side has of the group: they tell a group that nobody shares from one that is new.
    """
    sides = len(documents)
    if not len(sums_UC):
        return MeasuredGroup(name, tuple(documents), (math.nan,) * sides, None)
    above_UK, below_UK = split_sides(sums_UC, drawing.metric, sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = (above_UK.sum(axis=0) / below_UK.sum(axis=0)).tolist()
    generator = drawing.make_generator(name)
    ratios: DrawnRatios
    if (below_UK == below_UK[:, :1]).all():
        ratios = PairedRatios(above_UK, below_UK[:, 0], drawing.draws, generator)
    else:
        ratios = UnequalRatios(above_UK, below_UK, drawing.draws, generator)
    pairs = (round(float(sums_UC[:, 0].sum())),) * sides
    return MeasuredGroup(name, pairs, tuple(levels), ratios, tuple(documents))


def measure_apart(name: str, sides: Sequence[Float64Array | BaselineGroup | None], drawing: Drawing) -> MeasuredGroup:
    """Return a group of sides that are samples of their own: sums of units (documents, nats, tokens, bytes), or saved.

    The draws of a side depend on the seed, the name of the group and the numbers of the side, not on its place.
    """
    documents, levels, drawn, seen = [], [], list[DrawnSide | None](), dict[str, int]()
    for side in sides:
        if side is None or (isinstance(side, BaselineGroup) and not side.documents) or not _count(side):
            documents.append(0)
            levels.append(math.nan)
            drawn.append(None)
            continue
        mark = _fingerprint(side)
        generator = drawing.make_generator(name, mark, str(seen.setdefault(mark, 0)))
        seen[mark] += 1
        documents.append(_count(side))
        found = _draw_side(side, drawing, generator)
        drawn.append(found)
        levels.append(found.value)
    return MeasuredGroup(name, tuple(documents), tuple(levels), ApartRatios(drawn) if any(documents) else None)


def _draw_side(side: Float64Array | BaselineGroup, drawing: Drawing, generator: np.random.Generator) -> DrawnSide:
    if isinstance(side, BaselineGroup):
        value, squared_error = side.measure(drawing.metric)
        return draw_known(value, squared_error, side.units, drawing.draws, generator)
    above, below = split_sides(side, drawing.metric, 1)
    return draw_side(above[:, 0], below[:, 0], drawing.draws, generator)


def _count(side: Float64Array | BaselineGroup) -> int:
    return side.documents if isinstance(side, BaselineGroup) else round(float(side[:, 0].sum()))


def _fingerprint(side: Float64Array | BaselineGroup) -> str:
    if isinstance(side, BaselineGroup):
        return f"{side.nats!r} {side.tokens!r} {side.bytes!r}"
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(side).tobytes())


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """A row of a comparison: the difference of two sides in one group of documents, or in all."""

    name: str
    documents: tuple[int, int]
    """Before and after."""
    before: float
    """Perplexity, or bits per byte; NaN where it was not measured."""
    after: float
    difference: float
    """After − before, in nats per token (the logarithm of the ratio of perplexities) or in bits per byte."""
    low: float
    """The ends of its interval, in the same unit; infinite where there are too few documents for one."""
    high: float
    change: float
    """The difference as it is shown: a share of the perplexity before (.01 for +1 %), or bits per byte."""
    change_low: float
    change_high: float
    error: float
    """The standard error of the difference."""
    verdict: Verdict | None
    """None without a tolerance, and for a group that was not there before."""
    needed: int | None
    """Documents with which the verdict would not be "cannot tell"; None where no number of them would."""

    @property
    def is_new(self) -> bool:
        """Whether the group was not there before."""
        return not self.documents[0]


def compare_groups(
    groups: Sequence[MeasuredGroup], weights: Sequence[Sequence[float]], metric: str, tolerance: Tolerance | None
) -> list[list[ComparedGroup]]:
    """Return, for each group, a row for each of some differences of two sides; all intervals hold together.

    A difference has −1 at the side before, 1 at the one after, 0 at all others.
    """
    contrasts = [[group.estimate(each) for each in weights] for group in groups]
    ends = iter(find_joint_intervals([one for several in contrasts for one in several if one is not None]))
    unknown = Ends(math.nan, math.nan)
    return [
        [
            make_row(group, each, one, unknown if one is None else next(ends), metric, tolerance)
            for each, one in zip(weights, several, strict=True)
        ]
        for group, several in zip(groups, contrasts, strict=True)
    ]


def make_row(
    group: MeasuredGroup,
    weights: Sequence[float],
    contrast: RatioContrast | None,
    ends: Ends,
    metric: str,
    tolerance: Tolerance | None,
) -> ComparedGroup:
    """Return the row of a difference, from its estimate and its interval."""
    before, after = list(weights).index(-1.0), list(weights).index(1.0)
    documents = (group.documents[before], group.documents[after])
    difference = math.nan if contrast is None else contrast.value
    verdict: Verdict | None = None
    needed = None
    if tolerance is not None:
        if contrast is None or math.isnan(difference):
            verdict = "unmeasured" if documents[0] else None
        elif group.lacks_pairs(before):
            verdict = "unmeasured"
        else:
            verdict = tolerance.judge(ends)
            if verdict == "cannot tell":
                needed = tolerance.count_needed(difference, ends, min(documents))
    return ComparedGroup(
        group.name,
        documents,
        show_level(group.levels[before], metric),
        show_level(group.levels[after], metric),
        difference,
        ends.low,
        ends.high,
        show_change(difference, metric),
        show_change(ends.low, metric),
        show_change(ends.high, metric),
        math.nan if contrast is None else contrast.error,
        verdict,
        needed,
    )


RANKS = {"beyond": 0, "unmeasured": 1, "cannot tell": 2, "within": 3, None: 4}


def sort_groups(rows: Sequence[ComparedGroup]) -> list[ComparedGroup]:
    """Return rows with those that crossed first, each kind by the size of its difference."""
    return sorted(rows, key=lambda row: (RANKS[row.verdict], -abs(float(np.nan_to_num(row.difference))), row.name))
