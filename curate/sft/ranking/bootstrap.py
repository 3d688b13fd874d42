"""The uncertainty of a ranking of datasets: the bootstrap over examples, tests of pairs, and intervals of ranks.

The unit is the example: rows are drawn with repetition, never tokens, since the tokens of one example are dependent.
Datasets are drawn independently of each other. If two share examples, their difference is less uncertain than estimated
here. A lower value comes first throughout; negate a value of which higher is better.

The sample of a dataset may be stratified by length, each stratum with its share. The bootstrap ignores strata and so
includes the variance between them: its intervals are slightly too wide, not too narrow. Where the sample is the
complete dataset, intervals are about the source that the dataset was written from.

Two datasets are told apart by one test, from which neighbours, letters and rank intervals follow: it holds over all
pairs (Holm) and over all looks at growing samples (Bonferroni). ``intervals`` has the intervals of single numbers. One
example has no interval: NaN, never a false certainty. If a draw of a dataset is NaN, no claim is made about the
dataset.

Legend of shapes: N examples, K columns, B draws, D datasets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array, Int64Array
from curate.stages.order.permutations import random_bits

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
LENGTH = 2 * NormalDist().inv_cdf(TAILS[1])
"""Standard deviations in a normal 95 % interval."""
POWER = 0.8
"""The share of samples in which a difference is to be found."""
BLOCK = 1 << 20
"""Counts in memory at once: 24 MB with the numbers they are made from."""


def make_generator(seed: int, key: str) -> np.random.Generator:
    """Return the random numbers of the dataset ``key``, which depend on no other dataset and on no order.

    Equal seeds and keys give equal numbers, so that two models' matrices of the same examples are drawn alike.
    """
    return np.random.Generator(random_bits(seed, *key.encode()))


def resample(columns_NK: Float64Array, draws: int, generator: np.random.Generator) -> Float64Array:
    """Return the sums of the columns over N examples drawn with repetition, once for each of ``draws`` draws (B × K).

    The counts depend only on the generator, N and the number of the draw: matrices of equal N with generators in equal
    states get the same counts, and stay paired. A column where fewer than two examples differ from 0 is NaN, so all of
    them are for N < 2.
    """
    count = len(columns_NK)
    sums = np.full((draws, columns_NK.shape[1]), np.nan)
    rows = max(1, BLOCK // max(count, 1))
    for begin in range(0, draws if count else 0, rows):
        counts = _draw_counts(generator, min(rows, draws - begin), count)
        with np.errstate(invalid="ignore"):  # 0 · infinity: a draw without the infinite example is NaN, too
            sums[begin : begin + rows] = counts @ columns_NK
    sums[:, np.count_nonzero(columns_NK, axis=0) < 2] = np.nan
    return sums


def _draw_counts(generator: np.random.Generator, rows: int, count: int) -> Float64Array:
    """Return how often each example is drawn: multinomial, ``rows`` × ``count``."""
    picks = generator.integers(count, size=(rows, count))
    picks += np.arange(rows)[:, None] * count
    return np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def find_interval(draws: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return both ends of the 95 % percentile interval over the first axis; NaN where any draw is NaN."""
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(draws, TAILS, axis=0)
    unknown = np.isnan(draws).any(axis=0)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


@dataclass(frozen=True, slots=True)
class RankInterval:
    """The rank of one dataset, and the interval of its ranks."""

    rank: int
    """1 for the lowest value; equal values rank in the order of the list, NaN last."""
    rank_low: int
    rank_high: int
    """The 95 % interval of the rank is ``rank_low`` … ``rank_high``, ends included; it contains ``rank``."""
    best: float
    """The share of draws in which the dataset is first; ties share a draw. NaN without draws."""


