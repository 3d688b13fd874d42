"""The kind of text that each byte of a text is: letters, digits, punctuation, white space, URL, code or other script.

Every character has exactly one kind, and all its bytes have that of the character. The first rule that fits decides:

    url           a scheme and what follows ``://`` (``https://…``, ``s3://…``), or what begins with ``www.``, as far as
                  the ASCII characters go that a URL may have; marks at its end that close a sentence are not part of it
    code          an identifier of ASCII letters, digits and ``_`` that has a ``_`` inside (``max_tokens``,
                  ``__init__``), or that begins with a lower-case letter and has one right before a capital
                  (``getName``); a backslash with the letters after it (``\\frac``, ``\\n``); two signs that code writes
                  as one (``PAIRS``: ``==``, ``->``, ``::``, ``</`` …)
    whitespace    what ``str.isspace`` says is white space
    digits        numerals of any script (the Unicode categories Nd, Nl and No)
    letters       letters of the Latin script, with their accents, also where these are characters of their own
    other_script  letters of other scripts, and the marks that belong to them
    punctuation   everything else: punctuation, symbols, emoji, controls

The rules see characters alone, no language: ``iPhone`` is code, ``YouTube`` and ``foo`` are letters. The categories
are those of the Unicode version that Python has.
"""

import re
import unicodedata
from functools import cache
from typing import get_args

import numpy as np

from curate.runtime.arrays import BoolArray, Int64Array, UInt8Array, UInt32Array
from curate.runtime.choices import TextKind

