"""Differences of ratios and their intervals: laws, known answers, and coverage in simulations."""

import math

import numpy as np
import pytest
from helpers.simulated_sides import simulate_clusters, simulate_pairs, simulate_samples

from curate.monitoring.compare.contrasts import (
    ApartRatios,
    PairedRatios,
    RatioContrast,
    UnequalRatios,
    draw_known,
    draw_side,
    find_joint_intervals,
    stretch_reach,
)

DIFFERENCE = (-1.0, 1.0)


def chance(seed=0):
    return np.random.default_rng(seed)


def interval_of(group):
    return find_joint_intervals([group.ratios.estimate(DIFFERENCE)])[0]


@pytest.mark.parametrize("simulate", [simulate_pairs, simulate_samples, simulate_clusters])
def test_intervals_contain_the_truth_in_93_to_97_of_100_simulations(simulate):
    shift = 0.02
    ends = [interval_of(simulate(seed, 60, shift)) for seed in range(1000)]
    covered = np.mean([one.low <= shift <= one.high for one in ends])
    assert 0.93 <= covered <= 0.97


def test_joint_intervals_of_ten_groups_of_different_sizes_hold_together():
    held = []
    for seed in range(100):
        sizes = [20 + 20 * number for number in range(10)]
        groups = [simulate_pairs(1000 * seed + number, size, 0.01) for number, size in enumerate(sizes)]
        ends = find_joint_intervals([group.ratios.estimate(DIFFERENCE) for group in groups])
        held.append(all(one.low <= 0.01 <= one.high for one in ends))
    assert 0.91 <= np.mean(held) <= 0.995


def test_a_difference_of_ratios_of_sums_and_its_error_are_those_of_the_formula():
    above, below = np.array([[2.0, 4.0], [1.0, 1.5], [6.0, 5.0], [3.0, 3.5], [2.0, 2.0]]), np.array([2.0, 1, 4, 3, 2])
    found = PairedRatios(above, below, 200, chance()).estimate(DIFFERENCE)
    assert found.value == pytest.approx(16 / 12 - 14 / 12)
    steps = above[:, 1] - above[:, 0]
    residuals = steps - found.value * below
    assert found.error == pytest.approx(math.sqrt((residuals**2).sum() * 5 / 4) / 12)


def test_sides_with_other_tokens_below_are_paired_too_and_agree_with_one_below():
    tokens, rate = np.arange(1.0, 101), 3 + chance().standard_normal(100)
    above = np.stack([tokens * rate, tokens * (rate + 0.1 + 0.02 * chance(1).standard_normal(100))], axis=1)
    equal = PairedRatios(above, tokens, 2000, chance(2)).estimate(DIFFERENCE)
    unequal = UnequalRatios(above, np.stack([tokens, tokens], axis=1), 2000, chance(3)).estimate(DIFFERENCE)
    assert unequal.value == pytest.approx(equal.value)
    assert unequal.error == pytest.approx(equal.error)
    assert unequal.reach == pytest.approx(equal.reach, rel=0.1)


def test_swapped_sides_change_the_sign_alone():
    for simulate in (simulate_pairs, simulate_samples):
        group = simulate(3, 40, 0.02)
        there, back = (group.ratios.estimate(weights) for weights in ((-1.0, 1.0), (1.0, -1.0)))
        assert there.value == -back.value
        first, second = (find_joint_intervals([one])[0] for one in (there, back))
        assert first.low == pytest.approx(-second.high, rel=1e-12)
        assert first.high == pytest.approx(-second.low, rel=1e-12)


def test_equal_sides_differ_by_exactly_nothing_whatever_their_number():
    for count in (1, 2, 300):  # whatever their number
        above = np.repeat(chance(count).random((count, 1)), 2, axis=1)
        found = PairedRatios(above, np.ones(count), 200, chance()).estimate(DIFFERENCE)
        ends = find_joint_intervals([found])[0]
        assert (found.value, ends.low, ends.high) == (0, 0, 0)


def test_few_documents_have_no_interval():
    above = np.array([[1.0, 2.0], [2.0, 2.5], [1.0, 1.0]])
    ends = find_joint_intervals([PairedRatios(above, np.ones(3), 200, chance()).estimate(DIFFERENCE)])[0]
    assert (ends.low, ends.high) == (-math.inf, math.inf)
    one = draw_side(np.array([3.0]), np.array([1.0]), 200, chance())
    many = draw_side(np.arange(50.0), np.ones(50), 200, chance())
    ends = find_joint_intervals([ApartRatios([many, one]).estimate(DIFFERENCE)])[0]
    assert (ends.low, ends.high) == (-math.inf, math.inf)


def test_a_side_of_known_error_is_drawn_as_one_whose_documents_are_there():
    above = chance(5).normal(3, 1, 400)
    other = draw_side(chance(6).normal(3, 1, 400), np.ones(400), 4000, chance(7))
    there = draw_side(above, np.ones(400), 4000, chance(8))
    known = draw_known(there.value, there.squared_error, 400, 4000, chance(9))
    first, second = (ApartRatios([one, other]).estimate(DIFFERENCE) for one in (there, known))
    assert first.value == second.value and first.error == pytest.approx(second.error)
    assert first.reach == pytest.approx(second.reach, rel=0.06)


def test_the_reach_of_a_student_distribution_is_stretched_to_that_of_the_same_distribution():
    from scipy.special import stdtrit

    for freedom in (3, 10, 50):
        assert stretch_reach(stdtrit(freedom, 0.975), 0.999) == pytest.approx(stdtrit(freedom, 0.9995), rel=1e-6)
    assert stretch_reach(1.959963985, 0.999) == pytest.approx(3.2905, rel=1e-3)
    assert stretch_reach(1.0, 0.999) == pytest.approx(3.2905 / 1.95996, rel=1e-3)


def test_a_group_without_an_error_or_an_interval_widens_no_other():
    certain = RatioContrast(0.5, 0.1, 2.0, np.zeros(1))
    alone = find_joint_intervals([certain])[0]
    others = [RatioContrast(0.0, 0.0, 0.0, np.zeros(1)), RatioContrast(0.0, 1.0, math.inf, np.zeros(1))]
    assert find_joint_intervals([certain, *others])[0] == alone
    assert find_joint_intervals([certain, certain])[0].high > alone.high


def test_steps_of_a_series_add_up_to_the_difference_of_its_ends():
    above = chance(4).random((50, 4)).cumsum(axis=1)
    ratios = PairedRatios(above, np.ones(50), 200, chance())
    jumps = [ratios.estimate([-1.0 if k == s else 1.0 if k == s + 1 else 0.0 for k in range(4)]) for s in range(3)]
    whole = ratios.estimate((-1.0, 0, 0, 1.0))
    assert whole.value == pytest.approx(sum(one.value for one in jumps))
    assert np.allclose(whole.draws_B, sum(one.draws_B for one in jumps))


def test_one_document_that_differs_has_no_interval_and_an_equal_shift_of_many_has_one_number():
    for count, width in ((1, math.inf), (4, math.inf), (30, 0.0)):
        tokens = np.arange(1.0, count + 1)
        above = np.stack([tokens * 3, tokens * 3 + tokens * 0.1], axis=1)
        for ratios in (
            PairedRatios(above, tokens, 200, chance()),
            UnequalRatios(above, np.stack([tokens, tokens], axis=1), 200, chance()),
        ):
            ends = find_joint_intervals([ratios.estimate(DIFFERENCE)])[0]
            assert ends.high - ends.low == width
