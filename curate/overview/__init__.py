"""A run as one page and one JSON file: numbers collected in bounded memory, drawn as inline SVG.

sources    the tables of the run that may be used, read once where they fit
binning    counts on fixed grids            numbers    sums, distributions, densities
ranks      exact order statistics           thresholds where the filter cuts
examples   documents at percentiles         findings   hits, copies, buckets, order, provenance
drawing    pictures as values               page       the HTML            digest   the JSON
"""

from curate.overview.collection import Report, collect
from curate.overview.page import write

__all__ = ["Report", "collect", "write"]
