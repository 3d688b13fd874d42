"""Source code as tokens whose identifiers are normalised, so that a copy is found whatever its names and its layout.

A token is a word, a number, a string or an operator. Keywords, built-in functions that are called, attributes
(``.append``), numbers and strings keep their spelling; every other name becomes the same token. Brackets that only
group, commas, colons and line ends are no tokens, since formatters move them; what ``code_cleaning`` blanks is not seen
either. One set of rules for all languages and for code that no parser reads, in NumPy over many documents at once: the
standard library's ``tokenize`` reads Python that parses, Pygments has a quarter of the speed and asks for the language.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.matching import numba_code, numba_kernels, numba_words, words
from curate.matching.code_cleaning import ESCAPED_SPACES, PRIVATE, SLICE, STRING, clean_code, uncover_code
from curate.matching.code_words import list_functions, list_keywords
from curate.runtime.arrays import BoolArray, Int64Array, UInt8Array, UInt32Array, UInt64Array

IDENTIFIER = np.uint64(0x1D)
"""The token of every name."""
ATTRIBUTE = np.uint64(0xA5B35705F00D1EAF)
"""Separates attributes from built-in names of the same spelling."""
NAME, FIXED, OPERATOR, LITERAL = 0, 1, 2, 3
"""Kinds of tokens: a normalised name; a keyword, built-in name or attribute; an operator; a number or a string."""
SKIP, WORD, SIGN = 0, 1, 2
PROMPT = ">>> "
"""Of an interpreter, at the beginning of a line."""
MARKED = "+>|"
"""Marks of a diff, a quotation and a table at the beginning of a line."""
SIGNS = "=<>!+-*/%&|^~[?" + SLICE
PAIRED = "=<>&|*/"
"""Signs of which two make one operator."""
ASSIGNING = "=<>!+-*/%&|^"
"""Signs that make one operator with = behind them."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeTokens:
    """The tokens of a batch of documents, in order. T tokens, D documents."""

    hashes: UInt64Array
    """Of shape (T,)."""
    names: UInt64Array
    """Of shape (T,): the hash of the spelling of a NAME, else 0."""
    kinds: UInt8Array
    """Of shape (T,): NAME, FIXED, OPERATOR or LITERAL."""
    starts: Int64Array
    """Index of each token's first character in its document."""
    ends: Int64Array
    """Index after each token's last character in its document."""
    offsets: Int64Array
    """Of shape (D + 1,): document d has the tokens in [offsets[d], offsets[d + 1])."""

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True, slots=True, eq=False)
class _CharTables:
    """What the characters below 0x10000 are, by code point."""

    kinds: UInt8Array
    paired: BoolArray
    assigning: BoolArray


@lru_cache(maxsize=1)
def load_char_tables() -> _CharTables:
    """Return the tables, made once a process."""
    kinds = np.zeros(0x10000, np.uint8)
    for point in range(0x10000):
        char = chr(point)
        kinds[point] = WORD if char.isalnum() or char == "_" else SKIP
    kinds[STRING : STRING + PRIVATE] = WORD
    kinds[[ord(sign) for sign in SIGNS]] = SIGN
    paired, assigning = np.zeros(0x10000, bool), np.zeros(0x10000, bool)
    paired[[ord(sign) for sign in PAIRED]] = True
    assigning[[ord(sign) for sign in ASSIGNING]] = True
    return _CharTables(kinds, paired, assigning)


@lru_cache(maxsize=2)
def hash_known(called: bool) -> UInt64Array:
    """Return the hashes of the built-in functions (``called``) or of the keywords, ascending."""
    known = list_functions() if called else list_keywords()
    points = np.frombuffer(" ".join(known).encode("utf-32-le"), np.uint32)
    ends = np.cumsum([len(word) + 1 for word in known]) - 1
    firsts = np.concatenate([[0], ends[:-1] + 1])
    return np.sort(words.mix_bits(words.hash_spans(points, firsts, ends - 1)))


def split_code(texts: Sequence[str]) -> CodeTokens:
    """Return the tokens of some texts, as the module says. A text without code may have tokens too."""
    return split_cleaned([clean_code(text) for text in texts])


def split_uncovered(texts: Sequence[str]) -> CodeTokens:
    """Return the tokens of some texts as ``uncover_code`` leaves them, a rough likeness of those of ``split_code``."""
    return split_cleaned([uncover_code(text) for text in texts], True)


