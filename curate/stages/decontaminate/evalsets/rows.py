"""The rows of an eval set as complete records, each with its position, or with the reason why it cannot be read.

The readers are those of the corpus, without a column for the text, which is detected from all rows. A JSON file that is
one object around its rows (BIG-Bench Hard's ``examples``, SQuAD's ``data``) gives those rows: the readers see most of
them, and ``unwrap`` those in an object that could be a document as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import pyarrow as pa

from curate.corpus.files.streams import as_failure, one_line, open_binary
from curate.corpus.readers import read_blocks
from curate.corpus.readers.arrow import ARROW_FILE_MAGIC, DAMAGE, open_parquet, plan_plain, spell_names
from curate.corpus.readers.arrow_blocks import to_records
from curate.corpus.readers.utf8 import is_sound
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, Source
from curate.corpus.values.json_records import BadRowError

WRAPPERS = ("examples", "data", "questions", "rows", "items", "problems", "entries")
BATCH_ROWS = 256


class EvalRow(NamedTuple):
    """A record and its position; no record where it cannot be read."""

    file: str
    row: int
    record: dict[str, Any] | None
    reason: str = ""


def read_rows(source: Source) -> list[EvalRow]:
    """Return all rows of a file, those that cannot be read included. Raises StorageError where a server fails."""
    if source.format == "parquet":
        return list(_read_parquet(source))
    if source.format == "arrow":
        return list(_read_arrow(source))
    rows = list(_read_records(source))
    return flatten_rows(unwrap(rows)) if source.format == "json" else rows


def _read_records(source: Source) -> Iterator[EvalRow]:
    for block in read_blocks(source, ReadStart(), ReadOptions(None, None, all_columns=True)):
        records = block.content if isinstance(block.content, list) else []
        for row, record, reason in zip(block.rows, records, block.reasons, strict=True):
            yield EvalRow(source.name, row, record, reason or "")


def unwrap(rows: list[EvalRow]) -> list[EvalRow]:
    """Return the rows within a file's only object where it has one list of records; else the rows unchanged."""
    if len(rows) != 1 or rows[0].record is None:
        return rows
    lists = [value for name, value in rows[0].record.items() if name in WRAPPERS and _holds_records(value)]
    if len(lists) != 1 or any(_holds_records(value) for value in rows[0].record.values() if value is not lists[0]):
        return rows
    return [EvalRow(rows[0].file, number, record) for number, record in enumerate(lists[0])]


def flatten_rows(rows: list[EvalRow]) -> list[EvalRow]:
    """Return the articles of SQuAD as a row for each question, numbered anew; other rows unchanged."""
    if not any(row.record is not None and flatten_paragraphs(row.record) != [row.record] for row in rows):
        return rows
    flat = [
        row._replace(record=record)
        for row in rows
        for record in ([None] if row.record is None else flatten_paragraphs(row.record))
    ]
    return [row._replace(row=number) for number, row in enumerate(flat)]


def _holds_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def flatten_paragraphs(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an article of SQuAD as its questions, each with its passage; any other record unchanged."""
    paragraphs = record.get("paragraphs")
    if not _holds_records(paragraphs) or not all(_holds_records(part.get("qas")) for part in paragraphs or []):
        return [record]
    return [{"context": part.get("context"), **question} for part in paragraphs or [] for question in part["qas"]]


def _read_parquet(source: Source) -> Iterator[EvalRow]:
    try:
        with open_binary(source.path) as handle:
            file = open_parquet(source, handle)
            plain, row = plan_plain(source, file.schema_arrow), 0
            for group in range(file.metadata.num_row_groups):
                stop = row + file.metadata.row_group(group).num_rows
                batches = map(plain.read, file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]))
                yield from _take_all(source, batches, row, stop)
                row = stop
    except BrokenSourceError as broken:
        yield EvalRow(source.name, 0, None, str(broken))


def _take_all(source: Source, batches: Iterable[pa.Table], row: int, stop: int) -> Iterator[EvalRow]:
    """Yield the rows of a row group; those after a damage are unreadable."""
    reason = "the row group ends early"
    try:
        for batch in batches:
            yield from take_batch(source.name, batch, row)
            row += batch.num_rows
    except DAMAGE as error:
        reason = explain_damage(source, error)
    for lost in range(row, stop):
        yield EvalRow(source.name, lost, None, reason)


def _read_arrow(source: Source) -> Iterator[EvalRow]:
    row = 0
    try:
        with open_binary(source.path) as file:
            for table in _read_batches(source, file):
                yield from take_batch(source.name, table, row)
                row += table.num_rows
    except BrokenSourceError as broken:
        yield EvalRow(source.name, row, None, str(broken))
    except DAMAGE as error:
        yield EvalRow(source.name, row, None, explain_damage(source, error))


def _read_batches(source: Source, file: IO[bytes]) -> Iterator[pa.Table]:
    """Yield the batches of an IPC file (Feather) or of an IPC stream (``save_to_disk``)."""
    is_file = file.read(len(ARROW_FILE_MAGIC)) == ARROW_FILE_MAGIC
    file.seek(0)
    reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
    spell_names(reader.schema)
    plain = plan_plain(source, reader.schema)
    for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
        if not all(map(is_sound, batch.columns)):
            raise BrokenSourceError("the Arrow file is damaged (a column does not hold together)")
        yield plain.read(batch)


def take_batch(name: str, table: pa.Table, row: int) -> Iterator[EvalRow]:
    """Yield the rows of a table; ``row`` is the number of the first.

    A row with a text that is not UTF-8, or with JSON that is not, is unreadable; the others are read.
    """
    for index, record in enumerate(to_records(table)):
        if isinstance(record, BadRowError):
            yield EvalRow(name, row + index, None, record.cause)
        else:
            yield EvalRow(name, row + index, record)


def explain_damage(source: Source, error: Exception) -> str:
    """Return what is wrong with a file, in one line. Raises StorageError for one of a disk or a server."""
    if isinstance(error, OSError) and not isinstance(error, pa.ArrowException):
        failure = as_failure(source.path, error)
        if not isinstance(failure, BrokenSourceError):
            raise failure from error
    return f"the file is damaged ({one_line(error)})"
