"""The pictures of a comparison: marks lie on their scale, lines hold all documents, labels have room."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from curate.monitoring.compare.cost import SideCost
from curate.monitoring.compare.page import charts
from curate.monitoring.compare.page.whiskers import TICK_COLUMNS, plot_differences
from curate.monitoring.compare.verdicts import parse_tolerance


def name_rows(comparison):
    return [(row.name, row) for row in comparison.pairs[0].rows]


def test_dots_lie_within_their_whiskers_and_in_the_order_of_their_changes(compared):
    plot = plot_differences(name_rows(compared.plain), "perplexity", None)
    for mark in plot.marks:
        assert 0 <= mark.low <= mark.at <= mark.high <= 1 and not mark.beyond
    for first, second in pairwise(sorted(plot.marks, key=lambda mark: mark.row.change)):
        assert first.at <= second.at
    assert {mark.kind for mark in plot.marks} <= {"differs", "same"}
    assert all((mark.kind == "same") == (mark.low <= plot.zero <= mark.high) for mark in plot.marks)


def test_the_band_is_the_tolerance_and_a_whisker_beyond_it_is_beyond(compared):
    tolerance = parse_tolerance("1%")
    plot = plot_differences(name_rows(compared.paired), "perplexity", tolerance)
    low, high = plot.band
    assert 0 < low < plot.zero < high < 1
    for mark in plot.marks:
        assert (mark.kind == "beyond") == (mark.low > high or mark.high < low)
    upwards = plot_differences(name_rows(compared.paired), "perplexity", replace(tolerance, only_worse=True))
    assert upwards.band[0] == 0


def test_one_that_is_very_far_is_an_arrow_and_does_not_press_the_others_together(compared):
    rows = name_rows(compared.plain)
    name, row = rows[3]
    far = replace(row, change=500.0, change_low=400.0, change_high=600.0, low=6.0, high=6.4)
    plot = plot_differences([*rows[:3], (name, far), *rows[4:]], "perplexity", None)
    assert plot.marks[3].beyond == 1 and plot.has_arrows and not plot.marks[3].has_whisker
    others = [mark.at for mark in plot.marks if not mark.beyond]
    assert max(others) - min(others) > 0.3


@pytest.mark.parametrize("scale", [1e-6, 0.003, 0.2, 40.0])
def test_labels_of_ticks_have_room_on_a_narrow_screen_and_say_their_sign(compared, scale):
    rows = [
        (name, replace(row, **{key: scale * getattr(row, key) for key in ("change", "change_low", "change_high")}))
        for name, row in name_rows(compared.plain)
    ]
    for metric in ("perplexity", "bits_per_byte"):
        ticks = plot_differences(rows, metric, None).ticks
        assert ticks and sum(len(tick.label) + 2 for tick in ticks) <= TICK_COLUMNS
        assert all(tick.label[0] in "+−0" for tick in ticks)


def test_bins_hold_all_documents_of_a_side_and_of_its_quantiles(compared):
    edges = np.arange(-6 * 8, 20 * 8 + 1) / 8
    counted = compared.plain.distributions[0]
    shares = charts._bin_shares(counted, edges)
    guessed = charts._bin_shares(replace(counted, counts=None), edges)
    assert shares.sum() == pytest.approx(1) and guessed.sum() == pytest.approx(1)
    assert np.abs(np.cumsum(shares) - np.cumsum(guessed)).max() < 0.03
    assert charts.draw_distributions([replace(counted, counts=None), counted]).lines[0].is_estimated


def test_a_step_line_begins_and_ends_at_the_ground_and_reaches_its_heights():
    assert charts.step_line(np.array([0.0, 0.5, 0.5, 1.0])) == "M0 1000H250V500H750V0H1000"


def test_the_quantiles_of_a_side_against_itself_lie_on_the_diagonal(compared):
    one = compared.plain.distributions[0]
    chart = charts.draw_quantiles([one, replace(one, label="other")])
    points = re.findall(r"M(\d+) (\d+)h0", chart.lines[0].dots)
    assert len(points) == 99 and all(abs(int(x) + int(y) - 1000) <= 1 for x, y in points)


def test_a_series_is_broken_where_it_was_not_measured(compared):
    row = compared.series.series.all
    gap = replace(row, levels=(row.levels[0], math.nan, *row.levels[2:]), slope=math.nan)
    series = replace(compared.series.series, all=gap)
    whole, _ = charts.draw_series(series, "perplexity", 200)
    assert whole.path.count("M") == 2 and whole.dots.count("h0") == 3 and whole.slope == ""
    assert charts.draw_series(compared.series.series, "perplexity", 200)[0].path.count("M") == 1


def test_a_slope_goes_through_the_middle_of_its_levels(compared):
    row = compared.series.series.all
    line = charts.fit_slope(row, True)
    assert np.mean(np.log(line)) == pytest.approx(np.mean(np.log(row.levels)))
    assert np.diff(np.log(line)) == pytest.approx([row.slope] * 3)


def test_labels_of_steps_are_the_first_and_the_last_and_as_many_as_have_room():
    labels = charts.label_steps([f"2026-01-01 step {number:03d}" for number in range(120)])
    assert (labels[0].share, labels[-1].share) == (0.5 / 120, 119.5 / 120)
    assert 2 <= len(labels) <= 6 and [one.is_narrow for one in labels].count(True) == 2
    assert len(charts.label_steps(["a", "b"])) == 2


def test_the_front_of_prices_is_a_staircase_and_labels_that_would_overlap_are_one():
    costs = [
        SideCost("dear", 1.0, None, 10.0, 100.0, True),
        SideCost("cheap", 1.5, None, 1.0, 1.0, True),
        SideCost("near", 1.5, None, 1.0, 1.01, False),
        SideCost("free", 2.0, None, 0.0, 0.0, True),
    ]
    chart = charts.draw_costs(costs)
    assert [one.label for one in chart.rows] == ["free", "cheap", "near", "dear"] and chart.is_free
    assert chart.marks[0].x == 0 and {mark.label for mark in chart.marks} == {"1", "2, 3", "4"}
    assert chart.front.count("H") == 2 and chart.front_dots.count("M") == 3 and chart.dots.count("M") == 1
