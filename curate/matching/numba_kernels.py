"""Inner loops that numba compiles where it is installed (the extra ``fast``); each has a twin in NumPy.

A test checks that the twins give the same bits.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.runtime.arrays import BoolArray, Int32Array, Int64Array, UInt32Array, UInt64Array

FILTER_BITS = 8
"""Bits of the filter of a table for each of its keys, at least; twice as many at most."""


@lru_cache(maxsize=1)
def is_numba_available() -> bool:
    """Return whether numba can be imported."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def lower_minima(mixed: UInt32Array, offsets: Int64Array, table: UInt32Array, minima_SP: UInt32Array) -> None:
    """Lower ``minima_SP`` (sets, permutations) to the minima of each set; the twin of ``minhash.lower_minima``."""
    from curate.matching.compiled.signatures import lower_all_minima

    lower_all_minima(mixed, offsets, np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]), minima_SP)


@dataclass(frozen=True, slots=True, eq=False)
class KeyTable:
    """Known 64-bit keys whose bits are well mixed, as compiled loops look them up: by their highest bits."""

    keys: UInt64Array
    """Of shape (K,), ascending."""
    starts: Int32Array
    """Of a length that is a power of 2, and 1: the keys whose highest bits are b begin at starts[b]."""
    filter: UInt64Array
    """Of a length that is a power of 2: a Bloom filter. A key sets two bits of the word that its highest bits name."""


def make_key_table(keys: UInt64Array) -> KeyTable:
    """Return the table of some keys, which ascend and are distinct."""
    bits = max(len(keys).bit_length(), 6)
    edges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    starts = np.append(np.searchsorted(keys, edges), len(keys)).astype(np.int32)
    return KeyTable(keys, starts, make_filters(keys, np.zeros(len(keys), np.int64), 1, FILTER_BITS, 2)[0])


def make_filters(keys: UInt64Array, owners: Int64Array, count: int, bits: int, marks: int) -> UInt64Array:
    """Return ``count`` Bloom filters, of shape (count, words), each of the keys of that owner.

    All have as many words, a power of 2, so that there are ``bits`` bits or more for each of the keys of one on
    average. A key sets ``marks`` bits of the word that its highest bits name: those that its lowest bits name, six for
    each.
    """
    words = max((len(keys) * bits) // (64 * count), 2)
    words = 1 << words.bit_length()
    highest = (keys >> np.uint64(65 - words.bit_length())).astype(np.int64)
    flags = np.zeros((count * words, 64), bool)
    for mark in range(marks):
        flags[owners * words + highest, ((keys >> np.uint64(6 * mark)) & np.uint64(63)).astype(np.int64)] = True
    packed: UInt64Array = np.packbits(flags, axis=1, bitorder="little").view(np.uint64)
    return packed.reshape(count, words)


def list_table(table: KeyTable) -> tuple[UInt64Array, Int32Array, UInt64Array, np.uint64, np.uint64]:
    """Return a table as the arguments of ``compiled.keys.find_key``."""
    shifts = (np.uint64(65 - len(table.starts[1:]).bit_length()), np.uint64(65 - len(table.filter).bit_length()))
    return table.keys, table.starts, table.filter, *shifts


def look_up(keys: UInt64Array, valid: BoolArray, table: KeyTable) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the ``keys`` that are valid and known, and their indices in ``table.keys``."""
    from curate.matching.compiled import keys as loops

    positions, slots = np.empty(len(keys) + 1, np.int64), np.empty(len(keys), np.int64)
    count = loops.look_up(keys, valid, *list_table(table), positions, slots)
    return positions[:count], slots[:count]
