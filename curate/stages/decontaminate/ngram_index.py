"""Where in a batch of documents an eval item may be: an inverted index of the word triples of the eval side.

A place is a candidate when the triples that it shares with a probe, along one diagonal, could come to a verdict by the
bits and the words that they have at most: first by triples that lead to the probe, then, with the others around the
place, exactly (``refine``). Of a triple that more than POSTINGS probes share, the template of a task or a common
phrase, the first ones stand for all, always the same, so that a template is found by some item of its task; the rarest
triples of a probe lead to it in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.matching import words
from curate.matching.words import Words
from curate.stages.decontaminate.alignment import GAP_BITS
from curate.stages.decontaminate.queries import SIZE, EvalQueries
from curate.stages.decontaminate.thresholds import LEAST_COVERAGE, least_bits

Array = np.ndarray[Any, np.dtype[Any]]

POSTINGS = 128  # probes that a triple leads to
ANCHORS = 3  # triples that lead to their probe however many others have them, its rarest
BUCKETS = 262_139  # a prime; sums of the pairs of a probe and a document
SIBLINGS = 8  # of the items of a set that one stretch may be, those of which most is there are aligned
SLACK = 0.65  # of what a verdict needs: triples beyond POSTINGS are not counted at first
DIAGONAL = 64  # words by which insertions may shift an item within one candidate


@dataclass(frozen=True, slots=True, eq=False)
class CandidateBatch:
    """Some documents, and the word triples in them."""

    words: Words
    shingles: Array
    valid: Array
    """bool: whether the triple lies within one document."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Places worth aligning; arrays of one length, sorted by document."""

    probes: Array
    documents: Array
    firsts: Array
    """Words of the batch, the first and the last that may be part of it."""
    lasts: Array


@dataclass(frozen=True, slots=True, eq=False)
class NgramIndex:
    """The triples of all probes: distinct ones, sorted, and where they stand."""

    probes: EvalQueries
    grams: Array
    """uint64, sorted."""
    offsets: Array
    """The postings of gram g are those from offsets[g] to offsets[g + 1]."""
    places: Array
    """For each posting, the word of the probes at which the triple begins."""
    owners: Array
    """For each posting, its probe."""
    shares: Array
    """For each posting, the share of its probe's words that it stands for at most."""
    scale: Array
    """For each probe, the bits of all its triples by those of its postings."""
    sieve: "BloomFilter"
    pairs: Array
    """uint64, sorted: the triple of each word of the probes, mixed with the number of its probe."""
    words: Array
    """Along ``pairs``, the word."""
    pair_sieve: "BloomFilter"


@dataclass(frozen=True, slots=True, eq=False)
class BloomFilter:
    """Which of many 64-bit keys may be among known ones: a Bloom filter whose two hashes are bits of the keys."""

    table: Array
    mask: np.uint64

    def places(self, keys: Array) -> Array:
        """The places of the keys that may be known, the unknown ones among them few."""
        first = np.flatnonzero(self.table[(keys & self.mask).astype(np.int64)])
        second = (keys[first] >> np.uint64(32)) & self.mask
        return first[self.table[second.astype(np.int64)]]


def make_sieve(keys: Array) -> BloomFilter:
    """A table of eight to sixteen places a key, 256 MB at most: of a hundred strangers four or fewer pass."""
    bits = int(np.clip(np.ceil(np.log2(max(len(keys), 1) * 8)), 12, 28))
    mask = np.uint64((1 << bits) - 1)
    table = np.zeros(1 << bits, bool)
    table[(keys & mask).astype(np.int64)] = True
    table[((keys >> np.uint64(32)) & mask).astype(np.int64)] = True
    return BloomFilter(table, mask)


def make_batch(texts: Sequence[str]) -> CandidateBatch:
    """The words and triples of some documents."""
    found = words.split_words(texts)
    shingles = words.shingle(found.hashes, SIZE)
    return CandidateBatch(found, shingles, words.inner(found.offsets, SIZE, len(shingles)))


def make_index(probes: EvalQueries) -> NgramIndex:
    """The inverted index of some probes."""
    places = np.flatnonzero(probes.valid)
    owners = owners_of(probes, places)
    pairs, first = np.unique(with_probe(probes.shingles[places], owners), return_index=True)
    grams, inverse = np.unique(probes.shingles[places], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    counts = np.bincount(inverse, minlength=len(grams))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[(rank < POSTINGS) | rarest(owners, counts[inverse])[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(inverse[kept], minlength=len(grams)))])
    left = np.bincount(owners[kept], minlength=len(probes.probes))
    worth = probes.surprise.first[places] + probes.surprise.second[places + 1] + probes.surprise.later[places + 2]
    every, some = (np.bincount(owners[one], worth[one], len(left)) for one in (slice(None), kept))
    scale = np.divide(every, some, out=np.ones(len(left)), where=some > 0)
    shares = SIZE / (left[owners[kept]] + SIZE - 1)
    found = (grams, offsets, places[kept], owners[kept], shares, scale, make_sieve(grams))
    return NgramIndex(probes, *found, pairs, places[first], make_sieve(pairs))


