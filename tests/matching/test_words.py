"""Words: those of a loop over characters, with case, accents and punctuation folded."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import words


def naive_words(text):
    """Words as words.py describes them, one character after the other: the folded characters of each."""
    spelled = [""]
    for char in text:
        kind = unicodedata.category(char)
        if kind in ("Cf", "Mn", "Me") and (unicodedata.combining(char) or words.is_invisible(char)):
            continue
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()).replace("\u0131", "i")
        for one in plain:
            if unicodedata.combining(one):
                continue
            alone = any(begin <= ord(one) < end for begin, end in words.SPACELESS)
            if unicodedata.category(one)[0] not in "LNM":
                spelled.append("")
            elif alone:
                spelled += [one, ""]
            else:
                spelled[-1] += one
        if not plain:
            spelled.append("")
    return [word for word in spelled if word]


def naive_hash(word):
    value = sum(ord(char) * pow(words.BASE, place, 1 << 64) for place, char in enumerate(word)) % (1 << 64)
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD % (1 << 64)
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 % (1 << 64)
    return value ^ (value >> 33)


TEXTS = st.text(st.sampled_from("aBcéÉßıİﬁｘ １９Ⅷ½我们กน가한़́\u00ad\u200d.,'-_\n\t\"«»𝒳🙂अ़िकЯй"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=5))
def test_words_are_those_of_a_loop_over_characters(texts):
    found = words.split_words(texts)
    expected = [naive_words(text) for text in texts]
    assert found.counts.tolist() == [len(one) for one in expected]
    assert found.hashes.tolist() == [naive_hash(word) for one in expected for word in one]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_places_point_at_the_words(texts):
    found = words.split_words(texts)
    for number, text in enumerate(texts):
        for place in range(found.offsets[number], found.offsets[number + 1]):
            piece = text[found.starts[place] : found.ends[place]]
            assert found.hashes[place] in words.split_words([piece]).hashes


@pytest.mark.parametrize(
    "other",
    [
        "the QUICK brown fox's café no 12",
        "  The\tquick\n\nbrown,fox-s (cafe) «no» 12!",
        "ＴＨＥ quick bro\u00adwn fox\u2019s cafe\u0301 no １２",
        "thé qüick bröwn fox s cáfe nö 12",
    ],
)
def test_case_space_punctuation_accents_and_compatible_forms_make_no_difference(other):
    expected = words.split_words(["The quick brown fox s cafe no 12"]).hashes
    assert np.array_equal(words.split_words([other]).hashes, expected)
    assert len(expected) == 8


def test_words_that_differ_in_a_letter_or_a_digit_differ():
    texts = ["12", "13", "ab", "ba", "a b", "abc", "а"]
    found = words.split_words(texts)
    assert len(set(found.hashes.tolist())) == len(found) == 8
    assert words.split_words(["a"]).hashes[0] in words.split_words(["a b"]).hashes


@pytest.mark.parametrize(
    ("text", "count"), [("我们在家", 4), ("我们ABC在家", 5), ("ひらがな", 4), ("กขค", 3), ("한국어 말", 2)]
)
def test_each_character_is_a_word_in_scripts_without_spaces(text, count):
    assert words.split_words([text]).counts.tolist() == [count]


def test_a_text_without_letters_has_no_words():
    assert words.split_words(["", " \n", "…!?—", "🙂"]).counts.tolist() == [0, 0, 0, 0]
    assert len(words.split_words([])) == 0


def test_the_naive_words_of_the_tests_are_the_plain_ones_for_ascii():
    text = "It's 12 o'clock, _really_ - at last."
    assert naive_words(text) == re.findall(r"[a-z0-9]+", text.lower())
