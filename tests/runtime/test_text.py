"""Texts for people: what cannot be seen is spelled out."""

from curate.runtime.text import align_columns, align_right, escape_unprintable


def test_spelling_out_leaves_what_can_be_seen():
    seen = "naïve 東京 🙂 “x” – € ﬁ"
    assert escape_unprintable(seen) == seen
    assert escape_unprintable("a\u00a0b\u200b\ud800\x07") == r"a b\u200b\ud800\x07"
    assert escape_unprintable("a\n\u200db", "\n\u200d") == "a\n\u200db"


def test_columns_of_any_numbers_keep_a_space_between_them_and_line_up():
    shares = ["5%", "50%", "95%"]
    for values in (["2", "3.5", "20"], ["219.4", "6.035e+04", "1e+300"], ["1e+05", "inf", "9.999e+299"]):
        first, second = align_columns([shares, values], 9)
        assert first.split() == shares and second.split() == values and len(first) == len(second)
    assert align_columns([["1", "2"]], 4) == ["   1   2"]


def test_a_cell_that_is_too_long_has_a_space_before_it():
    assert [align_right(cell, 4) for cell in ("1", "123", "1234", "123456")] == ["   1", " 123", " 1234", " 123456"]
