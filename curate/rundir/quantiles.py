"""Exact quantiles and order statistics of many numbers in many groups, in bounded memory.

A number is found by its position in the order of its group, where positions count weights: documents (weight 1) or
tokens. Nothing is sorted completely: passes over the numbers count how much weight falls into which bin of their binary
representation, until the bins that hold an answer are small enough to be kept and searched. Where the caller surveys
the numbers first, a sample nearly always tells them at once (``curate.rundir.quantile_samples``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.rundir.quantile_samples import (
    Batch,
    BinnedNumbers,
    Numbers,
    Passes,
    QuantileCut,
    Survey,
    count_weights,
    find_sampled_cuts,
    join_by_bin,
    pick_ranks,
    search_numbers,
    survey_numbers,
)
from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array

__all__ = [
    "Batch",
    "Passes",
    "QuantileCut",
    "Survey",
    "compute_quantiles",
    "count_weights",
    "find_cuts",
    "interpolate",
    "pick_ranks",
    "ranks_around",
    "sum_weights",
    "survey_numbers",
]

KEPT = 1 << 20
"""Numbers that are kept at a time; more would be slower, since they are sorted."""
KEPT_OF_BRACKETS = 8
"""Times as many numbers may be kept where a sample says which: that spares passes, each of which may read tables."""
COUNTERS = 1 << 22
"""Bins counted at a time, over all groups."""
BITS = 64


def sum_weights(passes: Passes, groups: int) -> Int64Array:
    """Return the weight of each of the groups 0 … ``groups`` − 1; numbers of other groups do not count."""
    found = np.zeros(groups, np.int64)
    for values, group, weights in passes():
        found += count_weights(_spread(group, len(values)), weights, groups)[:groups]
    return found


def _spread(group: Int64Array | int, size: int) -> Int64Array:
    """Return the group of each number of a batch."""
    return np.full(size, group, np.int64) if isinstance(group, int) else group


def find_cuts(
    passes: Passes, positions: Mapping[int, Sequence[int]], kept: int = KEPT, survey: Survey | None = None
) -> dict[tuple[int, int], QuantileCut]:
    """Return the numbers at some positions of some groups, by (group, position).

    Positions count from 0. The number at position p is the smallest whose weight together with that of all lesser
    numbers exceeds p; a position at or beyond the weight of its group is not in the answer. ``kept`` bounds memory:
    numbers held at a time. With the ``survey`` of the same passes one more pass is enough, nearly always.
    """
    found: dict[tuple[int, int], QuantileCut] = {}
    if survey is not None:
        found, positions = find_sampled_cuts(passes, positions, survey, KEPT_OF_BRACKETS * kept)
    bins = [_Bin(group, 0, 0, sorted(set(some))) for group, some in sorted(positions.items()) if some]
    bits, load = 0, kept + 1
    while bins and bits < BITS and load > kept:
        more = min(BITS - bits, max(1, min(16, (COUNTERS // len(bins)).bit_length() - 1)))
        bins, load = _refine(passes, bins, bits, more)
        bits += more
    if bins and bits < BITS:
        for one, numbers in zip(bins, _gather(passes, bins, bits), strict=True):
            found.update({(one.group, at): cut for at, cut in search_numbers(one.positions, one.below, *numbers)})
        return found
    return found | {
        (one.group, at): QuantileCut(value_of(one.prefix), one.below) for one in bins for at in one.positions
    }


@dataclass(frozen=True, slots=True)
class _Bin:
    """Numbers of a group whose keys begin with the same bits, and the positions that lie among them."""

    group: int
    prefix: int
    below: int
    """The weight of the lesser numbers of the group."""
    positions: Sequence[int]


def keys_of(values: Float64Array) -> UInt64Array:
    """Return whole numbers in the order of the values; −0 and 0 have the same."""
    plain = np.ascontiguousarray(values, np.float64) + 0.0
    raw = plain.view(np.uint64)
    return np.where(raw >> np.uint64(63) == 1, ~raw, raw | np.uint64(1 << 63))


def value_of(key: int) -> float:
    """Return the number of a key, as ``keys_of`` makes it."""
    raw = key ^ (1 << 63) if key >> 63 else key ^ ((1 << 64) - 1)
    return float(np.array([raw], np.uint64).view(np.float64)[0])


class _Membership:
    """Finds the bin of each number from its key and its group; −1 for none."""

    def __init__(self, bins: Sequence[_Bin], bits: int):
        self._shift = np.uint64(BITS - bits) if bits else None
        prefixes = np.array([one.prefix for one in bins], np.uint64)
        groups = np.array([one.group for one in bins], np.int64)
        self._known = np.unique(prefixes)
        self._table: Int64Array | None = None
        self._groups = int(groups.max(initial=-1)) + 1
        at = groups * len(self._known) + np.searchsorted(self._known, prefixes)
        if self._groups * len(self._known) <= COUNTERS:
            self._table = np.full(self._groups * len(self._known), -1, np.int64)
            self._table[at] = np.arange(len(bins))
        self._order = np.argsort(at)
        self._codes = at[self._order]

    def __call__(self, keys: UInt64Array, group: Int64Array) -> Int64Array:
        if not len(self._known) or not len(keys):
            return np.full(len(keys), -1, np.int64)
        prefixes = np.zeros(len(keys), np.uint64) if self._shift is None else keys >> self._shift
        at = np.minimum(np.searchsorted(self._known, prefixes), len(self._known) - 1)
        valid = (self._known[at] == prefixes) & (group < self._groups)
        lanes = np.where(valid, group * len(self._known) + at, 0)
        if self._table is not None:
            return np.where(valid, self._table[lanes], -1)
        index = np.minimum(np.searchsorted(self._codes, lanes), len(self._codes) - 1)
        return np.where(valid & (self._codes[index] == lanes), self._order[index], -1)


def _refine(passes: Passes, bins: Sequence[_Bin], bits: int, more: int) -> tuple[list[_Bin], int]:
    """Split each bin into 2^``more`` smaller ones.

    Returns those in which a position lies, and how many numbers they have.
    """
    size, member_of = 1 << more, _Membership(bins, bits)
    weight, load = np.zeros(len(bins) * size, np.int64), np.zeros(len(bins) * size, np.int64)
    weighted = False
    for values, group, weights in passes():
        keys = keys_of(values)
        members = member_of(keys, _spread(group, len(values)))
        if (members < 0).any():
            inside = members >= 0
            keys, members, weights = keys[inside], members[inside], None if weights is None else weights[inside]
        digits = (keys >> np.uint64(BITS - bits - more)) & np.uint64(size - 1)
        cells = members * size + digits.astype(np.int64)
        load += np.bincount(cells, minlength=len(load))
        weight += 0 if weights is None else count_weights(cells, weights, len(weight))
        weighted = weights is not None
    if not load.any():
        return [], 0
    weight = weight if weighted else load
    found, loads = [], 0
    for number, one in enumerate(bins):
        row = weight[number * size : (number + 1) * size]
        ends = one.below + np.cumsum(row)
        digit_of = np.searchsorted(ends, np.array(one.positions), side="right")
        for digit in np.unique(digit_of[digit_of < size]).tolist():
            here = [at for at, of in zip(one.positions, digit_of.tolist(), strict=True) if of == digit]
            below = int(ends[digit] - row[digit])
            found.append(_Bin(one.group, (one.prefix << more) | digit, below, here))
            loads += int(load[number * size + digit])
    return found, loads


def _gather(passes: Passes, bins: Sequence[_Bin], bits: int) -> list[Numbers]:
    """Return the numbers of each bin, in the order of the passes."""
    pieces: list[BinnedNumbers] = []
    member_of = _Membership(bins, bits)
    for values, group, weights in passes():
        members = member_of(keys_of(values), _spread(group, len(values)))
        inside = np.flatnonzero(members >= 0)
        pieces.append((members[inside], values[inside], None if weights is None else weights[inside]))
    return join_by_bin(pieces, len(bins))


def compute_quantiles(
    passes: Passes,
    groups: Sequence[int],
    shares: Sequence[float],
    counts: Int64Array | None = None,
    kept: int = KEPT,
) -> dict[int, list[float]]:
    """Return the quantiles of the values within each group, in the order of ``shares`` (0 … 1); weights do not count.

    ``counts`` are the numbers of values by group, where the caller knows them; else one more pass counts them.
    A quantile lies between order statistics (``interpolate``). All are NaN for an empty group.
    """
    survey = survey_numbers(passes, max(groups, default=-1) + 1) if counts is None else None
    known = counts if survey is None else survey.weights
    assert known is not None
    sizes = {group: int(known[group]) for group in groups}
    cuts = find_cuts(passes, {group: ranks_around(size, shares) for group, size in sizes.items()}, kept, survey)

    def quantile(group: int, share: float) -> float:
        return interpolate(lambda rank: cuts[group, rank].value, sizes[group], share)

    return {group: [quantile(group, share) for share in shares] for group in groups}


def ranks_around(size: int, shares: Iterable[float]) -> list[int]:
    """Return the ranks (0 is the lowest) whose values ``interpolate`` needs, ascending; none of no values."""
    points = [share * (size - 1) for share in shares] if size else []
    return sorted({rank for point in points for rank in (int(point), min(int(point) + 1, size - 1))})


def interpolate(value_at: Callable[[int], float], size: int, share: float) -> float:
    """Return a quantile of ``size`` values, linear between order statistics; NaN of no values.

    This is the definition of ``np.quantile``. Infinite neighbours that are equal give themselves, and not NaN.
    """
    if not size:
        return float("nan")
    point = share * (size - 1)
    low, high = value_at(int(point)), value_at(min(int(point) + 1, size - 1))
    return low if point % 1 == 0 or low == high else low + point % 1 * (high - low)
