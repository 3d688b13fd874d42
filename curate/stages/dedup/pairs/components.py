"""Connected components by arrays: 4 bytes a member, whatever the number and the order of the edges.

The label of a component is its smallest member, so that the result depends on the set of edges alone.
"""

from collections.abc import Iterable

import numpy as np

from curate.runtime.arrays import UInt32Array

Edges = tuple[UInt32Array, UInt32Array]
"""Both ends of some edges, each of shape (E,)."""


def label_components(count: int, edges: Iterable[Edges], compiled: bool = False) -> UInt32Array:
    """Return the smallest member of the component of each of the members 0 … count − 1, of shape (count,).

    ``edges`` come in batches of any size; ``compiled`` by numba, which gives the same.
    """
    join, settle = join_edges, settle_roots
    if compiled:
        from curate.stages.dedup.pairs import numba_pairs

        join, settle = numba_pairs.join_edges, numba_pairs.settle_roots
    parents = np.arange(count, dtype=np.uint32)
    for first, second in edges:
        join(parents, first, second)
    settle(parents)
    return parents


def join_edges(parents: UInt32Array, first: UInt32Array, second: UInt32Array) -> None:
    """Join both ends of each edge under the smaller of their roots, in place; no member points to a larger one."""
    while len(first):
        settle_roots(parents)
        first, second = parents[first], parents[second]
        apart = first != second
        first, second = first[apart], second[apart]
        np.minimum.at(parents, np.maximum(first, second), np.minimum(first, second))


def settle_roots(parents: UInt32Array) -> None:
    """Let every member point to its root, in place."""
    while True:
        higher = parents[parents]
        if np.array_equal(higher, parents):
            return
        parents[:] = higher
