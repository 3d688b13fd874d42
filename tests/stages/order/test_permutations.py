"""Small orders worked by hand, shares counted in tokens, jitter, and strata that go equally far."""

import numpy as np
from helpers.schedules import arranged, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.order import permutations
from curate.stages.order.permutations import random_bits


def test_a_seed_means_the_same_order_on_every_machine():
    assert permutations.shuffle(8, random_bits(0)).tolist() == SHUFFLED


SHUFFLED = [3, 2, 1, 6, 0, 7, 4, 5]


# Small answers, worked by hand.


def test_fold_takes_every_third_rank_then_the_next():
    assert arranged("fold", [1] * 8).tolist() == [0, 3, 6, 1, 4, 7, 2, 5]


def test_zigzag_turns_every_second_rise():
    assert arranged("zigzag", [1] * 8, folds=3).tolist() == [0, 3, 6, 7, 4, 1, 2, 5]


def test_stair_folds_a_band_around_the_middle():
    # ± .225 of 20 around rank 10: ranks 6 … 14 (5.5 and 14.5 rounded up)
    band = [6, 9, 12, 7, 10, 13, 8, 11, 14]
    assert arranged("stair", [1] * 20).tolist() == [0, 1, 2, 3, 4, 5, *band, *range(15, 20)]


def test_saw_zigzags_a_band_around_each_third():
    # ± .075 of 40 around 13.33 and 26.67: ranks 10 … 15 and 24 … 29 (10.33, 16.33; 23.67, 29.67)
    first, second = [10, 12, 14, 15, 13, 11], [24, 26, 28, 29, 27, 25]
    expected = [*range(10), *first, *range(16, 24), *second, *range(30, 40)]
    assert arranged("saw", [1] * 40).tolist() == expected


def test_segments_are_shares_of_the_tokens_not_of_the_documents():
    # 100 tokens: the lowest tenth are five documents of two tokens, the highest tenth is one document of ten
    tokens = [2] * 5 + [10] * 9
    found = arranged("segment", tokens).tolist()
    assert (set(found[:5]), found[-1], set(found[5:-1])) == (set(range(5)), 13, set(range(5, 13)))


def test_competence_opens_one_document_after_the_other_by_the_square_root():
    # four equal documents, c₀ → 0: c(0) opens the first; c(¼) = ½ two, with c₀ three; c(½) = .71 three; c(¾) = .87 four
    for seed in range(20):
        found = arranged("competence", [1] * 4, seed, start=0.0).tolist()
        assert found == [0, 1, 2, 3]
        wider = arranged("competence", [1] * 4, seed, start=0.01).tolist()
        assert wider[0] == 0 and wider[3] == 3
    assert {tuple(arranged("competence", [1] * 4, seed).tolist()) for seed in range(20)} == {(0, 1, 2, 3), (0, 2, 1, 3)}


@settings(max_examples=40, deadline=None)
@given(tokens=weights, start=st.sampled_from([0.0, 0.01, 0.3, 1.0]), seed=st.integers(0, 99))
def test_no_document_is_drawn_before_the_competence_reaches_it(tokens, start, seed):
    found = permutations.pace(tokens, random_bits(seed), start)
    total, starts = int(tokens.sum()), np.cumsum(tokens) - tokens
    read, highest = 0, -1
    for place, rank in enumerate(found.tolist()):
        # The competence is looked at anew after each thousandth of the tokens, and only grows: what was eligible when
        # it was looked at is eligible now. The only other document is the easiest left, where nothing is eligible.
        share = np.sqrt(read / total * (1 - start**2) + start**2) if total else 1.0
        assert starts[rank] < np.ceil(share * total) or (rank == place and highest == place - 1)
        read, highest = read + int(tokens[rank]), max(highest, rank)


def test_a_competence_of_one_from_the_start_is_a_shuffle():
    firsts = {int(permutations.pace(np.ones(9, np.int64), random_bits(seed), 1.0)[0]) for seed in range(60)}
    assert firsts == set(range(9))


def test_a_warm_up_is_easy_in_its_share_of_the_tokens_and_shuffled_after():
    tokens = np.full(10_000, 5)
    found = permutations.warm_up(tokens, random_bits(1), 0.2)
    tenths = [found[begin : begin + 100].mean() for begin in (0, 500, 1_000, 1_900)]
    assert tenths == sorted(tenths) and tenths[0] < 1_500
    rest = [found[begin : begin + 2_000].mean() for begin in range(2_000, 10_000, 2_000)]
    assert max(rest) - min(rest) < 400


def test_every_order_is_equally_likely():
    counts = {}
    for seed in range(3_000):
        order = tuple(permutations.shuffle(3, random_bits(seed)).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6 and min(counts.values()) > 400


# Jitter and strata.


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 200), window=st.integers(1, 70), seed=st.integers(0, 99))
def test_jitter_moves_nothing_by_more_than_its_window(count, window, seed):
    order = np.arange(count)
    permutations.jitter(order, window, random_bits(seed))
    assert sorted(order.tolist()) == list(range(count))
    assert all(place // window == rank // window for place, rank in enumerate(order.tolist()))


def test_jitter_moves_a_last_window_that_is_shorter_and_leaves_it_in_its_place():
    """Four numbers of the last window: of 200 seeds one in 24 leaves them as they are."""
    orders = []
    for seed in range(200):
        order = np.arange(20)
        permutations.jitter(order, 16, random_bits(seed))
        assert sorted(order[16:].tolist()) == [16, 17, 18, 19]
        orders.append(tuple(order[16:].tolist()))
    assert len(set(orders)) == 24
    assert orders.count((16, 17, 18, 19)) < 30


def test_jitter_moves_things():
    order = np.arange(64)
    permutations.jitter(order, 16, random_bits(0))
    assert order.tolist() != list(range(64))


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=80))
def test_strata_go_equally_far_but_for_one_document(data):
    tokens, codes = (np.array(column) for column in zip(*data, strict=True))
    orders = [np.flatnonzero(codes == code) for code in range(4) if (codes == code).any()]
    merged = permutations.merge(orders, tokens)
    assert sorted(merged.tolist()) == list(range(len(tokens)))
    for order in orders:
        assert [rank for rank in merged.tolist() if rank in set(order.tolist())] == order.tolist()
    for end in range(len(merged) + 1):
        gone = [tokens[np.isin(np.arange(len(tokens)), merged[:end]) & np.isin(np.arange(len(tokens)), order)].sum()
                / tokens[order].sum() for order in orders]  # fmt: skip
        slack = [tokens[order].max() / tokens[order].sum() for order in orders]
        assert all(abs(a - b) <= (x + y) / 2 + 1e-9 for a, x in zip(gone, slack) for b, y in zip(gone, slack))  # noqa: B905
