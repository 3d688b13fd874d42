"""The tasks of an ordered export: consecutive slices of a file, or of small files, with what is known of their rows.

``filter``, ``order`` and ``bucket`` are read once, in the order of the corpus, in the process that hands out the tasks.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus import SliceMark, units
from curate.errors import TableError
from curate.exports import joined_slices
from curate.exports.job import COLUMN_TO_VERB, ExportJob
from curate.exports.leaked_passages import LeakedPassages
from curate.rundir import parquet
from curate.rundir.decision_table import DecisionReader
from curate.rundir.run import FilePart
from curate.runtime.text import command

BUCKET_KEYS = 1 << 48
"""The key of a row is ``bucket · BUCKET_KEYS + position``."""
TASK_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class PartitionSlice:
    """A slice to read, its rows of the scores, and the decisions on them."""

    source: int
    """Index of the file in ``Corpus.sources``."""
    behind: SliceMark | None
    """The slice before in the file; None at its start."""
    left: int | None
    """Documents of the file from here on that a limited corpus has; None without a limit."""
    mark: SliceMark
    part: Path
    first: int
    """Rows of the part before those of the slice."""
    choice: pa.Table
    """row, keep, key and, where the export has them as columns, position, bucket and reason."""
    hits: dict[int, list[dict[str, Any]]]
    """The leaks by row, where the export does something about them."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rows of the slice alone: the memory of a table's slice is that of the whole table."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.choice.schema) as writer:
            writer.write_table(self.choice)
        choice = sink.getvalue().to_pybytes()
        return _restore_slice, (
            self.source,
            self.behind,
            self.left,
            self.mark,
            self.part,
            self.first,
            choice,
            self.hits,
        )


def _restore_slice(
    source: int,
    behind: SliceMark | None,
    left: int | None,
    mark: SliceMark,
    part: Path,
    first: int,
    choice: bytes,
    hits: dict[int, list[dict[str, Any]]],
) -> PartitionSlice:
    with pa.ipc.open_stream(choice) as reader:
        table = reader.read_all().combine_chunks()
    return PartitionSlice(source, behind, left, mark, part, first, table, hits)


@dataclass(frozen=True, slots=True)
class PartitionTask:
    """Consecutive slices of one file, or complete small files, which a worker reads one after the other."""

    number: int
    """Counted from 0, in the order of the corpus."""
    slices: list[PartitionSlice]


def list_tasks(
    job: ExportJob,
    task_bytes: int | None = None,
    *,
    groups: "Sequence[SliceGroup] | None" = None,
    numbers: Container[int] | None = None,
) -> Iterator[PartitionTask]:
    """Yield the tasks of a corpus, each of about ``task_bytes`` of it (None: ``TASK_BYTES``).

    ``groups`` are the slices of each (``group_slices``) where they are known, ``numbers`` those of the tasks to yield;
    None yields all. Raises CorpusError or TableError where the tables of the run are not those of the corpus.
    """
    chooser = _RowChooser(job)
    for number, group in enumerate(group_slices(job, task_bytes) if groups is None else groups):
        chosen = [chooser.choose(*each) for each in group]
        if numbers is None or number in numbers:
            yield PartitionTask(number, chosen)
    chooser.finish()


def group_slices(job: ExportJob, task_bytes: int | None = None) -> "Iterator[SliceGroup]":
    """Yield the slices of each task of a corpus. Raises CorpusError where those of the run are not of the corpus."""
    return _group_files(job, _list_parts(job), TASK_BYTES if task_bytes is None else task_bytes)


def measure_groups(job: ExportJob, groups: "Sequence[SliceGroup]") -> list[int]:
    """Return about how many bytes of the corpus, as stored, each task reads; documents where sizes are unknown."""
    counts: Counter[int] = Counter()
    for group in groups:
        for index, _, _, part in group:
            counts[index] += part.mark.documents
    sizes = {index: (job.corpus.sources[index].size or count) / max(1, count) for index, count in counts.items()}
    return [int(sum(sizes[index] * part.mark.documents for index, _, _, part in group)) for group in groups]


def _list_parts(job: ExportJob) -> dict[str, list[FilePart]]:
    """Return the slices of each file with their parts. Raises CorpusError where they are not those of the corpus."""
    file_to_parts: dict[str, list[FilePart]] = {source.name: [] for source in job.corpus.sources}
    for path in parquet.list_parts(job.run.scores):
        first = 0
        for mark in joined_slices.read_marks(path, job.run):
            if mark.file not in file_to_parts:
                raise joined_slices.changed_error(
                    job.run, mark.file, mark.first_row, "it has fewer documents than were scored"
                )
            file_to_parts[mark.file].append(FilePart(path, mark, first))
            first += mark.documents
    for name, parts in file_to_parts.items():
        if not parts or not parts[-1].mark.last:
            row = parts[-1].mark.next_row if parts else 0
            raise joined_slices.changed_error(job.run, name, row, "it has more documents than were scored")
    return file_to_parts


