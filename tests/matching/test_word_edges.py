"""Words at the edges: pieces of long texts, positions of characters that become several, invisible characters."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import strict_words, words

TEXTS = st.lists(st.text(st.sampled_from("ab1ﬁ½éは \n.\u00ad"), max_size=40), max_size=4)


def spans_of(found):
    columns = found.hashes, found.starts, found.ends, found.offsets
    return [column.tolist() for column in columns]


@pytest.mark.parametrize("batch", [1, 2, 5, 16, 40])
@pytest.mark.parametrize("split", [words.split_words, strict_words.split_strict_words])
@settings(deadline=None)
@given(texts=TEXTS)
def test_words_and_their_positions_do_not_depend_on_the_pieces_in_which_they_are_processed(split, batch, texts):
    whole = spans_of(split(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "BATCH", batch)
        assert spans_of(split(texts)) == whole


@settings(deadline=None)
@given(text=st.text("ab \n", max_size=60), batch=st.integers(1, 20))
def test_pieces_are_the_text_cut_where_white_space_begins(text, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "BATCH", batch)
        pieces = list(words.cut_pieces(text))
    assert "".join(piece for _, piece in pieces) == text
    at = 0
    for number, (begin, piece) in enumerate(pieces):
        assert begin == at
        at += len(piece)
        if number:
            assert piece[0] in " \n" or pieces[number - 1][1][-1] in " \n"
        if number < len(pieces) - 1:
            assert len(piece) >= 1


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("one two", [(0, 3), (4, 7)]),
        ("ﬁne ½ a", [(0, 3), (4, 5), (4, 5), (6, 7)]),
        ("co\u00adop é", [(0, 5), (6, 7)]),
        ("e\u0301t x", [(0, 3), (4, 5)]),
        ("...a", [(3, 4)]),
        ("我们 a", [(0, 1), (1, 2), (3, 4)]),
        ("a\ud800é", [(0, 1), (2, 3)]),
    ],
)
def test_positions_are_those_of_the_characters_of_the_text(text, positions):
    """½ becomes 1⁄2, whose stroke separates two words of one character; what is invisible has no position."""
    found = words.split_words(["x", text, "y"])
    inside = slice(found.offsets[1], found.offsets[2])
    pairs = zip(found.starts[inside].tolist(), found.ends[inside].tolist(), strict=True)
    assert [(start, end) for start, end in pairs] == positions


@pytest.mark.parametrize(
    ("char", "folded"),
    [
        ("A", "a"), ("a", "a"), ("é", "e"), ("É", "e"), ("ß", "ss"), ("ﬁ", "fi"), ("Ａ", "a"), ("９", "9"), ("ª", "a"),
        ("我", "我"), ("가", "가"), ("힣", "힣"), ("が", "か"), ("ā", "a"), ("ǅ", "dz"), ("Å", "a"), ("ﷺ", None),
        ("½", None),
    ],
)  # fmt: skip
def test_a_letter_becomes_its_plain_letters(char, folded):
    found = words.fold_point(char)
    if folded is None:
        assert words.SEPARATOR in found and any(found)
    else:
        wanted = [ord(one) for one in unicodedata.normalize("NFKD", folded)]
        assert found == wanted


@pytest.mark.parametrize("char", [*" .,-_'\"!?«»…—\u200b\n\t\x00🙂+=<>$€", "\u2028", "\u3000"])
def test_punctuation_symbols_and_white_space_separate_words(char):
    assert words.fold_point(char) == [words.SEPARATOR]


INVISIBLE = "\u00ad\u034f\u061c\u180e\u200c\u200d\u2060\ufeff\ufe00\ufe0f\U000e0100\U000e01ef\u20dd\u20e3"


@pytest.mark.parametrize("char", INVISIBLE)
def test_invisible_characters_and_enclosing_marks_leave_no_trace(char):
    assert words.is_invisible(char) and words.fold_point(char) == []
    assert len(words.split_words([f"ab{char}cd"])) == 1
    assert words.split_words([f"ab{char}cd"]).hashes[0] == words.split_words(["abcd"]).hashes[0]


@pytest.mark.parametrize(
    "char", ["\u200b", "\u200e", "\u2061", "\ufdff", "\ufe10", "\U000e00ff", "\U000e01f0", "a", "\u0301"]
)
def test_their_neighbours_in_unicode_are_not_invisible(char):
    assert not words.is_invisible(char)


def test_letters_numbers_and_marks_make_words_and_nothing_else():
    for char in map(chr, range(0x3000)):
        assert words.is_letter(char) == (unicodedata.category(char)[0] in ("L", "N", "M")), hex(ord(char))
        plain = unicodedata.category(char) == "Lo" and not unicodedata.decomposition(char)
        assert words.is_plain_letter(char) == plain, hex(ord(char))
    assert [words.is_plain_letter(char) for char in "가힣我"] == [False, False, True]
    assert [words.is_plain_letter(chr(point)) for point in (0xABFF, 0xD7A4)] == [False, False]


def test_only_characters_of_scripts_without_spaces_are_alone():
    alone = words.load_folding().alone
    for begin, end in words.SPACELESS:
        assert alone[begin] and alone[end - 1]
        assert not alone[begin - 1] or any(first <= begin - 1 < last for first, last in words.SPACELESS)
        assert not alone[end] or any(first <= end < last for first, last in words.SPACELESS)


@settings(deadline=None)
@given(points=st.lists(st.integers(0, 2), max_size=12))
def test_words_are_the_runs_between_separators(points):
    first, last = words.find_boundaries(np.array(points, np.uint32), True)
    wanted, begin = [], None
    for index, point in enumerate([*points, 0]):
        if point and begin is None:
            begin = index
        if not point and begin is not None:
            wanted.append((begin, index - 1))
            begin = None
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == wanted


@settings(deadline=None)
@given(points=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8), data=st.data())
def test_the_hash_of_a_span_does_not_depend_on_where_it_stands(points, data):
    first = data.draw(st.integers(0, len(points) - 1))
    last = data.draw(st.integers(first, len(points) - 1))
    wanted = sum(point * pow(words.BASE, at, 1 << 64) for at, point in enumerate(points[first : last + 1])) % (1 << 64)
    found = words.hash_spans(np.array(points, np.uint32), np.array([first]), np.array([last]))
    assert found.tolist() == [wanted] and found.dtype == np.uint64
    assert words.hash_spans(np.array(points, np.uint32), np.zeros(0, int), np.zeros(0, int)).dtype == np.uint64