def rarest(owners: Array, counts: Array) -> Array:
    """Which postings are of the ANCHORS triples of their probe that the fewest probes have."""
    order = np.lexsort((counts, owners))
    firsts = starts_of(owners[order])
    rank = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
    found = np.zeros(len(order), bool)
    found[order[rank < ANCHORS]] = True
    return found


def owners_of(probes: EvalQueries, places: Array) -> Array:
    """The probe of each word."""
    found: Array = np.searchsorted(probes.words.offsets, places, side="right") - 1
    return found


def with_probe(shingles: Array, probe: Array) -> Array:
    """A key of a triple in one probe."""
    return words.mix(shingles + probe.astype(np.uint64) * words.JOIN)


def look_up(keys: Array, valid: Array | None, known: Array, sieve: BloomFilter) -> tuple[Array, Array]:
    """The places of the ``keys`` that are valid (None: all) and among the ``known``, sorted ones; and where there."""
    if not len(known):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = sieve.places(keys)
    places = places if valid is None else places[valid[places]]
    same, slots = search(keys[places], known)
    return places[same], slots


def search(keys: Array, known: Array) -> tuple[Array, Array]:
    """Which keys are among the known, sorted ones, and where there."""
    slots = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    same = np.flatnonzero(known[slots] == keys)
    return same, slots[same]


def expand(slots: Array, offsets: Array) -> tuple[Array, Array]:
    """For each posting of each slot: the number of the slot, and the posting."""
    many = offsets[slots + 1] - offsets[slots]
    numbers = np.repeat(np.arange(len(slots)), many)
    within = np.arange(len(numbers)) - np.repeat(np.cumsum(many) - many, many)
    return numbers, offsets[slots][numbers] + within


