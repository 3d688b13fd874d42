"""Groups of word triples that documents share with queries: the steps of ``numba_triples.find_groups``."""

from typing import Any

import numpy as np

from curate.matching.compiled import compiled
from curate.matching.compiled.keys import find_key
from curate.matching.compiled.words import mix
from curate.runtime.arrays import Array

SUMS = 262_139
"""``numba_triples.SUMS``."""
DIAGONAL_BITS = 6
FEW = 32
"""Rows up to which the plainest way of sorting is the fastest."""


@compiled
def collect_rows(
    hits: Array, slots: Array, first: int, end: int, document: int, many: int, offsets: Array, owners: Array,
    positions: Array, sums: Array, least: float, rows: Array,
) -> int:  # fmt: skip
    """Write query, its word and the word of the batch of the rows of a document that count; return their number."""
    count = 0
    for hit in range(first, end):
        for posting in range(offsets[slots[hit]], offsets[slots[hit] + 1]):
            owner = owners[posting]
            rows[0, count], rows[1, count], rows[2, count] = owner, positions[posting], hits[hit]
            count += sums[(owner * many + document) % SUMS] >= least
    return count


@compiled
def order_rows(rows: Array, count: int, counts: Array, queries: Array, ordered: Array) -> int:
    """Write the words of the rows by query, then by diagonal, and the queries; return how many queries there are.

    ``counts`` has 0 for each query, and the end of the rows of each that is written when this returns.
    """
    many = 0
    for row in range(count):
        if counts[rows[0, row]] == 0:
            queries[many] = rows[0, row]
            many += 1
        counts[rows[0, row]] += 1
    end = 0
    for query in queries[:many]:
        end, counts[query] = end + counts[query], end
    for row in range(count):
        slot = counts[rows[0, row]]
        ordered[0, slot], ordered[1, slot] = rows[1, row], rows[2, row]
        counts[rows[0, row]] += 1
    first = 0
    for query in queries[:many]:
        end = counts[query]
        if end - first > FEW:
            by_diagonal = np.argsort(ordered[1, first:end] - ordered[0, first:end], kind="mergesort")
            for side in range(2):
                ordered[side, first:end] = ordered[side, first:end][by_diagonal]
        for row in range(first + 1, end if end - first <= FEW else first):
            word, other, slot = ordered[0, row], ordered[1, row], row
            while slot > first and ordered[1, slot - 1] - ordered[0, slot - 1] > other - word:
                ordered[0, slot], ordered[1, slot] = ordered[0, slot - 1], ordered[1, slot - 1]
                slot -= 1
            ordered[0, slot], ordered[1, slot] = word, other
        first = end
    return many


@compiled
def count_equal(
    word: int, begin: int, end: int, other: int, low: int, high: int, step: int, hashes: Array, others: Array
) -> int:
    """Return how many words before or behind ``word`` are those before or behind ``other``."""
    count, word, other = 0, word + step, other + step
    while begin <= word < end and low <= other < high and hashes[word] == others[other]:
        count, word, other = count + 1, word + step, other + step
    return count


@compiled
def weigh_rows(ordered: Array, begin: int, first: int, end: int, single: Array, second: Array, later: Array) -> float:
    """Return the bits of the rows from ``first`` to ``end``, of a query whose rows begin at ``begin``."""
    total = 0.0
    for row in range(first, end):
        word, other = ordered[0, row], ordered[1, row]
        continues = row > begin and other - ordered[1, row - 1] == 1 and word - ordered[0, row - 1] == 1
        total += later[word + 2] + (0.0 if continues else single[word] + second[word + 1])
    return total


