"""Words of many documents at once, as 64-bit hashes with their positions, blind to case, accents and punctuation.

Two texts give the same words when they differ only in letter case, white space, punctuation, accents, and forms that
Unicode calls compatible (full-width letters, ligatures): each code point is decomposed (NFKD), case-folded, and loses
its combining marks; code points that are then not letters, digits or vowel signs separate words. Digits stay. In
scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Myanmar) every character is a word.

All documents of a batch go through NumPy together; there is no loop over words or characters. A word's hash is a
polynomial of its code points over 2^64, read off prefix sums, then mixed by the finaliser of MurmurHash3.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.matching import numba_kernels, numba_words
from curate.runtime.arrays import BoolArray, Int32Array, Int64Array, UInt8Array, UInt32Array, UInt64Array

NOTHING = (np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
BATCH = 64_000  # characters processed at a time: a few megabytes of arrays
SEPARATOR = 0
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
INVERSE = pow(BASE, -1, 1 << 64)
JOIN = np.uint64(0xD1342543DE82EF95)  # an odd multiplier that separates the positions in a shingle
DOTLESS = "\u0131"  # the Turkish small letter whose capital is I, as that of i is elsewhere
COMPLEX = 0xFFFFFFFF  # marks code points that become none or several

Fold = Callable[[str], tuple[UInt32Array, Int64Array | None]]
"""Turns a text into folded code points, and the index of the character that each comes from (None: its own)."""
Bound = Callable[[UInt32Array, bool], tuple[Int64Array, Int64Array]]
"""Finds the first and the last of the folded code points of each word; True for a text in ASCII."""

# Blocks of scripts without spaces between words (Unicode 16, Blocks.txt).
SPACELESS = (
    (0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x31F0, 0x3200), (0x3400, 0x4DC0),
    (0x4E00, 0xA000), (0xA9E0, 0xAA00), (0xAA60, 0xAA80), (0xF900, 0xFB00), (0x1B000, 0x1B170), (0x20000, 0x33480),
)  # fmt: skip
ASSIGNED = ((0, 0x3347A), (0xE0000, 0xE0200))  # private and unassigned code points are outside: separators


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The words of a batch of documents, in order."""

    hashes: UInt64Array
    """One for each word."""
    starts: Int64Array
    """Index of each word's first character in its document."""
    ends: Int64Array
    """Index after each word's last character in its document."""
    offsets: Int64Array
    """Of length documents + 1: document d has the words in [offsets[d], offsets[d + 1])."""

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def counts(self) -> Int64Array:
        """Number of words of each document."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True, eq=False)
class Folding:
    """What each code point becomes, as tables over all code points."""

    single: UInt32Array
    """The one code point that it becomes, SEPARATOR, or COMPLEX."""
    first: Int32Array
    """Index of its first code point in ``spelled``."""
    count: UInt8Array
    """Number of its code points there; 0 for marks, which are dropped."""
    spelled: UInt32Array
    """The code points of all, one after the other."""
    alone: BoolArray
    """Whether the code point is a word by the rule of its script."""


def split_words(texts: Sequence[str], fold: Fold | None = None, bound: Bound | None = None) -> Words:
    """Return the words of all texts. An empty text, or one of punctuation only, has none.

    Each text is processed in pieces that fit the processor's cache, cut at white space, never within a word. ``fold``
    and ``bound`` are ``fold_text`` and ``find_boundaries``, or their counterparts of other rules.
    """
    pieces = [(number, base, piece) for number, text in enumerate(texts) for base, piece in cut_pieces(text)]
    counts = np.zeros(len(texts), np.int64)
    batches: list[tuple[UInt64Array, Int64Array, Int64Array]] = []
    first = size = 0
    for index, (_, _, piece) in enumerate(pieces):
        size += len(piece) + 1
        if size >= BATCH or index == len(pieces) - 1:
            batches.append(split_batch(pieces[first : index + 1], counts, fold or fold_text, bound or find_boundaries))
            first, size = index + 1, 0
    hashes, starts, ends = (np.concatenate(parts) for parts in zip(*batches, strict=True)) if batches else NOTHING
    return Words(hashes, starts, ends, np.concatenate([[0], np.cumsum(counts)]))


def cut_pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield pieces of about BATCH characters with their start; a text without spaces and line ends is one piece."""
    begin = 0
    while len(text) - begin > 2 * BATCH:
        end = max(text.rfind(" ", begin, begin + BATCH), text.rfind("\n", begin, begin + BATCH))
        if end <= begin:
            later = [index for index in (text.find(" ", begin + 1), text.find("\n", begin + 1)) if index > 0]
            if not later:
                break
            end = min(later)
        yield begin, text[begin:end]
        begin = end
    yield begin, text[begin:]


