"""From the corpus to the spill: the rows of an ordered export, read slice by slice and set down under their keys.

A task is some consecutive slices of one file with what the narrow tables say of their rows. Workers do tasks at once;
what a slice gives depends on the slice alone, so that neither their number nor the memory changes what is written.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Documents, SliceMark
from curate.corpus.arrow_types import tabulate
from curate.corpus.readers import raw_jsonl
from curate.corpus.schema_widening import SchemaShape, fit
from curate.errors import TableError
from curate.exports import joined_slices, leaked_passages, shards
from curate.exports.joined_slices import ExportCounts, ExportJob, JoinedSlice
from curate.exports.leaked_passages import LeakedPassages
from curate.exports.ordered.spill import NARROW, Narrow, SpillFile
from curate.exports.ordered.spill import SpillPiece as Spilled
from curate.rundir import decision_table, parquet, schemas

BUCKET_KEYS = 1 << 48  # A key is bucket · BUCKET_KEYS + position.
TASK_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """What all workers know."""

    job: ExportJob
    spill: Path
    limit: int
    """Bytes of rows that a worker gathers."""
    cell: int
    """Keys that are routed together."""


@dataclass(frozen=True, slots=True)
class PartitionSlice:
    """A slice to read: its place, its part of the scores, and the decisions on its rows."""

    mark: SliceMark
    part: Path
    choice: pa.Table
    """row, keep, key and, where the run has them, position and bucket."""
    hits: dict[int, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class PartitionTask:
    number: int
    source: int
    """Place of the file in the corpus."""
    behind: SliceMark | None
    left: int | None
    slices: list[PartitionSlice]


@dataclass(slots=True)
class PartitionResult:
    """What a task gave."""

    pieces: list[Spilled] = field(default_factory=list)
    shapes: list[SchemaShape] = field(default_factory=list)
    misread: set[str] = field(default_factory=set)
    counts: ExportCounts = field(default_factory=ExportCounts)
    read_bytes: int = 0


# In the parent: what the narrow tables say, cut into tasks.


def list_tasks(job: ExportJob, task_bytes: int = TASK_BYTES) -> Iterator[PartitionTask]:
    """The tasks of a whole corpus; CorpusError or TableError where the tables are not those of the corpus."""
    score, corpus = job.run.finished_scores(), job.corpus
    places = {source.name: number for number, source in enumerate(corpus.sources)}
    marks: dict[str, list[tuple[SliceMark, Path]]] = {source.name: [] for source in corpus.sources}
    for path in parquet.parts(job.run.scores):
        note = parquet.read_metadata(path)
        if note.get("made_from") != score["fingerprint"]:
            raise TableError(f"{path} belongs to other scores", "score again with --restart")
        mark = SliceMark(**note["slice"])
        if mark.file not in marks:
            raise joined_slices.changed(mark.file, mark.first_row, "it has fewer documents than were scored")
        marks[mark.file].append((mark, path))
    chooser = _Chooser(job)
    number = 0
    for name, found in marks.items():
        if not found or not found[-1][0].last:
            raise joined_slices.changed(name, 0, "it has more documents than were scored")
        left = sum(mark.documents for mark, _ in found) if corpus.limit is not None else None
        behind = None
        for group in _group(job, places[name], [mark for mark, _ in found], task_bytes):
            paths = [path for _, path in found[group.start : group.stop]]
            held = [mark for mark, _ in found[group.start : group.stop]]
            slices = [PartitionSlice(mark, path, *chooser.take(mark)) for mark, path in zip(held, paths, strict=True)]
            yield PartitionTask(number, places[name], behind, left, slices)
            number, behind = number + 1, held[-1]
            left = None if left is None else left - sum(mark.documents for mark in held)
    chooser.finish()


def _group(job: ExportJob, place: int, marks: list[SliceMark], task_bytes: int) -> Iterator[range]:
    """Ranges of slices of one task each; a file that cannot be entered in its middle is one task."""
    source = job.corpus.sources[place]
    enterable = source.format in ("parquet", "arrow") or marks[0].next_offset is not None
    step = max(1, task_bytes // max(1, job.corpus.slice_bytes)) if enterable else len(marks)
    return (range(start, min(start + step, len(marks))) for start in range(0, len(marks), step))


class _Chooser:
    """What the tables of filter, bucket and order say of the rows of one slice after the other."""

    def __init__(self, job: ExportJob):
        self._job = job
        self._rows = {"keep": decision_table.DecisionReader(job.choice.path)}
        for name, path in job.placed.paths(job.run).items():
            self._rows[name] = decision_table.DecisionReader(
                path, schemas.ORDER if name == "position" else schemas.BUCKETS
            )
        self._leaks = LeakedPassages(job.run) if job.treatment else None
        self._names = {name: number for number, name in enumerate(job.placed.buckets)}
        self._kept = 0

    def take(self, mark: SliceMark) -> tuple[pa.Table, dict[int, list[dict[str, Any]]]]:
        columns, rows = {}, None
        for name, table in self._rows.items():
            held = table.take(mark.documents)
            rows = held.column("row") if rows is None else rows
            if len(held) and not (
                pc.all(pc.equal(held.column("file"), mark.file)).as_py() and held["row"].equals(rows)
            ):
                verb = {"keep": "filter", "position": "order", "bucket": "bucket"}[name]
                raise TableError(f"the table of curate {verb} does not follow the scores", f"curate {verb} again")
            columns[name] = held.column(name)
        table = pa.table({"row": rows, **columns, "key": self._keys(columns)}).combine_chunks()
        return table, self._leaks.collect(mark) if self._leaks else {}

    def _keys(self, columns: dict[str, Any]) -> pa.Array:
        """Where each kept row goes: by its bucket, then by its position, else by its place in the corpus."""
        keep = columns["keep"].to_numpy()
        ranks = np.cumsum(keep) - 1 + self._kept
        self._kept += int(keep.sum())
        keys = np.where(keep, ranks, -1)
        for name in self._rows.keys() - {"keep"}:
            if not bool((columns[name].is_valid().to_numpy() == keep).all()):
                verb = "order" if name == "position" else "bucket"
                raise TableError(f"the table of curate {verb} places other documents than are kept", f"curate {verb}")
        if self._job.placed.order is not None:
            keys = columns["position"].fill_null(-1).to_numpy()
        if self._job.placed.by_bucket:
            numbers = pc.index_in(columns["bucket"], pa.array(list(self._names), pa.string())).fill_null(-1).to_numpy()
            if bool((keep & (numbers < 0)).any()):
                raise TableError("the buckets are not those that run.json names", "curate bucket again")
            keys = np.where(keep, numbers.astype(np.int64) * BUCKET_KEYS + keys, -1)
        return pa.array(keys, pa.int64())

    def finish(self) -> None:
        if self._leaks:
            self._leaks.check_end()


# In a worker: rows read, checked, and set down.


def route(shared: PartitionPlan, task: PartitionTask) -> PartitionResult:
    """Read the slices of a task, check that they are those that were scored, and spill the rows that are kept."""
    found, job = PartitionResult(), shared.job
    spill = SpillFile(shared.spill / f"run-{task.number:06d}", shared.limit, shared.cell)
    source, behind, left = job.corpus.sources[task.source], task.behind, task.left
    wanted = list(dict.fromkeys(["row", "bytes", "hash", "status", "tokens", *job.score_columns]))
    slow: Iterator[Documents] | None = None
    for one in task.slices:
        scores = _read_part(one.part, wanted)
        plain = None if one.hits and job.treatment.cuts else raw_jsonl.read_plain(job.corpus, source, behind, one.mark)
        if plain is None:
            slow = slow or job.corpus.slices_of(source, behind, left)
            documents = next(slow, None)
            _spill_documents(found, spill, task, one, documents, scores, job)
        else:
            slow = None
            joined_slices.check_texts(one.mark.file, scores, plain.texts)
            _spill_lines(found, spill, task, one, plain, scores, job)
        behind = one.mark
        left = None if left is None else left - one.mark.documents
    found.pieces = spill.finish()
    return found


def _read_part(path: Path, columns: list[str]) -> pa.Table:
    """As ``pq.read_table``, without what that loads for data sets of many files."""
    with pq.ParquetFile(path) as file:
        return file.read(columns, use_threads=False)


def _count(found: PartitionResult, one: PartitionSlice, scores: pa.Table, job: ExportJob) -> Any:
    if len(scores) != len(one.choice) or not scores.column("row").equals(one.choice.column("row")):
        raise TableError("the decision table does not follow the order of the scores", "run curate filter again")
    return joined_slices.count_rows(found.counts, scores, one.choice.column("keep"), job.rejected)


def _added(one: PartitionSlice, scores: pa.Table, job: ExportJob, cut: Any = None) -> dict[str, Any]:
    """The columns that are added, under their new names."""
    made: dict[str, Any] = {name: one.choice.column(name) for name in job.placed.columns()}
    if job.treatment.marks:
        made["eval_sets"] = leaked_passages.name_sets(scores.column("row").to_pylist(), one.hits)
    if job.treatment.cuts:
        made["cut_characters"] = pa.array(np.zeros(len(scores), np.int64)) if cut is None else cut
    return {new: made[name] if name in made else scores.column(name) for name, new in job.names.items()}


def _spill_documents(
    found: PartitionResult,
    spill: SpillFile,
    task: PartitionTask,
    one: PartitionSlice,
    documents: Documents | None,
    scores: pa.Table,
    job: ExportJob,
) -> None:
    """A slice as ``curate.corpus`` reads it."""
    if documents is None or documents.mark != one.mark:
        raise joined_slices.changed(one.mark.file, one.mark.first_row, "the documents lie elsewhere")
    joined_slices.check_same(documents, scores)
    keep = _count(found, one, scores, job)
    found.read_bytes += documents.read_bytes
    if documents.table is None:
        raise TableError(f"{documents.mark.file} was read without its columns")
    joined_slices.check_names(documents.table.column_names, job)
    if one.hits:
        leaked_passages.check_rows(job.run.hits, documents.mark.file, one.hits, documents.rows.tolist())
    piece = JoinedSlice(documents, scores, one.choice, one.hits)
    table = joined_slices.add_columns(documents.table, piece, job).filter(keep)
    _spill_table(found, spill, task, one, table, scores.filter(keep), job)


def _spill_table(
    found: PartitionResult,
    spill: SpillFile,
    task: PartitionTask,
    one: PartitionSlice,
    table: pa.Table,
    scores: pa.Table,
    job: ExportJob,
) -> None:
    shape = SchemaShape()
    shape.see(table)
    found.shapes.append(shape)
    table = fit(table, shape.schema())
    key = one.choice.column("key").filter(one.choice.column("keep"))
    if job.format == "jsonl":
        found.misread |= {name for name in table.column_names if shards.is_misread(table.column(name))}
        lines = [shards.dump_line(row) for row in table.to_pylist()]
        sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        spill.add(_narrow(task, key, scores, sizes), lines)
        return
    octets = pc.fill_null(scores.column("bytes"), 0).to_numpy()
    beside = max(0, table.nbytes - int(octets.sum())) // max(1, len(table)) + 1
    spill.add(_narrow(task, key, scores, octets + beside), table)


def _spill_lines(
    found: PartitionResult,
    spill: SpillFile,
    task: PartitionTask,
    one: PartitionSlice,
    plain: raw_jsonl.RawLines,
    scores: pa.Table,
    job: ExportJob,
) -> None:
    """A slice of ordinary lines: for JSON lines without a table on the way."""
    keep = _count(found, one, scores, job)
    found.read_bytes += plain.octets
    joined_slices.check_names(list(plain.columns), job)
    added = _added(one, scores, job)
    if job.format != "jsonl":
        table = tabulate(plain.records, job.corpus.schema)
        for name, column in added.items():
            table = table.append_column(name, column)
        _spill_table(found, spill, task, one, table.filter(keep), scores.filter(keep), job)
        return
    empty = pa.schema([*plain.columns.items(), *((name, column.type) for name, column in added.items())])
    shape = SchemaShape()
    shape.see(empty.empty_table())
    _note_wide(shape, plain)
    found.shapes.append(shape)
    kept = None if pc.all(keep).as_py() else keep.to_numpy(zero_copy_only=False)
    records = _choose(plain.records, kept)
    found.misread |= {name for name in plain.columns if _is_misread(records, name, plain.columns[name])}
    heads = [orjson.dumps(record)[:-1] for record in records] if plain.heads is None else _choose(plain.heads, kept)
    if kept is not None:
        added, scores = {name: column.filter(keep) for name, column in added.items()}, scores.filter(keep)
    tails = _spell_tails(added, len(records))
    lines = list(map(b"".join, zip(heads, *tails, strict=True)))
    key = one.choice.column("key").filter(one.choice.column("keep"))
    sizes = np.fromiter(map(len, lines), np.int64, len(lines))
    spill.add(_narrow(task, key, scores, sizes), lines)


def _choose(values: list[Any], kept: Any) -> list[Any]:
    return values if kept is None else list(itertools.compress(values, kept.tolist()))


def _note_wide(shape: SchemaShape, plain: raw_jsonl.RawLines) -> None:
    """Whole numbers that float64 does not hold, of which the types alone tell nothing."""
    for name, kind in plain.columns.items():
        if pa.types.is_int64(kind) or pa.types.is_nested(kind):
            values = pa.array([record.get(name) for record in plain.records], kind)
            seen = SchemaShape()
            seen.see(pa.table({name: values}))
            shape.wide |= seen.wide


def _is_misread(records: list[dict[str, Any]], name: str, kind: pa.DataType) -> bool:
    if pa.types.is_large_string(kind):
        first = next((value for record in records if (value := record.get(name)) is not None), None)
        if first is None or not shards.is_misread(pa.array([first], kind)):
            return False
    elif not pa.types.is_nested(kind):
        return False
    return shards.is_misread(pa.array([record.get(name) for record in records], kind))


def _spell_tails(added: dict[str, Any], count: int) -> list[Iterable[bytes]]:
    """What follows the columns of the corpus in each line: a piece for each row, to be joined."""
    tails: list[Iterable[bytes]] = []
    for name, column in added.items():
        tails += [itertools.repeat(b",%b:" % orjson.dumps(name), count), _spell_column(column, count)]
    return [*tails, itertools.repeat(b"}\n", count)]


def _spell_column(column: pa.ChunkedArray, count: int) -> list[bytes]:
    """Each value as JSON."""
    kind = column.type
    if (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and column.null_count == 0 and count:
        # The widening to float64 is what Python's own numbers are.
        values = column.to_numpy().astype(np.float64 if pa.types.is_floating(kind) else np.int64)
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    values = column.to_pylist()
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return list(map(orjson.dumps, values))
    known = {value: orjson.dumps(value) for value in set(values)}
    return list(map(known.__getitem__, values))


def _narrow(task: PartitionTask, key: Any, scores: pa.Table, sizes: Any) -> Narrow:
    found = np.empty(len(scores), NARROW)
    found["key"], found["file"], found["row"] = key.to_numpy(), task.source, scores.column("row").to_numpy()
    found["tokens"], found["size"] = pc.fill_null(scores.column("tokens"), 0).to_numpy(), sizes
    return found
