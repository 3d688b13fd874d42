"""Rows as JSON lines: as they were read where their format has no types, else as their Arrow values are spelled.

A row of JSON keeps its keys and numbers: one that is absent stays absent, 1 stays 1 next to 0.5, and whole numbers
have any number of digits. Of Arrow, times are ISO 8601, bytes base64, decimals strings; NaN is null, since JSON has no
word for it.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from curate.corpus.values.arrow_types import JSON_TEXT
from curate.corpus.values.arrow_values import is_json, is_list, parse_json, to_values
from curate.corpus.values.json_records import BadRowError, clean_string, parse_value
from curate.corpus.values.schema_widening import spell_value

UNSAFE = re.compile(r"[\r\n]|NaN|Infinity|\\u[dD][89a-fA-F]")
"""What JSON text may have and a line may not: line ends, numbers that are none, surrogates."""
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def spell_lines(
    table: pa.Table, records: Sequence[dict[str, Any] | None] | None, added: Sequence[str] = ()
) -> list[bytes]:
    """Return a line for each row of a table, its end included.

    ``records`` are its rows as they were read, without the columns ``added``, the last ones of the table; None where
    only the table has the rows.
    """
    tails = dump_tails({name: table.column(name) for name in added if name in table.column_names}, len(table))
    if records is None:
        names = [name for name in table.column_names if name not in added]
        columns = [to_values(table.column(name), read_fragment, spell_time_value) for name in names]
        rows = zip(*columns, strict=True) if columns else [()] * len(table)
        heads = [dump_head(dict(zip(names, row, strict=True))) for row in rows]
    else:
        heads = [dump_head(record or {}) for record in records]
    return list(map(b"".join, zip(heads, *tails, strict=True)))


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


def dump_tails(added: Mapping[str, pa.ChunkedArray], count: int) -> list[Iterable[bytes]]:
    """Return what follows the columns of the corpus in each of ``count`` lines: pieces to be joined, line by line."""
    tails: list[Iterable[bytes]] = []
    for name, column in added.items():
        tails += [itertools.repeat(b",%b:" % orjson.dumps(name), count), _dump_column(column, count)]
    return [*tails, itertools.repeat(b"}\n", count)]


def _dump_column(column: pa.ChunkedArray, count: int) -> list[bytes]:
    """Return each value as JSON."""
    kind = column.type
    if (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and column.null_count == 0 and count:
        # Widened to float64, since Python's own numbers are.
        values = column.to_numpy().astype(np.float64 if pa.types.is_floating(kind) else np.int64)
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    values = column.to_pylist()
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return list(map(orjson.dumps, values))
    known = {value: orjson.dumps(value) for value in set(values)}
    return list(map(known.__getitem__, values))


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
