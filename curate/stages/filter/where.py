"""The user's SQL condition: checked before anything is read, then against the columns, and as a query."""

import difflib
import itertools
import re
from collections.abc import Sequence

import duckdb

from curate.errors import UsageError
from curate.rundir import scores_view, sql
from curate.rundir.columns.names import PREFIX, is_score_name

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
    return text


def check_where(connection: duckdb.DuckDBPyConnection, where: str, of_documents: Sequence[str] = ()) -> None:
    """Bind the condition to the columns of the scores.

    ``of_documents`` are the columns of the documents, which messages name too. Raises UsageError for one that DuckDB
    cannot bind, one that gives no boolean, and one that calls a function which gives another value each time.
    """
    of_scores = scores_view.list_columns(connection)
    others = [PREFIX + name if name in of_scores and is_score_name(name) else name for name in of_documents]
    known = list(dict.fromkeys([*of_scores, *others]))
    hint = f"the columns are: {', '.join(known[:MOST_NAMES])}{', …' if len(known) > MOST_NAMES else ''}"
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
    _check_steady(connection, where)


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
    return f"did you mean {close[0]}? " if close else ""


def _check_steady(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Refuse functions that give another value each time: the same run must give the same documents."""
    query = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    changing = {str(name) for (name,) in connection.execute(query).fetchall()}
    for name in re.findall(r"\b([a-z_]\w*)\s*\(", where.lower()):
        if name in changing:
            raise UsageError(
                f"--where: {name}() gives another value each time", "a run must be reproducible; leave it out"
            )


def build_where_query(where: str) -> str:
    """Return the query of a condition for each document, in the order of the corpus: 0 false, 1 true, 2 null.

    Documents that criteria are not about are 2 without evaluating the condition, since a cast may fail on them.
    """
    value = f"CASE WHEN (\n{where}\n) IS NULL THEN 2 WHEN (\n{where}\n) THEN 1 ELSE 0 END"
    guarded = f"CASE WHEN status = 'ok' AND rejection IS NULL THEN {value} ELSE 2 END"
    return f"SELECT {guarded}::TINYINT AS said, part, place FROM documents AS scores ORDER BY part, place"
