"""The Arrow types in which columns of the documents are carried: those of the corpus, as Parquet and DuckDB read them.

    whole numbers        int64, uint64               dates            date32
    other numbers        float, double, decimal128   times            time64, in us or ns
    durations            double, in seconds          timestamps       ms, us or ns; with their zone where they have one
    booleans             bool                        bytes            large_binary
    strings, JSON, UUID  large_string                lists, objects   large_list, struct, map

A column has one type over all its parts. Whole numbers of different width, numbers, dates and timestamps widen to what
holds the values of both; lists and objects do so within. Values without a common type become text, in the spelling of
``spelling``; so do those that Parquet or DuckDB cannot hold, such as objects without fields.
"""

import uuid
from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_types import is_binary, is_string
from curate.corpus.values.arrow_values import TICKS, holds_json, is_json, parse_json_or_text, to_values
from curate.rundir.columns import spelling
from curate.runtime.arrays import Array

TEXT = pa.large_string()
MAX_DIGITS = 38
"""Digits of a decimal128, and of DuckDB's decimals."""
DIGITS = {pa.int64(): 19, pa.uint64(): 20}
"""Digits of the largest whole number of a type."""
AS_TEXT = ("arrow.json", "arrow.uuid")
"""Extension types that are carried as text."""


def choose_kind(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of an Arrow type are carried; null stays null."""
    return _choose(kind) or TEXT


def _choose(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which values are carried; None where only text holds them."""
    if isinstance(kind, pa.BaseExtensionType):
        return TEXT if kind.extension_name in AS_TEXT else _choose(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _choose(kind.value_type)
    if pa.types.is_nested(kind):
        return _choose_nested(kind)
    if is_string(kind):
        return TEXT
    if pa.types.is_integer(kind):
        return kind if pa.types.is_uint64(kind) else pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64() if pa.types.is_float64(kind) else pa.float32()
    if pa.types.is_decimal(kind):
        return _make_decimal(kind.precision - kind.scale, max(kind.scale, 0))
    if pa.types.is_temporal(kind):
        return _choose_temporal(kind)
    if is_binary(kind):
        return pa.large_binary()
    return kind if pa.types.is_null(kind) or pa.types.is_boolean(kind) else None


def _choose_temporal(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.time64("ns" if kind.unit == "ns" else "us")
    if pa.types.is_duration(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("ms" if kind.unit == "s" else kind.unit, kind.tz)  # Parquet has no seconds
    return None


def _choose_nested(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_struct(kind):
        fields = [(member.name, _choose(member.type)) for member in kind]
        return _make_struct(fields)
    if pa.types.is_map(kind):
        key, item = _choose(kind.key_type), _choose(kind.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_union(kind):
        return None
    inner = _choose(kind.value_type)
    return None if inner is None else pa.large_list(inner)


def _make_struct(fields: Iterable[tuple[str, pa.DataType | None]]) -> pa.DataType | None:
    """Return a struct; None where Parquet cannot hold it, or DuckDB, whose names know no case, would rename a field."""
    known = dict(fields)
    if not known or None in known.values() or "" in known or len({name.lower() for name in known}) < len(known):
        return None
    return pa.struct(list(known.items()))


def _make_decimal(whole_digits: int, scale: int) -> pa.DataType | None:
    """Return a decimal with so many digits before and behind the point, or with all that fit: values may have fewer."""
    digits = min(max(whole_digits, 0) + scale, MAX_DIGITS)
    return pa.decimal128(max(digits, 1), scale) if scale <= MAX_DIGITS else None


def merge_kinds(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """Return the type that holds the values of several types of ``choose_kind``; text where no other does."""
    merged = reduce(lambda left, right: _merge(left, right) or TEXT, kinds, pa.null())
    return TEXT if pa.types.is_null(merged) else merged


def _merge(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_nested(left) or pa.types.is_nested(right):
        return _merge_nested(left, right)
    if _is_number(left) and _is_number(right):
        return _merge_numbers(left, right)
    if pa.types.is_time(left) and pa.types.is_time(right):
        return pa.time64("ns")
    return _merge_dates(left, right)


def _merge_nested(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        fields: dict[str, pa.DataType | None] = {member.name: member.type for member in left}
        for member in right:
            fields[member.name] = _merge(fields.get(member.name) or pa.null(), member.type)
        return _make_struct(fields.items())
    if pa.types.is_map(left) and pa.types.is_map(right):
        key, item = _merge(left.key_type, right.key_type), _merge(left.item_type, right.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_large_list(left) and pa.types.is_large_list(right):
        inner = _merge(left.value_type, right.value_type)
        return None if inner is None else pa.large_list(inner)
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _merge_numbers(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return pa.float64()
    scales = [kind.scale if pa.types.is_decimal(kind) else 0 for kind in (left, right)]
    whole = [kind.precision - kind.scale if pa.types.is_decimal(kind) else DIGITS[kind] for kind in (left, right)]
    return _make_decimal(max(whole), max(scales))


def _merge_dates(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the timestamp that holds dates and timestamps; None for others, and where only one has a zone."""
    stamps = [kind for kind in (left, right) if pa.types.is_timestamp(kind)]
    if not stamps or not all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in (left, right)):
        return None
    zones = {kind.tz if pa.types.is_timestamp(kind) else None for kind in (left, right)}
    if len(zones) > 1 and None in zones:
        return None
    unit = max((kind.unit for kind in stamps), key=TICKS.__getitem__)
    return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC")


def convert_values(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return values under a type of ``choose_kind`` or ``merge_kinds`` that holds them.

    Raises pyarrow.ArrowException or ValueError where a value does not fit: a whole number that no float64 is, a date
    beyond the timestamps.
    """
    whole = values.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # of extension types, where there are several
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    whole = unwrap_values(whole)
    if whole.type.equals(kind):
        return whole
    if kind.equals(TEXT):
        return spelling.spell_values(whole)
    if pa.types.is_duration(whole.type) and pa.types.is_floating(kind):
        return pc.divide(whole.cast(pa.int64()).cast(kind), float(TICKS[whole.type.unit]))
    try:
        if not holds_json(whole.type):
            return whole.cast(kind)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):  # such as fields of structs that one side lacks
        pass
    return pa.array([_shape(value, kind) for value in to_values(whole, parse_json_or_text)], kind)


def unwrap_values(values: pa.Array) -> pa.Array:
    """Return values without what only encodes them: dictionaries, runs, extension types but JSON. UUIDs become text."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return unwrap_values(values.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return unwrap_values(pc.run_end_decode(values))
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid":
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], TEXT)
    if is_json(kind):
        return values
    return unwrap_values(values.storage) if isinstance(kind, pa.BaseExtensionType) else values


def _shape(value: Any, kind: pa.DataType) -> Any:
    """Return a value from Python as its type needs it; text for what is not a string."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {member.name: _shape(value.get(member.name), member.type) for member in kind}
    if pa.types.is_map(kind):
        return [(_shape(key, kind.key_type), _shape(item, kind.item_type)) for key, item in dict(value).items()]
    if pa.types.is_large_list(kind):
        return [_shape(item, kind.value_type) for item in value]
    if pa.types.is_large_string(kind):
        return str(value) if isinstance(value, (str, uuid.UUID)) else spelling.spell(value)
    if hasattr(value, "total_seconds") and pa.types.is_floating(kind):
        return value.total_seconds()
    return value


def to_numbers(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column of numbers as int64 or float64, the nearest where float64 does not hold a number."""
    return values if values.type.equals(kind) else pc.cast(values, kind, safe=False)


def view_numbers(column: pa.Array | pa.ChunkedArray) -> Array:
    """Return a column of numbers as NumPy has them, without a copy where it is in one piece; NaN for null.

    ``to_numpy`` does so too, but loads pandas where that is installed, which takes as long as a small run.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if not chunks or column.null_count:
        return np.asarray(column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False))
    arrays = [np.from_dlpack(chunk) for chunk in chunks]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def name_kind(kind: pa.DataType) -> str:
    """Return the name of a type in the records of a run."""
    return "string" if kind.equals(TEXT) else str(kind)


def describe_kind(kind: pa.DataType) -> str:
    """Return what values of a type are, in the words of an error."""
    if is_string(kind):
        return "text"
    words = {
        "dates": pa.types.is_date,
        "timestamps": pa.types.is_timestamp,
        "times": pa.types.is_time,
        "booleans": pa.types.is_boolean,
        "bytes": is_binary,
        "objects": pa.types.is_struct,
        "maps": pa.types.is_map,
        "lists": pa.types.is_large_list,
    }
    return next((word for word, check in words.items() if check(kind)), str(kind))


def is_measure(kind: pa.DataType) -> bool:
    """Return whether documents can be ordered by values of a type: whether they are numbers."""
    return _is_number(kind)
