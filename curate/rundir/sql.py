"""DuckDB: connections, quoting, Parquet files as a source, results in batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curate.rundir.parquet import list_parts
from curate.rundir.verdicts.token_counts import are_mixed
from curate.runtime.numbers import parse_size

BATCH_ROWS = 65_536
"""Rows of a batch, of query results and of decision tables."""


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an exception."""
    return str(error).strip().split("\n", 1)[0]


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


def parts_source(parts: Sequence[Path]) -> str:
    """Return the SQL that reads some parts in order; a column that some do not have is null in them."""
    listed = ", ".join(quote(str(part)) for part in parts)
    return f"read_parquet([{listed}]{', union_by_name = true' if are_mixed(parts) else ''})"
