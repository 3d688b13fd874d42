"""``curate status``: the funnel of a run."""

from typing import TYPE_CHECKING

from curate.runtime.options import RunOption, verb_function
from curate.runtime.text import DEFAULT_RUN

if TYPE_CHECKING:
    from curate.reports.funnel import Funnel


@verb_function()
def status(run: RunOption = DEFAULT_RUN) -> "Funnel":
    """Return the funnel of a run: documents read, lost at each stage and why, and kept.

    Without a filter, a document is kept when it was scored and is neither contaminated nor a duplicate. Works while
    scores are being made. Stale stages are named and not counted.

    Raises TableError where the run has no scores, or parts of them are missing; BusyError where they cannot be read
    because another process is writing them.
    """
    from curate.reports.funnel import read_funnel
    from curate.rundir.guards.claims import blame_writers
    from curate.rundir.run import open_run

    with blame_writers(run):
        return read_funnel(open_run(run))
