"""JSON Lines: one object a line. The row is the number of the line from zero, blank lines counted."""

from __future__ import annotations

from collections.abc import Iterator

from curate.corpus import types
from curate.corpus.files.contents import UTF8_MARK
from curate.corpus.files.streams import read_chunks
from curate.corpus.readers.row_blocks import Item, Items, find_entry, gather_rows
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.json_records import BadRowError, parse_record


def read_lines(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on."""
    batches = split_lines(source, find_entry(source, start).offset or 0, reading.chunk_bytes)
    return gather_rows(batches, source, start, reading, parse_record, "line")


def split_lines(source: Source, offset: int, chunk_bytes: int) -> Iterator[Items]:
    """Yield the lines of a source from a byte on, a batch for each chunk; memory is linear in the longest line."""
    tail: list[bytes] = []
    tail_bytes, position = 0, offset
    try:
        for chunk, position in read_chunks(source, offset, chunk_bytes):
            if chunk.isspace() and b"\n" in chunk and not any(map(bytes.strip, tail)):
                blank, _, last = chunk.rpartition(b"\n")
                offset += tail_bytes + len(blank) + 1
                tail, tail_bytes = [last], len(last)
                yield Items([], position, blank_rows=blank.count(b"\n") + 1, blank_end=offset)
                continue
            first, feed, rest = chunk.partition(b"\n")
            tail_bytes += len(first)
            tail = _hold(tail, first, tail_bytes)
            if not feed:
                continue
            end = offset + tail_bytes + 1
            items: list[Item] = [_as_item(tail, offset, end)]
            lines = rest.split(b"\n")
            last = lines.pop()
            for line in lines:
                offset, end = end, end + len(line) + 1
                items.append(_as_item([line], offset, end))
            tail, tail_bytes, offset = [last], len(last), end
            yield Items(items, position)
    except BrokenSourceError as broken:
        yield Items([], source.size or position, str(broken))
        return
    items = [_as_item(tail, offset, offset + tail_bytes)] if tail_bytes else []
    yield Items(items, source.size or position)


def _hold(tail: list[bytes], piece: bytes, total: int) -> list[bytes]:
    """Return the pieces of an unfinished line; none once it is too long."""
    if total > types.MAX_DOCUMENT_BYTES:
        return []
    tail.append(piece)
    return tail


def _as_item(pieces: list[bytes], begin: int, end: int) -> Item:
    if end - begin - 1 > types.MAX_DOCUMENT_BYTES:
        return BadRowError(f"{end - begin:,} bytes without a line end, more than a document may have"), begin, end
    line = b"".join(pieces)
    if begin == 0 and line.startswith(UTF8_MARK):
        line = b" " * len(UTF8_MARK) + line[len(UTF8_MARK) :]
    return None if not line or line.isspace() else line, begin, end
