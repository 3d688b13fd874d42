"""Inner loops compiled by numba where that is installed (the extra ``fast``); each has a twin in plain NumPy.

The twins give the same bits, and a test holds them together.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SMALL_BITS = 23


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba can be imported."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


@lru_cache(maxsize=1)
def _minima() -> Callable[..., None]:
    import numba

    def loop(mixed: Array, offsets: Array, multipliers: Array, addends: Array, found: Array) -> None:
        for place in range(len(offsets) - 1):
            row = found[place]
            for element in range(offsets[place], offsets[place + 1]):
                value = mixed[element]
                for permutation in range(len(multipliers)):
                    row[permutation] = min(
                        row[permutation], np.uint32(value * multipliers[permutation] + addends[permutation])
                    )

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def minima(mixed: Array, offsets: Array, table: Array, found: Array) -> None:
    """Lower ``found`` (sets, permutations) to each set's minima under the permutations; see ``minhash.minima``."""
    _minima()(mixed, offsets, np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]), found)


@lru_cache(maxsize=1)
def _sift() -> Callable[..., int]:
    import numba

    def loop(
        signed: Array, bands: int, rows: int, multiplier: Any, small: Array, table: Array, mask: Any, places: Array,
        keys: Array,
    ) -> int:  # fmt: skip
        """The places and keys that pass, as many as there is room for, and how many there are."""
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
                    if count < len(places):
                        places[count] = number * bands + band
                        keys[count] = value
                    count += 1
        return count

    compiled: Callable[..., int] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def make_small(keys: Array) -> Array:
    """A table of SMALL_BITS bits in a megabyte, which stays in the cache: the high bits of some 64-bit keys."""
    flags = np.zeros(1 << SMALL_BITS, bool)
    flags[(keys >> np.uint64(64 - SMALL_BITS)).astype(np.int64)] = True
    return np.packbits(flags, bitorder="little")


def sift(
    signed: Array, bands: int, rows: int, multiplier: np.uint64, small: Array, table: Array, mask: np.uint64
) -> tuple[Array, Array]:
    """The band keys of signatures (``minhash.band_keys``, raveled) that two sieves let pass: places, and keys."""
    room = 4 * len(signed) + 1024
    while True:
        places, keys = np.empty(room, np.int64), np.empty(room, np.uint64)
        count = _sift()(signed, bands, rows, multiplier, small, table, mask, places, keys)
        if count <= room:
            return places[:count], keys[:count]
        room = count