def split_batch(
    pieces: Sequence[tuple[int, int, str]], counts: Int64Array, fold: Fold, bound: Bound
) -> tuple[UInt64Array, Int64Array, Int64Array]:
    """Return hashes, starts and ends of the words of pieces (text, start, characters); add to ``counts`` of texts."""
    joined = "\n".join([piece for _, _, piece in pieces])
    lengths = np.fromiter((len(piece) for _, _, piece in pieces), np.int64, len(pieces))
    begins = np.concatenate([[0], np.cumsum(lengths + 1)])
    hashes, starts, ends = find_words(joined, fold, bound)
    offsets = np.searchsorted(starts, begins)
    many = np.diff(offsets)
    np.add.at(counts, [number for number, _, _ in pieces], many)
    shift = np.repeat(begins[:-1] - np.array([base for _, base, _ in pieces], np.int64), many)
    return hashes, starts - shift, ends - shift


def find_words(text: str, fold: Fold, bound: Bound) -> tuple[UInt64Array, Int64Array, Int64Array]:
    """Return hash, first character and end of each word of a text, in one compiled pass where that pays."""
    compiled = fold is fold_text and bound is find_boundaries and len(text) >= numba_words.LEAST_CHARACTERS
    if compiled and numba_kernels.is_numba_available():
        return numba_words.find_words(text, load_folding(), BASE, COMPLEX)
    points, origin = fold(text)
    first, last = bound(points, text.isascii())
    hashes = mix_bits(hash_spans(points, first, last))
    return (hashes, first, last + 1) if origin is None else (hashes, origin[first], origin[last] + 1)


def fold_text(text: str, folding: Folding | None = None) -> tuple[UInt32Array, Int64Array | None]:
    """Return the folded code points, SEPARATOR between words, and the character of each where they have moved."""
    table = folding or load_folding()
    if text.isascii():
        return table.single[:128][np.frombuffer(text.encode("ascii"), np.uint8)], None
    raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    points = table.single[raw]
    if not (points == COMPLEX).any():
        return points, None
    spots = np.flatnonzero(points == COMPLEX)  # few, so that only these are spelled
    counts = table.count[raw[spots]].astype(np.int64)
    repeats = np.ones(len(raw), np.int64)
    repeats[spots] = counts
    origin = np.repeat(np.arange(len(raw)), repeats)
    before = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(before, counts)
    points = points[origin]
    points[np.repeat(spots - np.arange(len(spots)) + before, counts) + within] = table.spelled[
        np.repeat(table.first[raw[spots]], counts) + within
    ]
    return points, origin


