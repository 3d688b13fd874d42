"""One JSON record: its bytes as a row, or the reason why it is unreadable."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MISSING: Any = object()

HUGE = 2.0**63

# What may stand between two records beside white space: the record separator of RFC 7464, line separators of Unicode,
# and the byte order mark of a file that another was appended to.
SEPARATORS = (b"\x1e", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85", b"\xef\xbb\xbf")

PLAIN = frozenset((str, int, bool, type(None)))
"""Types of values that are neither floats nor nested."""

# Deeper values would end in Python's limit of recursion, at a depth that depends on the caller.
MAX_DEPTH = 250
TOO_DEEP = "JSON nested too deeply"
# Bytes around the first that is not UTF-8, from which its encoding is guessed.
GUESS_BYTES = 400

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
    """A row is unreadable."""

    cause: str
    byte: int = 0
    """Position of the cause, from the first byte of the row."""


def parse_record(raw: bytes) -> dict[str, Any]:
    """Return one JSON object as a dict. Raises BadRowError for values that are not objects, as ``parse_value`` does."""
    record = parse_value(raw)
    if type(record) is not dict:
        raise BadRowError(f"{JSON_NAMES.get(type(record), 'null')}, not an object")
    return record


def parse_value(raw: bytes) -> Any:
    """Return one JSON value, by orjson, or by json for what orjson refuses (NaN, lone surrogates).

    Raises BadRowError for invalid UTF-8, invalid JSON, and values nested too deeply.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _parse_slowly(raw)
    if holds_huge(value):
        value = _parse_slowly(raw)  # orjson makes floats of whole numbers beyond 64 bits.
    return value


def holds_huge(value: Any) -> bool:
    """Return whether a value has a float of 2^63 or more in it, which may have been a whole number.

    Raises BadRowError where lists and objects are nested more than MAX_DEPTH deep.
    """
    if type(value) is dict and PLAIN.issuperset(map(type, value.values())):
        return False
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise BadRowError(TOO_DEEP)
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                inner.extend(item.values())
            elif kind is list:
                inner.extend(item)
            elif kind is float and abs(item) >= HUGE:
                return True
        level, depth = inner, depth + 1
    return False


def strip_separators(raw: bytes) -> bytes:
    """Return the bytes without white space and ``SEPARATORS`` at their start."""
    while (raw := raw.lstrip()).startswith(SEPARATORS):
        raw = raw[next(len(mark) for mark in SEPARATORS if raw.startswith(mark)) :]
    return raw


def explain_encoding(raw: bytes, error: UnicodeDecodeError) -> str:
    """Return why bytes are not UTF-8, with the encoding that they seem to have."""
    start = max(0, error.start - GUESS_BYTES // 2)
    near = raw[start : start + GUESS_BYTES]
    high = re.findall(rb"[\x80-\xff]+", near)
    alone = sum(len(run) == 1 for run in high)
    is_western = 2 * alone > len(high) and not re.search(rb"[\x81\x8d\x8f\x90\x9d]", near)
    likely = "; it looks like Windows-1252 or Latin-1: iconv -f WINDOWS-1252 -t UTF-8" if is_western else ""
    return f"invalid UTF-8 ({error.reason}{likely})"


def _parse_slowly(raw: bytes) -> Any:
    inner = strip_separators(raw)
    skipped = len(raw) - len(inner)
    try:
        return json.loads(inner.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRowError(explain_encoding(inner, error), skipped + error.start) from error
    except json.JSONDecodeError as error:
        byte = skipped + len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))
        raise BadRowError(f"not valid JSON ({error.msg})", byte) from error
    except RecursionError as error:
        raise BadRowError(TOO_DEEP) from error
    except ValueError as error:  # An integer of more digits than Python converts.
        raise BadRowError(f"not valid JSON ({error})") from error


def look_up(record: dict[str, Any], field: str) -> Any:
    """Return the value of a field, by its name or by a path with dots; MISSING where the record has none."""
    value = record.get(field, MISSING)
    if value is MISSING and "." in field:
        value = record
        for name in field.split("."):
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def pick_fields(record: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return some fields of a record under their names or paths; None where the record has none."""
    values = ((field, look_up(record, field)) for field in fields)
    return {field: None if value is MISSING else value for field, value in values}


def take_text(record: dict[str, Any], field: str) -> str:
    """Return the text of a row. Raises BadRowError where it is missing, not a string, or has lone surrogates."""
    text = look_up(record, field)
    if type(text) is not str:
        raise BadRowError(explain_text(text, field, record))
    if not text.isascii():
        check_text(text, field)
    return text


def check_text(text: str, field: str) -> None:
    """Raise BadRowError for a text with a lone surrogate, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRowError(f'field "{field}" has a lone surrogate at character {error.start}') from error


def explain_text(value: Any, field: str, record: dict[str, Any]) -> str:
    """Return why the value of a field is not a text: missing, with the names there are, or of another type."""
    if value is MISSING:
        return f'no field "{field}"; it has: {", ".join(list(record)[:20]) or "none"}'
    return f'field "{field}" is {JSON_NAMES.get(type(value), "null")}, not a string'


def take_id(record: dict[str, Any], field: str | None) -> str | None:
    """Return the id of a row as a string, None where it has none or ``field`` is None."""
    return None if field is None else as_id(look_up(record, field))


def as_id(value: Any) -> str | None:
    """Return an id as a string: numbers as they print, nested values as JSON."""
    if value is None or value is MISSING:
        return None
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return clean_string(str(value))


def clean_string(value: str) -> str:
    """Return a string with U+FFFD for lone surrogates, which Arrow cannot hold."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
