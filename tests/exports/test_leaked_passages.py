"""A passage is cut out of a text, and nothing else."""

import pytest

from curate.exports import leaked_passages


@pytest.mark.parametrize(
    ("text", "passages", "expected"),
    [
        ("one two three", ["two"], "one   three"),
        ("one two three", ["one"], "  two three"),
        ("one two three", ["three"], "one two  "),
        ("one two three", ["one two three"], "\n"),
        ("one two three four", ["two three", "three four"], "one  "),
        ("one two three four", ["two thr", "ee"], "one   four"),
        ("one two three four", ["two", "three"], "one     four"),
        ("above\nWhat is it?\nbelow", ["What is it"], "above\n\n?\nbelow"),
        ("above\nWhat is it? This.\nbelow", ["What is it"], "above\n ? This.\nbelow"),
        ("above\n\nfirst line\nsecond line\n\nbelow", ["first line\nsecond line"], "above\n\n\n\n\nbelow"),
        ("above first\nsecond below", ["first\nsecond"], "above   below"),
        ("one\n- two, three\nfour", ["two", "three"], "one\n- \n, \n\nfour"),
        ("日本 the 💥 question é end", ["the 💥 question"], "日本   é end"),
        ("é日", ["é"], " 日"),
        ("one\ntwo\nthree\nfour", ["two"], "one\n\n\nthree\nfour"),
        ("a\nbb x\ncc\nd", ["bb", "cc"], "a\n  x\n\n\nd"),
        ("x aa\nbb\nc", ["aa", "bb"], "x  \n\n\nc"),
    ],
)
def test_a_passage_is_cut_out_and_nothing_else(text, passages, expected):
    merged = leaked_passages.merge_spans((text.index(part), text.index(part) + len(part)) for part in passages)
    assert leaked_passages.cut_spans(text, merged) == expected
