"""An export in another order than that of the corpus: in the order of ``curate order``, or by bucket.

The tables of ``order`` and ``bucket`` have ranked the documents already. The corpus is read once, slice by slice; its
rows are spilled under their positions (``curate.exports.ordered.partition``), and read back range by range into shards
(``curate.exports.ordered.merge``). Memory is bounded by the limit. Until the export is done, the spill takes about as
much disk again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Corpus
from curate.errors import TableError, UsageError
from curate.exports.formats.features import build_schema
from curate.exports.formats.json_types import plan_lines
from curate.exports.formats.shard_writer import WrittenShard
from curate.exports.formats.shards import TABLE_FORMATS, make_bucket_pattern
from curate.exports.job import ExportJob
from curate.exports.ordered import merge, partition
from curate.exports.ordered.merge import MergeJob, PlannedShard
from curate.exports.ordered.partition import PartitionPlan
from curate.exports.ordered.spill import NARROW, SpillPiece
from curate.exports.ordered.tasks import BUCKET_KEYS
from curate.exports.spilled import passes
from curate.exports.spilled.passes import ShardItems, SpilledShards, Steps
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.records import TaskResult
from curate.runtime import console
from curate.runtime.arrays import Int64Array, read_array
from curate.runtime.work import processes, threads
from curate.runtime.work.array_tasks import ArrayTask
from curate.runtime.work.processes import StartWorkers

PARENT_BYTES, WORKER_BYTES, UNIT_MEMORY = 220_000_000, 200_000_000, 150_000_000
"""Bytes that the processes take before they have read a row, and that one of them needs to write a unit."""
MOST_RUN_BYTES, LEAST_RUN_BYTES = 16_000_000, 8_000_000
SMALL_BYTES = 64_000_000
"""A smaller corpus is read faster than processes start."""
CELLS = 1024
MAX_ORDER_ROWS = 1 << 16
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
"""Characters that Windows, YAML patterns or ``datasets`` would read as something else than a name."""


ORDER = pa.schema(
    [
        ("position", pa.int64()),
        ("shard", pa.large_string()),  # the path below the top of the export
        ("shard_row", pa.int64()),
        ("file", pa.large_string()),
        ("row", pa.int64()),
        ("tokens", pa.int64()),
        ("cumulative_tokens", pa.int64()),  # of this document and all before it; by bucket, of its bucket
    ]
)


@dataclass(frozen=True, slots=True)
class OrderedMeans:
    """How much an ordered export may take."""

    memory: int
    """Bytes, all processes together."""
    workers: int
    """Processes."""
    start: StartWorkers = processes.start_workers
    """Starts them: here, or by an engine on other machines."""

    @property
    def run_bytes(self) -> int:
        """Bytes of rows that a worker gathers before it sorts them. Sorting takes three times as much."""
        base = PARENT_BYTES + (WORKER_BYTES * self.workers if self.workers > 1 else 0)
        return max(LEAST_RUN_BYTES, min(MOST_RUN_BYTES, (self.memory - base) // self.workers // 3))


def choose_means(memory: int, workers: int | None, corpus: Corpus) -> OrderedMeans:
    """Return the memory and the number of workers of an ordered export.

    Without ``workers`` it is one a core, or one for a small corpus; never more than fit into ``memory`` (bytes). Raises
    UsageError where the memory is too little for one, or ``workers`` is less than 1.
    """
    least = PARENT_BYTES + UNIT_MEMORY
    if memory < least:
        enough, given = console.format_size(least), console.format_size(memory)
        message = f"--memory-limit must be at least {enough} to export in order, not {given}"
        raise UsageError(message, "--memory-limit 400MB")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}", "leave it out for one a core")
    small = corpus.size is not None and corpus.size < SMALL_BYTES
    wished = workers or (1 if small else threads.count_cores())
    affordable = max(1, (memory - PARENT_BYTES) // (WORKER_BYTES + UNIT_MEMORY))
    return OrderedMeans(memory, min(wished, affordable))


def write_ordered_shards(
    job: ExportJob, folder: Path, means: OrderedMeans, spill: SpillFolder | None = None
) -> SpilledShards:
    """Write the shards, and ``order.parquet`` where there is an order, into an empty folder.

    ``spill`` is where tasks and shards may be already, a folder within ``folder`` if None; it is removed at the end.
    Raises CorpusError or TableError where the corpus or a table of the run has changed, NameTakenError where a column
    of the corpus has the name of one that is added.
    """
    export = OrderedExport(job, spill or make_spill(job, folder), means)
    return passes.write_spilled(export, folder, means.start, means.workers)


def make_spill(job: ExportJob, folder: Path) -> SpillFolder:
    """Return the folder of a spill within that of an export, created."""
    spill = SpillFolder(folder / ".spill", job.prefix)
    spill.path.mkdir()
    return spill


@dataclass(slots=True)
class OrderedExport:
    """An export in another order than that of the corpus (``passes.SpilledExport``)."""

    job: ExportJob
    spill: SpillFolder
    means: OrderedMeans
    piece = SpillPiece

    @property
    def shared(self) -> PartitionPlan:
        return PartitionPlan(self.job, self.spill, self.means.run_bytes, _choose_cell(self.job))

    @property
    def spill_task(self) -> Any:
        return partition.partition_task

    @property
    def write_shard(self) -> Any:
        return _write_shard

    def plan_shards(
        self, output: SpilledShards, results: Sequence[TaskResult], steps: Steps, task: ArrayTask | None = None
    ) -> ShardItems:
        job, pieces = self.job, [piece for result in results for piece in result.pieces]
        cut = merge.plan_shards(pieces, BUCKET_KEYS, _choose_cell(job), job.shard_bytes)
        planned = _name_shards(job, output, cut, pieces)
        if TABLE_FORMATS[job.format].writes_lines:
            stored, texts = pa.schema([]), plan_lines(output.shape, output.misread).texts
        else:
            stored, texts = build_schema(output.shape), {}
        shared = MergeJob(job.format, output.shape.schema(), stored, texts)
        return [(shard, (shared, shard)) for shard in planned]

    def finish(self, output: SpilledShards) -> None:
        """Write ``order.parquet``, where there is an order."""
        if self.job.placed.order is not None:
            _write_order(self.job, output, self.spill)


def _write_shard(shared: PartitionPlan, item: tuple[MergeJob, PlannedShard]) -> WrittenShard:
    return merge.write_shard(shared.spill, *item)


def _choose_cell(job: ExportJob) -> int:
    """Return the number of keys that are spilled together: half a unit of text, but at most ``CELLS`` cells in all."""
    counts, kept = job.run.finished_scores()["counts"], max(1, job.choice.kept)
    text = max(counts.get("bytes", 0), job.corpus.size or 0) * kept // max(1, counts["read"]) + 64 * kept
    cells = max(1, min(CELLS, 2 * text // merge.compute_unit_bytes(job.shard_bytes)))
    keys = max(1, -(-kept // cells))
    return int(1 << (keys - 1).bit_length())  # A power of two, so that no cell crosses from one bucket to the next.


def folder_names(buckets: Sequence[str]) -> dict[str, str]:
    """Return a folder for each bucket: its name without unsafe characters, numbered where two would be the same.

    Names that differ only in case, and ``default`` (the config of all buckets), count as the same.
    """
    folders: dict[str, str] = {}
    taken = {"default"}
    for bucket in buckets:
        plain = UNSAFE.sub("-", bucket).strip("-.")[:100] or "bucket"
        name, number = plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.lower())
        folders[bucket] = name
    return folders


def _name_shards(
    job: ExportJob, output: SpilledShards, planned: Mapping[int, list[list[merge.MergeUnit]]], pieces: list[SpillPiece]
) -> list[PlannedShard]:
    """Return the shards under their final names, each with the pieces that it needs."""
    names, named = job.placed.buckets, []
    folders = folder_names(names) if job.placed.by_bucket else {}
    for bucket, shards in planned.items():
        pattern = TABLE_FORMATS[job.format].pattern
        if job.placed.by_bucket:
            output.buckets[names[bucket]] = folders[names[bucket]]
            pattern = make_bucket_pattern(job.format, folders[names[bucket]])
        for number, units in enumerate(shards):
            first, stop = units[0].first, units[-1].stop
            overlapping = [piece for piece in pieces if piece.first < stop and piece.last >= first]
            named.append(PlannedShard(pattern.format(number, len(shards)), units, overlapping))
    return named


def _write_order(job: ExportJob, output: SpilledShards, spill: SpillFolder) -> None:
    """Write ``order.parquet``: where each document is, in reading order, and the tokens up to its end."""
    path = output.folder / "order.parquet"
    with pq.ParquetWriter(path, ORDER, compression="zstd") as writer:
        for table in _make_order(job, output, spill):
            writer.write_table(table, row_group_size=MAX_ORDER_ROWS)


def _make_order(job: ExportJob, output: SpilledShards, spill: SpillFolder) -> Iterator[pa.Table]:
    """Yield the rows of ``order.parquet``. Raises TableError where a position is left out."""
    files = pa.array([source.name for source in job.corpus.sources], pa.large_string())
    num_tokens, bucket, last_key = 0, None, -1
    for shard in output.files:
        path, done = spill.name_shard(shard.path, merge.NARROW_SUFFIX), 0
        while done < shard.rows:
            batch = read_array(path, NARROW, min(MAX_ORDER_ROWS, shard.rows - done), done)
            keys, tokens = batch["key"], batch["tokens"]
            num_tokens = num_tokens if keys[0] // BUCKET_KEYS == bucket else 0
            bucket = keys[0] // BUCKET_KEYS
            if not job.placed.by_bucket:
                _check_gapless(keys, last_key + 1)
            totals, last_key = np.cumsum(tokens) + num_tokens, int(keys[-1])
            num_tokens = int(totals[-1])
            columns = [
                pa.array(keys % BUCKET_KEYS),
                pa.array([shard.path], pa.large_string()).take(pa.array(np.zeros(len(keys), np.int64))),
                pa.array(np.arange(done, done + len(keys))),
                pc.take(files, pa.array(batch["file"])),
                pa.array(batch["row"]),
                pa.array(tokens),
                pa.array(totals),
            ]
            done += len(keys)
            yield pa.table(columns, schema=ORDER)


def _check_gapless(keys: Int64Array, first: int) -> None:
    """Raise TableError, naming it, where a position is left out."""
    wrong = np.flatnonzero(keys != np.arange(first, first + len(keys)))
    if len(wrong):
        message = f"the order leaves out position {first + int(wrong[0]):,}"
        raise TableError(message, "make the order again: curate order …")
