"""Words of many documents at once as ``curate.matching.words`` has them, but with all that may carry meaning kept.

``words`` is made to find what was copied whatever its form; here two texts give the same words only where they say the
same. What makes no difference is letter case, white space and line ends, quotation marks, sentence punctuation, the
kind of a dash, Markdown's emphasis (``**bold**``), Unicode's canonical forms, widths and ligatures. All else does:

- Symbols (+ − < = > $ € % & # @ / \\ * ^ | ~, emoji, …), dashes and brackets are words of their own.
- Accents, tones, vowel signs and voicing marks belong to their letters: ``ma`` is not ``má``, か is not が.
- ``² ½ ① ℝ`` stay what they are, and ß is not ss.
- ``1.5``, ``a.b``, ``10:30``, ``1,5`` and ``can't`` are one word each: a full stop between two letters or digits, or
  before a digit, a colon between two letters or digits, a comma between two digits, an apostrophe between letters or
  behind a single one, and those that follow it (y', y'').
- A colon is a word before a symbol, between a symbol and a letter or digit, and where it is doubled (``:=``, ``x[1:]``,
  ``[:-1]``, ``a::b``); one full stop or two are before a symbol (``./a``, ``../a``, ``.*``).
- ``!`` and ``;`` are words before a letter, a digit or a symbol (``!x``, ``!=``), and behind a digit or a single letter
  (``5!``, ``n!``, ``[1; 2]``); ``!`` also behind a symbol (``(n + 1)!``).

In scripts without spaces every character is a word, with its marks.
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from curate.matching import words
from curate.matching.words import SEPARATOR, Folding, Words
from curate.runtime.arrays import BoolArray, Int64Array, UInt8Array, UInt32Array

RULES = "strict-2"
"""The name of these rules; another one for others, so that hashes of words are not compared across rules."""

# What a folded code point is. GLUED is never in the table: it is a mark of punctuation that its neighbours make a part
# of their word.
NOTHING, LETTER, DIGIT, MARK, ALONE, SYMBOL, GLUED = range(7)
STOP, JOINT, COMMA, APOSTROPHE, BANG, SEMICOLON = range(7, 13)
WEAK = STOP
"""The first kind whose neighbours decide whether it is a word."""

EMPHASIS = re.compile(r"\*(?<![\w*]\*)(\*{0,2}+)(?=[^\s*])([^*\n]++)(?<!\s)\*\1(?![\w*])")
VOICED = re.compile(".[\uff9e\uff9f]")
"""Half-width kana with a voicing mark, which is a character of its own there."""

FOLDED_TAGS = ("<wide>", "<narrow>", "<small>", "<vertical>", "<compat>", "<noBreak>", "<initial>", "<medial>",
               "<final>", "<isolated>")  # fmt: skip
"""Compatibility forms that differ from what they stand for in looks alone. Superscripts, fractions, circled and
mathematical letters are others."""
KINDS = {
    **dict.fromkeys("#%&@*/\\()[]{}_§¶‰‱٪‖·′″‴‵‶‷", SYMBOL),
    ".": STOP, ":": JOINT, "٫": COMMA, "٬": COMMA, ",": COMMA, "'": APOSTROPHE, "!": BANG, ";": SEMICOLON,
}  # fmt: skip
SPELLED = {"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "−": "-", "\u2044": "/", "\u2215": "/", "ς": "σ"}
"""Characters of one meaning, by the one that stands for them."""
QUIET_SYMBOLS = "`´¨¯¸˜˘˙˚˛˝"
"""Symbols of Unicode that are accents without a letter, or mark code in Markdown."""
TATWEEL = "\u0640"
TAGS = range(0xE0020, 0xE0080)
"""Tag characters, which spell the flag of a region."""


@dataclass(frozen=True, slots=True, eq=False)
class StrictFolding:
    """What each code point becomes, and of which kind each folded one is, as tables over all code points."""

    folding: Folding
    kinds: UInt8Array


def split_strict_words(texts: Sequence[str]) -> Words:
    """Return the words of all texts. An empty text, or one of sentence punctuation only, has none.

    Starts and ends count the characters of the text as ``prepare_text`` returns it.
    """
    return words.split_words([prepare_text(text) for text in texts], fold_strictly, find_strict_boundaries)


def mix_words(strict: Words, plain: Words, is_strict: BoolArray) -> Words:
    """Return the strict words of the documents that ``is_strict`` marks, and the plain words of the others.

    Both are of the same documents; ``is_strict`` has an entry for each.
    """
    counts = np.where(is_strict, strict.counts, plain.counts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    hashes = np.empty(offsets[-1], np.uint64)
    starts, ends = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    is_mine = np.repeat(is_strict, counts)
    for one, kept, mask in ((strict, is_strict, is_mine), (plain, ~is_strict, ~is_mine)):
        taken = np.repeat(kept, one.counts)
        hashes[mask], starts[mask], ends[mask] = one.hashes[taken], one.starts[taken], one.ends[taken]
    return Words(hashes, starts, ends, offsets)


def prepare_text(text: str) -> str:
    """Return the text composed (NFC), with half-width kana in full width, without Markdown's emphasis."""
    if not text.isascii():
        if "\uff9e" in text or "\uff9f" in text:
            text = VOICED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
        text = unicodedata.normalize("NFC", text)
    return EMPHASIS.sub(r"\2", text) if "*" in text else text


