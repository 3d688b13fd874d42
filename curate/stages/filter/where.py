"""The user's SQL condition: checked before anything is read, then against the columns, and as a query."""

import difflib
import itertools
import re
from collections.abc import Sequence

import duckdb

from curate.errors import UsageError
from curate.rundir import scores_view, sql
from curate.rundir.columns.names import PREFIX, is_score_name
from curate.rundir.signals import is_sum
from curate.stages.filter.steadiness import check_functions, check_words

MOST_NAMES = 60
"""Columns that a message lists."""


def check_expression(text: str | None) -> str | None:
    """Return the user's condition, checked to be one SQL expression and nothing else."""
    if text is None:
        return None
    try:
        duckdb.SQLExpression(text)
    except duckdb.Error as error:
        hint = 'one condition over the columns, as in --where "perplexity < 50 and tokens >= 64"; '
        hint += """a name with a space, or that SQL uses itself, in double quotes: --where '"My Col" = 1'"""
        raise UsageError(f"--where is not an SQL expression: {explain_sql_error(error)}", hint) from error
    check_functions(text)
    return text


def check_where(
    connection: duckdb.DuckDBPyConnection, where: str, of_documents: Sequence[str] = (), is_typed: bool = True
) -> None:
    """Bind the condition to the columns of the scores.

    ``of_documents`` are the columns of the documents, which messages name too; where ``is_typed`` they have no others.
    Raises UsageError for one that DuckDB cannot bind, one that gives no boolean, and one that is not steady.
    """
    of_scores = scores_view.list_columns(connection)
    others = [PREFIX + name if name in of_scores and is_score_name(name) else name for name in of_documents]
    known = list(dict.fromkeys([*of_scores, *others]))
    shown = [name for name in known if not is_sum(name)]
    hint = f"the columns are: {', '.join(shown[:MOST_NAMES])}{', …' if len(shown) > MOST_NAMES else ''}"
    hint += "" if is_typed else f"; {PREFIX}NAME is looked for in all rows"
    check_words(where, of_scores)
    for column, verb in scores_view.REJECTION_COLUMNS.items():
        if re.search(rf"\b{column}\b", where) and column not in known:
            hint = f"{column} is a column once curate {verb} has run; {hint}"
    try:
        connection.execute(f"EXPLAIN SELECT 1 FROM scores WHERE (\n{where}\n)")
        kind = connection.execute(f"DESCRIBE SELECT (\n{where}\n) FROM scores").fetchall()[0][1]
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        message = explain_sql_error(error)
        raise UsageError(f"--where: {message}", f"{_suggest(message, known)}{hint}") from error
    if kind != "BOOLEAN":
        raise UsageError(f"--where gives {kind}, not true or false", hint)


def explain_sql_error(error: duckdb.Error) -> str:
    """Return the message of DuckDB about a condition, with the part of the condition that it points at."""
    lines = str(error).splitlines()
    for line, below in itertools.pairwise(lines):
        if line.startswith("LINE ") and set(below.strip()) == {"^"}:
            found = line[below.index("^") :].strip()
            return f"{sql.first_line(error)}, at: {found[:40]}{'…' if len(found) > 40 else ''}"
    return sql.first_line(error)


def _suggest(message: str, known: Sequence[str]) -> str:
    if "explicit cast is required" in message:
        return "text compares with a number as in try_cast(NAME as double) > 5; "
    named = re.search(r'column "([^"]+)" not found', message) or re.search(r"table .* found!, at: ([\w.]+)", message)
    close = difflib.get_close_matches(named[1], known, 1) if named else []
    return f"did you mean {_spell_name(close[0])}? " if close else ""


def _spell_name(name: str) -> str:
    """Return a column as SQL has it: quoted where it is not a word, with ``doc.`` before the quotes."""
    bare = name.removeprefix(PREFIX)
    quoted = bare if re.fullmatch(r"(?!\d)\w+(\.(?!\d)\w+)*", bare) else sql.quote_name(bare)
    return name.removesuffix(bare) + quoted


def build_where_query(where: str) -> str:
    """Return the query of a condition for each document, in the order of the corpus: 0 false, 1 true, 2 null.

    Documents that criteria are not about are 2 without evaluating the condition, since a cast may fail on them.
    """
    value = f"CASE WHEN (\n{where}\n) IS NULL THEN 2 WHEN (\n{where}\n) THEN 1 ELSE 0 END"
    guarded = f"CASE WHEN status = 'ok' AND rejection IS NULL THEN {value} ELSE 2 END"
    return f"SELECT {guarded}::TINYINT AS said, part, place FROM documents AS scores ORDER BY part, place"
