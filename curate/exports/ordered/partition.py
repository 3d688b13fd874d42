"""From the corpus to the spill: the rows of an ordered export, read slice by slice and spilled under their keys.

Workers run tasks at the same time. What a slice gives depends on the slice alone, so neither the number of workers nor
the memory changes what is written.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Documents
from curate.corpus.readers import flat_jsonl, raw_jsonl
from curate.corpus.readers.parquet_slices import ParquetSlices, TableSlice
from curate.corpus.values.arrow_types import encode_values, tabulate
from curate.corpus.values.arrow_values import is_json
from curate.corpus.values.schema_widening import SchemaShape, fit_table
from curate.errors import TableError
from curate.exports import joined_slices, leaked_passages
from curate.exports.counts import ExportCounts, count_rows
from curate.exports.formats.json_types import Finding, are_dates, inspect_table
from curate.exports.formats.lines import dump_head, join_lines, spell_lines, view_lines
from curate.exports.formats.shards import TABLE_FORMATS
from curate.exports.job import ExportJob
from curate.exports.joined_slices import JoinedSlice
from curate.exports.ordered.spill import NARROW, Narrow, SpillFile, SpillPiece
from curate.exports.ordered.tasks import PartitionSlice, PartitionTask
from curate.runtime.arrays import BoolArray, Int64Array


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """What all workers know."""

    job: ExportJob
    spill: Path
    limit: int
    """Bytes of rows that a worker gathers before it sorts them."""
    cell: int
    """Number of keys that no piece of the spill crosses a multiple of."""


@dataclass(slots=True)
class PartitionResult:
    """What a task spilled and counted."""

    pieces: list[SpillPiece] = field(default_factory=list)
    shapes: list[SchemaShape] = field(default_factory=list)
    """One a slice."""
    misread: set[Finding] = field(default_factory=set)
    """What datasets' reader of JSON lines would change (``json_types.inspect_table``)."""
    counts: ExportCounts = field(default_factory=ExportCounts)
    read_bytes: int = 0


def partition_task(shared: PartitionPlan, task: PartitionTask) -> PartitionResult:
    """Read the slices of a task, check that they are those that were scored, and spill the rows that are kept.

    Raises CorpusError where a document is not the one that was scored, TableError where a table has other rows.
    """
    job = shared.job
    spill = SpillFile(shared.spill / f"run-{task.number:06d}", shared.limit, shared.cell)
    spiller = _TaskSpiller(job, spill)
    names = list(dict.fromkeys(["row", "bytes", "hash", "status", "tokens", *job.score_columns]))
    reader = _SliceReader(job)
    path, table = None, pa.table({})
    for part in task.slices:
        if path != part.part:
            path, table = part.part, _read_part(part.part, names)
        scores = table.slice(part.first, part.mark.documents)
        reader.enter(part)
        if spiller.spill_bytes(part, reader.read_bytes(part), scores):
            reader.skip_documents()
        elif not spiller.spill_rows(part, reader.read_table(part), scores):
            spiller.spill_documents(part, reader.read_documents(part), scores)
    reader.close()
    spiller.result.pieces = spill.finish()
    return spiller.result


class _SliceReader:
    """Reads the slices of a task: in the fastest way that gives all that the full reader would give."""

    def __init__(self, job: ExportJob):
        self._job = job
        self._tables: ParquetSlices | None = None
        self._documents: Iterator[Documents] | None = None
        """Of the full reader, for the slices that follow the last one read; None where another way read that."""

    def enter(self, part: PartitionSlice) -> None:
        """Begin with the file of a slice, if the slice is the first of its file or of the task."""
        if part.behind is None or self._tables is None:
            self.close()
            self._tables = ParquetSlices(self._job.corpus, self._job.corpus.sources[part.source])

    def read_bytes(self, part: PartitionSlice) -> bytes | None:
        """Return the bytes of a slice of plain JSON lines; None for another slice."""
        if self._cuts(part):
            return None
        corpus = self._job.corpus
        return raw_jsonl.read_bytes(corpus, corpus.sources[part.source], part.behind, part.mark)

    def read_table(self, part: PartitionSlice) -> TableSlice | None:
        """Return the rows of a slice of Parquet; None for another slice, and once the full reader reads the file."""
        if self._cuts(part) or self._documents is not None or self._tables is None:
            return None
        return self._tables.read(part.mark)

    def read_documents(self, part: PartitionSlice) -> Documents | None:
        """Return a slice as ``curate.corpus`` reads it; None where the file has no more."""
        if self._documents is None:
            corpus = self._job.corpus
            self._documents = corpus.slices_of(corpus.sources[part.source], part.behind, part.left)
        return next(self._documents, None)

    def skip_documents(self) -> None:
        """Let the full reader begin anew: another way read a slice."""
        self._documents = None

    def _cuts(self, part: PartitionSlice) -> bool:
        """Return whether passages are cut out of texts of a slice."""
        return bool(part.hits) and self._job.treatment.cuts

    def close(self) -> None:
        """Close the file."""
        if self._tables is not None:
            self._tables.close()
        self._tables = self._documents = None


