"""Which way of spilling an export takes: by the order that it has."""

from curate.exports.job import ExportJob
from curate.exports.ordered.write import OrderedExport, OrderedMeans
from curate.exports.spilled.passes import SpilledExport
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.sequence import SequenceExport


def make_spilled(job: ExportJob, spill: SpillFolder, means: OrderedMeans) -> SpilledExport:
    """Return an export of text that spills into a folder, which exists."""
    return OrderedExport(job, spill, means) if job.placed.moves else SequenceExport(job, spill)
