"""Arrow types that no dataset holds, as the plain types with the same values: where the readers meet a file.

    stored                                            read
    string view, binary view                          large string, large binary
    list view, fixed-size list of 0, map              large list; of a map, of {key, value}
    run-end encoded; dictionary of nested values      the values
    union, struct without fields                      JSON (``arrow_values.JSON_TYPE``)
    arrow.json of any storage                         JSON
    arrow.uuid, arrow.bool8                           large string, bool
    other extensions, but those of ``datasets``       their storage
    interval of months, days and nanoseconds          a struct of the three
    decimal of 32 or 64 bits, of an odd scale         decimal of 128 or 256 bits

No value changes. Columns, and fields of a struct, that share a name become value, value_2, as in CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_values import (
    JSON_TYPE,
    encode_json,
    flatten_lists,
    is_json,
    is_list,
    number_duplicates,
    parse_json_or_text,
    to_values,
)
from curate.corpus.values.schema_widening import spell_value

INTERVAL = pa.struct([("months", pa.int32()), ("days", pa.int32()), ("nanoseconds", pa.int64())])
NO_ARRAYS = ("month_interval", "day_time_interval")
"""Types that pyarrow has no arrays of."""
MAX_PRECISION = {128: 38, 256: 76}


class UnsupportedTypeError(Exception):
    """Values of an Arrow type cannot be read; the message is the type, with the path of a type within another."""


def make_plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain types and unique names, its metadata kept. Raises UnsupportedTypeError."""
    names = number_duplicates(schema.names)
    columns = []
    for name, column in zip(names, schema, strict=True):
        try:
            columns.append(column.with_name(name).with_type(find_plain_type(column.type)))
        except UnsupportedTypeError as error:
            raise UnsupportedTypeError(f'column "{name}" has the Arrow type {error}') from error
    return pa.schema(columns, schema.metadata)


