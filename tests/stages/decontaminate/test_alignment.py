"""Alignment chains runs of equal words in order and prices gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import words
from curate.stages.decontaminate import alignment, surprisal
from curate.stages.decontaminate.alignment import MatchedRun

TENS = surprisal.WordSurprisal(*(np.full(400, 10.0) for _ in range(3)))
"""Every word has ten bits, whatever stands before it."""
OPENERS = surprisal.WordSurprisal(np.full(99, 20.0), np.full(99, 15.0), np.full(99, 1.0))
"""The first two words of a run are worth most."""


def test_alignment_chains_runs_in_order_and_prices_gaps():
    text = words.split_words(["alpha bravo charlie delta echo foxtrot golf hotel india juliett"])
    bits = surprisal.WordSurprisal(np.full(10, 10.0), np.full(10, 8.0), np.full(10, 5.0))
    whole = words.hash_shingles(text.hashes, 3)
    found = alignment.align(alignment.find_runs(whole, whole), bits, 0)
    assert (found.words, found.longest, found.bits) == (10, 10, 10 + 8 + 8 * 5)
    other = words.split_words(["alpha bravo charlie delta XXX foxtrot golf hotel india juliett"])
    chained = alignment.align(alignment.find_runs(whole, words.hash_shingles(other.hashes, 3)), bits, 0)
    assert [(run.item, run.document, run.length) for run in chained.runs] == [(0, 0, 4), (5, 5, 5)]
    assert chained.bits == pytest.approx((10 + 8 + 10) + (10 + 8 + 15) - alignment.GAP_BITS)
    swapped = words.split_words(["foxtrot golf hotel india juliett alpha bravo charlie delta echo"])
    assert alignment.align(alignment.find_runs(whole, words.hash_shingles(swapped.hashes, 3)), bits, 0).words == 5
    assert alignment.align([], bits, 0) is None


def chain(*runs, bits=TENS, base=0):
    """The runs of the best chain, as tuples, and its bits."""
    found = alignment.align([MatchedRun(*run) for run in runs], bits, base)
    assert found.words == sum(run.length for run in found.runs)
    return [(run.item, run.document, run.length) for run in found.runs], pytest.approx(found.bits)


def test_a_gap_of_the_document_has_at_most_12_words():
    assert chain((0, 0, 3), (3, 15, 3)) == ([(0, 0, 3), (3, 15, 3)], 60 - 6 - 2 * np.log2(13))
    assert chain((0, 0, 3), (3, 16, 3)) == ([(0, 0, 3)], 30)


def test_a_gap_of_the_item_has_at_most_25_words():
    assert chain((0, 0, 3), (28, 3, 3)) == ([(0, 0, 3), (28, 3, 3)], 60 - 6 - 2 * np.log2(26))
    assert chain((0, 0, 3), (29, 3, 3)) == ([(0, 0, 3)], 30)


def test_words_that_two_runs_share_count_once_in_whichever_text_they_share_more():
    assert chain((0, 0, 5), (3, 4, 4)) == ([(0, 0, 5), (5, 6, 2)], 70 - 6 - 2)
    assert chain((0, 0, 5), (4, 3, 4)) == ([(0, 0, 5), (6, 5, 2)], 70 - 6 - 2)
    assert chain((0, 0, 5), (3, 2, 4)) == ([(0, 0, 5), (6, 5, 1)], 60 - 6 - 2)
    assert chain((0, 0, 5), (3, 2, 3)) == ([(0, 0, 5)], 50)  # nothing is left of it


@pytest.mark.parametrize("second", [(0, 3, 9), (3, 0, 9)])
def test_a_run_from_the_same_word_on_follows_nothing(second):
    assert chain((0, 0, 3), second, bits=OPENERS) == ([second], 20 + 15 + 7)


def test_of_the_runs_of_a_chain_the_item_begins_at_its_base():
    bits = surprisal.WordSurprisal(*(np.arange(40.0) ** 2 for _ in range(3)))
    assert chain((1, 0, 3), (5, 4, 2), bits=bits, base=7) == ([(1, 0, 3), (5, 4, 2)], 64 + 81 + 100 - 6 + 144 + 169)


def test_of_too_many_runs_the_longest_are_chained(monkeypatch):
    runs = (0, 0, 3), (4, 4, 5), (10, 10, 4)
    assert chain(*runs)[0] == list(runs)
    monkeypatch.setattr(alignment, "MOST_RUNS", 2)
    assert chain(*runs)[0] == [(4, 4, 5), (10, 10, 4)]


@pytest.mark.parametrize(("look_back", "words"), [(1, 6), (2, 7)])
def test_a_run_follows_only_one_of_the_few_before_it(monkeypatch, look_back, words):
    """The one in between is elsewhere in the item: it can follow nothing, and nothing can follow it."""
    monkeypatch.setattr(alignment, "LOOK_BACK", look_back)
    found, _ = chain((0, 0, 3), (300, 2, 6), (4, 4, 4))
    assert sum(length for _, _, length in found) == words


@settings(deadline=None)
@given(item=st.lists(st.integers(0, 2), max_size=12), document=st.lists(st.integers(0, 2), max_size=12))
def test_runs_are_the_longest_equal_stretches_of_three_words_and_more(item, document):
    shingles = [
        words.hash_shingles(np.array([number + 9 for number in text], np.uint64), alignment.SIZE)
        for text in (item, document)
    ]
    wanted = set()
    for at in range(len(item)):
        for there in range(len(document)):
            if at and there and item[at - 1] == document[there - 1]:
                continue
            length = 0
            while item[at + length : at + length + 1] == document[there + length : there + length + 1] != []:
                length += 1
            if length >= 3:
                wanted.add((at, there, length))
    found = [(run.item, run.document, run.length) for run in alignment.find_runs(*shingles)]
    assert set(found) == wanted and len(found) == len(wanted)
