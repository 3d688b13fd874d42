"""Columns by name: "Best Answer", best_answer and bestAnswer are alike; a path with dots leads into nested values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def alike(name: str) -> str:
    """A name in lower case without anything but letters and digits; a path keeps its dots."""
    return re.sub(r"[^\w.]|_", "", name.lower())


def list_columns(records: Iterable[Record]) -> tuple[str, ...]:
    """The columns that the rows have, in the order in which they appear."""
    return tuple(dict.fromkeys(name for record in records for name in record))


def look_up(record: Record, path: str) -> Any:
    """The value of a column, or by a path with dots of what is within it; None where there is none.

    In a list, a number takes one element (``instances.0.input``), and a name all that elements have of it
    (``instances.input``).
    """
    return record[path] if path in record else _dig(record, path.split("."))


def _dig(value: Any, path: Sequence[str]) -> Any:
    if not path:
        return value
    if isinstance(value, Mapping):
        return _dig(value.get(path[0]), path[1:])
    if isinstance(value, (list, tuple)):
        if path[0].isdecimal():
            return _dig(value[int(path[0])], path[1:]) if int(path[0]) < len(value) else None
        found = [_dig(item, path) for item in value]
        return [item for item in found if item is not None] or None
    return None


def has_path(record: Record, path: str) -> bool:
    """Whether a row has a column, or what a path leads to; a column that is null counts, deeper a null does not."""
    return path in record or ("." in path and look_up(record, path) is not None)


def find_column(wanted: str, records: Sequence[Record]) -> str | None:
    """The column or path as the rows spell it: exactly, else alike; None where no row has it."""
    if any(has_path(record, wanted) for record in records):
        return wanted
    head, dot, rest = wanted.partition(".")
    for name in list_columns(records):
        if alike(name) == alike(wanted):
            return name
        if dot and alike(name) == alike(head) and any(has_path(record, f"{name}.{rest}") for record in records):
            return f"{name}.{rest}"
    return None
