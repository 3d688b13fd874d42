"""The schema of a dataset, by its first rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.messages import SYSTEM_COLUMNS
from curate.corpus.chat.named_columns import MESSAGES, FieldNames, rename_row
from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError
from curate.corpus.chat.written import are_transcripts
from curate.errors import CorpusError
from curate.runtime import console
from curate.sft.datasets.dataset_start import DatasetStart
from curate.sft.datasets.mending import explain_unknown_columns

COMPARED = 20
"""Rows by which two readings of a dataset are compared."""


def find_schema(name: str, data: str, start: DatasetStart, fields: FieldNames) -> tuple[str, FieldNames]:
    """Return the schema that most of the first rows follow, and the names of the dataset with what was found.

    Transcripts alone, in a column of any name, are messages. Warns where another schema reads other answers. Raises
    CorpusError where the rows follow no known schema.
    """
    rows = list(_rename_rows(start.rows, fields))
    if schema := choose_schema(start.columns, rows):
        warn_of_other_schemas(name, schema, start.columns, rows)
        return schema, fields
    spoken = [column for column in start.columns if are_transcripts([row.get(column) for row in rows])]
    if len(spoken) == 1:
        return MESSAGES, replace(fields, messages=(spoken[0],))
    problem, hint = explain_unknown_columns(name, data, start)
    raise CorpusError(f"{name}: its rows follow no known schema; {problem}", hint)


def _rename_rows(rows: Sequence[Mapping[str, Any]], fields: FieldNames) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        try:
            yield rename_row(row, fields)
        except ConversationError:
            continue


def choose_schema(columns: Collection[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """Return the schema that most rows have by the columns they fill; ties go to that of all columns together."""
    together = detect_schema(columns, rows)
    each = [detect_schema(filled, [filled]) for filled in map(keep_filled, rows)]
    counts = Counter(schema for schema in each if schema is not None)
    return max(counts, key=lambda schema: (counts[schema], schema == together), default=together)


def keep_filled(record: Mapping[str, object]) -> dict[str, object]:
    """Return the record without nulls and empty texts."""
    return {name: value for name, value in record.items() if value is not None and value != ""}


def find_transcripts(schema: str, start: DatasetStart, fields: FieldNames) -> tuple[str, ...]:
    """Return the columns of a schema that hold transcripts in place of texts, by the first rows."""
    rows = list(_rename_rows(start.rows, fields))
    columns = SCHEMAS[schema].columns
    return tuple(column for column in columns if are_transcripts([row.get(column) for row in rows]))


def warn_of_other_schemas(name: str, schema: str, columns: Collection[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Warn where the first rows hold another conversation, which another schema reads from other columns."""
    known = [column for column in SCHEMAS[schema].columns if column in columns]
    for other, candidate in SCHEMAS.items():
        taken = [column for column in candidate.columns if column in columns and column not in SYSTEM_COLUMNS]
        if other == schema or not candidate.fits(set(columns), rows) or taken[0] in known:
            continue
        pairs = [(_read_texts(row, schema), _read_texts(row, other)) for row in rows[:COMPARED]]
        if 2 * sum(bool(one) and bool(two) and one != two for one, two in pairs) > len(pairs):
            console.warn(
                f"{name}: {', '.join(known)} are read ({schema}); {', '.join(taken)} hold another conversation, "
                f"which --schema {other} reads"
            )


def _read_texts(row: Mapping[str, Any], schema: str) -> list[str]:
    try:
        return [" ".join(turn.text.split()) for turn in read_turns(row, schema) if turn.role != "system"]
    except ConversationError:
        return []
