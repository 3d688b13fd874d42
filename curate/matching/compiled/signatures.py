"""MinHash signatures of sets, and their keys: the loops of ``numba_kernels`` and ``stages.dedup.numba_sketches``."""

import numpy as np

from curate.matching.compiled import compiled
from curate.matching.minhash import EMPTY, MULTIPLIER
from curate.runtime.arrays import Int64Array, UInt32Array, UInt64Array

ROOM = 4096
"""Elements of a set, at first."""


@compiled
def mix_elements(hashes: UInt64Array, mixed: UInt32Array) -> None:
    """Write the low halves of some hashes after ``minhash.premix_hashes``."""
    for index in range(len(hashes)):
        value = np.uint32(hashes[index])
        value ^= value >> np.uint32(16)
        value = np.uint32(value * np.uint32(0x85EBCA6B))
        value ^= value >> np.uint32(13)
        value = np.uint32(value * np.uint32(0xC2B2AE35))
        mixed[index] = np.uint32(value ^ (value >> np.uint32(16)))


@compiled
def lower_minima(mixed: UInt32Array, multipliers: UInt32Array, addends: UInt32Array, minima_P: UInt32Array) -> None:
    """Lower the minima (permutations,) to those of a set; four elements at a time, since writing them is what costs."""
    fours = len(mixed) // 4 * 4
    for at in range(0, fours, 4):
        one, two, three, four = mixed[at], mixed[at + 1], mixed[at + 2], mixed[at + 3]
        for permutation in range(len(minima_P)):
            factor, addend = multipliers[permutation], addends[permutation]
            low = min(np.uint32(one * factor + addend), np.uint32(two * factor + addend))
            least = min(np.uint32(three * factor + addend), np.uint32(four * factor + addend))
            minima_P[permutation] = min(minima_P[permutation], min(low, least))
    for at in range(fours, len(mixed)):
        for permutation in range(len(minima_P)):
            value = np.uint32(mixed[at] * multipliers[permutation] + addends[permutation])
            minima_P[permutation] = min(minima_P[permutation], value)


@compiled
def lower_all_minima(
    mixed: UInt32Array, offsets: Int64Array, multipliers: UInt32Array, addends: UInt32Array, minima_SP: UInt32Array
) -> None:
    """Lower the minima (sets, permutations) to those of each set."""
    for number in range(len(minima_SP)):
        lower_minima(mixed[offsets[number] : offsets[number + 1]], multipliers, addends, minima_SP[number])


@compiled
def fill_keys(
    hashes: UInt64Array, offsets: Int64Array, multipliers: UInt32Array, addends: UInt32Array, rows: int,
    keys: UInt64Array,
) -> None:  # fmt: skip
    """Fill the keys (documents, bands) of some sets: ``minhash.compute_signatures``, ``minhash.band_keys``."""
    minima_P, mixed = np.empty(len(multipliers), np.uint32), np.empty(ROOM, np.uint32)
    for number in range(len(offsets) - 1):
        elements = hashes[offsets[number] : offsets[number + 1]]
        if len(elements) > len(mixed):
            mixed = np.empty(len(elements), np.uint32)
        mix_elements(elements, mixed)
        for permutation in range(len(minima_P)):
            minima_P[permutation] = EMPTY
        lower_minima(mixed[: len(elements)], multipliers, addends, minima_P)
        for band in range(keys.shape[1]):
            value = np.uint64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                value = (value + np.uint64(minima_P[row])) * MULTIPLIER
                value ^= value >> np.uint64(29)
            keys[number, band] = value * MULTIPLIER
