"""The rows of an export, slice by slice: read, checked against the scores, and spelled as they are written.

A document is joined with its decision by its row. Its bytes and hash are checked before anything is cut out of it, so
that a corpus that changed is refused and not mislabelled. Each slice is read in the fastest way that gives all that the
reader of ``curate.corpus`` would give:

    flat JSON lines           Arrow parses them; their own bytes are written                ``flat_jsonl``
    other plain JSON lines    parsed one by one                                             ``raw_jsonl``
    Parquet                   tables, without Python objects for texts                      ``parquet_slices``
    all else                  the full reader: bad rows, other formats, texts that change   ``Corpus.slices_of``
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
from curate.corpus.values.schema_widening import SchemaShape
from curate.errors import TableError
from curate.exports import joined_slices, leaked_passages
from curate.exports.counts import ExportCounts, count_rows
from curate.exports.formats.json_types import Finding, are_dates, inspect_table
from curate.exports.formats.lines import dump_head, join_lines, spell_lines
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportJob
from curate.exports.joined_slices import JoinedSlice
from curate.exports.ordered.tasks import PartitionSlice, PartitionTask
from curate.runtime.arrays import BoolArray


@dataclass(slots=True)
class OutputRows:
    """The rows of a slice that are written: lines, or a table."""

    part: PartitionSlice
    scores: pa.Table
    """Of these rows."""
    shape: SchemaShape
    """Of all columns."""
    misread: set[Finding]
    """What ``datasets``' reader of JSON lines would change (``json_types.inspect_table``); empty for tables."""
    counts: ExportCounts
    """Of the slice."""
    num_bytes: int
    """Of the corpus that were read."""
    lines: pa.LargeBinaryArray | None = None
    table: pa.Table | None = None


def read_task(job: ExportJob, task: PartitionTask) -> Iterator[OutputRows]:
    """Yield the rows of each slice of a task, once they are seen to be those that were scored.

    Raises CorpusError where a document is not the one that was scored, TableError where a table has other rows, and
    NameTakenError where a column of the corpus has the name of one that is added.
    """
    names = list(dict.fromkeys(["row", "bytes", "hash", "status", "tokens", *job.score_columns]))
    reader = _SliceReader(job)
    path, table = None, pa.table({})
    for part in task.slices:
        if path != part.part:
            path, table = part.part, _read_part(part.part, names)
        yield reader.read(part, table.slice(part.first, part.mark.documents))
    reader.close()


def _read_part(path: Path, columns: list[str]) -> pa.Table:
    """Do as ``pq.read_table`` does, without loading its code for data sets of many files."""
    with pq.ParquetFile(path) as file:
        return file.read(columns, use_threads=False)


class _SliceReader:
    """Reads the slices of a task in their order."""

    def __init__(self, job: ExportJob):
        self._job = job
        self._tables: ParquetSlices | None = None
        self._documents: Iterator[Documents] | None = None
        """Of the full reader, for the slices behind the last one; None where that was read in another way."""

    def read(self, part: PartitionSlice, scores: pa.Table) -> OutputRows:
        """Return the rows of the next slice."""
        if part.behind is None or self._tables is None:
            self.close()
            self._tables = ParquetSlices(self._job.corpus, self._job.corpus.sources[part.source])
        if not (part.hits and self._job.treatment.cuts) and not self._job.redactor:
            rows = self._read_lines(part, scores)
            if rows is not None:
                self._documents = None
                return rows
            if self._documents is None and (table := self._tables.read(part.mark)) is not None:
                return _SliceSpeller(self._job, part, scores).spell_rows(table)
        return _SliceSpeller(self._job, part, scores).spell_documents(self._read_documents(part))

    def _read_lines(self, part: PartitionSlice, scores: pa.Table) -> OutputRows | None:
        """Return the rows of a slice of plain JSON lines; None for another slice."""
        corpus, mark = self._job.corpus, part.mark
        data = raw_jsonl.read_bytes(corpus, corpus.sources[part.source], part.behind, mark)
        if data is None:
            return None
        speller = _SliceSpeller(self._job, part, scores)
        flat = flat_jsonl.read_flat_lines(data, mark.documents, corpus)
        if flat is not None:
            return speller.spell_flat_lines(flat)
        plain = raw_jsonl.parse_lines(data, mark.documents, corpus)
        return None if plain is None else speller.spell_raw_lines(plain)

    def _read_documents(self, part: PartitionSlice) -> Documents | None:
        """Return a slice as ``curate.corpus`` reads it; None where the file has no more."""
        if self._documents is None:
            corpus = self._job.corpus
            self._documents = corpus.slices_of(corpus.sources[part.source], part.behind, part.left)
        return next(self._documents, None)

    def close(self) -> None:
        """Close the file."""
        if self._tables is not None:
            self._tables.close()
        self._tables = self._documents = None


