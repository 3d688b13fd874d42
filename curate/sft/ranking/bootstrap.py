"""How sure a ranking of datasets is, from a sample of each: the bootstrap over examples, and what follows from it.

The unit is the example: whole rows are drawn with repetition, never tokens, for the tokens of one example go together.
Datasets are drawn independently of each other; two that share their examples have differences less uncertain than
said here. A lower value comes first throughout; where higher is better, negate.

The sample of a dataset may be stratified by length, each stratum with its share. The bootstrap here knows no strata,
so that it counts the variance between them, too: the intervals are slightly wide, not narrow. Where the sample is the
whole dataset, they speak of the source which it was written from.

Percentile intervals of few examples are too narrow (simulated perplexities, skewed lengths: the 95 % hold the truth in
83 % of samples of 5, 91 % of 10, 93 % of 50, 95 % of 200), and of one there is none: NaN, never a false certainty.
Wherever a draw of a dataset is NaN, nothing is claimed of it.

Legend of shapes: N examples, K columns, B draws, D datasets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from curate.stages.order.permutations import random_bits

Floats = NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
CONFIDENT, POWERFUL = 1.959964, 0.841621  # standard normal quantiles at .975 and .8
BLOCK = 1 << 20  # counts held at once: 24 MB with what makes them


def make_generator(seed: int, key: str) -> np.random.Generator:
    """Random numbers of one dataset, named by ``key``: they depend on no other dataset, nor on the order of them.

    The same seed and key give the same again: so two models' matrices of the same examples are drawn alike.
    """
    return np.random.Generator(random_bits(seed, *key.encode()))


def resample(columns_NK: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """The columns' sums over N examples drawn with repetition, ``draws`` times (B × K).

    Which examples are drawn depends on the generator, N and the place of the draw alone: matrices of equal N and
    generators in equal states get the same counts, and stay paired. NaN in a column where fewer than two examples
    differ from 0, and so throughout where N < 2: there is nothing to choose among.
    """
    count = len(columns_NK)
    sums = np.full((draws, columns_NK.shape[1]), np.nan)
    rows = max(1, BLOCK // max(count, 1))
    for begin in range(0, draws if count else 0, rows):
        counts = _count(generator, min(rows, draws - begin), count)
        with np.errstate(invalid="ignore"):  # 0 · infinity: a draw without the infinite example is not known either
            sums[begin : begin + rows] = counts @ columns_NK
    sums[:, np.count_nonzero(columns_NK, axis=0) < 2] = np.nan
    return sums


def _count(generator: np.random.Generator, rows: int, count: int) -> Floats:
    """How often each example is drawn: multinomial, B × N."""
    picks = generator.integers(count, size=(rows, count))
    picks += np.arange(rows)[:, None] * count
    return np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def bound(draws: Floats) -> tuple[Floats, Floats]:
    """The 95 % percentile interval over the first axis, both ends; NaN where any draw is NaN."""
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(draws, TAILS, axis=0)
    unknown = np.isnan(draws).any(axis=0)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one dataset stands among all."""

    rank: int
    """1 the lowest value; equal values go by their place in the list; NaN last."""
    rank_low: int
    rank_high: int
    """The 95 % interval of the rank, ends included; it holds ``rank``."""
    best: float
    """The share of draws in which it is first; those who tie share a draw. NaN without draws."""


def stand(values_D: Floats, draws_BD: Floats) -> list[Standing]:
    """Each dataset's rank, with the interval of its ranks within the draws, and how often it is first.

    A dataset whose draws are NaN could stand anywhere: 1 … D, and whoever stands before it could be one lower. What is
    first is counted among the others, and adds up to 1. The ranks of datasets that are nearly equal are no smooth
    function of the examples, and there the interval is a description of the draws rather than a bound with a promise
    (Hall & Miller 2009, Annals of Statistics 37); what can be told apart is ``separate``'s to say.
    """
    ranks = np.empty(len(values_D), np.int64)
    ranks[np.argsort(values_D, kind="stable")] = np.arange(1, len(values_D) + 1)
    unknown = np.isnan(draws_BD).any(axis=0) | np.isnan(values_D)
    known_BD = draws_BD[:, ~unknown]
    return [
        Standing(int(rank), 1, len(values_D), math.nan)
        if unknown[place]
        else _place(int(rank), draws_BD[:, [place]], known_BD, int(unknown.sum()))
        for place, rank in enumerate(ranks)
    ]


