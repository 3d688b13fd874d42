"""The pairs of documents whose nats changed most, kept while all pairs are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array


@dataclass(slots=True)
class ExtremePairs:
    """Keeps the pairs whose nats changed most, ``most`` of each direction."""

    most: int
    hashes: UInt64Array = field(default_factory=lambda: np.zeros(0, np.uint64))
    groups: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    columns: Float64Array = field(default_factory=lambda: np.zeros((0, 7)))
    """Documents, then nats, tokens and bytes before and after."""

    def add(self, hashes_N: UInt64Array, groups_N: Int64Array, columns: Sequence[Float64Array | Int64Array]) -> None:
        """Take some pairs; ``columns`` are those of paired units of two sides."""
        matrix = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
        hashes = np.concatenate([self.hashes, hashes_N])
        groups, table = np.concatenate([self.groups, groups_N]), np.concatenate([self.columns, matrix])
        change_N = (table[:, 4] - table[:, 1]) / table[:, 0]
        order = np.argsort(change_N, kind="stable")
        chosen = order if len(order) <= 2 * self.most else np.concatenate([order[: self.most], order[-self.most :]])
        self.hashes, self.groups, self.columns = hashes[chosen], groups[chosen], table[chosen]

    def clear(self) -> None:
        """Forget all pairs."""
        self.hashes, self.groups, self.columns = self.hashes[:0], self.groups[:0], self.columns[:0]

    def list(self) -> Iterator[tuple[Literal["higher", "lower"], int]]:
        """Yield the direction and the index of each pair, the largest change first: what rose, then what fell."""
        change_N = (self.columns[:, 4] - self.columns[:, 1]) / np.maximum(self.columns[:, 0], 1)
        order = np.argsort(-change_N, kind="stable")
        yield from (("higher", int(index)) for index in order[: self.most] if change_N[index] > 0)
        yield from (("lower", int(index)) for index in order[::-1][: self.most] if change_N[index] < 0)
