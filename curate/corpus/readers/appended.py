"""Whether what was appended to a file changes how the rows before it are read.

The layout of JSON, the delimiter and the quoting are found at the start of a file: a few rows more may change them.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace

from curate.corpus.files.contents import read_head, resolve_contents
from curate.corpus.readers import csv_dialect, json_layout
from curate.corpus.types import BrokenSourceError, Source


def is_read_alike(source: Source, size: int) -> bool:
    """Return whether the first ``size`` bytes of a file are read alike alone and with what follows them, line by line.

    Raises StorageError where a server fails.
    """
    try:
        source = resolve_contents(source)
        head = read_head(source, max(json_layout.PEEK_BYTES, csv_dialect.HEAD_BYTES))
    except BrokenSourceError:
        return False
    if source.encoding is not None or source.compression is not None:
        return False
    if size >= len(head):
        if source.format != "jsonl":
            return True
        return json_layout.find_layout(source).kind == "lines" and not (
            b"\n" not in head and json_layout.begins_wrapper(head)
        )
    with tempfile.NamedTemporaryFile() as file:
        file.write(head[:size])
        file.flush()
        before = replace(source, path=file.name, size=size)
        if source.format != "jsonl":
            return csv_dialect.find_dialect(before) == csv_dialect.find_dialect(source)
        return all(json_layout.find_layout(each).kind == "lines" for each in (before, source))
