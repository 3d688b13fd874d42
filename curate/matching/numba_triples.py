"""Candidates of an inverted index of word triples, compiled by numba where it is installed (the extra ``fast``).

The twins of steps of ``find_by_ngrams`` (``ngram_index`` of the stage decontaminate), which give the same rows. A test
holds them to each other.
"""

from typing import Any

import numpy as np

from curate.matching.numba_kernels import KeyTable, list_table
from curate.runtime.arrays import Int64Array, UInt64Array

SUMS = 262_139
"""Entries of the table of sums by pairs of a query and a document; a prime."""
DIAGONAL_BITS = 6
"""A group of diagonals is 2^DIAGONAL_BITS wide."""
FEW = 32
"""Rows up to which the plainest way of sorting is the fastest."""


def find_groups(
    hits: Int64Array, slots: Int64Array, batch: Any, postings: Any, index: Any, surprise: Any, rule: Any
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the rows of ``ngram_index.find_groups``, in another order.

    ``batch`` has hashes and offsets of the words of the batch; ``postings`` has offsets, owners, positions and shares
    of the index, and the least sum of shares; ``index`` has hashes and offsets of the words of the queries, scale and
    stretch of these; ``surprise`` the three arrays of ``WordSurprisal``. ``rule`` has the least coverage, the coverage
    that is stretched, the slack, the five numbers of ``thresholds.least_bits``, words of a triple.
    """
    from curate.matching.compiled import triples

    room = 4096
    while True:
        written = np.empty((room, 3), np.int64)
        count = triples.find_groups(hits, slots, batch, postings, index, surprise, rule, written)
        if count <= room:
            queries, firsts, lasts = written[:count].T.copy()
            return queries, firsts, lasts
        room = count


def list_shared(
    regions: tuple[Int64Array, Int64Array, Int64Array],
    hits: Int64Array,
    shingles: UInt64Array,
    pairs: KeyTable,
    of_queries: tuple[Int64Array, Int64Array],
    join: np.uint64,
    size: int,
    least: float,
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the rows of ``ngram_index.list_shared`` of the regions in which triples cover ``least`` of the query.

    ``regions`` are their first words, the ends of these, and their queries. ``hits`` are the words of the batch at
    which a known triple begins, ascending, ``shingles`` the triple at each word of the batch. ``pairs`` are the triples
    of the queries mixed with ``join`` times their query; ``of_queries`` has, along them, their words, and the offsets
    of the words of the queries.
    """
    from curate.matching.compiled import triples

    room = 4096
    while True:
        written = np.empty((room, 3), np.int64)
        given: tuple[Any, ...] = (*regions, hits, shingles, *list_table(pairs), *of_queries, join, size, least, written)
        count = triples.list_shared(*given)
        if count <= room:
            numbers, batch_words, query_words = written[:count].T.copy()
            return numbers, batch_words, query_words
        room = 4 * room
