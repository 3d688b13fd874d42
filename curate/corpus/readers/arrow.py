"""Columnar formats: Parquet, Arrow (file, stream, Feather, save_to_disk), datasets of the Hub.

Readers read batches, never row by row, and only the selected columns. A row group that cannot be decoded makes its rows
unreadable, a file that cannot be opened makes one unreadable row. Where a column other than the text is damaged, the
text is read, and the other columns of those rows are null, with a warning; strings that are not UTF-8 cost only their
value (``utf8``). Memory depends on the size of batches: those of a Parquet row group are cut small here, those of an
Arrow file are as large as they were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.files.contents import name_contents
from curate.corpus.files.hub import stream_hub
from curate.corpus.files.streams import as_failure, is_url, one_line, open_binary
from curate.corpus.readers.arrow_blocks import BlockMaker
from curate.corpus.readers.plain_types import PlainReader, UnsupportedTypeError
from curate.corpus.readers.utf8 import is_sound
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.schema_widening import FEATURES
from curate.errors import CorpusError
from curate.runtime.console import warn
from curate.runtime.disk.files import describe_os_error

# The size of a batch of a Parquet row group, however large the group is.
BATCH_BYTES = 4 << 20
BATCH_ROWS = 2048
HUB_ROWS = 256
BUFFER_BYTES = 1 << 20
# MemoryError: a damaged length requests more memory than there is.
DAMAGE = (pa.ArrowException, OSError, ValueError, MemoryError)
ARROW_FILE_MAGIC = b"ARROW1"


def open_parquet(source: Source, file: IO[bytes]) -> pq.ParquetFile:
    """Return an open Parquet file after reading its footer. Raises BrokenSourceError for a damaged one."""
    try:
        opened = pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
        spell_names(opened.schema_arrow)
        return opened
    except DAMAGE as error:
        raise _as_broken(source, error, _describe_damage(file, "Parquet")) from error


def _describe_damage(file: IO[bytes], name: str) -> str:
    """Return that a file is damaged, or what else it is, as its first bytes show."""
    try:
        file.seek(0)
        head = file.read(64)
    except (OSError, ValueError):
        head = b""
    if head.lstrip().startswith((b"{", b"[")):
        return "the file is JSON: rename it to .jsonl"
    what = name_contents(head)
    is_other = what is not None and f"{'an' if name == 'Arrow' else 'a'} {name} file" not in what
    return f"the file is {what}" if is_other else f"the {name} file is damaged"


def read_parquet(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on; row groups before it are not read."""
    maker = BlockMaker(source, start, reading)
    try:
        with open_binary(source.path) as file:
            yield from _read_groups(open_parquet(source, file), maker)
    except BrokenSourceError as broken:
        yield from maker.refuse(1, str(broken))


def _read_groups(file: pq.ParquetFile, maker: BlockMaker) -> Iterator[RowBlock]:
    maker.total_rows = file.metadata.num_rows
    plain = plan_plain(maker.source, file.schema_arrow)
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if maker.row + rows <= maker.start.row:
            maker.skip(rows)
        else:
            yield from _read_group(file, group, maker, plain)
    yield maker.finish()


def _read_group(file: pq.ParquetFile, group: int, maker: BlockMaker, plain: PlainReader) -> Iterator[RowBlock]:
    first = maker.row
    stop = first + file.metadata.row_group(group).num_rows
    cause = f"row group {group} ends early"
    for with_columns in plan_passes(maker.reading):
        row = maker.row
        try:
            yield from _read_batches(file, group, maker, plain, first, with_columns)
        except DAMAGE as error:
            failure = _as_broken(maker.source, error, f"row group {group} cannot be decoded")
            if not isinstance(failure, BrokenSourceError):
                raise failure from error
            cause = str(failure)
        if maker.reading.keeps_columns and not with_columns:
            warn_of_nulls(maker, row, cause)
        if maker.row == stop:
            return
    yield from maker.refuse(stop - maker.row, cause)


