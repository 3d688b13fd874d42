"""Groups say exactly which datasets are not told apart; two models' rankings are compared beyond chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from curate.sft.ranking.agreement import (
    bound_agreement,
    compare_with_length,
    compute_tau,
    count_reversals,
    find_changes,
    group_datasets,
    join_few,
    label_groups,
)

CHAIN = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)  # a like b, b like c, a unlike c


def make_draws(values, error, generator, count=300):
    return np.asarray(values) + generator.normal(0, error, (count, len(values)))


def test_a_chain_gives_two_groups_that_overlap():
    assert group_datasets([0, 1, 2], CHAIN) == [(0, 1), (1, 2)]
    assert label_groups(group_datasets([0, 1, 2], CHAIN), 3) == ["a", "ab", "b"]


def test_groups_of_all_apart_and_of_all_alike():
    assert group_datasets([2, 0, 1], ~np.eye(3, dtype=bool)) == [(2,), (0,), (1,)]
    assert label_groups(group_datasets([2, 0, 1], ~np.eye(3, dtype=bool)), 3) == ["b", "c", "a"]
    assert group_datasets([2, 0, 1], np.zeros((3, 3), bool)) == [(2, 0, 1)]
    assert group_datasets([], np.zeros((0, 0), bool)) == [] and label_groups([], 0) == []


def test_an_uncertain_dataset_is_like_both_ends_though_a_sure_one_lies_between():
    apart = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    assert group_datasets([0, 1, 2], apart) == [(0, 2), (1, 2)]


@given(st.integers(1, 7), st.data())
def test_two_datasets_share_a_letter_if_and_only_if_they_are_not_told_apart(count, data):
    upper = np.triu_indices(count, 1)
    apart = np.zeros((count, count), bool)
    apart[upper] = data.draw(st.lists(st.booleans(), min_size=len(upper[0]), max_size=len(upper[0])))
    apart |= apart.T
    order = data.draw(st.permutations(range(count)))
    groups = group_datasets(order, apart)
    labels = label_groups(groups, count)
    assert all((not set(labels[i]) & set(labels[j])) == apart[i, j] for i in range(count) for j in range(count))
    assert all(labels) and not any(set(one) < set(other) for one in groups for other in groups)
    for held in groups:  # maximal
        assert all(apart[one, list(held)].any() for one in range(count) if one not in held)


def test_equally_sure_datasets_are_grouped_in_runs_of_their_order():
    values = np.array([0.0, 1.0, 1.5, 2.5, 6.0])
    apart = np.abs(values[:, None] - values) > 1.6
    assert group_datasets(range(5), apart) == [(0, 1, 2), (1, 2, 3), (4,)]


def test_more_groups_than_letters_are_numbered():
    labels = label_groups(group_datasets(range(60), ~np.eye(60, dtype=bool)), 60)
    assert labels[0] == "a" and labels[51] == "Z" and labels[52] == "(53)" and len(set(labels)) == 60


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_agreement_is_kendalls_tau_b(pairs):
    first, second = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    if np.ptp(first) and np.ptp(second):
        assert compute_tau(first, second) == pytest.approx(kendalltau(first, second).statistic)
    else:
        assert math.isnan(compute_tau(first, second))


def test_agreement_is_of_the_datasets_that_both_sides_have():
    assert compute_tau(np.array([1.0, 2.0, math.nan, 3.0]), np.array([1.0, 2.0, 0.0, 9.0])) == 1.0
    assert compute_tau(np.array([1.0, 2.0]), np.array([2.0, 1.0])) == -1.0
    assert math.isnan(compute_tau(np.array([1.0, math.nan]), np.array([1.0, 2.0])))


def test_the_interval_of_agreement_is_one_for_the_same_draws_and_wide_for_noise():
    generator = np.random.default_rng(0)
    draws = make_draws([1.0, 2.0, 3.0, 4.0], 0.5, generator)
    assert bound_agreement(draws, draws) == (1.0, 1.0)
    low, high = bound_agreement(draws, make_draws([1.0, 1.0, 1.0, 1.0], 0.5, generator))
    assert low < 0 < high < 1.0001
    with_nan = np.column_stack([draws, np.full(len(draws), math.nan)])
    assert bound_agreement(with_nan, with_nan) == (1.0, 1.0)
    assert np.isnan(bound_agreement(with_nan[:, 3:], with_nan[:, 3:])).all()


def test_only_the_pair_that_really_changed_is_listed_with_its_winners():
    generator = np.random.default_rng(1)
    values_a, values_b = np.array([1.0, 2.0, 5.0, 5.01]), np.array([2.0, 1.0, 5.01, 5.0])
    draws_a, draws_b = (make_draws(values, 0.05, generator) for values in (values_a, values_b))
    (change,) = find_changes(values_a, draws_a, values_b, draws_b)
    assert (change.first, change.second) == (0, 1) and change.p_value < 1e-6
    assert count_reversals(values_a, values_b) == 2
    (back,) = find_changes(values_b, draws_b, values_a, draws_a)
    assert (back.first, back.second) == (1, 0)


def test_a_change_takes_certainty_on_both_sides():
    generator = np.random.default_rng(2)
    values_a, values_b = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    sure, unsure = make_draws(values_a, 0.05, generator), make_draws(values_b, 2.0, generator)
    assert find_changes(values_a, sure, values_b, unsure) == find_changes(values_b, unsure, values_a, sure) == []
    assert find_changes(values_a, sure, values_b, np.full((300, 2), math.nan)) == []


def test_changes_are_held_over_all_pairs():
    generator = np.random.default_rng(3)
    several = np.array([1.0, 1.0 + 2.4 * math.sqrt(2), *range(20, 30)])
    other = several[[1, 0, *range(2, 12)]]
    draws_a, draws_b = (make_draws(values, 1.0, generator, 2000) for values in (several, other))
    assert find_changes(several[:2], draws_a[:, :2], other[:2], draws_b[:, :2])  # premise: alone, z = 2.4 is enough
    assert find_changes(several, draws_a, other, draws_b) == []


def test_among_equal_datasets_a_change_is_rarely_claimed():
    generator = np.random.default_rng(5)
    claimed = 0
    for _ in range(200):
        values_a, values_b = generator.normal(size=(2, 6))  # premise: no differences but the samples'
        draws = make_draws(values_a, 1.0, generator, 100), make_draws(values_b, 1.0, generator, 100)
        claimed += bool(find_changes(values_a, draws[0], values_b, draws[1]))
    assert claimed / 200 < 0.05


def test_permuted_datasets_have_the_same_changes_and_agreement():
    generator = np.random.default_rng(4)
    values_a, values_b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    draws_a, draws_b = (make_draws(values, 0.05, generator) for values in (values_a, values_b))
    permuted = np.array([2, 0, 1])
    plain = find_changes(values_a, draws_a, values_b, draws_b)
    moved = find_changes(values_a[permuted], draws_a[:, permuted], values_b[permuted], draws_b[:, permuted])
    assert {(one.first, one.second) for one in plain} == {(permuted[one.first], permuted[one.second]) for one in moved}
    assert len(plain) == 3 and compute_tau(values_a, values_b) == -1.0
    assert compute_tau(values_a[permuted], values_b[permuted]) == -1.0


@pytest.mark.parametrize(
    ("values", "lengths", "correlation", "p_value", "is_by_length"),
    [
        ([1, 2, 3], [30, 20, 10], -1.0, 1 / 3, True),
        ([1, 2, 3, 4], [10, 20, 40, 30], 0.8, 1 / 3, False),
        ([1, 2, 3, 4, 5], [10, 20, 30, 50, 40], 0.9, 1 / 12, True),
        ([1, 2, 3, 4, 5], [30, 10, 50, 20, 40], 0.3, 0.683, False),
        ([1, 2], [10, 20], math.nan, math.nan, False),
        ([], [], math.nan, math.nan, False),
        ([1, 1, 1], [10, 20, 30], math.nan, math.nan, False),
    ],
)
def test_an_order_is_one_of_length_where_chance_is_no_likely_reason(
    values, lengths, correlation, p_value, is_by_length
):
    found = compare_with_length(np.array(values, float), np.array(lengths, float))
    assert found.correlation == pytest.approx(correlation, nan_ok=True)
    assert found.p_value == pytest.approx(p_value, abs=0.001, nan_ok=True) and found.is_by_length == is_by_length


def test_the_order_of_many_datasets_is_compared_with_random_orders():
    values = np.arange(12.0)
    found = compare_with_length(values, np.array([1, 0, *range(2, 12)], float))
    assert found.correlation == pytest.approx(0.993, abs=0.001) and found.p_value < 0.001 and found.is_by_length


def test_a_dataset_of_few_examples_has_no_letter_that_it_does_not_share():
    """Premise: by the numbers alone, all three are told apart."""
    apart_DD = ~np.eye(3, dtype=bool)
    groups = group_datasets([0, 1, 2], join_few(apart_DD, [False, True, False]))
    assert label_groups(groups, 3) == ["a", "ab", "b"]
