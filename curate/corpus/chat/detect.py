"""Detection of the schema that the rows of a dataset follow."""

from collections.abc import Iterable, Mapping, Sequence

from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError


def detect_schema(columns: Iterable[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """Return the schema that a dataset follows, by its columns and its first rows; None where it follows no known one.

    It is the first of ``SCHEMAS`` that fits the columns and reads text from one of the rows. Where none reads text, it
    is the first that fits the columns, so that rows which are all broken are counted as such. Without rows the columns
    decide.
    """
    names = set(columns)
    fitting = [name for name, schema in SCHEMAS.items() if schema.fits(names, rows)]
    readable = [name for name in fitting if any(_is_readable(row, name) for row in rows)]
    return next(iter(readable + fitting), None)


def _is_readable(row: Mapping[str, object], schema: str) -> bool:
    try:
        return bool(read_turns(row, schema))
    except ConversationError:
        return False
