"""The schema of a dataset by its first rows; and where they follow none, what was found and which option mends it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.corpus import Corpus
from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.messages import CONTENT_KEYS, ROLE_KEYS, STANDARD, SYSTEM_COLUMNS
from curate.corpus.chat.named_columns import (
    MESSAGES,
    OTHER_CONTENT_KEYS,
    OTHER_ROLE_KEYS,
    FieldNames,
    find_role_key,
    find_value,
    list_messages,
    rename_row,
    zip_lists,
)
from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError
from curate.corpus.chat.written import are_transcripts, find_rendering
from curate.corpus.values.json_records import MISSING
from curate.errors import CorpusError
from curate.runtime import console
from curate.runtime.text import command, quote_path, quote_word
from curate.sft.datasets.fields import OPTIONS

START_ROWS = 100
COMPARED = 20
"""Rows by which two readings of a dataset are compared."""
DEPTH = 3
"""Objects within objects in which columns are looked for."""
ASKED_WORDS = (
    "prompt",
    "question",
    "instruction",
    "query",
    "request",
    "task",
    "problem",
    "input",
    "user",
    "human",
    "ask",
)
ANSWERED_WORDS = (
    *("response", "answer", "output", "completion", "reply", "solution", "target", "assistant", "bot", "gpt", "label"),
)
ASKING_WORDS = ("user", "human", "customer", "client", "caller", "student", "patient", "visitor", "ask", "question")
"""Parts of the names of roles that ask."""
HINT = (
    "known columns are messages, conversations, instruction and output, prompt and completion, question and answer, "
    f"chosen and rejected, …; choose a schema with --schema: {', '.join(SCHEMAS)}"
)


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
    problem, hint = explain_unknown_columns(data, start)
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


def require_named(name: str, start: DatasetStart, fields: FieldNames) -> None:
    """Raise CorpusError for a named column that none of the first rows has."""
    for key in ("prompt", "response", "messages"):
        for column in getattr(fields, key):
            if any(is_there(row, column) for row in start.rows):
                continue
            near = difflib.get_close_matches(column, start.columns, 1, 0.5) or list(start.columns[:1]) or ["COLUMN"]
            raise CorpusError(
                f"{name} has no column {column}, which {OPTIONS[key]} names; {describe_columns(start.columns)}",
                f"{OPTIONS[key]} {quote_word(f'{name}={near[0]}')}",
            )


def is_there(row: Mapping[str, Any], column: str) -> bool:
    """Return whether a row has a column, or a path within one that is filled."""
    return column in row or (column.split(".")[0] in row and find_value(row, column) not in (None, MISSING))


def describe_columns(columns: Collection[str]) -> str:
    """Return the first twenty column names as part of an error message."""
    names = list(columns)
    return f"they have: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "they have no columns"


def explain_unknown_columns(data: str, start: DatasetStart) -> tuple[str, str]:
    """Return what the columns of an unknown dataset hold, and the command that reads them."""
    problem, found = describe_columns(start.columns), dict(walk_columns(start.rows))
    rendered = {column: mark for column, values in found.items() if (mark := find_rendering(values))}
    spoken = [column for column, values in found.items() if holds_messages(values)]
    texts = [column for column, values in found.items() if column not in spoken and holds_texts(values)]
    begin = f"rank-sft {quote_path(data)}"
    if spoken:
        listed = " and ".join(spoken[:4])
        problem += f"; {listed} {'each hold' if len(spoken) > 1 else 'holds'} messages"
        return problem, command(f"{begin} --messages-field {quote_word(spoken[0])}{suggest_roles(found[spoken[0]])}")
    if rendered:
        column, mark = next(iter(rendered.items()))
        return (
            f"{problem}; {column} was rendered by a chat template ({mark}), which is no longer told from the text",
            HINT,
        )
    if len(texts) < 2:
        return problem, HINT
    asked = choose_column(texts, ASKED_WORDS, ()) or texts[0]
    answered = choose_column(texts, ANSWERED_WORDS, (asked,)) or next(text for text in texts if text != asked)
    rest = [text for text in texts if text not in (asked, answered)]
    problem += f"; texts are in {', '.join(texts[:8])}" if rest else ""
    return problem, command(f"{begin} --prompt-field {quote_word(asked)} --response-field {quote_word(answered)}")


def walk_columns(rows: Sequence[Mapping[str, Any]], path: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Yield the columns of some rows and those of objects within them, by paths with dots, with their filled values."""
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) not in (None, "")]
        objects = [value for value in values if isinstance(value, Mapping)]
        if objects and len(objects) == len(values) and depth < DEPTH and zip_lists(objects[0]) is objects[0]:
            yield from walk_columns(objects, f"{path}{name}.", depth + 1)
        else:
            yield f"{path}{name}", values


def holds_messages(values: Sequence[Any]) -> bool:
    """Return whether most values of a column are lists of messages, in any form, or of strings."""
    lists = [read for value in values if (read := try_messages(value))]
    return bool(values) and 2 * len(lists) > len(values)


def are_messages(values: Sequence[Any]) -> bool:
    """Return whether the lists of a column hold messages of the known keys, so that only their roles may be unknown."""
    lists = [value for value in values if isinstance(value, list | tuple)]
    messages = [message for value in lists for message in value]
    return bool(messages) and all(find_role_key(one) and any(key in one for key in CONTENT_KEYS) for one in messages)


def try_messages(value: object) -> Sequence[Mapping[str, Any]]:
    """Return the messages of a value in a column that the user might name; none where it holds none."""
    try:
        read = list_messages(value, "")
    except ConversationError:
        return ()
    messages = read if isinstance(read, list) else []
    keys = (*CONTENT_KEYS, *OTHER_CONTENT_KEYS)
    fit = [one for one in messages if isinstance(one, Mapping) and any(key in one for key in keys)]
    named = [one for one in fit if any(key in one for key in (*ROLE_KEYS, *OTHER_ROLE_KEYS))]
    return named if messages and len(named) == len(messages) and len(messages) > 1 else ()


def holds_texts(values: Sequence[Any]) -> bool:
    """Return whether most values of a column are texts that are not numbers."""
    texts = [value for value in values if isinstance(value, str) and not value.strip().isdigit()]
    return bool(texts) and 2 * len(texts) > len(values)


def choose_column(columns: Sequence[str], words: Sequence[str], taken: Sequence[str]) -> str | None:
    """Return the first column with one of the words in its name, the earlier words first."""
    free = [column for column in columns if column not in taken]
    return next((column for word in words for column in free if word in column.lower()), None)


def suggest_roles(values: Sequence[Any]) -> str:
    """Return ``--role`` for the roles among some lists of messages that are not known; the empty string for none.

    Which of them asks is a guess by its name, or by who speaks first.
    """
    messages = [message for value in values for message in try_messages(value)]
    keys = map(find_role_key, messages)
    roles = [message[key].strip() for message, key in zip(messages, keys, strict=True) if key is not None]
    unknown = list(dict.fromkeys(role for role in roles if role.lower() not in STANDARD))
    if not unknown:
        return ""
    known = {STANDARD[role.lower()] for role in roles if role.lower() in STANDARD}
    asks = [role for role in unknown if any(word in role.lower() for word in ASKING_WORDS)]
    if "user" not in known and not asks:
        asks = unknown[:1]
    pairs = [f"{role}={'user' if role in asks else 'assistant'}" for role in unknown[:8]]
    return f" --role {quote_word(','.join(pairs))}"
