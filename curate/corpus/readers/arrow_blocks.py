"""Arrow batches as blocks of rows: texts and ids as Python strings, other columns as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.chat.rows import Turns, count_bytes, list_columns, take_turns
from curate.corpus.chat.types import join_turns
from curate.corpus.files.streams import one_line
from curate.corpus.readers.row_blocks import ROW_COST
from curate.corpus.readers.utf8 import is_valid, replace_invalid
from curate.corpus.types import ReadOptions, ReadStart, RowBlock, Source, ValueDraw
from curate.corpus.values.arrow_types import conform_table, encode_values, infer_type, is_binary, is_string
from curate.corpus.values.arrow_values import encode_json, is_json, needs_care, parse_json_or_text, to_values
from curate.corpus.values.json_records import JSON_NAMES, MISSING, BadRowError, as_id, check_text, look_up, parse_value
from curate.corpus.values.schema_widening import FEATURES
from curate.runtime.console import warn

# Texts become Python strings in runs of about this size.
RUN_BYTES = 4 << 20
RUN_ROWS = 1024


@dataclass(slots=True)
class BlockMaker:
    """Counts the rows of a columnar source and makes blocks of those from ``start`` on that are in the sample."""

    source: Source
    start: ReadStart
    reading: ReadOptions
    total_rows: int | None = None
    """Rows of the source; where known, the position in the source is estimated from the row."""
    row: int = 0
    """The next row."""
    position: int = 0
    """Stored bytes read so far, from the reader; for sources without ``total_rows``."""
    behind: int = field(default=0)
    """Stored bytes up to the last row that was passed."""
    mended: set[str] = field(default_factory=set)
    """Columns whose invalid UTF-8 was warned of."""

    def skip(self, rows: int) -> None:
        """Pass the next rows without reading them."""
        self.row += rows
        self.behind = self._position(self.row - 1) if rows else self.behind

    def make(self, table: pa.Table, schema: pa.Schema) -> Iterator[RowBlock]:
        """Yield blocks of the next rows. ``schema`` is that of the file: columns that the table lacks become null."""
        if self.row + len(table) <= self.start.row:
            self.skip(len(table))
            return
        if self.row < self.start.row:
            table = table.slice(self.start.row - self.row)
            self.skip(self.start.row - self.row)
        kept = self._mend(table)
        run = max(1, min(RUN_ROWS, RUN_BYTES * len(table) // max(1, table.nbytes)))
        for first in range(0, len(table), run):
            yield self._make_run(table.slice(first, run), kept.slice(first, run), schema)

    def _mend(self, table: pa.Table) -> pa.Table:
        """Return what is kept of the table: U+FFFD for invalid UTF-8 outside the text, which must not cost the row.

        The columns of the text or the turns stay as they are, since invalid UTF-8 in them makes the row unreadable, and
        so does every column where there is neither. Of a dictionary the values stay in the table without their rows.
        """
        reading = self.reading
        text = (reading.text_field,) if reading.conversation is None else list_columns(reading.conversation)
        if not reading.keeps_columns or text == (None,):
            return table
        kept = {part for name in reading.columns for part in (name, name.split(".")[0])}
        for index, column in enumerate(table.columns):
            name = table.field(index).name
            is_spared = name in text and not pa.types.is_dictionary(column.type)
            if is_spared or not (reading.all_columns or name in kept) or is_valid(column):
                continue
            table = table.set_column(index, table.field(index), replace_invalid(join_chunks(column)))
            if name not in text:
                self._warn_of_invalid(name, len(table))
        return table

    def _warn_of_invalid(self, name: str, rows: int) -> None:
        if name not in self.mended:
            self.mended.add(name)
            within = f"{self.source.name}, rows {self.row} to {self.row + rows - 1}"
            warn(f'{within}: "{name}" holds bytes that are not UTF-8; here and further on they become U+FFFD')

    def _make_run(self, table: pa.Table, kept: pa.Table, schema: pa.Schema) -> RowBlock:
        rows = list(range(self.row, self.row + len(table)))
        keep = self.reading.keep
        if keep is not None:
            sampled = [row for row in rows if keep(row)]
            indices = pa.array([row - self.row for row in sampled], pa.int64())
            table, kept = table.take(indices), kept.take(indices) if self.reading.keeps_columns else kept
            next_row, rows = self.row + len(rows), sampled
        else:
            next_row = self.row + len(rows)
        absent: set[int] = set()
        if self.reading.draw is not None:
            indices, absent = draw_rows(table, self.reading.draw)
            rows = [rows[index] for index in indices.to_pylist()]
            table, kept = table.take(indices), kept.take(indices) if self.reading.keeps_columns else kept
        turns = None
        if self.reading.conversation is not None:
            turns, texts, sizes, causes = take_conversations(table, self.reading.conversation)
        else:
            texts, sizes, causes = take_texts(table, self.reading.text_field)
        if self.reading.draw is not None and absent:
            causes = [self.reading.draw.absence if index in absent else cause for index, cause in enumerate(causes)]
            texts = [None if index in absent else text for index, text in enumerate(texts)]
        reasons = [None if cause is None else f"row {row}: {cause}" for row, cause in zip(rows, causes, strict=True)]
        content = None
        if self.reading.keeps_columns:
            if self.reading.all_columns:
                content = as_content(*settle_text(kept, schema, self.reading.text_field, texts), causes)
            else:
                content = pick_columns(kept, self.reading.columns, causes)
        return self._block(
            rows, take_ids(table, self.reading.id_field), texts, reasons, sizes, next_row, content, turns
        )

    def refuse(self, count: int, cause: str) -> Iterator[RowBlock]:
        """Yield blocks of the next ``count`` rows, all unreadable for one cause."""
        stop = self.row + count
        if self.row < self.start.row:
            self.skip(min(stop, self.start.row) - self.row)
        while self.row < stop:
            next_row = min(self.row + RUN_ROWS, stop)
            keep = self.reading.keep
            rows = [row for row in range(self.row, next_row) if keep is None or keep(row)]
            self.position = self.source.size or self.position
            nothing: list[str | None] = [None] * len(rows)
            yield self._block(rows, nothing, nothing, [cause] * len(rows), [0] * len(rows), next_row)

    def finish(self) -> RowBlock:
        """Return a block without rows that ends the source."""
        self.behind = self.source.size or self.behind
        return self._block([], [], [], [], [], self.row)

    def _block(
        self,
        rows: list[int],
        ids: list[str | None],
        texts: list[str | None],
        reasons: list[str | None],
        sizes: list[int],
        next_row: int,
        content: Any = None,
        turns: list[Turns | None] | None = None,
    ) -> RowBlock:
        begin = self.behind
        if next_row > self.row:
            self.behind = self._position(next_row - 1)
        self.row = next_row
        return RowBlock(
            rows=rows,
            ids=ids,
            texts=texts,
            reasons=reasons,
            sizes=[size + ROW_COST for size in sizes],
            positions=[self._position(row) for row in rows],
            offsets=None,
            begin=begin,
            end=self.behind,
            next_row=next_row,
            next_offset=None,
            content=[None] * len(rows) if self.reading.keeps_columns and content is None else content,
            turns=turns,
        )

    def _position(self, row: int) -> int:
        if self.total_rows:
            return (self.source.size or 0) * (row + 1) // self.total_rows
        return self.position


def find_column(table: pa.Table, name: str) -> pa.Array | None:
    """Return a column by its name, or a field of a struct by its path with dots; None where there is none."""
    if name in table.column_names:
        return join_chunks(table.column(name))
    first, *rest = name.split(".")
    if not rest or first not in table.column_names:
        return None
    column = join_chunks(table.column(first))
    for number, part in enumerate(rest):
        if is_json(column.type):
            return find_in_json(column, ".".join(rest[number:]))
        if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
            return None
        column = pc.struct_field(column, part)
    return column


def find_in_json(column: pa.Array, path: str) -> pa.Array:
    """Return what a path leads to in JSON objects, as JSON; null where it leads nowhere."""
    objects = to_values(replace_invalid(column), parse_json_or_text)
    found = (look_up(value, path) if isinstance(value, dict) else MISSING for value in objects)
    return encode_json(None if value is MISSING else value for value in found)


def join_chunks(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy where it is one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def take_texts(table: pa.Table, name: str | None) -> tuple[list[str | None], list[int], list[str | None]]:
    """Return texts, their UTF-8 lengths, and for each row the cause why it has no text, else None.

    Without a name there are neither texts nor causes.
    """
    if name is None:
        return [None] * len(table), [0] * len(table), [None] * len(table)
    column = find_column(table, name)
    if column is None:
        cause = f'no column "{name}"; there are: {", ".join(table.column_names)}'
        return [None] * len(table), [0] * len(table), [cause] * len(table)
    if is_json(column.type):
        return take_json_texts(column, name)
    column = as_text(column)
    if column is None:
        return [None] * len(table), [0] * len(table), [f'"{name}" is not a column of strings'] * len(table)
    sizes = pc.fill_null(pc.binary_length(column), 0).to_pylist()
    null = f'"{name}" is null'
    try:
        if pa.types.is_large_string(column.type):
            texts = column.to_pylist()
            return texts, sizes, [null if text is None else None for text in texts]
    except UnicodeDecodeError:
        column = column.cast(pa.large_binary())
    decoded = [decode_text(value, null) for value in column.to_pylist()]
    return [text for text, _ in decoded], sizes, [cause for _, cause in decoded]


def take_json_texts(column: pa.Array, name: str) -> tuple[list[str | None], list[int], list[str | None]]:
    """Return what ``take_texts`` returns of a column of JSON values, of which only strings are texts."""
    texts: list[str | None] = []
    causes: list[str | None] = []
    for raw in column.storage.cast(pa.large_binary()).to_pylist():
        try:
            texts.append(parse_json_text(raw, name))
            causes.append(None)
        except BadRowError as bad:
            texts.append(None)
            causes.append(bad.cause)
    return texts, [count_bytes(text or "") for text in texts], causes


def parse_json_text(raw: bytes | None, name: str) -> str:
    """Return the string that a JSON text is. Raises BadRowError for another value, and for what is not JSON."""
    value = None if raw is None else parse_value(raw)
    if not isinstance(value, str):
        kind = "null" if value is None else f"{JSON_NAMES[type(value)]}, not a string"
        raise BadRowError(f'"{name}" is {kind}')
    check_text(value, name)
    return value


def take_conversations(
    table: pa.Table, schema: str
) -> tuple[list[Turns | None], list[str | None], list[int], list[str | None]]:
    """Return turns, texts, their UTF-8 lengths, and for each row the cause why it is not a conversation, else None."""
    turns: list[Turns | None] = []
    causes: list[str | None] = []
    for record in to_records(table.select([name for name in list_columns(schema) if name in table.column_names])):
        try:
            if isinstance(record, BadRowError):
                raise record
            turns.append(take_turns(record, schema))
            causes.append(None)
        except BadRowError as bad:
            turns.append(None)
            causes.append(bad.cause)
    texts = [None if of_row is None else join_turns(of_row) for of_row in turns]
    return turns, texts, [count_bytes(text or "") for text in texts], causes


def to_records(table: pa.Table) -> list[dict[str, Any] | BadRowError]:
    """Return the rows as dicts, BadRowError for rows with values that Python cannot hold, such as invalid UTF-8.

    JSON is parsed, at any depth (``to_values``); a row with text in its place that is not JSON is bad.
    """
    try:
        if not any(needs_care(column.type) for column in table.schema):
            return table.to_pylist()  # type: ignore[no-any-return]
        columns = map(to_values, table.columns)
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
    except (ValueError, OverflowError, BadRowError) as error:
        if len(table) > 1:
            return [record for row in range(len(table)) for record in to_records(table.slice(row, 1))]
        if isinstance(error, BadRowError):
            return [error]
        cause = f"invalid UTF-8 ({error.reason})" if isinstance(error, UnicodeDecodeError) else one_line(error)
        return [BadRowError(cause)]


def as_text(column: pa.Array) -> pa.Array | None:
    """Return a column of strings or bytes as large_string or large_binary; None for another type."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind) or is_string(kind):
        return column.cast(pa.large_string())
    if is_binary(kind):
        return column.cast(pa.large_binary())
    return None


