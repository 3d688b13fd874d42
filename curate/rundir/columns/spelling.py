"""Values as a person writes them: 2024-06-01, true, 12.50. The names of groups, and columns of mixed types as text."""

import json
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_types import is_string
from curate.corpus.values.arrow_values import is_json, parse_json_or_text, to_values
from curate.corpus.values.schema_widening import spell_value

TEXT = pa.large_string()
ENDS_IN_ZEROS = re.compile(r"\.?0+$")
ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


def spell_values(values: pa.Array) -> pa.Array:
    """Return values as large_string, null where they are null; ``values`` have no extension type but that of JSON.

    A JSON string is the string.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return spell_values(values.dictionary_decode())
    if is_string(kind) or pa.types.is_null(kind):
        return values.cast(TEXT)
    if pa.types.is_nested(kind) or is_json(kind):
        found = to_values(values, parse_json_or_text)
        return pa.array([None if value is None else spell(value) for value in found], TEXT)
    coded = values.dictionary_encode()
    spelled = pa.array(spell_distinct(coded.dictionary), TEXT)
    return pc.take(spelled, coded.indices)


def spell_distinct(values: pa.Array) -> list[str]:
    """Return the text of each of some values that are neither nested nor null."""
    kind = values.type
    if is_string(kind):
        return [str(value) for value in values.to_pylist()]
    if pa.types.is_timestamp(kind):
        return [_spell_timestamp(text) for text in _cast_timestamps(values).to_pylist()]
    if pa.types.is_time(kind):
        return [_strip_zeros(text) for text in values.cast(TEXT).to_pylist()]
    if pa.types.is_float32(kind):
        return [str(value) for value in values.to_numpy(zero_copy_only=False).astype(np.float32)]
    if pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return list(values.cast(TEXT).to_pylist())
    return [spell(value) for value in values.to_pylist()]


def _cast_timestamps(values: pa.Array) -> pa.Array:
    try:
        return values.cast(TEXT)
    except pa.ArrowInvalid:  # a zone that this machine does not know
        return values.cast(pa.timestamp(values.type.unit, "UTC")).cast(TEXT)


def _spell_timestamp(text: str) -> str:
    """Return Arrow's text without zeros at its end, its zone as +02:00."""
    zone = ZONED.search(text)
    if zone is None:
        return _strip_zeros(text)
    given = zone[0].replace(":", "")
    return _strip_zeros(text[: zone.start()]) + ("+00:00" if given == "Z" else f"{given[:3]}:{given[3:]}")


def _strip_zeros(text: str) -> str:
    return ENDS_IN_ZEROS.sub("", text) if "." in text else text


def spell_bytes(value: bytes) -> str:
    """Return bytes as the text that they are in UTF-8, else as Python writes them: b'\\xff'."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return repr(value)


def spell(value: Any) -> str:
    """Return a value from Python as text: JSON for lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return spell_bytes(value)
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(value, ensure_ascii=False, default=spell_value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)
