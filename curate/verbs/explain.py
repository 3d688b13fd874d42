"""``curate explain``: everything known about one document."""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.runtime.options import RedactOption, RunOption, verb_function
from curate.runtime.text import DEFAULT_RUN

if TYPE_CHECKING:
    from curate.reports.document import Explanation


@verb_function()
def explain(
    id: Annotated[str, typer.Argument(help="The document's id, or its file and row as FILE:ROW.")],
    run: RunOption = DEFAULT_RUN,
    redact: RedactOption = None,
) -> "Explanation":
    """Return everything known about one document: its numbers, its text, and why it was kept or dropped.

    Includes the eval items that were found in it, and its copies. Where several documents have the same id, all are
    shown. With ``redact`` labels stand for personal data and secrets in texts, ids and eval items.

    Raises UsageError for an id that no document has; the message names the nearest ids, and for a value that
    ``redact`` does not take.
    """
    from curate.reports.document import explain_document
    from curate.rundir.guards.claims import blame_writers, open_unclaimed
    from curate.runtime.redaction import make_redactor

    redactor = make_redactor(redact)
    with blame_writers(run):
        return explain_document(open_unclaimed(run), id, redactor)
