"""Counts on fixed fine grids, so that one pass over any number of documents is enough; coarsened when drawn.

A grid has bins of one width on its scale: even steps of the value, or of its logarithm. What lies outside counts in the
first or the last bin; NaN counts nowhere. A drawn bin is a whole number of fine ones, so that its count is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bins = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Grid:
    """``bins`` bins of ``width`` from ``low`` on; of a logarithmic grid both are powers of two."""

    low: float
    width: float
    bins: int
    log: bool = True

    def place(self, values: Floats) -> Bins:
        """Return the bin of each value; -1 for NaN and, on a logarithmic grid, for what is not above 0."""
        known = (values > 0) if self.log else ~np.isnan(values)
        scaled = np.log2(values, where=known, out=np.zeros(len(values))) if self.log else np.where(known, values, 0.0)
        scaled -= self.low
        scaled /= self.width
        bins = np.clip(scaled, 0, self.bins - 1, out=scaled).astype(np.int32)
        bins[~known] = -1
        return bins

    def edge(self, number: int) -> float:
        """Return the lower edge of a bin."""
        at = self.low + number * self.width
        return float(2.0**at) if self.log else float(at)

    def position(self, value: float) -> float:
        """Return where a value lies, in bins; it may be beyond the ends."""
        if self.log:
            return (float(np.log2(value)) - self.low) / self.width if value > 0 else -np.inf
        return (value - self.low) / self.width


FINE = 1 / 32
"""Octaves of a bin of a histogram."""
JOINED = 4
"""Fine bins that are one of a density."""
COARSE = FINE * JOINED


@dataclass(frozen=True, slots=True)
class HistogramMeasure:
    """A column that is counted, with its words and its scales."""

    column: str
    label: str
    unit: str
    fine: Grid
    coarse: Grid


def _octaves(first: int, last: int, width: float) -> Grid:
    return Grid(first, width, int((last - first) / width))


def _logarithmic(column: str, label: str, unit: str, first: int, last: int) -> HistogramMeasure:
    return HistogramMeasure(column, label, unit, _octaves(first, last, FINE), _octaves(first, last, COARSE))


MEASURES = {
    "perplexity": _logarithmic("perplexity", "perplexity", "perplexity", 0, 40),
    "bits_per_byte": _logarithmic("bits_per_byte", "bits per byte", "bits per byte", -12, 12),
    "tokens": _logarithmic("tokens", "length", "tokens", 0, 40),
    "bytes": _logarithmic("bytes", "length", "bytes", 0, 44),
    "zlib_ratio": HistogramMeasure(
        "zlib_ratio", "zlib ratio", "compressed / plain", Grid(0, 0.005, 240, log=False), Grid(0, 0.02, 60, log=False)
    ),
}


@dataclass(slots=True)
class Histogram:
    """Documents by bin, for each group, kept and dropped apart."""

    grid: Grid
    groups: int
    counts: Counts = field(init=False)
    """group × (kept, dropped) × bin"""

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.groups, 2, self.grid.bins), np.int64)

    def add(self, values: Floats, groups: Counts, keep: NDArray[np.bool_]) -> None:
        self.add_placed(self.grid.place(values), groups * 2 + ~keep)

    def add_placed(self, bins: Bins, lanes: NDArray[np.integer]) -> None:
        """Documents by their bins (-1: not counted) and 2 · group + (0 kept, 1 dropped)."""
        known = bins >= 0
        index = lanes * self.grid.bins + bins
        found = np.bincount(index if known.all() else index[known], minlength=self.counts.size)
        self.counts += found.reshape(self.counts.shape)

    def drawn(self, most: int) -> "VisibleBins":
        """Return the same counts over the bins that are used, joined until they are at most ``most``."""
        return coarsen(self.grid, self.counts, most)


@dataclass(frozen=True, slots=True)
class VisibleBins:
    """Counts over consecutive bins that are wide enough to be seen."""

    grid: Grid
    first: int
    factor: int
    counts: Counts
    """… × bin"""

    @property
    def edges(self) -> list[float]:
        return [self.grid.edge(self.first + self.factor * number) for number in range(self.counts.shape[-1] + 1)]

    def share(self, value: float) -> float:
        """Return where a value lies between the first edge (0) and the last (1)."""
        return float((self.grid.position(value) - self.first) / (self.factor * self.counts.shape[-1]))


def coarsen(grid: Grid, counts: Counts, most: int) -> VisibleBins:
    """Return counts (… × bin) over the used bins, joined by an integer factor until they are at most ``most``."""
    used = np.flatnonzero(counts.reshape(-1, grid.bins).sum(axis=0))
    first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    factor = -(-(end - first) // most)
    length = -(-(end - first) // factor)
    wide = np.zeros((*counts.shape[:-1], length * factor), np.int64)
    taken = counts[..., first : first + length * factor]
    wide[..., : taken.shape[-1]] = taken
    return VisibleBins(grid, first, factor, wide.reshape(*counts.shape[:-1], length, factor).sum(axis=-1))


@dataclass(slots=True)
class Density:
    """Documents by the bins of two measures, kept and dropped apart."""

    x: HistogramMeasure
    y: HistogramMeasure
    counts: Counts = field(init=False)
    """(kept, dropped) × y × x"""

    def __post_init__(self) -> None:
        self.counts = np.zeros((2, self.y.coarse.bins, self.x.coarse.bins), np.int64)

    def add_placed(self, x: Bins, y: Bins, dropped: NDArray[np.integer]) -> None:
        """Documents by their bins on the fine grids (-1: not counted) and whether they are dropped (1) or kept (0)."""
        known = (x >= 0) & (y >= 0)
        index = (dropped * self.y.coarse.bins + y // JOINED) * self.x.coarse.bins + x // JOINED
        found = np.bincount(index if known.all() else index[known], minlength=self.counts.size)
        self.counts += found.reshape(self.counts.shape)

    def drawn(self, columns: int, rows: int) -> "tuple[VisibleBins, VisibleBins]":
        """The counts (kept, dropped) × y × x over the used bins, and the same with the axes changed over."""
        wide = coarsen(self.x.coarse, self.counts, columns)
        tall = coarsen(self.y.coarse, np.swapaxes(wide.counts, 1, 2), rows)
        across = VisibleBins(wide.grid, wide.first, wide.factor, np.swapaxes(tall.counts, 1, 2))
        return across, tall


def estimate_quantile(grid: Grid, counts: Sequence[int] | Counts, share: float) -> float:
    """Return an estimate of a quantile from the counts, taken as even inside a bin; NaN for no counts."""
    sums = np.cumsum(np.asarray(counts, np.float64))
    if not len(sums) or sums[-1] <= 0:
        return float("nan")
    wanted = share * sums[-1]
    number = int(np.searchsorted(sums, wanted))
    before = sums[number - 1] if number else 0.0
    inside = float((wanted - before) / max(sums[number] - before, 1.0))
    at = grid.low + (number + min(max(inside, 0.0), 1.0)) * grid.width
    return float(2.0**at) if grid.log else float(at)
