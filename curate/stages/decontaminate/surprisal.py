"""How surprising words are in ordinary English, in bits, so that a common phrase does not count as a leak.

The word model in the package counts single words, pairs and triples of 33 million words of English: the builtin model's
training texts without the documents on which detection is measured. A word's probability after the two before it is the
relative frequency of the longest run that was counted, times 0.4 for each word of context that was given up ("stupid
backoff", Brants et al. 2007, D07-1090). A word that was never counted has UNSEEN bits. Other languages have models of
their own, mostly of single words (``curate.stages.decontaminate.wordlists``); words that the eval sets themselves
repeat very often are common whatever a model says.

Keys are the low 32 bits of ``words.hash_shingles``; of a million look-ups some eighty find another run's count by
chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.matching import words
from curate.runtime.arrays import Array, BoolArray, Float64Array, UInt32Array, UInt64Array

TABLE = Path(__file__).parent / "english.npz"
VERSION = 2
"""Of the models. Hits that another version weighed are made anew."""
ORDERS = 3
"""Words of the longest runs that are counted."""
BACKOFF = 0.4
UNSEEN = 20.0
"""Bits of a word that was never counted: one in a million."""
CHARACTER = 6.0
"""The most bits of a character that is a word of its own; Chinese has some 4 to 5 bits a character."""
STEPS = 8
"""Counts are stored as their logarithm to base 2, in eighths."""
LEAST_REPEATS = 20
"""Uses within the eval sets from which on a word counts as common there."""


@dataclass(frozen=True, slots=True, eq=False)
class WordModel:
    """Counts of runs of one, two and three words."""

    keys: tuple[UInt32Array, ...]
    """For each order the low 32 bits of the runs' hashes, ascending."""
    counts: tuple[Float64Array, ...]
    """For each order, along the keys."""
    total: float
    """Words that were counted."""
    longest: int = ORDERS
    """Words of the longest runs that were counted: longer ones being absent means nothing."""

    def count(self, order: int, hashes: UInt64Array) -> Float64Array:
        """Return how often each run of ``order`` words occurred, 0 where it is not in the model."""
        keys, short = self.keys[order - 1], hashes.astype(np.uint32)
        if not len(keys):
            return np.zeros(len(hashes))
        slots = np.minimum(np.searchsorted(keys, short), len(keys) - 1)
        return np.where(keys[slots] == short, self.counts[order - 1][slots], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class WordSurprisal:
    """Bits of each word, by how many of the words before it are known to match; one entry a word in every array."""

    first: Float64Array
    """Where no word before it is known."""
    second: Float64Array
    """Where one word before it is known."""
    later: Float64Array
    """Where two words before it are known."""

    def of_run(self, first: int, length: int) -> float:
        """Return the bits of ``length`` consecutive words, the word of index ``first`` being the first; 0 for none."""
        if length <= 0:
            return 0.0
        second = self.second[first + 1] if length > 1 else 0.0
        return float(self.first[first] + second + self.later[first + 2 : first + length].sum())


def surprise(
    hashes: UInt64Array, alone: BoolArray, word_model: WordModel, character: float = CHARACTER
) -> WordSurprisal:
    """Return the bits of each word.

    ``hashes`` has an entry for each word; ``alone``, along it, marks characters that are words of their own
    (``words.SPACELESS``), and have ``character`` bits at most.
    """
    count, total = len(hashes), word_model.total
    single = np.maximum(word_model.count(1, words.hash_shingles(hashes, 1)), _count_repeats(hashes) * total)
    pair = _pad(word_model.count(2, words.hash_shingles(hashes, 2)), count)
    triple = _pad(word_model.count(3, words.hash_shingles(hashes, 3)), count)
    first = np.where(single > 0, single / total, 2.0**-UNSEEN)
    second = first * (BACKOFF if word_model.longest > 1 else 1.0)
    second[1:] = np.where(pair[:-1] > 0, pair[:-1] / np.maximum(single[:-1], 1), second[1:])
    later = second * (BACKOFF if word_model.longest > 2 else 1.0)
    later[2:] = np.where((triple[:-2] > 0) & (pair[:-2] > 0), triple[:-2] / np.maximum(pair[:-2], 1), later[2:])
    later[:2] = second[:2]
    most = np.where(alone, character, UNSEEN)
    bits = (np.clip(-np.log2(np.clip(share, 1e-9, 1.0)), 0.0, most) for share in (first, second, later))
    return WordSurprisal(*bits)


def _count_repeats(hashes: UInt64Array) -> Float64Array:
    """Return the relative frequency of each word among all of these, 0 where it is rare."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    share = np.where(counts >= LEAST_REPEATS, counts, 0) / max(len(hashes), 1)
    return np.asarray(share[inverse])


def _pad(values: Float64Array, count: int) -> Float64Array:
    return np.concatenate([values, np.zeros(count - len(values))])


def count_runs(texts: Sequence[str]) -> tuple[tuple[UInt64Array, ...], int]:
    """Return the hashes of all runs of one, two and three words of some texts, repeats included, and the word count."""
    split = words.split_words(texts)
    runs = []
    for order in range(1, ORDERS + 1):
        hashes = words.hash_shingles(split.hashes, order)
        runs.append(hashes[words.mark_inner_shingles(split.offsets, order, len(hashes))])
    return tuple(runs), len(split)


def pack_counts(runs: Sequence[UInt64Array | UInt32Array], total: int, least: Sequence[int]) -> dict[str, Array]:
    """Return the arrays of a model file: for each order the runs that occurred at least ``least[order − 1]`` times.

    ``steps1`` … (uint32) are the differences of the ascending keys, ``logs1`` … (uint8) the logarithms of their counts.
    """
    packed: dict[str, Array] = {"total": np.array(total, np.int64)}
    for order, (hashes, fewest) in enumerate(zip(runs, least, strict=True), 1):
        keys, counts = np.unique(hashes.astype(np.uint32), return_counts=True)
        keys, counts = keys[counts >= fewest], counts[counts >= fewest]
        packed[f"steps{order}"] = np.diff(keys, prepend=np.uint32(0))  # small numbers, which compress
        packed[f"logs{order}"] = np.round(np.log2(counts) * STEPS).astype(np.uint8)
    return packed


@lru_cache(maxsize=1)
def load_word_model() -> WordModel:
    """Return the word model in the package."""
    with np.load(TABLE) as stored:
        orders = range(1, ORDERS + 1)
        keys = tuple(np.cumsum(stored[f"steps{order}"], dtype=np.uint32) for order in orders)
        counts = tuple(2.0 ** (stored[f"logs{order}"] / STEPS) for order in orders)
        return WordModel(keys, counts, float(stored["total"]))
