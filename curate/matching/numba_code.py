"""Tokens of code found in one pass over the characters, compiled by numba where it is installed (the extra ``fast``).

The twin of ``code_tokens.find_token_bounds`` and ``code_tokens.normalise``, which give the same tokens. A test holds
the two to each other.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from curate.matching.numba_words import compile_mix
from curate.runtime.arrays import Array, BoolArray, Int64Array, UInt8Array, UInt32Array, UInt64Array

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


@lru_cache(maxsize=1)
def _compile_among() -> Callable[..., bool]:
    import numba

    mask = np.uint64((1 << TABLE_BITS) - 1)

    def is_among(value: Any, table: Array) -> bool:
        slot = value & mask
        while table[slot] != 0:
            if table[slot] == value:
                return True
            slot = (slot + np.uint64(1)) & mask
        return False

    compiled: Callable[..., bool] = numba.njit(cache=True, nogil=True)(is_among)
    return compiled


@lru_cache(maxsize=1)
def _compile_blanks() -> Callable[..., None]:
    import numba

    def loop(points: Array, escapes: Array, spelled: Array, marks: Array) -> None:
        in_comment, begins, before, size = False, True, np.uint32(0x0A), len(points)
        for index in range(size - 1):
            if points[index] == 0x5C:
                for number in range(len(escapes)):
                    if points[index + 1] == escapes[number]:
                        points[index], points[index + 1] = np.uint32(0x20), spelled[number]
                        break
        for index in range(size):
            point = points[index]
            after = points[index + 1] if index + 1 < size else np.uint32(0)
            prompted = False
            if begins and point == 0x3E and index + 3 < size and after == 0x3E and points[index + 2] == 0x3E:
                prompted = points[index + 3] == 0x20
                if prompted:
                    points[index + 1] = points[index + 2] = point = np.uint32(0x20)
            elif before == 0x0A:
                is_mark, repeated = False, after == 0x3D
                for number in range(len(marks)):
                    is_mark |= point == marks[number]
                    repeated |= after == marks[number]
                prompted = is_mark and not repeated
                point = np.uint32(0x20) if prompted else point
            if point == 0x23:
                in_comment = True
            elif point == 0x0A:
                in_comment = False
            begins = point == 0x0A or (begins and point == 0x20 and not prompted)
            before = point
            points[index] = 0x20 if in_comment else point

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def blank_comments(points: UInt32Array, escapes: UInt32Array, spelled: UInt32Array, marks: UInt32Array) -> None:
    """Change code points as ``code_tokens.blank_comments`` does.

    ``escapes`` are letters behind a backslash and ``spelled`` what they stand for, ``marks`` those of ``MARKS``.
    """
    _compile_blanks()(points, escapes, spelled, marks)


@lru_cache(maxsize=1)
def _compile_bounds() -> Callable[..., int]:
    import numba

    mix = compile_mix()

    def loop(
        points: Array, char_kinds: Array, paired: Array, assigning: Array, base: Any, firsts: Array, lasts: Array,
        spelled: Array,
    ) -> int:  # fmt: skip
        """Write the bounds and the hash of the spelling of each token, and return how many there are."""
        count, index, size = 0, 0, len(points)
        while index < size:
            point = points[index]
            kind = char_kinds[point]
            if kind == 0:
                index += 1
                continue
            begin, value, power = index, np.uint64(point), base
            index += 1
            if kind == 1:
                private = 0xE000 <= point < 0xF800
                while index < size:
                    point = points[index]
                    if char_kinds[point] != 1 or (0xE000 <= point < 0xF800) != private:
                        break
                    value += np.uint64(point) * power
                    power *= base
                    index += 1
            else:
                while index < size:
                    after, point = point, points[index]
                    joined = (paired[point] and point == after) or (point == 0x3D and assigning[after])
                    if char_kinds[point] != 2 or not joined:
                        break
                    value += np.uint64(point) * power
                    power *= base
                    index += 1
            firsts[count], lasts[count], spelled[count] = begin, index - 1, mix(value)
            count += 1
        return count

    compiled: Callable[..., int] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


@lru_cache(maxsize=1)
def _compile_normalise() -> Callable[..., None]:
    import numba

    is_among = _compile_among()

    def loop(
        points: Array, char_kinds: Array, firsts: Array, lasts: Array, spelled: Array, keywords: Array,
        functions: Array, identifier: Any, attribute: Any, hashes: Array, names: Array, kinds: Array,
    ) -> None:  # fmt: skip
        """Write hash, name and kind of each token."""
        for token in range(len(firsts)):
            begin, behind = firsts[token], lasts[token] + 1
            point, value = points[begin], spelled[token]
            hashes[token], names[token], kinds[token] = value, 0, 1
            if char_kinds[point] == 2:
                kinds[token] = 2
            elif 0x30 <= point <= 0x39 or 0xE000 <= point < 0xF800:
                kinds[token] = 3
            elif begin > 0 and points[begin - 1] == 0x2E:
                hashes[token] = value ^ attribute
            elif not is_among(value, keywords):
                while behind < len(points) and points[behind] == 0x20:
                    behind += 1
                called = behind < len(points) and points[behind] == 0x28
                if not (called and is_among(value, functions)):
                    hashes[token], names[token], kinds[token] = identifier, value, 0

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def find_tokens(
    points: UInt32Array, char_kinds: UInt8Array, paired: BoolArray, assigning: BoolArray, base: int
) -> tuple[Int64Array, Int64Array, UInt64Array]:
    """Return the first and the last character of each token, and the hash of its spelling.

    The tables are those of ``code_tokens.load_char_tables``, ``base`` is that of ``words.hash_spans``.
    """
    firsts, lasts = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    spelled = np.empty(len(points), np.uint64)
    tables = (char_kinds, paired, assigning)
    count = _compile_bounds()(points, *tables, np.uint64(base), firsts, lasts, spelled)
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
    count = len(tokens[0])
    hashes, names, kinds = np.empty(count, np.uint64), np.empty(count, np.uint64), np.empty(count, np.uint8)
    _compile_normalise()(points, char_kinds, *tokens, *tables, *marks, hashes, names, kinds)
    return hashes, names, kinds
