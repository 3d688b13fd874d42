"""Order statistics per group by passes over bins: the same numbers as sorting, whatever the memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.rundir import quantiles

VALUES = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.0, np.inf, -np.inf, 5e-324, -5e-324]),
)
ROWS = st.lists(st.tuples(VALUES, st.integers(0, 3), st.integers(0, 9)), max_size=60)


def in_batches(rows, weighted, size=7):
    """The rows as a function that gives them in batches, afresh each time."""

    def passes():
        for first in range(0, len(rows), size):
            some = rows[first : first + size]
            weights = np.array([row[2] for row in some], np.int64) if weighted else None
            yield np.array([row[0] for row in some]), np.array([row[1] for row in some], np.int64), weights

    return passes


def by_sorting(rows, group, place, weighted):
    """The value at a place, and the weight below it; None beyond the end."""
    own = sorted((value + 0.0, weight if weighted else 1) for value, of, weight in rows if of == group)
    passed = 0
    for value, weight in own:
        passed += weight
        if passed > place:
            return value, sum(other for less, other in own if less < value)
    return None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 1000])
@settings(deadline=None)  # dozens of passes: slow where others use the machine
@given(rows=ROWS)
def test_a_cut_is_the_number_that_sorting_finds_whatever_the_memory(rows, weighted, kept):
    passes = in_batches(rows, weighted)
    weights = quantiles.sum_weights(passes, 4)
    wanted = {group: sorted({0, int(weights[group]) // 3, max(0, int(weights[group]) - 1)}) for group in range(4)}
    found = quantiles.find_cuts(passes, wanted, kept)
    for group, places in wanted.items():
        for place in places:
            expected, cut = by_sorting(rows, group, place, weighted), found.get((group, place))
            assert (None if cut is None else (cut.value, cut.below)) == expected


def test_many_groups_are_as_exact_as_few():
    drawn = np.random.default_rng(1)
    rows = list(zip(drawn.normal(size=4000), drawn.integers(0, 900, 4000).tolist(), [1] * 4000, strict=True))
    passes = in_batches(rows, weighted=False, size=512)
    found = quantiles.find_cuts(passes, {group: [1] for group in range(900)}, kept=10)
    for group in range(900):
        own = sorted(value for value, of, _ in rows if of == group)
        assert (found[group, 1].value if len(own) > 1 else found.get((group, 1))) == (own[1] if len(own) > 1 else None)


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_quantiles_are_those_of_numpy(values):
    rows, shares = [(value, 0, 1) for value in values], [0.0, 0.25, 0.5, 1.0]
    found = quantiles.compute_quantiles(
        in_batches(rows, weighted=False), [0, 1], shares, np.array([len(values), 0]), kept=4
    )
    assert found[0] == pytest.approx(np.quantile(values, shares), rel=1e-12, abs=1e-9)
    assert np.isnan(found[1]).all()
    counted = quantiles.compute_quantiles(in_batches(rows, weighted=False), [0, 1], shares, kept=4)
    assert counted[0] == found[0] and np.isnan(counted[1]).all()


def test_a_quantile_between_equal_infinities_is_infinite_and_of_nothing_is_nan():
    values = [1.0, np.inf, np.inf]
    assert quantiles.interpolate(values.__getitem__, 3, 0.75) == np.inf
    assert np.isnan(quantiles.interpolate(values.__getitem__, 0, 0.5))
    assert quantiles.ranks_around(3, [0.0, 0.75, 1.0]) == [0, 1, 2] and quantiles.ranks_around(0, [0.5]) == []
    assert quantiles.pick_ranks(np.array([3.0, 1.0, 2.0]), [2, 0]) == [3.0, 1.0]
    assert quantiles.pick_ranks(np.zeros(0), []) == []


def test_keys_follow_the_order_of_the_numbers_and_give_them_back():
    values = np.array([-np.inf, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, np.inf])
    keys = quantiles.keys_of(values)
    assert (np.diff(keys.astype(object)) > 0).all()
    assert [quantiles.value_of(int(key)) for key in keys] == values.tolist()
    assert quantiles.keys_of(np.array([-0.0]))[0] == quantiles.keys_of(np.array([0.0]))[0]


def test_weights_beyond_what_floats_count_are_exact():
    heavy = np.array([(1 << 52) + 1, (1 << 52) + 1, 1], np.int64)
    assert quantiles.count_weights(np.array([0, 0, 1]), heavy, 2).tolist() == [(1 << 53) + 2, 1]
