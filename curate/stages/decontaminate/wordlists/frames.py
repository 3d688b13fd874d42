"""The frames that many eval items share, and what the corpus says often: ``Write a python function to find the …``.

What a set asks again and again is common there, whatever it is in the language at large, and finding it in a document
proves no item. A word that follows the words before it in many other items of the same set, or of all sets, has the
bits of that: with d other items that have the two words before it, and t of them that go on with it, its probability is
at least t / (d + PRIOR). The item itself does not count, so that what one item alone has keeps its bits, and PRIOR is
so large that the same question asked twice, with other numbers, keeps most of its bits too. What a sample of the corpus
says in many contexts is common there in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching import words
from curate.matching.words import Words
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.surprisal import WordSurprisal

PRIOR = 8.0
"""Items that are thought to go on otherwise, before any is counted."""
FEW = 3.0
"""Other items that may share a run by chance, or because they are about the same thing, without its being a frame."""

CONTEXT = 3
"""Words behind a run in the corpus by which its places are told apart."""
WELL_PREDICTED = (
    (0.0, 4.9, 7.2, 9.0, 11.1, 13.0, 14.9, 17.0, 18.9, 20.0),
    (0.0, 1.0, 2.4, 4.1, 5.1, 8.1, 11.2, 14.3, 20.0, 20.0),
)
"""Bits of a word alone, and after the words before it where these foretell it better than nine times of ten: of English
(the held-out half of a corpus), whose word model has context. Other languages are taken to be as foretellable."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryWords:
    """The words of the queries, one after the other. W words, Q queries."""

    hashes: UInt64Array
    """Of shape (W,)."""
    owners: Int64Array
    """Of shape (W,): the index of each word's query, ascending."""
    offsets: Int64Array
    """Of shape (Q + 1,)."""


def weigh_own_words(surprise: WordSurprisal, query_words: QueryWords, scopes: Int64Array) -> Float64Array:
    """Return the bits of each word within its query, lowered where other queries go on, or begin, in the same way.

    ``scopes`` is of shape (Q,): the number of each query's eval set. Others of the set, and of all sets, are looked at;
    a word is also part of a frame where the words behind it are that go before in the same way.
    """
    bits = predict_words(surprise, query_words)
    for scope in (scopes, np.zeros_like(scopes)):
        bits = _discount(bits, [count_others(query_words, scope, order) for order in (1, 2, 3)])
    return bits


def predict_words(surprise: WordSurprisal, query_words: QueryWords) -> Float64Array:
    """Return the bits of each word within its query where the language foretells it as well as it can."""
    bits = np.minimum(predict_bits(surprise.first), surprise.later)
    seconds = query_words.offsets[:-1][np.diff(query_words.offsets) > 1] + 1
    bits[seconds] = np.minimum(bits[seconds], surprise.second[seconds])
    return bits


def discount_common_runs(bits: Float64Array, query_words: QueryWords, sample: Words) -> Float64Array:
    """Return the bits of the words of queries, lowered where a sample of the corpus goes on in the same way.

    A run counts once for all places with the same CONTEXT words behind it, so that an item that has leaked into many
    documents does not make itself common.
    """
    return _discount(bits, [_count_in_sample(query_words, sample, order) for order in (1, 2, 3)])


def _discount(bits: Float64Array, counts: Sequence[Float64Array]) -> Float64Array:
    """Return bits lowered by the counts of the runs of one, two and three words that begin at each word."""
    one, two, three = counts
    nexts, pairs = np.append(one[1:], 0.0), np.append(two[1:], 0.0)
    forward = np.minimum(_weigh(two, three, 2), _weigh(one, two, 1))
    backward = np.minimum(_to_bits(three, pairs), _to_bits(two, nexts))
    return np.minimum(bits, np.minimum(forward, backward))


def _count_in_sample(query_words: QueryWords, sample: Words, order: int) -> Float64Array:
    """Return in how many contexts of the sample the run of ``order`` words at each word of the queries stands."""
    counted = np.zeros(len(query_words.hashes))
    contexts = words.hash_shingles(sample.hashes, order + CONTEXT)
    inside = np.flatnonzero(words.mark_inner_shingles(sample.offsets, order + CONTEXT, len(contexts)))
    _, first = np.unique(contexts[inside], return_index=True)
    known, counts = np.unique(words.hash_shingles(sample.hashes, order)[inside[first]], return_counts=True)
    runs = words.hash_shingles(query_words.hashes, order)
    if len(known) and len(runs):
        slots = np.minimum(np.searchsorted(known, runs), len(known) - 1)
        valid = words.mark_inner_shingles(query_words.offsets, order, len(runs))
        counted[: len(runs)] = np.where(valid & (known[slots] == runs), counts[slots], 0.0)
    return counted


def predict_bits(bits: Float64Array) -> Float64Array:
    """Return the bits that words have where their context foretells them well, from their bits without it."""
    return np.asarray(np.interp(bits, *WELL_PREDICTED))


def _weigh(before: Float64Array, run: Float64Array, shift: int) -> Float64Array:
    """Return the bits of the last word of each run, at that word; ``before`` counts the runs without it."""
    bits = np.full(len(run), np.inf)
    bits[shift:] = _to_bits(run[:-shift], before[:-shift])
    return bits


def _to_bits(run: Float64Array, rest: Float64Array) -> Float64Array:
    """Return the bits of a word that makes the runs that ``rest`` counts to those that ``run`` counts."""
    share = np.maximum(run - FEW, 0.0) / (rest + PRIOR)
    return -np.log2(share, out=np.full(len(share), -np.inf), where=share > 0)


def count_others(query_words: QueryWords, scopes: Int64Array, order: int) -> Float64Array:
    """Return how many other queries of the scope have the run of ``order`` words that begins at each word.

    Of shape (W,); 0 where the run does not lie within one query.
    """
    others = np.zeros(len(query_words.hashes))
    runs = words.hash_shingles(query_words.hashes, order)
    inside: BoolArray = words.mark_inner_shingles(query_words.offsets, order, len(runs))
    owners = query_words.owners[: len(runs)][inside]
    keys = words.mix_bits(runs[inside] + scopes[owners].astype(np.uint64) * words.JOIN)
    order_of_keys = np.argsort(keys, kind="stable")  # stable, so that the owners of one key ascend
    keys, owners = keys[order_of_keys], owners[order_of_keys]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = keys[1:] != keys[:-1]
    group = np.cumsum(fresh) - 1
    fresh[1:] |= owners[1:] != owners[:-1]
    others[np.flatnonzero(inside)[order_of_keys]] = np.bincount(group, fresh)[group] - 1
    return others