def _read_part(path: Path, columns: list[str]) -> pa.Table:
    """Do as ``pq.read_table`` does, without loading its code for data sets of many files."""
    with pq.ParquetFile(path) as file:
        return file.read(columns, use_threads=False)


@dataclass(frozen=True, slots=True)
class _TaskSpiller:
    """Spills the slices of one task."""

    job: ExportJob
    spill: SpillFile
    result: PartitionResult = field(default_factory=PartitionResult)

    def spill_documents(self, part: PartitionSlice, documents: Documents | None, scores: pa.Table) -> None:
        """Spill a slice as ``curate.corpus`` reads it."""
        job = self.job
        if documents is None or documents.mark != part.mark:
            raise joined_slices.moved_error(job.run, part.mark)
        joined_slices.check_same(job.run, documents, scores)
        keep = self._count_rows(part, scores)
        self.result.read_bytes += documents.read_bytes
        if documents.table is None:
            raise TableError(f"{documents.mark.file} was read without its columns")
        joined_slices.check_names(documents.table.column_names, job)
        if part.hits:
            leaked_passages.check_rows(job.run.hits, documents.mark.file, part.hits, documents.rows.tolist())
        piece = JoinedSlice(documents, scores, part.choice, part.hits)
        table = joined_slices.add_columns(documents.table, piece, job)
        records = joined_slices.select_records(table, piece, job, keep)
        self._spill_table(part, table.filter(keep), scores.filter(keep), records)

    def spill_rows(self, part: PartitionSlice, rows: TableSlice | None, scores: pa.Table) -> bool:
        """Spill a slice of Parquet. Returns False, having done nothing, where the full reader must read it."""
        if rows is None:
            return False
        job = self.job
        joined_slices.check_texts(job.run, part.mark.file, scores, rows.texts)
        keep = self._count_rows(part, scores)
        self.result.read_bytes += rows.num_bytes
        joined_slices.check_names(rows.table.column_names, job)
        table = _append_columns(rows.table, _make_columns(part, scores, job))
        self._spill_table(part, table.filter(keep), scores.filter(keep))
        return True

    def spill_bytes(self, part: PartitionSlice, data: bytes | None, scores: pa.Table) -> bool:
        """Spill a slice of plain JSON lines. Returns False, having done nothing, where the full reader must read it."""
        if data is None:
            return False
        job, mark = self.job, part.mark
        flat = flat_jsonl.read_flat_lines(data, mark.documents, job.corpus)
        if flat is not None:
            joined_slices.check_texts(job.run, mark.file, scores, flat.table.column(job.corpus.text_field).chunk(0))
            self._spill_flat_lines(part, flat, scores)
            return True
        plain = raw_jsonl.parse_lines(data, mark.documents, job.corpus)
        if plain is None:
            return False
        joined_slices.check_texts(job.run, mark.file, scores, pa.array(plain.texts, pa.large_string()))
        self._spill_raw_lines(part, plain, scores)
        return True

    def _spill_flat_lines(self, part: PartitionSlice, flat: flat_jsonl.FlatLines, scores: pa.Table) -> None:
        """Spill a slice of flat lines; where lines are spilled, with their own bytes."""
        job = self.job
        keep = self._count_rows(part, scores)
        self.result.read_bytes += flat.num_bytes
        joined_slices.check_names(flat.table.column_names, job)
        added = _make_columns(part, scores, job)
        if not TABLE_FORMATS[job.format].writes_lines:
            self._spill_table(part, _append_columns(flat.table, added).filter(keep), scores.filter(keep))
            return
        shape = SchemaShape()
        shape.see(_append_columns(flat.table, added))
        self.result.shapes.append(shape)
        table, heads = flat.table, flat.heads
        if not pc.all(keep).as_py():
            table, scores, heads = table.filter(keep), scores.filter(keep), heads.filter(keep.combine_chunks())
            added = {name: column.filter(keep) for name, column in added.items()}
        self.result.misread |= inspect_table(table)
        self._spill_lines(part, join_lines(heads, added), scores)

    def _spill_raw_lines(self, part: PartitionSlice, plain: raw_jsonl.RawLines, scores: pa.Table) -> None:
        """Spill a slice of ordinary lines; where lines are spilled, without making a table of them."""
        job = self.job
        keep = self._count_rows(part, scores)
        self.result.read_bytes += plain.octets
        joined_slices.check_names(list(plain.columns), job)
        added = _make_columns(part, scores, job)
        if not TABLE_FORMATS[job.format].writes_lines:
            table = _append_columns(tabulate(plain.records, job.corpus.schema), added)
            self._spill_table(part, table.filter(keep), scores.filter(keep))
            return
        self.result.shapes.append(_find_shape(plain, added))
        kept = None if pc.all(keep).as_py() else keep.to_numpy(zero_copy_only=False)
        records = _select(plain.records, kept)
        for name, kind in plain.columns.items():
            self.result.misread |= _inspect_column(records, name, kind)
        heads = list(map(dump_head, records)) if plain.heads is None else _select(plain.heads, kept)
        if kept is not None:
            added, scores = {name: column.filter(keep) for name, column in added.items()}, scores.filter(keep)
        self._spill_lines(part, join_lines(pa.array(heads, pa.large_binary()), added), scores)

    def _count_rows(self, part: PartitionSlice, scores: pa.Table) -> pa.ChunkedArray:
        """Count the rows of a slice, and return the mask of those to write."""
        if len(scores) != len(part.choice) or not scores.column("row").equals(part.choice.column("row")):
            raise joined_slices.foreign_rows_error("keep", self.job.run)
        return count_rows(self.result.counts, scores, part.choice.column("keep"), self.job.rejected)

    def _spill_table(
        self,
        part: PartitionSlice,
        table: pa.Table,
        scores: pa.Table,
        records: list[dict[str, Any] | None] | None = None,
    ) -> None:
        """Spill rows that are kept, with their scores; ``records`` are the rows as they were read."""
        shape = SchemaShape(last=tuple(self.job.names.values()))
        shape.see(table)
        self.result.shapes.append(shape)
        if TABLE_FORMATS[self.job.format].writes_lines:
            self.result.misread |= inspect_table(table)
            self._spill_lines(part, spell_lines(table, records, shape.last), scores)
            return
        table = fit_table(table, shape.schema())
        num_bytes = pc.fill_null(scores.column("bytes"), 0).to_numpy()
        other_bytes = max(0, table.nbytes - int(num_bytes.sum())) // max(1, len(table)) + 1
        self.spill.add(self._make_narrow(part, scores, num_bytes + other_bytes), table)

    def _spill_lines(self, part: PartitionSlice, lines: pa.LargeBinaryArray, scores: pa.Table) -> None:
        self.spill.add(self._make_narrow(part, scores, np.diff(view_lines(lines)[0])), lines)

    def _make_narrow(self, part: PartitionSlice, scores: pa.Table, sizes: Int64Array) -> Narrow:
        """Return the narrow rows of the rows that are kept; ``sizes`` are bytes, ``scores`` those of the kept rows."""
        narrow = np.empty(len(scores), NARROW)
        narrow["key"] = part.choice.column("key").filter(part.choice.column("keep")).to_numpy()
        narrow["file"], narrow["row"] = part.source, scores.column("row").to_numpy()
        narrow["tokens"], narrow["size"] = pc.fill_null(scores.column("tokens"), 0).to_numpy(), sizes
        return narrow