KINDS: tuple[TextKind, ...] = get_args(TextKind)
"""All kinds; ``measure_kinds`` returns indices into it."""
LETTERS, DIGITS, PUNCTUATION, WHITESPACE, URL, CODE, OTHER_SCRIPT = range(len(KINDS))
PAIRS = (
    "== != <= >= -> => :: := && || ++ += -= *= /= %= |= &= ^= << >> </ /> /* */ // {} () [] }; ({ }) {{ }} ${ #{ {% %}"
)
"""Two signs that code writes as one. Those of prose and of its markup are not among them (``**``, ``--``, ``);``)."""
LATIN = (
    (0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2B8),
    (0x2E0, 0x2E4), (0x1D00, 0x1D25), (0x1D2C, 0x1D5C), (0x1D62, 0x1D65), (0x1D6B, 0x1D77), (0x1D79, 0x1DBE),
    (0x1E00, 0x1EFF), (0x2071, 0x2071), (0x207F, 0x207F), (0x2090, 0x209C), (0x212A, 0x212B), (0x2132, 0x2132),
    (0x214E, 0x214E), (0x2184, 0x2184), (0x2C60, 0x2C7F), (0xA722, 0xA787), (0xA78B, 0xA7FF), (0xAB30, 0xAB5A),
    (0xAB5C, 0xAB64), (0xAB66, 0xAB69), (0xFB00, 0xFB06), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A),
)  # fmt: skip
"""Ranges of code points, both ends included, whose letters are of the Latin script (Unicode's Scripts.txt)."""
ACCENTS = ((0x300, 0x36F), (0x1DC0, 0x1DFF))
"""Ranges of marks that stand on Latin letters."""
SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Ranges of marks that choose the form of a symbol, such as an emoji."""
UNDERSCORE, DIGIT, LOWER, UPPER = range(1, 5)
"""Classes of the bytes of identifiers; 0 is no such byte."""
BACKSLASH = ord("\\")
URL_START = re.compile(rb"://|www\.", re.IGNORECASE)
SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+\Z")
LONGEST_SCHEME = 32
"""Bytes before ``://`` that are looked at."""
URL_REST = re.compile(rb"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
CLOSING = b".,;:!?'*)]"
"""Bytes that are not part of a URL that they end."""


def measure_kinds(octets: bytes) -> UInt8Array:
    """Return the kind of each byte of a text, B: an index into ``KINDS``. ``octets`` is its complete UTF-8."""
    bytes_B = np.frombuffer(octets, np.uint8)
    kinds_B = _load_ascii_kinds()[bytes_B]
    if not octets.isascii():
        _place_others(kinds_B, octets)
    kinds_B[_find_code(bytes_B)] = CODE
    for begin, end in list_urls(octets):
        kinds_B[begin:end] = URL
    return kinds_B


def list_urls(octets: bytes) -> list[tuple[int, int]]:
    """Return the ranges of bytes of a text that are URLs, in order; none overlaps another."""
    urls: list[tuple[int, int]] = []
    for match in URL_START.finditer(octets):
        begin, done = match.start(), urls[-1][1] if urls else 0
        if begin < done:
            continue
        if match[0] == b"://":
            scheme = SCHEME.search(octets[max(done, begin - LONGEST_SCHEME) : begin])
            if scheme is None:
                continue
            begin -= len(scheme[0])
        elif begin > 0 and (octets[begin - 1 : begin].isalnum() or octets[begin - 1] in b"_."):
            continue
        rest = URL_REST.match(octets, match.end())
        assert rest is not None
        end = match.end() + len(rest[0].rstrip(CLOSING))
        if end > match.end():
            urls.append((begin, end))
    return urls


def _place_others(kinds_B: UInt8Array, octets: bytes) -> None:
    """Write the kinds of the characters that are not ASCII."""
    codes_C = np.frombuffer(octets.decode().encode("utf-32-le"), np.uint32)
    is_other_C = codes_C >= 0x80
    sizes = count_utf8_bytes(codes_C[is_other_C])
    kinds_B[np.frombuffer(octets, np.uint8) >= 0x80] = np.repeat(_load_kinds()[codes_C[is_other_C]], sizes)


def count_utf8_bytes(codes_C: UInt32Array) -> Int64Array:
    """Return the UTF-8 bytes of each of some code points, C."""
    return np.asarray(1 + (codes_C >= 0x80).astype(np.int64) + (codes_C >= 0x800) + (codes_C >= 0x10000))


def _find_code(bytes_B: UInt8Array) -> BoolArray:
    """Return whether each byte is of an identifier, a command or a pair of signs that only code has."""
    if len(bytes_B) < 2:
        return np.zeros(len(bytes_B), np.bool_)
    before, after = bytes_B[:-1], bytes_B[1:]
    pairs = np.flatnonzero(_load_pairs()[before, after])
    classes_B = _load_classes()[bytes_B]
    commands = np.flatnonzero((before == BACKSLASH) & (classes_B[1:] >= LOWER))
    marks = np.zeros(len(bytes_B) + 1, np.int32)  # how many ranges begin, less those that end
    for begins, ends in (_find_identifiers(classes_B), _find_commands(commands, classes_B), (pairs, pairs + 2)):
        marks[begins] += 1
        marks[ends] -= 1
    return np.asarray(np.cumsum(marks[:-1]) > 0)


def _find_identifiers(classes_B: UInt8Array) -> tuple[Int64Array, Int64Array]:
    """Return where the identifiers begin and end, W each, that prose does not have."""
    under = np.flatnonzero(classes_B == UNDERSCORE)
    humps = np.flatnonzero((classes_B[:-1] == LOWER) & (classes_B[1:] == UPPER))
    begins, ends = _find_runs(classes_B > 0 if len(under) or len(humps) else np.zeros(0, np.bool_))
    if not len(begins):
        return begins, ends
    word = np.searchsorted(begins, under, "right") - 1
    inner = word[(under > begins[word]) & (under < ends[word] - 1)]
    named = np.concatenate([[0], np.cumsum(classes_B > UNDERSCORE)])
    inner = inner[named[ends[inner]] > named[begins[inner]]]
    word = np.searchsorted(begins, humps, "right") - 1
    words = np.unique(np.concatenate([inner, word[classes_B[begins[word]] == LOWER]]))
    return begins[words], ends[words]


def _find_commands(commands: Int64Array, classes_B: UInt8Array) -> tuple[Int64Array, Int64Array]:
    """Return where the commands begin and end, W each; ``commands`` are the backslashes that a letter follows."""
    if not len(commands):
        return commands, commands
    begins, ends = _find_runs(classes_B >= LOWER)
    return commands, ends[np.searchsorted(begins, commands + 1)]


def _find_runs(is_in_B: BoolArray) -> tuple[Int64Array, Int64Array]:
    """Return where the runs of True begin and end."""
    edges = np.flatnonzero(np.diff(is_in_B, prepend=False, append=False))
    return edges[0::2], edges[1::2]


@cache
def _load_classes() -> UInt8Array:
    """Return the class of each byte, 256."""
    classes = np.zeros(256, np.uint8)
    for name, members in ((UNDERSCORE, b"_"), (DIGIT, b"0123456789"), (LOWER, bytes(range(97, 123)))):
        classes[list(members)] = name
    classes[65:91] = UPPER
    return classes


@cache
def _load_pairs() -> BoolArray:
    """Return whether two bytes, one after the other, are of ``PAIRS``, 256×256."""
    pairs = np.zeros((256, 256), np.bool_)
    for pair in PAIRS.encode().split():
        pairs[pair[0], pair[1]] = True
    return pairs


@cache
def _load_ascii_kinds() -> UInt8Array:
    """Return the kind of each byte of ASCII; of the others, which ``_place_others`` writes, 0. 256."""
    kinds = np.zeros(256, np.uint8)
    kinds[:128] = [_classify(code) for code in range(128)]
    return kinds


@cache
def _load_kinds() -> UInt8Array:
    """Return the kind of each code point by itself, without the rules of URLs and code; 0x110000 of them."""
    return np.array([_classify(code) for code in range(0x110000)], np.uint8)


def _classify(code: int) -> int:
    """Return the kind of a code point by itself."""
    char = chr(code)
    category = unicodedata.category(char)
    if category[0] == "L":
        return LETTERS if _lies_in(code, LATIN) else OTHER_SCRIPT
    if category[0] == "M":
        return LETTERS if _lies_in(code, ACCENTS) else PUNCTUATION if _lies_in(code, SELECTORS) else OTHER_SCRIPT
    if category[0] == "N":
        return DIGITS
    return WHITESPACE if char.isspace() else PUNCTUATION


def _lies_in(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)
