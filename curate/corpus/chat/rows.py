"""Conversations as the text field of a corpus: the columns of a schema, and the turns of a row.

A text field of the form ``@SCHEMA`` means that the text of a row is all its turns, with a blank line between two.
"""

from __future__ import annotations

from collections.abc import Mapping

from curate.corpus.chat.named_columns import list_read_columns, read_spelling
from curate.corpus.chat.schemas import SCHEMAS, read_conversation
from curate.corpus.chat.types import ConversationError, Turn
from curate.corpus.values.json_records import BadRowError

MARK = "@"
Turns = tuple[Turn, ...]


def find_conversation(field: str | None) -> str | None:
    """Return the schema that a text field ``@SCHEMA`` names, None for a column.

    Behind the schema may stand the names that a dataset has for its columns (``named_columns.spell``).
    """
    name = (field or "").removeprefix(MARK)
    try:
        schema, _ = read_spelling(name)
    except ValueError:
        return None
    return name if field == MARK + name and schema in SCHEMAS else None


def list_columns(schema: str) -> tuple[str, ...]:
    """Return every column that a schema may read, in the order of its turns."""
    name, names = read_spelling(schema)
    return list_read_columns(SCHEMAS[name].columns, names)


def take_turns(record: Mapping[str, object], schema: str) -> Turns:
    """Return the turns of a row, none where it has no text. Raises BadRowError where it does not follow the schema."""
    try:
        return read_conversation(record, schema).turns
    except ConversationError as error:
        raise BadRowError(str(error)) from error


def count_bytes(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
