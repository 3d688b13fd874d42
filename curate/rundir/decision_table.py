"""The decision table of a run: written by ``filter``, read by every verb after it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError
from curate.rundir import parquet, schemas
from curate.rundir.run import Run
from curate.rundir.sql import BATCH_ROWS
from curate.runtime.files import replacing
from curate.runtime.text import command


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


def write_decisions(path: Path, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, Any]) -> None:
    """Write a decision table whole or not at all, batch by batch, with the fingerprint that ``run.json`` repeats."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    schema = schemas.FILTER.with_metadata({b"curate": note})
    with replacing(path) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as writer:
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
        self._schema = pa.schema([(one.name, kinds.get(one.name, one.type)) for one in schemas.FILTER])
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
    hint = command("filter …", run.path)
    if record is None and not run.filter.exists():
        return None
    if record is None or not run.filter.exists():
        raise TableError(f"the last curate filter in {run.path} did not finish", hint)
    if score is None or record["made_from"] != score["fingerprint"]:
        raise TableError(f"{run.filter} is stale: it was made from other scores", hint)
    for table, verb in (("hits", "decontaminate"), ("duplicates", "dedup")):
        if record.get(table) != (run.stage(verb) or {}).get("fingerprint"):
            raise TableError(f"{run.filter} is stale: curate {verb} has run since", hint)
    if parquet.read_metadata(run.filter).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{run.filter} and run.json do not belong together", hint)
    return record


class DecisionReader:
    """The rows of the decision table, given out in order as the slices of the corpus ask for them.

    With another ``schema`` those of the buckets or of the order, which have a row for each row of the scores, too; only
    the columns of the schema are read.
    """

    __slots__ = ("_batches", "_path", "_rest", "_schema")

    def __init__(self, path: Path, schema: pa.Schema = schemas.FILTER):
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
