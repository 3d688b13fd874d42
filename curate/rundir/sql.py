"""DuckDB: connections, quoting, Parquet files as a source, results in batches."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curate.errors import StorageError
from curate.rundir.parquet import find_damage, list_parts
from curate.rundir.verdicts.token_counts import are_mixed
from curate.runtime.numbers import parse_size

BATCH_ROWS = 65_536
"""Rows of a batch, of query results and of decision tables."""
PART = re.compile(r"'((?:[^']|'')+\.parquet)'")
"""A part in a query, as ``parts_source`` names it."""


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an exception."""
    return str(error).strip().split("\n", 1)[0]


def ask(query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query on parts; ``values`` are those of its question marks.

    Raises what ``naming_parts`` raises.
    """
    with naming_parts(query):
        rows: list[tuple[Any, ...]] = connect().execute(query, list(values)).fetchall()
        return rows


def ask_dicts(query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return the rows of a query on parts as dicts. Raises what ``naming_parts`` raises."""
    with naming_parts(query):
        rows: list[dict[str, Any]] = connect().sql(query, params=list(values)).to_arrow_table().to_pylist()
        return rows


def stream_rows(query: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a query on parts, ``count`` at a time. Raises what ``naming_parts`` raises."""
    with naming_parts(query):
        result = connect().execute(query)
        while rows := result.fetchmany(count):
            yield rows


@contextmanager
def naming_parts(query: str) -> Iterator[None]:
    """Turn an error of reading the parts that a query names into one of ours that names the file.

    Raises DamageError for a damaged part, and StorageError where the disk refuses or memory runs out; other errors of
    DuckDB are bugs, and pass.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {first_line(error)}") from error
    except duckdb.Error as error:
        paths = [name.replace("''", "'") for name in PART.findall(query)]
        damage = None if isinstance(error, duckdb.InterruptException) else find_damage(map(Path, paths))
        if damage is not None:
            raise damage from error
        if not isinstance(error, duckdb.IOException):
            raise
        line = first_line(error)
        where = "" if any(path in line for path in paths) else f"{', '.join(paths[:1])}: "
        raise StorageError(f"{where}{line}", "run the same command again") from error


def stream_batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query in batches of ``BATCH_ROWS``, in order; memory goes with one batch."""
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def connect(memory_limit: str | None = None, spill: Path | None = None) -> Any:
    """Return a DuckDB connection to an empty database in memory, which preserves the order of rows.

    Beyond ``memory_limit`` (for example ``1GB``; None for DuckDB's default) it spills to the folder ``spill``. Raises
    UsageError where ``memory_limit`` is not a size.
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = true")
    if memory_limit:
        connection.execute(f"SET memory_limit = '{parse_size(memory_limit, '--memory-limit')}B'")
    if spill is not None:
        connection.execute(f"SET temp_directory = {quote(str(spill))}")
    return connection


def quote(text: str) -> str:
    """Return a string as an SQL literal, quoted."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return the name of a column as SQL, quoted."""
    return '"' + name.replace('"', '""') + '"'


def parquet_source(path: Path) -> str:
    """Return the SQL that reads a table in DuckDB: one Parquet file, or the parts of a folder in order.

    It names the parts one by one, since a pattern would misread a folder such as ``run[1]``. DuckDB refuses to read a
    folder without parts.
    """
    return parts_source([path] if path.is_file() else list_parts(path))


def parts_source(parts: Sequence[Path], mixed: bool | None = None) -> str:
    """Return the SQL that reads some parts in order; a column that some do not have is null in them.

    ``mixed`` says whether there may be such a column; None looks into the first part and the last, as scores need it.
    """
    listed = ", ".join(quote(str(part)) for part in parts)
    by_name = are_mixed(parts) if mixed is None else mixed
    return f"read_parquet([{listed}]{', union_by_name = true' if by_name else ''})"
