"""Order statistics by a sample: numbers are surveyed once, and once more those near the answers are kept.

The first pass counts each group and samples it. The sample says between which two numbers, its bracket, an answer lies
almost surely; the second pass counts the weight below each bracket and keeps what lies in it (Floyd and Rivest 1975,
doi:10.1145/360680.360691). Answers are exact: a position that is not in its bracket is left to the caller.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.runtime.arrays import Array, Float64Array, Int16Array, Int64Array

SAMPLED = 1 << 19
"""Numbers in a sample at most; it then has at least half as many."""
DEVIATIONS = 4
"""Standard deviations of the sample from an answer to the ends of its bracket: one in 16,000 answers lies outside."""

Batch = tuple[Float64Array, Int64Array | int, Int64Array | None]
"""Values (no NaN), the group of each from 0 on, or the one group of all, and the weight of each (None: 1)."""
Passes = Callable[[], Iterable[Batch]]
"""Gives the same batches each time that it is called; all have weights, or none."""
Numbers = tuple[Float64Array, Int64Array | None]
"""Values, and the weight of each (None: 1)."""
BinnedNumbers = tuple[Array, Float64Array, Int64Array | None]
"""The bin of each number, its value and its weight."""


@dataclass(frozen=True, slots=True)
class QuantileCut:
    """The number at a position in the order of its group."""

    value: float
    below: int
    """The weight of the numbers of the group that are less."""


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What one pass over numbers tells."""

    weights: Int64Array
    """The weight of each group."""
    values: Float64Array
    """A sample: every so many-th number, ascending in each group."""
    sampled_weights: Int64Array | None
    """The weights of the sample (None: 1)."""
    starts: Int64Array
    """Where the sample of each group begins, and the end of the last."""
    stride: int
    """The numbers that each of the sample stands for."""


def count_weights(bins: Array, weights: Int64Array | None, size: int) -> Int64Array:
    """Return the weight in each bin from 0 on, at least ``size`` of them; exact where ``np.bincount`` would round."""
    if weights is None:
        return np.bincount(bins, minlength=size).astype(np.int64)
    if not len(weights) or int(weights.max()) * len(weights) < 1 << 53:  # no sum is beyond what floats count
        return np.bincount(bins, weights, size).astype(np.int64)
    found = np.zeros(max(size, int(bins.max()) + 1), np.int64)
    np.add.at(found, bins, weights)
    return found


def survey_numbers(passes: Passes, groups: int) -> Survey:
    """Return the weight of each of the groups 0 … ``groups`` − 1, with a sample of them; other groups are left out."""
    counted, sample = np.zeros(groups, np.int64), _Sample()
    for batch in passes():
        values, group, weights = _leave_out_others(*batch, groups)
        if isinstance(group, int):
            counted[group : group + 1] += len(values) if weights is None else int(weights.sum())
        else:
            counted += count_weights(group, weights, groups)
        sample.add(values, group, weights)
    return Survey(counted, *sample.sort(groups), sample.stride)


class _Sample:
    """Every ``stride``-th number of all batches; the stride doubles as often as the sample grows too large."""

    def __init__(self) -> None:
        self.stride = 1
        self._pieces: list[tuple[Float64Array, Int64Array, Int64Array | None]] = []
        self._size, self._skipped = 0, 0
        """Numbers of the sample, and numbers to pass over before the next one."""

    def add(self, values: Float64Array, group: Int64Array | int, weights: Int64Array | None) -> None:
        chosen = slice(self._skipped, None, self.stride)
        some = values[chosen].copy()
        of = np.full(len(some), group) if isinstance(group, int) else group[chosen].copy()
        self._pieces.append((some, of, None if weights is None else weights[chosen].copy()))
        self._size += len(some)
        self._skipped = (self._skipped - len(values)) % self.stride
        while self._size > SAMPLED:
            self._halve()

    def _halve(self) -> None:
        self._skipped += self.stride * (self._size % 2)
        self.stride *= 2
        pieces, self._pieces, before = self._pieces, [], 0
        for values, group, weights in pieces:
            even = slice(before % 2, None, 2)
            half = None if weights is None else weights[even].copy()
            self._pieces.append((values[even].copy(), group[even].copy(), half))
            before += len(values)
        self._size = (self._size + 1) // 2

    def sort(self, groups: int) -> tuple[Float64Array, Int64Array | None, Int64Array]:
        """Return the values and weights of the sample, ascending in each group, and where each group begins."""
        numbers = join_by_bin([(group, values, weights) for values, group, weights in self._pieces], groups)
        starts = np.cumsum([0, *(len(values) for values, _ in numbers)])
        weighed = [weights[np.argsort(values, kind="stable")] for values, weights in numbers if weights is not None]
        values = np.concatenate([np.zeros(0), *(np.sort(values) for values, _ in numbers)])
        return values, np.concatenate(weighed) if weighed else None, starts


