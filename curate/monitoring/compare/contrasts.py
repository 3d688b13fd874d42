"""Differences of ratios of sums, and slopes over them, with bootstrap intervals that hold for many groups at once.

A measure of a side k is a ratio of sums over its documents, R_k = Σ x / Σ y: nats over tokens (the logarithm of the
perplexity) or bits over bytes. What is estimated is a contrast Σ c_k R_k whose weights add up to 0: (−1, 1) for a
difference. Sides that hold the same documents are drawn together, so that what makes a text hard cancels; other sides
are drawn independently.

The interval is bootstrap-t (Efron & Tibshirani 1993, chapter 12), symmetric, whose error in coverage is of a lower
order (Hall 1988, Journal of the Royal Statistical Society B 50): each draw's departure is divided by its own standard
error, which follows from the residuals z = Σ c_k (x_k − R_k y_k) / Σ y_k. From the 95 % quantile of |t*| follow the
degrees of freedom of the Student distribution that has it; an interval that is one of G has the quantile of that
distribution at .95^(1/G) (Šidák 1967, Journal of the American Statistical Association 62), so that all of them hold
together 95 % of the time, and a group of few documents widens no other.

Legend of shapes: U units, K sides, J = K − 1 steps from one side to the next, B draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from curate.runtime.arrays import Float64Array

LEVEL = 0.95
FEWEST = 5
"""Units with which an interval is tried."""
ROUNDING = 1e-12
"""The part of a number that is left of equal ones by rounding, which is no error to divide by."""
DRAWN = 1 << 20
"""Units drawn at once: some 30 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class RatioContrast:
    """An estimate, its standard error, and how far its draws reach."""

    value: float
    error: float
    reach: float
    """The 95 % quantile of |t*|; infinite where there are too few units."""
    draws_B: Float64Array
    """The departures of the draws from the value, not studentised."""


class DrawnRatios(Protocol):
    """The ratios of some sides, and draws of them."""

    def estimate(self, weights: Sequence[float]) -> RatioContrast:
        """Return the contrast with these weights, one a side; they add up to 0."""


def is_rounding(residuals_U: Float64Array, above: Float64Array) -> bool:
    """Return whether residuals are 0 but for rounding: every unit has the same ratio, or difference of ratios."""
    return float(np.abs(residuals_U).max()) <= ROUNDING * float(np.abs(above).max())


def draw_sums(columns_UC: Float64Array, draws: int, generator: np.random.Generator) -> Float64Array:
    """Return the sums of the columns over as many units as there are, drawn with repetition, of each draw (B × C)."""
    count = len(columns_UC)
    sums_BC = np.empty((draws, columns_UC.shape[1]))
    rows = max(1, DRAWN // max(count, 1))
    for begin in range(0, draws, rows):
        size = min(rows, draws - begin)
        picks = generator.integers(count, size=(size, count), dtype=np.int64)
        picks += np.arange(size)[:, None] * count
        counts = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count)
        sums_BC[begin : begin + size] = counts.astype(np.float64) @ columns_UC
    return sums_BC


class PairedRatios:
    """Sides that hold the same documents, with one below: tokens of one tokenizer, or bytes of one text.

    Steps from a side to the next are summed, and not the sides, so that nothing cancels where sides hardly differ.
    """

    def __init__(self, above_UK: Float64Array, below_U: Float64Array, draws: int, generator: np.random.Generator):
        self._steps_UJ, self._below_U = np.diff(above_UK, axis=1), below_U
        self._draws, self._generator = draws, generator
        self._sums_BC: Float64Array | None = None

    def estimate(self, weights: Sequence[float]) -> RatioContrast:
        """Return the contrast with these weights."""
        factors_J = np.cumsum(np.asarray(weights, np.float64)[::-1])[::-1][1:]
        total, count = float(self._below_U.sum()), len(self._below_U)
        above_U = self._steps_UJ @ factors_J
        value = float(above_U.sum() / total) if total else math.nan
        if not above_U.any():
            return RatioContrast(value, 0.0, 0.0, np.zeros(self._draws))
        if count < FEWEST or not total:
            return RatioContrast(value, math.inf, math.inf, np.zeros(self._draws))
        residuals_U = above_U - value * self._below_U
        if is_rounding(residuals_U, above_U):
            return RatioContrast(value, 0.0, 0.0, np.zeros(self._draws))
        factor = count / (count - 1)
        error = math.sqrt(float(residuals_U @ residuals_U) * factor) / total
        steps_BJ, below_B, products = self._draw()
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn_B = (steps_BJ @ factors_J) / below_B
            squared_B = products.combine(factors_J, drawn_B) * factor / below_B**2
        return make_contrast(value, error, drawn_B - value, squared_B, count)

    def _draw(self) -> "tuple[Float64Array, Float64Array, _Products]":
        steps = self._steps_UJ.shape[1]
        columns = [*self._steps_UJ.T, self._below_U]
        if self._sums_BC is None:
            products = [columns[i] * columns[j] for i, j in zip(*np.triu_indices(steps + 1), strict=True)]
            self._sums_BC = draw_sums(np.stack([*columns, *products], axis=1), self._draws, self._generator)
        sums_BC = self._sums_BC
        return sums_BC[:, :steps], sums_BC[:, steps], _Products(sums_BC[:, steps + 1 :], steps)


