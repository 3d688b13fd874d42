"""Postings of an inverted index summed up by what they lead to, compiled by numba where it is installed.

The twins of ``sum_blocks``, ``sum_names`` and ``count_covered`` (``solutions.prefilter`` of the stage decontaminate).
A test holds them to each other.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from curate.runtime.arrays import Array, Float64Array, Int64Array, UInt64Array


@lru_cache(maxsize=1)
def _compile_blocks() -> Callable[..., int]:
    import numba

    def loop(
        positions: Array, slots: Array, documents: Array, begins: Array, ends: Array, offsets: Array, owners: Array,
        weights: Array, sizes: Array, needed: Array, edges: Array, reach: int, written: Array,
    ) -> int:  # fmt: skip
        """Write the blocks that have enough, with their weight at last, and return how many there are."""
        count = first = 0
        sums, rows = np.zeros((2, len(sizes)), np.int64), np.full((2, len(sizes)), -1, np.int64)
        blocks, seen = np.full((2, len(sizes)), -1, np.int64), np.full((2, len(owners)), -1, np.int64)
        at_edge, wanted = np.zeros((2, len(sizes)), np.bool_), np.zeros(len(sizes), np.bool_)
        totals, met = np.zeros(len(sizes), np.int64), np.full(len(offsets), -1, np.int64)
        while first < len(positions):
            document, last = documents[first], first
            begin, end = begins[document], ends[document]
            totals[:] = 0
            while last < len(positions) and documents[last] == document:
                slot = slots[last]
                if met[slot] != document:
                    met[slot] = document
                    for posting in range(offsets[slot], offsets[slot + 1]):
                        totals[owners[posting]] += weights[posting]
                last += 1
            any_wanted = False
            for query in range(len(sizes)):
                wanted[query] = totals[query] >= min(edges[query], needed[query])
                any_wanted |= wanted[query]
            for hit in range(first, last if any_wanted else first):
                position = positions[hit] - begin
                is_edge = position < reach or position >= end - begin - reach
                for posting in range(offsets[slots[hit]], offsets[slots[hit] + 1]):
                    query = owners[posting]
                    if not wanted[query]:
                        continue
                    size = sizes[query]
                    for half in range(2):
                        shift = half * (size // 2)
                        block = (position + shift) // size
                        name = 2 * begin + block  # another one for each document, since a block has two tokens or more
                        if blocks[half, query] != name:
                            blocks[half, query], sums[half, query], rows[half, query] = name, 0, -1
                            at_edge[half, query] = False
                        at_edge[half, query] |= is_edge
                        if seen[half, posting] != name:
                            seen[half, posting] = name
                            sums[half, query] += weights[posting]
                        row = rows[half, query]
                        if row < 0:
                            if sums[half, query] < (edges[query] if at_edge[half, query] else needed[query]):
                                continue
                            row = rows[half, query] = count
                            count += 1
                            if row < len(written):
                                written[row, 0], written[row, 1], written[row, 2] = (
                                    document,
                                    query,
                                    block * size - shift,
                                )
                        if row < len(written):
                            written[row, 3], written[row, 4] = sums[half, query], at_edge[half, query]
            first = last
        return count

    compiled: Callable[..., int] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def sum_blocks(
    hits: tuple[Int64Array, ...], postings: tuple[Int64Array, ...], rule: tuple[Int64Array, ...], reach: int
) -> Int64Array:
    """Return the rows of ``prefilter.sum_blocks``, in another order; the arguments are the same."""
    room = 1024
    while True:
        written = np.empty((room, 5), np.int64)
        count = _compile_blocks()(*hits, *postings, *rule, reach, written)
        if count <= room:
            return written[:count]
        room = count


@lru_cache(maxsize=1)
def _compile_names() -> Callable[..., None]:
    import numba

    def loop(
        lows: Array, highs: Array, queries: Array, tokens: Array, names: Array, bits: Array, offsets: Array, sums: Array
    ) -> None:
        for row in range(len(lows)):
            for name in range(offsets[queries[row]], offsets[queries[row] + 1]):
                for token in range(lows[row], highs[row]):
                    if tokens[token] == names[name]:
                        sums[row] += bits[name]
                        break

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def sum_names(
    lows: Int64Array,
    highs: Int64Array,
    queries: Int64Array,
    tokens: UInt64Array,
    known: tuple[UInt64Array, Float64Array, Int64Array],
) -> Float64Array:
    """Return the sums of ``prefilter.sum_names``; the arguments are the same."""
    sums = np.zeros(len(lows))
    _compile_names()(lows, highs, queries, tokens, *known, sums)
    return sums


@lru_cache(maxsize=1)
def _compile_covered() -> Callable[..., None]:
    import numba

    def loop(
        lows: Array, highs: Array, queries: Array, runs: Array, known: Array, positions: Array, offsets: Array,
        size: int, counts: Array,
    ) -> None:  # fmt: skip
        for row in range(len(lows)):
            end = 0
            for number in range(offsets[queries[row]], offsets[queries[row] + 1]):
                for token in range(lows[row], min(highs[row] - size + 1, len(runs))):
                    if runs[token] == known[number]:
                        begin = max(positions[number], end)
                        end = positions[number] + size
                        counts[row] += end - begin
                        break

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def count_covered(
    lows: Int64Array,
    highs: Int64Array,
    queries: Int64Array,
    runs: UInt64Array,
    known: tuple[UInt64Array, Int64Array, Int64Array],
    size: int,
) -> Int64Array:
    """Return the counts of ``prefilter.count_covered``; the arguments are the same."""
    counts = np.zeros(len(lows), np.int64)
    _compile_covered()(lows, highs, queries, runs, *known, size, counts)
    return counts
