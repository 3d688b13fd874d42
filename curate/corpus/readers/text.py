"""Plain text: a file is a document. Its one column is the text and has the name that the text has in other files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from curate.corpus import types
from curate.corpus.files.contents import UTF8_MARK
from curate.corpus.files.streams import read_chunks
from curate.corpus.readers.row_blocks import Items, gather_rows
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.json_records import BadRowError, explain_encoding

TEXT = "text"


def read_text_file(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Return an iterator of one block of one row, unreadable where the file is damaged, too large or not UTF-8.

    Behind its row it has no block.
    """
    parse = partial(_as_record, reading.text_field or TEXT)
    whole = ReadStart(start.row)  # read from its first byte on, wherever reading begins: behind row 0 there is nothing
    return gather_rows(_read(source, reading.chunk_bytes), source, whole, reading, parse, "document")


def _read(source: Source, chunk_bytes: int) -> Iterator[Items]:
    pieces: list[bytes] = []
    length = 0
    try:
        for chunk, _ in read_chunks(source, 0, chunk_bytes):
            length += len(chunk)
            if length > types.MAX_DOCUMENT_BYTES:
                pieces.clear()
            else:
                pieces.append(chunk)
    except BrokenSourceError as broken:
        yield Items([], source.size or 0, str(broken))
        return
    long = length > types.MAX_DOCUMENT_BYTES
    raw = BadRowError(f"{length:,} bytes, more than a document may have") if long else b"".join(pieces)
    yield Items([(raw, 0, length)], source.size or length)


def _as_record(field: str, raw: bytes) -> dict[str, Any]:
    try:
        return {field: raw.removeprefix(UTF8_MARK).decode()}
    except UnicodeDecodeError as error:
        raise BadRowError(explain_encoding(raw, error), error.start) from error
