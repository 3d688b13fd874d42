"""The profile of an order: its key and its strata in ten parts of equal tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.runtime.arrays import Array, Int64Array
from curate.stages.order.permutations import Ranks, blocks

PARTS = 10


@dataclass(frozen=True, slots=True)
class ProfileTenth:
    """A tenth of the order, by tokens; a document belongs to the one in which its middle token lies."""

    documents: int
    tokens: int
    median: float | None
    """Of the key; None where no document lies in it."""
    mean: float | None
    """Of the documents, not of the tokens."""
    strata: tuple[int, ...]
    """Tokens of each stratum."""


def compute_profile(
    order: Ranks, tokens: Ranks, keys: Array, strata: Int64Array | None = None, names: Sequence[Any] = ()
) -> tuple[ProfileTenth, ...]:
    """Return the tenths of an order of ranks.

    ``tokens``, ``keys`` and ``strata`` (indices into ``names``) are by rank.
    """
    borders = _borders(order, tokens)
    found = []
    for part in range(PARTS):
        ranks = order[borders[part] : borders[part + 1]]
        weights, shares_of = 0, np.zeros(len(names), np.int64)
        total = 0.0
        for block in blocks(len(ranks)):
            piece = ranks[block]
            weights += int(tokens[piece].sum())
            with np.errstate(invalid="ignore"):  # ∞ − ∞
                total += float(keys[piece].sum())
            if strata is not None:
                shares = np.bincount(strata[piece], tokens[piece], len(names))
                shares_of += np.rint(shares).astype(np.int64)
        mean = total / len(ranks) if len(ranks) else None
        found.append(ProfileTenth(len(ranks), weights, _median(keys, ranks), mean, tuple(shares_of.tolist())))
    return tuple(found)


def _borders(order: Ranks, tokens: Ranks) -> list[int]:
    """Return the indices in the order at which the tenths begin, and that at which the last ends."""
    total = sum(int(tokens[block].sum()) for block in blocks(len(tokens)))
    found, passed = np.zeros(PARTS + 1, np.int64), 0
    limits = np.array([-(-2 * total * part // PARTS) for part in range(PARTS)] + [2 * total + 1])
    for block in blocks(len(order)):
        weights = tokens[order[block]]
        ends = np.cumsum(weights) + passed
        found += np.searchsorted(2 * ends - weights, limits)
        passed = int(ends[-1])
    return found.tolist()


def _median(keys: Array, ranks: Ranks) -> float | None:
    """Return the median of the keys at some ranks; None for no ranks."""
    if not len(ranks):
        return None
    middle = [(len(ranks) - 1) // 2, len(ranks) // 2]
    low, high = np.partition(ranks, middle)[middle]
    return _mean_of_two(keys, low, high)


def median_of_ranked(keys: Array) -> float:
    """Return the median of keys that ascend or descend, of which there is at least one."""
    return _mean_of_two(keys, (len(keys) - 1) // 2, len(keys) // 2)


def _mean_of_two(keys: Array, low: int, high: int) -> float:
    return (float(keys[low]) + float(keys[high])) / 2
