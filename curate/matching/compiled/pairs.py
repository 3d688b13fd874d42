"""Pairs of sets compared, and pairs of numbers joined: the loops of ``stages.dedup.pairs.numba_pairs``."""

import numpy as np

from curate.matching.compiled import compiled
from curate.runtime.arrays import Int64Array, UInt32Array, UInt64Array


@compiled
def count_common(
    hashes: UInt64Array, offsets: Int64Array, first: Int64Array, second: Int64Array, counts: Int64Array
) -> None:
    """Count the elements that both sets of each pair have; the sets ascend without repeats."""
    for pair in range(len(first)):
        left, left_stop = offsets[first[pair]], offsets[first[pair] + 1]
        right, right_stop = offsets[second[pair]], offsets[second[pair] + 1]
        common = 0
        while left < left_stop and right < right_stop:
            one, other = hashes[left], hashes[right]
            common += one == other
            left += one <= other
            right += other <= one
        counts[pair] = common


@compiled
def find_root(parents: UInt32Array, member: int) -> int:
    """Return the root of a member, halving the path to it."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@compiled
def join_edges(parents: UInt32Array, first: UInt32Array, second: UInt32Array) -> None:
    """Join both ends of each edge under the smaller of their roots."""
    for edge in range(len(first)):
        one, other = find_root(parents, first[edge]), find_root(parents, second[edge])
        if one < other:
            parents[other] = np.uint32(one)
        elif other < one:
            parents[one] = np.uint32(other)


@compiled
def settle_roots(parents: UInt32Array) -> None:
    """Let every member point to its root, which is the smallest: those before it do so already."""
    for member in range(len(parents)):
        parents[member] = parents[parents[member]]
