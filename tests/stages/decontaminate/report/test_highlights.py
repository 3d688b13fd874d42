"""Marks are where the words of a document and of an eval item agree."""

from helpers.leakage import PENS
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.decontaminate.report.highlights import find_marks, split_marked


def marked(document, item):
    here, there = find_marks(document, item)
    return [document[first:last] for first, last in here], [item[first:last] for first, last in there]


def test_equal_words_are_marked_whatever_their_case_accents_and_punctuation():
    assert marked("THE Café, closed\nat — noon!", "the cafe closed at noon") == (
        ["THE Café, closed\nat — noon"],
        ["the cafe closed at noon"],
    )


def test_a_replaced_word_splits_the_marks_in_both_texts():
    here, there = marked(
        "she bought five boxes of blue pens at two dollars", "She bought five boxes of red pens at two dollars"
    )
    assert here == ["she bought five boxes of", "pens at two dollars"]
    assert there == ["She bought five boxes of", "pens at two dollars"]


def test_fewer_than_three_words_in_a_row_are_no_evidence_and_not_marked():
    assert marked("the red pens cost two", "the blue pens cost four") == ([], [])
    assert marked("", "") == marked("…", PENS) == ([], [])


def test_chinese_is_marked_by_characters():
    assert marked("他说:今天天气很好。", "今天天气很好吗") == (["今天天气很好"], ["今天天气很好"])


def test_of_texts_without_end_the_beginning_is_compared_and_marked():
    long = " ".join(f"word{number}" for number in range(20_000))
    here, there = find_marks(long, long)
    assert here == there == [(0, long.index(" word1500"))]


@given(st.text("ab c\n", max_size=60), st.text("ab c\n", max_size=60))
@settings(deadline=None)
def test_marks_lie_in_their_texts_in_order_and_pieces_put_together_are_the_text(document, item):
    for text, spans in zip((document, item), find_marks(document, item), strict=True):
        places = [place for span in spans for place in span]
        assert places == sorted(places) and all(first < last <= len(text) for first, last in spans)
        assert "".join(piece.text for piece in split_marked(text, spans, 0, len(text))) == text
