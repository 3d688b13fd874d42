"""Arrow types for values without types, and tables whose types differ.

The rule: whole numbers are int64, numbers float64, strings large_string, lists and objects keep their structure. Values
of one column (or of one field deeper down) that have no type in common make it large_string: strings stay as they are,
everything else becomes its JSON. So do objects of more than ``MAX_FIELDS`` fields or none, lists and objects within
``MAX_NESTING`` others, and whole numbers that int64 cannot hold, or float64 in a column with fractions. A type only
widens: a slice without a column that the start of the corpus has still has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from curate.corpus.arrow_values import to_values
from curate.corpus.json_records import clean_string

MAX_FIELDS = 100
MAX_NESTING = 32  # Arrow files hold 64 levels, and readers of datasets add some.
INT64 = 1 << 63
EXACT_FLOAT = 1 << 53


def tabulate(records: Sequence[dict[str, Any] | None], schema: pa.Schema | None) -> pa.Table:
    """Return records as a table: the columns of ``schema`` first, then new ones in the order of their first record.

    A record of None is a row of nulls.
    """
    known = {column.name: column.type for column in schema} if schema is not None else {}
    names = dict.fromkeys([*known, *(name for record in records if record is not None for name in record)])
    arrays = {}
    for name in names:
        values = [None if record is None else record.get(name) for record in records]
        arrays[clean_string(name)] = encode_values(values, infer_type(values, known.get(name)))
    return pa.table(arrays) if arrays else pa.table({"": pa.nulls(len(records))}).select([])


def infer_type(values: Iterable[Any], known: pa.DataType | None = None, depth: int = 0) -> pa.DataType:
    """Return the narrowest type, no narrower than ``known``, that holds all values unchanged; null without values.

    ``depth`` is the number of lists and objects around the values.
    """
    known = None if known is None or pa.types.is_null(known) else known
    held = [value for value in values if value is not None]
    kinds = {type(value) for value in held} | list_python_types(known)
    if not kinds:
        return pa.null()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64() if all(-INT64 <= value < INT64 for value in held) else pa.large_string()
    if kinds == {int, float} or kinds == {float}:
        exact = all(type(value) is float or abs(value) <= EXACT_FLOAT for value in held)
        return pa.float64() if exact else pa.large_string()
    if kinds == {list} and depth < MAX_NESTING:
        inner = None if known is None else known.value_type
        return pa.large_list(infer_type((item for value in held for item in value), inner, depth + 1))
    if kinds == {dict} and depth < MAX_NESTING:
        return _infer_struct(held, known, depth)
    return pa.large_string()


def list_python_types(kind: pa.DataType | None) -> set[type]:
    """Return the Python types that ``infer_type`` gives an Arrow type: one, or none for None."""
    if kind is None:
        return set()
    if pa.types.is_boolean(kind):
        return {bool}
    if pa.types.is_int64(kind):
        return {int}
    if pa.types.is_float64(kind):
        return {float}
    if pa.types.is_large_list(kind):
        return {list}
    return {dict} if pa.types.is_struct(kind) else {str}


def _infer_struct(values: list[dict[str, Any]], known: pa.DataType | None, depth: int) -> pa.DataType:
    types = {} if known is None else {column.name: column.type for column in known}
    names = {name: name if name in types else clean_string(name) for value in values for name in value}
    for name, clean in names.items():
        types[clean] = infer_type((value.get(name) for value in values), types.get(clean), depth + 1)
    return pa.struct(list(types.items())) if 0 < len(types) <= MAX_FIELDS else pa.large_string()


def merge_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """Return the narrowest type that holds the values of both."""
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if {left, right} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_large_list(left) and pa.types.is_large_list(right):
        return pa.large_list(merge_types(left.value_type, right.value_type))
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        fields = {column.name: column.type for column in left}
        for column in right:
            fields[column.name] = merge_types(fields.get(column.name, pa.null()), column.type)
        return pa.struct(list(fields.items())) if len(fields) <= MAX_FIELDS else pa.large_string()
    return pa.large_string()


def merge_schemas(left: pa.Schema | None, right: pa.Schema) -> pa.Schema:
    """Return the columns of both, each wide enough for both, those of ``left`` first."""
    types = {column.name: column.type for column in left} if left is not None else {}
    for column in right:
        types[column.name] = merge_types(types.get(column.name, pa.null()), column.type)
    return pa.schema(list(types.items()))


def encode_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return values as an array of the type that ``infer_type`` gives them, or of a wider one."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array([shape_value(value, kind) for value in values], kind)


def shape_value(value: Any, kind: pa.DataType) -> Any:
    """Return the value as its type needs it: JSON in a column of strings, U+FFFD for lone surrogates."""
    if value is None:
        return None
    if pa.types.is_large_string(kind):
        return clean_string(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    if pa.types.is_large_list(kind):
        return [shape_value(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        held = {clean_string(name): item for name, item in value.items()}
        return {column.name: shape_value(held.get(column.name), column.type) for column in kind}
    return value


def conform_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table under a wider schema (``merge_schemas``): absent columns are null, types are widened."""
    held = dict(zip(table.column_names, table.columns, strict=True))
    columns = []
    for column in schema:
        values = held.get(column.name)
        if values is None:
            columns.append(pa.chunked_array([pa.nulls(len(table), column.type)]))
        elif values.type.equals(column.type):
            columns.append(values)
        elif is_string(values.type) and pa.types.is_large_string(column.type):
            columns.append(values.cast(column.type))
        else:
            columns.append(pa.chunked_array([encode_values(to_values(values), column.type)]))
    return pa.table(columns, schema=schema)


def is_string(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's three string types."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables one after the other; types that differ between batches of one file are widened."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables)
    schema: pa.Schema | None = None
    for table in tables:
        schema = merge_schemas(schema, table.schema)
    return pa.concat_tables([conform_table(table, schema) for table in tables])
