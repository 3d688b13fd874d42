"""An export whose rows stand elsewhere than in the corpus: in the order of ``curate order``, or by bucket.

The narrow tables have ranked the documents already. The corpus is read once, slice by slice, its rows are spilled under
their positions (``curate.exports.ordered.partition``), and read back range by range into shards
(``curate.exports.ordered.merge``). Memory goes with the limit, disk with the text that is kept: about as much again as
the export, beside it, until it is done.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Corpus
from curate.corpus.schema_widening import SchemaShape
from curate.errors import TableError, UsageError
from curate.exports import joined_slices
from curate.exports.joined_slices import ExportCounts, ExportJob
from curate.exports.ordered import merge, partition
from curate.exports.ordered.merge import MergeJob, PlannedShard
from curate.exports.ordered.partition import BUCKET_KEYS, PartitionPlan, PartitionResult
from curate.exports.ordered.spill import NARROW, Numbers, SpillPiece
from curate.exports.shards import WrittenShard
from curate.runtime import console, processes, threads

# What the processes take before they hold a row, and what one of them needs to write a unit.
PARENT_BYTES, WORKER_BYTES, UNIT_MEMORY = 220_000_000, 200_000_000, 150_000_000
MOST_RUN_BYTES, LEAST_RUN_BYTES = 32_000_000, 8_000_000
SMALL_BYTES = 64_000_000  # A corpus below is read faster than processes start.
CELLS = 1024
MAX_ORDER_ROWS = 1 << 16
# What Windows, YAML patterns and datasets take for something else; names of folders that are no names.
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")

Work = Callable[[Any], Any]

ORDER = pa.schema(
    [
        ("position", pa.int64()),
        ("shard", pa.large_string()),  # path below the top of the export
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
    workers: int

    @property
    def run_bytes(self) -> int:
        """Bytes of rows that a worker gathers before it sorts them, which takes thrice as much."""
        base = PARENT_BYTES + (WORKER_BYTES * self.workers if self.workers > 1 else 0)
        return max(LEAST_RUN_BYTES, min(MOST_RUN_BYTES, (self.memory - base) // self.workers // 3))


@dataclass(slots=True)
class OrderedShards:
    """The shards that were written, with what the card and the manifest tell of them."""

    folder: Path
    kind: str
    shape: SchemaShape
    misread: set[str]
    rows: int = 0
    counts: ExportCounts = field(default_factory=ExportCounts)
    files: list[WrittenShard] = field(default_factory=list)
    buckets: dict[str, str] = field(default_factory=dict)
    """The folder of each bucket below ``data``, where there are such folders."""


def choose_means(memory: int, asked: int | None, corpus: Corpus) -> OrderedMeans:
    """As many workers as are asked for (else the cores, or one for a small corpus), as far as the memory goes.

    UsageError where the memory is too little for one.
    """
    least = PARENT_BYTES + UNIT_MEMORY
    if memory < least:
        told = f"--memory-limit {console.size(memory)} is too little to export in order"
        raise UsageError(told, f"at least {console.size(least)}: --memory-limit 400MB, or more")
    if asked is not None and asked < 1:
        raise UsageError(f"--workers must be at least 1, not {asked}", "leave it out for one a core")
    small = corpus.size is not None and corpus.size < SMALL_BYTES
    wished = asked or (1 if small else threads.cores())
    affordable = max(1, (memory - PARENT_BYTES) // (WORKER_BYTES + UNIT_MEMORY))
    return OrderedMeans(memory, min(wished, affordable))


def lay_out(job: ExportJob, folder: Path, means: OrderedMeans) -> OrderedShards:
    """Write the shards, and ``order.parquet`` where there is an order, into an empty folder."""
    spill = folder / ".spill"
    spill.mkdir()
    cell = _choose_cell(job)
    with processes.hired(processes.call, None, means.workers) as work:
        with console.progress("exporting", job.corpus.size) as progress:
            routed = _route(job, work, PartitionPlan(job, spill, means.run_bytes, cell), means, progress.advance)
        laid = _gather(job, folder, routed)
        _write_shards(job, work, laid, routed, spill, cell, means)
    laid.rows = sum(file.rows for file in laid.files)
    if job.placed.order is not None:
        _write_order(job, laid, spill)
    shutil.rmtree(spill)
    return laid


def _write_shards(
    job: ExportJob,
    work: Work,
    laid: OrderedShards,
    routed: Sequence[PartitionResult],
    spill: Path,
    cell: int,
    means: OrderedMeans,
) -> None:
    pieces = [piece for one in routed for piece in one.pieces]
    if sum(piece.rows for piece in pieces) != laid.counts.kept:
        raise TableError(f"{laid.counts.kept:,} documents were kept, but other rows were spilled", "export again")
    planned = _name(job, laid, merge.plan_shards(pieces, BUCKET_KEYS, cell, job.shard_bytes), pieces)
    texts = frozenset(laid.shape.texts)
    shared = MergeJob(laid.folder, job.format, laid.shape.schema(), texts, spill)
    asked = ((merge.write_shard, shared, one) for one in planned)
    for written in threads.in_order(work, asked, min(means.workers, len(planned))):
        _flush(laid.folder / written.path)  # While the others write.
        laid.files.append(written)


def _flush(path: Path) -> None:
    """To the disk."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _choose_cell(job: ExportJob) -> int:
    """Keys that are routed together: half a unit of text, but no more than ``CELLS`` ranges over all."""
    counts, kept = job.run.finished_scores()["counts"], max(1, job.choice.kept)
    text = max(counts.get("bytes", 0), job.corpus.size or 0) * kept // max(1, counts["read"]) + 64 * kept
    cells = max(1, min(CELLS, 2 * text // merge.unit_bytes(job.shard_bytes)))
    wanted = max(1, -(-kept // cells))
    return int(1 << (wanted - 1).bit_length())  # A power of two, so that no cell crosses from one bucket to the next.


def _route(
    job: ExportJob, work: Work, shared: PartitionPlan, means: OrderedMeans, advance: Callable[..., None]
) -> list[PartitionResult]:
    found = []
    asked = ((partition.route, shared, task) for task in partition.list_tasks(job))
    for one in threads.in_order(work, asked, means.workers):
        found.append(one)
        advance(documents=one.counts.read, done_bytes=one.read_bytes)
    return found


def _gather(job: ExportJob, folder: Path, routed: Sequence[PartitionResult]) -> OrderedShards:
    """One schema and one count over all slices, in their order."""
    laid = OrderedShards(folder, job.format, SchemaShape(last=tuple(job.names.values())), set())
    for one in routed:
        laid.misread |= one.misread
        for shape in one.shapes:
            laid.shape.join(shape)
        for name in ("read", "kept", "rejected", "unreadable", "tokens"):
            setattr(laid.counts, name, getattr(laid.counts, name) + getattr(one.counts, name))
    joined_slices.check_counts(job, laid.counts)
    return laid


# Names.


def folder_names(buckets: Sequence[str]) -> dict[str, str]:
    """A folder for each bucket: its name where that is harmless, else what is left of it, numbered apart."""
    found: dict[str, str] = {}
    taken = {"default"}
    for bucket in buckets:
        plain = UNSAFE.sub("-", bucket).strip("-.")[:100] or "bucket"
        name, number = plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.lower())
        found[bucket] = name
    return found


def _name(
    job: ExportJob, laid: OrderedShards, planned: Mapping[int, list[list[merge.MergeUnit]]], pieces: list[SpillPiece]
) -> list[PlannedShard]:
    """The shards under their names, each with the pieces that it needs."""
    from curate.exports.shards import FORMATS

    names, found = job.placed.buckets, []
    folders = folder_names(names) if job.placed.by_bucket else {}
    for bucket, shards in planned.items():
        pattern = FORMATS[job.format]
        if job.placed.by_bucket:
            laid.buckets[names[bucket]] = folders[names[bucket]]
            pattern = f"data/{folders[names[bucket]]}/" + "train-{:05d}-of-{:05d}." + pattern.rsplit(".", 1)[1]
        for number, units in enumerate(shards):
            first, stop = units[0].first, units[-1].stop
            wanted = [piece for piece in pieces if piece.first < stop and piece.last >= first]
            found.append(PlannedShard(pattern.format(number, len(shards)), units, wanted))
    return found


# order.parquet.


def _write_order(job: ExportJob, laid: OrderedShards, spill: Path) -> None:
    """Where each document stands, in the order of reading, with the tokens read when it has been."""
    path = laid.folder / "order.parquet"
    with pq.ParquetWriter(path, ORDER, compression="zstd") as writer:
        for table in _place_rows(job, laid, spill):
            writer.write_table(table, row_group_size=MAX_ORDER_ROWS)


def _place_rows(job: ExportJob, laid: OrderedShards, spill: Path) -> Iterator[pa.Table]:
    files = pa.array([source.name for source in job.corpus.sources], pa.large_string())
    read, bucket, behind = 0, None, -1
    for shard in laid.files:
        path, done = merge.places_of(spill, shard.path), 0
        while done < shard.rows:
            batch = np.fromfile(path, NARROW, MAX_ORDER_ROWS, offset=done * NARROW.itemsize)
            keys, tokens = batch["key"], batch["tokens"]
            read = read if keys[0] // BUCKET_KEYS == bucket else 0
            bucket = keys[0] // BUCKET_KEYS
            if not job.placed.by_bucket:
                _check_gapless(keys, behind + 1)
            totals, behind = np.cumsum(tokens) + read, int(keys[-1])
            read = int(totals[-1])
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


def _check_gapless(keys: Numbers, first: int) -> None:
    """TableError, naming it, where a position is left out."""
    wrong = np.flatnonzero(keys != np.arange(first, first + len(keys)))
    if len(wrong):
        raise TableError(f"the order leaves out position {first + int(wrong[0]):,}", "curate order again")
