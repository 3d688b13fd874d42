"""Quantiles, histograms and the line that shows them."""

import numpy as np

from curate.runtime.histogram import histogram, log_edges, quantiles, sparkline


def test_quantiles_leave_nan_out_and_say_nan_for_nothing():
    assert quantiles([1, 2, 3, np.nan], [0, 0.5, 1]).tolist() == [1, 2, 3]
    assert np.isnan(quantiles([], [0.5])).all()


def test_a_histogram_counts_every_value_once_and_its_line_shows_every_filled_bin():
    edges = log_edges(1, 1000, 3)
    assert histogram([0.5, 5, 50, 500, 1000, 5000, np.nan], edges).tolist() == [2, 1, 3]
    assert sparkline([0, 1, 1000]) == " ▁█"
