"""Pairs compared and joined by numba; imported only where that is installed (``fast``).

The twins are in ``verification`` and ``components``. A test holds them to each other.
"""

import numpy as np

from curate.matching.compiled import pairs
from curate.runtime.arrays import Int64Array, UInt32Array, UInt64Array


def count_common(hashes: UInt64Array, offsets: Int64Array, first: Int64Array, second: Int64Array) -> Int64Array:
    """Return how many elements the sets of each pair have in common; the parameters as in ``verification``."""
    counts = np.empty(len(first), np.int64)
    pairs.count_common(hashes, offsets, first, second, counts)
    return counts


def join_edges(parents: UInt32Array, first: UInt32Array, second: UInt32Array) -> None:
    """Join both ends of each edge, as ``components.join_edges`` does."""
    pairs.join_edges(parents, first, second)


def settle_roots(parents: UInt32Array) -> None:
    """Let every member point to its root, as ``components.settle_roots`` does."""
    pairs.settle_roots(parents)
