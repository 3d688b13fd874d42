"""From the corpus to the spill: the rows of an ordered export, read slice by slice and spilled under their keys.

Workers run tasks at the same time. What a slice gives depends on the slice alone, so neither the number of workers nor
the memory changes what is written.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from curate.corpus.values.schema_widening import fit_table
from curate.exports import slice_rows
from curate.exports.formats.lines import view_lines
from curate.exports.job import ExportJob
from curate.exports.ordered.spill import NARROW, Narrow, SpillFile, SpillPiece
from curate.exports.ordered.tasks import PartitionTask
from curate.exports.slice_rows import OutputRows
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.records import TaskResult, read_result, write_result
from curate.runtime.arrays import Int64Array


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """What all workers know."""

    job: ExportJob
    spill: SpillFolder
    limit: int
    """Bytes of rows that a worker gathers before it sorts them."""
    cell: int
    """Number of keys that no piece of the spill crosses a multiple of."""


def partition_task(shared: PartitionPlan, task: PartitionTask) -> TaskResult:
    """Spill the rows of the slices of a task that are kept. Raises what ``slice_rows.read_task`` raises."""
    if not shared.spill.has_task(task.number):
        with shared.spill.build_task(task.number) as folder:
            write_result(folder, _spill_task(shared, task, folder))
    return read_result(shared.spill, task.number, SpillPiece)


def _spill_task(shared: PartitionPlan, task: PartitionTask, folder: Path) -> TaskResult:
    spill, result = SpillFile(folder / "run", shared.limit, shared.cell), TaskResult()
    for rows in slice_rows.read_task(shared.job, task):
        result.see(rows.shape)
        result.misread |= rows.misread
        result.counts.add(rows.counts)
        result.read_bytes += rows.num_bytes
        _spill_rows(spill, rows)
    result.pieces = spill.finish()
    return result


def _spill_rows(spill: SpillFile, rows: OutputRows) -> None:
    if rows.lines is not None:
        spill.add(_make_narrow(rows, np.diff(view_lines(rows.lines)[0])), rows.lines)
        return
    table = fit_table(rows.table, rows.shape.schema())
    num_bytes = pc.fill_null(rows.scores.column("bytes"), 0).to_numpy()
    other_bytes = max(0, table.nbytes - int(num_bytes.sum())) // max(1, len(table)) + 1
    spill.add(_make_narrow(rows, num_bytes + other_bytes), table)


def _make_narrow(rows: OutputRows, sizes: Int64Array) -> Narrow:
    """Return the narrow rows of the rows that are kept; ``sizes`` are their bytes."""
    scores, choice = rows.scores, rows.part.choice
    narrow = np.empty(len(scores), NARROW)
    narrow["key"] = choice.column("key").filter(choice.column("keep")).to_numpy()
    narrow["file"], narrow["row"] = rows.part.source, scores.column("row").to_numpy()
    narrow["tokens"], narrow["size"] = pc.fill_null(scores.column("tokens"), 0).to_numpy(), sizes
    return narrow
