"""Shingles: those of each document alone, and each tells its words and their order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import words


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("ab ", max_size=30), max_size=6), size=st.integers(1, 6))
def test_inner_shingles_are_those_of_each_document_alone(texts, size):
    found = words.split_words(texts)
    run = words.hash_shingles(found.hashes, size)
    kept = run[words.mark_inner_shingles(found.offsets, size, len(run))]
    alone = [words.hash_shingles(words.split_words([text]).hashes, size) for text in texts]
    assert kept.tolist() == [value for one in alone for value in one.tolist()]


def test_a_shingle_tells_its_words_and_their_order():
    shown = ["a b c", "c b a", "a c b", "a b", "b c d"]
    hashes = [words.hash_shingles(words.split_words([text]).hashes, 3).tolist() for text in shown]
    assert hashes[3] == []
    assert len({value for one in hashes for value in one}) == 4
