"""A run as one page and one JSON file: numbers collected in bounded memory, drawn as inline SVG.

sources      the tables of the run that may be used, read once where they fit
histograms   counts on fixed grids            numbers           sums, distributions, densities
groups       documents by domain              exact_quantiles   exact order statistics
thresholds   where the filter cuts            examples          documents at percentiles
tables       hits, copies, buckets, order, provenance
charts       pictures as values               html              the page           json   its numbers
"""
