"""Exact order statistics of one measure: of each drawn domain, of what is kept of it, and of the whole.

The histogram says in which of its fine bins each lies, so that one more pass needs to keep the numbers of those bins
alone; where they are too many for that, ``curate.rundir.quantiles`` takes as many passes as it needs.

A key names some documents: ``g`` those of group g, ``count + g`` its kept ones, then all, all kept, all dropped ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.reports.page.histograms import Histogram
from curate.reports.page.sources import ScoreBlocks
from curate.rundir import quantiles

if TYPE_CHECKING:
    from curate.reports.page.groups import DomainGroups

HELD = 4_000_000  # numbers that are kept to look among, 25 bytes each
Ranks = Mapping[tuple[int, int], float]
"""The number at a rank (0 is the lowest) of the documents of a key, by (key, rank)."""


def sizes_of(histogram: Histogram) -> NDArray[np.int64]:
    """How many documents each key has."""
    return np.asarray(_kinds(histogram.counts).sum(axis=1))


def _kinds(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """key × bin"""
    whole = counts.sum(axis=0)
    return np.concatenate([counts.sum(axis=1), counts[:, 0], np.stack([whole.sum(axis=0), whole[0], whole[1]])])


def find(
    table: ScoreBlocks, groups: "DomainGroups", histogram: Histogram, column: str, wanted: Mapping[int, set[int]]
) -> Ranks:
    """The numbers at some ranks of some keys."""
    kinds, count = _kinds(histogram.counts), len(groups.names)
    bins = {key: _bins(kinds[key], sorted(ranks)) for key, ranks in wanted.items()}
    mask = np.zeros(histogram.counts.shape, np.bool_)
    for key, places in bins.items():
        _members(mask, key, count)[..., sorted(set(places.values()))] = True
    if int(histogram.counts[mask].sum()) > HELD:
        return _find_slowly(table, groups, column, wanted)
    held = _hold(table, groups, histogram, column, mask)
    return {pair: value for key in wanted for pair, value in _look(held, kinds[key], bins[key], key, count)}


def _bins(row: NDArray[np.int64], ranks: Sequence[int]) -> dict[int, int]:
    return dict(zip(ranks, np.searchsorted(np.cumsum(row), ranks, side="right").tolist(), strict=True))


def _members(values: NDArray[np.bool_], key: int, count: int) -> NDArray[np.bool_]:
    """The part of group × (kept, dropped) × … that a key speaks of."""
    if key < 2 * count:
        return values[key] if key < count else values[key - count, :1]
    return values if key == 2 * count else values[:, key - 2 * count - 1]


@dataclass(frozen=True, slots=True)
class _Held:
    """Numbers of some bins, ordered by bin."""

    values: NDArray[np.float64]
    ends: NDArray[np.int64]
    """Where each bin ends, after a 0."""
    lanes: NDArray[np.int32]
    """2 · group + (0 kept, 1 dropped)"""

    def choose(self, number: int, key: int, count: int) -> NDArray[np.float64]:
        """The numbers of one bin that a key speaks of."""
        first, end = self.ends[number : number + 2].tolist()
        values, lanes = self.values[first:end], self.lanes[first:end]
        if key < count:
            return np.asarray(values[lanes >> 1 == key])
        if key < 2 * count:
            return np.asarray(values[lanes == 2 * (key - count)])
        return values if key == 2 * count else np.asarray(values[lanes & 1 == key - 2 * count - 1])


def _hold(
    table: ScoreBlocks, groups: "DomainGroups", histogram: Histogram, column: str, mask: NDArray[np.bool_]
) -> _Held:
    pieces: list[tuple[NDArray[Any], ...]] = [(np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int32))]
    flat = mask.ravel()
    for block in table.blocks():
        values, lanes = block.numbers(column), groups.lanes(block)
        bins = histogram.grid.place(values)
        chosen = np.flatnonzero(flat[lanes * histogram.grid.bins + bins] & (bins >= 0) & (lanes >= 0))
        pieces.append((values[chosen], bins[chosen], lanes[chosen]))
    values, bins, lanes = (np.concatenate([piece[number] for piece in pieces]) for number in range(3))
    order = np.argsort(bins.astype(np.uint16), kind="stable")  # a grid has fewer bins than that holds
    ends = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=histogram.grid.bins))])
    return _Held(values[order], ends, lanes[order])


def _look(
    held: _Held, row: NDArray[np.int64], bins: Mapping[int, int], key: int, count: int
) -> Iterator[tuple[tuple[int, int], float]]:
    below = np.concatenate([[0], np.cumsum(row)])
    for number in sorted(set(bins.values())):
        own = [rank for rank, place in bins.items() if place == number]
        values = quantiles.pick_ranks(held.choose(number, key, count), [int(rank - below[number]) for rank in own])
        yield from (((key, rank), value) for rank, value in zip(own, values, strict=True))


def _find_slowly(table: ScoreBlocks, groups: "DomainGroups", column: str, wanted: Mapping[int, set[int]]) -> Ranks:
    count = len(groups.names)

    def passes() -> Iterator[quantiles.Batch]:
        for block in table.blocks():
            values, lanes = block.numbers(column), groups.lanes(block).astype(np.int64)
            known = (lanes >= 0) & ~np.isnan(values)
            values, group, dropped = values[known], lanes[known] >> 1, lanes[known] & 1
            yield np.tile(values, 3), np.concatenate([group, dropped * 0 + 2 * count, dropped + 2 * count + 1]), None
            yield values[dropped == 0], group[dropped == 0] + count, None

    found = quantiles.find(passes, {key: sorted(ranks) for key, ranks in wanted.items()})
    return {pair: cut.value for pair, cut in found.items()}
