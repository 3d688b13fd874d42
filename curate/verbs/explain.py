"""``curate explain``: everything known about one document."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from curate.reports.document import Explanation


def explain(
    id: Annotated[str, typer.Argument(help="The document's id, or its place as FILE:ROW.")],
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
) -> "Explanation":
    """Show everything known about one document: its place, its numbers, its text, and why it was kept or dropped.

    With the eval items that were found in it, and its copies. Several documents with the same id are all shown. An id
    that nothing has is an error that names the nearest ones.
    """
    from curate.reports.document import explain_document
    from curate.rundir.run import open_run

    return explain_document(open_run(run), id)
