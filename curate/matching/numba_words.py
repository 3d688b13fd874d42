"""Words found and hashed in one pass over the characters, compiled by numba where it is installed (the extra ``fast``).

The twin of ``words.fold_text``, ``words.find_boundaries`` and ``words.hash_spans``, which gives the same words. A test
holds the two to each other.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.runtime.arrays import Array, Int64Array, UInt8Array, UInt32Array, UInt64Array

if TYPE_CHECKING:
    from curate.matching.words import Folding

LEAST_CHARACTERS = 10_000
"""Characters from which on loading numba pays."""
SPACELESS = np.uint32(0x0E00)
"""Code points below it are no words by themselves (``words.SPACELESS``)."""
WORD_CHARACTERS = 4
"""Characters a word for which there is room at first."""


@lru_cache(maxsize=1)
def compile_mix() -> Callable[..., Any]:
    """Return the twin of ``words.mix_bits`` for one value."""
    import numba

    def mix(value: Any) -> Any:
        value ^= value >> np.uint64(33)
        value *= np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(33)
        value *= np.uint64(0xC4CEB9FE1A85EC53)
        return value ^ (value >> np.uint64(33))

    compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True, inline="always")(mix)
    return compiled


@lru_cache(maxsize=1)
def _compile_words() -> Callable[..., int]:
    import numba

    mix = compile_mix()

    def loop(
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

    compiled: Callable[..., int] = numba.njit(cache=True, nogil=True)(loop)
    return compiled


def find_words(text: str, folding: "Folding", base: int, moved: int) -> tuple[UInt64Array, Int64Array, Int64Array]:
    """Return hash, first character and end of each word of a text.

    ``base`` is that of ``words.hash_spans``, ``moved`` marks the code points of ``folding.single`` that are spelled
    by none or several.
    """
    ascii_only = text.isascii()
    raw: UInt8Array | UInt32Array
    if ascii_only:
        raw = np.frombuffer(text.encode("ascii"), np.uint8)
    else:
        raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    tables = (folding.single, folding.first, folding.count, folding.spelled, folding.alone)
    room = len(raw) // WORD_CHARACTERS + 64
    while True:
        hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
        count = _compile_words()(raw, *tables, np.uint64(base), np.uint32(moved), SPACELESS, hashes, starts, ends)
        if count <= room:
            return hashes[:count], starts[:count], ends[:count]
        room = count
