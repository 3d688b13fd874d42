"""Bins lose no document, and a quantile of counts lies within its bin."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.reports.page.histograms import MEASURES, Grid, Histogram, coarsen, estimate_quantile


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-3, 1e12), max_size=50), st.integers(1, 96))
def test_drawn_bins_lose_no_document_and_hold_what_lies_between_their_edges(values, most):
    grid = MEASURES["perplexity"].fine
    histogram = Histogram(grid, 1)
    keep = np.arange(len(values)) % 2 == 0
    histogram.add(np.array(values), np.zeros(len(values), np.int64), keep)
    drawn = histogram.drawn(most)
    assert drawn.counts.sum() == len(values) and drawn.counts[0, 0].sum() == keep.sum()
    assert drawn.counts.shape[-1] <= most
    edges = drawn.edges
    for place, many in enumerate(drawn.counts[0].sum(axis=0).tolist()):
        low = -math.inf if place == 0 else edges[place] * (1 - 1e-9)
        high = math.inf if place == len(edges) - 2 else edges[place + 1] * (1 + 1e-9)
        assert many <= sum(low <= value <= high for value in values)


def test_nan_and_what_has_no_logarithm_count_nowhere():
    grid = MEASURES["perplexity"].fine
    assert grid.place(np.array([np.nan, 0.0, -1.0])).tolist() == [-1, -1, -1]
    assert MEASURES["zlib_ratio"].fine.place(np.array([np.nan, 0.0, 99.0])).tolist() == [-1, 0, 239]


def test_a_quantile_of_counts_lies_within_its_bin():
    grid = Grid(0, 1, 10, log=False)
    assert estimate_quantile(grid, [0, 0, 4, 0], 0.5) == 2.5
    assert math.isnan(estimate_quantile(grid, [0, 0], 0.5))
    assert coarsen(grid, np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 5]), 4).counts.tolist() == [2, 1, 0, 5]
