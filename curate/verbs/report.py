"""``curate report``: one page that shows a run, and its numbers as JSON."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.reports.page.summary import ReportSummary
from curate.runtime.options import COMMAS, RedactOption, RunOption, verb_function
from curate.runtime.text import DEFAULT_RUN, quote_word

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = ("format", "funnel", "distributions", "provenance")
"""Keys by which the JSON file of a report is known."""


@verb_function()
def report(
    run: RunOption = DEFAULT_RUN,
    out: Annotated[str | None, typer.Option(help="File for the HTML page.  [default: RUN/report.html]")] = None,
    domain: Annotated[
        str | None, typer.Option(help="Column with the domain of a document.  [default: detected]")
    ] = None,
    percentiles: Annotated[
        str, typer.Option(help="Show the documents at these percentiles of the perplexity."), COMMAS
    ] = "1,5,25,50,75,95,99",
    tokens_of: Annotated[
        int, typer.Option(help="Read this many of these documents again, and shade each token by its surprise.")
    ] = 0,
    redact: RedactOption = None,
) -> ReportSummary:
    """Write one HTML page that shows a run, and its numbers as JSON; return where they are and what they show.

    The page works offline, prints, follows light and dark, and holds no script; texts are escaped. It shows the funnel,
    distributions with the thresholds, the ledger of domains, examples, buckets and order, hits and duplicates, and
    provenance, as far as the run has them. All but the funnel counts the documents that criteria apply to, as the
    ledger of ``curate filter`` does. Stale tables are named and not counted. The JSON file has the name of the page
    with ``.json`` at its end; ``curate.reports.page.json`` describes its keys. With ``redact`` labels stand for
    personal data and secrets in the texts of documents and of eval items, and in ids, on the page and in the JSON file.

    Raises UsageError for percentiles outside 0 to 100, an ``out`` that is no HTML file, or a ``redact`` that names no
    kind, and TableError where the run
    has no scores.
    """
    from curate.reports.page.collect import collect_report
    from curate.reports.page.examples import parse_percentiles
    from curate.reports.page.html import write_report
    from curate.rundir.guards.claims import claim_output, open_claimed
    from curate.rundir.guards.ownership import check_outside
    from curate.rundir.run import list_local_paths
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_page
    from curate.runtime.redaction import make_redactor

    shares = parse_percentiles(percentiles)
    redactor = make_redactor(redact)
    if tokens_of < 0:
        raise UsageError(f"--tokens-of must be 0 or more, not {tokens_of}", "--tokens-of 3")
    opened = open_claimed(run, "report", reads_only=out is not None)
    page = expand_home(out) if out is not None else opened.path / "report.html"
    if os.path.isdir(page):  # which a name that is too long does not make fail
        hint = f"--out {quote_word(str(page / 'report.html'))}"
        raise UsageError(f"{page} is a folder; a report is a file", hint)
    if page.suffix == ".json":
        raise UsageError(
            f"--out {page}: the page is HTML, and its numbers go to a .json file of the same name", "--out report.html"
        )
    if out is None:
        opened.reserve("report.html", "report.json")
    check_outside(list_local_paths(opened), page.with_suffix(".json"), "--out ")
    check_output_page(page, "--out")
    check_numbers_file(page.with_suffix(".json"))
    if out is not None:
        claim_output(page, "report")
    found = collect_report(opened, domain, shares, tokens_of, redactor)
    numbers = page.with_suffix(".json")
    if out is None:
        opened.enter()
    size = write_report(page, numbers, found)
    shown = found.sources.funnel
    return ReportSummary(
        str(opened.path), str(page), str(numbers), size, shown.read, shown.kept, len(found.examples), found.stale
    )


def check_numbers_file(path: "Path") -> None:
    """Check the path of the JSON file beside the page.

    Raises StorageError where it cannot be written, UsageError where it would replace a file of something else.
    """
    from curate.rundir.guards.ownership import is_json_with
    from curate.runtime.disk.files import check_output_file

    check_output_file(path)
    if path.exists() and not is_json_with(path, NUMBERS):
        message = f"{path} is not the numbers of a report; it would be replaced"
        raise UsageError(message, "name the page differently with --out")
