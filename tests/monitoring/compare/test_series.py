"""Series of steps: slopes, jumps, changes, and how often a series that does not change looks as if it did."""

import math

import numpy as np
import pytest
from helpers.simulated_sides import METRIC, draw_documents, stack_units

from curate.monitoring.compare.groups import Drawing, measure_apart, measure_pairs
from curate.monitoring.compare.series import find_change, make_jump_weights, make_rows, make_slope_weights
from curate.monitoring.compare.verdicts import parse_tolerance

STEPS = 6


def sample_series(seed, shifts, count=150):
    """A series of samples; the step k needs ``shifts[k]`` nats a token more."""
    chance = np.random.default_rng(seed)
    documents = [draw_documents(chance, count) for _ in shifts]
    units = [stack_units((tokens, rate + shift)) for (tokens, rate), shift in zip(documents, shifts, strict=True)]
    return measure_apart("g", units, Drawing(METRIC, 300, seed))


def paired_series(seed, shifts, count=150):
    """A series of models that read the same documents."""
    chance = np.random.default_rng(seed)
    tokens, rate = draw_documents(chance, count)
    sides = [(tokens, rate + shift + 0.02 * chance.standard_normal(count)) for shift in shifts]
    return measure_pairs("g", stack_units(*sides), (count,) * len(shifts), Drawing(METRIC, 300, seed))


def test_the_slope_is_that_of_least_squares():
    levels = np.array([3.0, 2.5, 2.7, 2.0, 1.5])
    assert np.dot(make_slope_weights(np.ones(5, bool)), levels) == pytest.approx(np.polyfit(np.arange(5), levels, 1)[0])
    there = np.array([True, True, False, True, True])
    expected = np.polyfit(np.arange(5)[there], levels[there], 1)[0]
    assert np.dot(make_slope_weights(there), levels) == pytest.approx(expected)
    assert [np.dot(each, levels) for each in make_jump_weights(5)] == pytest.approx(np.diff(levels))


@pytest.mark.parametrize("make", [sample_series, paired_series])
def test_intervals_of_slopes_contain_the_truth(make):
    slope, covered = 0.004, []
    for seed in range(100):
        found = make(seed, [slope * step for step in range(STEPS)])
        row = make_rows([found], METRIC, None)[0]
        covered.append(row.slope_low <= slope <= row.slope_high)
    assert np.mean(covered) >= 0.94, "they hold together with five jumps, so that each holds more often"


@pytest.mark.parametrize("make", [sample_series, paired_series])
def test_a_series_without_a_change_has_one_in_at_most_5_of_100(make):
    found = [make_rows([make(seed, [0.0] * STEPS)], METRIC, None)[0].since for seed in range(200)]
    assert np.mean([since is not None for since in found]) <= 0.06


def test_a_change_is_found_at_its_step_and_the_jump_is_named():
    shifts = [0, 0, 0, 0.1, 0.1, 0.1]
    row = make_rows([paired_series(1, shifts)], METRIC, parse_tolerance("2%"))[0]
    assert row.since == 3 and row.p_value < 0.05
    assert row.crossed == [3] and row.verdict == "beyond"
    assert row.jumps[2].change == pytest.approx(math.expm1(0.1), abs=0.02)


def test_a_slow_drift_is_in_the_slope_and_in_no_jump():
    row = make_rows([paired_series(2, [0.01 * step for step in range(STEPS)])], METRIC, parse_tolerance("0.5%"))[0]
    assert row.slope_low > parse_tolerance("0.5%").half_width and row.verdict == "beyond"
    row = make_rows([paired_series(2, [0.01 * step for step in range(STEPS)])], METRIC, parse_tolerance("3%"))[0]
    assert row.verdict == "within" and not row.crossed


def test_a_series_that_does_not_move_has_no_slope_and_no_change():
    tokens, rate = draw_documents(np.random.default_rng(0), 30)
    found = measure_pairs("g", stack_units(*[(tokens, rate)] * 4), (30,) * 4, Drawing(METRIC, 300, 0))
    row = make_rows([found], METRIC, parse_tolerance("0.1%"))[0]
    assert (row.slope, row.slope_low, row.slope_high, row.since) == (0, 0, 0, None)
    assert row.verdict == "within" and row.p_value == 1
    for count in (3, 5, 7):
        one = measure_pairs("g", stack_units(*[(tokens, rate)] * count), (30,) * count, Drawing(METRIC, 300, 0))
        assert make_rows([one], METRIC, None)[0].since is None, "rounding is no change"


def test_a_group_that_is_missing_at_a_step_is_unmeasured():
    full, empty = stack_units(draw_documents(np.random.default_rng(0), 30)), np.zeros((0, 4))
    found = measure_apart("g", [full, empty, full], Drawing(METRIC, 300, 0))
    row = make_rows([found], METRIC, parse_tolerance("50%"))[0]
    assert row.verdict == "unmeasured" and row.slope == 0 and row.since is None
    assert [jump.verdict for jump in row.jumps] == ["unmeasured", None]
    late = measure_apart("g", [empty, empty, full], Drawing(METRIC, 300, 0))
    assert make_rows([late], METRIC, parse_tolerance("50%"))[0].verdict is None, "a group that is new"
    alone = measure_apart("g", [empty, full, empty], Drawing(METRIC, 300, 0))
    assert math.isnan(make_rows([alone], METRIC, None)[0].slope)


def test_a_change_is_found_though_a_step_is_missing():
    chance = np.random.default_rng(1)
    units = []
    for shift in (0, 0, 0, 0.5, 0.5, 0.5, 0.5):
        tokens, rate = draw_documents(chance, 150)
        units.append(stack_units((tokens, rate + shift)))
    units[2] = np.zeros((0, 4))
    row = make_rows([measure_apart("g", units, Drawing(METRIC, 300, 0))], METRIC, None)[0]
    assert row.since == 3 and row.slope > 0


def test_the_change_is_the_farthest_cumulative_sum():
    step, p_value = find_change(np.array([1.0, 1, 1, 5, 5]), np.random.default_rng(0).normal(0, 0.01, (999, 4)))
    assert (step, p_value) == (3, 1 / 1000)
