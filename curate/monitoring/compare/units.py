"""Sums of the units that a bootstrap draws: documents with one text, or clusters of documents, by group.

Copies of one text are one unit, since what a model says of them is said once. Where a corpus has more than ``EXACT``
documents, units are random collections of texts (or clusters) by their hash: sums of such collections vary as sums of
their documents do, so that drawing ``MOST_UNITS`` of them estimates the same error, in memory that no longer grows.

Legend of shapes: N documents, U units, C columns.
"""

from collections.abc import Sequence

import numpy as np

from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array

EXACT = 500_000
"""Documents up to which every text, or cluster, is a unit of its own."""
MOST_UNITS = 2048
"""Units that are drawn; the standard error that so many estimate is uncertain by 1.6 %."""


class UnitSums:
    """Adds up columns of numbers by group and unit."""

    def __init__(self, num_columns: int, num_documents: int):
        """Begin with ``num_columns`` columns; ``num_documents`` is about how many documents come, which chooses how."""
        self.num_columns = num_columns
        self._is_exact = num_documents <= EXACT
        self._pieces: list[tuple[Int64Array, UInt64Array, Float64Array]] = []
        self._dense = np.zeros((0, MOST_UNITS, num_columns))

    def add(self, groups_N: Int64Array, keys_N: UInt64Array, columns: Sequence[Float64Array | Int64Array]) -> None:
        """Add the numbers of some documents: the group of each, the key of its unit (a hash), and a value a column."""
        if self._is_exact:
            self._pieces.append((groups_N, keys_N, np.stack([column.astype(np.float64) for column in columns], axis=1)))
            return
        most = int(groups_N.max()) + 1 if len(groups_N) else 0
        if most > len(self._dense):
            grown = np.zeros((most, MOST_UNITS, self.num_columns))
            grown[: len(self._dense)] = self._dense
            self._dense = grown
        size = len(self._dense) * MOST_UNITS
        places_N = groups_N * MOST_UNITS + (keys_N % np.uint64(MOST_UNITS)).astype(np.int64)
        for index, column in enumerate(columns):
            self._dense[:, :, index] += np.bincount(places_N, column, size).reshape(-1, MOST_UNITS)

    def tabulate(self, num_groups: int) -> list[Float64Array]:
        """Return the sums of the units of each group (U × C), then those of all documents together.

        A group has ``MOST_UNITS`` units at most. One without documents has none.
        """
        if not self._is_exact:
            dense = np.zeros((num_groups, MOST_UNITS, self.num_columns))
            dense[: len(self._dense)] = self._dense[:num_groups]
            return [_leave_out_empty(sums) for sums in (*dense, dense.sum(axis=0))]
        if not self._pieces:
            return [np.zeros((0, self.num_columns)) for _ in range(num_groups + 1)]
        groups_N, keys_N, values_NC = (np.concatenate(parts) for parts in zip(*self._pieces, strict=True))
        order = np.argsort(groups_N, kind="stable")
        ends = np.cumsum(np.bincount(groups_N, minlength=num_groups))[:-1]
        groups = [_sum_by_key(keys_N[some], values_NC[some]) for some in np.split(order, ends)]
        return [*groups, _sum_by_key(keys_N, values_NC)]


def _sum_by_key(keys_N: UInt64Array, values_NC: Float64Array) -> Float64Array:
    """Return the sums of each key; keys are merged where there are more than ``MOST_UNITS``."""
    distinct, unit_N = np.unique(keys_N, return_inverse=True)
    if len(distinct) > MOST_UNITS:
        unit_N = (keys_N % np.uint64(MOST_UNITS)).astype(np.int64)
    size = min(len(distinct), MOST_UNITS)
    sums_UC: Float64Array = np.stack([np.bincount(unit_N, column, size) for column in values_NC.T], axis=1)
    return _leave_out_empty(sums_UC)


def _leave_out_empty(sums_UC: Float64Array) -> Float64Array:
    """Return the units that have documents, whose number is the first column."""
    return sums_UC[sums_UC[:, 0] > 0]