def _place(rank: int, own_B1: Floats, known_BD: Floats, unknown: int) -> Standing:
    before = (known_BD < own_B1).sum(axis=1)
    tied = (known_BD == own_B1).sum(axis=1)
    low = int(np.quantile(before + 1, TAILS[0], method="inverted_cdf"))
    high = int(np.quantile(before + tied, TAILS[1], method="inverted_cdf")) + unknown
    return Standing(rank, min(low, rank), max(high, rank), float(np.mean((before == 0) / tied)))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two datasets that follow one another in an order, each pair by itself."""

    better: int
    worse: int
    difference: float
    """The worse one's value less the better one's."""
    low: float
    high: float
    """The 95 % interval of the difference."""
    reversed_share: float
    """The share of draws in which they stand the other way round; a tie is half a draw."""
    separated: bool
    """Whether the interval leaves 0 out."""
    factor: float
    """By how much both samples must grow for ``needed``; infinite where the difference is 0, NaN without draws."""
    needed: tuple[float, float]
    """Examples of both, the better one's first, to find the difference as estimated in four of five such samples."""


def compare(
    values_D: Floats, draws_BD: Floats, order: Sequence[int], counts: Sequence[int] | NDArray[np.int64]
) -> list[Neighbours]:
    """Each dataset with the next one in ``order`` (indices, best first), from D values, draws and sizes of samples.

    These are statements about one pair each: of twenty pairs without a difference, one is separated by chance. The
    statement about all pairs at once is ``separate``. Datasets without draws are not separated from any.
    """
    return [_compare(values_D, draws_BD, better, worse, counts) for better, worse in pairwise(order)]


def _compare(
    values_D: Floats, draws_BD: Floats, better: int, worse: int, counts: Sequence[int] | NDArray[np.int64]
) -> Neighbours:
    difference = float(values_D[worse] - values_D[better])
    with np.errstate(invalid="ignore"):
        away_B = draws_BD[:, worse] - draws_BD[:, better]
    low, high = (float(end) for end in bound(away_B))
    separated = low > 0 or high < 0
    factor = grow(difference, float(away_B.std(ddof=1)))
    factor = factor if separated or math.isnan(factor) else max(factor, 1.0)
    share = math.nan if math.isnan(low) else float(np.mean(away_B < 0) + np.mean(away_B == 0) / 2)
    needed = (count_needed(int(counts[better]), factor), count_needed(int(counts[worse]), factor))
    return Neighbours(better, worse, difference, low, high, share, separated, factor, needed)


def grow(difference: float, error: float) -> float:
    """By how much samples must grow so that 95 % confidence finds a difference with 80 % power: ((1.96 + 0.84) · e/d)².

    e is the standard error of the difference at the present sizes. Below 1 where they are more than enough; infinite
    where the difference is 0, for then no sample shows it. It takes the estimate for the truth: a first estimate that
    is too large by chance promises too much.
    """
    if math.isnan(difference) or math.isnan(error):
        return math.nan
    return math.inf if difference == 0 else ((CONFIDENT + POWERFUL) * error / abs(difference)) ** 2


def count_needed(count: int, factor: float) -> float:
    """``count`` examples times a factor, rounded up to a whole number; infinite and NaN stay what they are."""
    return float(math.ceil(count * factor)) if math.isfinite(factor) else factor


def find_p_values(values_D: Floats, draws_BD: Floats) -> Floats:
    """The two-sided p-value of each pair's difference, D × D: normal, with the draws' standard error.

    Percentiles of a thousand draws cannot go below .002, which is too coarse for many pairs at once. 1 for a dataset
    with itself, for no difference, and without draws; 0 for a difference without any error.
    """
    found = np.ones((len(values_D), len(values_D)))
    for first in range(len(values_D)):
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = (draws_BD - draws_BD[:, [first]]).std(axis=0, ddof=1)
            scores = np.abs(values_D - values_D[first]) / errors / math.sqrt(2)
        found[first] = [1.0 if math.isnan(score) else math.erfc(score) for score in scores]
    return found


def hold(values_P: Floats) -> Floats:
    """Holm's adjustment of p-values: at a threshold of .05, a false claim among all of them happens once in twenty.

    Step-down, valid whatever the dependence (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(values_P, kind="stable")
    steps = values_P[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def separate(values_D: Floats, draws_BD: Floats) -> NDArray[np.bool_]:
    """Which pairs of datasets can be told apart, all pairs held at once (Holm): symmetric, D × D."""
    upper = np.triu_indices(len(values_D), 1)
    apart = np.zeros((len(values_D), len(values_D)), np.bool_)
    apart[upper] = hold(find_p_values(values_D, draws_BD)[upper]) < 1 - LEVEL
    return apart | apart.T
