"""MinHash signatures of many sets at once, equal to datasketch's value for value, and the mathematics of LSH bands.

The scheme is datasketch's ``affine32`` (since 2.0): a set element's 32-bit hash goes through the finaliser of
MurmurHash3, then permutation k is a_k · h + b_k modulo 2^32, and a signature holds each permutation's minimum. The law
of large numbers gives the Jaccard similarity of two sets as the share of equal values, with standard error
sqrt(s (1 − s) / permutations). Sources: Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.matching import numba_kernels

Array = np.ndarray[Any, np.dtype[Any]]

SCHEME = "affine32"
PERMUTATIONS = 128
SEED = 1
EMPTY = np.uint32(0xFFFFFFFF)
BLOCK = 65_536  # elements that are permuted at a time, so that they stay in the processor's cache
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Bands:
    """How a signature is cut: sets that agree in all rows of one band are candidates."""

    bands: int
    rows: int

    def probability(self, similarity: float) -> float:
        """The probability that two sets of this Jaccard similarity become candidates: 1 − (1 − s^r)^b."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def choose_bands(threshold: float, permutations: int = PERMUTATIONS, recall: float = 0.98) -> Bands:
    """The most rows a band with which sets at the threshold are still found with probability ``recall``.

    More rows mean fewer false candidates; recall above the threshold is higher still. ValueError for a threshold
    outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    for rows in range(permutations, 1, -1):
        found = Bands(permutations // rows, rows)
        if found.probability(threshold) >= recall:
            return found
    return Bands(permutations, 1)


def permutations(count: int = PERMUTATIONS, seed: int = SEED) -> Array:
    """The multipliers and addends of ``count`` permutations, uint32 of shape (2, count): datasketch's own."""
    from datasketch import MinHash

    found: Array = MinHash(num_perm=count, seed=seed, scheme=SCHEME).permutations
    return found


def premix_hashes(hashes: Array) -> Array:
    """MurmurHash3's finaliser for 32 bits, a bijection, applied once before the permutations."""
    values: Array = hashes ^ (hashes >> np.uint32(16))
    values = values * np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values


def signatures(hashes: Array, offsets: Array, table: Array) -> Array:
    """The signature of each set, uint32 of shape (sets, permutations).

    ``hashes`` are 32-bit hashes of the elements of all sets, one set after the other (of wider ones the low 32 bits
    count); set i is those from offsets[i] to offsets[i + 1]. Repeated elements change nothing. An empty set has
    EMPTY throughout, as in datasketch. ``table`` is what ``permutations`` gives.
    """
    mixed = premix_hashes(hashes.astype(np.uint32))
    found = np.full((len(offsets) - 1, table.shape[1]), EMPTY, np.uint32)
    if numba_kernels.available():
        numba_kernels.minima(mixed, offsets.astype(np.int64), table, found)
    else:
        minima(mixed, offsets, table, found)
    return found


def minima(mixed: Array, offsets: Array, table: Array, found: Array) -> None:
    """Lower ``found`` to each set's minima in plain NumPy: whole sets of about BLOCK elements at a time."""
    filled = np.flatnonzero(np.diff(offsets))
    starts, ends = offsets[filled], offsets[filled + 1]
    first = 0
    while first < len(filled):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + BLOCK, side="right")))
        part = mixed[starts[first] : ends[last - 1]]
        places = starts[first:last] - starts[first]
        lowest = np.empty((table.shape[1], last - first), np.uint32)
        row = np.empty_like(part)
        for permutation, (multiplier, addend) in enumerate(table.T):
            np.multiply(part, multiplier, out=row)
            np.add(row, addend, out=row)
            np.minimum.reduceat(row, places, out=lowest[permutation])
        found[filled[first:last]] = lowest.T
        first = last


def band_keys(signed: Array, bands: Bands) -> Array:
    """A 64-bit key of each set in each band, shape (sets, bands): equal rows give equal keys, in one band.

    Two sets whose rows differ have the same key by chance once in 2^64.
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
