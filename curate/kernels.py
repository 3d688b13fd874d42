"""Inner loops compiled by numba where that is installed (the extra ``fast``); each has a twin in plain NumPy.

The twins give the same bits, and a test holds them together.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


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