@dataclass(slots=True)
class _Bracket:
    """Two numbers of a group between which some positions are expected, both included."""

    group: int
    low: float
    high: float
    positions: list[int]


def find_sampled_cuts(
    passes: Passes, positions: Mapping[int, Sequence[int]], survey: Survey, kept: int
) -> tuple[dict[tuple[int, int], QuantileCut], dict[int, list[int]]]:
    """Return the numbers at positions of groups, by (group, position), and the positions that remain to be found.

    ``survey`` is that of the same passes. Positions at or beyond the weight of their group have no number. All remain
    where more than ``kept`` numbers would be held.
    """
    wanted = {
        group: some
        for group, every in sorted(positions.items())
        if group < len(survey.weights)
        and (some := sorted({one for one in every if 0 <= one < int(survey.weights[group])}))
    }
    brackets = [one for group, some in wanted.items() for one in _find_brackets(survey, group, some)]
    if not brackets or sum(_count_sampled(survey, one) for one in brackets) * survey.stride > kept:
        return {}, wanted
    inside = _BracketNumbers(brackets, len(survey.weights))
    for batch in passes():
        inside.add(*batch)
        if inside.num_held > 2 * kept:  # the sample misled
            return {}, wanted
    cuts: dict[tuple[int, int], QuantileCut] = {}
    for bracket, below, held in inside.take():
        cuts.update({(bracket.group, at): cut for at, cut in search_numbers(bracket.positions, below, *held)})
    rest = {group: missed for group, some in wanted.items() if (missed := [p for p in some if (group, p) not in cuts])}
    return cuts, rest


def search_numbers(
    positions: Iterable[int], below: int, values: Float64Array, weights: Int64Array | None
) -> Iterator[tuple[int, QuantileCut]]:
    """Yield each position that lies among some numbers of a group, with its number; ``below`` is the lesser weight."""
    if weights is None:
        among = [position for position in positions if 0 <= position - below < len(values)]
        for position, value in zip(among, pick_ranks(values, [one - below for one in among]), strict=True):
            yield position, QuantileCut(value, below + int(np.count_nonzero(values < value)))
        return
    order = np.argsort(values, kind="stable")
    values, ends = values[order], below + np.cumsum(weights[order])
    for position in positions:
        at = int(np.searchsorted(ends, position, side="right"))
        if position >= below and at < len(values):
            first = int(np.searchsorted(values, values[at], side="left"))
            yield position, QuantileCut(float(values[at]), int(ends[first - 1]) if first else below)


def pick_ranks(values: Float64Array, ranks: Sequence[int]) -> list[float]:
    """Return the values at some ranks (0 is the lowest) of an array that is in memory."""
    return [float(value) for value in np.partition(values, ranks)[ranks]] if len(ranks) else []


def join_by_bin(pieces: Sequence[BinnedNumbers], size: int) -> list[Numbers]:
    """Return the numbers of each bin from 0 to ``size`` − 1, in the order of the pieces."""
    if not pieces:
        return [(np.zeros(0), None) for _ in range(size)]
    bins, values = (np.concatenate([piece[part] for piece in pieces]) for part in range(2))
    weighed = [weights for _, _, weights in pieces if weights is not None]
    weights = np.concatenate(weighed) if weighed else None
    if size == 1:
        return [(values, weights)]
    order = np.argsort(bins.astype(np.uint16) if size < 1 << 16 else bins, kind="stable")
    ends = np.cumsum(np.bincount(bins, minlength=size)).tolist()
    chosen = [order[first:end] for first, end in itertools.pairwise([0, *ends])]
    return [(values[some], None if weights is None else weights[some]) for some in chosen]


def _find_brackets(survey: Survey, group: int, positions: Sequence[int]) -> list[_Bracket]:
    """Return the brackets of some positions of a group, ascending; those that overlap are one."""
    first, stop = survey.starts[group : group + 2].tolist()
    values, weights = survey.values[first:stop], np.ones(stop - first)
    if survey.sampled_weights is not None:
        weights = survey.sampled_weights[first:stop].astype(np.float64)
    ends = np.cumsum(weights)
    total, spread = float(ends[-1]) if len(ends) else 0.0, math.sqrt(float(weights @ weights))
    brackets: list[_Bracket] = []
    for position in positions:
        share = position / int(survey.weights[group])
        margin = DEVIATIONS * spread * math.sqrt(share * (1 - share))
        low = int(np.searchsorted(ends, share * total - margin)) - 2
        high = int(np.searchsorted(ends, share * total + margin)) + 2
        least = float(values[low]) if low >= 0 else -math.inf
        most = float(values[high]) if high < len(values) else math.inf
        if brackets and least <= brackets[-1].high:
            brackets[-1].high = max(brackets[-1].high, most)
            brackets[-1].positions.append(position)
        else:
            brackets.append(_Bracket(group, least, most, [position]))
    return brackets


