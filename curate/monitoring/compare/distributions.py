"""How a measure is distributed over the documents of a side: quantiles, and a histogram where documents were read."""

from dataclasses import dataclass

import numpy as np

from curate.monitoring.compare.baseline import SHARES
from curate.monitoring.compare.sides import ComparedSide
from curate.monitoring.compare.totals import BINS, LOWEST, PER_OCTAVE, SideTotals, estimate_quantiles

COARSE = 8
"""Bins of a histogram that are one of a distribution: 1/32 octave."""


@dataclass(frozen=True, slots=True)
class SideDistribution:
    """A measure over the documents of a side."""

    label: str
    documents: int
    quantiles: tuple[float, ...]
    """At 0, 1 … 100 % of the documents."""
    counts: tuple[int, ...] | None
    """Documents by bins, from ``first`` on; None where quantiles alone are known."""
    first: float
    """The lower end of the first bin, as the logarithm to base 2."""
    per_octave: float


def describe_distribution(side: ComparedSide, totals: SideTotals | None, metric: str) -> SideDistribution:
    """Return the distribution of a side; empty bins at both ends are left out."""
    per_octave = PER_OCTAVE / COARSE
    if totals is None:
        assert side.baseline is not None
        known = side.baseline.all
        return SideDistribution(side.label, known.documents, tuple(known.quantiles[metric]), None, LOWEST, per_octave)
    fine = totals.histograms[metric].sum(axis=0) if totals.histograms else np.zeros(BINS, np.int64)
    counts = fine.reshape(-1, COARSE).sum(axis=1)
    filled = np.flatnonzero(counts)
    first, end = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
    quantiles = tuple(estimate_quantiles(fine, SHARES).tolist())
    shown = tuple(counts[first:end].tolist())
    return SideDistribution(side.label, totals.documents, quantiles, shown, LOWEST + first / per_octave, per_octave)
