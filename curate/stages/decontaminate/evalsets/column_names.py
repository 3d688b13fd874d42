"""Columns by name: "Best Answer", best_answer and bestAnswer are alike; a path with dots leads into nested values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def alike(name: str) -> str:
    """Return a name in lower case with letters and digits only; a path keeps its dots."""
    return re.sub(r"[^\w.]|_", "", name.lower())


def list_columns(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the columns that the rows have, in the order in which they appear."""
    return tuple(dict.fromkeys(name for record in records for name in record))


def look_up(record: Record, path: str) -> Any:
    """Return the value of a column, or of what a path with dots leads to; None where there is none.

    In a list, a number takes one element (``instances.0.input``), and a name its value in each element
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
        inner = [_dig(item, path) for item in value]
        return [item for item in inner if item is not None] or None
    return None


def has_path(record: Record, path: str) -> bool:
    """Return whether a row has a column or path. A column that is null counts, a null deeper down does not."""
    return path in record or ("." in path and look_up(record, path) is not None)


def find_column(path: str, records: Sequence[Record]) -> str | None:
    """Return the column or path as the rows spell it: exactly, else alike; None where no row has it."""
    if any(has_path(record, path) for record in records):
        return path
    head, dot, rest = path.partition(".")
    for name in list_columns(records):
        if alike(name) == alike(path):
            return name
        if dot and alike(name) == alike(head) and any(has_path(record, f"{name}.{rest}") for record in records):
            return f"{name}.{rest}"
    return None
