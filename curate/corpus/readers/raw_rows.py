"""Rows as they are: every column of each, as Python's values, whatever is text in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.json_records import BadRowError
from curate.corpus.readers import read_blocks
from curate.corpus.readers.arrow_blocks import to_records
from curate.corpus.types import ReadOptions, ReadStart, RowBlock, Source


class RawRow(NamedTuple):
    """A record and its place, or the reason why it cannot be read; one of the two is None."""

    file: str
    row: int
    id: str | None
    record: dict[str, Any] | None
    reason: str | None


def read_rows(source: Source, id_field: str | None, keep: Callable[[int], bool] | None) -> Iterator[RawRow]:
    """The rows of a source in order, bad ones too. StorageError where a server fails."""
    for block in read_blocks(source, ReadStart(), ReadOptions(None, id_field, whole=True, keep=keep)):
        for place, (record, reason) in enumerate(_take_records(block)):
            yield RawRow(source.name, block.rows[place], block.ids[place], record, reason)


def _take_records(block: RowBlock) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    held = block.content
    records = to_records(held) if isinstance(held, pa.Table) else held or [None] * len(block.rows)
    for row, record, reason in zip(block.rows, records, block.reasons, strict=True):
        if isinstance(record, BadRowError):
            yield None, f"row {row}: {record.cause}"
        else:
            yield (record, None) if reason is None else (None, reason)
