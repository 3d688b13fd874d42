"""The picture of a ranking: dots within their whiskers, on scales that hold them."""

import dataclasses
import math
import re

import numpy as np
import pytest
from helpers.ranking_page import places_of
from helpers.rankings import NAMES, make_dataset, make_pairs, make_place, make_ranking, make_table

from curate.sft.ranking.intervals import Interval
from curate.sft.ranking.measures import MEASURES
from curate.sft.ranking.page.chart import plot_ranking
from curate.sft.ranking.page.html import draw_page
from curate.sft.ranking.table import RankingTable


def marks_of(page):
    """Of each row of the first picture: the numbers of its marks' dots and whiskers, in percent."""
    rows = re.findall(r'<svg class="marks".*?\n</svg>', page[: page.index("</tbody>")], re.DOTALL)
    return [[read_mark(one) for one in re.findall(r"<g .*?</g>", row, re.DOTALL)] for row in rows]


def read_mark(text):
    dot = re.search(r'class="dot" x="([\d.]+)%"', text)
    ends = re.search(r'class="whisker" x1="([\d.]+)%" x2="([\d.]+)%"', text)
    return float(dot[1]), tuple(map(float, ends.groups())) if ends else None


def test_dots_lie_within_their_whiskers_in_the_order_of_their_values(full):
    rows = marks_of(full[1])
    assert [len(row) for row in rows] == [2] * len(NAMES)
    for series in (0, 1):
        marks = [row[series] for row in rows[:-1]]
        whole = [(dot, ends) for dot, ends in marks if ends]
        assert len(whole) == len(marks) - 1  # premise: one has a single example in either ranking
        assert all(0 <= low < dot < high <= 100 for dot, (low, high) in whole)
        assert [dot for dot, _ in marks] == sorted((dot for dot, _ in marks), reverse=series == 1)


def test_dots_of_a_perplexity_are_even_on_a_log_scale(full):
    """Premise: each value is 1.17 times the one before."""
    dots = [row[0][0] for row in marks_of(full[1])[:-1]]
    assert np.diff(dots) == pytest.approx([np.diff(dots).mean()] * (len(dots) - 1), abs=0.02)


def test_a_measure_that_is_no_perplexity_has_an_even_scale():
    ranking = make_ranking(by="bits_per_byte")
    plot, places = plot_ranking(ranking), ranking.table.datasets[:3]
    first, second, third = (plot.rows[one.name][0].at for one in places)
    values = [one.scores["bits_per_byte"].value for one in places]
    assert not plot.log
    assert (second - first) / (third - first) == pytest.approx((values[1] - values[0]) / (values[2] - values[0]))


def test_an_interval_of_nan_draws_a_dot_without_a_whisker(full):
    at = NAMES.index("one-example")
    assert marks_of(full[1])[at][0][1] is None and "[" not in places_of(full[1])[list(places_of(full[1]))[at]][3]


def test_infinite_and_missing_values_are_said_and_the_others_keep_their_scale():
    places = [
        make_place("low", 1, 4.0),
        make_place("high", 2, 9.0),
        make_place("infinite", 3, math.inf),
        make_place("none", 4, 5.0, scores={name: Interval(math.nan, math.nan, math.nan) for name in MEASURES}),
    ]
    table = RankingTable(
        "perplexity", tuple(places), make_pairs(places), make_table(tuple("abcde")).values, {}, tuple("abcd")
    )
    datasets = tuple(make_dataset(one.name) for one in places)
    page = draw_page(make_ranking(table=table, datasets=datasets, others={}, compared=(), definitions=(), readings=()))
    low, high, infinite, none = marks_of(page)
    assert low[0][0] < high[0][0] - 20 and infinite == [(100.0, None)] and none == []
    assert page.count('<path class="arrow"') == 1 and "∞" in places_of(page)["infinite"][3]


def test_one_that_is_set_aside_far_away_is_an_arrow_and_squeezes_nothing():
    places = (make_place("a", 1, 100.0), make_place("b", 2, 150.0), make_place("c", None, 1.01))
    table = dataclasses.replace(make_table(), datasets=places, names=("a", "b"), pairs=())
    plot = plot_ranking(make_ranking(table=table, others={}))
    assert [plot.rows[name][0].beyond for name in "abc"] == [0, 0, -1]
    assert plot.rows["b"][0].at - plot.rows["a"][0].at > 0.4