def _count_sampled(survey: Survey, bracket: _Bracket) -> int:
    """Return how many numbers of the sample lie in a bracket; none for a bracket of one number, which is not kept."""
    if bracket.low == bracket.high:
        return 0
    first, stop = survey.starts[bracket.group : bracket.group + 2].tolist()
    values = survey.values[first:stop]
    return int(np.searchsorted(values, bracket.high, side="right") - np.searchsorted(values, bracket.low))


class _BracketNumbers:
    """Counts the weight below brackets and in them, and keeps the numbers in them."""

    def __init__(self, brackets: Sequence[_Bracket], groups: int):
        """Take brackets that ascend within each group; ``groups`` is the number of groups."""
        self._brackets, ranks = brackets, list[int]()
        for number, one in enumerate(brackets):
            is_next = number > 0 and brackets[number - 1].group == one.group
            ranks.append(ranks[-1] + 1 if is_next else 0)
        self._ranks, self._groups, depth = ranks, groups, max(ranks) + 1
        self._low, self._high = np.full((2, depth, groups), np.nan)  # with which every comparison is false
        self._number = np.full((groups, 2 * depth + 1), -1)
        """The bracket by group and step; −1 for the steps between brackets, and for brackets of one number."""
        for number, (one, rank) in enumerate(zip(brackets, ranks, strict=True)):
            self._low[rank, one.group], self._high[rank, one.group] = one.low, one.high
            self._number[one.group, 2 * rank + 1] = number if one.low < one.high else -1
        self._weights = np.zeros(self._number.shape, np.int64)
        """By group and step: the weight below its first bracket, in that, between it and the second, in that, …"""
        self._pieces: list[BinnedNumbers] = []
        self.num_held = 0

    def add(self, values: Float64Array, group: Int64Array | int, weights: Int64Array | None) -> None:
        """Take one batch."""
        values, group, weights = _leave_out_others(values, group, weights, self._groups)
        steps = np.zeros(len(values), np.int16)
        for low, high in zip(self._low, self._high, strict=True):
            steps += values >= (low[group] if isinstance(group, int) else low.take(group))
            steps += values > (high[group] if isinstance(group, int) else high.take(group))
        self._count(steps, group, weights)
        inside = np.flatnonzero(steps & 1)
        of = group if isinstance(group, int) else group.take(inside)
        bins = self._number[of, steps.take(inside)]
        if (bins < 0).any():
            inside, bins = inside[bins >= 0], bins[bins >= 0]
        self._pieces.append((bins, values.take(inside), None if weights is None else weights.take(inside)))
        self.num_held += len(inside)

    def _count(self, steps: Int16Array, group: Int64Array | int, weights: Int64Array | None) -> None:
        width = self._weights.shape[1]
        if isinstance(group, int):
            self._weights[group] += count_weights(steps, weights, width)
        else:
            counted = count_weights(group * width + steps, weights, self._weights.size)
            self._weights += counted.reshape(self._weights.shape)

    def take(self) -> Iterator[tuple[_Bracket, int, Numbers]]:
        """Yield each bracket with the weight below it and its numbers; of a bracket of one number that, weighed."""
        ends = np.cumsum(self._weights, axis=1)
        for number, numbers in enumerate(join_by_bin(self._pieces, len(self._brackets))):
            one, rank = self._brackets[number], self._ranks[number]
            if one.low == one.high:
                numbers = np.array([one.low]), self._weights[one.group, 2 * rank + 1 : 2 * rank + 2]
            yield one, int(ends[one.group, 2 * rank]), numbers


def _leave_out_others(values: Float64Array, group: Int64Array | int, weights: Int64Array | None, groups: int) -> Batch:
    """Return what a batch has of the groups before ``groups``."""
    if isinstance(group, int):
        return (values, group, weights) if group < groups else (values[:0], 0, None if weights is None else weights[:0])
    if len(group) and int(group.max()) >= groups:
        own = np.flatnonzero(group < groups)
        return values[own], group[own], None if weights is None else weights[own]
    return values, group, weights
