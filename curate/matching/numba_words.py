"""Words found and hashed in one pass over the characters, compiled by numba where it is installed (the extra ``fast``).

The twin of ``words.fold_text``, ``words.find_boundaries`` and ``words.hash_spans``, which gives the same words. A test
holds the two to each other.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curate.runtime.arrays import Int64Array, UInt8Array, UInt32Array, UInt64Array

if TYPE_CHECKING:
    from curate.matching.words import Folding

LEAST_CHARACTERS = 10_000
"""Characters from which on loading numba pays."""
SPACELESS = np.uint32(0x0E00)
"""Code points below it are no words by themselves (``words.SPACELESS``)."""
POWERS = 1 << 17
"""Powers of the base that are listed: characters of a text whose words are found in the fastest way."""
WORD_CHARACTERS = 4
"""Characters a word for which there is room at first."""


@lru_cache(maxsize=1)
def list_powers(base: int) -> tuple[UInt64Array, UInt64Array]:
    """Return the powers of an odd ``base`` and of its inverse modulo 2^64, POWERS of each, from the zeroth on."""
    steps = np.ones((2, POWERS), np.uint64)
    steps[0, 1:], steps[1, 1:] = base, pow(base, -1, 1 << 64)
    rising, falling = np.multiply.accumulate(steps, axis=1)
    return rising, falling


def find_words(text: str, folding: "Folding", base: int, moved: int) -> tuple[UInt64Array, Int64Array, Int64Array]:
    """Return hash, first character and end of each word of a text.

    ``base`` is that of ``words.hash_spans``, ``moved`` marks the code points of ``folding.single`` that are spelled
    by none or several.
    """
    from curate.matching.compiled import words

    ascii_only = text.isascii()
    raw: UInt8Array | UInt32Array
    if ascii_only:
        raw = np.frombuffer(text.encode("ascii"), np.uint8)
    else:
        raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if len(raw) <= POWERS:
        half = len(raw) // 2 + 2
        hashes, sums = np.empty(half, np.uint64), np.empty(half, np.uint64)
        starts, ends = np.empty(half, np.int64), np.empty(half, np.int64)
        plain = (folding.single, folding.alone, *list_powers(base), np.uint32(moved), SPACELESS)
        count = words.find_plain_words(raw, *plain, hashes, sums, starts, ends)
        if count >= 0:
            return hashes[:count], starts[:count], ends[:count]
    tables = (folding.single, folding.first, folding.count, folding.spelled, folding.alone)
    room = len(raw) // WORD_CHARACTERS + 64
    while True:
        hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
        count = words.find_words(raw, *tables, np.uint64(base), np.uint32(moved), SPACELESS, hashes, starts, ends)
        if count <= room:
            return hashes[:count], starts[:count], ends[:count]
        room = count
