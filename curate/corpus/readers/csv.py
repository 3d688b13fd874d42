"""CSV and TSV: a header, then records. Quoted fields may hold line ends. The row is the record's number from zero.

A quotation mark that opens a field and does not close it would take the rows behind it along: such a line is a row of
its own, unreadable or read as it is (``csv_dialect``), and reading goes on at the next line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from curate.corpus import types
from curate.corpus.files.streams import read_chunks
from curate.corpus.readers.csv_dialect import Dialect, find_dialect
from curate.corpus.readers.row_blocks import Item, Items, find_entry, gather_rows
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.arrow_values import number_duplicates
from curate.corpus.values.json_records import BadRowError, explain_encoding

RECORDS_PER_BATCH = 256
# What may follow a quotation mark until the next one; the csv module stops there.
MAX_FIELD_CHARACTERS = 1 << 28


def read_separated(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on."""
    header: list[str] = []
    try:
        dialect = find_dialect(source)
        header, top = read_header(source, dialect)
        offset = find_entry(source, start).offset or top
        batches = split_records(source, dialect, len(header), offset, reading.chunk_bytes)
    except BrokenSourceError as broken:
        batches = iter([Items([], source.size or 0, str(broken))])
    return gather_rows(batches, source, start, reading, partial(_as_record, header), "record")


def read_header(source: Source, dialect: Dialect) -> tuple[list[str], int]:
    """Return the names of the columns, and the byte at which the first record begins; no names for an empty file.

    Raises BrokenSourceError for a header that cannot be read.
    """
    for batch in split_records(source, dialect, None, dialect.skipped_bytes, 1 << 16):
        for fields, _, end in batch.items:
            if isinstance(fields, BadRowError):
                raise BrokenSourceError(f"the header cannot be read ({fields.cause})")
            if fields is not None:
                return number_duplicates(fields), end
        if batch.broken is not None:
            raise BrokenSourceError(batch.broken)
    return [], dialect.skipped_bytes


def split_records(
    source: Source, dialect: Dialect, width: int | None, offset: int, chunk_bytes: int
) -> Iterator[Items]:
    """Yield the records of a source from a byte on, in batches of RECORDS_PER_BATCH.

    ``width`` is the number of columns, None while it is not known. A record is a list of fields, None for a blank line,
    and BadRowError for one that cannot be read.
    """
    csv.field_size_limit(min(MAX_FIELD_CHARACTERS, types.MAX_DOCUMENT_BYTES))
    feed = _Feed(source, dialect, offset, chunk_bytes)
    reader = csv.reader(feed, delimiter=dialect.delimiter, strict=True)
    mark = b'"' if dialect.quoting else None
    items: list[Item] = []
    try:
        while True:
            if not feed.lines and (blank_rows := feed.skip_blank()):
                yield Items(items, feed.position, blank_rows=blank_rows, blank_end=feed.end)
                items = []
            begin, line = feed.end, feed.take()
            if line is None:
                break
            fields: Any
            if isinstance(line, int):
                fields = BadRowError(f"{line:,} bytes without a line end, more than a document may have")
            elif mark is None or mark not in line:
                fields = dialect.split(_decode(line)) if line.strip(b"\r\n") else None
            else:
                feed.give_back([line])
                fields = _read_quoted(feed, reader, dialect, width)
            items.append((fields, begin, feed.end))
            if len(items) == RECORDS_PER_BATCH:
                yield Items(items, feed.position)
                items = []
    except BrokenSourceError as broken:
        yield Items(items, source.size or feed.position, str(broken))
        return
    yield Items(items, source.size or feed.position)


