"""The uncertainty of a ranking of datasets: the bootstrap over examples, rank intervals, and tests of pairs.

The unit is the example: rows are drawn with repetition, never tokens, since the tokens of one example are dependent.
Datasets are drawn independently of each other. If two share examples, their difference is less uncertain than estimated
here. A lower value comes first throughout; negate a value of which higher is better.

The sample of a dataset may be stratified by length, each stratum with its share. The bootstrap ignores strata and so
includes the variance between them: its intervals are slightly too wide, not too narrow. Where the sample is the
complete dataset, intervals are about the source that the dataset was written from.

Percentile intervals of few examples are too narrow (simulated perplexities, skewed lengths: the 95 % interval contains
the truth in 83 % of samples of 5, 91 % of 10, 93 % of 50, 95 % of 200). One example has no interval: NaN, never a false
certainty. If a draw of a dataset is NaN, no claim is made about the dataset.

Legend of shapes: N examples, K columns, B draws, D datasets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array, Int64Array
from curate.stages.order.permutations import random_bits

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
CONFIDENT, POWERFUL = 1.959964, 0.841621
"""Standard normal quantiles at .975 and .8."""
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


def find_rank_intervals(values_D: Float64Array, draws_BD: Float64Array) -> list[RankInterval]:
    """Return each dataset's rank, the interval of its ranks over the draws, and how often it is first.

    A dataset whose draws are NaN could have any rank: 1 … D, and the ranks of the others could be one higher for it.
    ``best`` is counted among the others, and adds up to 1. The ranks of nearly equal datasets are not a smooth function
    of the examples; there the interval describes the draws and has no guaranteed coverage (Hall & Miller 2009, Annals
    of Statistics 37). ``find_separated_pairs`` decides which datasets can be told apart.
    """
    ranks = np.empty(len(values_D), np.int64)
    ranks[np.argsort(values_D, kind="stable")] = np.arange(1, len(values_D) + 1)
    unknown = np.isnan(draws_BD).any(axis=0) | np.isnan(values_D)
    known_BD = draws_BD[:, ~unknown]
    return [
        RankInterval(int(rank), 1, len(values_D), math.nan)
        if unknown[index]
        else _find_rank_interval(int(rank), draws_BD[:, [index]], known_BD, int(unknown.sum()))
        for index, rank in enumerate(ranks)
    ]


def _find_rank_interval(rank: int, draws_B1: Float64Array, known_BD: Float64Array, num_unknown: int) -> RankInterval:
    before = (known_BD < draws_B1).sum(axis=1)
    tied = (known_BD == draws_B1).sum(axis=1)
    low = int(np.quantile(before + 1, TAILS[0], method="inverted_cdf"))
    high = int(np.quantile(before + tied, TAILS[1], method="inverted_cdf")) + num_unknown
    return RankInterval(rank, min(low, rank), max(high, rank), float(np.mean((before == 0) / tied)))


@dataclass(frozen=True, slots=True)
class NeighbourComparison:
    """Two datasets that follow one another in an order, compared without regard to other pairs."""

    better: int
    """The index of the dataset."""
    worse: int
    difference: float
    """The worse dataset's value less the better one's."""
    low: float
    high: float
    """The 95 % interval of the difference."""
    reversed_share: float
    """The share of draws in which their order is reversed; a tie is half a draw."""
    separated: bool
    """Whether the interval excludes 0."""
    factor: float
    """The factor by which both samples must grow to ``needed``; infinite for a difference of 0, NaN without draws."""
    needed: tuple[float, float]
    """Examples (better, worse) with which the estimated difference is found in four of five samples."""


def compare_neighbours(
    values_D: Float64Array, draws_BD: Float64Array, order: Sequence[int], counts: Sequence[int] | Int64Array
) -> list[NeighbourComparison]:
    """Compare each dataset with the next one in ``order`` (indices, best first); ``counts`` are D sizes of samples.

    Each comparison is about one pair: of twenty pairs without a difference, one is separated by chance.
    ``find_separated_pairs`` is about all pairs at once. Datasets without draws are not separated from any.
    """
    return [_compare_pair(values_D, draws_BD, better, worse, counts) for better, worse in pairwise(order)]


def _compare_pair(
    values_D: Float64Array, draws_BD: Float64Array, better: int, worse: int, counts: Sequence[int] | Int64Array
) -> NeighbourComparison:
    difference = float(values_D[worse] - values_D[better])
    with np.errstate(invalid="ignore"):
        away_B = draws_BD[:, worse] - draws_BD[:, better]
    low, high = (float(end) for end in find_interval(away_B))
    separated = low > 0 or high < 0
    factor = find_growth_factor(difference, float(away_B.std(ddof=1)))
    factor = factor if separated or math.isnan(factor) else max(factor, 1.0)
    share = math.nan if math.isnan(low) else float(np.mean(away_B < 0) + np.mean(away_B == 0) / 2)
    needed = (count_needed(int(counts[better]), factor), count_needed(int(counts[worse]), factor))
    return NeighbourComparison(better, worse, difference, low, high, share, separated, factor, needed)


def find_growth_factor(difference: float, error: float) -> float:
    """Return the growth of samples with which 95 % confidence has 80 % power to find d: ((1.96 + 0.84) · e/d)².

    d is the difference and e its standard error at the present sizes. The factor is below 1 where the samples are
    larger than needed, and infinite for a difference of 0, which no sample shows. It takes the estimate for the truth:
    if a first estimate is too large by chance, the factor is too small.
    """
    if math.isnan(difference) or math.isnan(error):
        return math.nan
    return math.inf if difference == 0 else ((CONFIDENT + POWERFUL) * error / abs(difference)) ** 2


def count_needed(count: int, factor: float) -> float:
    """Return ``count`` times ``factor``, rounded up; infinity and NaN are returned unchanged."""
    return float(math.ceil(count * factor)) if math.isfinite(factor) else factor


def find_p_values(values_D: Float64Array, draws_BD: Float64Array) -> Float64Array:
    """Return the two-sided p-value of each pair's difference (D × D): normal, with the draws' standard error.

    Percentiles of a thousand draws cannot go below .002, which is too coarse for many pairs at once. The p-value is 1
    on the diagonal, for no difference, and without draws; 0 for a difference whose error is 0.
    """
    found = np.ones((len(values_D), len(values_D)))
    for first in range(len(values_D)):
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = (draws_BD - draws_BD[:, [first]]).std(axis=0, ddof=1)
            scores = np.abs(values_D - values_D[first]) / errors / math.sqrt(2)
        found[first] = [1.0 if math.isnan(score) else math.erfc(score) for score in scores]
    return found


def adjust_p_values(values_P: Float64Array) -> Float64Array:
    """Return P p-values adjusted by Holm's method: below .05 a false claim among all of them happens once in twenty.

    Step-down, valid whatever the dependence (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(values_P, kind="stable")
    steps = values_P[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def find_separated_pairs(values_D: Float64Array, draws_BD: Float64Array) -> BoolArray:
    """Return which pairs of datasets can be told apart, adjusted for all pairs (Holm): symmetric, D × D."""
    upper = np.triu_indices(len(values_D), 1)
    apart = np.zeros((len(values_D), len(values_D)), np.bool_)
    apart[upper] = adjust_p_values(find_p_values(values_D, draws_BD)[upper]) < 1 - LEVEL
    return apart | apart.T
