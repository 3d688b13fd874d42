"""Where and how well one text occurs in another: runs of equal words, chained in order, weighed in bits.

A run is a stretch of at least three consecutive words that both texts have. A chain takes runs in the order of both
texts, with small gaps between them. Its score is the surprise of its words (``curate.stages.decontaminate.surprisal``)
less a price for each gap: the bit score of sequence comparison (Karlin & Altschul 1990, doi:10.1073/pnas.87.6.2264),
with words for letters. By chance, a chain of b bits occurs at about one of 2^b positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from curate.runtime.arrays import Int64Array, UInt64Array
from curate.stages.decontaminate.surprisal import WordSurprisal

SIZE = 3
"""Words of the shingles by which candidates and runs are found."""
GAP_BITS = 6.0
"""The price of a gap; a gap whose two sides differ in length costs more."""
GAP_DOCUMENT = 12
"""The most words between two runs in the document."""
GAP_ITEM = 25
"""The most words between two runs in the eval item."""
MOST_RUNS = 300
"""Of two texts that share more runs, only the longest are chained."""
LOOK_BACK = 40
"""How many earlier runs a run may follow directly."""


@dataclass(frozen=True, slots=True)
class MatchedRun:
    """``length`` words from ``item`` on in the one text equal those from ``document`` on in the other."""

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
    """In the order of both texts; at least one."""

    @property
    def longest(self) -> int:
        """Words of the longest run."""
        return max(run.length for run in self.runs)


@dataclass(frozen=True, slots=True)
class _Link:
    """A chain up to some run, which may have lost its first words to the run before it."""

    bits: float
    words: int
    run: MatchedRun
    before: int
    """Index of the link before this one, −1 for none."""


def find_runs(item: UInt64Array, document: UInt64Array) -> list[MatchedRun]:
    """Return the maximal runs of two texts, given the hash of the shingle at each word of either.

    A run of n words shares n − 2 consecutive shingles. Returns no run where either text has no shingle.
    """
    order = np.argsort(item, kind="stable")
    left = np.searchsorted(item[order], document, side="left")
    counts = np.searchsorted(item[order], document, side="right") - left
    positions = np.repeat(np.arange(len(document)), counts)
    within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return join_runs(order[left[positions] + within], positions)


def join_runs(item: Int64Array, document: Int64Array) -> list[MatchedRun]:
    """Return the runs that pairs of word positions make up.

    Both texts have the same shingle at the positions ``item[i]`` and ``document[i]``.
    """
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
    """Return the chain of the most bits, None where there are no runs.

    The item's words begin at index ``base`` of ``surprise``.
    """
    if not runs:
        return None
    longest = sorted(runs, key=lambda run: -run.length)[:MOST_RUNS]
    longest.sort(key=lambda run: (run.document, run.item))
    links: list[_Link] = []
    for run in longest:
        best = _Link(surprise.of_run(base + run.item, run.length), run.length, run, -1)
        for before in range(len(links) - 1, max(-1, len(links) - 1 - LOOK_BACK), -1):
            longer = _extend(links[before], before, run, surprise, base)
            if longer is not None and longer.bits > best.bits:
                best = longer
        links.append(best)
    return _trace(links)


def _extend(link: _Link, before: int, run: MatchedRun, surprise: WordSurprisal, base: int) -> _Link | None:
    """Return the chain with one more run, None where the run cannot follow. Words that the two share count once."""
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
    runs, link = [], best
    while True:
        runs.append(link.run)
        if link.before < 0:
            break
        link = links[link.before]
    return Alignment(best.bits, best.words, tuple(reversed(runs)))