def _read_quoted(
    feed: _Feed, reader: Iterator[list[str]], dialect: Dialect, width: int | None
) -> list[str] | BadRowError:
    """Return the record that begins with the next line, which has a quotation mark."""
    feed.taken.clear()
    try:
        fields = next(reader)
        if len(feed.taken) == 1 or dialect.believes(fields, [_decode(line) for line in feed.taken], width):
            return fields
        cause = "a quotation mark opens a field and is not closed on its line, and the lines after it are rows"
    except csv.Error as error:
        cause = str(error)
        if len(feed.taken) > 1:
            cause = f"a quotation mark opens a field and is not closed as it should be ({error})"
        if b'\\"' in feed.taken[0]:
            cause += '; within quotation marks one is written "", not \\"'
    first, *others = feed.taken
    feed.give_back(others)
    return dialect.split(_decode(first)) if dialect.is_literal else BadRowError(f"not a record: {cause}")


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


class _Feed:
    """The lines of a source, also as an iterator for the csv module."""

    def __init__(self, source: Source, dialect: Dialect, offset: int, chunk_bytes: int):
        self.end = self.position = offset
        """The byte after the last line that was taken, and the stored bytes read."""
        self.lines: list[bytes | int] = []
        """Complete lines that are read, the next one last; of one that is too long, only the number of its bytes."""
        self.taken: list[bytes] = []
        """The lines that the csv module took since the list was cleared."""
        self._line_end = dialect.line_end
        self._chunks = read_chunks(source, offset, chunk_bytes)
        self._tail: list[bytes] = []
        self._tail_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.take()
        if line is None:
            raise StopIteration
        if isinstance(line, int):
            self.end -= line
            self.lines.append(line)
            raise csv.Error("a line is too long")
        self.taken.append(line)
        return _decode(line)

    def take(self) -> bytes | int | None:
        """Return the next line, None at the end."""
        while not self.lines:
            chunk = self._read()
            if chunk is not None:
                self._split(chunk)
                continue
            if not self._tail_bytes:
                return None
            self._finish_line(b"")
        line = self.lines.pop()
        self.end += line if isinstance(line, int) else len(line)
        return line

    def give_back(self, lines: Sequence[bytes]) -> None:
        """Return the last lines that were taken to the feed."""
        self.end -= sum(map(len, lines))
        self.lines += reversed(lines)

    def skip_blank(self) -> int:
        """Pass over chunks of nothing but line ends, and return the number of lines."""
        count = 0
        while not self.lines and not any(self._tail) and (chunk := self._read()) is not None:
            if chunk.strip(b"\r\n") or not chunk.endswith(self._line_end):
                self._split(chunk)
                continue
            count += chunk.count(self._line_end)
            self.end += len(chunk)
        return count

    def _read(self) -> bytes | None:
        for chunk, position in self._chunks:
            self.position = position
            return chunk
        return None

    def _split(self, chunk: bytes) -> None:
        """Add the lines that end in a chunk; there are no others."""
        first, line_end, rest = chunk.partition(self._line_end)
        if not line_end:
            self._hold(first)
            return
        *lines, last = rest.split(self._line_end)
        self._finish_line(first + line_end)
        if lines:
            lines.reverse()
            self.lines = [*(line + line_end for line in lines), *self.lines]
        self._hold(last)

    def _hold(self, piece: bytes) -> None:
        """Keep a piece of an unfinished line; nothing once it is too long."""
        self._tail_bytes += len(piece)
        if self._tail_bytes > types.MAX_DOCUMENT_BYTES:
            self._tail.clear()
        else:
            self._tail.append(piece)

    def _finish_line(self, piece: bytes) -> None:
        """Add the line that ends with a piece."""
        self._hold(piece)
        is_long = self._tail_bytes > types.MAX_DOCUMENT_BYTES
        self.lines.append(self._tail_bytes if is_long else b"".join(self._tail))
        self._tail, self._tail_bytes = [], 0


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
        raw = value.encode("utf-8", "surrogateescape")
        raise BadRowError(f'"{name}" at character {error.start}: {_explain(raw)}') from error


def _explain(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return explain_encoding(raw, error)
    return "invalid UTF-8"
