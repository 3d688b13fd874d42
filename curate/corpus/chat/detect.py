"""Detection of the schema that the rows of a dataset follow."""

from collections.abc import Iterable, Mapping, Sequence

from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError


def detect_schema(columns: Iterable[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """The schema that a dataset's rows follow, by its columns and its first rows; None if it is no known one.

    The first of ``SCHEMAS`` whose columns are there and that reads text from one of the rows; failing that, the first
    whose columns are there, so that rows which are all broken are counted and not taken for something else. Without
    rows the columns decide.
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
