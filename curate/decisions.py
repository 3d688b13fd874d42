"""What was decided about each document, and how the verbs after ``score`` read it.

The scores are narrow, so DuckDB reads them, spilling to the run directory beyond a memory limit. A connection sees the
view ``scores`` and nothing else: no other file, no network, no variable of the program, so that SQL written by a user
can only compute. The decision table has one row for each row of the scores, in the same order.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate import tables
from curate.errors import StorageError, TableError, UsageError
from curate.runs import Run

UNREADABLE = "unreadable"
BATCH_ROWS = 65_536


def conserve(stage: str, read: int, kept: int, rejected: int, unreadable: int) -> None:
    """The conservation law: documents read = kept + rejected + unreadable. TableError where a stage breaks it."""
    if read != kept + rejected + unreadable:
        message = (
            f"{stage}: {read:,} documents read, but {kept:,} kept + {rejected:,} rejected + {unreadable:,} unreadable"
        )
        raise TableError(message, "a part of the scores is missing or foreign; score again with --restart")


@contextmanager
def open_scores(run: Run, memory_limit: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A closed-off DuckDB connection whose view ``scores`` is the parts of the run that exist now, in corpus order."""
    spill = run.path / ".spill"
    try:
        with tables.connect(_checked_limit(memory_limit), spill) as connection:
            _close_off(connection, run.scores)
            _create_view(connection, run.scores)
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {first_line(error)}", "raise --memory-limit") from error
    except duckdb.IOException as error:
        raise StorageError(f"the scores in {run.scores} cannot be read: {first_line(error)}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _checked_limit(memory_limit: str | None) -> str | None:
    if memory_limit is None:
        return None
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"SET memory_limit = {tables.quote(memory_limit)}")
    except duckdb.Error as error:
        raise UsageError(
            f"--memory-limit {memory_limit}: {first_line(error)}", "for example --memory-limit 4GB"
        ) from error
    return memory_limit


def _close_off(connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute(f"SET allowed_directories = [{tables.quote(str(directory) + '/')}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_view(connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """The view ``scores``, in which NaN is null: DuckDB takes NaN for the largest number, and now and then, judging by
    Parquet statistics that leave it out, for one between the others."""
    select = _select(tables.parts(directory))
    try:
        kinds = {str(row[0]): row[1] for row in connection.execute(f"DESCRIBE {select}").fetchall()}
        numbers = [name for name, kind in kinds.items() if kind in ("DOUBLE", "FLOAT")]
        replaced = ", ".join(f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}" for name in numbers)
        connection.execute(f"CREATE VIEW scores AS SELECT * REPLACE ({replaced}) FROM ({select})")
    except duckdb.Error as error:
        hint = "score again with --restart, or name another run with --run"
        raise TableError(f"the scores in {directory} cannot be read: {first_line(error)}", hint) from error


def _select(parts: Sequence[Path]) -> str:
    """Reads the parts by their names; a pattern would misread a run directory named ``run[1]``."""
    if parts:
        return f"SELECT * FROM read_parquet([{', '.join(tables.quote(str(path)) for path in parts)}])"
    columns = (f"NULL::{_sql_type(column.type)} AS {column.name}" for column in tables.SCORES)
    return f"SELECT {', '.join(columns)} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "DOUBLE"
    return "BIGINT" if pa.types.is_integer(kind) else "VARCHAR"


def first_line(error: BaseException) -> str:
    """The message of an exception without its later lines."""
    return str(error).strip().split("\n", 1)[0]


def stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The rows of a query in batches, in order, never all in memory."""
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def columns(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The columns of the scores with their SQL types."""
    found = connection.execute("DESCRIBE scores").fetchall()
    return {str(row[0]): str(row[1]) for row in found}


def order_statistics(connection: duckdb.DuckDBPyConnection, query: str, ranks: Iterable[int]) -> dict[int, float]:
    """The values at some ranks (0 is the lowest) of a query of one sorted column: one external sort, exact."""
    wanted, found, passed = sorted(set(ranks)), {}, 0
    for batch in stream(connection, query):
        while wanted and wanted[0] < passed + batch.num_rows:
            rank = wanted.pop(0)
            found[rank] = float(batch.column(0)[rank - passed].as_py())
        passed += batch.num_rows
        if not wanted:
            break
    return found


def quantiles(connection: duckdb.DuckDBPyConnection, query: str, count: int, shares: Sequence[float]) -> list[float]:
    """The quantiles of a query of one sorted column of ``count`` values, linear between order statistics."""
    if count == 0:
        return [float("nan")] * len(shares)
    places = [share * (count - 1) for share in shares]
    ranks = [(int(place), min(int(place) + 1, count - 1)) for place in places]
    values = order_statistics(connection, query, (rank for pair in ranks for rank in pair))
    return [
        values[low] if place == low else values[low] + (place - low) * (values[high] - values[low])
        for place, (low, high) in zip(places, ranks, strict=True)
    ]


def write_filter(run: Run, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, Any]) -> None:
    """Write the decision table whole or not at all, batch by batch, with the fingerprint that ``run.json`` repeats."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    schema = tables.FILTER.with_metadata({b"curate": note})
    with tables.replacing(run.filter) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(schema))


def open_filter(run: Run) -> dict[str, Any] | None:
    """The record of the decision table, None where ``filter`` never ran; TableError when stale or half replaced."""
    record, score = run.stage("filter"), run.stage("score")
    hint = f"curate filter … --run {run.path}"
    if record is None and not run.filter.exists():
        return None
    if record is None or not run.filter.exists():
        raise TableError(f"the last curate filter in {run.path} did not finish", hint)
    if score is None or record["made_from"] != score["fingerprint"]:
        raise TableError(f"{run.filter} is stale: it was made from other scores", hint)
    if tables.read_metadata(run.filter).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{run.filter} and run.json do not belong together", hint)
    return record


class Decisions:
    """The rows of the decision table, given out in order as the slices of the corpus ask for them."""

    __slots__ = ("_batches", "_path", "_rest")

    def __init__(self, path: Path):
        self._path = path
        self._batches = pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS)
        self._rest = pa.Table.from_batches([], tables.FILTER)

    def take(self, count: int) -> pa.Table:
        """The next ``count`` rows. TableError when the table ends before."""
        while self._rest.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise TableError(f"{self._path} has fewer rows than the scores", "run curate filter again")
            table = pa.Table.from_batches([batch]).cast(tables.FILTER)
            self._rest = pa.concat_tables([self._rest, table])
        found, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return found
