"""Which datasets cannot be told apart, and whether two models (or templates, or measures) rank them alike.

Built on ``uncertainty``'s draws; its legend of shapes holds here.
"""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.sft.ranking.bootstrap import LEVEL, bound, find_p_values, hold

Floats = NDArray[np.float64]

LETTERS = string.ascii_letters


def group(order: Sequence[int], apart_DD: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Groups of datasets that cannot be told apart: two share a group if, and only if, they are not told apart.

    Not being told apart is not transitive (a like b, b like c, and yet a unlike c), so that groups overlap, and the
    neighbours of an order alone do not give them: ``apart_DD`` is ``separate``'s, of all pairs. Each group is maximal.
    Where the samples are alike, they are the runs of the order within which no pair is told apart. Where they are not,
    an uncertain dataset can be like both ends of a run and a sure one between them like neither; runs would hide that.
    This is the compact letter display of the variety trials (Piepho 2004, Journal of Computational and Graphical
    Statistics 13), found greedily: always maximal, not always the fewest.
    """
    groups: list[tuple[int, ...]] = []
    for place, first in enumerate(order):
        for second in order[place:]:
            together = first == second or not apart_DD[first, second]
            if together and not any(first in held and second in held for held in groups):
                groups.append(_widen(order, apart_DD, first, second))
    return groups


def _widen(order: Sequence[int], apart_DD: NDArray[np.bool_], *seeds: int) -> tuple[int, ...]:
    """The seeds, and every dataset of the order that is like all that are in, in the order."""
    members = set(seeds)
    for one in order:
        if not any(apart_DD[one, member] for member in members):
            members.add(one)
    return tuple(one for one in order if one in members)


def label(groups: Sequence[tuple[int, ...]], count: int) -> list[str]:
    """The letters of each of ``count`` datasets' groups: a, ab, b … Two share a letter if they are not told apart."""
    names = [LETTERS[place] if place < len(LETTERS) else f"({place + 1})" for place in range(len(groups))]
    return ["".join(name for name, held in zip(names, groups, strict=True) if one in held) for one in range(count)]


def agree(values_a_D: Floats, values_b_D: Floats) -> float:
    """Kendall's τ-b of two rankings: 1 for the same order, −1 for the reverse; ties count for neither.

    Datasets without a value on both sides are left out. NaN for fewer than two, and where one side is all ties.
    """
    known = ~(np.isnan(values_a_D) | np.isnan(values_b_D))
    first, second = _sign_pairs(values_a_D[known]), _sign_pairs(values_b_D[known])
    untied = np.count_nonzero(first) * np.count_nonzero(second)
    return float(first @ second) / math.sqrt(untied) if untied else math.nan


def _sign_pairs(values_D: Floats) -> Floats:
    """Of each pair of datasets, whether the second is higher (1), lower (−1), or equal (0)."""
    firsts, seconds = np.triu_indices(len(values_D), 1)
    return (values_D[seconds] > values_D[firsts]).astype(np.float64) - (values_D[seconds] < values_D[firsts])


def bound_agreement(draws_a_BD: Floats, draws_b_BD: Floats) -> tuple[float, float]:
    """The 95 % interval of ``agree`` over paired draws: the same examples resampled under both models.

    Datasets with a NaN among their draws are left out. Sampling noise shuffles near-equal datasets, in the samples
    once, in the draws twice: the estimate lies nearer to 0 than the truth, and the interval nearer still, so that an
    interval below 1 is no proof that the rankings differ. That is ``find_changes``' to say.
    """
    known = ~(np.isnan(draws_a_BD) | np.isnan(draws_b_BD)).any(axis=0)
    pairs = zip(draws_a_BD[:, known], draws_b_BD[:, known], strict=True)
    low, high = bound(np.array([agree(first, second) for first, second in pairs]))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Two datasets that one model ranks one way, and another the other way, beyond chance."""

    first: int
    """The better one under a."""
    second: int
    """The better one under b."""
    p_value: float
    """Adjusted for all pairs (Holm)."""


def find_changes(values_a_D: Floats, draws_a_BD: Floats, values_b_D: Floats, draws_b_BD: Floats) -> list[OrderChange]:
    """The pairs separated one way under a and the other way under b, surest first.

    Both must hold, so that a pair's p-value is the larger of the two, and 1 where the order did not change; this is
    right however the two models' errors go together. Over all pairs Holm's adjustment: if none really changes, any is
    listed at most once in twenty. A pair that changed and is not listed may be a real change not yet shown.
    """
    upper = np.triu_indices(len(values_a_D), 1)
    worse = np.maximum(find_p_values(values_a_D, draws_a_BD)[upper], find_p_values(values_b_D, draws_b_BD)[upper])
    signs_a = _sign_pairs(values_a_D)
    p_values = hold(np.where(signs_a * _sign_pairs(values_b_D) < 0, worse, 1.0))
    found = [
        OrderChange(*((one, two) if sign > 0 else (two, one)), p_value)
        for one, two, sign, p_value in zip(*(each.tolist() for each in (*upper, signs_a, p_values)), strict=True)
        if p_value < 1 - LEVEL
    ]
    return sorted(found, key=lambda change: change.p_value)


def count_reversals(values_a_D: Floats, values_b_D: Floats) -> int:
    """How many pairs stand the other way round under b, by their values alone, chance included."""
    return int(np.count_nonzero(_sign_pairs(values_a_D) * _sign_pairs(values_b_D) < 0))
