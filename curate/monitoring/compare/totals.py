"""What one pass over the documents of a side adds up: sums and histograms by group, and a sample of its hashes.

Histograms have ``BINS`` bins of 1/``PER_OCTAVE`` octave, so that a quantile of them is right to .3 %, whatever the size
of the corpus. The histogram of all documents is the sum of those of the groups.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from curate.monitoring.compare.documents import DocumentBatch
from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array

PER_OCTAVE = 256
LOWEST, HIGHEST = -6, 20
"""The octaves of a histogram: numbers from 1/64 to 2^20; those beyond are in the outermost bins."""
BINS = (HIGHEST - LOWEST) * PER_OCTAVE
SAMPLED = 1 << 16
"""Hashes in a sample at most; it then has at least half as many."""
MEASURES = ("perplexity", "bits_per_byte")


class HashSample:
    """The distinct hashes of documents that are divisible by a power of two, which grows with their number."""

    def __init__(self) -> None:
        self.shift = 0
        self._held = np.zeros(0, np.uint64)

    def add(self, hashes_N: UInt64Array) -> None:
        """Take the hashes of some documents."""
        mask = np.uint64((1 << self.shift) - 1)
        self._held = np.union1d(self._held, hashes_N[hashes_N & mask == 0])
        while len(self._held) > SAMPLED:
            self.shift += 1
            self._held = self._held[self._held & np.uint64((1 << self.shift) - 1) == 0]

    def take(self, shift: int) -> UInt64Array:
        """Return the sampled hashes that are divisible by 2^``shift``, which is not below that of the sample."""
        return np.asarray(self._held[self._held & np.uint64((1 << shift) - 1) == 0], np.uint64)


def estimate_shared(samples: list[HashSample]) -> float:
    """Return the share of the texts of the side with the fewest that all sides have, as samples show it."""
    shift = max(sample.shift for sample in samples)
    taken = [sample.take(shift) for sample in samples]
    shared = taken[0]
    for one in taken[1:]:
        shared = np.intersect1d(shared, one, assume_unique=True)
    fewest = min(len(one) for one in taken)
    return len(shared) / fewest if fewest else 0.0


@dataclass(slots=True)
class SideTotals:
    """Sums over the scored documents of a side, by group."""

    sums_G4: Float64Array = field(default_factory=lambda: np.zeros((0, 4)))
    """Documents, nats, tokens, bytes."""
    histograms: dict[str, Int64Array] = field(default_factory=dict)
    """By measure: groups × bins, of documents."""
    sample: HashSample = field(default_factory=HashSample)
    windows: int = 0

    def add(self, batch: DocumentBatch) -> None:
        """Take some documents."""
        if not len(batch):
            return
        size = int(batch.groups.max()) + 1
        self.grow(size)
        groups = len(self.sums_G4)
        ones = np.ones(len(batch))
        for index, column in enumerate((ones, batch.nats, batch.tokens, batch.bytes)):
            self.sums_G4[:, index] += np.bincount(batch.groups, column, groups)
        for name, values_N in list_measures(batch).items():
            places_N = batch.groups * BINS + find_bins(values_N)
            self.histograms[name] += np.bincount(places_N, minlength=groups * BINS).reshape(groups, BINS)
        self.sample.add(batch.hashes)
        self.windows = max(self.windows, batch.windows)

    def grow(self, groups: int) -> None:
        """Make room for at least so many groups."""
        missing = groups - len(self.sums_G4)
        for name in MEASURES:
            known = self.histograms.setdefault(name, np.zeros((0, BINS), np.int64))
            if missing > 0:
                self.histograms[name] = np.concatenate([known, np.zeros((missing, BINS), np.int64)])
        if missing > 0:
            self.sums_G4 = np.concatenate([self.sums_G4, np.zeros((missing, 4))])

    def count(self, group: int) -> int:
        """Return how many documents are in a group, by its number."""
        return int(self.sums_G4[group, 0]) if group < len(self.sums_G4) else 0

    @property
    def documents(self) -> int:
        return int(self.sums_G4[:, 0].sum())


def list_measures(batch: DocumentBatch) -> dict[str, Float64Array]:
    """Return the measures of each document by name; NaN for bits per byte of a text without bytes."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {
            "perplexity": np.exp(batch.nats / batch.tokens),
            "bits_per_byte": batch.nats / (batch.bytes * math.log(2)),
        }


def find_bins(values_N: Float64Array) -> Int64Array:
    """Return the bin of each value; what is not above 0 or no number is in the first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves_N = (np.log2(values_N) - LOWEST) * PER_OCTAVE
    return np.asarray(np.clip(np.nan_to_num(octaves_N, nan=0.0, neginf=0.0, posinf=BINS), 0, BINS - 1), np.int64)


def estimate_quantiles(counts_B: Int64Array, shares: Float64Array) -> Float64Array:
    """Return the values below which these shares of the documents of a histogram lie; NaN without documents.

    Values are taken to lie evenly, on a logarithmic scale, in their bin.
    """
    total = int(counts_B.sum())
    if not total:
        return np.full(len(shares), np.nan)
    ends_B = np.cumsum(counts_B)
    wanted = np.clip(np.asarray(shares) * total, 0.5, total - 0.5) if total > 1 else np.full(len(shares), 0.5)
    bins = np.searchsorted(ends_B, wanted)
    inside = (wanted - (ends_B[bins] - counts_B[bins])) / counts_B[bins]
    return np.asarray(np.exp2((bins + inside) / PER_OCTAVE + LOWEST), np.float64)
