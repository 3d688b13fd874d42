"""Inner loops that numba compiles where it is installed (the extra ``fast``); each has a twin in NumPy.

A test checks that the twins give the same bits.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from curate.runtime.arrays import Array, Int64Array, UInt8Array, UInt32Array, UInt64Array

SMALL_BITS = 23


@lru_cache(maxsize=1)
def is_numba_available() -> bool:
    """Return whether numba can be imported."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


@lru_cache(maxsize=1)
def _minima() -> Callable[..., None]:
    import numba

    def loop(mixed: Array, offsets: Array, multipliers: Array, addends: Array, minima_SP: Array) -> None:
        for index in range(len(offsets) - 1):
            row = minima_SP[index]
            for element in range(offsets[index], offsets[index + 1]):
                value = mixed[element]
                for permutation in range(len(multipliers)):
                    row[permutation] = min(
                        row[permutation], np.uint32(value * multipliers[permutation] + addends[permutation])
                    )

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def lower_minima(mixed: UInt32Array, offsets: Int64Array, table: UInt32Array, minima_SP: UInt32Array) -> None:
    """Lower ``minima_SP`` (sets, permutations) to the minima of each set; the twin of ``minhash.lower_minima``."""
    _minima()(mixed, offsets, np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]), minima_SP)


@lru_cache(maxsize=1)
def _sift() -> Callable[..., int]:
    import numba

    def loop(
        signed: Array, bands: int, rows: int, multiplier: Any, small: Array, table: Array, mask: Any, positions: Array,
        keys: Array,
    ) -> int:  # fmt: skip
        """Write the positions and keys that pass, as far as there is room, and return how many pass."""
        count = 0
        shift, half, top = np.uint64(29), np.uint64(32), np.uint64(64 - SMALL_BITS)
        seven, three = np.uint64(7), np.uint64(3)
        for number in range(len(signed)):
            for band in range(bands):
                value = np.uint64(band + 1)
                for row in range(band * rows, (band + 1) * rows):
                    value = (value + np.uint64(signed[number, row])) * multiplier
                    value ^= value >> shift
                value *= multiplier
                high = value >> top
                if not (small[high >> three] >> (high & seven)) & 1:
                    continue
                if table[value & mask] and table[(value >> half) & mask]:
                    if count < len(positions):
                        positions[count] = number * bands + band
                        keys[count] = value
                    count += 1
        return count

    compiled: Callable[..., int] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def make_bit_table(keys: UInt64Array) -> UInt8Array:
    """Return a table of 2^SMALL_BITS bits (a megabyte, which stays in the cache), set at the high bits of the keys."""
    flags = np.zeros(1 << SMALL_BITS, bool)
    flags[(keys >> np.uint64(64 - SMALL_BITS)).astype(np.int64)] = True
    return np.packbits(flags, bitorder="little")


def find_passing_keys(
    signed: UInt32Array,
    bands: int,
    rows: int,
    multiplier: np.uint64,
    small: UInt8Array,
    table: Array,
    mask: np.uint64,
) -> tuple[Int64Array, UInt64Array]:
    """Return the band keys that pass two filters, as positions in ``minhash.band_keys(…).ravel()`` and keys.

    ``signed`` has the signatures, of shape (sets, permutations). ``small`` comes from ``make_bit_table``. ``table`` has
    a flag at both halves of each wanted key, modulo ``mask`` + 1.
    """
    room = 4 * len(signed) + 1024
    while True:
        positions, keys = np.empty(room, np.int64), np.empty(room, np.uint64)
        count = _sift()(signed, bands, rows, multiplier, small, table, mask, positions, keys)
        if count <= room:
            return positions[:count], keys[:count]
        room = count
