"""The 95 % intervals of measures: studentised, on a log scale, and withheld where none would be honest.

    columns (N × 2M) → add_products (N × 5M) → bootstrap.resample (B × 5M) → find_intervals → ends, or a reason

A measure is a change of R = Σ above / Σ below over the examples. Percentiles of drawn values are too narrow where the
numbers of examples are skewed, as lengths and perplexities are. So each draw is divided by its own standard error
(bootstrap-t; Efron & Tibshirani 1993, chapter 12): t* = (ln R* − ln R) / s*, and the ends lie at R · exp(−t*·s). Where
``change`` is exp, R is a logarithm itself and no other is taken. s is the standard error of a ratio by its residuals
d = above − R · below. Each end is the farthest of three: at the quantile of t*, at that of |t*|, whose error in
coverage is of a lower order (Hall 1988, Journal of the Royal Statistical Society B 50), and the percentile's; the
distances of the first two are multiplied by 1 + ``BEND`` · γ²/n, γ the skewness of the residuals, for the next term of
the Edgeworth expansion.

What no bootstrap can know is an example that was not drawn, and a mean of numbers without a bound has no interval that
always holds (Bahadur & Savage 1956, Annals of Mathematical Statistics 27). Of real instructions one answer of two
tokens in a thousand can weigh more than the others together, and samples without it look like any other: a measure
with ``no_interval`` has none. Where numbers are exponentials and yet seldom large (``exponential``) it is withheld if
the sample cannot exclude that their variance is infinite: Hill's tail index (1975, Annals of Statistics 3) over the
2·√n highest, with 2.33 of its standard errors, is 1/2 or more. It is withheld, too, where an end is no finite number,
as for two or three examples.

``benchmarks/interval_coverage.py`` measures how often the intervals contain the truth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.runtime.arrays import Float64Array
from curate.sft.ranking.bootstrap import LEVEL, TAILS, find_interval
from curate.sft.ranking.measures import MEASURES, RankingMeasure, divide_sums

BEND = 2
"""The factor of γ²/n; chosen on code_alpaca, dolly and oasst, for whose skewness 1 is not enough."""
FINITE = 0.5
"""Hill's tail index from which on the variance is infinite."""
UPPER = 2.326
"""The standard normal quantile at .99: an interval that is given in spite of such a tail misses nearly always."""
ROUNDING = 1e-12
"""The share of the squares that is left of equal examples by rounding, which is no error to divide by."""
HEAVY = "its tail is too heavy for {count:,} examples: one that was not drawn could outweigh them"
FEW = "{count:,} examples are too few"


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % bootstrap interval."""

    value: float
    low: float
    """The lower end; NaN where there is no interval."""
    high: float
    withheld: str = ""
    """Why there is no interval, though examples have numbers; the empty string where there is one."""


def add_products(columns_N2M: Float64Array) -> Float64Array:
    """Return the columns above and below (N × 2M), with those that a standard error is made from behind (N × 5M).

    They are above², above · below and below², in the order of the measures.
    """
    half = columns_N2M.shape[1] // 2
    above, below = columns_N2M[:, :half], columns_N2M[:, half:]
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate([columns_N2M, above * above, above * below, below * below], axis=1)


def find_intervals(columns_N2M: Float64Array, draws_B5M: Float64Array) -> dict[str, Interval]:
    """Return every measure with its interval, by name.

    ``columns_N2M`` are those of ``measures.build_columns``, and ``draws_B5M`` the draws of ``add_products`` of them.
    """
    half = len(MEASURES)
    return {
        name: find_measure_interval(measure, columns_N2M[:, k::half], draws_B5M[:, k::half])
        for k, (name, measure) in enumerate(MEASURES.items())
    }


def find_measure_interval(measure: RankingMeasure, columns_N2: Float64Array, draws_B5: Float64Array) -> Interval:
    """Return a measure with its interval, from its columns above and below and the draws of their ``add_products``.

    There is none, and no reason is given, where fewer than two examples have a number or a draw has none.
    """
    value = float(measure.change(divide_sums(*columns_N2.sum(axis=0))))
    drawn_B = measure.change(divide_sums(draws_B5[:, 0], draws_B5[:, 1]))
    measured_N2 = columns_N2[(columns_N2 != 0).any(axis=1)]
    if math.isnan(value) or len(measured_N2) < 2 or np.isnan(drawn_B).any():
        return Interval(value, math.nan, math.nan)
    ends = find_ratio_interval(measured_N2, draws_B5, measure.is_log)
    low, high = (float(measure.change(np.asarray(end))) for end in ends)
    plain_low, plain_high = (float(end) for end in find_interval(drawn_B))
    low, high = min(low, plain_low), max(high, plain_high)
    reason = _find_reason(measure, measured_N2[:, 0], low, high)
    return Interval(value, math.nan, math.nan, reason) if reason else Interval(value, low, high)


def _find_reason(measure: RankingMeasure, numbers_N: Float64Array, low: float, high: float) -> str:
    """Return why the interval is withheld; the empty string where it is not."""
    if measure.no_interval:
        return measure.no_interval
    if measure.exponential and is_heavy(numbers_N):
        return HEAVY.format(count=len(numbers_N))
    return "" if math.isfinite(low) and math.isfinite(high) else FEW.format(count=len(numbers_N))


def find_ratio_interval(columns_N2: Float64Array, draws_B5: Float64Array, is_log: bool) -> tuple[float, float]:
    """Return both ends of the studentised interval of R = Σ above / Σ below, without the percentiles.

    On a log scale, unless R is a logarithm itself (``is_log``) or a draw is not above 0. An end may be infinite.
    """
    sums = columns_N2.sum(axis=0)
    ratio = float(sums[0] / sums[1])
    residuals_N = columns_N2[:, 0] - ratio * columns_N2[:, 1]
    squared = float(residuals_N @ residuals_N)
    if squared <= ROUNDING * float(columns_N2[:, 0] @ columns_N2[:, 0]):
        return ratio, ratio
    skewness = float((residuals_N**3).sum() / squared**1.5)
    error = math.sqrt(squared) / float(sums[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratios_B, errors_B = _find_errors(draws_B5)
        in_logs = not is_log and ratio > 0 and bool((ratios_B > 0).all())
        away_B, errors_B = (np.log(ratios_B / ratio), errors_B / ratios_B) if in_logs else (ratios_B - ratio, errors_B)
        scores_B = np.where(away_B == 0, 0.0, away_B / errors_B)
        below, above = _find_reach(scores_B) * error * (1 + BEND * skewness**2)
        if in_logs:
            return float(ratio * np.exp(-below / ratio)), float(ratio * np.exp(above / ratio))
        return float(ratio - below), float(ratio + above)


def _find_reach(scores_B: Float64Array) -> Float64Array:
    """Return how many standard errors the interval goes down and up, from the studentised draws."""
    lower, upper = np.quantile(scores_B, TAILS, method="inverted_cdf")
    both = np.quantile(np.abs(scores_B), LEVEL, method="inverted_cdf")
    return np.array([max(upper, both), max(-lower, both)])


def _find_errors(draws_B5: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the ratio of each draw and its standard error."""
    above, below, square_above, product, square_below = draws_B5.T
    ratios = above / below
    squared = square_above - 2 * ratios * product + ratios**2 * square_below
    squared = np.where(squared <= ROUNDING * square_above, 0.0, squared)
    return ratios, np.sqrt(squared) / below


def is_heavy(numbers_N: Float64Array) -> bool:
    """Return whether the upper tail of examples' numbers may have an infinite variance, by Hill's index.

    Numbers must be 0 or more; infinite ones are heavy, and so are fewer than two.
    """
    count = len(numbers_N)
    highest = min(math.ceil(2 * math.sqrt(count)), count - 1)
    with np.errstate(divide="ignore"):
        logs = np.sort(np.log(numbers_N))
    if highest < 1 or not math.isfinite(logs[-1]):
        return True
    tail = logs[-highest - 1 :]
    hill = float((tail[1:] - tail[0]).mean())
    return not hill * (1 + UPPER / math.sqrt(highest)) < FINITE


def list_withheld(scores: Mapping[str, Interval]) -> dict[str, str]:
    """Return why intervals are withheld, by the name of the measure."""
    return {name: score.withheld for name, score in scores.items() if score.withheld}
