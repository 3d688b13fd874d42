"""Axes of charts: a scale holds its values, and ticks are round, few and inside."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.runtime import chart_axes


def is_round(value):
    """Whether a number has two significant digits at most."""
    return float(f"{value:.1e}") == value


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e9), st.floats(1.2, 1e9), st.integers(4, 9))
def test_ticks_are_round_few_and_inside(low, ratio, most):
    high = low * ratio
    for found in (list(chart_axes.list_logarithmic(low, high, most)), list(chart_axes.list_linear(low, high, most))):
        assert 1 + (most > 5) <= len(found) <= most and found == sorted(set(found))
        assert all(low * (1 - 1e-6) <= value <= high * (1 + 1e-6) for value in found)
    steps = np.diff(found)  # the even ones
    assert all(is_round(float(f"{step:.3g}")) for step in steps)
    assert steps.tolist() == pytest.approx(steps[:1].tolist() * len(steps), rel=1e-3)


def test_ticks_of_known_axes():
    assert list(chart_axes.list_linear(0.0, 1.2, 6)) == [0.0, 0.5, 1.0]
    assert list(chart_axes.list_linear(0.0, 1.2, 7)) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    assert list(chart_axes.list_logarithmic(0.3, 5, 7)) == [0.5, 1.0, 2.0, 5.0]
    assert list(chart_axes.list_logarithmic(0.2, 90_000, 7)) == [1.0, 10.0, 100.0, 1000.0, 10_000.0]
    assert list(chart_axes.list_logarithmic(48, 77, 5)) == [50.0, 60.0, 70.0]


@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=9), st.booleans())
def test_a_scale_holds_its_values_and_never_falls(values, log):
    scale = chart_axes.fit_scale(values, log)
    shares = [scale.share(value) for value in sorted(values)]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1
    assert not any(scale.beyond(value) for value in values)
    assert scale.share(math.inf) == 1 and scale.share(-math.inf) == 0 and math.isnan(scale.share(math.nan))
    assert 1 <= len(scale.list_ticks(9)) <= 9


def test_a_scale_of_nothing_is_a_scale():
    for log in (True, False):
        assert chart_axes.fit_scale([math.nan, math.inf], log).list_ticks(9)
