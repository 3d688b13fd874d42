"""Every byte of a text has the kind that the rules give its character."""

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.reference.measures.text_kinds import KINDS, LATIN, PAIRS, list_urls, measure_kinds

PLAIN = [
    ("Größe é", "letters letters letters letters letters whitespace letters"),
    ("e\u0301", "letters letters"),
    ("½Ⅷ٣4", "digits digits digits digits"),
    ("東Пह\u093f", "other_script other_script other_script other_script"),
    ("🙂\ufe0f—.$", "punctuation punctuation punctuation punctuation punctuation"),
    (" \t\n\u00a0\u3000", "whitespace whitespace whitespace whitespace whitespace"),
    ("\u200b\x00_", "punctuation punctuation punctuation"),
]
MARKED = [  # url in ⟦⟧, code in ⟪⟫
    "See (⟦https://example.org/a_b?x=1#y⟧). And ⟦www.foo.com/a⟧, ⟦s3://bucket/key⟧!",
    ":⟪//⟫nothing and x:⟪//⟫ and http:⟪//⟫ and www. alone and awww.b.c",
    "⟦http://a.b/⟧東 ⟦HTTPS://A.B⟧ ⟦WWW.A.B⟧",
    "⟪max_tokens⟫ ⟪__init__⟫ _emphasis_ ____ _ ⟪a_b⟫ ⟪A_1⟫ 1 x2",
    "⟪getName⟫ ⟪iPhone⟫ YouTube McDonald HTTP ⟪aB1⟫ 1aB",
    "a⟪->⟫b x ⟪==⟫ y std⟪::⟫sort f⟪()⟫ ⟪</⟫b⟪/>⟫ a = b; (see below); **bold** -- really?? [1]",
    "⟪\\frac⟫{1}{2} ⟪\\n⟫ \\ \\1 C:⟪\\temp⟫é ⟪\\alpha_1⟫",
    "⟪====⟫",
    "naï⟪veaB⟫",
]


@pytest.mark.parametrize(("text", "kinds"), PLAIN)
def test_a_character_by_itself_has_the_kind_of_its_category_and_script(text, kinds):
    assert list_kinds(text) == kinds.split()


@pytest.mark.parametrize("marked", MARKED)
def test_urls_and_code_are_found_where_they_begin_and_end(marked):
    text, wanted, inside = "", [], None
    for char in marked:
        if char in "⟦⟪⟧⟫":
            inside = {"⟦": "url", "⟪": "code"}.get(char)
        else:
            text += char
            wanted.append(inside)
    found = [kind if kind in ("url", "code") else None for kind in list_kinds(text)]
    assert found == wanted


@given(st.text(st.one_of(st.sampled_from("aAbB_1/: .w-=>\\é東\u0301🙂\n"), st.characters(exclude_categories=["Cs"]))))
def test_every_character_has_one_kind_which_the_rules_read_one_by_one_give(text):
    assert list_kinds(text) == classify_slowly(text)


def list_kinds(text):
    """The kind of each character; all its bytes have it."""
    found, at, kinds = measure_kinds(text.encode()), 0, []
    assert len(found) == len(text.encode())
    for char in text:
        size = len(char.encode())
        (kind,) = {KINDS[each] for each in found[at : at + size]}
        kinds.append(kind)
        at += size
    return kinds


def classify_slowly(text):
    """The rules of the docstring, a regular expression each."""
    kinds = [classify(char) for char in text]
    code = [
        *(match.span() for match in re.finditer(r"[A-Za-z0-9_]+", text) if is_identifier(match[0])),
        *(match.span() for match in re.finditer(r"\\[A-Za-z]+", text)),
        *((at, at + 2) for at in range(len(text) - 1) if text[at : at + 2] in PAIRS),
    ]
    for begin, end in code:
        kinds[begin:end] = ["code"] * (end - begin)
    allowed = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*"
    starts = rf"[A-Za-z][A-Za-z0-9+.\-]+://{allowed}|(?<![A-Za-z0-9._])www\.{allowed}"
    for match in re.finditer(starts, text, re.IGNORECASE | re.ASCII):
        length = len(match[0].rstrip(".,;:!?'*)]"))
        if length > len(re.match(r"www\.|[^:]*://", match[0], re.IGNORECASE)[0]):
            kinds[match.start() : match.start() + length] = ["url"] * length
    return kinds


def is_identifier(word):
    return bool(re.search("[a-zA-Z0-9]", word) and "_" in word[1:-1]) or bool(
        re.match("[a-z].*?[a-z][A-Z]|[a-z][A-Z]", word)
    )


def classify(char):
    category = unicodedata.category(char)
    if category[0] == "L":
        return "letters" if any(low <= ord(char) <= high for low, high in LATIN) else "other_script"
    if category[0] == "M":
        if re.match("[\ufe00-\ufe0f\U000e0100-\U000e01ef]", char):
            return "punctuation"
        return "letters" if re.match("[\u0300-\u036f\u1dc0-\u1dff]", char) else "other_script"
    return "digits" if category[0] == "N" else "whitespace" if char.isspace() else "punctuation"


def test_the_letters_that_unicode_names_latin_are_letters_of_the_latin_script():
    for code in range(0x10000):
        if unicodedata.category(chr(code))[0] == "L" and unicodedata.name(chr(code)).startswith("LATIN"):
            assert any(low <= code <= high for low, high in LATIN), chr(code)


def test_urls_do_not_overlap_and_are_not_empty():
    octets = b"http://a://b http://http://c www.www.d www.a://x ://"
    found = list_urls(octets)
    assert all(begin < end for begin, end in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
