"""Order statistics at the edges: weights that floats do not count, bins that split, ties, positions beyond the end."""

import numpy as np
import pytest

from curate.rundir import quantiles
from curate.rundir.quantiles import QuantileCut


def passes_of(values, group=None, weights=None, batches=2):
    """A function that gives the numbers in a few batches, and counts how often it was called."""
    calls = []
    group = [0] * len(values) if group is None else group

    def passes():
        calls.append(1)
        for part in np.array_split(np.arange(len(values)), batches):
            some = None if weights is None else np.array(weights, np.int64)[part]
            yield np.array(values, float)[part], np.array(group, np.int64)[part], some

    passes.calls = calls
    return passes


def test_the_weight_of_each_group_is_the_sum_of_its_batches():
    values, group = [1.0, 2.0, 3.0, 4.0, 5.0], [0, 2, 0, 2, 2]
    assert quantiles.sum_weights(passes_of(values, group), 4).tolist() == [2, 0, 3, 0]
    found = quantiles.sum_weights(passes_of(values, group, [1, 2, 4, 8, 16]), 4)
    assert found.tolist() == [5, 0, 26, 0] and found.dtype == np.int64
    assert quantiles.sum_weights(passes_of(values, group), 1).tolist() == [2]  # the others are not asked for


@pytest.mark.parametrize("heavy", [(1 << 32) - 1, 1 << 32, (1 << 32) + 7, (1 << 53) - 1, (1 << 53) + 1, (1 << 60) + 1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_weights_are_counted_exactly_however_large(heavy, count):
    weights = np.array([heavy] * count + [1], np.int64)
    for size, more in ((0, []), (1, []), (4, [0])):  # of the bins there are at least as many as asked for
        found = quantiles.count_weights(np.array([2] * count + [0]), weights, size)
        assert found.tolist() == [1, 0, heavy * count, *more] and found.dtype == np.int64


def test_bins_are_counted_where_there_are_no_weights_or_no_bins():
    assert quantiles.count_weights(np.array([1, 1, 3]), None, 2).tolist() == [0, 2, 0, 1]
    assert quantiles.count_weights(np.array([1]), None, 3).tolist() == [0, 1, 0]
    nothing = quantiles.count_weights(np.zeros(0, np.int64), np.zeros(0, np.int64), 2)
    assert nothing.tolist() == [0, 0] and nothing.dtype == np.int64
    assert quantiles.count_weights(np.zeros(0, np.int64), None, 2).dtype == np.int64


@pytest.mark.parametrize("kept", [0, 1, 2, 1000])
def test_a_position_counts_the_weight_that_lies_below_it(kept):
    """5 has the positions 0 to 2, 7 those of 3 to 7 (twice), 9 that of 8; 9 and more are beyond the end."""
    passes = passes_of([7.0, 9.0, 5.0, 7.0, 6.0], None, [2, 1, 3, 3, 0], batches=3)
    found = quantiles.find_cuts(passes, {0: range(11)}, kept)
    five, seven, nine = QuantileCut(5.0, 0), QuantileCut(7.0, 3), QuantileCut(9.0, 8)
    wanted = dict.fromkeys(range(3), five) | dict.fromkeys(range(3, 8), seven) | {8: nine}
    assert found == {(0, position): cut for position, cut in wanted.items()}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kept", [0, 5, 1000])
def test_numbers_whose_keys_begin_alike_are_told_apart(kept, weighted):
    """They differ in the last bits alone, so that every pass but the last finds one bin."""
    base = 1.0 + np.arange(9) * 2.0**-52
    values = np.concatenate([base[::-1], base])
    passes = passes_of(values, None, [1] * 18 if weighted else None)
    found = quantiles.find_cuts(passes, {0: range(18), 3: [0]}, kept)
    assert found == {(0, at): QuantileCut(float(base[at // 2]), at // 2 * 2) for at in range(18)}


def test_groups_without_positions_and_positions_without_numbers_have_no_answer():
    passes = passes_of([1.0, 2.0], [0, 1])
    assert quantiles.find_cuts(passes, {}) == {} and quantiles.find_cuts(passes, {0: []}) == {}
    assert quantiles.find_cuts(passes, {5: [0], 2: [1]}) == {}
    assert quantiles.find_cuts(passes_of([], batches=1), {0: [0]}) == {}
    assert quantiles.find_cuts(list, {0: [0]}) == {}
    assert quantiles.find_cuts(passes, {1: [0, 0], 7: [0]}) == {(1, 0): QuantileCut(2.0, 0)}


@pytest.mark.parametrize(("kept", "calls"), [(10, 2), (9, 3)])
def test_as_soon_as_the_numbers_that_hold_an_answer_are_few_enough_one_pass_fetches_them(kept, calls):
    """Ten of the twenty numbers share their first 16 bits with the median, all of them its first 32."""
    values = [*(1.0 + np.arange(10) * 2.0**-30), *range(2, 12)]
    passes = passes_of(values)
    assert quantiles.find_cuts(passes, {0: [4]}, kept) == {(0, 4): QuantileCut(1.0 + 4 * 2.0**-30, 4)}
    assert len(passes.calls) >= calls and (len(passes.calls) == 2) is (kept == 10)


@pytest.mark.parametrize("counters", [1, 64, 1 << 22])
def test_however_few_bins_may_be_counted_the_answers_are_the_same(monkeypatch, counters):
    """With few of them the bins of a number are found by searching, else in a table."""
    monkeypatch.setattr(quantiles, "COUNTERS", counters)
    drawn = np.random.default_rng(3)
    values, group = drawn.normal(size=60), drawn.integers(0, 5, 60)
    found = quantiles.find_cuts(passes_of(values, group), {number: [0, 3, 6] for number in range(5)}, kept=0)
    wanted = {}
    for number in range(5):
        own = np.sort(values[group == number])
        wanted |= {(number, at): QuantileCut(float(own[at]), at) for at in (0, 3, 6) if at < len(own)}
    assert found == wanted


@pytest.mark.parametrize(("size", "share"), [(1, 0.0), (1, 1.0), (2, 0.5), (5, 0.25), (5, 0.3), (5, 1.0), (10, 0.99)])
def test_a_quantile_is_that_of_numpy_and_needs_the_ranks_around_it_alone(size, share):
    values = np.arange(size) ** 2.0
    asked = []

    def value_at(rank):
        asked.append(rank)
        return float(values[rank])

    assert quantiles.interpolate(value_at, size, share) == pytest.approx(np.quantile(values, share))
    assert sorted(set(asked)) == quantiles.ranks_around(size, [share])


def test_quantiles_of_groups_are_found_with_and_without_their_counts_and_in_the_order_asked_for():
    values, group = [4.0, 1.0, 3.0, 2.0, 7.0], [0, 0, 0, 0, 2]
    passes = passes_of(values, group)
    for counts in (None, np.array([4, 0, 1, 0])):
        found = quantiles.compute_quantiles(passes, [2, 0, 3], [1.0, 0.5, 0.0], counts)
        assert (found[0], found[2]) == ([4.0, 2.5, 1.0], [7.0] * 3) and np.isnan(found[3]).all()
    assert quantiles.compute_quantiles(passes, [], [0.5]) == {}