def find_by_ngrams(index: NgramIndex, batch: CandidateBatch) -> Candidates:
    """Every place that shares enough triples with a probe."""
    places, slots = look_up(batch.shingles, batch.valid, index.grams, index.sieve)
    numbers, postings = expand(slots, index.offsets)
    pair = index.owners[postings] * len(batch.words.offsets) + document_of(batch, places)[numbers]
    worthy = may_suffice(pair, index.shares[postings])
    pair, at, here = pair[worthy], index.places[postings[worthy]], places[numbers[worthy]]
    diagonal = here - at + len(index.probes.words)
    order = np.argsort(pair * (len(batch.words) + len(index.probes.words)) + diagonal, kind="stable")
    pair, at, here, diagonal = pair[order], at[order], here[order], diagonal[order]
    bits = _weigh(index.probes, pair, at, here, diagonal)
    found = []
    for shift in (0, DIAGONAL // 2):
        firsts = starts_of(pair, (diagonal + shift) // DIAGONAL)
        found.append(_strong(index, pair[firsts] // len(batch.words.offsets), firsts, at, here, bits))
    probe, first, last = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return refine(index, batch, gather(batch, index.probes, probe, first, last))


def may_suffice(pair: Array, share: Array) -> Array:
    """The rows of those pairs of a probe and a document that share enough triples to cover LEAST_COVERAGE.

    Sums in a table of fixed size: pairs that meet there add up, which keeps some too many and none too few.
    """
    place = pair % BUCKETS
    sums = np.bincount(place, share, BUCKETS)
    return np.flatnonzero(sums[place] >= SLACK * LEAST_COVERAGE)


def refine(index: NgramIndex, batch: CandidateBatch, candidates: Candidates) -> Candidates:
    """Those that could come to a verdict, by all triples around them: the most that any chain of runs can have."""
    probes, low, high = index.probes, *regions(index.probes, batch, candidates)
    number, place = spread(low, np.maximum(high - SIZE + 1, low))
    keys = with_probe(batch.shingles[place], candidates.probes[number])
    hits, slots = look_up(keys, None, index.pairs, index.pair_sieve)
    number, here, at = number[hits], place[hits], index.words[slots]
    bits = _weigh(probes, number, at, here, here - at)
    firsts = starts_of(number, here - at, here - np.arange(len(here)))
    if not len(firsts):
        return take(candidates, np.zeros(0, np.int64))
    count = len(candidates.probes)
    runs = np.bincount(number[firsts], np.maximum(np.add.reduceat(bits, firsts) - GAP_BITS, 0), count) + GAP_BITS
    distinct, covered = most_once(number, at, bits, count)
    total, coverage = np.minimum(runs, distinct), covered / probes.words.counts[candidates.probes]
    enough = (coverage >= LEAST_COVERAGE) & (total >= least_bits(np.minimum(coverage, 1.0)))
    kept = np.flatnonzero(enough)
    share = total[kept] / probes.bits[candidates.probes[kept]]
    return strongest(take(candidates, kept), probes.sets[candidates.probes[kept]], share)


def most_once(number: Array, at: Array, bits: Array, count: int) -> tuple[Array, Array]:
    """For each candidate the bits that its triples can give if each counts once, and the words that they cover.

    A line that a document repeats meets the same words of a probe many times, and a chain takes each once.
    """
    order = np.lexsort((at, number))
    firsts = starts_of(number[order], at[order])
    owner, place = number[order][firsts], at[order][firsts]
    best = np.maximum.reduceat(bits[order], firsts)
    covers = np.full(len(place), SIZE)
    covers[:-1] = np.where(owner[1:] == owner[:-1], np.minimum(place[1:] - place[:-1], SIZE), SIZE)
    return np.bincount(owner, best, count), np.bincount(owner, covers, count)


def strongest(candidates: Candidates, sets: Array, share: Array) -> Candidates:
    """Of the candidates of one eval set that overlap, the SIBLINGS of which the greatest share is there."""
    if not len(sets):
        return candidates
    pair = candidates.documents * (int(sets.max()) + 1) + sets
    group = overlapping(pair, candidates.firsts, candidates.lasts, np.zeros(len(pair), np.int64))
    order = np.lexsort((candidates.probes, -share, group))
    starts = starts_of(group[order])
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = np.sort(order[rank < SIBLINGS])
    return take(candidates, kept)


def overlapping(pair: Array, first: Array, last: Array, reach: Array) -> Array:
    """A number for each row, equal for rows of one pair whose stretches, longer by ``reach``, overlap in a chain."""
    order = np.lexsort((first, pair))
    base = pair[order] * (int(last.max(initial=0)) + int(reach.max(initial=0)) + 2)
    begins, ends = base + first[order], np.maximum.accumulate(base + (last + reach)[order])
    fresh = np.ones(len(order), np.int64)
    fresh[1:] = begins[1:] > ends[:-1]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(fresh)
    return group


def regions(probes: EvalQueries, batch: CandidateBatch, candidates: Candidates) -> tuple[Array, Array]:
    """The words of the batch within which each candidate's probe may lie: its own length to both sides."""
    reach = probes.words.counts[candidates.probes] + SIZE
    low = np.maximum(batch.words.offsets[candidates.documents], candidates.firsts - reach)
    return low, np.minimum(batch.words.offsets[candidates.documents + 1], candidates.lasts + reach)


def spread(low: Array, high: Array) -> tuple[Array, Array]:
    """All numbers from low[i] to high[i], and their i."""
    many = high - low
    number = np.repeat(np.arange(len(many)), many)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(many) - many, many) + low[number]


def take(candidates: Candidates, rows: Array) -> Candidates:
    """Some of the candidates."""
    return Candidates(*(column[rows] for column in (
        candidates.probes, candidates.documents, candidates.firsts, candidates.lasts
    )))  # fmt: skip


def document_of(batch: CandidateBatch, places: Array) -> Array:
    """The document of each word."""
    found: Array = np.searchsorted(batch.words.offsets, places, side="right") - 1
    return found


def starts_of(*keys: Array) -> Array:
    """Where groups of equal keys begin."""
    differs = np.zeros(len(keys[0]), bool)
    differs[:1] = True
    for key in keys:
        differs[1:] |= np.diff(key) != 0
    return np.flatnonzero(differs)


def _weigh(probes: EvalQueries, pair: Array, at: Array, here: Array, diagonal: Array) -> Array:
    """The bits that each shared triple adds to the run that it goes on with, or begins."""
    going_on = np.zeros(len(at), bool)
    going_on[1:] = (np.diff(here) == 1) & (np.diff(diagonal) == 0) & (np.diff(pair) == 0)
    weights = probes.surprise
    bits: Array = weights.later[at + 2] + np.where(going_on, 0.0, weights.first[at] + weights.second[at + 1])
    return bits


def _strong(
    index: NgramIndex, probe: Array, firsts: Array, at: Array, here: Array, bits: Array
) -> tuple[Array, Array, Array]:
    """Probe, first and last word of the groups that could come to a verdict: the most bits and words they can have."""
    if not len(firsts):
        return probe, firsts, firsts
    spans = [np.maximum.reduceat(one, firsts) - np.minimum.reduceat(one, firsts) + SIZE for one in (at, here)]
    coverage = np.minimum(np.minimum(*spans) / index.probes.words.counts[probe], 1.0)
    enough = (coverage >= LEAST_COVERAGE) & (
        index.scale[probe] * np.add.reduceat(bits, firsts) >= SLACK * least_bits(coverage)
    )
    low, high = np.minimum.reduceat(here, firsts), np.maximum.reduceat(here, firsts)
    return probe[enough], low[enough], high[enough] + SIZE - 1


def gather(batch: CandidateBatch, probes: EvalQueries, probe: Array, first: Array, last: Array) -> Candidates:
    """Sorted by document; places of one probe in one document that overlap are one."""
    document = document_of(batch, (first + last) // 2)
    group = overlapping(document * len(probes.probes) + probe, first, last, probes.words.counts[probe])
    order = np.argsort(group, kind="stable")
    starts = starts_of(group[order])
    if not len(starts):
        return Candidates(probe, document, first, last)
    low, high = np.minimum.reduceat(first[order], starts), np.maximum.reduceat(last[order], starts)
    return Candidates(probe[order][starts], document[order][starts], low, high)