def fold_strictly(text: str) -> tuple[UInt32Array, Int64Array | None]:
    """Return the folded code points, as ``words.fold_text`` does, with the punctuation that may carry meaning."""
    return words.fold_text(text, load_strict_folding().folding)


def find_strict_boundaries(points: UInt32Array, ascii_only: bool) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the first and of the last code point of each word."""
    kinds = np.empty(len(points) + 4, np.uint8)
    kinds[:2] = kinds[-2:] = NOTHING
    kinds[2:-2] = load_strict_folding().kinds[points]
    if (kinds >= WEAK).any():
        resolve_punctuation(kinds)
    here, before = kinds[2:-2], kinds[1:-3]
    if not ascii_only and (here == MARK).any():  # a mark is of the kind of what it stands on
        index = np.arange(len(kinds))
        based = kinds[np.maximum.accumulate(np.where(kinds != MARK, index, 0))]
        before = based[1:-3]
    inside = here != NOTHING
    apart = (before == NOTHING) | (before == SYMBOL) | (before == ALONE)
    begins = inside & ((here == SYMBOL) | (here == ALONE) | (apart & (here != MARK)))
    if not ascii_only:
        begins |= (here == MARK) & (kinds[1:-3] == NOTHING)
    ends = inside.copy()
    ends[:-1] &= ~inside[1:] | begins[1:]
    return np.flatnonzero(begins), np.flatnonzero(ends)


def resolve_punctuation(kinds: UInt8Array) -> None:
    """Replace the weak kinds by GLUED, SYMBOL or NOTHING, as their neighbours decide.

    ``kinds`` has two entries before the first code point and two behind the last, all NOTHING. Changed in place.
    """
    at = np.flatnonzero(kinds >= WEAK)
    here, after, before, earlier, later = (kinds[at + step] for step in (0, 1, -1, -2, 2))
    inner, opened = is_lettered(after), is_lettered(before)
    single = ((before == LETTER) | (before == MARK)) & ~is_lettered(earlier)
    glued = (here == STOP) & inner & (opened | (after == DIGIT))
    glued |= (here == JOINT) & inner & opened
    glued |= (here == COMMA) & (before == DIGIT) & (after == DIGIT)
    glued |= (here == APOSTROPHE) & opened & (inner | (single & (earlier != APOSTROPHE)))
    loud = (here >= BANG) & (inner | (after == SYMBOL) | (before == DIGIT) | single)
    loud |= (here == BANG) & (before == SYMBOL)
    loud |= (here == JOINT) & ((after == SYMBOL) | ((before == SYMBOL) & inner))
    loud |= (here == JOINT) & ((before == JOINT) | (after == JOINT))
    loud |= (here == STOP) & (before == NOTHING) & ((after == SYMBOL) | ((after == STOP) & (later == SYMBOL)))
    loud |= (here == STOP) & (before == STOP) & (earlier == NOTHING) & (after == SYMBOL)
    glue_primes(glued, at, here)
    kinds[at] = np.where(glued, GLUED, np.where(loud, SYMBOL, NOTHING))


def glue_primes(glued: BoolArray, at: Int64Array, here: UInt8Array) -> None:
    """Glue the apostrophes behind a glued one, up to y'''': derivatives. ``glued`` is changed in place."""
    behind = (here[1:] == APOSTROPHE) & (here[:-1] == APOSTROPHE) & (np.diff(at) == 1)
    if behind.any():
        for _ in range(3):
            glued[1:] |= behind & glued[:-1]


def is_lettered(kinds: UInt8Array) -> BoolArray:
    """Return where a kind is a part of words: letters, digits, marks, characters that are words alone."""
    inside: BoolArray = (kinds >= LETTER) & (kinds <= ALONE)
    return inside


@lru_cache(maxsize=1)
def load_strict_folding() -> StrictFolding:
    """Return the tables, made once a process from the Unicode data of this Python."""
    size = sys.maxunicode + 1
    single, first = np.arange(size, dtype=np.uint32), np.zeros(size, np.int32)
    count, kinds = np.ones(size, np.uint8), np.full(size, SYMBOL, np.uint8)
    alone, spelled = np.zeros(size, bool), [SEPARATOR]
    for begin, end in words.SPACELESS:
        alone[begin:end] = True
    for point in chain.from_iterable(range(begin, end) for begin, end in words.ASSIGNED):
        char = chr(point)
        if words.is_plain_letter(char):
            kinds[point] = ALONE if alone[point] else LETTER
            continue
        kinds[point] = classify_character(char, bool(alone[point]))
        if (folded := fold_character(char)) == char:
            continue
        single[point] = ord(folded) if len(folded) == 1 else words.COMPLEX
        first[point], count[point] = len(spelled), len(folded)
        spelled += map(ord, folded)
    kinds[SEPARATOR] = NOTHING
    return StrictFolding(Folding(single, first, count, np.array(spelled, np.uint32), alone), kinds)


def fold_character(char: str) -> str:
    """Return what a character becomes: nothing where it is invisible, U+0000 where it separates words."""
    category = unicodedata.category(char)
    if category == "Ll" and "a" <= char <= "z":
        return char
    if category == "Cf" and ord(char) not in TAGS:
        return "\0" if char == "\u200b" else ""
    if char == TATWEEL or (category == "Mn" and words.is_invisible(char)):
        return ""
    decomposed = unicodedata.decomposition(char)
    if decomposed.startswith(FOLDED_TAGS):
        spelled = "".join(chr(int(code, 16)) for code in decomposed.split()[1:])
        return "".join(map(fold_character, unicodedata.normalize("NFC", spelled)))
    folded = fold_case(char)
    folded = "".join("-" if unicodedata.category(one) == "Pd" else SPELLED.get(one, one) for one in folded)
    return "\0" if folded == char and not is_kept(char) else folded


def fold_case(char: str) -> str:
    """Return the character in lower case; ß, which Unicode folds to ss, stays."""
    folded = char.casefold()
    return folded if len(folded) == 1 else char.lower()


def is_kept(char: str) -> bool:
    """Return whether a character may be a part of words: all but white space, controls, and the other punctuation."""
    return classify_character(char, alone=False) != NOTHING


def classify_character(char: str, alone: bool) -> int:
    """Return the kind of a folded character; ``alone`` for one of a script without spaces."""
    if char in KINDS:
        return KINDS[char]
    category = unicodedata.category(char)
    if category[0] == "M" or ord(char) in TAGS:
        return MARK
    if category[0] == "L":
        return ALONE if alone else LETTER
    if category[0] == "N":
        return DIGIT
    if category == "Pd" or (category[0] in "SC" and category not in ("Cc", "Cf", "Cs") and char not in QUIET_SYMBOLS):
        return SYMBOL
    return NOTHING