PlacedSlice = tuple[int, SliceMark | None, int | None, FilePart]
"""The first three fields of a ``PartitionSlice``, and where its rows are."""
SliceGroup = list[PlacedSlice]
"""The slices of a task."""


def _group_files(job: ExportJob, file_to_parts: Mapping[str, list[FilePart]], task_bytes: int) -> Iterator[SliceGroup]:
    """Yield the slices of one task each: some of a large file, or those of complete small ones."""
    waiting: list[PlacedSlice] = []
    filled, num_files = 0, 0
    for index, (source, parts) in enumerate(zip(job.corpus.sources, file_to_parts.values(), strict=True)):
        placed = list(_place_slices(job, index, parts))
        groups = [placed[group.start : group.stop] for group in _group_slices(job, index, parts, task_bytes)]
        size = task_bytes if source.size is None or len(groups) > 1 else source.size
        if waiting and (filled + size > task_bytes or num_files == units.MOST_FILES):
            yield waiting
            waiting, filled, num_files = [], 0, 0
        if size >= task_bytes:
            yield from groups
            continue
        waiting, filled, num_files = waiting + placed, filled + size, num_files + 1
    if waiting:
        yield waiting


def _place_slices(job: ExportJob, index: int, parts: list[FilePart]) -> Iterator[PlacedSlice]:
    left = sum(part.mark.documents for part in parts) if job.corpus.limit is not None else None
    behind = None
    for part in parts:
        yield index, behind, left, part
        behind = part.mark
        left = None if left is None else left - part.mark.documents


def _group_slices(job: ExportJob, source_index: int, parts: list[FilePart], task_bytes: int) -> Iterator[range]:
    """Yield ranges of slices of one task each; a file that can only be read from its start is one task."""
    source = job.corpus.sources[source_index]
    enterable = source.format in ("parquet", "arrow") or parts[0].mark.next_offset is not None
    step = max(1, task_bytes // max(1, job.corpus.slice_bytes)) if enterable else len(parts)
    return (range(start, min(start + step, len(parts))) for start in range(0, len(parts), step))


class _RowChooser:
    """What the tables of filter, bucket and order say of the rows of one slice after the other."""

    def __init__(self, job: ExportJob):
        self._job = job
        self._tables = {"keep": DecisionReader(job.choice.path), **job.placed.open_tables(job.run)}
        self._leaks = LeakedPassages(job.run) if job.treatment else None
        self._bucket_numbers = {name: number for number, name in enumerate(job.placed.buckets)}
        self._kept = 0

    def choose(self, source: int, behind: SliceMark | None, left: int | None, part: FilePart) -> PartitionSlice:
        """Return the next slice with the choice and the hits of its rows. Raises TableError as ``_take`` does."""
        return PartitionSlice(source, behind, left, part.mark, part.path, part.first, *self._take(part.mark))

    def _take(self, mark: SliceMark) -> tuple[pa.Table, dict[int, list[dict[str, Any]]]]:
        """Return the choice and the hits of the next slice, as in ``PartitionSlice``.

        Raises TableError where a table has other rows than the scores.
        """
        columns, rows = {}, None
        for name, table in self._tables.items():
            taken = table.take(mark.documents)
            rows = taken.column("row") if rows is None else rows
            same_file = pc.all(pc.equal(taken.column("file"), mark.file)).as_py()
            if len(taken) and not (same_file and taken["row"].equals(rows)):
                raise joined_slices.foreign_rows_error(name, self._job.run)
            columns[name] = taken.column(name)
            if name == "keep" and self._job.rejected:
                columns["reason"] = taken.column("reason")
        table = pa.table({"row": rows, **columns, "key": self._make_keys(columns)}).combine_chunks()
        return table, self._leaks.collect(mark) if self._leaks else {}

    def _make_keys(self, columns: dict[str, Any]) -> pa.Array:
        """Return the key of each row, int64: by bucket, then by position, else by row of the corpus; −1 if not kept."""
        keep = columns["keep"].to_numpy()
        ranks = np.cumsum(keep) - 1 + self._kept
        self._kept += int(keep.sum())
        keys = np.where(keep, ranks, -1)
        for name in self._tables.keys() - {"keep"}:
            if not bool((columns[name].is_valid().to_numpy() == keep).all()):
                verb = COLUMN_TO_VERB[name]
                message = f"the table of curate {verb} has other documents than are kept"
                raise TableError(message, command(f"{verb} …", self._job.run.path))
        if self._job.placed.order is not None:
            keys = columns["position"].fill_null(-1).to_numpy()
        if self._job.placed.by_bucket:
            names = pa.array(list(self._bucket_numbers), pa.string())
            numbers = pc.index_in(columns["bucket"], names).fill_null(-1).to_numpy()
            if bool((keep & (numbers < 0)).any()):
                raise TableError(
                    "the buckets are not those that run.json names", command("bucket …", self._job.run.path)
                )
            keys = np.where(keep, numbers.astype(np.int64) * BUCKET_KEYS + keys, -1)
        return pa.array(keys, pa.int64())

    def finish(self) -> None:
        """Raise TableError where a hit has no document."""
        if self._leaks:
            self._leaks.check_end()
