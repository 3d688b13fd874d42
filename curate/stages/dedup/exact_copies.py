"""Exact copies: documents that share the hash of their words, grouped by DuckDB out of core."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from curate.errors import StorageError
from curate.rundir import sql
from curate.runtime.arrays import BoolArray, Int64Array

BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class ExactCopies:
    """Our documents that have the same words as another one of any corpus; one entry for each in every array."""

    numbers: Int64Array
    """Numbers of the documents, ascending."""
    first: Int64Array
    """The first document of ours with the same words."""
    other: Int64Array
    """The first document of another corpus with the same words; −1 for none."""


@contextmanager
def open_tables(spill: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """Yield a DuckDB connection that spills to the folder ``spill``, which is removed in the end.

    Raises StorageError where DuckDB runs out of memory or cannot read or write, KeyboardInterrupt on Ctrl-C.
    """
    try:
        with sql.connect(memory_limit, spill) as connection:
            connection.execute(f"SET threads = {threads}")
            yield connection
    except (duckdb.InterruptException, RuntimeError) as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # DuckDB handles the signal and raises an error of its own
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {sql.first_line(error)}", "raise --memory-limit") from error
    except duckdb.IOException as error:
        raise StorageError(f"DuckDB cannot read or write its tables: {sql.first_line(error)}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def open_sketches(parts: Mapping[Path, int], spill: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """Yield a connection with the view ``sketches`` over some parts.

    ``parts`` has the number of the first document of each part: those in a part are numbered from there on, in the
    order of its rows.
    """
    with open_tables(spill, memory_limit, threads) as connection:
        files = ", ".join(sql.quote(str(path)) for path in parts)
        connection.execute("CREATE TABLE parts (filename VARCHAR, first BIGINT)")
        connection.executemany("INSERT INTO parts VALUES (?, ?)", [(str(path), first) for path, first in parts.items()])
        connection.execute(
            "CREATE VIEW sketches AS "
            "SELECT * EXCLUDE (filename, file_row_number, first), first + file_row_number AS number FROM "
            f"read_parquet([{files}], filename = true, file_row_number = true) JOIN parts USING (filename)"
        )
        yield connection


def find_copies(connection: Any, num_ours: int, total: int) -> tuple[ExactCopies, BoolArray]:
    """Return the documents numbered below ``num_ours`` that have the words of another one, ours or not.

    The second is which of all documents, of shape (total,), others represent by their words; LSH can skip them.
    """
    connection.execute(
        "CREATE TABLE copies AS SELECT number, first, other FROM sketches JOIN "
        f"(SELECT high, low, min(number) AS first, coalesce(min(number) FILTER (number >= {num_ours}), -1) AS other "
        "FROM sketches GROUP BY high, low HAVING count(*) > 1) USING (high, low)"
    )
    copies = connection.execute(f"SELECT number, first, other FROM copies WHERE number < {num_ours} ORDER BY number")
    columns = copies.fetchnumpy()
    exact = ExactCopies(*(np.asarray(columns[name], np.int64) for name in ("number", "first", "other")))
    left_out = np.zeros(total, bool)
    represented = connection.sql(
        "SELECT number FROM copies WHERE "
        f"CASE WHEN number < {num_ours} THEN number <> first OR other >= 0 ELSE number <> other END"
    )
    for batch in represented.to_arrow_reader(BATCH_ROWS):
        left_out[batch.column(0).to_numpy()] = True
    return exact, left_out