@dataclass(frozen=True, slots=True, eq=False)
class _Products:
    """Sums of the products of steps and what is below, of each draw; pairs in the order of ``np.triu_indices``."""

    sums_BP: Float64Array
    steps: int

    def combine(self, factors_J: Float64Array, ratios_B: Float64Array) -> Float64Array:
        """Return the sum of the squared residuals of each draw."""
        squared_B = np.zeros(len(ratios_B))
        for number, (i, j) in enumerate(zip(*np.triu_indices(self.steps + 1), strict=True)):
            first = factors_J[i] if i < self.steps else -ratios_B
            second = factors_J[j] if j < self.steps else -ratios_B
            squared_B = squared_B + (1 if i == j else 2) * first * second * self.sums_BP[:, number]
        return np.maximum(squared_B, 0.0)


class UnequalRatios:
    """Sides that hold the same documents with different numbers below, as those of two tokenizers."""

    def __init__(self, above_UK: Float64Array, below_UK: Float64Array, draws: int, generator: np.random.Generator):
        self._above_UK, self._below_UK = above_UK, below_UK
        self._draws, self._generator = draws, generator

    def estimate(self, weights: Sequence[float]) -> RatioContrast:
        """Return the contrast with these weights; residuals of draws are those of the ratios of the sample."""
        above_UK, below_UK, count = self._above_UK, self._below_UK, len(self._above_UK)
        factors_K, sides = np.asarray(weights, np.float64), above_UK.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios_K = above_UK.sum(axis=0) / below_UK.sum(axis=0)
            residuals_U = ((above_UK - ratios_K * below_UK) / below_UK.sum(axis=0) * factors_K).sum(axis=1)
        value = float((ratios_K * factors_K).sum())
        if count < FEWEST:
            return RatioContrast(value, math.inf, math.inf, np.zeros(self._draws))
        if is_rounding(residuals_U, above_UK / below_UK.sum(axis=0)):
            return RatioContrast(value, 0.0, 0.0, np.zeros(self._draws))
        factor = count / (count - 1)
        columns = np.concatenate([above_UK, below_UK, (residuals_U**2)[:, None]], axis=1)
        sums = draw_sums(columns, self._draws, self._generator)
        with np.errstate(invalid="ignore", divide="ignore"):
            away_B = ((sums[:, :sides] / sums[:, sides : 2 * sides] - ratios_K) * factors_K).sum(axis=1)
            squared_B = np.maximum(sums[:, -1] - away_B**2 / count, 0.0) * factor
        return make_contrast(value, math.sqrt(float(residuals_U @ residuals_U) * factor), away_B, squared_B, count)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSide:
    """The ratio of one side with its draws."""

    value: float
    squared_error: float
    num_units: int
    away_B: Float64Array
    squared_B: Float64Array
    """The square of the standard error of each draw."""


def draw_side(above_U: Float64Array, below_U: Float64Array, draws: int, generator: np.random.Generator) -> DrawnSide:
    """Return the ratio of a side from the sums of its units."""
    count, total = len(above_U), float(below_U.sum())
    value = float(above_U.sum()) / total if total else math.nan
    if count < 2 or not total:
        return DrawnSide(value, math.inf, count, np.zeros(draws), np.full(draws, math.inf))
    residuals_U, factor = above_U - value * below_U, count / (count - 1)
    columns = np.stack([residuals_U, below_U, residuals_U**2, residuals_U * below_U, below_U**2], axis=1)
    rest_B, below_B, squares_B, products_B, below_squares_B = draw_sums(columns, draws, generator).T
    with np.errstate(invalid="ignore", divide="ignore"):
        away_B = rest_B / below_B
        squared_B = squares_B - 2 * away_B * products_B + away_B**2 * below_squares_B
        squared_B = np.maximum(squared_B, 0.0) * factor / below_B**2
    return DrawnSide(value, float(residuals_U @ residuals_U) * factor / total**2, count, away_B, squared_B)