def find_rank_intervals(values_D: Float64Array, draws_BD: Float64Array, apart_DD: BoolArray) -> list[RankInterval]:
    """Return each dataset's rank, the interval of its ranks, and how often it is first among the draws.

    ``apart_DD`` is the result of ``find_separated_pairs``. A dataset ranks behind those that are told apart from it and
    lower, and before those that are told apart and higher; any other could stand on either side. So the intervals hold
    for all datasets at once, 95 % of the time, and over all looks (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of
    Economic Studies 91), where percentiles of drawn ranks have no guaranteed coverage for nearly equal datasets (Hall &
    Miller 2009, Annals of Statistics 37). A dataset without draws could have any rank, and the ranks of the others
    could be one higher for it. ``best`` is counted among the others, and adds up to 1.
    """
    count = len(values_D)
    ranks = np.empty(count, np.int64)
    ranks[np.argsort(values_D, kind="stable")] = np.arange(1, count + 1)
    unknown = np.isnan(draws_BD).any(axis=0) | np.isnan(values_D)
    before = (apart_DD & (values_D[None, :] < values_D[:, None])).sum(axis=1)
    behind = (apart_DD & (values_D[None, :] > values_D[:, None])).sum(axis=1)
    known_BD = draws_BD[:, ~unknown]
    return [
        RankInterval(
            int(rank),
            1 + int(before[index]),
            count - int(behind[index]),
            math.nan if unknown[index] else _share_first(draws_BD[:, [index]], known_BD),
        )
        for index, rank in enumerate(ranks)
    ]


def _share_first(draws_B1: Float64Array, known_BD: Float64Array) -> float:
    """Return the share of draws in which a dataset is the lowest of those with draws; ties share a draw."""
    tied = (known_BD == draws_B1).sum(axis=1)
    first = ~(known_BD < draws_B1).any(axis=1)
    return float(np.mean(first / tied))


@dataclass(frozen=True, slots=True)
class NeighbourComparison:
    """Two datasets that follow one another in an order."""

    better: int
    """The index of the dataset."""
    worse: int
    difference: float
    """The worse dataset's value less the better one's."""
    reversed_share: float
    """The share of draws in which their order is reversed; a tie is half a draw."""
    separated: bool
    """Whether they are told apart, over all pairs and looks."""
    factor: float
    """The factor by which both samples must grow to ``needed``; infinite for a difference of 0, NaN without draws."""
    needed: tuple[float, float]
    """Examples (better, worse) with which the estimated difference is found in four of five samples."""


def compare_neighbours(
    values_D: Float64Array,
    draws_BD: Float64Array,
    order: Sequence[int],
    counts_D: Sequence[int] | Int64Array,
    looks: int = 1,
) -> list[NeighbourComparison]:
    """Compare each dataset with the next one in ``order`` (indices, best first); ``counts_D`` are sizes of samples.

    A pair is separated where ``find_separated_pairs`` tells it apart. What it needs is reckoned at the level to which
    Holm's method would hold it next: .05 over the looks and over the pairs that are not told apart yet. Datasets
    without draws are not separated from any.
    """
    apart_DD = find_separated_pairs(values_D, draws_BD, counts_D, looks)
    still = np.count_nonzero(~apart_DD[np.triu_indices(len(values_D), 1)])
    level = (1 - LEVEL) / looks / max(int(still), 1)
    return [
        _compare_pair(values_D, draws_BD, better, worse, counts_D, bool(apart_DD[better, worse]), level)
        for better, worse in pairwise(order)
    ]


def _compare_pair(
    values_D: Float64Array,
    draws_BD: Float64Array,
    better: int,
    worse: int,
    counts_D: Sequence[int] | Int64Array,
    separated: bool,
    level: float,
) -> NeighbourComparison:
    difference = float(values_D[worse] - values_D[better])
    with np.errstate(invalid="ignore"):
        away_B = draws_BD[:, worse] - draws_BD[:, better]
    factor = find_growth_factor(difference, float(away_B.std(ddof=1)), level)
    factor = factor if separated or math.isnan(factor) else max(factor, 1.0)
    share = math.nan if np.isnan(away_B).any() else float(np.mean(away_B < 0) + np.mean(away_B == 0) / 2)
    needed = (count_needed(int(counts_D[better]), factor), count_needed(int(counts_D[worse]), factor))
    return NeighbourComparison(better, worse, difference, share, separated, factor, needed)


def find_growth_factor(difference: float, error: float, level: float = 1 - LEVEL) -> float:
    """Return the growth of samples with which a test at ``level`` has 80 % power to find d: ((z + 0.84) · e/d)².

    z is the two-sided normal quantile of the level, 1.96 at .05; d the difference and e its standard error at the
    present sizes. The factor is below 1 where the samples are larger than needed, and infinite for a difference of 0,
    which no sample shows. It takes the estimate for the truth: if a first estimate is too large by chance, the factor
    is too small.
    """
    if math.isnan(difference) or math.isnan(error):
        return math.nan
    needed = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(POWER)
    return math.inf if difference == 0 else (needed * error / abs(difference)) ** 2


