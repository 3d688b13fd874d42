"""Strict words: texts that say something else have other words, texts in another typography have the same."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import strict_words, words

DIFFERENT = {
    "operators": [
        "x + 3",
        "x - 3",
        "x * 3",
        "x / 3",
        "x ^ 3",
        "x % 3",
        "x = 3",
        "x < 3",
        "x > 3",
        "x ~ 3",
        "x & 3",
        "x 3",
    ],
    "operators of two signs": ["a == b", "a = b", "a != b", "a <= b", "a < b", "a && b", "a & b", "a || b", "a | b"],
    "increments": ["i++", "i--", "i+-", "i"],
    "negation": ["!x", "x", "-x", "~x", "¬x"],
    "factorials": ["5!", "5", "n! + 5"],
    "signs": ["What is -3 + 5?", "What is 3 - 5?", "What is 3 + 5?", "What is -3 - 5?"],
    "languages": ["I like C++ a lot", "I like C# a lot", "I like C a lot", "I like C-- a lot"],
    "money": ["$5", "€5", "£5", "¥5", "5", "5%", "5‰", "5°"],
    "numbers": ["1.5", "15", "1,5", "1 5", "1:5", "1-5", ".15", "1/5", "1;5"],
    "powers": ["10^2", "10_2", "102", "10²", "10₂", "10**2", "10*2", "10 2"],
    "fractions": ["2½", "21/2", "2 1/2", "2¼"],
    "letters of mathematics": ["ℝ", "R", "𝐑", "①", "1"],
    "brackets": ["(2 + 3) * 4", "2 + (3 * 4)", "2 + 3 * 4", "[2 + 3] * 4"],
    "ends of intervals": ["[0, 1]", "(0, 1)", "[0, 1)", "{0, 1}"],
    "matrices": ["[a; b]", "[a, b]", "x[a:b]", "x[a, b]"],
    "apostrophes": ["can't", "cant", "f(x)", "f'(x)", "y' = y", "y = y"],
    "slices": ["x[1]", "x[1:]", "x[:1]", "x[-1]", "x[:-1]", "x[::-1]", "x[:]", "x[]"],
    "colons": ["a = b", "a := b", "a == b", "a:b", "a::b", "a b"],
    "derivatives": ["f(x)", "f'(x)", "f''(x)", "f'''(x)", "y'' + y = 0", "y' + y = 0", "y''' + y = 0"],
    "paths": ["/a", "./a", "../a", "a", "a/", "~/a"],
    "names": ["a.b", "ab", "a_b", "__init__", "init", "a-b", "@a", "#a", "a\\b", "a/b"],
    "pointers": ["*p", "p", "**p", "&p"],
    "feet": ["5′", "5″", "5"],
    "emoji": ["🙂", "🙁", "👍🏻", "👍🏿", "👍", "1️⃣", "1", "🇩🇪", "🇫🇷"],
    "flags of regions": ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴"],
    "arrows": ["a → b", "a ← b", "a ↔ b", "a ∀ b", "a ∃ b", "a ≠ b", "a = b", "C♯", "C♭"],
    "accents": ["e", "é", "è", "ê"],
    "Vietnamese tones": ["ma", "má", "mà", "mã", "mả", "mạ", "mâ"],
    "Thai": ["กา", "ก่า", "ก้า", "กี", "กิ"],
    "Japanese": ["は", "ば", "ぱ", "ハ", "バ", "ハー"],
    "Devanagari": ["क", "कि", "की", "क्", "कं"],
    "Arabic": ["علم", "عَلِمَ", "عُلِمَ", "٣٫٥", "٣٬٥", "٣٥", "٥٪"],
    "Hebrew": ["שׁ", "שׂ", "ש"],
    "German and Turkish": ["Maße", "Masse", "ısı", "isi"],
    "private characters": ["\ue000", "\ue001", "\ue000é", "\ue001é"],
}

SAME = {
    "case": ["What is 3 + 4?", "what IS 3 + 4?"],
    "white space and line ends": ["What is 3 + 4?", "What  is\n3\t+ 4?", "\ufeffWhat\u00a0is 3 + 4 ?\r\n"],
    "sentence punctuation": ["Well, yes. No", "Well yes; no!", "well… yes: no?"],
    "quotation marks": ['say "yes" now', "say “yes” now", "say «yes» now", "say 'yes' now", "say `yes` now"],
    "apostrophes": ["don't", "don’t", "DONʼT"],
    "dashes": ["a - b", "a – b", "a—b", "a‐b", "a − b"],
    "emphasis": ["**Bold:** and **more of it**.", "*Bold:* and ***more of it***.", "Bold: and more of it."],
    "canonical forms": ["é ệ が 한", "e\u0301 e\u0302\u0323 か\u3099 한", unicodedata.normalize("NFD", "é ệ が 한")],
    "widths": ["Ａ＋Ｂ１２", "a+b12"],
    "half-width kana": ["ガギ ｱ", "ｶﾞｷﾞ ア"],
    "ligatures": ["final office", "ﬁnal oﬃce"],
    "sigmas": ["ΟΔΟΣ", "οδος", "οδοσ"],
    "sharp s": ["STRAẞE", "straße"],
    "invisible characters": ["cooperate ❤", "co\u00adop\u200derate ❤\ufe0f"],
    "letters made longer": ["محمد", "محـــمد"],
    "spaces around symbols": ["f( x )+1", "f(x) + 1"],
}  # fmt: skip


def key_of(text):
    return strict_words.split_strict_words([text]).hashes.tobytes()


@pytest.mark.parametrize("texts", DIFFERENT.values(), ids=DIFFERENT)
def test_texts_that_say_something_else_have_other_words(texts):
    assert len({key_of(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME)
def test_texts_in_another_typography_have_the_same_words(texts):
    assert len({key_of(text) for text in texts}) == 1 and key_of(texts[0])


def test_powers_and_stars_are_not_emphasis():
    assert len({key_of(text) for text in ("2**3 + 4**5", "2*3 + 4*5", "2 3 + 4 5")}) == 3
    assert key_of("f(*args, **more)") != key_of("f(args, more)")


def test_a_mark_belongs_to_the_character_before_it_and_a_symbol_is_a_word_of_its_own():
    assert strict_words.split_strict_words(["ก่า ば", "x+=1.5", "x² can't", "…", ""]).counts.tolist() == [3, 4, 2, 0, 0]


def test_every_arithmetic_question_has_words_of_its_own():
    asked = [f"What is {a} {op} {b}?" for a in range(3, 24) for b in range(3, 20) for op in "+-*/"]
    assert len({key_of(text) for text in asked}) == len(asked)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("abcDé 漢กい.,;!?'\"-+*/()[]{}=3ß²🙂\n\u0301\u3099\ue000"), max_size=40))
def test_the_words_depend_on_neither_the_batch_nor_the_canonical_form(text):
    alone = strict_words.split_strict_words([text])
    beside = strict_words.split_strict_words(["x!", text, "é"])
    assert beside.hashes[beside.offsets[1] : beside.offsets[2]].tolist() == alone.hashes.tolist()
    assert key_of(unicodedata.normalize("NFD", text)) == key_of(unicodedata.normalize("NFC", text))
    assert all(alone.starts < alone.ends)


@settings(max_examples=100, deadline=None)
@given(text=st.from_regex(r"[a-z]{1,8}([ ,.]{1,2}[a-z]{2,8}){0,12}", fullmatch=True))
def test_plain_prose_has_the_words_that_it_has_without_strictness(text):
    prose = re.sub(r"(?<=[a-z])[.](?=[a-z])", ". ", text)
    assert strict_words.split_strict_words([prose]).hashes.tolist() == words.split_words([prose]).hashes.tolist()


def test_mixed_words_are_those_of_either_kind_document_by_document():
    texts = ["a + b", "c-d é", "", "e! (f)"]
    strict, plain = strict_words.split_strict_words(texts), words.split_words(texts)
    mixed = strict_words.mix_words(strict, plain, np.array([True, False, True, False]))
    assert mixed.counts.tolist() == [3, 3, 0, 2]
    expected = [*strict.hashes[:3], *plain.hashes[plain.offsets[1] : plain.offsets[2]], *plain.hashes[-2:]]
    assert mixed.hashes.tolist() == expected
