"""JSON files of any layout: lines, one array of any size, a sequence of objects, or one object around an array.

The layout is found in the file (``json_layout``), for every suffix. In lines, the row is the number of the line from
zero; else it is that of the element. The file is cut into elements by brackets and quotes alone, in chunks:
an array needs no more memory than its longest element, and an element that is not valid JSON costs only its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from curate.corpus import types
from curate.corpus.files.streams import read_chunks
from curate.corpus.readers.json_layout import JsonLayout, count_escapes, find_layout
from curate.corpus.readers.jsonl import read_lines
from curate.corpus.readers.row_blocks import Item, Items, find_entry, gather_rows
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.json_records import BadRowError, parse_record

BETWEEN = re.compile(rb'["\[\]{},]')
INSIDE = re.compile(rb'["\[\]{}]')


@dataclass(slots=True)
class Splitter:
    """Cuts chunks into the elements of one array (``level`` 1 or more) or into a sequence of values (``level`` 0)."""

    level: int
    """Open brackets around an element."""
    offset: int
    """Bytes of the file before the current chunk."""
    depth: int = 0
    """Open brackets."""
    in_string: bool = False
    escapes: int = 0
    """Backslashes at the end of the chunks so far, while inside a string."""
    begin: int = 0
    """Byte of the file at which the current element begins."""
    parts: list[bytes] = field(default_factory=list)
    """Pieces of the current element from earlier chunks."""
    held_bytes: int = 0
    """Length of the current element so far."""
    opened: bool = False
    """Whether the array has begun."""
    closed: bool = False
    """Whether the array has ended."""

    def feed(self, chunk: bytes) -> Iterator[Item]:
        """Yield the elements that end in this chunk."""
        at = mark = 0
        while not self.closed:
            if self.in_string:
                at = self._find_quote(chunk, at)
                if at < 0:
                    break
                self.in_string, at = False, at + 1
                continue
            found = (BETWEEN if self.depth <= self.level else INSIDE).search(chunk, at)
            if found is None:
                break
            at = found.end()
            token = found.group()
            if token == b'"':
                self.in_string, self.escapes = True, 0
            elif self._count(token):
                stop = at - 1 if self.level else at
                yield from self._take(chunk[mark:stop], self.offset + (stop if self.closed else at))
                mark, self.begin = at, self.offset + at
            elif self.depth == 1 and self.level == 1 and not self.opened:
                mark, self.begin, self.opened, self.parts, self.held_bytes = at, self.offset + at, True, [], 0
        self._hold(chunk[mark:])
        self.offset += len(chunk)

    def _count(self, token: bytes) -> bool:
        """Count a bracket or a comma, and return whether it ends an element."""
        self.depth = max(0, self.depth + (token in b"[{") - (token in b"]}"))
        if self.level == 0:
            return self.depth == 0 and token in b"]}"
        self.closed = self.depth < self.level
        return self.closed or (self.depth == self.level and token == b",")

    def _find_quote(self, chunk: bytes, at: int) -> int:
        """Return the index of the quote that ends the current string, -1 where it is not in this chunk."""
        first = at
        while (at := chunk.find(b'"', at)) >= 0:
            if count_escapes(chunk, first, at, self.escapes) % 2 == 0:
                self.escapes = 0
                return at
            at += 1
        self.escapes = count_escapes(chunk, first, len(chunk), self.escapes)
        return -1

    def _take(self, piece: bytes, end: int) -> Iterator[Item]:
        self._hold(piece)
        raw, begin, length = b"".join(self.parts), self.begin, self.held_bytes
        self.parts, self.held_bytes = [], 0
        text = raw.lstrip()
        if length > types.MAX_DOCUMENT_BYTES:
            yield BadRowError(f"{length:,} bytes without an end, more than a document may have"), begin, end
        elif text:
            yield text, begin + len(raw) - len(text), end

    def _hold(self, piece: bytes) -> None:
        """Keep a piece of an unfinished element; nothing once it is too long, and no white space before it."""
        if not self.held_bytes and piece.isspace():
            self.begin += len(piece)
            return
        self.held_bytes += len(piece)
        if self.held_bytes > types.MAX_DOCUMENT_BYTES:
            self.parts.clear()
        else:
            self.parts.append(piece)

    def finish(self) -> list[Item]:
        """Return the last element of an array that breaks off, in a list, if the element is complete."""
        is_complete = 0 < self.level == self.depth and self.opened and not self.in_string
        return list(self._take(b"", self.offset)) if is_complete else []

    def explain_end(self) -> str | None:
        """Return why the source is damaged if it ends here, None where it is complete."""
        rest = b"".join(self.parts).strip()
        if self.closed:
            return "there is more text than the array, which ends" if rest else None
        if rest and not self.level and not rest.startswith((b"{", b"[")):
            return f"not JSON: it begins with {rest[:20].decode('utf-8', 'replace')!r}"
        open_end = self.level and self.offset
        return "the JSON breaks off" if rest or open_end or self.held_bytes > types.MAX_DOCUMENT_BYTES else None


def read_json(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on, whatever the layout of the source."""
    layout = find_layout(source)
    if layout.kind == "lines":
        return read_lines(source, start, reading)
    return read_elements(source, start, reading, layout)


def read_elements(source: Source, start: ReadStart, reading: ReadOptions, layout: JsonLayout) -> Iterator[RowBlock]:
    """Yield blocks of the elements of an array, or of a sequence of values, from ``start`` on."""
    offset = find_entry(source, start).offset or layout.begin
    batches = split_elements(source, layout, offset, reading.chunk_bytes)
    return gather_rows(batches, source, start, reading, parse_record, "element")


def split_elements(source: Source, layout: JsonLayout, offset: int, chunk_bytes: int) -> Iterator[Items]:
    """Yield the elements of a source from a byte on: 0, the start of an inner array, or the end of an element.

    What follows an array within an object is not read.
    """
    level = len(layout.path) + (layout.kind == "array")
    splitter = Splitter(level, offset, depth=level if offset else 0, begin=offset, opened=offset > 0)
    position = offset
    try:
        for chunk, position in read_chunks(source, offset, chunk_bytes):
            yield Items(list(splitter.feed(chunk)), position)
            if splitter.closed and layout.path:
                yield Items([], source.size or position)
                return
    except BrokenSourceError as broken:
        yield Items(splitter.finish(), source.size or position, str(broken))
        return
    yield Items(splitter.finish(), source.size or position, splitter.explain_end())
