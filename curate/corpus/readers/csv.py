"""CSV and TSV: a header, then records. Quoted fields may hold line ends. The row is the record's number from zero."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from typing import Any

from curate.corpus import types
from curate.corpus.arrow_values import number_duplicates
from curate.corpus.json_records import BadRowError
from curate.corpus.readers.jsonl import BOM
from curate.corpus.readers.row_blocks import Item, Items, find_entry, gather_rows
from curate.corpus.streams import read_chunks
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source

DELIMITERS = {"csv": ",", "tsv": "\t"}
RECORDS_PER_BATCH = 256
# An unclosed quote swallows the lines after it; the csv module stops at this size and continues with the next line.
MAX_FIELD_CHARACTERS = 1 << 28


def read_separated(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on."""
    header: list[str] = []
    try:
        header, top = read_header(source)
        batches = split_records(source, find_entry(source, start).offset or top, reading.chunk_bytes)
    except BrokenSourceError as broken:
        batches = iter([Items([], source.size or 0, str(broken))])
    return gather_rows(batches, source, start, reading, partial(_as_record, header), "record")


def read_header(source: Source) -> tuple[list[str], int]:
    """Return the names of the columns, and the byte at which the first record begins; no names for an empty file.

    Raises BrokenSourceError for a header that cannot be read.
    """
    for item, _ in _parse(source, 0, 1 << 16):
        fields, _, end = item
        if isinstance(fields, BadRowError):
            raise BrokenSourceError(f"the header cannot be read ({fields.cause})")
        if fields is not None:
            return number_duplicates(fields), end
    return [], 0


def split_records(source: Source, offset: int, chunk_bytes: int) -> Iterator[Items]:
    """Yield the records of a source from a byte on, in batches of RECORDS_PER_BATCH."""
    items: list[Item] = []
    position = offset
    try:
        for item, position in _parse(source, offset, chunk_bytes):
            items.append(item)
            if len(items) == RECORDS_PER_BATCH:
                yield Items(items, position)
                items = []
    except BrokenSourceError as broken:
        yield Items(items, source.size or position, str(broken))
        return
    yield Items(items, source.size or position)


def _parse(source: Source, offset: int, chunk_bytes: int) -> Iterator[tuple[Item, int]]:
    """Yield records as lists of fields, None for blank lines, BadRowError for bad ones, with the stored bytes read."""
    csv.field_size_limit(min(MAX_FIELD_CHARACTERS, types.MAX_DOCUMENT_BYTES))
    feed = _Feed(source, offset, chunk_bytes)
    reader = csv.reader(feed, delimiter=DELIMITERS[source.format], strict=True)
    begin = offset
    while True:
        fields: Any
        try:
            fields = next(reader) or None
        except StopIteration:
            return
        except csv.Error as error:
            fields = BadRowError(f"not a record ({error})")
        yield (fields, begin, feed.end), feed.position
        begin = feed.end


class _Feed:
    """The lines of a source as an iterator for the csv module; ``end`` is the byte after the last line it took."""

    def __init__(self, source: Source, offset: int, chunk_bytes: int):
        self.end = self.position = offset
        self._lines = self._split(source, offset, chunk_bytes)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if self.end == 0:
            length, line = len(line), line.removeprefix(BOM)
            self.end = length
        else:
            self.end += len(line)
        return line.decode("utf-8", "surrogateescape")

    def _split(self, source: Source, offset: int, chunk_bytes: int) -> Iterator[bytes]:
        tail: list[bytes] = []
        for chunk, position in read_chunks(source, offset, chunk_bytes):
            first, feed, rest = chunk.partition(b"\n")
            tail.append(first + feed)
            if not feed:
                continue
            self.position = position
            yield b"".join(tail)
            *lines, last = rest.split(b"\n")
            for line in lines:
                yield line + b"\n"
            tail = [last]
        self.position = position if any(tail) else self.position
        if any(tail):
            yield b"".join(tail)


def _as_record(header: list[str], fields: list[str]) -> dict[str, Any]:
    if len(fields) != len(header):
        raise BadRowError(f"{len(fields)} fields, but the header names {len(header)}")
    for name, value in zip(header, fields, strict=True):
        if not value.isascii():
            _check(name, value)
    return dict(zip(header, fields, strict=True))


def _check(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRowError(f'invalid UTF-8 in "{name}" at character {error.start}') from error
