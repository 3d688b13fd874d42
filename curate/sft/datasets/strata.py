"""The order in which examples are drawn: a sample of any size is its beginning, so that every sample holds the smaller.

Stratified by length: the examples are sorted by it and cut into tenths, and at any point of the order each tenth has
given its share, to within one. What is drawn of a tenth goes by hash alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STRATA = 10

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def order_evenly(lengths: NDArray[Any], hashes: Hashes) -> Integers:
    """The indices of all examples in the order in which they are drawn.

    Where the lengths and the hashes come in another order, so do the indices, and the same examples are drawn: the
    place has a say among equal hashes only, which are copies of one example. A copy is drawn as any other example is,
    not together with its like, since a sample that takes in all copies or none would vary more than its size says.

    The shares are those of Sainte-Laguë's divisors, which never take back a seat when there is one more to give.
    """
    count = len(hashes)
    mixed = tell_copies_apart(hashes)
    strata = cut_strata(np.asarray(lengths), mixed)
    grouped = np.lexsort((mixed, strata))
    sizes = np.bincount(strata)
    place = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = np.empty(count)
    turn[grouped] = (place + 0.5) / np.repeat(sizes, sizes)
    return np.lexsort((mixed, turn))


def cut_strata(lengths: NDArray[Any], mixed: Hashes) -> Integers:
    """The tenth that each example lies in, by its rank; equal lengths rank by hash, so that all tenths are as large."""
    ranks = np.empty(len(lengths), dtype=np.int64)
    ranks[np.lexsort((mixed, lengths))] = np.arange(len(lengths))
    return ranks * min(STRATA, len(lengths)) // max(1, len(lengths))


def tell_copies_apart(hashes: Hashes) -> Hashes:
    """Hashes of the contents with the number of the copy: 0 for the first of a content, 1 for the second, …"""
    order = np.argsort(hashes, kind="stable")
    held = hashes[order]
    places = np.arange(len(held))
    first = np.concatenate([[True], held[1:] != held[:-1]])[: len(held)]
    copy = places - np.maximum.accumulate(np.where(first, places, 0)) if len(held) else places
    mixed = np.empty_like(hashes)
    mixed[order] = mix(held + copy.astype(np.uint64) * GOLDEN)
    return mixed


def mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a permutation without structure."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
