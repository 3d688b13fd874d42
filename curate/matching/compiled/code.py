"""Tokens of code found in one pass over the characters: the loops of ``numba_code``."""

from typing import Any

import numpy as np

from curate.matching.compiled import compiled
from curate.matching.compiled.words import mix
from curate.runtime.arrays import Array

TABLE_BITS = 12
"""``numba_code.TABLE_BITS``."""
MASK = np.uint64((1 << TABLE_BITS) - 1)


@compiled
def is_among(value: Any, table: Array) -> bool:
    slot = value & MASK
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & MASK
    return False


@compiled
def blank_comments(points: Array, escapes: Array, spelled: Array, marks: Array) -> None:
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


@compiled
def find_bounds(
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


@compiled
def normalise(
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
