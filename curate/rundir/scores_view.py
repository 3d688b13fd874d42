"""The scores of a run as DuckDB views, joined with the hits and the duplicates that reject documents.

The scores are narrow, so DuckDB reads them, spilling to the run directory beyond a memory limit. A connection sees
these views and nothing else: no other file, no network, no variable of the program, so that SQL written by a user can
only compute.

    documents   every row of the scores, with ``rejection``: why the hits or the duplicates reject it, else null
    scores      the rows that neither rejects: the user's SQL, percentiles and medians are about these

Where the run has hits, both have ``contaminated`` (bool) and ``eval_sets`` (text with commas, null for none), without
the hits for review; where it has duplicates, ``duplicate`` (bool). The decision table has one row for each row of the
scores, in the same order.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.errors import StorageError, TableError
from curate.rundir import document_columns, parquet, schemas, sql
from curate.rundir.run import Run
from curate.rundir.sql import first_line
from curate.rundir.verdicts.rejections import NO_REJECTIONS, Rejections, create_relation
from curate.runtime.disk.writers import name_temporary

REJECTION_COLUMNS = {"contaminated": "decontaminate", "eval_sets": "decontaminate", "duplicate": "dedup"}
"""The columns that the hits and the duplicates add to the views, and the verb without which each is missing."""


NO_COLUMNS: Mapping[str, str] = {}
OF_THE_QUERY = (duckdb.ConversionException, duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException)
"""Errors that no damaged part causes."""


@contextmanager
def open_scores(
    run: Run,
    memory_limit: str | None = None,
    rejections: Rejections = NO_REJECTIONS,
    carry: Mapping[str, str] = NO_COLUMNS,
    threads: int | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an isolated DuckDB connection with the views ``documents`` and ``scores`` of the parts that exist now.

    ``rejections`` are the tables that reject documents; without them ``scores`` has all documents. ``carry`` are
    carried columns of the documents, each with the name that it has in the views. Times are in UTC and in the Gregorian
    calendar, whatever the machine has. ``threads`` is how many DuckDB has, None for its default. ``memory_limit`` is
    for example ``4GB``, None for DuckDB's default. Raises UsageError for a memory limit that is not a size, TableError
    where a part cannot be read, and StorageError where memory or the disk runs out, also from queries within the block.
    """
    spill = name_temporary(run.path / "spill")
    try:
        with sql.connect(memory_limit, spill) as connection:
            if rejections:
                create_relation(connection, run, rejections)
            if threads is not None:
                connection.execute(f"SET threads = {threads}")
            _isolate(connection, (run.scores, run.carried))
            _create_views(connection, run, rejections, carry)
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {first_line(error)}", "raise --memory-limit") from error
    except duckdb.Error as error:
        damage = None if isinstance(error, OF_THE_QUERY) else _find_damage(run, carry)
        if damage is not None:
            raise damage from error
        if isinstance(error, duckdb.IOException):
            raise StorageError(f"the scores in {run.scores} cannot be read: {first_line(error)}") from error
        raise
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _find_damage(run: Run, carry: Mapping[str, str]) -> TableError | None:
    """Return the error for the first part of the scores, or of a carried column, that cannot be read; None for none."""
    folders = [run.scores, *(_locate(run, name) for name in carry)]
    return parquet.find_damage(path for folder in folders for path in parquet.list_parts(folder))


def _locate(run: Run, name: str) -> Path:
    return document_columns.locate_column(run, document_columns.find_carried(run, name) or name)