def plan_passes(reading: ReadOptions) -> list[bool]:
    """Return for each attempt at a batch whether to read columns besides the text: first with them, then without.

    There is one attempt where only the text is read, or no text.
    """
    if reading.all_columns and reading.text_field is None and reading.conversation is None:
        return [True]
    return [True, False] if reading.keeps_columns else [False]


def warn_of_nulls(maker: BlockMaker, row: int, cause: str) -> None:
    """Warn that the rows from ``row`` to the current one have nulls outside the text."""
    if maker.row > row:
        rows = f"rows {row} to {maker.row - 1}"
        warn(f"{maker.source.name}, {rows}: {cause}; their columns besides the text are null")


def choose_batch_rows(metadata: pq.RowGroupMetaData) -> int:
    """Return how many rows of a row group to read at once."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES * int(metadata.num_rows) // max(1, int(metadata.total_byte_size))))


def _read_batches(
    file: pq.ParquetFile, group: int, maker: BlockMaker, plain: PlainReader, first: int, with_columns: bool
) -> Iterator[RowBlock]:
    """Yield the blocks of a row group from the current row of the maker on."""
    size = choose_batch_rows(file.metadata.row_group(group))
    reads_all = with_columns and maker.reading.all_columns
    names = None if reads_all else plain.stored_names(maker.reading.project(plain.schema.names, with_columns))
    row = first
    for batch in file.iter_batches(batch_size=size, row_groups=[group], columns=names):
        done = maker.row - row
        row += batch.num_rows
        if done < batch.num_rows:
            yield from maker.make(plain.read(batch.slice(done)), plain.schema)


def read_arrow(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on, of an IPC file (Feather) or an IPC stream (as of ``datasets``)."""
    maker = BlockMaker(source, start, reading)
    cause = ""
    for with_columns in plan_passes(reading):
        row, broken = maker.row, False
        try:
            yield from _read_ipc_rows(maker, with_columns)
        except BrokenSourceError as failure:
            cause, broken = str(failure), True
        if reading.keeps_columns and not with_columns:
            warn_of_nulls(maker, row, cause)
        if not broken:
            yield maker.finish()
            return
    yield from maker.refuse(1, f"{cause} after row {maker.row - 1}" if maker.row else cause)


def _read_ipc_rows(maker: BlockMaker, with_columns: bool) -> Iterator[RowBlock]:
    """Yield blocks from the current row of the maker on."""
    row = 0
    for plain, table, position in _read_ipc(maker.source, maker.reading, with_columns):
        done = maker.row - row
        row += table.num_rows
        if done < table.num_rows:
            maker.position = position
            yield from maker.make(table.slice(done), plain.schema)


def _read_ipc(source: Source, reading: ReadOptions, with_columns: bool) -> Iterator[tuple[PlainReader, pa.Table, int]]:
    """Yield sound batches of plain types with what made them plain, and the stored bytes read so far."""
    with open_binary(source.path) as file:
        try:
            plain = plan_plain(source, _open_ipc(file).schema)
            reader = _open_ipc(file, _choose_ipc_columns(plain, reading, with_columns))
            count = getattr(reader, "num_record_batches", None)
            number = 0
            while count is None or number < count:
                try:
                    batch = reader.read_next_batch() if count is None else reader.get_batch(number)
                except StopIteration:
                    return
                if not all(map(is_sound, batch.columns)):
                    raise BrokenSourceError("the Arrow file is damaged (a column is inconsistent)")
                number += 1
                yield plain, plain.read(batch), (source.size or 0) * number // count if count else file.tell()
        except DAMAGE as error:
            raise _as_broken(source, error, _describe_damage(file, "Arrow")) from error


def _open_ipc(file: IO[bytes], options: pa.ipc.IpcReadOptions | None = None) -> Any:
    """Return a reader of an IPC file, which has ``num_record_batches``, or of an IPC stream."""
    file.seek(0)
    is_file = file.read(len(ARROW_FILE_MAGIC)) == ARROW_FILE_MAGIC
    file.seek(0)
    reader = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file, options=options)
    spell_names(reader.schema)
    return reader


