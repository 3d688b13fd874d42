"""An export in the order of the corpus, spilled: its rows as they come, and where its shards begin.

A task writes the rows of its slices one behind another, in the pieces in which ``ShardWriter`` takes them. The shards
are those that it would fill: it is replayed on the sizes of the pieces. How large rows become in a shard of tables only
encoding them tells, so that this is done once to measure and once to write, by any number of workers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus.values.schema_widening import SchemaShape, fit_table
from curate.exports import slice_rows
from curate.exports.formats.features import build_schema
from curate.exports.formats.json_types import plan_lines
from curate.exports.formats.lines import view_lines
from curate.exports.formats.shard_writer import WrittenShard, choose_unit_bytes, cut_lines, cut_table
from curate.exports.formats.shards import TABLE_FORMATS
from curate.exports.job import ExportJob
from curate.exports.ordered.tasks import PartitionTask
from curate.exports.slice_rows import OutputRows
from curate.exports.spilled import sequence_shards
from curate.exports.spilled.passes import ShardItems, SpilledShards, Steps
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.records import TaskResult, read_result, write_result
from curate.exports.spilled.sequence_shards import (
    SchemaStep,
    SequenceMerge,
    SequencePiece,
    SequenceShard,
    SequenceUnit,
    UnitsToMeasure,
)
from curate.runtime.work.array_tasks import ArrayTask

MEASURED_BYTES = 64_000_000
"""Rows that are measured in one step."""


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """What all workers know."""

    job: ExportJob
    spill: SpillFolder


@dataclass(slots=True)
class SequenceExport:
    """An export in the order of the corpus that spills (``passes.SpilledExport``)."""

    job: ExportJob
    spill: SpillFolder
    piece = SequencePiece

    @property
    def shared(self) -> SequencePlan:
        return SequencePlan(self.job, self.spill)

    @property
    def spill_task(self) -> Any:
        return spill_task

    @property
    def write_shard(self) -> Any:
        return write_shard

    def plan_shards(
        self, output: SpilledShards, results: Sequence[TaskResult], steps: Steps, task: ArrayTask | None = None
    ) -> ShardItems | None:
        job, form = self.job, TABLE_FORMATS[self.job.format]
        if form.writes_lines:
            units = [SequenceUnit([piece], piece.size, 0) for result in results for piece in result.pieces]
            sizes, schemas = [unit.size for unit in units], [SchemaStep(pa.schema([]), pa.schema([]))]
            final, texts = schemas[0], plan_lines(output.shape, output.misread).texts
        else:
            units, schemas = cut_units(results, job.shard_bytes, output.shape.last)
            measured = self._measure(list(_group_units(units, schemas)), steps, task)
            if measured is None:
                return None
            sizes = [size for some in measured for size in some]
            final, texts = SchemaStep(output.shape.schema(), build_schema(output.shape)), {}
        filled = fill_shards(job, units, sizes, schemas)
        merge = SequenceMerge(final, texts, schemas)
        named = [SequenceShard(form.pattern.format(number, len(filled)), some) for number, some in enumerate(filled)]
        return [(shard, (merge, shard)) for shard in named]

    def _measure(
        self, groups: Sequence[UnitsToMeasure], steps: Steps, task: ArrayTask | None
    ) -> list[list[int]] | None:
        """Return the sizes of each group; None where some are left to other tasks."""
        found = [self.spill.read_sizes(number) for number in range(len(groups))]
        left = [number for number, sizes in enumerate(found) if sizes is None]
        if task is not None:
            left = [number for number in left if number % task.count == task.index]
        for number, sizes in zip(left, steps.map(measure_units, map(groups.__getitem__, left)), strict=True):
            self.spill.record_sizes(number, sizes)
            found[number] = sizes
        complete = [sizes for sizes in found if sizes is not None]
        return complete if len(complete) == len(found) else None

    def finish(self, output: SpilledShards) -> None:
        """Write nothing: shards are all that there is."""


def spill_task(shared: SequencePlan, task: PartitionTask) -> TaskResult:
    """Spill the rows of a task that are written. Raises what ``slice_rows.read_task`` raises."""
    if not shared.spill.has_task(task.number):
        with shared.spill.build_task(task.number) as folder:
            with_rows = _TaskFiles(folder, choose_unit_bytes(shared.job.shard_bytes))
            try:
                for rows in slice_rows.read_task(shared.job, task):
                    with_rows.add(rows)
            finally:
                with_rows.close()
            write_result(folder, with_rows.result)
    return read_result(shared.spill, task.number, SequencePiece)


@dataclass(slots=True)
class _TaskFiles:
    """Writes the rows of a task: lines into one file, tables into one for each schema that follows another."""

    folder: Path
    unit: int
    result: TaskResult = field(default_factory=TaskResult)
    _sink: Any = None
    _writer: Any = None
    _schema: pa.Schema | None = None
    _files: int = 0

    @property
    def _stem(self) -> str:
        return str(self.folder / str(self._files - 1))

    def add(self, rows: OutputRows) -> None:
        """Append the rows of a slice."""
        self.result.misread |= rows.misread
        self.result.counts.add(rows.counts)
        self.result.read_bytes += rows.num_bytes
        if rows.lines is not None:
            self.result.see(rows.shape)
            self._add_lines(rows.lines)
        elif rows.table is not None:
            if not len(rows.table):
                self.result.pieces.append(SequencePiece("", 0, 0, 0, 0, self.result.see(rows.shape)))
            for piece in cut_table(rows.table, self.unit):
                shape = SchemaShape(last=rows.shape.last)
                shape.see(piece)
                self._add_table(piece, shape)

    def _add_lines(self, lines: pa.LargeBinaryArray) -> None:
        offsets, view = view_lines(lines)
        if self._sink is None:
            self._files = 1
            self._sink = open(f"{self._stem}.rows", "wb", buffering=0)  # noqa: SIM115
        for start, stop in cut_lines(offsets, self.unit):
            at, size = self._sink.tell(), int(offsets[stop] - offsets[start])
            rest = view[offsets[start] : offsets[stop]]
            while rest:
                rest = rest[self._sink.write(rest) :]
            self.result.pieces.append(SequencePiece(self._stem, stop - start, size, at, size, 0))

    def _add_table(self, piece: pa.Table, shape: SchemaShape) -> None:
        size = piece.nbytes
        table = fit_table(piece, shape.schema()).combine_chunks()
        if self._schema is None or not table.schema.equals(self._schema):
            self.close()
            self._files, self._schema = self._files + 1, table.schema
            self._sink = pa.OSFile(f"{self._stem}.rows", "wb")
            self._writer = pa.ipc.new_stream(self._sink, table.schema)
        at = self._sink.tell() or len(table.schema.serialize())
        (batch,) = table.to_batches()
        self._writer.write_batch(batch)
        num_bytes = self._sink.tell() - at
        self.result.pieces.append(SequencePiece(self._stem, len(table), size, at, num_bytes, self.result.see(shape)))

    def close(self) -> None:
        """Close what is open."""
        if self._writer is not None:
            self._writer.close()
        if self._sink is not None:
            self._sink.close()
        self._writer = self._sink = None


def cut_units(
    results: Sequence[TaskResult], shard_bytes: int, last: tuple[str, ...]
) -> tuple[list[SequenceUnit], list[SchemaStep]]:
    """Return what ``ShardWriter`` would write at once, and the schemas under which it would, which widen."""
    shape, schemas, units = SchemaShape(last=last), list[SchemaStep](), list[SequenceUnit]()
    pending, size, is_new, unit = list[SequencePiece](), 0, True, choose_unit_bytes(shard_bytes)

    def flush() -> None:
        nonlocal pending, size, is_new
        if not pending:
            return
        if is_new:
            schemas.append(SchemaStep(shape.schema(), build_schema(shape)))
        units.append(SequenceUnit(pending, size, len(schemas) - 1))
        pending, size, is_new = [], 0, False

    for result in results:
        seen = None
        for piece in result.pieces:
            if piece.rows and size + piece.size > shard_bytes:
                flush()
            if piece.shape != seen:
                is_new = shape.join(result.shapes[piece.shape]) or is_new
                seen = piece.shape
            if piece.rows:
                pending.append(piece)
                size += piece.size
                if size >= unit:
                    flush()
    flush()
    return units, schemas


def _group_units(units: Sequence[SequenceUnit], schemas: Sequence[SchemaStep]) -> Iterator[UnitsToMeasure]:
    """Yield units of one schema, those of about ``MEASURED_BYTES`` together."""
    total = 0

    def number(unit: SequenceUnit) -> tuple[int, int]:
        nonlocal total
        total += unit.size
        return unit.step, total // MEASURED_BYTES

    for (step, _), some in groupby(units, number):
        yield UnitsToMeasure(schemas[step], list(some))


def measure_units(shared: SequencePlan, item: UnitsToMeasure) -> list[int]:
    """Return the bytes that units take in a shard."""
    return sequence_shards.measure_units(shared.job.format, item)


def fill_shards(
    job: ExportJob, units: Sequence[SequenceUnit], sizes: Sequence[int], schemas: Sequence[SchemaStep]
) -> list[list[SequenceUnit]]:
    """Return the units of each shard as ``ShardWriter`` would fill them; ``sizes`` are their bytes in a shard."""
    form, shards = TABLE_FORMATS[job.format], list[list[SequenceUnit]]()
    filled = 0
    for unit, size in zip(units, sizes, strict=True):
        stored = schemas[unit.step].stored
        if shards:
            before = shards[-1][-1]
            room = before.size if form.leaves_room else 0
            same = schemas[before.step].stored.equals(stored, check_metadata=True)
        if not shards or filled + room + unit.size > job.shard_bytes or not same:
            shards.append([])
            filled = form.measure_head(stored)
        shards[-1].append(unit)
        filled += size
    return shards


def write_shard(shared: SequencePlan, item: tuple[SequenceMerge, SequenceShard]) -> WrittenShard:
    """Write a shard into the folder of the spill."""
    return sequence_shards.write_shard(shared.spill, shared.job.format, *item)
