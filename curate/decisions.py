"""What was decided about each document, and how the verbs after ``score`` read it.

The scores are narrow, so DuckDB reads them, spilling to the run directory beyond a memory limit. A connection sees
these views and nothing else: no other file, no network, no variable of the program, so that SQL written by a user can
only compute.

    documents   every row of the scores, with ``rejection``: why the hits or the duplicates reject it, else null
    scores      the rows that neither rejects: what a user's SQL is about, and percentiles and medians are of

Where the run has hits, both have ``contaminated`` (bool) and ``eval_sets`` (text with commas, null for none), in which
what is for review does not count; where it has duplicates, ``duplicate`` (bool). The decision table has one row for
each row of the scores, in the same order.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate import carried, rejections, tables
from curate.errors import StorageError, TableError, UsageError
from curate.rejections import Rejections
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
def open_scores(
    run: Run, memory_limit: str | None = None, found: Rejections = rejections.NONE, carry: Sequence[str] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A closed-off DuckDB connection with the views ``documents`` and ``scores`` of the parts that exist now.

    ``found`` are the tables that reject; without them nothing is rejected, and ``scores`` are all documents. ``carry``
    are columns of the documents that lie beside the scores already; the views then have them, too.
    """
    spill = run.path / ".spill"
    try:
        with tables.connect(_checked_limit(memory_limit), spill) as connection:
            if found:
                rejections.create_relation(connection, run, found)
            _close_off(connection, (run.scores, run.carried))
            _create_views(connection, run, found, carry)
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


def _close_off(connection: duckdb.DuckDBPyConnection, directories: Sequence[Path]) -> None:
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    allowed = ", ".join(tables.quote(f"{directory}/") for directory in directories)
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_views(connection: duckdb.DuckDBPyConnection, run: Run, found: Rejections, carry: Sequence[str]) -> None:
    """The views, in which NaN is null: DuckDB takes NaN for the largest number, and now and then, judging by Parquet
    statistics that leave it out, for one between the others."""
    directory = run.scores
    select = _select(tables.parts(directory))
    for name in carry:
        select = _beside(select, run, name)
    try:
        kinds = {str(row[0]): row[1] for row in connection.execute(f"DESCRIBE {select}").fetchall()}
        numbers = [name for name, kind in kinds.items() if kind in ("DOUBLE", "FLOAT")]
        replaced = ", ".join(f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}" for name in numbers)
        connection.execute(f"CREATE VIEW measured AS SELECT * REPLACE ({replaced}) FROM ({select})")
    except duckdb.Error as error:
        hint = "score again with --restart, or name another run with --run"
        raise TableError(f"the scores in {directory} cannot be read: {first_line(error)}", hint) from error
    if not found:
        connection.execute("CREATE VIEW documents AS SELECT *, NULL::VARCHAR AS rejection FROM measured")
        connection.execute("CREATE VIEW scores AS SELECT * EXCLUDE (part, place) FROM measured")
        return
    columns = ", ".join(["measured.*", *_evidence_columns(found), "rejections.rejection"])
    key = "measured.file = rejections.file AND measured.row = rejections.row"
    connection.execute(f"CREATE VIEW documents AS SELECT {columns} FROM measured LEFT JOIN rejections ON {key}")
    left = "SELECT * EXCLUDE (part, place, rejection) FROM documents WHERE rejection IS NULL"
    connection.execute(f"CREATE VIEW scores AS {left}")


def _beside(select: str, run: Run, name: str) -> str:
    """The rows of a query with a carried column, which meet by part and place."""
    own = '"' + name.replace('"', '""') + '"'
    parts = tables.parts(carried.folder(run, name))
    if not parts:
        return f"SELECT *, NULL AS {own} FROM ({select})"
    listed = ", ".join(tables.quote(str(path)) for path in parts)
    values = f"SELECT value AS {own}, file_index AS part, file_row_number AS place FROM read_parquet([{listed}])"
    return f"SELECT * FROM ({select}) JOIN ({values}) USING (part, place)"


def _evidence_columns(found: Rejections) -> list[str]:
    """What the tables say of a document, for those tables that the run has."""
    columns = []
    if found.hits is not None:
        columns += ["rejections.eval_sets IS NOT NULL AS contaminated", "rejections.eval_sets"]
    if found.duplicates is not None:
        columns.append("coalesce(rejections.duplicate, false) AS duplicate")
    return columns


def _select(parts: Sequence[Path]) -> str:
    """Reads the parts by their names; a pattern would misread a run directory named ``run[1]``.

    ``part`` and ``place`` are the place of a row in the order of the corpus.
    """
    if parts:
        listed = ", ".join(tables.quote(str(path)) for path in parts)
        return f"SELECT *, file_index AS part, file_row_number AS place FROM read_parquet([{listed}])"
    columns = [f"NULL::{_sql_type(column.type)} AS {column.name}" for column in tables.SCORES]
    return f"SELECT {', '.join([*columns, '0 AS part', '0 AS place'])} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "DOUBLE"
    return "BIGINT" if pa.types.is_integer(kind) else "VARCHAR"


