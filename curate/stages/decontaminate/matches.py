"""Whether a document contains an eval item: the verdict on each candidate, exact, with its evidence.

The verdict is on the best alignment (``curate.stages.decontaminate.alignment``) of a probe with a part of the document,
in bits of surprise. An item that is found word by word needs NEEDED bits. What is missing must be made up for by what
is there, MISSING bits for the whole of it: a half needs some 75 bits, which is five to ten uncommon words. The place is
evidence too: a match that begins with the item's first word where a sentence of the document begins needs OPENING bits
less, and one that also ends where a sentence ends, ISOLATED less. The four numbers were settled on items planted in
eight ways and on clean documents (``benchmarks/decontamination.py``). ``review`` falls short of them by at most MARGIN
bits, or concerns a context or an answer without its question.

A fixed share of n-grams, the usual rule, treats words alike: half of ``Which of the following is true of the author?``
is in every textbook, half of an item on German poets descended from Huguenots is in none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.stages.decontaminate.alignment import Alignment, align, find_runs
from curate.stages.decontaminate.ngram_index import CandidateBatch, Candidates
from curate.stages.decontaminate.queries import LEAKS, SIZE, EvalQueries
from curate.stages.decontaminate.thresholds import LEAST_COVERAGE, LEAST_SHARE, MARGIN, needed_bits

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
class MatchLocation:
    """Where an alignment lies in its document."""

    first: int
    """Words of the batch; ``last`` is included."""
    last: int
    opens: bool
    """The match begins with the item's first word, where a sentence begins."""
    closes: bool
    """It ends where a sentence ends."""


def judge(probes: EvalQueries, batch: CandidateBatch, texts: Sequence[str], candidates: Candidates) -> list[Match]:
    """The matches among some candidates (``settle``)."""
    found: list[Match] = []
    columns = (candidates.probes, candidates.documents, candidates.firsts, candidates.lasts)
    for probe, document, first, last in zip(*(column.tolist() for column in columns), strict=True):
        reach = int(probes.words.counts[probe]) + SIZE
        low = max(int(batch.words.offsets[document]), first - reach)
        high = min(int(batch.words.offsets[document + 1]), last + reach)
        found += search(probes, batch, texts[document], probe, document, low, high)
    return settle(found)


def settle(matches: Sequence[Match]) -> list[Match]:
    """Of the matches of one item that overlap in a document the best one; in the order of documents, then of bits."""
    kept: dict[tuple[int, int], list[Match]] = {}
    for match in sorted(matches, key=rank, reverse=True):
        others = kept.setdefault((match.document, match.item), [])
        if all(match.end <= other.start or other.end <= match.start for other in others):
            others.append(match)
    flat = [match for group in kept.values() for match in group]
    return sorted(flat, key=lambda match: (match.document, -match.bits, match.item, match.start))


def rank(match: Match) -> tuple[bool, float, float, int]:
    """The order in which matches of one item are preferred."""
    return match.verdict == CONTAMINATED, match.bits, match.coverage, -match.start


def search(
    probes: EvalQueries, batch: CandidateBatch, text: str, probe: int, document: int, low: int, high: int
) -> list[Match]:
    """The matches of one probe among the words from ``low`` up to ``high``: the best, and those on both sides of it."""
    found: list[Match] = []
    regions = [(low, high)]
    while regions:
        low, high = regions.pop()
        aligned = align_probe(probes, batch, probe, low, high)
        place = None if aligned is None else locate(batch, text, document, low, aligned)
        match = None if aligned is None or place is None else weigh(probes, batch, probe, document, aligned, place)
        if match is not None and place is not None:
            found.append(match)
            regions += [(low, place.first), (place.last + 1, high)]
    return found


def align_probe(probes: EvalQueries, batch: CandidateBatch, probe: int, low: int, high: int) -> Alignment | None:
    """The best alignment of a probe with some words; None where they share no triple."""
    begin, length = int(probes.words.offsets[probe]), int(probes.words.counts[probe])
    if high - low < max(SIZE, LEAST_COVERAGE * length):
        return None
    own = probes.shingles[begin : begin + length - SIZE + 1]
    return align(find_runs(own, batch.shingles[low : high - SIZE + 1]), probes.surprise, begin)


def weigh(
    probes: EvalQueries, batch: CandidateBatch, probe: int, document: int, found: Alignment, place: MatchLocation
) -> Match | None:
    """The verdict on an alignment with its evidence; None where it is no match."""
    begin, length = int(probes.words.offsets[probe]), int(probes.words.counts[probe])
    verdict = decide(found, length, float(probes.bits[probe]), place)
    if verdict is None:
        return None
    described = probes.probes[probe]
    if described.part not in LEAKS or not core_found(probes, probe, found):
        verdict = REVIEW
    own = np.unique(probes.shingles[begin : begin + length - SIZE + 1])
    answer = probes.answers[described.item]
    near = batch.words.hashes[place.first : last_near(batch, document, place)]
    return Match(
        document=document,
        item=described.item,
        part=described.part,
        verdict=verdict,
        rule=name_rule(found, length),
        bits=found.bits,
        coverage=found.words / length,
        containment=float(np.isin(own, batch.shingles[place.first : place.last - SIZE + 2]).mean()),
        longest=found.longest,
        answer_found=contains(near, answer) if len(answer) else None,
        start=int(batch.words.starts[place.first]),
        end=int(batch.words.ends[place.last]),
        text=described.text,
    )


def decide(found: Alignment, length: int, whole: float, place: MatchLocation) -> str | None:
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


def locate(batch: CandidateBatch, text: str, document: int, low: int, found: Alignment) -> MatchLocation:
    """The place of an alignment in the batch, and whether sentences begin and end there."""
    first = low + found.runs[0].document
    last = low + found.runs[-1].document + found.runs[-1].length - 1
    begin, end = int(batch.words.offsets[document]), int(batch.words.offsets[document + 1])
    before = text[int(batch.words.ends[first - 1]) if first > begin else 0 : int(batch.words.starts[first])]
    after = text[int(batch.words.ends[last]) : int(batch.words.starts[last + 1]) if last + 1 < end else len(text)]
    opens = found.runs[0].item == 0 and (first == begin or not ENDS.isdisjoint(before))
    return MatchLocation(first, last, opens, last + 1 == end or not ENDS.isdisjoint(after))


def core_found(probes: EvalQueries, probe: int, found: Alignment) -> bool:
    """Whether at least half of the words behind the context were matched, where there is one."""
    core = probes.probes[probe].core
    if not core:
        return True
    begin, end = int(probes.words.offsets[probe]), int(probes.words.offsets[probe + 1])
    behind = int(np.searchsorted(probes.words.starts[begin:end], core))
    matched = sum(max(0, run.item + run.length - max(run.item, behind)) for run in found.runs)
    return matched >= 0.5 * (end - begin - behind)


def last_near(batch: CandidateBatch, document: int, place: MatchLocation) -> int:
    return min(int(batch.words.offsets[document + 1]), place.last + 1 + NEAR)


def contains(hashes: Array, wanted: Array) -> bool:
    """Whether some words (of a long text, its first five) stand in a row among others."""
    wanted = wanted[:5]
    if len(hashes) < len(wanted):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(hashes, len(wanted))
    return bool((windows == wanted).all(axis=1).any())