def _choose_ipc_columns(plain: PlainReader, reading: ReadOptions, with_columns: bool) -> pa.ipc.IpcReadOptions:
    """Return options by which an IPC file gives some columns, with all that have the name of one."""
    if with_columns and reading.all_columns:
        return pa.ipc.IpcReadOptions()
    stored = plain.file_schema.names
    chosen = plain.stored_names(reading.project(plain.schema.names, with_columns))
    tops = {name if name in stored else name.split(".")[0] for name in chosen}
    return pa.ipc.IpcReadOptions(included_fields=[index for index, name in enumerate(stored) if name in tops])


def read_hub(source: Source, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on, streamed through ``datasets`` as Arrow batches."""
    maker = BlockMaker(source, start, reading)
    maker.skip(start.row)
    for table in stream_hub(source.path, start.row, HUB_ROWS):
        plain = plan_plain(source, table.schema)
        yield from maker.make(plain.read(table), plain.schema)
    yield maker.finish()


def read_parquet_schema(source: Source) -> pa.Schema:
    """Return the columns of a Parquet file and their types, from its footer. Raises BrokenSourceError for damage."""
    with open_binary(source.path) as file:
        return plan_plain(source, open_parquet(source, file).schema_arrow).schema


def read_arrow_schema(source: Source) -> pa.Schema:
    """Return the columns of an IPC file or stream and their types. Raises BrokenSourceError for damage."""
    with open_binary(source.path) as file:
        try:
            return plan_plain(source, _open_ipc(file).schema).schema
        except DAMAGE as error:
            raise _as_broken(source, error, _describe_damage(file, "Arrow")) from error


def read_hub_schema(source: Source) -> pa.Schema:
    """Return the columns of the first rows of a split of the Hub; an empty schema for a split without rows."""
    first = next(stream_hub(source.path, 0, 16), None)
    return pa.schema([]) if first is None else plan_plain(source, first.schema).schema


def plan_plain(source: Source, schema: pa.Schema) -> PlainReader:
    """Return what makes the types of a file plain. Raises CorpusError for a column that cannot be read."""
    try:
        return PlainReader(add_features(source, schema))
    except UnsupportedTypeError as error:
        raise CorpusError(
            f"{source.name}: {error}, which can neither be read nor exported",
            "write the file again without this column, or with another type",
        ) from error


def add_features(source: Source, schema: pa.Schema) -> pa.Schema:
    """Return the schema with the features that a ``save_to_disk`` folder states, where the file itself has none."""
    path = Path(source.path).with_name("dataset_info.json")
    if source.format != "arrow" or FEATURES in (schema.metadata or {}) or is_url(source.path) or not path.is_file():
        return schema
    try:
        stated = json.dumps({"info": {"features": json.loads(path.read_bytes())["features"]}})
    except OSError as error:  # without them the same rows would have other types
        raise describe_os_error(error) from error
    except (ValueError, KeyError, TypeError):
        return schema
    return schema.with_metadata({**(schema.metadata or {}), FEATURES: stated.encode()})


def spell_names(fields: Iterable[pa.Field]) -> None:
    """Read the name of every column and of every field within. Raises UnicodeDecodeError for one that is not UTF-8."""
    for column in fields:
        str(column.name)
        spell_names(column.type.field(index) for index in range(column.type.num_fields))


def _as_broken(source: Source, error: Exception, what: str) -> Exception:
    """Return an error of Arrow as BrokenSourceError; one of a disk or a server is a StorageError."""
    if not isinstance(error, OSError) or isinstance(error, pa.ArrowException):
        return BrokenSourceError(f"{what} ({one_line(error)})")
    failure = as_failure(source.path, error)
    return BrokenSourceError(f"{what} ({failure})") if isinstance(failure, BrokenSourceError) else failure
