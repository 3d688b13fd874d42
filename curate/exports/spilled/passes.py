"""The passes of an export that spills: all tasks, then all shards; what is there already is not made again.

The workers may be processes of this machine or of others (``StartWorkers``): what is sent to them and back is paths,
marks, counts and, with a task, the decisions on its rows (17 to 40 bytes each); never a text.
"""

import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from curate.corpus.values.schema_widening import SchemaShape
from curate.errors import TableError
from curate.exports.counts import ExportCounts, check_counts
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.json_types import Finding
from curate.exports.formats.shard_writer import WrittenShard
from curate.exports.job import ExportJob
from curate.exports.ordered import tasks
from curate.exports.ordered.tasks import PartitionTask, SliceGroup
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.records import TaskResult
from curate.runtime import console
from curate.runtime.work import threads
from curate.runtime.work.array_tasks import ArrayTask
from curate.runtime.work.processes import StartWorkers


@dataclass(slots=True)
class SpilledShards:
    """The shards that were written: a ``DatasetDescription`` with its counts and files."""

    folder: Path
    format: str
    shape: SchemaShape
    misread: set[Finding] = field(default_factory=set)
    rows: int = 0
    counts: ExportCounts = field(default_factory=ExportCounts)
    files: list[WrittenShard] = field(default_factory=list)
    buckets: dict[str, str] = field(default_factory=dict)
    """The folder of each bucket below ``data``; empty unless each bucket has one."""


class NamedShard(Protocol):
    """A shard to write."""

    @property
    def name(self) -> str:
        """Its path below the top of the export, POSIX."""


class SpilledExport(Protocol):
    """An export that spills: how its tasks and shards are made. The functions are at the top of a module."""

    job: ExportJob
    spill: SpillFolder

    @property
    def shared(self) -> Any:
        """What all workers know."""

    @property
    def piece(self) -> type[Any]:
        """The class of the pieces of a task."""

    @property
    def spill_task(self) -> Callable[[Any, PartitionTask], TaskResult]:
        """Spills a task, given ``shared``."""

    @property
    def write_shard(self) -> Callable[[Any, Any], WrittenShard]:
        """Writes a shard into the folder of the spill, given ``shared`` and an item of ``plan_shards``."""

    def plan_shards(
        self, output: SpilledShards, results: Sequence[TaskResult], steps: "Steps", task: ArrayTask | None = None
    ) -> "ShardItems | None":
        """Return the shards, under their final names, each with the item that is given to ``write_shard``.

        A task of a job array does only its share of what this takes, and gets None where that of others is not there.
        """

    def finish(self, output: SpilledShards) -> None:
        """Write what goes with the shards, when all are in their places."""


ShardItems = Sequence[tuple[NamedShard, Any]]


@dataclass(frozen=True, slots=True)
class Steps:
    """Workers that have been started."""

    work: Callable[[Any], Any]
    workers: int

    def map(self, function: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Yield ``function(shared, value)`` of each value, in their order."""
        return threads.map_in_order(self.work, ((function, value) for value in values), self.workers)


def run_step(shared: Any, item: tuple[Callable[[Any, Any], Any], Any]) -> Any:
    """Return ``function(shared, value)`` for an item ``(function, value)``: the function of all workers."""
    function, value = item
    return function(shared, value)


@contextmanager
def start_steps(export: SpilledExport, start: StartWorkers, workers: int) -> Iterator[Steps]:
    """Give the workers of an export until the block ends."""
    with start(run_step, export.shared, workers) as work:
        yield Steps(work, workers)


def write_spilled(
    export: SpilledExport, folder: Path, start: StartWorkers, workers: int, depot: ShardDepot | None = None
) -> SpilledShards:
    """Write all shards of an export, and what goes with them, into an empty folder.

    Only a spill that lasts stays; ``depot`` takes the shards, one after the other. Raises CorpusError or TableError
    where the corpus or a table of the run has changed, NameTakenError where a column of the corpus has the name of one
    that is added.
    """
    with start_steps(export, start, workers) as steps:
        with console.progress("exporting", export.job.corpus.size) as progress:
            results = list(spill_tasks(export, steps, progress.advance))
        output = gather_results(export.job, folder, results)
        items = export.plan_shards(output, results, steps)
        assert items is not None
        for written in write_shards(export, items, steps):
            export.spill.move_shard(written.path, folder)
            if depot is not None:
                depot.put(written.path)
            output.files.append(written)
    output.rows = sum(file.rows for file in output.files)
    export.finish(output)
    if not export.spill.keeps:
        shutil.rmtree(export.spill.path, ignore_errors=True)
    return output


def spill_tasks(
    export: SpilledExport,
    steps: Steps,
    advance: Callable[..., None],
    groups: Sequence[SliceGroup] | None = None,
    numbers: Container[int] | None = None,
) -> Iterator[TaskResult]:
    """Yield the results of all tasks, in the order of the corpus; those that are complete are read by the workers.

    ``groups`` and ``numbers`` are those of ``tasks.list_tasks``.
    """
    listed = tasks.list_tasks(export.job, groups=groups, numbers=numbers)
    sent = (replace(task, slices=[]) if export.spill.has_task(task.number) else task for task in listed)
    for result in steps.map(export.spill_task, sent):
        advance(documents=result.counts.read, done_bytes=result.read_bytes)
        yield result


def gather_results(job: ExportJob, folder: Path, results: Sequence[TaskResult]) -> SpilledShards:
    """Return one schema and one count over all tasks, in their order. Raises TableError where documents were lost."""
    output = SpilledShards(folder, job.format, SchemaShape(last=tuple(job.names.values())))
    for result in results:
        output.misread |= result.misread
        for shape in result.shapes:
            output.shape.join(shape)
        output.counts.add(result.counts)
    check_counts(job, output.counts)
    kept = output.counts.rejected if job.rejected else output.counts.kept
    if sum(piece.rows for result in results for piece in result.pieces) != kept:
        message = f"{kept:,} documents are to be written, but other rows were spilled"
        raise TableError(message, "curate export it again")
    return output


def write_shards(export: SpilledExport, items: ShardItems, steps: Steps) -> Iterator[WrittenShard]:
    """Yield the shards in their order, each complete in the folder of the spill, where it may be already."""
    spill = export.spill
    found = {shard.name: spill.read_shard(shard.name) for shard, _ in items}
    made = steps.map(export.write_shard, (item for shard, item in items if found[shard.name] is None))
    for shard, _ in items:
        written = found[shard.name]
        if written is None:
            written = next(made)
            _sync_file(spill.name_shard(written.path))  # While the others write.
            spill.record_shard(written)
        yield written


def _sync_file(path: Path) -> None:
    """Flush a file to the disk."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())
