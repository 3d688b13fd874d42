"""Arrow values as Python values without loss, and JSON values in Arrow columns.

    is_json(kind), holds_json(kind)      the extension type arrow.json: datasets' Json
    encode_json(values)                  values as an array of JSON texts
    to_values(column)                    values at any depth, JSON parsed
    from_values(values, kind)            the reverse: an array whose type may have JSON within

A JSON value, of whichever type, is kept as its text under ``JSON_TYPE``. ``to_values`` differs from ``to_pylist`` in
three ways: JSON is parsed; dates that Python cannot hold (years before 1 or after 9999, time zones that it does not
know) and nanoseconds are texts in ISO 8601; fields of one name are kept apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.json_records import BadRowError, parse_value
from curate.runtime.arrays import Int64Array

JSON_TYPE = pa.json_()
SURROGATE = re.compile("[\ud800-\udfff]")
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of Arrow's times in a second, from the coarsest."""
# What as_py raises for values that Python cannot hold, and for time zones that it does not know (a KeyError).
NOT_PYTHON = (ValueError, OverflowError, KeyError, pa.ArrowException)
DAYS_IN_400_YEARS = 146_097


def is_json(kind: pa.DataType) -> bool:
    """Return whether a type is that of JSON values, whatever its storage."""
    return isinstance(kind, pa.JsonType)


def holds_json(kind: pa.DataType) -> bool:
    """Return whether a type is that of JSON values, or has it within."""
    return is_json(kind) or any(holds_json(inner) for inner in list_inner_types(kind))


def list_inner_types(kind: pa.DataType) -> list[pa.DataType]:
    """Return the types of the fields, items or dictionary values of a type; none for a plain one."""
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pa.types.is_dictionary(kind):
        return [kind.value_type]
    return [kind.field(index).type for index in range(kind.num_fields)]


def encode_json(values: Iterable[Any], default: Callable[[Any], Any] | None = None) -> pa.ExtensionArray:
    """Return values as an array of ``JSON_TYPE``: each as its JSON text, None as null. Raises what ``spell_json`` does.

    A JSON null within a list or an object is part of the text; one that is the value itself is null.
    """
    texts = [None if value is None else spell_json(value, default) for value in values]
    return pa.ExtensionArray.from_storage(JSON_TYPE, pa.array(texts, pa.string()))


def from_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return Python values as an array of a type that may have JSON in lists and structs, which ``pa.array`` cannot.

    Raises what ``pa.array`` and ``spell_json`` raise.
    """
    if not holds_json(kind):
        return pa.array(values, kind)
    return _as_kind(pa.array([_spell_inner(value, kind) for value in values], as_storage(kind)), kind)


def _as_kind(stored: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array of ``as_storage(kind)`` as one of the type itself.

    Arrow's own cast of a struct shortens lists of nulls in it.
    """
    if stored.type.equals(kind):
        return stored
    if pa.types.is_struct(kind):
        members = [_as_kind(stored.field(number), member.type) for number, member in enumerate(kind)]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=stored.is_null())
    if not is_list(kind):
        return stored.cast(kind)
    items = _as_kind(stored.values, kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=stored.is_null())
    return type(stored).from_arrays(stored.offsets, items, type=kind, mask=stored.is_null())


