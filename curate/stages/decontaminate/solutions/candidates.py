"""Where in a batch of documents a solution may be: an inverted index of runs of tokens.

A run of RUN tokens leads to the solutions that have it, POSTINGS at most, and those of a solution that are rarest in
code in general lead to it in any case. Where hits of one solution stand close together and cover enough of it, there is
a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching.code_tokens import CodeTokens
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.ngram_index import BloomFilter, expand, find_starts, look_up, make_bloom_filter
from curate.stages.decontaminate.solutions.queries import CodeQueries, hash_runs

RUN = 5
"""Tokens of a run."""
POSTINGS = 48
"""Solutions that a run leads to."""
ANCHORS = 8
"""Runs that lead to their solution however many other solutions have them: those of the most bits."""
LEAST_SHARE = 0.5
"""Share of the bits of a solution's runs from which on there is a candidate."""
SLACK = 32
"""Tokens that may stand between two parts of one solution, beside its own length."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeIndex:
    """The runs of all solutions: G distinct ones, and P postings."""

    grams: UInt64Array
    """Of shape (G,), ascending."""
    offsets: Int64Array
    """Of shape (G + 1,): the postings of run g are those from offsets[g] to offsets[g + 1], the end excluded."""
    positions: Int64Array
    """Of shape (P,): index of the token of the queries at which the run begins."""
    owners: Int64Array
    """Of shape (P,): index of the query."""
    shares: Float64Array
    """Of shape (P,): the share of the bits of its query's postings."""
    lengths: Int64Array
    """Of shape (Q,): tokens of each query."""
    bloom: BloomFilter


@dataclass(frozen=True, slots=True, eq=False)
class CodeCandidates:
    """Stretches of documents that may be a solution. Arrays of one length."""

    queries: Int64Array
    documents: Int64Array
    firsts: Int64Array
    """Index of the first token of the batch that was found."""
    lasts: Int64Array
    """Index of the last one."""


def make_code_index(queries: CodeQueries) -> CodeIndex:
    """Return the inverted index of some solutions."""
    offsets = queries.tokens.offsets
    runs, positions = hash_runs(queries.tokens, RUN)
    owners = np.searchsorted(offsets, positions, side="right") - 1
    sums = np.concatenate([[0.0], np.cumsum(queries.surprise.later)])
    bits = sums[positions + RUN] - sums[positions] + 0.1
    anchors = mark_rarest(owners, bits)
    grams, inverse = np.unique(runs, return_inverse=True)
    order = np.lexsort((~anchors, inverse))
    rank = rank_within(find_starts(inverse[order]), len(order))
    kept = order[(rank < POSTINGS) | anchors[order]]
    total = np.bincount(owners[kept], bits[kept], len(queries))
    ends = np.concatenate([[0], np.cumsum(np.bincount(inverse[kept], minlength=len(grams)))])
    shares = bits[kept] / total[owners[kept]]
    return CodeIndex(grams, ends, positions[kept], owners[kept], shares, np.diff(offsets), make_bloom_filter(grams))


def mark_rarest(owners: Int64Array, bits: Float64Array) -> BoolArray:
    """Return for each run whether it is of the ANCHORS runs of its query that have the most bits."""
    order = np.lexsort((-bits, owners))
    anchors = np.zeros(len(owners), bool)
    anchors[order[rank_within(find_starts(owners[order]), len(order)) < ANCHORS]] = True
    return anchors


def rank_within(starts: Int64Array, count: int) -> Int64Array:
    """Return the position of each of ``count`` rows within its group; groups begin at ``starts``."""
    ranks: Int64Array = np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count)))
    return ranks


def find_code_candidates(index: CodeIndex, batch: CodeTokens, queries: Sequence[frozenset[int]]) -> CodeCandidates:
    """Return the stretches of the documents that share enough runs with a solution.

    ``queries`` has the solutions that are looked for in each document.
    """
    runs, places = hash_runs(batch, RUN)
    hits, slots = look_up(runs, None, index.grams, index.bloom)
    numbers, postings = expand(slots, index.offsets)
    places = places[hits][numbers]
    owners, shares, positions = index.owners[postings], index.shares[postings], index.positions[postings]
    documents = np.searchsorted(batch.offsets, places, side="right") - 1
    pair = owners * len(batch.offsets) + documents
    wanted = [query * len(batch.offsets) + number for number, some in enumerate(queries) for query in some]
    kept = np.isin(pair, np.array(wanted, np.int64))
    pair, places, owners, positions = pair[kept], places[kept], owners[kept], positions[kept]
    shares = shares[kept]
    order = np.lexsort((places, pair))
    pair, places, shares, positions = pair[order], places[order], shares[order], positions[order]
    starts = find_starts(pair, find_far(pair, places, index.lengths[owners[order]]))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(pair))))
    order = np.lexsort((positions, group))
    once = order[find_starts(group[order], positions[order])]
    sums = np.bincount(group[once], shares[once], len(starts))
    chosen = np.flatnonzero(sums >= LEAST_SHARE)
    lasts = np.append(starts, len(pair))[chosen + 1] - 1
    first = starts[chosen]
    return CodeCandidates(
        pair[first] // len(batch.offsets), pair[first] % len(batch.offsets), places[first], places[lasts] + RUN - 1
    )


def find_far(pair: Int64Array, places: Int64Array, lengths: Int64Array) -> Int64Array:
    """Return a number for each row, another one where the row before is further away than a solution is long."""
    far = np.zeros(len(pair), np.int64)
    far[1:] = np.diff(places) > lengths[1:] // 2 + SLACK
    return np.cumsum(far)
