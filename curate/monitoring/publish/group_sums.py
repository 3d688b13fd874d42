"""Sums of the scored documents of a run by group, of as many groups as there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.errors import UsageError
from curate.monitoring.compare.documents import Grouping
from curate.monitoring.compare.measures import divide, show_level
from curate.monitoring.compare.run_documents import read_run
from curate.monitoring.publish.labels import OTHER, name_group
from curate.monitoring.publish.measurements import rank_groups
from curate.rundir.run import Run
from curate.runtime.arrays import Float64Array

MOST_VALUES = 100_000
"""Groups that are added up; with more, the column is one of ids, not of kinds."""
MEASURES = ("perplexity", "bits_per_byte")


class AllGroups(Grouping):
    """A grouping that a comparison would refuse: few groups are shown, all are added up."""

    def number(self, name: str) -> int:
        """Return the number of a group. Raises UsageError where there are more than ``MOST_VALUES``."""
        number = self.numbers.setdefault(name, len(self.numbers))
        if number >= MOST_VALUES:
            message = f"--within {','.join(self.within)} has more than {MOST_VALUES:,} values"
            raise UsageError(message, "name a column of kinds of documents, such as --within domain")
        return number


@dataclass(frozen=True, slots=True)
class GroupSums:
    """What the documents of a group, or all, add up to."""

    name: str
    documents: int
    nats: float
    tokens: int
    bytes: int

    def measure(self, metric: str) -> float:
        """Return perplexity or bits per byte as ``curate compare`` shows it; NaN without any tokens or bytes."""
        return show_level(divide(self.nats, self.tokens, self.bytes, metric), metric)


def sum_run(run: Run, within: Sequence[str]) -> tuple[GroupSums, list[GroupSums]]:
    """Return the sums of all scored documents of a run, and those of its groups by some columns; none without columns.

    Raises UsageError where the documents have no such column, or one with too many values.
    """
    grouping = AllGroups(tuple(within))
    sums_G4 = np.zeros((0, 4))
    for batch in read_run(run, grouping):
        size = len(grouping.names)
        sums_G4 = np.concatenate([sums_G4, np.zeros((size - len(sums_G4), 4))])
        for index, column in enumerate((np.ones(len(batch)), batch.nats, batch.tokens, batch.bytes)):
            sums_G4[:, index] += np.bincount(batch.groups, column, size)
    rows = zip(grouping.names, sums_G4, strict=True) if within else ()
    return _make_sums("", sums_G4.sum(axis=0)), [_make_sums(name_group(name), row) for name, row in rows if row[0]]


def _make_sums(name: str, row: Float64Array) -> GroupSums:
    documents, nats, tokens, octets = row.tolist()
    return GroupSums(name, int(documents), nats, int(tokens), int(octets))


def fold_groups(groups: Sequence[GroupSums], most: int) -> tuple[list[GroupSums], int]:
    """Return at most ``most`` groups, the smallest added up as other, and how many those were."""
    kept, folded = rank_groups([group.documents for group in groups], [group.name for group in groups], most)
    if not folded:
        return list(groups), 0
    rest = [groups[index] for index in folded]
    other = GroupSums(
        OTHER,
        sum(group.documents for group in rest),
        sum(group.nats for group in rest),
        sum(group.tokens for group in rest),
        sum(group.bytes for group in rest),
    )
    return [*(groups[index] for index in kept), other], len(folded)