def count_needed(count: int, factor: float) -> float:
    """Return ``count`` times ``factor``, rounded up; infinity and NaN are returned unchanged."""
    return float(math.ceil(count * factor)) if math.isfinite(factor) else factor


def find_p_values(
    values_D: Float64Array, draws_BD: Float64Array, counts_D: Sequence[int] | Int64Array | None = None
) -> Float64Array:
    """Return the two-sided p-value of each pair's difference (D × D): Student's t, with the draws' standard error.

    Percentiles of a thousand draws cannot go below .002, which is too coarse for many pairs at once. Welch's degrees of
    freedom are those of the samples, whose sizes are ``counts_D``, and of the draws that the error is estimated from;
    without sizes the distribution is normal. The p-value is 1 on the diagonal, for no difference, and without draws; 0
    for a difference whose error is 0.
    """
    found = np.ones((len(values_D), len(values_D)))
    with np.errstate(invalid="ignore"):
        variances_D = draws_BD.var(axis=0, ddof=1)
    freedoms_D = np.full(len(values_D), math.inf)
    if counts_D is not None:
        with np.errstate(divide="ignore"):
            freedoms_D = 1 / (1 / (np.asarray(counts_D, np.float64) - 1) + 1 / (len(draws_BD) - 1))
    for first in range(len(values_D)):
        with np.errstate(invalid="ignore", divide="ignore"):
            squared = (values_D - values_D[first]) ** 2 / (variances_D + variances_D[first])
            parts = variances_D**2 / freedoms_D + variances_D[first] ** 2 / freedoms_D[first]
            freedom = (variances_D + variances_D[first]) ** 2 / parts
        scores = [_normal_score(*each) for each in zip(squared.tolist(), freedom.tolist(), strict=True)]
        found[first] = [1.0 if math.isnan(score) else math.erfc(score / math.sqrt(2)) for score in scores]
    return found


def _normal_score(squared: float, freedom: float) -> float:
    """Return the standard normal score with the tail of a Student's t, which is given by its square.

    Wallace 1959, Annals of Mathematical Statistics 30. Where ``freedom`` is infinite or unknown, it is the root itself.
    """
    if not (math.isfinite(freedom) and math.isfinite(squared)) or freedom <= 0:
        return math.sqrt(squared)
    bend = (8 * freedom + 1) / (8 * freedom + 3)
    return bend * math.sqrt(freedom * math.log1p(squared / freedom))


def adjust_p_values(values_P: Float64Array) -> Float64Array:
    """Return P p-values adjusted by Holm's method: below .05 a false claim among all of them happens once in twenty.

    Step-down, valid whatever the dependence (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(values_P, kind="stable")
    steps = values_P[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def find_separated_pairs(
    values_D: Float64Array,
    draws_BD: Float64Array,
    counts_D: Sequence[int] | Int64Array | None = None,
    looks: int = 1,
) -> BoolArray:
    """Return which pairs of datasets can be told apart: symmetric, D × D.

    Adjusted for all pairs (Holm) and for ``looks`` at samples that grow until pairs are told apart: each look has an
    equal part of the .05 (Bonferroni). Of twenty rankings at most one then makes any false claim at any look, whatever
    the sizes of the samples, the order, and the look at which the sampling stops. An alpha-spending function that keeps
    most for the last look (O'Brien & Fleming) would ask for more examples where the difference is large, which is what
    growing samples are to save. Errors may be skewed, so that the draws must agree, too: at most 5 % in reverse.
    """
    upper = np.triu_indices(len(values_D), 1)
    apart = np.zeros((len(values_D), len(values_D)), np.bool_)
    apart[upper] = adjust_p_values(find_p_values(values_D, draws_BD, counts_D)[upper]) < (1 - LEVEL) / looks
    for first, second in np.argwhere(apart).tolist():
        away_B = (draws_BD[:, second] - draws_BD[:, first]) * np.sign(values_D[second] - values_D[first])
        apart[first, second] = np.mean(away_B <= 0) <= 1 - LEVEL
    return apart | apart.T
