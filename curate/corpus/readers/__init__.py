"""The formats of a corpus: one table says by which suffixes a file is known, and which functions read it.

To add a format: a file here with its reader, and a row in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from curate.corpus.files.contents import resolve_contents
from curate.corpus.readers.arrow import (
    read_arrow,
    read_arrow_schema,
    read_hub,
    read_hub_schema,
    read_parquet,
    read_parquet_schema,
)
from curate.corpus.readers.csv import read_separated
from curate.corpus.readers.csv_dialect import DELIMITERS, describe_dialect
from curate.corpus.readers.json import read_json
from curate.corpus.readers.json_layout import describe_layout
from curate.corpus.readers.row_blocks import read_nothing
from curate.corpus.readers.text import read_text_file
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source


@dataclass(frozen=True, slots=True)
class Format:
    """How the files of a format are recognised and read."""

    suffixes: tuple[str, ...]
    """In lower case, with the dot."""
    read: Callable[[Source, ReadStart, ReadOptions], Iterator[RowBlock]]
    """The rows of a source from a start on."""
    read_schema: Callable[[Source], pa.Schema] | None = None
    """The columns of a source and their types, without its rows; None where the format has no types of its own."""
    magic: tuple[bytes, ...] = ()
    """What files without a known suffix begin with."""
    only_strings: bool = False
    """Whether every value is a string, so that a column of strings may be one of numbers."""

    @property
    def is_columnar(self) -> bool:
        """Whether the format has column types and compression of its own."""
        return self.read_schema is not None


FORMATS = {
    "jsonl": Format((".jsonl", ".ndjson"), read_json),
    "json": Format((".json",), read_json),
    "csv": Format((".csv",), read_separated, only_strings=True),
    "tsv": Format((".tsv",), read_separated, only_strings=True),
    "text": Format((".txt", ".text", ".md"), read_text_file),
    "parquet": Format((".parquet", ".pq"), read_parquet, read_parquet_schema, (b"PAR1",)),
    # A file or a stream.
    "arrow": Format((".arrow", ".feather", ".ipc"), read_arrow, read_arrow_schema, (b"ARROW1", b"\xff\xff\xff\xff")),
    # Named OWNER/NAME:SPLIT.
    "hub": Format((), read_hub, read_hub_schema),
}


def read_blocks(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield the rows of a source from ``start`` on, in blocks; damage becomes unreadable rows.

    Raises StorageError where a server fails, and ValueError for a format that is not in ``FORMATS``.
    """
    if source.format not in FORMATS:
        raise ValueError(f"unknown format {source.format!r}; expected one of {', '.join(FORMATS)}")
    file_format = FORMATS[source.format]
    if file_format.is_columnar:
        return file_format.read(source, start, reading)
    try:
        return file_format.read(resolve_contents(source), start, reading)
    except BrokenSourceError as broken:
        return read_nothing(source, str(broken), start, reading)


def describe_reading(source: Source) -> str | None:
    """Return how a source is read, where its suffix does not say it: its encoding, dialect or layout; else None."""
    if FORMATS[source.format].is_columnar:
        return None
    try:
        found = resolve_contents(source)
    except BrokenSourceError:
        return None
    notes = []
    if found.compression != source.compression:
        notes.append(f"{found.compression} inside" if found.compression else "not compressed")
    if found.encoding is not None:
        notes.append(found.encoding.upper())
    if source.format in DELIMITERS:
        notes.append(describe_dialect(found) or "")
    elif source.format in ("json", "jsonl"):
        notes.append(describe_layout(found) or "")
    return ", ".join(filter(None, notes)) or None
