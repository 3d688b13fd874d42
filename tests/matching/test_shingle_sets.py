"""Shingle sets, hashes of word sequences and Jaccard, held against sets of Python."""

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import shingles, words


def test_a_short_text_has_one_shingle_of_another_kind():
    texts = ["a b c d e", "a b c d", "a b c d", "a", "", "a b", "b a", "e a b c d"]
    hashes, offsets = shingles.make_shingle_sets(words.split_words(texts), 5)
    sets = [set(hashes[begin:end].tolist()) for begin, end in pairwise(offsets)]
    assert list(map(len, sets)) == [1, 1, 1, 1, 0, 1, 1, 1]
    assert sets[1] == sets[2]
    assert len(set.union(*sets)) == 6
    whole = words.hash_shingles(words.split_words(["a b c d"]).hashes, 4)
    assert set(whole.tolist()) != sets[1]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("ab ", max_size=14), max_size=8))
def test_two_texts_have_the_same_sequence_hash_if_and_only_if_they_have_the_same_words(texts):
    high, low = shingles.hash_sequences(words.split_words(texts))
    for first, second in combinations(range(len(texts)), 2):
        same = texts[first].split() == texts[second].split()
        assert (high[first] == high[second]) == (low[first] == low[second]) == same


@settings(max_examples=60, deadline=None)
@given(first=st.sets(st.integers(0, 30)), second=st.sets(st.integers(0, 30)))
def test_jaccard_is_that_of_sets(first, second):
    arrays = [np.array(sorted(one), np.uint64) for one in (first, second)]
    union = len(first | second)
    assert shingles.jaccard(*arrays) == (len(first & second) / union if union else 0)


def test_repeats_are_told_apart_in_the_chosen_documents_as_multisets_are():
    split = words.split_words(["a b a b a b", "a b a b", "a b a b"])
    hashes, offsets = shingles.make_shingle_sets(split, 2)
    numbered = shingles.number_repeats(hashes, offsets, np.array([True, True, False]))
    first, second, third = (set(numbered[begin:end].tolist()) for begin, end in pairwise(offsets.tolist()))
    assert (len(first), len(second), len(third)) == (5, 3, 2)
    assert third < second < first
    assert third == set(hashes.tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9) | st.just(2**64 - 1), max_size=12))
def test_hashes_are_sorted_without_repeats(values):
    assert shingles.sort_unique(np.array(values, np.uint64)).tolist() == sorted(set(values))
