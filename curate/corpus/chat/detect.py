"""Detection of the schema that the rows of a dataset follow."""

from collections.abc import Iterable, Mapping, Sequence

from curate.corpus.chat.messages import MESSAGE_COLUMNS
from curate.corpus.chat.pairs import PAIRS, PREFERENCE
from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError


def detect_schema(columns: Iterable[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """The schema that a dataset's rows follow, by its columns and its first rows; None if it is no known one.

    The first of ``SCHEMAS`` whose columns are there and that reads text from one of the rows; failing that, the first
    whose columns are there, so that rows which are all broken are counted and not taken for something else. Without
    rows the columns decide.
    """
    names = set(columns)
    fitting = [schema for schema in SCHEMAS if _fits(schema, names, rows)]
    readable = [schema for schema in fitting if any(_is_readable(row, schema) for row in rows)]
    return next(iter(readable + fitting), None)


def _fits(schema: str, names: set[str], rows: Sequence[Mapping[str, object]]) -> bool:
    if schema == "tree":
        nested = any(isinstance(row.get("prompt"), Mapping) for row in rows)
        return "prompt" in names and (nested or "message_tree_id" in names)
    if schema in MESSAGE_COLUMNS:
        return any(name in names and _may_hold_messages(name, rows) for name in MESSAGE_COLUMNS[schema])
    if schema == "instances":
        return {"instruction", "instances"} <= names
    if schema == "preference":
        return names.issuperset(PREFERENCE.answered)
    return PAIRS[schema].asked[0] in names and not names.isdisjoint(PAIRS[schema].answered)


def _may_hold_messages(column: str, rows: Sequence[Mapping[str, object]]) -> bool:
    """False where ``messages`` is a count or a plain text."""
    values = [row.get(column) for row in rows]
    filled = [value for value in values if value is not None]
    return not filled or any(
        value.lstrip().startswith("[") if isinstance(value, str) else isinstance(value, list | tuple)
        for value in filled
    )


def _is_readable(row: Mapping[str, object], schema: str) -> bool:
    try:
        return bool(read_turns(row, schema))
    except ConversationError:
        return False
