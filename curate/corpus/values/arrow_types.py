"""Arrow types for values without types, and tables whose types differ.

The rule: whole numbers are int64 (or uint64), numbers float64, strings large_string, lists keep their structure, and so
do objects that all have the same keys. Values that have no type in common are JSON, at the smallest level that differs:
objects of different keys (a key that is absent is not a null), of more than ``MAX_FIELDS`` keys or none, values of
different kinds, lists and objects within ``MAX_NESTING`` others, and whole numbers that no type holds, or float64 in a
column with fractions. JSON is ``JSON_TYPE``, which ``datasets`` gives back as values; ``JSON_TEXT`` where it would not
(``is_readable``). A type only widens: a slice without a column that the start of the corpus has still has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from curate.corpus.values.arrow_values import JSON_TYPE, from_values, is_json, number_duplicates, to_values
from curate.corpus.values.json_records import clean_string

JSON_TEXT = pa.json_(pa.large_string())
"""JSON values that ``datasets`` cannot read: an export has their JSON as strings."""
MAX_FIELDS = 100
MAX_NESTING = 8  # The time in which datasets decodes a row doubles with each list around Json.
RESERVED = "_type"
"""A key that objects may have and fields of ``datasets`` features may not."""
INT64 = 1 << 63
UINT64 = 1 << 64
EXACT_FLOAT = 1 << 53


def tabulate(records: Sequence[dict[str, Any] | None], schema: pa.Schema | None) -> pa.Table:
    """Return records as a table: the columns of ``schema`` first, then new ones in the order of their first record.

    A record of None is a row of nulls.
    """
    known = {column.name: column.type for column in schema} if schema is not None else {}
    keys = list(dict.fromkeys(name for record in records if record is not None for name in record))
    column_to_key = dict(zip(number_duplicates(list(map(clean_string, keys))), keys, strict=True))
    arrays = {}
    for name in dict.fromkeys([*known, *column_to_key]):
        key = column_to_key.get(name, name)
        values = [None if record is None else record.get(key) for record in records]
        arrays[name] = encode_values(values, infer_type(values, known.get(name)))
    return pa.table(arrays) if arrays else pa.table({"": pa.nulls(len(records))}).select([])


def infer_type(values: Iterable[Any], known: pa.DataType | None = None, depth: int = 0) -> pa.DataType:
    """Return the narrowest type, no narrower than ``known``, that holds all values unchanged; null without values.

    ``depth`` is the number of lists and objects around the values.
    """
    known = None if known is None or pa.types.is_null(known) else known
    held = [value for value in values if value is not None]
    kinds = set(map(type, held)) | list_python_types(known)
    if known is None or not is_json(known):
        kind = _infer_common(held, kinds, known, depth) if kinds else pa.null()
        if kind is not None:
            return kind
    return JSON_TYPE if known != JSON_TEXT and all(map(is_readable, held)) else JSON_TEXT


def _infer_common(values: list[Any], kinds: set[type], known: pa.DataType | None, depth: int) -> pa.DataType | None:
    """Return the type that values of these kinds have in common; None where they have none."""
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {str}:
        return pa.large_string()
    if kinds == {int}:
        return _infer_integers(values, known)
    if kinds == {int, float} or kinds == {float}:
        exact = all(type(value) is float or abs(value) <= EXACT_FLOAT for value in values)
        return pa.float64() if exact else None
    if kinds == {list} and depth < MAX_NESTING:
        inner = None if known is None else known.value_type
        return pa.large_list(infer_type((item for value in values for item in value), inner, depth + 1))
    if kinds == {dict} and depth < MAX_NESTING:
        return _infer_struct(values, known, depth)
    return None


def _infer_integers(values: list[int], known: pa.DataType | None) -> pa.DataType | None:
    least, most = min(values, default=0), max(values, default=0)
    if known != pa.uint64() and least >= -INT64 and most < INT64:
        return pa.int64()
    return pa.uint64() if least >= 0 and most < UINT64 else None


def list_python_types(kind: pa.DataType | None) -> set[type]:
    """Return the Python types that ``infer_type`` gives an Arrow type: one, or none for None and for JSON."""
    if kind is None or is_json(kind):
        return set()
    if pa.types.is_boolean(kind):
        return {bool}
    if pa.types.is_int64(kind) or pa.types.is_uint64(kind):
        return {int}
    if pa.types.is_float64(kind):
        return {float}
    if pa.types.is_large_list(kind):
        return {list}
    return {dict} if pa.types.is_struct(kind) else {str}


def _infer_struct(values: list[dict[str, Any]], known: pa.DataType | None, depth: int) -> pa.DataType | None:
    """Return the struct of objects that all have the same keys, those of ``known``; None for others."""
    types = dict.fromkeys(values[0]) if known is None else {member.name: member.type for member in known}
    keys = types.keys()
    if not 0 < len(types) <= MAX_FIELDS or any(value.keys() != keys for value in values):
        return None
    if RESERVED in types or any(clean_string(name) != name for name in types):
        return None
    inner = {name: infer_type((value[name] for value in values), kind, depth + 1) for name, kind in types.items()}
    return pa.struct(list(inner.items()))


def is_readable(value: Any) -> bool:
    """Return whether ``datasets`` reads the JSON of a value: not beyond 64 bits, NaN, infinities, lone surrogates."""
    ahead = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, dict):
            ahead += item.keys()
            ahead += item.values()
        elif isinstance(item, list):
            ahead += item
        elif isinstance(item, str):
            if clean_string(item) != item:
                return False
        elif isinstance(item, float):
            if not math.isfinite(item):
                return False
        elif isinstance(item, int) and not -INT64 <= item < UINT64:
            return False
    return True


def merge_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """Return the narrowest type that holds the values of both."""
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if {left, right} in ({pa.int64(), pa.float64()}, {pa.uint64(), pa.float64()}):
        return pa.float64()
    if {left, right} == {pa.int64(), pa.uint64()}:
        return pa.uint64()
    if pa.types.is_large_list(left) and pa.types.is_large_list(right):
        return pa.large_list(merge_types(left.value_type, right.value_type))
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        fields = {member.name: member.type for member in left}
        others = {member.name: member.type for member in right}
        if fields.keys() == others.keys():
            return pa.struct([(name, merge_types(kind, others[name])) for name, kind in fields.items()])
    return JSON_TEXT if JSON_TEXT in (left, right) else JSON_TYPE


def merge_schemas(left: pa.Schema | None, right: pa.Schema) -> pa.Schema:
    """Return the columns of both, each wide enough for both, those of ``left`` first."""
    types = {column.name: column.type for column in left} if left is not None else {}
    for column in right:
        types[column.name] = merge_types(types.get(column.name, pa.null()), column.type)
    return pa.schema(list(types.items()))


def encode_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return values as an array of the type that ``infer_type`` gives them, or of a wider one."""
    try:
        return from_values(values, kind)
    except (pa.ArrowException, TypeError, ValueError):
        return from_values([shape_value(value, kind) for value in values], kind)


def shape_value(value: Any, kind: pa.DataType) -> Any:
    """Return the value as its type needs it: U+FFFD for lone surrogates, which only JSON has an escape for."""
    if value is None or is_json(kind):
        return value
    if pa.types.is_large_string(kind):
        return clean_string(value)
    if pa.types.is_large_list(kind):
        return [shape_value(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {member.name: shape_value(value[member.name], member.type) for member in kind}
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


def is_binary(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's four types of bytes."""
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)
