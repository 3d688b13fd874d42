"""MinHash signatures of many sets at once, equal to datasketch's value for value, and the mathematics of LSH bands.

The scheme is datasketch's ``affine32`` (since 2.0): a set element's 32-bit hash goes through the finaliser of
MurmurHash3, then permutation k is a_k · h + b_k modulo 2^32, and a signature holds each permutation's minimum. The law
of large numbers gives the Jaccard similarity of two sets as the share of equal values, with standard error
sqrt(s (1 − s) / permutations). Sources: Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4.
"""

from dataclasses import dataclass

import numpy as np

from curate.matching import numba_kernels
from curate.runtime.arrays import Int64Array, UInt32Array, UInt64Array

SCHEME = "affine32"
PERMUTATIONS = 128
SEED = 1
EMPTY = np.uint32(0xFFFFFFFF)
BLOCK = 65_536  # elements permuted at a time, so that they stay in the processor's cache
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Bands:
    """How a signature is divided: two sets whose values agree in all rows of one band are candidates."""

    bands: int
    """Bands of a signature."""
    rows: int
    """Values of a signature in each band."""

    def probability(self, similarity: float) -> float:
        """Return the probability that two sets of this Jaccard similarity become candidates: 1 − (1 − s^r)^b."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def choose_bands(threshold: float, num_permutations: int = PERMUTATIONS, recall: float = 0.98) -> Bands:
    """Return the bands with the most rows that find sets at the threshold with probability ``recall`` or more.

    More rows give fewer false candidates; sets above the threshold are found with a higher probability. Where no
    division reaches the recall, each band has one row. Raises ValueError for a threshold outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    for rows in range(num_permutations, 1, -1):
        bands = Bands(num_permutations // rows, rows)
        if bands.probability(threshold) >= recall:
            return bands
    return Bands(num_permutations, 1)


def make_permutations(count: int = PERMUTATIONS, seed: int = SEED) -> UInt32Array:
    """Return datasketch's multipliers and addends of ``count`` permutations, of shape (2, count)."""
    from datasketch import MinHash

    table: UInt32Array = MinHash(num_perm=count, seed=seed, scheme=SCHEME).permutations
    return table


def premix_hashes(hashes: UInt32Array) -> UInt32Array:
    """Return the hashes after MurmurHash3's finaliser for 32 bits, a bijection, applied before the permutations."""
    values: UInt32Array = hashes ^ (hashes >> np.uint32(16))
    values = values * np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values


def compute_signatures(hashes: UInt32Array | UInt64Array, offsets: Int64Array, table: UInt32Array) -> UInt32Array:
    """Return the signature of each set, of shape (sets, permutations).

    ``hashes`` has the hashes of the elements of all sets, one set after the other; of 64-bit hashes the low 32 bits
    count. Set i has those in [offsets[i], offsets[i + 1]). Repeated elements change nothing. The signature of an empty
    set is EMPTY throughout, as in datasketch. ``table`` comes from ``make_permutations``.
    """
    mixed = premix_hashes(hashes.astype(np.uint32))
    minima_SP = np.full((len(offsets) - 1, table.shape[1]), EMPTY, np.uint32)
    if numba_kernels.is_numba_available():
        numba_kernels.lower_minima(mixed, offsets.astype(np.int64), table, minima_SP)
    else:
        lower_minima(mixed, offsets, table, minima_SP)
    return minima_SP


def lower_minima(mixed: UInt32Array, offsets: Int64Array, table: UInt32Array, minima_SP: UInt32Array) -> None:
    """Lower ``minima_SP`` (sets, permutations) to the minima of each set, in NumPy, about BLOCK elements at a time."""
    filled = np.flatnonzero(np.diff(offsets))
    starts, ends = offsets[filled], offsets[filled + 1]
    first = 0
    while first < len(filled):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + BLOCK, side="right")))
        part = mixed[starts[first] : ends[last - 1]]
        positions = starts[first:last] - starts[first]
        lowest = np.empty((table.shape[1], last - first), np.uint32)
        row = np.empty_like(part)
        for permutation, (multiplier, addend) in enumerate(table.T):
            np.multiply(part, multiplier, out=row)
            np.add(row, addend, out=row)
            np.minimum.reduceat(row, positions, out=lowest[permutation])
        minima_SP[filled[first:last]] = lowest.T
        first = last


def band_keys(signed: UInt32Array, bands: Bands) -> UInt64Array:
    """Return a key of each set in each band, of shape (sets, bands), equal where all rows of the band are equal.

    ``signed`` has the signatures, of shape (sets, permutations). Two sets whose rows differ have equal keys with
    probability 2^-64.
    """
    keys = np.empty((bands.bands, len(signed)), np.uint64)
    columns = np.ascontiguousarray(signed.T)
    for band, value in enumerate(keys):
        value[:] = band + 1
        for row in columns[band * bands.rows : (band + 1) * bands.rows]:
            value += row
            value *= MULTIPLIER
            value ^= value >> np.uint64(29)
        value *= MULTIPLIER
    return np.ascontiguousarray(keys.T)
