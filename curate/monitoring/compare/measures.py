"""The measures of a comparison as ratios of sums: the logarithm of perplexity, and bits per byte."""

import math
from collections.abc import Mapping

import numpy as np

from curate.runtime.arrays import Float64Array

UNIT_COLUMNS: Mapping[str, tuple[float, str]] = {
    "perplexity": (1.0, "tokens"),
    "bits_per_byte": (1 / math.log(2), "bytes"),
}
"""The factor of the nats above, and the column below."""
COLUMNS = ("nats", "tokens", "bytes")


def split_sides(sums_UC: Float64Array, metric: str, sides: int) -> tuple[Float64Array, Float64Array]:
    """Return what is above and below of each side (U × K each), from the sums of units."""
    scale, below = UNIT_COLUMNS[metric]
    above_UK = np.stack([sums_UC[:, 1 + 3 * k] * scale for k in range(sides)], axis=1)
    below_UK = np.stack([sums_UC[:, 1 + 3 * k + COLUMNS.index(below)] for k in range(sides)], axis=1)
    return above_UK, below_UK


def divide(nats: float, tokens: float, octets: float, metric: str) -> float:
    """Return a measure of sums, in the unit of differences: nats per token, or bits per byte; NaN without any."""
    scale, below = UNIT_COLUMNS[metric]
    total = tokens if below == "tokens" else octets
    return nats * scale / total if total else math.nan


def show_level(value: float, metric: str) -> float:
    """Return a measure as it is shown: perplexity itself, not its logarithm. NaN stays NaN."""
    if metric == "perplexity":
        return math.inf if value >= 700 else math.exp(value)
    return value


def show_change(difference: float, metric: str) -> float:
    """Return a difference as it is shown: of perplexity as a share, of bits per byte as it is. NaN stays NaN."""
    if metric == "perplexity":
        return math.inf if difference >= 700 else -math.inf if difference == -math.inf else math.expm1(difference)
    return difference