@dataclass(slots=True)
class PlainReader:
    """Brings the batches of one file, of all its columns or some, to plain types."""

    file_schema: pa.Schema
    """The columns as they are stored."""
    schema: pa.Schema = field(init=False)
    """All columns of the file, with plain types and unique names."""
    _stored: pa.Schema | None = None
    _plain: pa.Schema | None = None

    def __post_init__(self) -> None:
        """Raise UnsupportedTypeError for a column that cannot be read."""
        self.schema = make_plain_schema(self.file_schema)

    def stored_names(self, names: Sequence[str]) -> list[str]:
        """Return columns, or paths within one, by the names that the file has for them: value for value_2.

        A path that leads into JSON, or further than there are fields, is cut short: all of that column must be read.
        """
        stored = dict(zip(self.schema.names, self.file_schema, strict=True))
        return [_find_stored(stored, name) for name in names]

    def read(self, rows: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return some rows as a table. Of columns of one name they must have all or none."""
        if self._stored is None or not self._stored.equals(rows.schema):
            self._stored, self._plain = rows.schema, make_plain_schema(self._name_apart(rows.schema))
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        return table if table.schema.equals(self._plain) else make_plain_table(table, self._plain)

    def _name_apart(self, stored: pa.Schema) -> pa.Schema:
        """Return the columns of a batch under the unique names that they have among all columns of the file."""
        if self.schema.names == self.file_schema.names:
            return stored
        unique: dict[str, list[str]] = {}
        for name, numbered in zip(self.file_schema.names, self.schema.names, strict=True):
            unique.setdefault(name, []).append(numbered)
        return pa.schema([column.with_name(unique[column.name].pop(0)) for column in stored])


def _find_stored(stored: dict[str, pa.Field], name: str) -> str:
    if name in stored:
        return str(stored[name].name)
    first, *rest = name.split(".")
    path, kind = [stored[first].name], stored[first].type
    for part in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            break
        path.append(part)
        kind = kind.field(part).type
    return ".".join(path)


def make_plain_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table under its plain schema (``make_plain_schema``), whose names may be others."""
    columns = [
        pa.chunked_array([make_plain(chunk, column.type) for chunk in values.chunks], column.type)
        for values, column in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def find_plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the plain type of an Arrow type: itself where it is plain. Raises UnsupportedTypeError."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _find_plain_extension(kind)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_run_end_encoded(kind):
        return find_plain_type(kind.value_type)
    if types.is_dictionary(kind):
        value = find_plain_type(kind.value_type)
        is_atom = not (types.is_nested(value) or types.is_dictionary(value) or isinstance(value, pa.BaseExtensionType))
        return pa.dictionary(kind.index_type, value, kind.ordered) if is_atom and not types.is_null(value) else value
    if types.is_struct(kind):
        return _find_plain_struct(kind)
    if types.is_union(kind):
        for index in range(kind.num_fields):
            find_plain_type(kind.field(index).type)
        return JSON_TYPE
    if types.is_map(kind):
        key, value = find_plain_type(kind.key_type), find_plain_type(kind.item_type)
        return pa.large_list(pa.struct([("key", key), ("value", value)]))
    if is_list(kind) or types.is_list_view(kind) or types.is_large_list_view(kind):
        return _find_plain_list(kind)
    if types.is_decimal(kind):
        return _find_plain_decimal(kind)
    if kind.equals(pa.month_day_nano_interval()):
        return INTERVAL
    if str(kind) in NO_ARRAYS:
        raise UnsupportedTypeError(str(kind))
    return kind


def _find_plain_extension(kind: pa.BaseExtensionType) -> pa.DataType:
    if is_json(kind):
        return JSON_TYPE
    if isinstance(kind, pa.UuidType):
        return pa.large_string()
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    # The types of datasets, as Array2D, have their features in the metadata of the schema.
    return kind if type(kind).__module__.split(".")[0] == "datasets" else find_plain_type(kind.storage_type)


def _find_plain_struct(kind: pa.StructType) -> pa.DataType:
    if not kind.num_fields:
        return JSON_TYPE
    names = number_duplicates([member.name for member in kind])
    members = [
        member.with_name(name).with_type(find_plain_type(member.type))
        for name, member in zip(names, kind, strict=True)
    ]  # fmt: skip
    return kind if all(map(pa.Field.equals, members, kind)) else pa.struct(map(_make_nullable, members))


def _make_nullable(field: pa.Field) -> pa.Field:
    return field.with_nullable(True)


def _find_plain_list(kind: pa.DataType) -> pa.DataType:
    item = kind.value_field.with_type(find_plain_type(kind.value_type))
    is_fixed = pa.types.is_fixed_size_list(kind)
    if is_list(kind) and item.equals(kind.value_field) and not (is_fixed and kind.list_size == 0):
        return kind
    item = _make_nullable(item)
    if is_fixed and kind.list_size:
        return pa.list_(item, kind.list_size)
    return pa.list_(item) if pa.types.is_list(kind) else pa.large_list(item)


def _find_plain_decimal(kind: pa.DataType) -> pa.DataType:
    """Return a decimal of 128 or 256 bits with a scale from 0 up to its precision, as Parquet and datasets want it."""
    scale = max(kind.scale, 0)
    precision = max(kind.precision + scale - kind.scale, scale)
    if precision > MAX_PRECISION[256]:
        raise UnsupportedTypeError(str(kind))
    wide = pa.types.is_decimal256(kind) or precision > MAX_PRECISION[128]
    return pa.decimal256(precision, scale) if wide else pa.decimal128(precision, scale)


def make_plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array under the plain type of its own (``find_plain_type``)."""
    old = column.type
    if old.equals(kind):
        return column
    if isinstance(old, pa.BaseExtensionType):
        return _make_plain_extension(column, kind)
    if pa.types.is_run_end_encoded(old):
        return make_plain(pc.run_end_decode(column), kind)
    if pa.types.is_dictionary(old):
        return _make_plain_dictionary(column, kind)
    if is_json(kind):
        return _make_json(column)
    if pa.types.is_struct(old):
        # Not flatten(), which ends the process where a field is a union.
        members = [make_plain(column.field(index), field.type) for index, field in enumerate(kind)]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=column.is_null())
    if pa.types.is_map(old):
        pairs = zip((column.keys, column.items), kind.value_type, strict=True)
        entries = [make_plain(part, field.type) for part, field in pairs]
        items = pa.StructArray.from_arrays(entries, fields=list(kind.value_type))
        return _make_list(np.asarray(column.offsets), items, kind, column.is_null())
    if pa.types.is_interval(old):
        return pa.array([None if value is None else tuple(value) for value in column.to_pylist()], kind)
    if pa.types.is_nested(old):
        return rebuild_list(column, kind, lambda items: make_plain(items, kind.value_type))
    return column.cast(kind)


def rebuild_list(column: pa.Array, kind: pa.DataType, make: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return lists of any type as ``kind``, a list whose items are what ``make`` returns for those of the column."""
    if pa.types.is_fixed_size_list(kind):
        items = column.values.slice(column.offset * kind.list_size, len(column) * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(make(items), type=kind, mask=column.is_null())
    if pa.types.is_fixed_size_list(column.type):  # Of size 0.
        return _make_list(np.zeros(len(column) + 1, np.int64), make(column.values), kind, column.is_null())
    items, lengths = flatten_lists(column, make)
    return _make_list(np.concatenate([[0], np.cumsum(lengths)]), items, kind, column.is_null())


def _make_list(offsets: np.ndarray, items: pa.Array, kind: pa.DataType, is_null: pa.Array) -> pa.Array:
    is_large = pa.types.is_large_list(kind)
    starts = pa.array(offsets, pa.int64() if is_large else pa.int32())
    array = pa.LargeListArray if is_large else pa.ListArray
    return array.from_arrays(starts, items, type=kind, mask=is_null)


def _make_plain_extension(column: pa.ExtensionArray, kind: pa.DataType) -> pa.Array:
    old = column.type
    if is_json(old):
        return pa.ExtensionArray.from_storage(JSON_TYPE, column.storage.cast(pa.string()))
    if isinstance(old, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.large_string())
    return column.cast(kind) if isinstance(old, pa.Bool8Type) else make_plain(column.storage, kind)


def _make_plain_dictionary(column: pa.DictionaryArray, kind: pa.DataType) -> pa.Array:
    old = column.type
    if pa.types.is_dictionary(kind):
        values = make_plain(column.dictionary, kind.value_type)
        return pa.DictionaryArray.from_arrays(column.indices, values, ordered=old.ordered)
    return make_plain(column.dictionary.take(column.indices), kind)


def _make_json(column: pa.Array) -> pa.Array:
    """Return structs without fields, or the values of a union, as JSON; bytes are base64, times ISO 8601."""
    if pa.types.is_struct(column.type):
        return encode_json({} if valid else None for valid in column.is_valid().to_pylist())
    # One by one: Arrow gives the children of a slice of a union without its offset.
    return encode_json((_to_value(scalar.value) if scalar.is_valid else None for scalar in column), spell_value)


def _to_value(scalar: pa.Scalar) -> Any:
    column = pa.repeat(scalar, 1)
    return to_values(make_plain(column, find_plain_type(column.type)), parse_json_or_text)[0]