def _make_columns(part: PartitionSlice, scores: pa.Table, job: ExportJob) -> dict[str, Any]:
    """Return the columns that are added, under their new names; of a slice out of which nothing is cut."""
    made: dict[str, Any] = {name: part.choice.column(name) for name in job.placed.columns()}
    if job.treatment.marks:
        made["eval_sets"] = leaked_passages.name_sets(scores.column("row").to_pylist(), part.hits)
    if job.treatment.cuts:
        made["cut_characters"] = pa.array(np.zeros(len(scores), np.int64))
    return {new: made[name] if name in made else scores.column(name) for name, new in job.names.items()}


def _append_columns(table: pa.Table, added: dict[str, Any]) -> pa.Table:
    """Return the table with columns behind its own."""
    for name, column in added.items():
        table = table.append_column(name, column)
    return table


def _select(values: list[Any], kept: BoolArray | None) -> list[Any]:
    """Return the values that are kept; None keeps all."""
    return values if kept is None else list(itertools.compress(values, kept.tolist()))


def _find_shape(plain: raw_jsonl.RawLines, added: dict[str, Any]) -> SchemaShape:
    """Return the shape of the table that a slice of lines would be."""
    kinds = {**plain.columns, **{name: column.type for name, column in added.items()}}
    shape = SchemaShape()
    shape.see(pa.table({name: pa.nulls(0, kind) for name, kind in kinds.items()}))
    for name, kind in plain.columns.items():  # What types do not show: how large numbers are.
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_nested(kind):
            seen = SchemaShape()
            seen.see(pa.table({name: encode_values([record.get(name) for record in plain.records], kind)}))
            shape.join(seen)
    return shape


def _inspect_column(records: list[dict[str, Any]], name: str, kind: pa.DataType) -> set[Finding]:
    """Return what ``inspect_table`` finds in a column; its array is not made where it would find nothing."""
    if pa.types.is_large_string(kind):
        first = next((value for record in records if (value := record.get(name)) is not None), None)
        if first is None or not are_dates(encode_values([first], kind)):
            return set()
    elif not (pa.types.is_nested(kind) or is_json(kind) or pa.types.is_uint64(kind)):
        return set()
    return inspect_table(pa.table({name: encode_values([record.get(name) for record in records], kind)}))
