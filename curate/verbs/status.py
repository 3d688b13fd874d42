"""``curate status``: the funnel of a run, and how far the work on it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.runtime.options import RunOption, verb_function
from curate.runtime.text import DEFAULT_RUN

if TYPE_CHECKING:
    from curate.reports.funnel import Funnel
    from curate.reports.progress.tables import RunProgress


@verb_function()
def status(
    run: RunOption = DEFAULT_RUN,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the work of other processes until it ends, then show the funnel.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(help="With --watch, seconds between two looks.  [default: 2; in a log 30]")
    ] = None,
) -> "Funnel | RunProgress":
    """Return the funnel of a run: documents read, lost at each stage and why, and kept.

    Without a filter, a document is kept when it was scored and is neither contaminated nor a duplicate. Works while
    scores are being made. Stale stages are named and not counted. While tables are in the making, by processes here or
    on other machines, it says how far they are, and each part of an array (``--part``): what stopped, then the slowest.
    With many parts these are told by their names, and "about" stands before what that makes uncertain. A run whose
    corpus was not scored has this alone.

    ``watch`` looks again every ``every`` seconds, until the work is done or nobody has worked on it for a minute.
    Nobody who works is disturbed; Ctrl-C ends it, and the work goes on.

    Raises TableError where the run has no scores and nothing is in the making, or parts of them are missing; BusyError
    where they cannot be read because another process is writing them; Interrupted by Ctrl-C under ``watch``.
    """
    from curate.reports.funnel import find_progress, read_funnel
    from curate.reports.progress.watching import watch_run
    from curate.rundir.guards.claims import blame_writers, open_unclaimed
    from curate.rundir.run import locate_run

    if every is not None and not (watch and every > 0):
        message = f"--every must be greater than 0, not {every:g}" if watch else "--every has no effect without --watch"
        raise UsageError(message, "curate status --watch --every 5")
    if watch:
        watch_run(locate_run(run), every)
    with blame_writers(run):
        opened = open_unclaimed(run)
        progress = find_progress(opened) if opened.stage("score") is None else None
        return read_funnel(opened) if progress is None else progress
