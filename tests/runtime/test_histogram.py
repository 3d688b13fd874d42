"""Histograms and the line that shows them."""

import numpy as np

from curate.runtime.histogram import histogram, log_edges, sparkline


def test_a_histogram_counts_every_value_once_and_its_line_shows_every_filled_bin():
    edges = log_edges(1, 1000, 3)
    assert histogram([0.5, 5, 50, 500, 1000, 5000, np.nan], edges).tolist() == [2, 1, 3]
    assert sparkline([0, 1, 1000]) == " ▁█"
