"""Texts for people: what cannot be seen is spelled out."""

from curate.runtime.text import escape_unprintable


def test_spelling_out_leaves_what_can_be_seen():
    seen = "naïve 東京 🙂 “x” – € ﬁ"
    assert escape_unprintable(seen) == seen
    assert escape_unprintable("a\u00a0b\u200b\ud800\x07") == r"a b\u200b\ud800\x07"
    assert escape_unprintable("a\n\u200db", "\n\u200d") == "a\n\u200db"
