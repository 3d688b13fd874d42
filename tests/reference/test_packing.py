"""Every position is predicted once, from what its window says; packs lose nothing and waste little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.reference.packing import WindowPolicy, batch_windows, cut_windows, fit_size, pack_fixed, pack_windows


@st.composite
def policies(draw):
    window = draw(st.integers(1, 12))
    overlap = draw(st.integers(0, window - 1))
    return WindowPolicy(window, overlap, draw(st.booleans()), draw(st.booleans()))


@given(st.integers(0, 80), policies(), st.integers(1, 20))
def test_every_position_from_the_first_scored_one_is_scored_exactly_once(length, policy, first):
    scored = [i for _, stop, score_from in cut_windows(length, policy, first) for i in range(score_from, stop)]
    assert scored == list(range(first, length))


@given(st.integers(0, 80), policies())
def test_no_window_reads_more_than_the_model_can_and_each_scored_token_sees_its_left_neighbour(length, policy):
    for start, stop, score_from in cut_windows(length, policy):
        assert 1 <= stop - 1 - start <= policy.window
        assert start < score_from


@given(st.integers(2, 80), policies())
def test_a_later_window_rereads_exactly_the_overlap(length, policy):
    windows = cut_windows(length, policy)
    for start, stop, score_from in windows[1:]:
        if policy.fill_last and stop == length:
            assert stop - 1 - start == policy.window
        else:
            assert score_from - 1 - start == policy.overlap


def test_the_windows_of_a_known_text():
    policy = WindowPolicy(window=4)
    assert cut_windows(11, policy).tolist() == [[0, 5, 1], [4, 9, 5], [8, 11, 9]]
    assert cut_windows(11, WindowPolicy(4, fill_last=True)).tolist() == [[0, 5, 1], [4, 9, 5], [6, 11, 9]]
    assert cut_windows(8, WindowPolicy(4, overlap=2)).tolist() == [[0, 5, 1], [2, 7, 5], [4, 8, 7]]
    assert cut_windows(1, policy).shape == (0, 3)


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(1, 64))
def test_packs_are_a_partition_and_none_overflows_unless_one_window_does(lengths, capacity):
    lengths = np.array(lengths, dtype=np.int64)
    packs = pack_windows(lengths, capacity)
    assert sorted(i for found in packs for i in found) == list(range(len(lengths)))
    assert all(lengths[found].sum() <= capacity or len(found) == 1 for found in packs)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=300))
def test_best_fit_leaves_at_most_one_pack_less_than_half_full(lengths):
    """Two packs under half full would have been one: the second's windows all fit into the first."""
    lengths = np.array(lengths, dtype=np.int64)
    fill = sorted(int(lengths[found].sum()) for found in pack_windows(lengths, 20))
    assert all(total > 10 for total in fill[1:])


@given(st.lists(st.integers(1, 30), max_size=100), st.integers(1, 90), st.booleans())
def test_batches_are_a_partition_within_their_places(lengths, capacity, equal):
    lengths = np.array(lengths, dtype=np.int64)
    batches = batch_windows(lengths, capacity, equal)
    assert sorted(i for found in batches for i in found) == list(range(len(lengths)))
    for found in batches:
        assert lengths[found].max() * len(found) <= capacity or len(found) == 1
        assert not equal or len(set(lengths[found].tolist())) == 1


@pytest.mark.parametrize("wrong", [{"window": 0}, {"window": 4, "overlap": 4}, {"window": 4, "max_tokens": 0}])
def test_a_policy_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError):
        WindowPolicy(**wrong)


@given(st.lists(st.integers(1, 200), max_size=80), st.sampled_from([(64, 16, 4), (100, 25), (256, 64, 16), (7,)]))
def test_every_window_is_in_one_pack_and_packs_of_many_sizes_waste_less_than_of_one(lengths, sizes):
    lengths = np.array(lengths, np.int64)
    found = pack_fixed(lengths, sizes)
    assert sorted(np.concatenate(found).tolist() if found else []) == list(range(len(lengths)))
    places = [fit_size(int(lengths[one].sum()), sizes) for one in found]
    whole = [fit_size(int(lengths[one].sum()), sizes[:1]) for one in pack_windows(lengths, sizes[0])]
    assert sum(places) <= sum(whole)
    for one, size in zip(found, places, strict=True):
        used = int(lengths[one].sum())
        assert used <= size and (size in sizes or (len(one) == 1 and size % sizes[0] == 0 and size - used < sizes[0]))


def test_what_is_left_of_a_batch_takes_small_packs():
    lengths = np.array([60] * 5 + [10])  # 310 of places: one of 256 holds four, then 60 + 10 are left
    found = pack_fixed(lengths, (256, 64, 16))
    assert sorted(fit_size(int(lengths[one].sum()), (256, 64, 16)) for one in found) in ([64, 256], [16, 64, 256])
    assert pack_fixed(np.zeros(0, np.int64), (4,)) == []
    with pytest.raises(ValueError, match="positive and fall"):
        pack_fixed(lengths, (16, 64))
