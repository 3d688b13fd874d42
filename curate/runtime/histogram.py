"""Summaries of many numbers for people: a histogram on a log scale, and its picture in one line."""

import numpy as np
from numpy.typing import ArrayLike

from curate.runtime.arrays import Float64Array, Int64Array

BARS = " ▁▂▃▄▅▆▇█"


def log_edges(lowest: float, highest: float, bins: int) -> Float64Array:
    """Return ``bins`` + 1 edges, evenly spaced in the logarithm, from ``lowest`` to ``highest``.

    Two equal ends are moved apart by a tenth each. Raises ValueError unless 0 < ``lowest`` <= ``highest``.
    """
    if not 0 < lowest <= highest:
        raise ValueError(f"a log scale needs 0 < lowest <= highest, not {lowest} and {highest}")
    if lowest == highest:
        lowest, highest = lowest * 0.9, highest * 1.1
    return np.asarray(np.geomspace(lowest, highest, bins + 1))


def histogram(values: ArrayLike, edges: Float64Array) -> Int64Array:
    """Return how many values lie between consecutive edges, of shape (edges − 1).

    The last edge is included, values outside count in the first and the last bin, and NaN is not counted.
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = np.clip(numbers[~np.isnan(numbers)], edges[0], edges[-1])
    return np.asarray(np.histogram(numbers, edges)[0].astype(np.int64))


def sparkline(counts: ArrayLike) -> str:
    """Return one character per bin, its height in eighths of the largest; a bin that is not empty has at least one."""
    numbers = np.asarray(counts, dtype=np.float64)
    if numbers.size == 0 or numbers.max() <= 0:
        return " " * numbers.size
    heights = np.ceil(numbers / numbers.max() * 8).astype(int)
    return "".join(BARS[height] for height in heights)
