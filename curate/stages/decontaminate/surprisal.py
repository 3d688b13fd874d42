"""How surprising words are in ordinary English, in bits: what keeps a common phrase from being taken for a leak.

The table in the box counts single words, pairs and triples of 33 million words of English, the builtin model's training
texts without the documents on which detection is measured. A word's probability after the two before it is the relative
frequency of the longest run that was counted, times 0.4 for each word of context that was given up ("stupid backoff",
Brants et al. 2007, D07-1090). A word that was never counted has UNSEEN bits. The table knows English alone; for other
languages the frequencies of words within the eval sets themselves are added.

Keys are the low 32 bits of ``words.shingle``; of a million look-ups some eighty meet a stranger's count by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.matching import words

Array = np.ndarray[Any, np.dtype[Any]]

TABLE = Path(__file__).parent / "english.npz"
VERSION = 1
ORDERS = 3
BACKOFF = 0.4
UNSEEN = 20.0  # bits of a word that was never counted: one in a million
CHARACTER = 6.0  # bits at most of a character that is a word of its own; Chinese has some 4 to 5 bits a character
STEPS = 8  # counts are stored as their logarithm to base 2, in eighths
LEAST_OWN = 20  # uses within the eval sets from which a word counts as common there


@dataclass(frozen=True, slots=True, eq=False)
class WordModel:
    """Counts of runs of one, two and three words."""

    keys: tuple[Array, ...]
    """For each order, sorted uint32."""
    counts: tuple[Array, ...]
    """For each order, float64, along the keys."""
    total: float
    """Words that were counted."""

    def count(self, order: int, hashes: Array) -> Array:
        """How often runs of ``order`` words occurred; 0 for those that are not in the table."""
        keys, wanted = self.keys[order - 1], hashes.astype(np.uint32)
        if not len(keys):
            return np.zeros(len(hashes))
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[places] == wanted, self.counts[order - 1][places], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class WordSurprisal:
    """Bits of each word, by how many of the words before it are known to match: none, one, two."""

    first: Array
    second: Array
    later: Array

    def of_run(self, place: int, length: int) -> float:
        """The bits of ``length`` consecutive words from ``place`` on."""
        if length <= 0:
            return 0.0
        second = self.second[place + 1] if length > 1 else 0.0
        return float(self.first[place] + second + self.later[place + 2 : place + length].sum())


def surprise(hashes: Array, alone: Array, background: WordModel) -> WordSurprisal:
    """The bits of each word. ``alone`` marks characters that are words of their own (``words.SPACELESS``)."""
    count, total = len(hashes), background.total
    single = np.maximum(background.count(1, words.shingle(hashes, 1)), _own(hashes) * total)
    pair = _padded(background.count(2, words.shingle(hashes, 2)), count)
    triple = _padded(background.count(3, words.shingle(hashes, 3)), count)
    first = np.where(single > 0, single / total, 2.0**-UNSEEN)
    second = BACKOFF * first
    second[1:] = np.where(pair[:-1] > 0, pair[:-1] / np.maximum(single[:-1], 1), second[1:])
    later = BACKOFF * second
    later[2:] = np.where((triple[:-2] > 0) & (pair[:-2] > 0), triple[:-2] / np.maximum(pair[:-2], 1), later[2:])
    later[:2] = second[:2]
    most = np.where(alone, CHARACTER, UNSEEN)
    bits = (np.clip(-np.log2(np.clip(one, 1e-9, 1.0)), 0.0, most) for one in (first, second, later))
    return WordSurprisal(*bits)


def _own(hashes: Array) -> Array:
    """The relative frequency of each word among all of these, 0 where it is rare."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    share = np.where(counts >= LEAST_OWN, counts, 0) / max(len(hashes), 1)
    return np.asarray(share[inverse])


def _padded(values: Array, count: int) -> Array:
    return np.concatenate([values, np.zeros(count - len(values))])


def count_runs(texts: Sequence[str]) -> tuple[tuple[Array, ...], int]:
    """The hashes of all runs of one, two and three words of some texts, and the number of words."""
    found = words.split_words(texts)
    runs = []
    for order in range(1, ORDERS + 1):
        hashes = words.shingle(found.hashes, order)
        runs.append(hashes[words.inner(found.offsets, order, len(hashes))])
    return tuple(runs), len(found)


def pack(runs: Sequence[Array], total: int, least: Sequence[int]) -> dict[str, Array]:
    """The arrays of a table file: for each order the runs that occurred at least ``least`` times."""
    packed: dict[str, Array] = {"total": np.array(total, np.int64)}
    for order, (hashes, fewest) in enumerate(zip(runs, least, strict=True), 1):
        keys, counts = np.unique(hashes.astype(np.uint32), return_counts=True)
        keys, counts = keys[counts >= fewest], counts[counts >= fewest]
        packed[f"steps{order}"] = np.diff(keys, prepend=np.uint32(0))  # small numbers, which compress
        packed[f"logs{order}"] = np.round(np.log2(counts) * STEPS).astype(np.uint8)
    return packed


@lru_cache(maxsize=1)
def load_background() -> WordModel:
    """The table in the box."""
    with np.load(TABLE) as stored:
        orders = range(1, ORDERS + 1)
        keys = tuple(np.cumsum(stored[f"steps{order}"], dtype=np.uint32) for order in orders)
        counts = tuple(2.0 ** (stored[f"logs{order}"] / STEPS) for order in orders)
        return WordModel(keys, counts, float(stored["total"]))
