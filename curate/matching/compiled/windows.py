"""MinHash windows over a batch of documents, signed and looked up band by band: the loops of ``numba_windows``."""

from typing import Any

import numpy as np

from curate.matching.compiled import compiled
from curate.matching.compiled.keys import find_key
from curate.runtime.arrays import Array

EMPTY = np.uint32(0xFFFFFFFF)
SHIFT, SIX, TWELVE = np.uint64(29), np.uint64(6), np.uint64(12)
LOW, ONE = np.uint64(63), np.uint64(1)


@compiled
def sign_blocks(
    even: Array, odd: Array, no_even: Array, no_odd: Array, multiplier: Any, addend: Any, lowest: Array
) -> None:
    """Write the minimum of one permutation over each block of an even word and the odd one behind it."""
    for block in range(len(lowest)):
        first = np.uint32(even[block] * multiplier + addend) | no_even[block]
        second = np.uint32(odd[block] * multiplier + addend) | no_odd[block]
        lowest[block] = min(first, second)


@compiled
def halve_blocks(lowest: Array, halved: Array) -> None:
    """Write the minimum of each two blocks."""
    for block in range(len(halved)):
        halved[block] = min(lowest[2 * block], lowest[2 * block + 1])


@compiled
def hash_bands(first: Array, second: Array, band: int, multiplier: Any, keys: Array) -> None:
    """Write ``minhash.band_keys`` of the windows of four blocks that begin at each block; a band has two rows."""
    for window in range(len(keys)):
        one = min(min(first[window], first[window + 1]), min(first[window + 2], first[window + 3]))
        two = min(min(second[window], second[window + 1]), min(second[window + 2], second[window + 3]))
        value = (np.uint64(band + 1) + np.uint64(one)) * multiplier
        value ^= value >> SHIFT
        value = (value + np.uint64(two)) * multiplier
        value ^= value >> SHIFT
        keys[window] = value * multiplier


@compiled
def select_passing(keys: Array, filtered: Array, narrow: Any, passed: Array) -> int:
    """Write the indices of the keys that pass a filter of three bits a key, and return how many there are."""
    count = np.uint64(0)
    for window in range(len(keys)):
        key = keys[window]
        word = filtered[key >> narrow]
        passed[count] = window
        count += (word >> (key & LOW)) & (word >> ((key >> SIX) & LOW)) & (word >> ((key >> TWELVE) & LOW)) & ONE
    return int(count)


@compiled
def find_bands(
    mixed: Array, masks: Array, counts: Array, table: Any, multiplier: Any, filters: Array, narrow: Any, known: Any,
    chunk: int, written: Array,
) -> int:  # fmt: skip
    """Write window and key of each band of a window that is known, and return how many there are, written or not.

    Windows are counted from the shortest on: ``counts`` has how many there are of each length. ``mixed`` and ``masks``
    come from ``numba_windows.pad_words``, ``known`` from ``numba_kernels.list_table``.
    """
    levels, tail, count = len(counts), 4 << len(counts), 0
    one, two = np.empty((chunk + tail) // 2, np.uint32), np.empty((chunk + tail) // 2, np.uint32)
    half_one, half_two = np.empty(len(one) // 2, np.uint32), np.empty(len(one) // 2, np.uint32)
    keys, passed = np.empty(chunk // 2, np.uint64), np.empty(chunk // 2 + 1, np.int64)
    even, odd, no_even, no_odd = mixed[::2].copy(), mixed[1::2].copy(), masks[::2].copy(), masks[1::2].copy()
    for begin in range(0, 2 * counts[0] + 6, chunk):
        first, last = begin // 2, (begin + chunk + tail) // 2
        blocks_of = (even[first:last], odd[first:last], no_even[first:last], no_odd[first:last])
        for band in range(len(filters)):
            sign_blocks(*blocks_of, table[0][2 * band], table[1][2 * band], one)
            sign_blocks(*blocks_of, table[0][2 * band + 1], table[1][2 * band + 1], two)
            ours, others, offset = (one, two), (half_one, half_two), 0
            for level in range(levels):
                first = begin >> (level + 1)
                some = max(min(chunk >> (level + 1), counts[level] - first), 0)
                hash_bands(ours[0], ours[1], band, multiplier, keys[:some])
                for window in passed[: select_passing(keys[:some], filters[band], narrow, passed)]:
                    slot = find_key(keys[window], *known)
                    if slot >= 0:
                        if count < len(written):
                            written[count, 0], written[count, 1] = offset + first + window, slot
                        count += 1
                offset += counts[level]
                size = (chunk + tail) >> (level + 2)
                halve_blocks(ours[0], others[0][:size])
                halve_blocks(ours[1], others[1][:size])
                ours, others = others, ours
    return count


@compiled
def sign_window(
    mixed: Array, masks: Array, first: int, last: int, multipliers: Array, addends: Array, row: Array
) -> None:
    """Write the signature of the words from ``first`` to ``last``."""
    row[:] = EMPTY
    for word in range(first, last + 1):
        if masks[word] == 0:
            for permutation in range(len(row)):
                value = np.uint32(mixed[word] * multipliers[permutation] + addends[permutation])
                row[permutation] = min(row[permutation], value)


@compiled
def compare_windows(
    mixed: Array, masks: Array, table: Any, windows: Array, slots: Array, firsts: Array, lasts: Array, offsets: Array,
    owners: Array, signatures: Array, least: float, written: Array,
) -> int:  # fmt: skip
    """Write query, first and last word of the windows that agree enough with a query of one of their bands.

    Return how many there are, written or not. ``windows`` ascend, and have an entry for each band found.
    """
    row, seen, count = np.empty(len(table[0]), np.uint32), np.full(len(signatures), -1), 0
    signed = -1
    for number in range(len(windows)):
        window = windows[number]
        if window != signed:
            sign_window(mixed, masks, firsts[number], lasts[number], table[0], table[1], row)
            signed = window
        for posting in range(offsets[slots[number]], offsets[slots[number] + 1]):
            query = owners[posting]
            if seen[query] == window:
                continue
            seen[query] = window
            equal, other = 0, signatures[query]
            for permutation in range(len(row)):
                equal += row[permutation] == other[permutation]
            if equal / len(row) >= least:
                if count < len(written):
                    written[count, 0], written[count, 1], written[count, 2] = query, firsts[number], lasts[number]
                count += 1
    return count
