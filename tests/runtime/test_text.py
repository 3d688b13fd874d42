"""Texts for people: what cannot be seen is spelled out."""

from curate.runtime.text import spell_out


def test_spelling_out_leaves_what_can_be_seen():
    seen = "naïve 東京 🙂 “x” – € ﬁ"
    assert spell_out(seen) == seen
    assert spell_out("a\u00a0b\u200b\ud800\x07") == r"a b\u200b\ud800\x07"
    assert spell_out("a\n\u200db", "\n\u200d") == "a\n\u200db"
