"""Summaries of many numbers for people: a histogram on a log scale, and its picture in one line."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BARS = " ▁▂▃▄▅▆▇█"


def log_edges(lowest: float, highest: float, bins: int) -> NDArray[np.float64]:
    """``bins`` + 1 edges, evenly spaced in the logarithm, from ``lowest`` to ``highest`` (both > 0)."""
    if not 0 < lowest <= highest:
        raise ValueError(f"a log scale needs 0 < lowest <= highest, not {lowest} and {highest}")
    if lowest == highest:
        lowest, highest = lowest * 0.9, highest * 1.1
    return np.asarray(np.geomspace(lowest, highest, bins + 1))


def histogram(values: ArrayLike, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many values lie between consecutive edges (the last edge included); values outside count at the ends."""
    found = np.asarray(values, dtype=np.float64)
    found = np.clip(found[~np.isnan(found)], edges[0], edges[-1])
    return np.asarray(np.histogram(found, edges)[0].astype(np.int64))


def sparkline(counts: ArrayLike) -> str:
    """One character a bin, its height in eighths of the largest; a bin that is not empty shows at least one eighth."""
    found = np.asarray(counts, dtype=np.float64)
    if found.size == 0 or found.max() <= 0:
        return " " * found.size
    heights = np.ceil(found / found.max() * 8).astype(int)
    return "".join(BARS[height] for height in heights)
