"""Rows as JSON lines: as they were read where their format has no types, else as their Arrow values are spelled.

A row of JSON keeps its keys and numbers: one that is absent stays absent, 1 stays 1 next to 0.5, and whole numbers
have any number of digits. Of Arrow, times are ISO 8601, bytes base64, decimals strings; NaN is null, since JSON has no
word for it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_types import JSON_TEXT
from curate.corpus.values.arrow_values import is_json, is_list, parse_json, to_values
from curate.corpus.values.json_records import BadRowError, clean_string, parse_value
from curate.corpus.values.schema_widening import spell_value
from curate.runtime.arrays import Int64Array

UNSAFE = re.compile(r"[\r\n]|NaN|Infinity|\\u[dD][89a-fA-F]")
"""What JSON text may have and a line may not: line ends, numbers that are none, surrogates."""
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def spell_lines(
    table: pa.Table, records: Sequence[dict[str, Any] | None] | None, added: Sequence[str] = ()
) -> pa.LargeBinaryArray:
    """Return a line for each row of a table, its end included.

    ``records`` are its rows as they were read, without the columns ``added``, the last ones of the table; None where
    only the table has the rows.
    """
    if records is None:
        names = [name for name in table.column_names if name not in added]
        columns = [to_values(table.column(name), read_fragment, spell_time_value) for name in names]
        rows = zip(*columns, strict=True) if columns else [()] * len(table)
        heads = [dump_head(dict(zip(names, row, strict=True))) for row in rows]
    else:
        heads = [dump_head(record or {}) for record in records]
    tails = {name: table.column(name) for name in added if name in table.column_names}
    return join_lines(pa.array(heads, pa.large_binary()), tails)


def join_lines(heads: pa.LargeBinaryArray, added: Mapping[str, pa.ChunkedArray | pa.Array]) -> pa.LargeBinaryArray:
    """Return complete lines: heads without their closing braces, and the columns that are added, row by row."""
    pieces: list[Any] = [heads]
    between = b""
    for name, column in added.items():
        values = _spell_column(column)
        between += b",%b:" % orjson.dumps(name)
        if isinstance(values, bytes):
            between += values
        else:
            pieces += [pa.scalar(between, pa.large_binary()), values]
            between = b""
    pieces.append(pa.scalar(between + b"}\n", pa.large_binary()))
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))


def view_lines(lines: pa.LargeBinaryArray) -> tuple[Int64Array, memoryview]:
    """Return where each of N lines begins, with the end of the last one (N + 1 offsets), and the bytes they are in."""
    if not len(lines):
        return np.zeros(1, np.int64), memoryview(b"")
    offsets = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return offsets, memoryview(lines.buffers()[2])


def spell_time_value(value: Any, kind: pa.DataType) -> Any:
    """Return a timestamp of milliseconds with three digits, which Arrow reads from JSON; other times as they are."""
    if pa.types.is_timestamp(kind) and kind.unit == "ms" and isinstance(value, datetime) and value.microsecond:
        return value.isoformat(timespec="milliseconds")
    return value


def dump_head(record: Mapping[str, Any]) -> bytes:
    """Return a row as one line of JSON without its closing brace."""
    try:
        return orjson.dumps(record, default=spell_value, option=OPTIONS)[:-1]
    except TypeError:  # Whole numbers beyond 64 bits, lone surrogates, or deeper than orjson goes.
        return json.dumps(_clean(record), ensure_ascii=False, separators=(",", ":"), default=spell_value)[:-1].encode()


def _clean(value: Any) -> Any:
    """Return a value with U+FFFD for lone surrogates, null for NaN and infinities, and JSON fragments parsed."""
    if isinstance(value, orjson.Fragment):
        return _clean(orjson.loads(orjson.dumps(value)))
    if isinstance(value, str):
        return clean_string(value)
    if isinstance(value, dict):
        return {clean_string(name): _clean(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def read_fragment(text: str) -> Any:
    """Return a JSON text as a piece of a line, with its digits; as a string where it is not JSON."""
    try:
        value = parse_json(text)
    except BadRowError:
        return text
    return value if UNSAFE.search(text) else orjson.Fragment(text)


def _spell_column(column: pa.ChunkedArray | pa.Array) -> pa.LargeBinaryArray | bytes:
    """Return each value as JSON, or the JSON of all values where they are one text or truth value."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        if column.null_count or not len(column):
            return pa.array(list(map(orjson.dumps, column.to_pylist())), pa.large_binary())
        # Widened to float64, since Python's own numbers are.
        return _spell_numbers(column.to_numpy().astype(np.float64 if pa.types.is_floating(column.type) else np.int64))
    known = column.unique()
    spelled = list(map(orjson.dumps, known.to_pylist()))
    if len(spelled) == 1:
        return spelled[0]
    return pa.array(spelled, pa.large_binary()).take(pc.index_in(column, known))


def _spell_numbers(values: Any) -> pa.LargeBinaryArray:
    """Return each number of an array that is not empty as JSON."""
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)  # [1,2,3]
    starts = np.empty(len(values) + 1, np.int64)
    starts[0], starts[-1] = 0, len(text) - 1
    starts[1:-1] = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(","))
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(text)]
    behind_marks = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(values), buffers)
    return pc.binary_replace_slice(behind_marks, 0, 1, b"")


def respell_line(line: bytes, kinds: Mapping[str, pa.DataType]) -> bytes:
    """Return a line with the columns ``kinds`` as text where their types are ``JSON_TEXT``, at any depth."""
    row = parse_value(line)
    return dump_head({name: _as_text(value, kinds.get(name)) for name, value in row.items()}) + b"}\n"


def _as_text(value: Any, kind: pa.DataType | None) -> Any:
    if value is None or kind is None:
        return value
    if is_json(kind):
        return json.dumps(value, ensure_ascii=False) if kind == JSON_TEXT else value
    if pa.types.is_struct(kind):
        return {member.name: _as_text(value.get(member.name), member.type) for member in kind}
    return [_as_text(item, kind.value_type) for item in value] if is_list(kind) else value