def check_met(connection: duckdb.DuckDBPyConnection, run: Run, found: Rejections) -> None:
    """TableError where the hits or the duplicates speak of a document that the scores do not have."""
    if not found:
        return
    known = connection.execute("SELECT count(*) FROM rejections").fetchall()[0][0]
    met = connection.execute("SELECT count(*) FROM measured SEMI JOIN rejections USING (file, row)").fetchall()[0][0]
    if met != known:
        message = f"{known - met:,} documents of the hits or the duplicates are not in {run.scores}"
        raise TableError(message, f"make them again: {', '.join(found.verbs())}, with --run {run.path}")


def first_line(error: BaseException) -> str:
    """The message of an exception without its later lines."""
    return str(error).strip().split("\n", 1)[0]


def stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The rows of a query in batches, in order, never all in memory."""
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def columns(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The columns of the scores with their SQL types."""
    return {str(row[0]): str(row[1]) for row in connection.execute("DESCRIBE scores").fetchall()}


def decision_query(connection: duckdb.DuckDBPyConnection, reason: str) -> str:
    """The decision on every document: file, row, keep, reason, tokens, in the order of the scores.

    ``reason`` is an SQL expression over ``documents``, null for what is kept. A join loses the order, so that it has to
    be made again; without one the rows come as they stand in the parts.
    """
    decided = (
        f"SELECT file, row, tokens, {reason} AS reason, part, place FROM documents AS scores"  # scores.tokens, too
    )
    joined = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'rejections'").fetchall()
    order = " ORDER BY part, place" if joined else ""
    return f"SELECT file, row, reason IS NULL AS keep, reason, coalesce(tokens, 0) AS tokens FROM ({decided}){order}"


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


def write_decisions(path: Path, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, Any]) -> None:
    """Write a decision table whole or not at all, batch by batch, with the fingerprint that ``run.json`` repeats."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    schema = tables.FILTER.with_metadata({b"curate": note})
    with tables.replacing(path) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(schema))


class CodedWriter:
    """Writes a decision table from small numbers for reasons: 0 is kept, the others are places in ``names``."""

    def __init__(self, path: Path, names: Sequence[str | None], metadata: Mapping[str, Any]):
        note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
        self._names, self._files = names, list[str]()
        self._held: list[tuple[Any, ...]] = []
        self._count = 0
        coded = pa.dictionary(pa.int32(), pa.large_string())
        kinds = {"file": coded, "reason": coded}
        self._schema = pa.schema([(one.name, kinds.get(one.name, one.type)) for one in tables.FILTER])
        self._writer = pq.ParquetWriter(
            path,
            self._schema.with_metadata({b"curate": note}),
            compression="zstd",
            use_dictionary=list(kinds),
            column_encoding={"row": "DELTA_BINARY_PACKED"},
        )

    def add(self, file: str, rows: Any, codes: Any) -> None:
        """The next documents: all of one file."""
        if file not in self._files[-1:]:
            self._files.append(file)
        self._held.append((np.full(len(rows), len(self._files) - 1, np.int32), rows, codes))
        self._count += len(rows)
        if self._count >= 4 * BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        files, rows, codes = (np.concatenate(columns) for columns in zip(*self._held, strict=True))
        kept = codes == 0
        file = pa.DictionaryArray.from_arrays(pa.array(files), pa.array(self._files, pa.large_string()))
        why = pa.array(np.maximum(codes.astype(np.int32) - 1, 0), mask=kept)
        reason = pa.DictionaryArray.from_arrays(why, pa.array(self._names[1:], pa.large_string()))
        columns = [file, pa.array(rows), pa.array(kept), reason]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._held, self._count, self._files = [], 0, []

    def close(self, whole: bool) -> None:
        """Close the file; ``whole`` writes what is left before."""
        if whole:
            self._flush()
        self._writer.close()


@contextmanager
def coded_writer(path: Path, names: Sequence[str | None], metadata: Mapping[str, Any]) -> Iterator[CodedWriter]:
    """A writer of a decision table at ``path``, closed in the end whatever happens."""
    writer = CodedWriter(path, names, metadata)
    try:
        yield writer
    except BaseException:
        writer.close(whole=False)
        raise
    writer.close(whole=True)


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
    for table, verb in (("hits", "decontaminate"), ("duplicates", "dedup")):
        if record.get(table) != (run.stage(verb) or {}).get("fingerprint"):
            raise TableError(f"{run.filter} is stale: curate {verb} has run since", hint)
    if tables.read_metadata(run.filter).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{run.filter} and run.json do not belong together", hint)
    return record


class Decisions:
    """The rows of the decision table, given out in order as the slices of the corpus ask for them.

    With another ``schema`` those of the buckets or of the order, which have a row for each row of the scores, too; only
    the columns of the schema are read.
    """

    __slots__ = ("_batches", "_path", "_rest", "_schema")

    def __init__(self, path: Path, schema: pa.Schema = tables.FILTER):
        self._path, self._schema = path, schema
        self._batches = pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS, columns=schema.names)
        self._rest = pa.Table.from_batches([], schema)

    def take(self, count: int) -> pa.Table:
        """The next ``count`` rows. TableError when the table ends before."""
        while self._rest.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise TableError(f"{self._path} has fewer rows than the scores", "run the verb that made it again")
            table = pa.Table.from_batches([batch]).cast(self._schema)
            self._rest = pa.concat_tables([self._rest, table])
        found, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return found

    def check_end(self) -> None:
        """TableError when rows are left."""
        if self._rest.num_rows or next(self._batches, None) is not None:
            raise TableError(f"{self._path} has more rows than the scores", "run the verb that made it again")