@compiled
def judge_groups(
    ordered: Array, queries: Array, ends: Array, low: int, high: int, others: Array, hashes: Array, offsets: Array,
    scale: Array, stretch: Array, single: Array, second: Array, later: Array, rule: Any, written: Array, count: int,
) -> int:  # fmt: skip
    """Write query, first and last word of the groups of a document that have enough, from ``count`` on.

    Return how many there are then, written or not. ``low`` and ``high`` are the words of the document.
    """
    least, stretched_from, slack, needed, missing, discount, lowest, margin, size = rule
    begin = 0
    for query in queries:
        end, words = ends[query], offsets[query + 1] - offsets[query]
        for half in range(2):
            last, shift = begin, len(hashes) + (half << (DIAGONAL_BITS - 1))
            while last < end:
                first = last
                block = (ordered[1, first] - ordered[0, first] + shift) >> DIAGONAL_BITS
                least_word, most_word, least_other, most_other = ordered[0, first], 0, ordered[1, first], 0
                while last < end and (ordered[1, last] - ordered[0, last] + shift) >> DIAGONAL_BITS == block:
                    word, other = ordered[0, last], ordered[1, last]
                    least_word, most_word = min(least_word, word), max(most_word, word)
                    least_other, most_other = min(least_other, other), max(most_other, other)
                    last += 1
                plain = (min(most_word - least_word, most_other - least_other) + size) / words
                coverage = plain * stretch[query]
                coverage = min(coverage if coverage >= stretched_from else plain, 1.0)
                if coverage < least and stretch[query] > 1.0:
                    around, word, other = 0, ordered[0, first], ordered[1, first]
                    for step in (-1, 1):
                        around += count_equal(
                            word, offsets[query], offsets[query + 1], other, low, high, step, hashes, others
                        )
                        word, other = ordered[0, last - 1] + size - 1, ordered[1, last - 1] + size - 1
                    coverage = min(plain + around / words, 1.0)
                if coverage >= least:
                    bits = scale[query] * weigh_rows(ordered, begin, first, last, single, second, later)
                    enough = max(needed + missing * (1 - coverage) - discount, lowest) - margin
                    if bits >= slack * enough:
                        if count < len(written):
                            written[count, 0], written[count, 1] = query, least_other
                            written[count, 2] = most_other + size - 1
                        count += 1
        begin, ends[query] = end, 0
    return count


@compiled
def find_groups(
    hits: Array, slots: Array, batch: Any, postings: Any, index: Any, surprise: Any, rule: Any, written: Array
) -> int:
    """Write the groups that have enough, as far as there is room, and return how many there are."""
    others, documents = batch
    offsets, owners, positions, shares, least_shares = postings
    many, sums, room, most, first = len(documents), np.zeros(SUMS), 0, 0, 0
    for document in range(many - 1):
        end, room = first, 0
        while end < len(hits) and hits[end] < documents[document + 1]:
            for posting in range(offsets[slots[end]], offsets[slots[end] + 1]):
                sums[(owners[posting] * many + document) % SUMS] += shares[posting]
            room += offsets[slots[end] + 1] - offsets[slots[end]]
            end += 1
        most, first = max(most, room), end
    rows, ordered = np.empty((3, most + 1), np.int64), np.empty((2, most), np.int64)
    queries, counts = np.empty(most, np.int64), np.zeros(len(index[1]), np.int64)
    count = first = 0
    for document in range(many - 1):
        end = first
        while end < len(hits) and hits[end] < documents[document + 1]:
            end += 1
        found = collect_rows(
            hits, slots, first, end, document, many, offsets, owners, positions, sums, least_shares, rows
        )
        first, wanted = end, queries[: order_rows(rows, found, counts, queries, ordered)]
        bounds = (documents[document], documents[document + 1])
        count = judge_groups(  # type: ignore[call-arg]
            ordered, wanted, counts, *bounds, others, *index, *surprise, rule, written, count
        )
    return count


@compiled
def list_shared(
    lows: Array, highs: Array, queries: Array, hits: Array, shingles: Array, known: Array, starts: Array,
    filtered: Array, shift: np.uint64, narrow: np.uint64, positions: Array, offsets: Array, join: np.uint64,
    size: int, least: float, written: Array,
) -> int:  # fmt: skip
    """Write the triples of the regions that cover enough, as far as there is room, and return how many there are.

    What a region has that covers too little is written over by the next one.
    """
    marks, count = np.full(np.max(offsets[1:] - offsets[:-1]), -1), 0
    for row in range(len(lows)):
        begin, words, first = offsets[queries[row]], offsets[queries[row] + 1] - offsets[queries[row]], count
        hit = np.searchsorted(hits, lows[row])
        while hit < len(hits) and hits[hit] < highs[row]:
            key = mix(shingles[hits[hit]] + np.uint64(queries[row]) * join)
            slot = find_key(key, known, starts, filtered, shift, narrow)
            if slot >= 0:
                marks[positions[slot] - begin] = row
                if count < len(written):
                    written[count, 0], written[count, 1], written[count, 2] = row, hits[hit], positions[slot]
                count += 1
            hit += 1
        covered = reached = 0
        for word in range(words if count > first else 0):
            if marks[word] == row:
                covered += word + size - max(word, reached)
                reached = word + size
        if covered / words < least:
            count = first
    return count