@dataclass(frozen=True, slots=True)
class _SliceSpeller:
    """Makes the rows of one slice, from what was read of it."""

    job: ExportJob
    part: PartitionSlice
    scores: pa.Table
    counts: ExportCounts = field(default_factory=ExportCounts)

    @property
    def _writes_lines(self) -> bool:
        return FORMATS[self.job.format].writes_lines

    def spell_documents(self, documents: Documents | None) -> OutputRows:
        """Return the rows of a slice as ``curate.corpus`` reads it."""
        job, part, scores = self.job, self.part, self.scores
        if documents is None or documents.mark != part.mark:
            raise joined_slices.moved_error(job.run, part.mark)
        joined_slices.check_same(job.run, documents, scores)
        keep = self._count_rows()
        if documents.table is None:
            raise TableError(f"{documents.mark.file} was read without its columns")
        joined_slices.check_names(documents.table.column_names, job)
        if part.hits:
            leaked_passages.check_rows(job.run.hits, documents.mark.file, part.hits, documents.rows.tolist())
        piece = JoinedSlice(documents, scores, part.choice, part.hits)
        kept = keep.to_numpy(zero_copy_only=False)
        table, redacted = joined_slices.add_columns(documents.table, piece, job, kept)
        if redacted is not None:
            self.counts.redacted_documents += len(redacted.replacements)
            self.counts.add_redacted(redacted.count_kinds())
        records = joined_slices.select_records(table, piece, job, kept, redacted)
        return self._spell_table(table, keep, documents.read_bytes, records)

    def spell_rows(self, rows: TableSlice) -> OutputRows:
        """Return the rows of a slice of Parquet."""
        self._check(rows.texts, rows.table.column_names)
        table = _append_columns(rows.table, self._make_columns())
        return self._spell_table(table, self._count_rows(), rows.num_bytes)

    def spell_flat_lines(self, flat: flat_jsonl.FlatLines) -> OutputRows:
        """Return the rows of a slice of flat lines; where lines are written, with their own bytes."""
        self._check(flat.table.column(self.job.corpus.text_field).chunk(0), flat.table.column_names)
        keep, added = self._count_rows(), self._make_columns()
        if not self._writes_lines:
            return self._spell_table(_append_columns(flat.table, added), keep, flat.num_bytes)
        table, scores, heads = flat.table, self.scores, flat.heads
        if not pc.all(keep).as_py():
            table, scores, heads = table.filter(keep), scores.filter(keep), heads.filter(keep.combine_chunks())
            added = {name: column.filter(keep) for name, column in added.items()}
        shape = SchemaShape()
        shape.see(_append_columns(table, added))
        return OutputRows(
            self.part, scores, shape, inspect_table(table), self.counts, flat.num_bytes, join_lines(heads, added)
        )

    def spell_raw_lines(self, plain: raw_jsonl.RawLines) -> OutputRows:
        """Return the rows of a slice of ordinary lines; where lines are written, without making a table of them."""
        self._check(pa.array(plain.texts, pa.large_string()), list(plain.columns))
        keep, added = self._count_rows(), self._make_columns()
        if not self._writes_lines:
            table = _append_columns(tabulate(plain.records, self.job.corpus.schema), added)
            return self._spell_table(table, keep, plain.octets)
        scores = self.scores
        kept = None if pc.all(keep).as_py() else keep.to_numpy(zero_copy_only=False)
        records = _select(plain.records, kept)
        misread = {what for name, kind in plain.columns.items() for what in _inspect_column(records, name, kind)}
        heads = list(map(dump_head, records)) if plain.heads is None else _select(plain.heads, kept)
        if kept is not None:
            added, scores = {name: column.filter(keep) for name, column in added.items()}, scores.filter(keep)
        lines, shape = join_lines(pa.array(heads, pa.large_binary()), added), _find_shape(plain.columns, records, added)
        return OutputRows(self.part, scores, shape, misread, self.counts, plain.octets, lines)

    def _check(self, texts: pa.LargeStringArray, names: list[str]) -> None:
        """Raise CorpusError where a text is not the one that was scored, NameTakenError for a name that is added."""
        joined_slices.check_texts(self.job.run, self.part.mark.file, self.scores, texts)
        joined_slices.check_names(names, self.job)

    def _count_rows(self) -> pa.ChunkedArray:
        """Count the rows of the slice, and return the mask of those to write."""
        scores, choice = self.scores, self.part.choice
        if len(scores) != len(choice) or not scores.column("row").equals(choice.column("row")):
            raise joined_slices.foreign_rows_error("keep", self.job.run)
        return count_rows(self.counts, scores, choice.column("keep"), self.job.rejected)

    def _make_columns(self) -> dict[str, Any]:
        """Return the columns that are added, under their new names; of a slice out of which nothing is cut."""
        job, choice, scores = self.job, self.part.choice, self.scores
        made: dict[str, Any] = {
            name: choice.column(name) for name in ("reason", *job.placed.columns()) if name in choice.column_names
        }
        if job.treatment.marks:
            made["eval_sets"] = leaked_passages.name_sets(scores.column("row").to_pylist(), self.part.hits)
        if job.treatment.cuts:
            made["cut_characters"] = pa.array(np.zeros(len(scores), np.int64))
        return {new: made[name] if name in made else scores.column(name) for name, new in job.names.items()}

    def _spell_table(
        self,
        table: pa.Table,
        keep: pa.ChunkedArray,
        num_bytes: int,
        records: list[dict[str, Any] | None] | None = None,
    ) -> OutputRows:
        """Return rows of a table of all rows of the slice; ``records`` are those of ``keep`` as they were read."""
        table, scores = table.filter(keep), self.scores.filter(keep)
        shape = SchemaShape(last=tuple(self.job.names.values()))
        shape.see(table)
        if not self._writes_lines:
            return OutputRows(self.part, scores, shape, set(), self.counts, num_bytes, table=table)
        lines = spell_lines(table, records, shape.last)
        return OutputRows(self.part, scores, shape, inspect_table(table), self.counts, num_bytes, lines)


def _append_columns(table: pa.Table, added: dict[str, Any]) -> pa.Table:
    """Return the table with columns behind its own."""
    for name, column in added.items():
        table = table.append_column(name, column)
    return table


def _select(values: list[Any], kept: BoolArray | None) -> list[Any]:
    """Return the values that are kept; None keeps all."""
    return values if kept is None else list(itertools.compress(values, kept.tolist()))


def _find_shape(columns: dict[str, pa.DataType], records: list[dict[str, Any]], added: dict[str, Any]) -> SchemaShape:
    """Return the shape of the table that some lines would be; ``columns`` are the types of all lines of the slice."""
    kinds = {**columns, **{name: column.type for name, column in added.items()}}
    shape = SchemaShape()
    shape.see(pa.table({name: pa.nulls(0, kind) for name, kind in kinds.items()}))
    for name, kind in columns.items():  # What types do not show: how large numbers are.
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_nested(kind):
            seen = SchemaShape()
            seen.see(pa.table({name: encode_values([record.get(name) for record in records], kind)}))
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