def decode_text(value: bytes | None, null: str) -> tuple[str | None, str | None]:
    """Return bytes as a text and no cause, or no text and the cause; ``null`` is the cause for None."""
    if value is None:
        return None, null
    try:
        return value.decode(), None
    except UnicodeDecodeError as error:
        return None, f"invalid UTF-8 at byte {error.start} of the text ({error.reason})"


def take_ids(table: pa.Table, name: str | None) -> list[str | None]:
    """Return ids as strings, None where there are none; U+FFFD replaces invalid UTF-8."""
    column = None if name is None else find_column(table, name)
    if column is None:
        return [None] * len(table)
    try:
        return [as_id(value) for value in to_values(column, parse_json_or_text)]
    except UnicodeDecodeError:
        return [as_id(value) for value in to_values(replace_invalid(column), parse_json_or_text)]


def draw_rows(table: pa.Table, draw: ValueDraw) -> tuple[pa.Int64Array, set[int]]:
    """Return the indices of the rows that are in a sample or have no value to draw by, and which of these have none.

    The latter count within the former.
    """
    values = take_ids(table, draw.field)
    indices = [index for index, value in enumerate(values) if not value or draw.takes(value)]
    return pa.array(indices, pa.int64()), {place for place, index in enumerate(indices) if not values[index]}