def split_cleaned(cleaned: Sequence[str], commented: bool = False) -> CodeTokens:
    """Return the tokens of texts without what is no code, or with comments, marks and escapes (``blank_comments``)."""
    begins = np.concatenate([[0], np.cumsum([len(text) + 1 for text in cleaned])]).astype(np.int64)
    raw = np.frombuffer("\n".join([*cleaned, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
    points = np.where(raw < 0x10000, raw, 0x20).astype(np.uint32)
    compiled = len(points) >= numba_words.LEAST_CHARACTERS and numba_kernels.is_numba_available()
    if commented:
        blank_comments(points, compiled)
    firsts, lasts, hashes, names, kinds = find_tokens(points, compiled)
    offsets = np.searchsorted(firsts, begins)
    shift = np.repeat(begins[:-1], np.diff(offsets))
    return CodeTokens(hashes, names, kinds, firsts - shift, lasts + 1 - shift, offsets)


def find_tokens(
    points: UInt32Array, compiled: bool
) -> tuple[Int64Array, Int64Array, UInt64Array, UInt64Array, UInt8Array]:
    """Return first and last character, hash, name and kind of each token, by numba or by its twin in NumPy."""
    if not compiled:
        firsts, lasts = find_token_bounds(points)
        spelled = words.mix_bits(words.hash_spans(points, firsts, lasts)) if len(firsts) else np.zeros(0, np.uint64)
        return firsts, lasts, *normalise(points, firsts, lasts, spelled)
    tables = load_char_tables()
    found = numba_code.find_tokens(points, tables.kinds, tables.paired, tables.assigning, words.BASE)
    known = (load_word_table(False), load_word_table(True))
    return found[0], found[1], *numba_code.normalise(points, tables.kinds, found, known, (IDENTIFIER, ATTRIBUTE))


def blank_comments(points: UInt32Array, compiled: bool) -> None:
    """Make blanks of comments behind #, of marks before lines, and of escaped line ends and tabs, in place.

    By numba or by its twin in NumPy.
    """
    letters = [escape[1] for escape in ESCAPED_SPACES]
    codes = [np.array([ord(char) for char in chars], np.uint32) for chars in (letters, MARKED)]
    spelled = np.array([ord(spaces[1]) for spaces in ESCAPED_SPACES.values()], np.uint32)
    if compiled:
        numba_code.blank_comments(points, codes[0], spelled, codes[1])
        return
    for letter, char in zip(codes[0], spelled, strict=True):
        at = np.flatnonzero((points[:-1] == ord("\\")) & (points[1:] == letter))
        points[at], points[at + 1] = ord(" "), char
    line_ends = np.flatnonzero(points == ord("\n"))
    starts = np.append(0, line_ends + 1)
    starts = starts[starts < len(points)]
    visible = np.append(np.flatnonzero(points != ord(" ")), len(points))
    for first in visible[np.searchsorted(visible, starts)].tolist():
        if points[first : first + 4].tolist() == [ord(char) for char in PROMPT]:
            points[first : first + 3] = ord(" ")
    marked = starts[np.isin(points[starts], codes[1])]
    after = points[np.minimum(marked + 1, len(points) - 1)]
    points[marked[~np.isin(after, np.append(codes[1], np.uint32(ord("="))))]] = ord(" ")
    signs = np.flatnonzero(points == ord("#"))
    lines, first = np.unique(np.searchsorted(line_ends, signs), return_index=True)
    change = np.zeros(len(points) + 1, np.int8)
    change[signs[first]] = 1
    change[np.append(line_ends, len(points))[lines]] -= 1
    points[np.cumsum(change[:-1]) > 0] = ord(" ")


@lru_cache(maxsize=2)
def load_word_table(called: bool) -> UInt64Array:
    """Return the hash table of ``hash_known`` (``numba_code.make_word_table``)."""
    return numba_code.make_word_table(hash_known(called))


def find_token_bounds(points: UInt32Array) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the first and of the last character of each token, given code points below 0x10000."""
    tables = load_char_tables()
    kinds = tables.kinds[points]
    before = np.zeros(len(points), np.uint8)
    before[1:] = kinds[:-1]
    word, sign = kinds == WORD, kinds == SIGN
    joins = np.zeros(len(points), bool)
    if len(points):
        same = tables.paired[points[1:]] & (points[1:] == points[:-1])
        joins[1:] = sign[1:] & sign[:-1] & (same | ((points[1:] == ord("=")) & tables.assigning[points[:-1]]))
    string = is_private(points)
    changes = np.zeros(len(points), bool)
    changes[1:] = string[1:] != string[:-1]
    begins = (word & ((before != WORD) | changes)) | (sign & ~joins)
    firsts = np.flatnonzero(begins)
    inside = word | sign
    ends = np.zeros(len(points), bool)
    ends[:-1] = inside[:-1] & (begins[1:] | ~inside[1:])
    ends[-1:] = inside[-1:]
    return firsts, np.flatnonzero(ends)


def normalise(
    points: UInt32Array, firsts: Int64Array, lasts: Int64Array, spelled: UInt64Array
) -> tuple[UInt64Array, UInt64Array, UInt8Array]:
    """Return hash, name and kind of each token.

    Given are the code points, the first and the last character of each token, and the hashes of the spellings.
    """
    if not len(firsts):
        return spelled, spelled, np.zeros(0, np.uint8)
    first = points[firsts]
    literal = ((first >= ord("0")) & (first <= ord("9"))) | is_private(first)
    operator = load_char_tables().kinds[first] == SIGN
    attribute = (points[np.maximum(firsts - 1, 0)] == ord(".")) & (firsts > 0) & ~literal & ~operator
    called = points[find_next_visible(points, lasts)] == ord("(")
    known = is_among(spelled, hash_known(False)) | (called & is_among(spelled, hash_known(True)))
    name = ~(literal | operator | attribute | known)
    hashes = np.where(name, IDENTIFIER, np.where(attribute, spelled ^ ATTRIBUTE, spelled))
    kinds = np.full(len(firsts), FIXED, np.uint8)
    kinds[name], kinds[operator], kinds[literal] = NAME, OPERATOR, LITERAL
    return hashes, np.where(name, spelled, np.uint64(0)), kinds


def is_private(points: UInt32Array) -> BoolArray:
    """Return whether each code point is one of a string."""
    private: BoolArray = (points >= STRING) & (points < STRING + PRIVATE)
    return private


def is_among(hashes: UInt64Array, known: UInt64Array) -> BoolArray:
    """Return whether each hash is one of the ``known``, ascending ones."""
    same: BoolArray = known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes
    return same


def find_next_visible(points: UInt32Array, lasts: Int64Array) -> Int64Array:
    """Return the index of the next code point behind each that is no blank; the last index where there is none."""
    visible = np.flatnonzero(points != ord(" "))
    slots = np.searchsorted(visible, lasts, side="right")
    return np.append(visible, len(points) - 1)[slots]
