"""Documents as sets of shingles and as sequences of words, and the similarity of two documents.

A document is the set of the 64-bit hashes of its shingles, so that its Jaccard similarity to another is exact, except
for hash collisions: one in 10^13 pairs of documents of a thousand shingles.
"""

import numpy as np

from curate.matching.words import JOIN, Words, hash_shingles, hash_spans, mark_inner_shingles, mix_bits
from curate.runtime.arrays import BoolArray, Int64Array, UInt64Array

SHORT = np.uint64(0x5851F42D4C957F2D)  # separates hashes of another kind (Knuth's multiplier, MMIX)


def make_shingle_sets(words: Words, size: int) -> tuple[UInt64Array, Int64Array]:
    """Return the shingle hashes of all documents, one after the other with repeats, and the offsets of each document.

    Document d has the hashes in [offsets[d], offsets[d + 1]). A document of fewer than ``size`` words has one hash, of
    all its words, that no shingle has; one without words has none.
    """
    counts = words.counts
    many = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
    offsets = np.concatenate([[0], np.cumsum(many)])
    hashes = np.empty(offsets[-1], np.uint64)
    short = np.flatnonzero((counts > 0) & (counts < size))
    is_shingle = np.ones(len(hashes), bool)
    is_shingle[offsets[short]] = False
    run = hash_shingles(words.hashes, size)
    hashes[is_shingle] = run[mark_inner_shingles(words.offsets, size, len(run))]
    hashes[offsets[short]] = hash_short(words, short)
    return hashes, offsets


def number_repeats(hashes: UInt64Array, offsets: Int64Array, chosen: BoolArray) -> UInt64Array:
    """Return the shingle hashes with those that a document repeats told apart, in the documents that are ``chosen``.

    The second and each further occurrence of a shingle gets another hash, the same in every document, so that sets of
    such hashes are compared as multisets. ``hashes`` and ``offsets`` come from ``make_shingle_sets``; ``chosen`` has an
    entry for each document.
    """
    documents = np.repeat(np.arange(len(chosen)), np.diff(offsets))
    inside = np.flatnonzero(chosen[documents])
    order = inside[np.lexsort((hashes[inside], documents[inside]))]
    sorted_hashes, sorted_documents = hashes[order], documents[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (sorted_hashes[1:] != sorted_hashes[:-1]) | (sorted_documents[1:] != sorted_documents[:-1])
    index = np.arange(len(order))
    nth = index - np.maximum.accumulate(np.where(is_new, index, 0))
    again = nth > 0
    numbered = hashes.copy()
    numbered[order[again]] = mix_bits(sorted_hashes[again] + nth[again].astype(np.uint64) * SHORT)
    return numbered


def hash_short(words: Words, documents: Int64Array) -> UInt64Array:
    """Return one hash of all words of each of the documents, given by number; each has at least one word."""
    counts, starts = words.counts[documents], words.offsets[documents]
    values = counts.astype(np.uint64) * SHORT
    for position in range(int(counts.max(initial=0))):
        longer = counts > position
        values[longer] = values[longer] * JOIN + words.hashes[starts[longer] + position]
    return mix_bits(values)


def hash_sequences(words: Words) -> tuple[UInt64Array, UInt64Array]:
    """Return the halves of a 128-bit hash of each document, equal for documents of the same words in the same order.

    Documents without words have 0 in both.
    """
    high, low = (np.zeros(len(words.counts), np.uint64) for _ in range(2))
    filled = np.flatnonzero(words.counts)
    first, last = words.offsets[filled], words.offsets[filled + 1] - 1
    counts = words.counts[filled].astype(np.uint64)
    high[filled] = mix_bits(hash_spans(words.hashes, first, last) + counts)
    low[filled] = mix_bits(hash_spans(mix_bits(words.hashes + SHORT), first, last) + counts)
    return high, low


def sort_unique(hashes: UInt64Array) -> UInt64Array:
    """Return the hashes in ascending order, without repeats."""
    values = np.sort(hashes)
    is_new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return values[is_new]


def jaccard(first: UInt64Array, second: UInt64Array) -> float:
    """Return the Jaccard similarity of two sets, each in ascending order without repeats; 0 for two empty sets."""
    merged = np.concatenate((first, second))
    merged.sort(kind="stable")  # two sorted runs: a merge, in linear time
    common = np.count_nonzero(merged[1:] == merged[:-1])
    return float(common / (len(merged) - common)) if len(merged) else 0.0