def find_boundaries(points: UInt32Array, ascii_only: bool) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the first and of the last code point of each word."""
    inside = np.zeros(len(points) + 2, bool)
    np.not_equal(points, SEPARATOR, out=inside[1:-1])
    begins, ends = inside[1:-1] & ~inside[:-2], inside[1:-1] & ~inside[2:]
    if not ascii_only:
        alone = load_folding().alone[points]
        if alone.any():
            neighbour = np.zeros(len(points) + 2, bool)
            neighbour[1:-1] = alone
            begins |= inside[1:-1] & (alone | neighbour[:-2])
            ends |= inside[1:-1] & (alone | neighbour[2:])
    return np.flatnonzero(begins), np.flatnonzero(ends)


def hash_spans(points: UInt32Array | UInt64Array, first: Int64Array, last: Int64Array) -> UInt64Array:
    """Return Σ points[j] · BASE^(j − first) modulo 2^64 over each span, ``last`` included."""
    if not len(first):
        return np.zeros(0, np.uint64)
    rising, falling = list_powers(len(points))
    sums = np.multiply(points, rising[: len(points)], dtype=np.uint64)
    np.cumsum(sums, out=sums)
    before = np.where(first > 0, sums[first - 1], np.uint64(0))
    return (sums[last] - before) * falling[first]


_powers: list[UInt64Array] = []


def list_powers(count: int) -> tuple[UInt64Array, UInt64Array]:
    """Return BASE^j and BASE^−j modulo 2^64 for j in [0, count) or more. Kept for the next call."""
    if not _powers or len(_powers[0]) < count:
        size = max(count, 1 << 20)
        _powers[:] = [accumulate_product(BASE, size), accumulate_product(INVERSE, size)]
    return _powers[0], _powers[1]


def accumulate_product(base: int, size: int) -> UInt64Array:
    """Return base^j modulo 2^64 for j in [0, size)."""
    steps = np.full(size, base, np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


def mix_bits(values: UInt64Array) -> UInt64Array:
    """Return the values after MurmurHash3's finaliser for 64 bits (Appleby, public domain): a bijection."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def hash_shingles(hashes: UInt64Array, size: int) -> UInt64Array:
    """Return the hash of ``size`` words from each word on; the last size − 1 words have none.

    Shingles that begin within the last size − 1 words of a document reach into the next one: ``mark_inner_shingles``
    finds them.
    """
    count = len(hashes) - size + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    value = hashes[:count].copy()
    for offset in range(1, size):
        value *= JOIN
        value += hashes[offset : offset + count]
    return mix_bits(value)


def mark_inner_shingles(offsets: Int64Array, size: int, count: int) -> BoolArray:
    """Return whether each of the first ``count`` shingles lies within one document (``Words.offsets``)."""
    mask = np.ones(count, bool)
    for back in range(1, size):
        late = offsets[1:] - back
        late = late[(late >= offsets[:-1]) & (late < count)]
        mask[late] = False
    return mask


@lru_cache(maxsize=1)
def load_folding() -> Folding:
    """Return the tables, made once a process from the Unicode data of this Python."""
    size = sys.maxunicode + 1
    single, first = np.zeros(size, np.uint32), np.zeros(size, np.int32)
    count, alone = np.ones(size, np.uint8), np.zeros(size, bool)
    spelled: list[int] = [SEPARATOR]
    for begin, end in ASSIGNED:
        for point in range(begin, end):
            folded = fold_point(chr(point))
            if len(folded) == 1:
                single[point] = folded[0]
            else:
                single[point] = COMPLEX
            if folded != [SEPARATOR]:
                first[point], count[point] = len(spelled), len(folded)
                spelled += folded
    for begin, end in SPACELESS:
        alone[begin:end] = True
    return Folding(single, first, count, np.array(spelled, np.uint32), alone)


def fold_point(char: str) -> list[int]:
    """Return what one character becomes: the code points of its letters, [SEPARATOR], or an empty list."""
    if is_plain_letter(char):
        return [ord(char)]
    if unicodedata.category(char) in ("Cf", "Mn", "Me") and (unicodedata.combining(char) or is_invisible(char)):
        return []
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()).replace(DOTLESS, "i")
    kept = [ord(letter) if is_letter(letter) else SEPARATOR for letter in plain if not unicodedata.combining(letter)]
    return [SEPARATOR] if not any(kept) else kept


def is_plain_letter(char: str) -> bool:
    """Return whether a character is a letter without case and decomposition, as those of Chinese are: most are."""
    return unicodedata.category(char) == "Lo" and not unicodedata.decomposition(char) and not "가" <= char <= "힣"


def is_invisible(char: str) -> bool:
    """Return whether a character is invisible in words: soft hyphen, joiner, variation selector, byte order mark."""
    return (
        char in "\xad\u034f\u061c\u180e\u200c\u200d\u2060\ufeff"
        or unicodedata.category(char) == "Me"
        or ("\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef")
    )


def is_letter(char: str) -> bool:
    """Return whether a character is a letter, a digit or another number, or a mark that spells a vowel."""
    return unicodedata.category(char)[0] in "LNM"
