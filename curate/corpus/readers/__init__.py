"""Which reader reads which format."""

from __future__ import annotations

from collections.abc import Iterator

from curate.corpus.readers.arrow import read_arrow, read_hub, read_parquet
from curate.corpus.readers.csv import read_separated
from curate.corpus.readers.json import read_json
from curate.corpus.readers.jsonl import read_lines
from curate.corpus.readers.text import read_whole
from curate.corpus.types import ReadOptions, ReadStart, RowBlock, Source


def read_blocks(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """The rows of a source from ``start`` on. Damage becomes unreadable rows; a failing server raises StorageError."""
    if source.format == "jsonl":
        return read_lines(source, start, reading)
    if source.format == "json":
        return read_json(source, start, reading)
    if source.format in ("csv", "tsv"):
        return read_separated(source, start, reading)
    if source.format == "parquet":
        return read_parquet(source, start, reading)
    if source.format == "arrow":
        return read_arrow(source, start, reading)
    if source.format == "text":
        return read_whole(source, start, reading)
    if source.format == "hub":
        return read_hub(source, start, reading)
    raise ValueError(f"unknown format {source.format!r}")
