"""What one task of a job array does of an export: its share of what can be done by now.

All tasks deal for themselves and come to the same. A share of the corpus is spilled first. When every share is, the
same call again measures its share of the rows, where the sizes of shards need that, and when all are measured it writes
its share of the shards. The plain command does what is left.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from curate.corpus.shares import deal_by_size
from curate.errors import Interrupted, UsageError
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportJob
from curate.exports.joined_slices import NameTakenError
from curate.exports.ordered import tasks
from curate.exports.ordered.tasks import SliceGroup
from curate.exports.ordered.write import OrderedMeans
from curate.exports.parts.folder import PartsFolder, open_parts
from curate.exports.parts.summary import ExportPartSummary
from curate.exports.prefixes import follow_prefix
from curate.exports.spilled import passes
from curate.exports.spilled.kinds import make_spilled
from curate.exports.spilled.passes import SpilledExport, Steps
from curate.exports.spilled.records import TaskResult, read_result
from curate.runtime import console
from curate.runtime.calls import repeat_command
from curate.runtime.disk.files import make_storage_error
from curate.runtime.work.array_tasks import ArrayTask


def check_part_options(format: str, push_to_hub: str | None) -> None:
    """Raise UsageError for options that cannot hold for one part of an export."""
    if not FORMATS[format].holds_text:
        message = f"--part and --format {format}: ids are counted from the first document on, by one process"
        raise UsageError(message, repeat_command("export", part=None))
    if push_to_hub is not None:
        message = "--part and --push-to-hub: a part is no dataset; the command that completes the export pushes it"
        raise UsageError(message, repeat_command("export", push_to_hub=None, private=None))


def write_share(job: ExportJob, out: Path, task: ArrayTask, means: OrderedMeans, overwrite: bool) -> ExportPartSummary:
    """Do the share of a task, and return what was done. Raises what ``write.build_export`` raises."""
    groups = list(tasks.group_slices(job))
    parts = open_parts(out, job, len(groups), overwrite, create=True)
    assert parts is not None
    while True:
        job = parts.follow_prefixes(job)
        try:
            return _ExportShare(job, groups, parts, task).write(means, out)
        except NameTakenError as taken:
            parts.note_taken(job, taken)
            job = follow_prefix(job, taken)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; what is done stays in {parts.path}", "the same command goes on") from None
        except OSError as error:
            raise make_storage_error(error, parts.path) from error


class _ExportShare:
    """The share of one task, under one prefix."""

    def __init__(self, job: ExportJob, groups: Sequence[SliceGroup], parts: PartsFolder, task: ArrayTask):
        self._job, self._groups, self._parts, self._task = job, groups, parts, task
        self._spill = parts.make_spill(job)
        self._sizes = tasks.measure_groups(job, groups)
        self._mine = deal_by_size(self._sizes, task.count)[task.index]

    def write(self, means: OrderedMeans, out: Path) -> ExportPartSummary:
        """Do what can be done by now."""
        started, export = time.monotonic(), make_spilled(self._job, self._spill, means)
        before = {number for number in self._mine if self._spill.has_task(number)}
        with passes.start_steps(export, means.start, means.workers) as steps:
            results = self._spill_rows(export, steps)
            spilled = sum(map(self._spill.has_task, range(len(self._groups))))
            shards = self._write_shards(export, steps) if spilled == len(self._groups) else None
        read = dict(zip(self._mine, (result.counts.read for result in results), strict=True))
        return ExportPartSummary(
            out=str(out),
            parts=str(self._parts.path),
            part=f"{self._task.index}/{self._task.count}",
            documents=sum(read.values()),
            resumed=sum(read[number] for number in before),
            tasks=len(self._mine),
            tasks_finished=spilled,
            tasks_in_all=len(self._groups),
            shards_finished=None if shards is None else shards[0],
            shards_in_all=None if shards is None else shards[1],
            seconds=time.monotonic() - started,
            completing=repeat_command("export", part=None),
        )

    def _spill_rows(self, export: SpilledExport, steps: Steps) -> list[TaskResult]:
        with console.progress("exporting", sum(self._sizes[number] for number in self._mine)) as progress:
            return list(passes.spill_tasks(export, steps, progress.advance, self._groups, set(self._mine)))

    def _write_shards(self, export: SpilledExport, steps: Steps) -> tuple[int, int] | None:
        """Write the share of the shards, and return how many there are and how many in all; None: not planned yet."""
        results = [read_result(self._spill, number, export.piece) for number in range(len(self._groups))]
        output = passes.gather_results(self._job, self._parts.path, results)
        items = export.plan_shards(output, results, steps, self._task)
        if items is None:
            return None
        for _ in passes.write_shards(export, items[self._task.index :: self._task.count], steps):
            pass
        return sum(self._spill.read_shard(shard.name) is not None for shard, _ in items), len(items)
