"""Whether a document contains an eval item: the verdict on each candidate, exact, with its evidence.

The verdict is on the best alignment (``curate.alignment``) of a probe with a part of the document, in bits of surprise.
An item that is found word by word needs NEEDED bits. What is missing must be made up for by what is there, MISSING bits
for the whole of it: a half needs some 75 bits, which is five to ten uncommon words. The place is evidence too: a match
that begins with the item's first word where a sentence of the document begins needs OPENING bits less, and one that
also ends where a sentence ends, ISOLATED less. The four numbers were settled on items planted in eight ways and on
clean documents (``benchmarks/decontamination.py``). ``review`` falls short of them by at most MARGIN bits, or concerns
a context or an answer without its question.

A fixed share of n-grams, the usual rule, treats words alike: half of ``Which of the following is true of the author?``
is in every textbook, half of an item on German poets descended from Huguenots is in none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.alignment import Alignment, align, find_runs
from curate.candidates import Batch, Candidates
from curate.probes import LEAKS, SIZE, Probes
from curate.verdicts import LEAST_COVERAGE, LEAST_SHARE, MARGIN, needed_bits

Array = np.ndarray[Any, np.dtype[Any]]

NEAR = 60  # words behind a match in which the answer is looked for

ENDS = frozenset('.!?\n:;"“”»)]}>|。！？')
CONTAMINATED, REVIEW = "contaminated", "review"


@dataclass(frozen=True, slots=True)
class Match:
    """An eval item found in a document of a batch."""

    document: int
    item: int
    part: str
    verdict: str
    rule: str
    """exact (all words, in a row), aligned (most words), partial (fewer than four fifths)."""
    bits: float
    coverage: float
    containment: float
    longest: int
    answer_found: bool | None
    start: int
    """Characters of the document, from the first matched word to the end of the last one."""
    end: int
    text: str
    """What was looked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alignment lies in its document."""

    first: int
    """Words of the batch; ``last`` is included."""
    last: int
    opens: bool
    """The match begins with the item's first word, where a sentence begins."""
    closes: bool
    """It ends where a sentence ends."""


def judge(probes: Probes, batch: Batch, texts: Sequence[str], candidates: Candidates) -> list[Match]:
    """The matches among some candidates, the best one for each item and document, in the order of the documents."""
    best: dict[tuple[int, int], Match] = {}
    rows = zip(*(column.tolist() for column in (candidates.probes, candidates.documents)), strict=True)
    regions = zip(candidates.firsts.tolist(), candidates.lasts.tolist(), strict=True)
    for (probe, document), (first, last) in zip(rows, regions, strict=True):
        found = examine(probes, batch, texts[document], probe, document, first, last)
        if found is not None:
            known = best.get((document, found.item))
            if known is None or rank(found) > rank(known):
                best[document, found.item] = found
    return sorted(best.values(), key=lambda match: (match.document, -match.bits, match.item))


def rank(match: Match) -> tuple[bool, float, float]:
    """The order in which matches of one item are preferred."""
    return match.verdict == CONTAMINATED, match.bits, match.coverage


def examine(probes: Probes, batch: Batch, text: str, probe: int, document: int, first: int, last: int) -> Match | None:
    """Align one probe with the words around a candidate, and judge. None where it is no match."""
    begin, length = int(probes.words.offsets[probe]), int(probes.words.counts[probe])
    low = max(int(batch.words.offsets[document]), first - length - SIZE)
    high = min(int(batch.words.offsets[document + 1]), last + length + SIZE)
    if high - low < SIZE:
        return None
    own = probes.shingles[begin : begin + length - SIZE + 1]
    here = batch.shingles[low : high - SIZE + 1]
    found = align(find_runs(own, here), probes.surprise, begin)
    if found is None:
        return None
    place = locate(batch, text, document, low, found)
    verdict = decide(found, length, float(probes.bits[probe]), place)
    if verdict is None:
        return None
    described = probes.probes[probe]
    if described.part not in LEAKS or not core_found(probes, probe, found):
        verdict = REVIEW
    base = int(batch.words.offsets[document])
    matched = batch.shingles[place.first : place.last - SIZE + 2]
    answer = probes.answers[described.item]
    return (
        Match(
            document,
            described.item,
            described.part,
            verdict,
            name_rule(found, length),
            found.bits,
            found.words / length,
            float(np.isin(np.unique(own), matched).mean()),
            found.longest,
            None
            if not len(answer)
            else contains(batch.words.hashes[place.first : last_near(batch, document, place)], answer),
            int(batch.words.starts[place.first]),
            int(batch.words.ends[place.last]),
            described.text,
        )
        if base <= place.first
        else None
    )


def decide(found: Alignment, length: int, whole: float, place: Place) -> str | None:
    """contaminated, review, or None; ``whole`` is the bits of the probe, ``length`` its words."""
    coverage = found.words / length
    if coverage < LEAST_COVERAGE or found.bits < LEAST_SHARE * whole:
        return None
    needed = needed_bits(coverage, place.opens, place.closes)
    if found.bits >= needed:
        return CONTAMINATED
    return REVIEW if found.bits >= needed - MARGIN else None


def name_rule(found: Alignment, length: int) -> str:
    if found.words == length and len(found.runs) == 1:
        return "exact"
    return "aligned" if found.words >= 0.8 * length else "partial"


def locate(batch: Batch, text: str, document: int, low: int, found: Alignment) -> Place:
    """The place of an alignment in the batch, and whether sentences begin and end there."""
    first = low + found.runs[0].document
    last = low + found.runs[-1].document + found.runs[-1].length - 1
    begin, end = int(batch.words.offsets[document]), int(batch.words.offsets[document + 1])
    before = text[int(batch.words.ends[first - 1]) if first > begin else 0 : int(batch.words.starts[first])]
    after = text[int(batch.words.ends[last]) : int(batch.words.starts[last + 1]) if last + 1 < end else len(text)]
    opens = found.runs[0].item == 0 and (first == begin or not ENDS.isdisjoint(before))
    return Place(first, last, opens, last + 1 == end or not ENDS.isdisjoint(after))


def core_found(probes: Probes, probe: int, found: Alignment) -> bool:
    """Whether at least half of the words behind the context were matched, where there is one."""
    core = probes.probes[probe].core
    if not core:
        return True
    begin, end = int(probes.words.offsets[probe]), int(probes.words.offsets[probe + 1])
    behind = int(np.searchsorted(probes.words.starts[begin:end], core))
    matched = sum(max(0, run.item + run.length - max(run.item, behind)) for run in found.runs)
    return matched >= 0.5 * (end - begin - behind)


def last_near(batch: Batch, document: int, place: Place) -> int:
    return min(int(batch.words.offsets[document + 1]), place.last + 1 + NEAR)


def contains(hashes: Array, wanted: Array) -> bool:
    """Whether some words (of a long text, its first five) stand in a row among others."""
    wanted = wanted[:5]
    if len(hashes) < len(wanted):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(hashes, len(wanted))
    return bool((windows == wanted).all(axis=1).any())
