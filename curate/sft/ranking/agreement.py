"""Groups of datasets that cannot be told apart, and the agreement of rankings by two models, templates or measures.

Both use the draws of ``curate.sft.ranking.bootstrap``; shapes are named as there: B draws, D datasets.
"""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array
from curate.sft.ranking.bootstrap import LEVEL, adjust_p_values, find_interval, find_p_values
from curate.stages.order.permutations import random_bits

LETTERS = string.ascii_letters
LEAST, EXACT, TRIED = 3, 8, 20_000
"""Datasets from which an order is compared with that of length; up to which all orders are tried; orders beyond."""
BY_LENGTH, BY_CHANCE = 0.8, 0.1
"""An order is one of length from this rank correlation on, where chance gives one as strong less often than this."""
TINY = 1e-9
"""Rounding of a correlation."""


def group_datasets(order: Sequence[int], apart_DD: BoolArray) -> list[tuple[int, ...]]:
    """Return groups such that two datasets share a group if, and only if, they cannot be told apart.

    ``order`` are indices, best first; ``apart_DD`` is the result of ``find_separated_pairs``. Being indistinguishable
    is not transitive (a from b, b from c, and yet a differs from c), so groups overlap and cannot be derived from
    neighbours alone. Each group is maximal and in the order. Where samples have similar errors, groups are runs of the
    order. Otherwise an uncertain dataset can be indistinguishable from both ends of a run while a certain one between
    them differs from both; runs would hide that. This is the compact letter display of the variety trials (Piepho 2004,
    Journal of Computational and Graphical Statistics 13), found greedily: always maximal, not always the fewest.
    """
    groups: list[tuple[int, ...]] = []
    for position, first in enumerate(order):
        for second in order[position:]:
            together = first == second or not apart_DD[first, second]
            if together and not any(first in group and second in group for group in groups):
                groups.append(_widen_group(order, apart_DD, first, second))
    return groups


def _widen_group(order: Sequence[int], apart_DD: BoolArray, *seeds: int) -> tuple[int, ...]:
    """Return the seeds and each further dataset that cannot be told apart from any member so far, in the order."""
    members = set(seeds)
    for index in order:
        if not any(apart_DD[index, member] for member in members):
            members.add(index)
    return tuple(index for index in order if index in members)


def join_few(apart_DD: BoolArray, few_D: Sequence[bool]) -> BoolArray:
    """Return which pairs can be told apart where no dataset of few examples can be, from any other."""
    enough_D = ~np.array(few_D, np.bool_)
    return np.asarray(apart_DD & enough_D[:, None] & enough_D[None, :])


def label_groups(groups: Sequence[tuple[int, ...]], count: int, taken: int = 0) -> list[str]:
    """Return the letters of the groups of each of ``count`` datasets: a, ab, b …; from the 53rd on (53), (54) …

    The first ``taken`` letters are those of other datasets.
    """
    numbers = range(taken, taken + len(groups))
    names = [LETTERS[number] if number < len(LETTERS) else f"({number + 1})" for number in numbers]
    labelled = list(zip(names, groups, strict=True))
    return ["".join(name for name, group in labelled if index in group) for index in range(count)]


def compute_tau(values_a_D: Float64Array, values_b_D: Float64Array) -> float:
    """Return Kendall's τ-b of two rankings: 1 for the same order, −1 for the reverse; ties count for neither.

    Datasets with a NaN on either side are left out. NaN for fewer than two, and where one side is all ties.
    """
    known = ~(np.isnan(values_a_D) | np.isnan(values_b_D))
    first, second = _sign_pairs(values_a_D[known]), _sign_pairs(values_b_D[known])
    untied = np.count_nonzero(first) * np.count_nonzero(second)
    return float(first @ second) / math.sqrt(untied) if untied else math.nan


@dataclass(frozen=True, slots=True)
class LengthOrder:
    """How far an order is one of length."""

    correlation: float
    """Spearman's rank correlation of the values with the lengths; NaN for fewer than three datasets."""
    p_value: float
    """The share of all orders with a correlation as far from 0."""
    datasets: int

    @property
    def is_by_length(self) -> bool:
        """Whether the order is that of length, or nearly, and that is no likely accident unless it is exactly so."""
        strength = abs(self.correlation)
        return strength >= BY_LENGTH and (self.p_value < BY_CHANCE or strength > 1 - TINY)


NO_LENGTH_ORDER = LengthOrder(math.nan, math.nan, 0)
"""Of too few datasets, or of equal ones."""


