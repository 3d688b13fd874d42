"""``curate report``: one page that shows a run, and its numbers as JSON."""

from typing import Annotated

import typer

from curate.errors import UsageError
from curate.reports.page.summary import ReportSummary


def report(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    out: Annotated[str | None, typer.Option(help="The page.  [default: RUN/report.html]")] = None,
    domain: Annotated[
        str | None, typer.Option(help="Column of the documents that tells domains apart (found when it is well known).")
    ] = None,
    percentiles: Annotated[
        str, typer.Option(help="Show the documents at these percentiles of the perplexity.")
    ] = "1,5,25,50,75,95,99",
    tokens_of: Annotated[
        int, typer.Option(help="Read so many of them again, and shade each token by its surprise.")
    ] = 0,
) -> ReportSummary:
    """Write one HTML page that shows a run: what was kept and why, by domain, with examples; and its numbers as JSON.

    The page works offline, prints, follows light and dark, and holds no script; texts are escaped. It shows the
    funnel, distributions with the thresholds, the ledger of domains, examples, buckets and order, hits and duplicates,
    and provenance, as far as the run has them. But for the funnel it is about the documents that criteria are about, as
    the ledger of ``curate filter`` is. Stale tables are named and not counted. TableError without scores.

    The JSON file lies beside the page under its name. Its keys: ``format`` (1; it grows with any change of meaning),
    ``run``, ``corpus``, ``model``, ``domain_column``; ``funnel`` (read, unreadable, rejected by reason, kept, tokens of
    each, parameters of the filter, ``not_drawn``: its criteria that are no threshold; stale); ``distributions`` by
    column (edges; kept and dropped counts, overall and by domain; quantiles of all, kept and dropped; thresholds);
    ``densities`` (x, y, their edges, counts as rows of y: kept and dropped); ``ledger``
    (domain; before and after: documents, tokens, median); ``buckets``, ``cut_offs``, ``order`` (null without);
    ``examples``, ``hits``, ``duplicates``, ``provenance``. What was not measured is null.
    """
    from pathlib import Path

    from curate.reports.page.collect import collect
    from curate.reports.page.examples import parse_percentiles
    from curate.reports.page.html import write
    from curate.rundir.run import open_run

    shares = parse_percentiles(percentiles)
    if tokens_of < 0:
        raise UsageError(f"--tokens-of must be 0 or more, not {tokens_of}")
    opened = open_run(run)
    place = Path(out) if out is not None else opened.path / "report.html"
    if place.is_dir():
        raise UsageError(f"{place} is a folder; a report is a file", f"--out {place / 'report.html'}")
    if place.suffix == ".json":
        raise UsageError(f"--out {place}: the page is HTML; its numbers go to a .json beside it", "--out report.html")
    found = collect(opened, domain, shares, tokens_of)
    numbers = place.with_suffix(".json")
    size = write(place, numbers, found)
    shown = found.sources.funnel
    return ReportSummary(
        str(opened.path), str(place), str(numbers), size, shown.read, shown.kept, len(found.examples), found.stale
    )
