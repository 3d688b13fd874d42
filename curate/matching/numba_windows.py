"""Windows over documents looked up by MinHash in one pass, compiled by numba where it is installed (extra ``fast``).

The twin of ``minhash_index.list_similar`` (of the stage decontaminate), which gives the same windows; a test holds the
two to each other. No signature of a window is kept: band after band, the two minima of all windows are made from those
of blocks of two words, and looked up in a filter of that band's keys, which fits the first cache. Only windows of
which a band is known are signed as a whole.
"""

from typing import Any

import numpy as np

from curate.matching.numba_kernels import KeyTable, list_table, make_filters
from curate.runtime.arrays import BoolArray, Int64Array, UInt32Array, UInt64Array

CHUNK = 8192
"""Words whose windows are looked up at a time, of one band."""
SHORTEST = 8
"""Words of the shortest windows: four blocks of two."""
FILTER_BITS, FILTER_MARKS = 14, 3
"""Bits of the filter of a band for each key, at least, and those that a key sets: of 150 others one passes."""


def make_band_filters(keys: UInt64Array) -> UInt64Array:
    """Return the filters of each band's keys; ``keys`` has the shape (sets, bands)."""
    bands = np.tile(np.arange(keys.shape[1]), len(keys))
    return make_filters(keys.ravel(), bands, keys.shape[1], FILTER_BITS, FILTER_MARKS)


def pad_words(mixed: UInt32Array, valid: BoolArray, count: int, levels: int) -> tuple[UInt32Array, UInt32Array]:
    """Return the hashes of a batch of ``count`` words, and masks of all bits where there are none.

    Both go on behind the batch, where no word is, for as long as the last chunk and the longest window may reach.
    """
    size = count + 2 * CHUNK + (SHORTEST << levels)
    padded, masks = np.zeros(size, np.uint32), np.full(size, 0xFFFFFFFF, np.uint32)
    padded[: len(mixed)] = mixed
    masks[: len(valid)][valid] = 0
    return padded, masks


def find_windows(
    words: tuple[UInt32Array, UInt32Array],
    counts: Int64Array,
    count: int,
    table: UInt32Array,
    multiplier: np.uint64,
    filters: UInt64Array,
    keys: KeyTable,
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Return for each band of a window that is known: the window, the key's index, and the window's words.

    ``words`` come from ``pad_words``, of a batch of ``count``; ``counts`` are the windows of each length, each twice as
    long as the one before; ``table`` has the permutations, ``multiplier`` is that of the keys. Windows ascend, and are
    counted from the shortest on; of their words the first and the last is given.
    """
    from curate.matching.compiled import windows as loops

    narrow = np.uint64(65 - filters.shape[1].bit_length())
    permutations = (np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]))
    room = 65_536
    while True:
        written = np.empty((room, 2), np.int64)
        found = loops.find_bands(
            *words, counts, permutations, multiplier, filters, narrow, list_table(keys), CHUNK, written
        )
        if found <= room:
            break
        room = found
    windows, slots = written[:found].T
    order = np.argsort(windows, kind="stable")
    windows, slots = windows[order], slots[order]
    ends = np.cumsum(counts)
    level = np.searchsorted(ends, windows, side="right")
    firsts = (windows - (ends - counts)[level]) << (level + 1)
    return windows, slots, firsts, np.minimum(firsts + (SHORTEST << level), count) - 1


def compare_windows(
    words: tuple[UInt32Array, UInt32Array],
    table: UInt32Array,
    known_bands: tuple[Int64Array, Int64Array, Int64Array, Int64Array],
    postings: tuple[Int64Array, Int64Array],
    signatures: UInt32Array,
    least: float,
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return query, first and last word of each window that agrees with a query in a share of ``least`` values.

    Only those queries are compared that have a band of the window. ``known_bands`` is what ``find_windows`` returns;
    ``postings`` are the offsets of the keys and the queries that have them, ``signatures`` those of all queries.
    """
    from curate.matching.compiled import windows as loops

    permutations: Any = (np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]))
    room = 4096
    while True:
        written = np.empty((room, 3), np.int64)
        count = loops.compare_windows(*words, permutations, *known_bands, *postings, signatures, least, written)
        if count <= room:
            queries, firsts, lasts = written[:count].T.copy()
            return queries, firsts, lasts
        room = count
