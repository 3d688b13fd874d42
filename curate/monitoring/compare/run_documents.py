"""The documents of a run as a side of a comparison."""

from collections.abc import Iterator

from curate.monitoring.compare.documents import NUMBERS, DocumentBatch, Grouping
from curate.rundir.aligned_parts import read_parts
from curate.rundir.run import Run


def read_run(run: Run, grouping: Grouping) -> Iterator[DocumentBatch]:
    """Yield the scored documents of a run, part by part.

    Columns of the documents that are not carried yet are read from the corpus. Raises UsageError where the documents
    have no such column, TableError where a part cannot be read.
    """
    for part in read_parts(run, [*NUMBERS, *grouping.further], grouping.columns, decided=False, coded=True):
        yield grouping.make_batch(part.table)
