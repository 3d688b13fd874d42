"""Words found and hashed in one pass over the characters."""

from typing import Any

import numpy as np

from curate.matching.compiled import compiled
from curate.runtime.arrays import Array


@compiled
def mix(value: Any) -> Any:
    """Return ``words.mix_bits`` of one value."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@compiled
def find_plain_words(
    raw: Array, single: Array, alone: Array, rising: Array, falling: Array, moved: Any, spaceless: Any, hashes: Array,
    sums: Array, starts: Array, ends: Array,
) -> int:  # fmt: skip
    """Write hashes, starts and ends of the words as ``find_words`` does, where every character becomes one.

    Return how many words there are, -1 where a character becomes none or several or is a word by itself. There is room
    for a word more. No branch depends on where words end, which no processor foretells. A hash is the difference of two
    sums over the text; ``rising`` and ``falling`` are the powers of the base and of its inverse.
    """
    begun, ended, inside, total = np.int64(0), np.int64(0), np.int64(0), np.uint64(0)
    for index in range(len(raw)):
        folded = single[raw[index]]
        if folded >= spaceless and (folded == moved or alone[folded]):
            return -1
        is_letter = np.int64(folded != 0)
        starts[begun], hashes[begun], ends[ended], sums[ended] = index, total, index, total
        begun += is_letter & (inside ^ 1)
        ended += inside & (is_letter ^ 1)
        total += np.uint64(folded) * rising[index]
        inside = is_letter
    if inside:
        ends[ended], sums[ended] = len(raw), total
    for word in range(begun):
        hashes[word] = mix((sums[word] - hashes[word]) * falling[starts[word]])
    return int(begun)


@compiled
def find_words(
    raw: Array, single: Array, first: Array, count: Array, spelled: Array, alone: Array, base: Any, moved: Any,
    spaceless: Any, hashes: Array, starts: Array, ends: Array,
) -> int:  # fmt: skip
    """Write hashes, starts and ends of the words, as far as there is room, and return how many words there are."""
    found, room, inside, index = 0, len(hashes), False, 0
    value, power, begin, end = np.uint64(0), np.uint64(1), 0, 0
    while index < len(raw):
        folded = single[raw[index]]
        while index < len(raw) and folded != 0 and folded != moved and (folded < spaceless or not alone[folded]):
            if not inside:
                inside, begin, value, power = True, index, np.uint64(0), np.uint64(1)
            value += np.uint64(folded) * power
            power *= base
            index += 1
            end = index
            folded = single[raw[min(index, len(raw) - 1)]]
        if index == len(raw):
            break
        spell = folded == moved
        for turn in range(count[raw[index]] if spell else 1):
            if spell:
                folded = spelled[first[raw[index]] + turn]
            single_word = folded != 0 and alone[folded]
            if inside and (folded == 0 or single_word):
                inside = False
                if found < room:
                    hashes[found], starts[found], ends[found] = mix(value), begin, end
                found += 1
            if single_word:
                if found < room:
                    hashes[found], starts[found], ends[found] = mix(np.uint64(folded)), index, index + 1
                found += 1
            elif folded != 0:
                if not inside:
                    inside, begin, value, power = True, index, np.uint64(0), np.uint64(1)
                value += np.uint64(folded) * power
                power *= base
                end = index + 1
        index += 1
    if inside:
        if found < room:
            hashes[found], starts[found], ends[found] = mix(value), begin, end
        found += 1
    return found
