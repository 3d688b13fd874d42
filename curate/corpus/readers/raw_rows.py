"""Rows with all their columns as Python values, without a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.readers import read_blocks
from curate.corpus.readers.arrow_blocks import to_records
from curate.corpus.types import ReadOptions, ReadStart, RowBlock, Source, ValueDraw
from curate.corpus.values.json_records import BadRowError


class RawRow(NamedTuple):
    """A row as a record, or the reason why it cannot be read; one of the two is None."""

    file: str
    """The name of its source."""
    row: int
    id: str | None
    record: dict[str, Any] | None
    reason: str | None


def read_rows(
    source: Source, id_field: str | None, keep: Callable[[int], bool] | None, draw: ValueDraw | None = None
) -> Iterator[RawRow]:
    """Yield the rows of a source in order, unreadable ones too; ``keep`` selects rows by number, ``draw`` by a value.

    Raises StorageError where a server fails.
    """
    reading = ReadOptions(None, id_field, all_columns=True, keep=keep, draw=draw)
    for block in read_blocks(source, ReadStart(), reading):
        for index, (record, reason) in enumerate(_take_records(block)):
            yield RawRow(source.name, block.rows[index], block.ids[index], record, reason)


def _take_records(block: RowBlock) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    content = block.content
    records = to_records(content) if isinstance(content, pa.Table) else content or [None] * len(block.rows)
    for row, record, reason in zip(block.rows, records, block.reasons, strict=True):
        if isinstance(record, BadRowError):
            yield None, f"row {row}: {record.cause}"
        else:
            yield (record, None) if reason is None else (None, reason)
