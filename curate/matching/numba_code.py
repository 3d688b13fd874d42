"""Tokens of code found in one pass over the characters, compiled by numba where it is installed (the extra ``fast``).

The twin of ``code_tokens.find_token_bounds`` and ``code_tokens.normalise``, which give the same tokens. A test holds
the two to each other.
"""

from collections.abc import Callable

import numpy as np

from curate.runtime.arrays import BoolArray, Int64Array, UInt8Array, UInt32Array, UInt64Array

TABLE_BITS = 12
"""A table of known words has 2^TABLE_BITS slots."""


def make_word_table(known: UInt64Array) -> UInt64Array:
    """Return a hash table of some hashes, none of them 0: each in the first free slot from that of its low bits on."""
    mask = (1 << TABLE_BITS) - 1
    table = np.zeros(mask + 1, np.uint64)
    for value in known.tolist():
        slot = value & mask
        while table[slot]:
            slot = (slot + 1) & mask
        table[slot] = value
    return table


def _compile_among() -> Callable[..., bool]:
    from curate.matching.compiled import code

    return code.is_among


def blank_comments(points: UInt32Array, escapes: UInt32Array, spelled: UInt32Array, marks: UInt32Array) -> None:
    """Change code points as ``code_tokens.blank_comments`` does.

    ``escapes`` are letters behind a backslash and ``spelled`` what they stand for, ``marks`` those of ``MARKS``.
    """
    from curate.matching.compiled import code

    code.blank_comments(points, escapes, spelled, marks)


def find_tokens(
    points: UInt32Array, char_kinds: UInt8Array, paired: BoolArray, assigning: BoolArray, base: int
) -> tuple[Int64Array, Int64Array, UInt64Array]:
    """Return the first and the last character of each token, and the hash of its spelling.

    The tables are those of ``code_tokens.load_char_tables``, ``base`` is that of ``words.hash_spans``.
    """
    from curate.matching.compiled import code

    firsts, lasts = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    spelled = np.empty(len(points), np.uint64)
    tables = (char_kinds, paired, assigning)
    count = code.find_bounds(points, *tables, np.uint64(base), firsts, lasts, spelled)
    return firsts[:count].copy(), lasts[:count].copy(), spelled[:count].copy()


def normalise(
    points: UInt32Array,
    char_kinds: UInt8Array,
    tokens: tuple[Int64Array, Int64Array, UInt64Array],
    tables: tuple[UInt64Array, UInt64Array],
    marks: tuple[np.uint64, np.uint64],
) -> tuple[UInt64Array, UInt64Array, UInt8Array]:
    """Return hash, name and kind of each of the ``tokens`` (``find_tokens``).

    ``tables`` are those of the keywords and the functions (``make_word_table``), ``marks`` the token of every name and
    what separates attributes.
    """
    from curate.matching.compiled import code

    count = len(tokens[0])
    hashes, names, kinds = np.empty(count, np.uint64), np.empty(count, np.uint64), np.empty(count, np.uint8)
    code.normalise(points, char_kinds, *tokens, *tables, *marks, hashes, names, kinds)
    return hashes, names, kinds
