"""Where and how well one text occurs in another: runs of equal words, chained in order, weighed in bits.

A run is a stretch of at least three consecutive words that both texts have. A chain takes runs in the order of both
texts, with small gaps between them, and its score is the surprise of its words
(``curate.stages.decontaminate.surprisal``) less a price for each gap: the bit score of sequence comparison (Karlin &
Altschul 1990, doi:10.1073/pnas.87.6.2264), with words for letters. A chain of b bits is met by chance in about one of
2^b places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np

from curate.stages.decontaminate.surprisal import WordSurprisal

Array = np.ndarray[Any, np.dtype[Any]]

SIZE = 3  # words of the shingles by which runs are found
GAP_BITS = 6.0  # the price of a gap, some more where its two sides differ in length
GAP_DOCUMENT = 12  # words at most between two runs in the document
GAP_ITEM = 25  # and in the eval item
MOST_RUNS = 300  # of two texts that share more, the longest runs are chained
LOOK_BACK = 40


@dataclass(frozen=True, slots=True)
class MatchedRun:
    """``length`` words from ``item`` on in the one text are those from ``document`` on in the other."""

    item: int
    document: int
    length: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """The best chain of runs."""

    bits: float
    words: int
    """Words that were matched."""
    runs: tuple[MatchedRun, ...]

    @property
    def longest(self) -> int:
        return max(run.length for run in self.runs)


@dataclass(frozen=True, slots=True)
class _Link:
    """A chain up to some run, which may have lost its first words to the run before it."""

    bits: float
    words: int
    run: MatchedRun
    before: int


def find_runs(item: Array, document: Array) -> list[MatchedRun]:
    """Maximal runs, given the shingles of both texts (uint64); those of length n share n − 2 shingles in a row."""
    order = np.argsort(item, kind="stable")
    left = np.searchsorted(item[order], document, side="left")
    many = np.searchsorted(item[order], document, side="right") - left
    places = np.repeat(np.arange(len(document)), many)
    within = np.arange(len(places)) - np.repeat(np.cumsum(many) - many, many)
    return join_runs(order[left[places] + within], places)


def join_runs(item: Array, document: Array) -> list[MatchedRun]:
    """Runs from pairs of places at which both texts have the same shingle."""
    if not len(item):
        return []
    diagonal = document - item
    order = np.lexsort((item, diagonal))
    diagonal, item = diagonal[order], item[order]
    breaks = np.flatnonzero((np.diff(diagonal) != 0) | (np.diff(item) != 1)) + 1
    firsts, lasts = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(item)]]) - 1
    begins, lengths = item[firsts], item[lasts] - item[firsts] + SIZE
    rows = zip(begins.tolist(), (begins + diagonal[firsts]).tolist(), lengths.tolist(), strict=True)
    return [MatchedRun(*row) for row in rows]


def align(runs: Sequence[MatchedRun], surprise: WordSurprisal, base: int) -> Alignment | None:
    """The chain of the most bits; None without runs. The item's words begin at ``base`` in ``surprise``."""
    if not runs:
        return None
    taken = sorted(runs, key=lambda run: -run.length)[:MOST_RUNS]
    taken.sort(key=lambda run: (run.document, run.item))
    links: list[_Link] = []
    for run in taken:
        best = _Link(surprise.of_run(base + run.item, run.length), run.length, run, -1)
        for before in range(len(links) - 1, max(-1, len(links) - 1 - LOOK_BACK), -1):
            longer = _extend(links[before], before, run, surprise, base)
            if longer is not None and longer.bits > best.bits:
                best = longer
        links.append(best)
    return _trace(links)


def _extend(link: _Link, before: int, run: MatchedRun, surprise: WordSurprisal, base: int) -> _Link | None:
    """The chain with one more run, without the words that the two share; None where it cannot follow."""
    last = link.run
    if last.item >= run.item or last.document >= run.document:
        return None
    shared = max(last.item + last.length - run.item, last.document + last.length - run.document, 0)
    if shared >= run.length:
        return None
    rest = MatchedRun(run.item + shared, run.document + shared, run.length - shared)
    in_item = rest.item - last.item - last.length
    in_document = rest.document - last.document - last.length
    if in_document > GAP_DOCUMENT or in_item > GAP_ITEM:
        return None
    price = GAP_BITS + 2 * log2(1 + abs(in_item - in_document))
    bits = link.bits + surprise.of_run(base + rest.item, rest.length) - price
    return _Link(bits, link.words + rest.length, rest, before)


def _trace(links: Sequence[_Link]) -> Alignment:
    best = max(links, key=lambda link: link.bits)
    found, link = [], best
    while True:
        found.append(link.run)
        if link.before < 0:
            break
        link = links[link.before]
    return Alignment(best.bits, best.words, tuple(reversed(found)))
