"""The order in which examples are drawn: the sample of any size is its beginning, so samples contain the smaller ones.

The order is stratified by length: the examples are sorted by length and cut into tenths, and in every beginning of the
order each tenth has its share, to within one example. Within a tenth the hash alone decides.
"""

import numpy as np

from curate.runtime.arrays import Int64Array, UInt64Array

STRATA = 10
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def order_evenly(lengths: Int64Array, hashes: UInt64Array) -> Int64Array:
    """Return the indices of all N examples in the order in which they are drawn (N).

    ``lengths`` and ``hashes`` have one entry an example (N each). If they come in another order, the same examples are
    drawn: the index decides only among equal hashes, which are copies of one example. A copy is drawn like any other
    example, not together with its copies, since a sample that takes all copies or none would vary more than its size
    suggests.

    The shares are those of Sainte-Laguë's divisors, which never take back a seat when there is one more to give.
    """
    count = len(hashes)
    mixed = distinguish_copies(hashes)
    strata = cut_strata(lengths, mixed)
    grouped = np.lexsort((mixed, strata))
    sizes = np.bincount(strata)
    rank_in_stratum = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    priority = np.empty(count)
    priority[grouped] = (rank_in_stratum + 0.5) / np.repeat(sizes, sizes)
    return np.lexsort((mixed, priority))


def cut_strata(lengths: Int64Array, mixed: UInt64Array) -> Int64Array:
    """Return the stratum (0 … 9) of each example by the rank of its length.

    Equal lengths rank by hash, so that all strata have the same size, to within one. Fewer than ten examples have a
    stratum each.
    """
    ranks = np.empty(len(lengths), dtype=np.int64)
    ranks[np.lexsort((mixed, lengths))] = np.arange(len(lengths))
    return ranks * min(STRATA, len(lengths)) // max(1, len(lengths))


def distinguish_copies(hashes: UInt64Array) -> UInt64Array:
    """Return hashes that differ between copies: the content's hash, mixed with the number of the copy (0, 1, …)."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    indices = np.arange(len(ordered))
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    copy = indices - np.maximum.accumulate(np.where(first, indices, 0)) if len(ordered) else indices
    mixed = np.empty_like(hashes)
    mixed[order] = mix_bits(ordered + copy.astype(np.uint64) * GOLDEN)
    return mixed


def mix_bits(values: UInt64Array) -> UInt64Array:
    """Return the finaliser of SplitMix64 (Steele, Lea, Flood 2014) of each value: a permutation without structure."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
