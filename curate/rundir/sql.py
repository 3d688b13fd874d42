"""DuckDB: connections, quoting, Parquet as a source, results in batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curate.rundir.parquet import parts

BATCH_ROWS = 65_536


def first_line(error: BaseException) -> str:
    """The message of an exception without its later lines."""
    return str(error).strip().split("\n", 1)[0]


def stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The rows of a query in batches, in order, never all in memory."""
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def connect(memory_limit: str | None = None, spill: Path | None = None) -> Any:
    """A DuckDB connection over nothing, for narrow tables: it spills to ``spill`` beyond ``memory_limit``."""
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = true")
    if memory_limit:
        connection.execute(f"SET memory_limit = {quote(memory_limit)}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {quote(str(spill))}")
    return connection


def quote(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet_source(path: Path) -> str:
    """The SQL that reads a table (a file, or the parts in a directory, in order) in DuckDB.

    Parts are named one by one, since a pattern would misread a directory such as ``run[1]``.
    """
    files = [path] if path.is_file() else parts(path)
    return f"read_parquet([{', '.join(quote(str(file)) for file in files)}])"
