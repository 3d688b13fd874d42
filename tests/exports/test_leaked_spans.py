"""Spans of leaks: merged they cover the same characters, and a cut text is the rest."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.exports import leaked_passages

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))), max_size=6)


@given(SPANS)
def test_merged_spans_cover_the_same_characters_and_stand_apart(found):
    merged = leaked_passages.merge_spans(found)
    assert {place for start, end in merged for place in range(start, end)} == {
        place for start, end in found for place in range(start, end)
    }
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(merged))
    assert leaked_passages.count_characters(merged) == sum(end - start for start, end in merged)


@given(text=st.text("ab 1.,\n¿日", min_size=30, max_size=40), found=SPANS)
def test_a_cut_text_is_the_rest_with_one_character_for_each_span(text, found):
    merged = leaked_passages.merge_spans(found)
    cut = leaked_passages.cut_spans(text, merged)
    assert len(cut) == len(text) - leaked_passages.count_characters(merged) + len(merged)
    place = 0
    for number, (start, _) in enumerate(merged):
        before = merged[number - 1][1] if number else 0
        assert cut[place : place + start - before] == text[before:start]
        place += start - before
        assert cut[place] in " \n"
        place += 1
    assert cut[place:] == text[merged[-1][1] if merged else 0 :]


def test_what_is_no_span_of_the_text_is_a_mistake():
    for wrong in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError):
            leaked_passages.merge_spans([wrong])
    with pytest.raises(ValueError):
        leaked_passages.cut_spans("short", [(2, 9)])