def compare_with_length(values_D: Float64Array, lengths_D: Float64Array) -> LengthOrder:
    """Return the rank correlation of values with lengths, and how often chance alone gives one as strong.

    All orders of up to ``EXACT`` datasets are tried, and ``TRIED`` random ones of more. Datasets with a NaN are left
    out.
    """
    known = np.isfinite(values_D) & np.isfinite(lengths_D)
    if known.sum() < LEAST:
        return NO_LENGTH_ORDER
    first, second = _rank_evenly(values_D[known]), _rank_evenly(lengths_D[known])
    size = float(np.sqrt((first @ first) * (second @ second)))
    if not size:
        return NO_LENGTH_ORDER
    if len(first) <= EXACT:
        orders = np.array(list(permutations(range(len(first)))))
    else:
        chance = np.random.Generator(random_bits(0))
        orders = np.array([chance.permutation(len(first)) for _ in range(TRIED)])
    found = float(first @ second) / size
    others = first[orders] @ second / size
    return LengthOrder(found, float(np.mean(np.abs(others) >= abs(found) - TINY)), len(first))


def _rank_evenly(values_D: Float64Array) -> Float64Array:
    """Return the ranks less their mean; equal values share the mean of their ranks."""
    below = (values_D[:, None] > values_D[None, :]).sum(axis=1)
    equal = (values_D[:, None] == values_D[None, :]).sum(axis=1)
    ranks = below + (equal - 1) / 2
    return np.asarray(ranks - ranks.mean())


def _sign_pairs(values_D: Float64Array) -> Float64Array:
    """Return for each pair of datasets whether the second is higher (1), lower (−1), or equal (0)."""
    firsts, seconds = np.triu_indices(len(values_D), 1)
    return (values_D[seconds] > values_D[firsts]).astype(np.float64) - (values_D[seconds] < values_D[firsts])


def bound_agreement(draws_a_BD: Float64Array, draws_b_BD: Float64Array) -> tuple[float, float]:
    """Return the 95 % interval of ``compute_tau`` over paired draws: the same examples resampled under both models.

    Datasets with a NaN among their draws are left out. Sampling noise shuffles nearly equal datasets, once in the
    samples and twice in the draws: the estimate is closer to 0 than the truth, and the interval closer still. So an
    interval below 1 does not prove that the rankings differ; ``find_changes`` tests that.
    """
    known = ~(np.isnan(draws_a_BD) | np.isnan(draws_b_BD)).any(axis=0)
    pairs = zip(draws_a_BD[:, known], draws_b_BD[:, known], strict=True)
    low, high = find_interval(np.array([compute_tau(first, second) for first, second in pairs]))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Two datasets that two models rank in opposite orders, beyond chance."""

    first: int
    """The index of the better dataset under a."""
    second: int
    """The index of the better dataset under b."""
    p_value: float
    """Adjusted for all pairs (Holm)."""


def find_changes(
    values_a_D: Float64Array,
    draws_a_BD: Float64Array,
    values_b_D: Float64Array,
    draws_b_BD: Float64Array,
    looks: int = 1,
) -> list[OrderChange]:
    """Return the pairs separated one way under a and the other way under b, smallest p-value first.

    Both separations are needed, so a pair's p-value is the larger of the two, and 1 where the order did not change;
    this is valid for any dependence between the two models' errors. Holm's adjustment over all pairs, and an equal part
    of the .05 for each of ``looks`` at growing samples: if no pair changes, some pair is listed at most once in twenty
    times. A pair that is not listed may still change; it was not shown yet.
    """
    upper = np.triu_indices(len(values_a_D), 1)
    worse = np.maximum(find_p_values(values_a_D, draws_a_BD)[upper], find_p_values(values_b_D, draws_b_BD)[upper])
    signs_a = _sign_pairs(values_a_D)
    p_values = adjust_p_values(np.where(signs_a * _sign_pairs(values_b_D) < 0, worse, 1.0))
    changes = [
        OrderChange(*((one, two) if sign > 0 else (two, one)), p_value)
        for one, two, sign, p_value in zip(*(each.tolist() for each in (*upper, signs_a, p_values)), strict=True)
        if p_value < (1 - LEVEL) / looks
    ]
    return sorted(changes, key=lambda change: change.p_value)


def count_reversals(values_a_D: Float64Array, values_b_D: Float64Array) -> int:
    """Return how many pairs have the opposite order under b, by their values alone, chance included."""
    return int(np.count_nonzero(_sign_pairs(values_a_D) * _sign_pairs(values_b_D) < 0))
