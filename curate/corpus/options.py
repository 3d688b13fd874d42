"""The checks of what ``open_corpus`` is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from curate.corpus.detect_columns import DetectedColumns, list_column_names
from curate.corpus.files.streams import open_binary
from curate.corpus.types import BrokenSourceError, Source
from curate.errors import CorpusError, UsageError


def check_options(limit: int | None, sample: float | None, slice_bytes: int, on_error: str) -> None:
    """Raise UsageError for an option of ``open_corpus`` that is not allowed."""
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}", "omit --limit to read all documents")
    if sample is not None and not 0 < sample <= 1:
        raise UsageError(
            f"--sample must be greater than 0 and at most 1, not {sample}", "--sample 0.01 reads one row in a hundred"
        )
    if slice_bytes < 1:
        raise UsageError(f"slices must have at least 1 byte, not {slice_bytes}", "--slice-bytes 4000000")
    if on_error not in ("quarantine", "stop"):
        raise UsageError(f"--on-error must be quarantine or stop, not {on_error}", "--on-error quarantine")


def check_open(path: str, source: Source) -> None:
    """Raise CorpusError where the only file of a corpus, given by its path, cannot be opened."""
    if source.format == "hub" or os.path.isdir(path):
        return
    try:
        open_binary(source.path).close()
    except BrokenSourceError as broken:
        raise CorpusError(f"{source.path}: {broken}") from broken


def settle_draw(field: str | None, sample: float | None, seen: Sequence[DetectedColumns]) -> str | None:
    """Return the column to draw by. Raises UsageError without a sample, and where no file has the column."""
    names = list_column_names(seen)
    if field is not None and sample is None:
        raise UsageError("--sample-by has no effect without --sample", f"--sample 0.01 --sample-by {field}")
    if field is not None and field.split(".")[0] not in names and field not in names:
        there = f"there are: {', '.join(names)}" if names else "there are none"
        raise UsageError(f'--sample-by: no file has a column "{field}"; {there}', "--sample-by NAME")
    return field


def check_id(field: str, seen: Sequence[DetectedColumns]) -> str:
    """Return the id field. Raises CorpusError where no file has its column."""
    names = list_column_names(seen)
    if names and field.split(".")[0] not in names and field not in names:
        raise CorpusError(f'no file has an id column "{field}"; there are: {", ".join(names)}', "--id-field NAME")
    return field