def as_storage(kind: pa.DataType) -> pa.DataType:
    """Return a type with strings in place of JSON in lists and structs."""
    if is_json(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(as_storage(member.type)) for member in kind])
    if not is_list(kind):
        return kind
    item = kind.value_field.with_type(as_storage(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(item, kind.list_size)
    return pa.large_list(item) if pa.types.is_large_list(kind) else pa.list_(item)


def _spell_inner(value: Any, kind: pa.DataType) -> Any:
    if value is None or not holds_json(kind):
        return value
    if is_json(kind):
        return spell_json(value)
    if pa.types.is_struct(kind):
        return {member.name: _spell_inner(value.get(member.name), member.type) for member in kind}
    return [_spell_inner(item, kind.value_type) for item in value]


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of lists of a variable or fixed size, without maps and views."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def spell_json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as JSON text in UTF-8, without spaces; lone surrogates are escaped.

    ``default`` gives a value for one that JSON has no word for. Raises TypeError without it, and RecursionError for a
    value nested too deeply.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)
    if not text.isascii() and SURROGATE.search(text):
        text = json.dumps(value, separators=(",", ":"), default=default)
    return text


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises BadRowError for text that is not JSON, or is nested too deeply."""
    return parse_value(text.encode())


def parse_json_or_text(text: str) -> Any:
    """Return the value of a JSON text, or the text as a string where ``parse_json`` raises."""
    try:
        return parse_json(text)
    except BadRowError:
        return text


def to_values(
    column: pa.Array | pa.ChunkedArray,
    read_json: Callable[[str], Any] = parse_json,
    read_time: Callable[[Any, pa.DataType], Any] | None = None,
) -> list[Any]:
    """Return the values of a column as Python values, those of JSON columns, at any depth, by ``read_json``.

    ``read_time`` is applied to each date and time, with its type. Raises UnicodeDecodeError for strings that are not
    UTF-8, and what ``read_json`` raises: BadRowError.
    """
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in to_values(chunk, read_json, read_time)]
    kind, inner = column.type, partial(to_values, read_json=read_json, read_time=read_time)
    if is_json(kind):
        return [None if text is None else read_json(text) for text in column.storage.to_pylist()]
    if isinstance(kind, pa.BaseExtensionType):
        return inner(column.storage)
    if not needs_care(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_struct(kind):
        return _to_objects(column, inner)
    if pa.types.is_dictionary(kind):
        values = inner(column.dictionary)
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if is_list(kind):
        return _to_lists(column, inner)
    if pa.types.is_temporal(kind):
        times = _to_times(column)
        return times if read_time is None else [None if time is None else read_time(time, kind) for time in times]
    return column.to_pylist()  # type: ignore[no-any-return]


def needs_care(kind: pa.DataType) -> bool:
    """Return whether ``to_pylist`` may raise or lose something: for times, extensions, objects with equal names."""
    if pa.types.is_temporal(kind) or isinstance(kind, pa.BaseExtensionType):
        return True
    if pa.types.is_struct(kind) and len({member.name for member in kind}) < kind.num_fields:
        return True
    return any(map(needs_care, list_inner_types(kind)))


def _to_objects(column: pa.StructArray, inner: Callable[[pa.Array], list[Any]]) -> list[Any]:
    names = number_duplicates([member.name for member in column.type])
    members = list(map(inner, column.flatten()))
    rows = zip(*members, strict=True) if members else [()] * len(column)
    valid = column.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if held else None for row, held in zip(rows, valid, strict=True)]


def _to_lists(column: pa.Array, inner: Callable[[pa.Array], list[Any]]) -> list[Any]:
    items, lengths = flatten_lists(column)
    values, first = inner(items), 0
    lists: list[list[Any] | None] = []
    for length, held in zip(lengths.tolist(), column.is_valid().to_pylist(), strict=True):
        lists.append(values[first : first + length] if held else None)
        first += length
    return lists


def flatten_lists(
    column: pa.Array, make: Callable[[pa.Array], pa.Array] = lambda items: items
) -> tuple[pa.Array, Int64Array]:
    """Return the items of all lists of a column in their order, and the number in each list, 0 in one that is null.

    The column is of lists or list views of any kind. ``make`` is applied to the items before they are picked.
    ``flatten`` of Arrow does the same, but not where items are JSON, views or run-end encoded.
    """
    kind = column.type
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_fixed_size_list(kind):
        starts = (column.offset + np.arange(len(column), dtype=np.int64)) * kind.list_size
    else:
        starts = np.asarray(column.offsets)[: len(column)].astype(np.int64)
    stops, count = np.cumsum(lengths), int(lengths.sum())
    begins = stops - lengths
    shifts = (starts - begins)[lengths > 0]
    if len(shifts) == 0 or (shifts == shifts[0]).all():
        return make(column.values.slice(int(shifts[0]) if len(shifts) else 0, count)), lengths
    return make(column.values).take(pa.array(np.repeat(starts - begins, lengths) + np.arange(count))), lengths


def _to_times(column: pa.Array) -> list[Any]:
    kind = column.type
    try:
        if getattr(kind, "unit", "") != "ns":
            return column.to_pylist()  # type: ignore[no-any-return]
    except NOT_PYTHON:
        pass
    return [_to_time(scalar, kind) for scalar in column]


def _to_time(scalar: pa.Scalar, kind: pa.DataType) -> Any:
    if not scalar.is_valid:
        return None
    ticks = int(scalar.value)
    try:
        if getattr(kind, "unit", "") != "ns" or ticks % 1000 == 0:
            return _to_microseconds(scalar, kind).as_py()
    except NOT_PYTHON:
        pass
    return spell_time(ticks, kind)


def _to_microseconds(scalar: pa.Scalar, kind: pa.DataType) -> pa.Scalar:
    """Return a time of whole microseconds in a unit that Python has."""
    if getattr(kind, "unit", "") != "ns":
        return scalar
    if pa.types.is_timestamp(kind):
        return scalar.cast(pa.timestamp("us", kind.tz))
    return scalar.cast(pa.time64("us") if pa.types.is_time(kind) else pa.duration("us"))


def holds_far_times(column: pa.Array) -> bool:
    """Return whether a column of dates or timestamps has one before year 1 or after 9999, in UTC."""
    kind = column.type
    ends = pc.min_max(column.cast(pa.timestamp(kind.unit)) if pa.types.is_timestamp(kind) else column)
    try:
        ends.as_py()
    except NOT_PYTHON:
        return True
    return False


def spell_time(ticks: int, kind: pa.DataType) -> str:
    """Return a date, a time or a timestamp (in UTC where it has a zone) in ISO 8601, with its unit's digits.

    ``ticks`` are units of the type since 1970. Years have four digits or more, and a sign before year 0. A duration is
    its number of units with the unit: ``5 ns``.
    """
    if pa.types.is_date(kind):
        return _spell_date(ticks if pa.types.is_date32(kind) else ticks // 86_400_000)
    if pa.types.is_duration(kind):
        return f"{ticks} {kind.unit}"
    seconds, fraction = divmod(ticks, TICKS[kind.unit])
    days, seconds = divmod(seconds, 86_400)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if fraction:
        text += f".{fraction:0{len(str(TICKS[kind.unit])) - 1}}"
    if pa.types.is_time(kind):
        return text
    return f"{_spell_date(days)}T{text}" + ("+00:00" if kind.tz else "")


def _spell_date(days: int) -> str:
    cycles, rest = divmod(days, DAYS_IN_400_YEARS)
    day = date(1970, 1, 1) + timedelta(rest)
    year = day.year + 400 * cycles
    return f"{'-' * (year < 0)}{abs(year):04}-{day.month:02}-{day.day:02}"


def number_duplicates(names: Sequence[str]) -> list[str]:
    """Return the names with repeated ones as name, name_2, name_3, each a name that no other has."""
    if len(set(names)) == len(names):
        return list(names)
    taken, counts = set(names), dict.fromkeys(names, 0)
    numbered = []
    for name in names:
        counts[name] += 1
        unique = name
        while counts[name] > 1 and (unique := f"{name}_{counts[name]}") in taken:
            counts[name] += 1
        taken.add(unique)
        numbered.append(unique)
    return numbered