def _isolate(connection: duckdb.DuckDBPyConnection, directories: Sequence[Path]) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET Calendar = 'gregorian'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    allowed = ", ".join(sql.quote(f"{directory}/") for directory in directories)
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_views(
    connection: duckdb.DuckDBPyConnection, run: Run, rejections: Rejections, carry: Mapping[str, str]
) -> None:
    """Create the views. NaN becomes null in them: DuckDB takes NaN for the largest number, and sometimes, where the
    statistics of a Parquet file leave it out, for one between the others."""
    directory = run.scores
    select = _select(parquet.list_parts(directory))
    for name, shown in carry.items():
        select = _join_carried(select, _locate(run, name), sql.quote_name(shown))
    try:
        kinds = {str(row[0]): row[1] for row in connection.execute(f"DESCRIBE {select}").fetchall()}
        if hidden := [name for name in run.list_hidden_signals() if name in kinds]:
            select = f"SELECT * EXCLUDE ({', '.join(hidden)}) FROM ({select})"
            kinds = {name: kind for name, kind in kinds.items() if name not in hidden}
        numbers = [sql.quote_name(name) for name, kind in kinds.items() if kind in ("DOUBLE", "FLOAT")]
        replaced = ", ".join(f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}" for name in numbers)
        connection.execute(f"CREATE VIEW measured AS SELECT * REPLACE ({replaced}) FROM ({select})")
    except duckdb.Error as error:
        hint = "score again with --restart, or name another run with --run"
        message = f"the scores in {directory} cannot be read: {first_line(error)}"
        raise _find_damage(run, carry) or TableError(message, hint) from error
    if not rejections:
        connection.execute("CREATE VIEW documents AS SELECT *, NULL::VARCHAR AS rejection FROM measured")
        connection.execute("CREATE VIEW scores AS SELECT * EXCLUDE (part, place) FROM measured")
        return
    columns = ", ".join(["measured.*", *_list_evidence(rejections), "rejections.rejection"])
    key = "measured.file = rejections.file AND measured.row = rejections.row"
    connection.execute(f"CREATE VIEW documents AS SELECT {columns} FROM measured LEFT JOIN rejections ON {key}")
    left = "SELECT * EXCLUDE (part, place, rejection) FROM documents WHERE rejection IS NULL"
    connection.execute(f"CREATE VIEW scores AS {left}")


def _join_carried(select: str, folder: Path, column: str) -> str:
    """Return the SQL of a query with the carried column of a folder, joined by part and row of the part."""
    parts = parquet.list_parts(folder)
    if not parts:
        return f"SELECT *, NULL AS {column} FROM ({select})"
    listed = ", ".join(sql.quote(str(path)) for path in parts)
    values = f"SELECT value AS {column}, file_index AS part, file_row_number AS place FROM read_parquet([{listed}])"
    return f"SELECT * FROM ({select}) JOIN ({values}) USING (part, place)"


def _list_evidence(rejections: Rejections) -> list[str]:
    """Return the SQL of ``REJECTION_COLUMNS``, of those tables that the run has."""
    columns = []
    if rejections.hits is not None:
        columns += ["rejections.eval_sets IS NOT NULL AS contaminated", "rejections.eval_sets"]
    if rejections.duplicates is not None:
        columns.append("coalesce(rejections.duplicate, false) AS duplicate")
    return columns


def _select(parts: Sequence[Path]) -> str:
    """Return the SQL that reads the parts by their names; a pattern would misread a run directory named ``run[1]``.

    ``part`` (number of the part) and ``place`` (row of the part) give the order of the corpus.
    """
    if parts:
        return f"SELECT *, file_index AS part, file_row_number AS place FROM {sql.parts_source(parts)}"
    columns = [f"NULL::{_sql_type(column.type)} AS {column.name}" for column in schemas.SCORES]
    return f"SELECT {', '.join([*columns, '0 AS part', '0 AS place'])} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "DOUBLE"
    return "BIGINT" if pa.types.is_integer(kind) else "VARCHAR"


def check_rejections_are_scored(connection: duckdb.DuckDBPyConnection, run: Run, rejections: Rejections) -> None:
    """Raise TableError where the hits or the duplicates have a document that the scores do not have.

    ``connection`` is that of ``open_scores`` with the same ``rejections``.
    """
    if not rejections:
        return
    total = connection.execute("SELECT count(*) FROM rejections").fetchall()[0][0]
    scored = connection.execute("SELECT count(*) FROM measured SEMI JOIN rejections USING (file, row)").fetchall()[0][0]
    if scored != total:
        message = f"{total - scored:,} documents of the hits or the duplicates are not in {run.scores}"
        raise TableError(message, rejections.hint(run.path))


def list_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the SQL type of each column of the view ``scores``, by name."""
    return {str(row[0]): str(row[1]) for row in connection.execute("DESCRIBE scores").fetchall()}
