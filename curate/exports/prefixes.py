"""The prefix of the columns that an export adds: one with which no column of the corpus begins."""

from collections.abc import Sequence
from dataclasses import replace

from curate.exports.job import ExportJob
from curate.exports.joined_slices import NameTakenError


def choose_prefix(columns: Sequence[str], first: int = 1) -> str:
    """Return the first of ``curate_``, ``curate2_`` … with which no column begins, from the ``first`` on."""
    while True:
        prefix = "curate_" if first == 1 else f"curate{first}_"
        if not any(name.startswith(prefix) for name in columns):
            return prefix
        first += 1


def follow_prefix(job: ExportJob, taken: NameTakenError) -> ExportJob:
    """Return the job with the next prefix, since a column that was found late has the name of one that is added."""
    number = int(job.prefix.removeprefix("curate").removesuffix("_") or 1)
    return replace(job, prefix=choose_prefix([*job.corpus.columns, str(taken)], number + 1))
