"""The decision table of a run: written by ``filter``, read by every verb after it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError
from curate.rundir import parquet, schemas
from curate.rundir.guards import mending
from curate.rundir.run import Run
from curate.rundir.sql import BATCH_ROWS
from curate.runtime.arrays import Array, BoolArray, Int16Array, Int64Array
from curate.runtime.disk.files import replace_atomically
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.rundir.aligned_parts import SliceRows


def decision_query(connection: duckdb.DuckDBPyConnection, reason: str) -> str:
    """Return the SQL of the decision on every document: file, row, keep, reason, tokens, in the order of the scores.

    ``reason`` is an SQL expression over ``documents``, null for documents that are kept. With a join, which loses the
    order, the query sorts; without one the rows keep the order of the parts. ``tokens`` is 0 where it is null.
    """
    decided = (
        f"SELECT file, row, tokens, {reason} AS reason, part, place FROM documents AS scores"  # scores.tokens, too
    )
    joined = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'rejections'").fetchall()
    order = " ORDER BY part, place" if joined else ""
    return f"SELECT file, row, reason IS NULL AS keep, reason, coalesce(tokens, 0) AS tokens FROM ({decided}){order}"


def write_decisions(path: Path, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, Any]) -> None:
    """Write a decision table from batches with the columns file, row, keep and reason; all of it or nothing.

    ``metadata`` has the fingerprint that ``run.json`` repeats. Raises StorageError where the disk refuses.
    """
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    schema = schemas.FILTER.with_metadata({b"curate": note})
    with (
        replace_atomically(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).select(schema.names).cast(schema))


def _wrap(values: Array, valid: pa.Buffer | None = None) -> pa.Array:
    """Return numbers as Arrow has them, of the same memory. ``pa.array`` does so too, but loads pandas first."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(values)])


def _wrap_texts(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def _pack_bits(values: BoolArray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))


class CodedWriter:
    """Writes a decision table from codes of reasons: 0 is kept, any other is an index into ``names``.

    ``names`` may grow between calls of ``add``, but not change.
    """

    def __init__(self, path: Path, names: Sequence[str | None], metadata: Mapping[str, Any]):
        note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
        self._names, self._files = names, list[str]()
        self._waiting: list[tuple[Any, ...]] = []
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
            write_page_checksum=True,
        )

    def add(self, slices: "Sequence[SliceRows]", rows: Int64Array, codes: Int16Array) -> None:
        """Add the next documents: ``rows`` (int64) and the codes of their reasons (int16).

        ``slices`` have their files in order.
        """
        numbers = []
        for one in slices:
            if one.file not in self._files[-1:]:
                self._files.append(one.file)
            numbers.append(len(self._files) - 1)
        counts = [one.num_rows for one in slices]
        self._waiting.append((np.repeat(np.array(numbers, np.int32), counts), rows, codes))
        self._count += len(rows)
        if self._count >= 4 * BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        files, rows, codes = (np.concatenate(columns) for columns in zip(*self._waiting, strict=True))
        kept = _pack_bits(codes == 0)
        file = pa.DictionaryArray.from_arrays(_wrap(files), _wrap_texts(self._files))
        index = _wrap(np.maximum(codes.astype(np.int32) - 1, 0), _pack_bits(codes != 0))
        reason = pa.DictionaryArray.from_arrays(index, _wrap_texts([str(name) for name in self._names[1:]]))
        columns = [file, _wrap(rows), pa.Array.from_buffers(pa.bool_(), len(rows), [None, kept]), reason]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._waiting, self._count, self._files = [], 0, []

    def close(self, complete: bool) -> None:
        """Close the file; ``complete`` writes the documents that still wait before."""
        if complete:
            self._flush()
        self._writer.close()


@contextmanager
def open_coded_writer(path: Path, names: Sequence[str | None], metadata: Mapping[str, Any]) -> Iterator[CodedWriter]:
    """Open a writer of a decision table at ``path``; after an error the file is closed, but not complete."""
    writer = CodedWriter(path, names, metadata)
    try:
        yield writer
    except BaseException:
        writer.close(complete=False)
        raise
    writer.close(complete=True)


def open_filter(run: Run) -> dict[str, Any] | None:
    """Return the record of ``filter``; None where it never ran.

    Raises TableError where the decision table is stale, or does not belong to the record.
    """
    record, score = run.stage("filter"), run.stage("score")
    hint = command("filter …", run.path)
    if record is None and not run.filter.exists():
        return None
    run.check_there(run.filter.name, record, mending.spell_filter_command)
    if record is None or not run.filter.exists():
        raise TableError(f"the last curate filter in {run.path} did not finish", hint)
    if score is None or record["made_from"] != score["fingerprint"]:
        raise TableError(f"{run.filter} is stale: it was made from other scores", hint)
    for table, verb in (("hits", "decontaminate"), ("duplicates", "dedup")):
        if record.get(table) != (run.stage(verb) or {}).get("fingerprint"):
            raise TableError(f"{run.filter} is stale: curate {verb} has run since", hint)
    if parquet.read_metadata(run.filter).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{run.filter} and run.json do not belong together", hint)
    run.check_manifest(run.filter.name, record, mending.spell_filter_command(run, record))
    return record


class DecisionReader:
    """Reads the decision table in order, so many rows at a time, as the slices of the corpus need them.

    With another ``schema`` it reads the table of buckets or of the order, which also have a row for each row of the
    scores. It reads the columns of the schema only.
    """

    __slots__ = ("_batches", "_path", "_rest", "_schema")

    def __init__(self, path: Path, schema: pa.Schema = schemas.FILTER):
        self._path, self._schema = path, schema
        self._batches = parquet.stream_batches(path, BATCH_ROWS, schema.names)
        self._rest = pa.Table.from_batches([], schema)

    def take(self, count: int) -> pa.Table:
        """Return the next ``count`` rows. Raises TableError where the table ends before."""
        while self._rest.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise TableError(f"{self._path} has fewer rows than the scores", "run the verb that made it again")
            table = pa.Table.from_batches([batch]).cast(self._schema)
            self._rest = pa.concat_tables([self._rest, table])
        taken, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return taken

    def check_end(self) -> None:
        """Raise TableError where rows are left."""
        if self._rest.num_rows or next(self._batches, None) is not None:
            raise TableError(f"{self._path} has more rows than the scores", "run the verb that made it again")
