"""Alignment chains runs of equal words in order and prices gaps."""

import numpy as np
import pytest

from curate.matching import words
from curate.stages.decontaminate import alignment, surprisal


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
