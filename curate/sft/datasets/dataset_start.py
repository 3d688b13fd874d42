"""The first rows of a dataset, by which its schema is found, and the columns within them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.corpus import Corpus
from curate.corpus.chat.named_columns import find_value, zip_lists
from curate.corpus.values.json_records import MISSING

START_ROWS = 100
DEPTH = 3
"""Objects within objects in which columns are looked for."""


@dataclass(frozen=True, slots=True)
class DatasetStart:
    """The first rows of a dataset that can be read."""

    rows: tuple[Mapping[str, Any], ...]
    reason: str | None
    """Why the first of the others cannot."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of these rows."""
        return tuple(dict.fromkeys(column for row in self.rows for column in row))


def read_start(corpus: Corpus) -> DatasetStart:
    """Return the first ``START_ROWS`` readable rows of a dataset."""
    reason: str | None = None
    rows: list[Mapping[str, Any]] = []
    for row in corpus.records():
        if row.reason is not None:
            reason = reason or f"{row.file}: {row.reason}"
        elif row.record is not None:
            rows.append(row.record)
        if len(rows) == START_ROWS:
            break
    return DatasetStart(tuple(rows), reason)


def walk_columns(rows: Sequence[Mapping[str, Any]], path: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Yield the columns of some rows and those of objects within them, by paths with dots, with their filled values."""
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) not in (None, "")]
        objects = [value for value in values if isinstance(value, Mapping)]
        if objects and len(objects) == len(values) and depth < DEPTH and zip_lists(objects[0]) is objects[0]:
            yield from walk_columns(objects, f"{path}{name}.", depth + 1)
        else:
            yield f"{path}{name}", values


def is_there(row: Mapping[str, Any], column: str) -> bool:
    """Return whether a row has a column, or a path within one that is filled."""
    return column in row or (column.split(".")[0] in row and find_value(row, column) not in (None, MISSING))


def describe_columns(columns: Collection[str]) -> str:
    """Return the first twenty column names as part of an error message."""
    names = list(columns)
    return f"they have: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "they have no columns"
