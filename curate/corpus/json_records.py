"""One JSON record: from bytes to a row, or to the reason why it is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MISSING: Any = object()

HUGE = 2.0**63

JSON_NAMES = {
    bool: "a truth value",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    str: "a string",
}


@dataclass(slots=True)
class BadRowError(Exception):
    """Why a row is unreadable; ``byte`` counts from its first byte, where the cause has a place."""

    cause: str
    byte: int = 0


def parse_record(raw: bytes) -> dict[str, Any]:
    """One JSON object as a dict. orjson first, then the standard json for what it refuses (NaN, lone surrogates)."""
    try:
        record = orjson.loads(raw)
    except orjson.JSONDecodeError:
        record = _parse_slowly(raw)
    if holds_huge(record):
        record = _parse_slowly(raw)  # orjson makes floats of whole numbers beyond 64 bits.
    if type(record) is not dict:
        raise BadRowError(f"{JSON_NAMES.get(type(record), 'null')}, not an object")
    return record


def holds_huge(value: Any) -> bool:
    """Whether a float beyond all 64-bit whole numbers is in it."""
    kind = type(value)
    if kind is dict:
        return any(map(holds_huge, value.values()))
    if kind is list:
        return any(map(holds_huge, value))
    return kind is float and abs(value) >= HUGE


def _parse_slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRowError(f"invalid UTF-8 ({error.reason})", error.start) from error
    except json.JSONDecodeError as error:
        byte = len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))
        raise BadRowError(f"not valid JSON ({error.msg})", byte) from error
    except RecursionError as error:
        raise BadRowError("JSON nested too deeply") from error
    except ValueError as error:  # An integer of more digits than Python converts.
        raise BadRowError(f"not valid JSON ({error})") from error


def look_up(record: dict[str, Any], field: str) -> Any:
    """The value of a field, by its name or by a path with dots; MISSING where there is none."""
    value = record.get(field, MISSING)
    if value is MISSING and "." in field:
        value = record
        for name in field.split("."):
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def pick_fields(record: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Some fields of a record under the names or paths that they are asked by; None where there is none."""
    found = ((field, look_up(record, field)) for field in fields)
    return {field: None if value is MISSING else value for field, value in found}


def take_text(record: dict[str, Any], field: str) -> str:
    """The text of a row: a string that UTF-8 can hold."""
    text = look_up(record, field)
    if type(text) is not str:
        raise BadRowError(explain_text(text, field, record))
    if not text.isascii():
        check_text(text, field)
    return text


def check_text(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRowError(
            f'field "{field}" holds a lone surrogate at character {error.start}, which is no text'
        ) from error


def explain_text(value: Any, field: str, record: dict[str, Any]) -> str:
    if value is MISSING:
        return f'no field "{field}"; it has: {", ".join(list(record)[:20]) or "none"}'
    return f'field "{field}" is {JSON_NAMES.get(type(value), "null")}, not a string'


def take_id(record: dict[str, Any], field: str | None) -> str | None:
    return None if field is None else as_id(look_up(record, field))


def as_id(value: Any) -> str | None:
    """An id is a string: numbers are spelled out, anything nested is its JSON."""
    if value is None or value is MISSING:
        return None
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return clean_string(str(value))


def clean_string(value: str) -> str:
    """Arrow holds no lone surrogates: they become U+FFFD."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
