"""Whether models are as sure as they are right: calibration errors of two sides and their gaps, from ``calibration``.

Sums in bins of probability add up over documents (``curate.reference.measures.calibration``), so that the bootstrap
draws documents here too. An error of calibration is a sum of absolute values, so its draws are not centred on it: the
interval of a gap is ± the 95 % quantile of how far the draws are from their own mean.

Legend of shapes: N documents, U units, S sums in bins.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curate.monitoring.compare.by_kind import check_signal
from curate.monitoring.compare.contrasts import LEVEL, draw_sums
from curate.monitoring.compare.documents import Grouping
from curate.monitoring.compare.groups import Drawing
from curate.monitoring.compare.pairing import zip_batches
from curate.monitoring.compare.sides import ComparedSide
from curate.monitoring.compare.units import UnitSums
from curate.reference.measures.calibration import NUM_BINS, SUMS, full_ece, top1_accuracy, top1_ece
from curate.runtime.arrays import Float64Array

FEWEST = 5
"""Units with which an interval is given."""
MEASURES: dict[str, Callable[[dict[str, Float64Array]], float]] = {
    "Full-ECE": full_ece,
    "top-1 ECE": top1_ece,
    "top-1 accuracy": top1_accuracy,
}


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """A measure of calibration on both sides."""

    name: str
    before: float
    after: float
    gap: float
    """After − before."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two sides compared by calibration."""

    paired: bool
    documents: tuple[int, int]
    rows: tuple[CalibrationRow, ...]
    confidence: tuple[tuple[float, ...], tuple[float, ...]]
    """The mean probability of the likeliest token in each bin, of each side; NaN in an empty bin."""
    accuracy: tuple[tuple[float, ...], tuple[float, ...]]
    """How often that token came."""


def compare_calibration(sides: Sequence[ComparedSide], cluster: str | None, drawing: Drawing) -> Calibration:
    """Return the calibration of two sides.

    Sides that have the same texts in the same order are drawn in pairs, others independently. Raises UsageError where a
    side was scored without the signal ``calibration``.
    """
    for side in sides:
        check_signal(side, "--calibration", "calibration", SUMS)
    paired = _gather_pairs(sides, cluster)
    if paired is not None:
        counts, tables = [paired[:, 0].sum()] * 2, _split(paired)
        drawn = _split(draw_sums(paired, drawing.draws, drawing.make_generator("calibration")))
    else:
        apart = _gather_apart(sides, cluster)
        counts, tables = [each[:, 0].sum() for each in apart], [each[:, 1:] for each in apart]
        drawn = [
            draw_sums(each, drawing.draws, drawing.make_generator("calibration", str(number)))
            for number, each in enumerate(tables)
        ]
    values = [_spell_sums(table.sum(axis=0)) for table in tables]
    has_interval = min(map(len, tables)) >= FEWEST
    rows = tuple(_make_row(name, measure, values, drawn, has_interval) for name, measure in MEASURES.items())
    curves = [_draw_curve(each) for each in values]
    return Calibration(
        paired is not None,
        (round(counts[0]), round(counts[1])),
        rows,
        (curves[0][0], curves[1][0]),
        (curves[0][1], curves[1][1]),
    )


WIDTH = len(SUMS) * NUM_BINS
"""Sums of a document."""


def _gather_pairs(sides: Sequence[ComparedSide], cluster: str | None) -> Float64Array | None:
    """Return the sums of the units of sides in step: documents, then the sums of each side; None where they are not."""
    if len({side.num_documents for side in sides}) > 1:
        return None
    grouping = Grouping((), cluster, further=SUMS)
    units = UnitSums(1 + len(sides) * WIDTH, sides[0].num_documents)
    for batches in zip_batches([side.read(grouping) for side in sides if side.read is not None]):
        first = batches[0]
        if any(len(one) != len(first) or (one.hashes != first.hashes).any() for one in batches[1:]):
            return None
        matrices = [_stack_sums(one.further) for one in batches]
        whole = np.all([np.isfinite(matrix).all(axis=1) for matrix in matrices], axis=0)
        columns = [np.ones(int(whole.sum())), *(column for matrix in matrices for column in matrix[whole].T)]
        units.add(first.groups[whole], first.keys[whole], columns)
    return units.tabulate(1)[-1]


def _gather_apart(sides: Sequence[ComparedSide], cluster: str | None) -> list[Float64Array]:
    """Return the sums of the units of each side: documents, then its sums."""
    found = []
    for side in sides:
        grouping, units = Grouping((), cluster, further=SUMS), UnitSums(1 + WIDTH, side.num_documents)
        for batch in side.read(grouping) if side.read is not None else ():
            matrix = _stack_sums(batch.further)
            whole = np.isfinite(matrix).all(axis=1)
            units.add(batch.groups[whole], batch.keys[whole], [np.ones(int(whole.sum())), *matrix[whole].T])
        found.append(units.tabulate(1)[-1])
    return found


def _split(sums_UC: Float64Array) -> list[Float64Array]:
    """Return the sums of each of two sides."""
    return [sums_UC[:, 1 + k * WIDTH : 1 + (k + 1) * WIDTH] for k in (0, 1)]


def _stack_sums(further: dict[str, Float64Array]) -> Float64Array:
    """Return the sums of each document, those of one name next to one another (N × ``WIDTH``)."""
    return np.concatenate([further[name].reshape(-1, NUM_BINS) for name in SUMS], axis=1)


def _spell_sums(sums_S: Float64Array) -> dict[str, Float64Array]:
    return dict(zip(SUMS, sums_S.reshape(-1, NUM_BINS), strict=True))


def _make_row(
    name: str,
    measure: Callable[[dict[str, Float64Array]], float],
    values: Sequence[dict[str, Float64Array]],
    drawn: Sequence[Float64Array],
    has_interval: bool,
) -> CalibrationRow:
    before, after = (measure(each) for each in values)
    gaps_B = np.array([measure(_spell_sums(b)) - measure(_spell_sums(a)) for a, b in zip(*drawn, strict=True)])
    if not has_interval or np.isnan(gaps_B).any():
        return CalibrationRow(name, before, after, after - before, -math.inf, math.inf)
    half = float(np.quantile(np.abs(gaps_B - gaps_B.mean()), LEVEL))
    return CalibrationRow(name, before, after, after - before, after - before - half, after - before + half)


def _draw_curve(sums: dict[str, Float64Array]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean probability of the likeliest token in each bin, and how often it came."""
    pairs = sums["ece_top1_pairs"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple((sums["ece_top1_confidence"] / pairs).tolist()), tuple((sums["ece_top1_hits"] / pairs).tolist())
