"""``curate status``: the funnel of a run."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from curate.reports.funnel import Funnel


def status(run: Annotated[str, typer.Option(help="Run directory.")] = "curated") -> "Funnel":
    """Show the funnel of a run: what was read, what was lost at each stage and why, and what is kept.

    Without a filter it shows what could be scored and is neither contaminated nor a duplicate. Works while scores are
    being made, and says which stages are stale; what is stale is not counted. TableError where documents are missing.
    """
    from curate.reports.funnel import read_funnel
    from curate.rundir.run import open_run

    return read_funnel(open_run(run))