def settle_text(
    table: pa.Table, schema: pa.Schema, name: str | None, texts: list[str | None]
) -> tuple[pa.Table, pa.Schema]:
    """Return both with strings for the text where it is a column of JSON values: those that are no text are null."""
    index = -1 if name is None else schema.get_field_index(name)
    if index < 0 or not is_json(schema.field(index).type):
        return table, schema
    column = schema.field(index).with_type(pa.large_string())
    number = table.column_names.index(name)
    return table.set_column(number, column, pa.array(texts, column.type)), schema.set(index, column)


def as_content(table: pa.Table, schema: pa.Schema, causes: list[str | None]) -> pa.Table:
    """Return all columns of ``schema`` with their types and its metadata, null in the rows with a cause."""
    fields = [
        column.with_type(pa.large_string() if pa.types.is_string_view(column.type) else column.type).with_nullable(True)
        for column in schema
    ]
    kept = {key: value for key, value in (schema.metadata or {}).items() if key == FEATURES}
    return empty_rows(conform_table(table, pa.schema(fields, kept)), causes)


def pick_columns(table: pa.Table, names: Sequence[str], causes: list[str | None]) -> pa.Table:
    """Return some columns, or fields within one, under their names or paths; null where the table has none."""
    found = [find_column(table, name) for name in names]
    filled = [pa.nulls(len(table)) if column is None else decode_column(column) for column in found]
    columns = [column.cast(widen_string(column.type)) if is_string(column.type) else column for column in filled]
    return empty_rows(pa.table(dict(zip(names, columns, strict=True))), causes)


def decode_column(column: pa.Array) -> pa.Array:
    """Return a column of JSON values with the type that its values have in JSON lines; another column unchanged."""
    if not is_json(column.type):
        return column
    values = to_values(column, parse_json_or_text)
    return encode_values(values, infer_type(values))


def empty_rows(table: pa.Table, causes: list[str | None]) -> pa.Table:
    """Return the table with nulls in the rows with a cause."""
    if any(cause is not None for cause in causes):
        indices = [index if cause is None else None for index, cause in enumerate(causes)]
        table = table.take(pa.array(indices, pa.int64()))
    return table


def widen_string(kind: pa.DataType) -> pa.DataType:
    """Return large_string for string types, other types unchanged."""
    return pa.large_string() if is_string(kind) else kind
