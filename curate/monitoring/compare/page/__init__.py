"""The HTML page of a comparison: ``curate compare A B --out compare.html``.

whiskers   rows of differences on one scale      charts   distributions, quantiles, series, costs, as values
headline   the answer in words                   html     the page, from its template ``compare.html.j2``
"""
