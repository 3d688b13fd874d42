"""The order of drawing: every beginning is a fair sample, and neither places nor copies have a say in it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sft.datasets.strata import STRATA, cut_strata, distinguish_copies, order_evenly


def examples(count, seed=0, distinct=10**9):
    """Lengths with many ties, and the hashes of contents of which there may be few."""
    generator = np.random.default_rng(seed)
    contents = generator.integers(0, distinct, count)
    hashes = np.random.default_rng(seed + 1).integers(0, 2**63, 1000 if distinct <= 1000 else 1).astype(np.uint64)
    if distinct <= 1000:
        return (contents % 7).astype(np.int64), hashes[contents]
    return contents % 50, generator.integers(0, 2**63, count).astype(np.uint64)


@given(st.integers(0, 300), st.integers(0, 5))
def test_the_order_is_a_permutation(count, seed):
    assert sorted(order_evenly(*examples(count, seed))) == list(range(count))


@given(st.integers(1, 300), st.integers(0, 5))
def test_at_any_point_each_tenth_has_given_its_share_to_within_one(count, seed):
    lengths, hashes = examples(count, seed)
    strata = cut_strata(lengths, distinguish_copies(hashes))
    sizes = np.bincount(strata, minlength=STRATA)
    assert max(sizes) - min(sizes[: min(STRATA, count)]) <= 1
    given_ = np.zeros(STRATA)
    for drawn, place in enumerate(order_evenly(lengths, hashes), 1):
        given_[strata[place]] += 1
        assert np.abs(given_ - sizes * drawn / count).max() <= 1 + 1e-9


def test_the_tenths_are_those_of_the_lengths():
    lengths, hashes = np.arange(100)[::-1].copy(), examples(100)[1]
    assert cut_strata(lengths, hashes).tolist() == [(99 - place) // 10 for place in range(100)]


@pytest.mark.parametrize("distinct", [10**9, 20])
def test_the_place_has_no_say_in_which_contents_are_drawn(distinct):
    lengths, hashes = examples(200, 3, distinct)
    shuffled = np.random.default_rng(9).permutation(200)
    order, again = order_evenly(lengths, hashes), order_evenly(lengths[shuffled], hashes[shuffled])
    for count in (1, 7, 50, 200):
        assert Counter(hashes[order[:count]].tolist()) == Counter(hashes[shuffled][again[:count]].tolist())


def test_copies_are_drawn_apart():
    """100 contents in 10 copies each: 100 draws meet about 100·(1-.9¹⁰) = 65 of them; 10 if copies came along."""
    hashes = np.repeat(examples(100)[1], 10)
    order = order_evenly(np.ones(1000, dtype=np.int64), hashes)
    assert 50 < len(set(hashes[order[:100]].tolist())) < 80
    assert len(set(distinguish_copies(hashes).tolist())) == 1000


def test_two_of_one_content_differ_from_each_other_and_not_by_where_the_rest_lies():
    pair = np.array([5, 5], dtype=np.uint64)
    among = np.array([9, 5, 1, 5, 7], dtype=np.uint64)
    assert distinguish_copies(among)[[1, 3]].tolist() == distinguish_copies(pair).tolist()