def draw_known(
    value: float, squared_error: float, num_units: int, draws: int, generator: np.random.Generator
) -> DrawnSide:
    """Return a side of which the ratio and its standard error alone are known: its draws are normal."""
    away_B = math.sqrt(squared_error) * generator.standard_normal(draws) if squared_error >= 0 else np.zeros(draws)
    return DrawnSide(value, squared_error, num_units, away_B, np.full(draws, squared_error))


@dataclass(frozen=True, slots=True, eq=False)
class ApartRatios:
    """Sides that are samples of their own."""

    sides: Sequence[DrawnSide | None]
    """None for one that was not measured, whose weight must be 0."""

    def estimate(self, weights: Sequence[float]) -> RatioContrast:
        """Return the contrast with these weights. Raises ValueError where a side was not measured."""
        some = [(side, weight) for side, weight in zip(self.sides, weights, strict=True) if weight and side is not None]
        if len(some) < sum(map(bool, weights)):
            raise ValueError("a side of the contrast was not measured")
        value = sum(weight * side.value for side, weight in some)
        squared = sum(weight**2 * side.squared_error for side, weight in some)
        away_B = sum((weight * side.away_B for side, weight in some), np.zeros(len(some[0][0].away_B)))
        squared_B = sum((weight**2 * side.squared_B for side, weight in some), np.zeros(len(away_B)))
        if squared == 0:
            return RatioContrast(value, 0.0, 0.0, away_B)
        return make_contrast(value, math.sqrt(squared), away_B, squared_B, min(side.num_units for side, _ in some))


def make_contrast(
    value: float, error: float, away_B: Float64Array, squared_B: Float64Array, num_units: int
) -> RatioContrast:
    """Return a contrast from its draws: how far each is away, and the square of its standard error."""
    if num_units < FEWEST or not math.isfinite(error):
        return RatioContrast(value, error, math.inf, away_B)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores_B = np.abs(np.where(away_B == 0, 0.0, away_B / np.sqrt(squared_B)))
    if np.isnan(scores_B).any():
        return RatioContrast(value, error, math.inf, away_B)
    rank = min(math.ceil(LEVEL * (len(scores_B) + 1)), len(scores_B))
    return RatioContrast(value, error, float(np.sort(scores_B)[rank - 1]), away_B)


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of an interval; infinite where there are too few units for one."""

    low: float
    high: float


def find_joint_intervals(contrasts: Sequence[RatioContrast]) -> list[Ends]:
    """Return the interval of each contrast; together they contain all true values 95 % of the time.

    A contrast without an error has an interval of one number. It counts for nothing among the others, nor does one
    without an interval.
    """
    uncertain = sum(one.error > 0 and math.isfinite(one.reach) for one in contrasts)
    level = LEVEL ** (1 / max(uncertain, 1))
    return [_find_ends(one, level) for one in contrasts]


def _find_ends(contrast: RatioContrast, level: float) -> Ends:
    if math.isnan(contrast.value) or not math.isfinite(contrast.reach):
        return Ends(-math.inf, math.inf)
    half = contrast.error * stretch_reach(contrast.reach, level) if contrast.error else 0.0
    return Ends(contrast.value - half, contrast.value + half)


def stretch_reach(reach: float, level: float) -> float:
    """Return the two-sided quantile at ``level`` of the Student distribution whose quantile at .95 is ``reach``.

    A reach below that of the normal distribution is that of a normal distribution which is scaled.
    """
    from scipy.special import ndtri, stdtrit

    if level <= LEVEL or not math.isfinite(reach):
        return reach
    tail, own = (1 + LEVEL) / 2, (1 + level) / 2
    normal = float(ndtri(tail))
    if reach <= normal:
        return reach * float(ndtri(own)) / normal
    low, high = math.log(0.2), math.log(1e6)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stdtrit(math.exp(middle), tail) > reach else (low, middle)
    return float(stdtrit(math.exp(high), own))
