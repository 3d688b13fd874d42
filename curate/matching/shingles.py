"""Documents as sets of shingles and as sequences of words, and how similar two of them are.

A document is the set of the 64-bit hashes of its shingles, so that its Jaccard similarity to another is exact but for a
hash collision, which two documents of a thousand shingles meet once in 10^13 pairs.
"""

from typing import Any

import numpy as np

from curate.matching.words import JOIN, Words, hash_spans, inner, mix, shingle

Array = np.ndarray[Any, np.dtype[Any]]

SHORT = np.uint64(0x5851F42D4C957F2D)  # sets hashes of another kind apart (Knuth's multiplier, MMIX)


def shingle_sets(found: Words, size: int) -> tuple[Array, Array]:
    """The shingle hashes of each document in turn, repeats included, and where each document's begin.

    A document of fewer words than a shingle has one hash, of all its words, that no shingle has; one without words
    has none. The second array has one entry more than there are documents.
    """
    counts = found.counts
    many = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
    offsets = np.concatenate([[0], np.cumsum(many)])
    hashes = np.empty(offsets[-1], np.uint64)
    short = np.flatnonzero((counts > 0) & (counts < size))
    whole = np.ones(len(hashes), bool)
    whole[offsets[short]] = False
    run = shingle(found.hashes, size)
    hashes[whole] = run[inner(found.offsets, size, len(run))]
    hashes[offsets[short]] = hash_short(found, short)
    return hashes, offsets


def hash_short(found: Words, documents: Array) -> Array:
    """One hash of all words of each of some short documents."""
    counts, starts = found.counts[documents], found.offsets[documents]
    values = counts.astype(np.uint64) * SHORT
    for place in range(int(counts.max(initial=0))):
        longer = counts > place
        values[longer] = values[longer] * JOIN + found.hashes[starts[longer] + place]
    return mix(values)


def hash_sequences(found: Words) -> tuple[Array, Array]:
    """128 bits, in two halves, that two documents share when their words are the same in the same order.

    Documents without words have 0.
    """
    high, low = (np.zeros(len(found.counts), np.uint64) for _ in range(2))
    filled = np.flatnonzero(found.counts)
    first, last = found.offsets[filled], found.offsets[filled + 1] - 1
    counts = found.counts[filled].astype(np.uint64)
    high[filled] = mix(hash_spans(found.hashes, first, last) + counts)
    low[filled] = mix(hash_spans(mix(found.hashes + SHORT), first, last) + counts)
    return high, low


def as_set(hashes: Array) -> Array:
    """Sorted, without repeats."""
    values = np.sort(hashes)
    fresh = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]


def jaccard(first: Array, second: Array) -> float:
    """The share of the elements of two sets that both have; 0 for empty sets. Sets are sorted, without repeats."""
    merged = np.concatenate((first, second))
    merged.sort(kind="stable")  # two sorted runs: a merge, in linear time
    common = np.count_nonzero(merged[1:] == merged[:-1])
    return float(common / (len(merged) - common)) if len(merged) else 0.0
