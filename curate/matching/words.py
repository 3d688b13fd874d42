"""Words of many documents at once, as 64-bit hashes with their places, whatever the case, accents and punctuation.

Two texts give the same words when they differ in nothing but letter case, white space, punctuation, accents, and forms
that Unicode calls compatible (full-width letters, ligatures): each code point is decomposed (NFKD), case-folded, and
loses its combining marks; what is then no letter, digit or vowel sign separates words. Digits stay. In scripts that are
written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Myanmar) every character is a word of its own.

All documents of a batch go through NumPy together; there is no loop over words or characters. A word's hash is a
polynomial of its code points over 2^64, read off prefix sums, then mixed by the finaliser of MurmurHash3.
"""

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

NOTHING = (np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
BATCH = 64_000  # characters that are worked on at a time: a few megabytes of arrays
SEPARATOR = 0
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
INVERSE = pow(BASE, -1, 1 << 64)
JOIN = np.uint64(0xD1342543DE82EF95)  # an odd multiplier that sets the places in a shingle apart
COMPLEX = 0xFFFFFFFF  # stands for code points that become none or several

# Blocks of scripts without spaces between words (Unicode 16, Blocks.txt).
SPACELESS = (
    (0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x31F0, 0x3200), (0x3400, 0x4DC0),
    (0x4E00, 0xA000), (0xA9E0, 0xAA00), (0xAA60, 0xAA80), (0xF900, 0xFB00), (0x1B000, 0x1B170), (0x20000, 0x33480),
)  # fmt: skip
ASSIGNED = ((0, 0x3347A), (0xE0000, 0xE0200))  # outside lie private and unassigned code points: separators


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The words of a batch of documents, in order."""

    hashes: Array
    """uint64, one a word."""
    starts: Array
    """int64: the place of a word's first character in its own document."""
    ends: Array
    """int64: the place behind a word's last character in its own document."""
    offsets: Array
    """int64, one more than documents: the words of document d are those from offsets[d] to offsets[d + 1]."""

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def counts(self) -> Array:
        """Words of each document."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True, eq=False)
class Folding:
    """What becomes of each code point, as tables over all of them."""

    single: Array
    """uint32: the one code point that it becomes, SEPARATOR, or COMPLEX."""
    first: Array
    """int32: where its code points begin in ``spelled``."""
    count: Array
    """uint8: how many there are; 0 for marks, which vanish."""
    spelled: Array
    """uint32: the code points, one after the other."""
    alone: Array
    """bool: whether a code point is a word of its own."""


def split_words(texts: Sequence[str]) -> Words:
    """The words of each text. An empty text, or one of punctuation alone, has none.

    A text is worked on in pieces that fit the processor's cache, cut at white space; a word is never cut.
    """
    pieces = [(number, base, piece) for number, text in enumerate(texts) for base, piece in cut_pieces(text)]
    counts = np.zeros(len(texts), np.int64)
    found: list[tuple[Array, Array, Array]] = []
    first = size = 0
    for place, (_, _, piece) in enumerate(pieces):
        size += len(piece) + 1
        if size >= BATCH or place == len(pieces) - 1:
            found.append(split_batch(pieces[first : place + 1], counts))
            first, size = place + 1, 0
    hashes, starts, ends = (np.concatenate(parts) for parts in zip(*found, strict=True)) if found else NOTHING
    return Words(hashes, starts, ends, np.concatenate([[0], np.cumsum(counts)]))


def cut_pieces(text: str) -> Iterator[tuple[int, str]]:
    """Pieces of about BATCH characters with their places; whole where no space or line end shows where to cut."""
    begin = 0
    while len(text) - begin > 2 * BATCH:
        end = max(text.rfind(" ", begin, begin + BATCH), text.rfind("\n", begin, begin + BATCH))
        if end <= begin:
            later = [place for place in (text.find(" ", begin + 1), text.find("\n", begin + 1)) if place > 0]
            if not later:
                break
            end = min(later)
        yield begin, text[begin:end]
        begin = end
    yield begin, text[begin:]


def split_batch(pieces: Sequence[tuple[int, int, str]], counts: Array) -> tuple[Array, Array, Array]:
    """Hashes, starts and ends of the words of some pieces of texts; ``counts`` grows by the words of each text."""
    joined = "\n".join([piece for _, _, piece in pieces])
    lengths = np.fromiter((len(piece) for _, _, piece in pieces), np.int64, len(pieces))
    begins = np.concatenate([[0], np.cumsum(lengths + 1)])
    points, origin = fold_text(joined)
    first, last = find_boundaries(points, joined.isascii())
    hashes = mix(hash_spans(points, first, last))
    starts, ends = (first, last + 1) if origin is None else (origin[first], origin[last] + 1)
    offsets = np.searchsorted(starts, begins)
    many = np.diff(offsets)
    np.add.at(counts, [number for number, _, _ in pieces], many)
    shift = np.repeat(begins[:-1] - np.array([base for _, base, _ in pieces], np.int64), many)
    return hashes, starts - shift, ends - shift


def fold_text(text: str) -> tuple[Array, Array | None]:
    """Folded code points, SEPARATOR between words; and the place each comes from where places have moved."""
    table = folding()
    if text.isascii():
        return table.single[:128][np.frombuffer(text.encode("ascii"), np.uint8)], None
    raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    points = table.single[raw]
    if not (points == COMPLEX).any():
        return points, None
    count = table.count[raw].astype(np.int64)
    origin = np.repeat(np.arange(len(raw)), count)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(count) - count, count)
    return table.spelled[table.first[raw][origin] + within], origin


def find_boundaries(points: Array, ascii_only: bool) -> tuple[Array, Array]:
    """The places of the first and the last code point of each word."""
    inside = np.zeros(len(points) + 2, bool)
    np.not_equal(points, SEPARATOR, out=inside[1:-1])
    begins, ends = inside[1:-1] & ~inside[:-2], inside[1:-1] & ~inside[2:]
    if not ascii_only:
        alone = folding().alone[points]
        if alone.any():
            neighbour = np.zeros(len(points) + 2, bool)
            neighbour[1:-1] = alone
            begins |= inside[1:-1] & (alone | neighbour[:-2])
            ends |= inside[1:-1] & (alone | neighbour[2:])
    return np.flatnonzero(begins), np.flatnonzero(ends)


def hash_spans(points: Array, first: Array, last: Array) -> Array:
    """Σ points[j] · BASE^(j − first) over each span, modulo 2^64."""
    if not len(first):
        return np.zeros(0, np.uint64)
    rising, falling = list_powers(len(points))
    sums = np.multiply(points, rising[: len(points)], dtype=np.uint64)
    np.cumsum(sums, out=sums)
    before = np.where(first > 0, sums[first - 1], np.uint64(0))
    return (sums[last] - before) * falling[first]


_powers: list[Array] = []


def list_powers(count: int) -> tuple[Array, Array]:
    """BASE^j and BASE^−j modulo 2^64 for j from 0 to at least count."""
    if not _powers or len(_powers[0]) < count:
        size = max(count, 1 << 20)
        _powers[:] = [accumulate_product(BASE, size), accumulate_product(INVERSE, size)]
    return _powers[0], _powers[1]


def accumulate_product(base: int, size: int) -> Array:
    steps = np.full(size, base, np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


def mix(values: Array) -> Array:
    """The finaliser of MurmurHash3 for 64 bits (Appleby, public domain): a bijection that spreads every bit."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def shingle(hashes: Array, size: int) -> Array:
    """The hash of the ``size`` words from each place on, as uint64; the last size − 1 places have none.

    Of words of several documents, those shingles that begin within ``size − 1`` words of a document's end reach into
    the next one: leave them out (``inner``).
    """
    count = len(hashes) - size + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    value = hashes[:count].copy()
    for place in range(1, size):
        value *= JOIN
        value += hashes[place : place + count]
    return mix(value)


def inner(offsets: Array, size: int, count: int) -> Array:
    """Whether the shingle at each of the first ``count`` places lies within one document (``Words.offsets``)."""
    mask = np.ones(count, bool)
    for back in range(1, size):
        late = offsets[1:] - back
        late = late[(late >= offsets[:-1]) & (late < count)]
        mask[late] = False
    return mask


@lru_cache(maxsize=1)
def folding() -> Folding:
    """The tables, made once from the Unicode data of this Python."""
    size = sys.maxunicode + 1
    single, first = np.zeros(size, np.uint32), np.zeros(size, np.int32)
    count, alone = np.ones(size, np.uint8), np.zeros(size, bool)
    spelled: list[int] = [SEPARATOR]
    for begin, end in ASSIGNED:
        for point in range(begin, end):
            found = fold_point(chr(point))
            if len(found) == 1:
                single[point] = found[0]
            else:
                single[point] = COMPLEX
            if found != [SEPARATOR]:
                first[point], count[point] = len(spelled), len(found)
                spelled += found
    for begin, end in SPACELESS:
        alone[begin:end] = True
    return Folding(single, first, count, np.array(spelled, np.uint32), alone)


def fold_point(char: str) -> list[int]:
    """What one character becomes: its letters, [SEPARATOR], or nothing."""
    if unicodedata.category(char) in ("Cf", "Mn", "Me") and (unicodedata.combining(char) or is_invisible(char)):
        return []
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    kept = [ord(one) if is_letter(one) else SEPARATOR for one in plain if not unicodedata.combining(one)]
    return [SEPARATOR] if not any(kept) else kept


def is_invisible(char: str) -> bool:
    """Invisible characters that stand within words: soft hyphen, joiners, variation selectors, byte order mark."""
    return (
        char in "\xad\u034f\u061c\u180e\u200c\u200d\u2060\ufeff"
        or unicodedata.category(char) == "Me"
        or ("\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef")
    )


def is_letter(char: str) -> bool:
    """Letters, digits and other numbers, and the marks that spell vowels."""
    return unicodedata.category(char)[0] in "LNM"
