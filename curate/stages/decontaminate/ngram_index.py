"""Where in a batch of documents an eval item may be: an inverted index of the word triples of the eval side.

A stretch of a document is a candidate when the triples that it shares with a query, along one diagonal, could lead to a
leak or a review by the bits and the words that they have at most: first by the triples that lead to the query, then,
with the others around them, exactly (``refine``). Of a triple that more than POSTINGS queries share, the template of a
task or a common phrase, the first queries stand for all, always the same, so that a template is found by some item of
its task; the rarest triples of a query lead to it in any case.

Words are counted through a batch or through all queries: ``batch_words`` are indices of words of the batch,
``query_words`` of words of the queries, and their difference is the diagonal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching import numba_kernels, numba_triples, words
from curate.matching.numba_kernels import KeyTable, make_key_table
from curate.matching.numba_triples import DIAGONAL_BITS, SUMS
from curate.matching.words import Words
from curate.runtime.arrays import Array, BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.alignment import GAP_BITS, SIZE
from curate.stages.decontaminate.queries import EvalQueries
from curate.stages.decontaminate.thresholds import (
    ISOLATED,
    LEAST_BITS,
    LEAST_COVERAGE,
    MARGIN,
    MISSING,
    NEEDED,
    least_bits,
)

POSTINGS = 128
"""Queries that a triple leads to."""
ANCHORS = 3
"""Triples that lead to their query however many other queries have them: its rarest."""
SIBLINGS = 8
"""Candidates that are aligned of the items of one set that the same stretch may be: those with the greatest
share of their bits and of their own bits."""
STRETCHED = 0.5
"""Share of the words that the postings of a query span from which on the words beside them are thought to be there."""
SLACK = 0.65
"""Share of the threshold that counts at first, when triples beyond POSTINGS are not counted."""
DIAGONAL = 1 << DIAGONAL_BITS
"""Words by which insertions may shift an item within one candidate."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateBatch:
    """Some documents, and the word triples in them."""

    words: Words
    shingles: UInt64Array
    """The triple at each word but the last two of the batch."""
    valid: BoolArray
    """Along ``shingles``: whether the triple lies within one document."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Stretches of documents that are worth aligning with a query. Arrays of one length, sorted by document."""

    queries: Int64Array
    """Indices of queries."""
    documents: Int64Array
    """Indices of documents of the batch."""
    firsts: Int64Array
    """Index of the first word of the batch that may be part of the match."""
    lasts: Int64Array
    """Index of the last one."""


@dataclass(frozen=True, slots=True, eq=False)
class NgramIndex:
    """The triples of all queries: G distinct ones, and P postings, each an occurrence of a triple in a query."""

    queries: EvalQueries
    grams: UInt64Array
    """Of shape (G,), ascending."""
    offsets: Int64Array
    """Of shape (G + 1,): the postings of triple g are those from offsets[g] to offsets[g + 1], the end excluded."""
    positions: Int64Array
    """Of shape (P,): index of the word of the queries at which the triple begins."""
    owners: Int64Array
    """Of shape (P,): index of the query."""
    shares: Float64Array
    """Of shape (P,): the share of its query's words that the posting stands for at most."""
    scale: Float64Array
    """For each query, the bits of all its triples by those of its postings."""
    stretch: Float64Array
    """For each query, its words by those from its first posting to its last."""
    bloom: "BloomFilter"
    """Of ``grams``."""
    gram_table: KeyTable
    """Of ``grams``, for compiled loops."""
    pairs: UInt64Array
    """The triple of each valid word of the queries, mixed with the index of its query; distinct, ascending."""
    pair_positions: Int64Array
    """Along ``pairs``: index of the word."""
    pair_bloom: "BloomFilter"
    """Of ``pairs``."""
    pair_table: KeyTable
    """Of ``pairs``, for compiled loops."""
    own: Float64Array
    """For each word of the queries the own bits (``EvalQueries.own``) of the triple that begins there."""
    own_sums: Float64Array
    """For each query the sum of those of its triples, at least 1."""


@dataclass(frozen=True, slots=True, eq=False)
class BloomFilter:
    """Which of many 64-bit keys may be among known ones: a Bloom filter whose two hashes are bits of the keys."""

    table: BoolArray
    """Of a length that is a power of 2."""
    mask: np.uint64
    """The length of the table less 1."""

    def select(self, keys: UInt64Array) -> Int64Array:
        """Return the indices of the keys that may be known: all known ones, and few others."""
        first = np.flatnonzero(self.table[(keys & self.mask).astype(np.int64)])
        second = (keys[first] >> np.uint64(32)) & self.mask
        return first[self.table[second.astype(np.int64)]]


def make_bloom_filter(keys: UInt64Array) -> BloomFilter:
    """Return a filter of eight to sixteen entries a key, 256 MB at most: of a hundred other keys four or fewer pass."""
    bits = int(np.clip(np.ceil(np.log2(max(len(keys), 1) * 8)), 12, 28))
    mask = np.uint64((1 << bits) - 1)
    table = np.zeros(1 << bits, bool)
    table[(keys & mask).astype(np.int64)] = True
    table[((keys >> np.uint64(32)) & mask).astype(np.int64)] = True
    return BloomFilter(table, mask)


def make_batch(texts: Sequence[str]) -> CandidateBatch:
    """Return the words and triples of some documents."""
    split = words.split_words(texts)
    shingles = words.hash_shingles(split.hashes, SIZE)
    return CandidateBatch(split, shingles, words.mark_inner_shingles(split.offsets, SIZE, len(shingles)))


def make_index(queries: EvalQueries) -> NgramIndex:
    """Return the inverted index of some queries."""
    positions = np.flatnonzero(queries.valid)
    owners = find_owners(queries, positions)
    pairs, first = np.unique(mix_with_query(queries.shingles[positions], owners), return_index=True)
    grams, inverse = np.unique(queries.shingles[positions], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    counts = np.bincount(inverse, minlength=len(grams))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[(rank < POSTINGS) | mark_anchors(owners, counts[inverse])[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(inverse[kept], minlength=len(grams)))])
    left = np.bincount(owners[kept], minlength=len(queries.queries))
    surprise = queries.surprise
    bits = surprise.first[positions] + surprise.second[positions + 1] + surprise.later[positions + 2]
    every, some = (np.bincount(owners[rows], bits[rows], len(left)) for rows in (slice(None), kept))
    scale = np.divide(every, some, out=np.ones(len(left)), where=some > 0)
    shares = SIZE / (left[owners[kept]] + SIZE - 1)
    stretch = measure_stretch(queries.words.counts, positions[kept], owners[kept])
    postings = (offsets, positions[kept], owners[kept], shares, scale, stretch)
    own = queries.own + np.append(queries.own[1:], 0.0)[: len(queries.own)]
    own += np.append(queries.own[2:], [0.0, 0.0])[: len(queries.own)]
    return NgramIndex(
        queries,
        grams,
        *postings,
        make_bloom_filter(grams),
        make_key_table(grams),
        pairs,
        positions[first],
        make_bloom_filter(pairs),
        make_key_table(pairs),
        own,
        np.maximum(np.bincount(owners, own[positions], len(left)), 1.0),
    )


def measure_stretch(counts: Int64Array, positions: Int64Array, owners: Int64Array) -> Float64Array:
    """Return for each query its words by those that its postings span, at least 1: 1 where it has all its postings.

    ``counts`` are the words of the queries; ``positions`` and ``owners`` are those of the postings (``NgramIndex``).
    """
    first, last = np.full(len(counts), np.iinfo(np.int64).max), np.full(len(counts), -1)
    np.minimum.at(first, owners, positions)
    np.maximum.at(last, owners, positions)
    spans = np.where(last >= 0, last - first + SIZE, counts)
    return np.maximum(counts / np.maximum(spans, 1), 1.0)


def mark_anchors(owners: Int64Array, counts: Int64Array) -> BoolArray:
    """Return for each posting whether it is of the ANCHORS triples of its query that the fewest queries have.

    ``owners`` names the query of each posting, ``counts`` how many postings its triple has.
    """
    order = np.lexsort((counts, owners))
    firsts = find_starts(owners[order])
    rank = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
    anchors = np.zeros(len(order), bool)
    anchors[order[rank < ANCHORS]] = True
    return anchors


def find_owners(queries: EvalQueries, query_words: Int64Array) -> Int64Array:
    """Return the index of the query of each word."""
    owners: Int64Array = np.searchsorted(queries.words.offsets, query_words, side="right") - 1
    return owners


def mix_with_query(shingles: UInt64Array, queries: Int64Array) -> UInt64Array:
    """Return a key of each triple within the query of that index."""
    return words.mix_bits(shingles + queries.astype(np.uint64) * words.JOIN)


def look_up(
    keys: UInt64Array, valid: BoolArray | None, known: UInt64Array, bloom: BloomFilter
) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the ``keys`` that are valid (None: all) and ``known``, and their indices in ``known``.

    ``known`` ascends; ``bloom`` is the filter of it.
    """
    if not len(known):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    indices = bloom.select(keys)
    indices = indices if valid is None else indices[valid[indices]]
    same, slots = search_sorted(keys[indices], known)
    return indices[same], slots


def search_sorted(keys: UInt64Array, known: UInt64Array) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the keys that are among the ``known``, ascending ones, and their indices there.

    ``known`` has at least one entry.
    """
    slots = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    same = np.flatnonzero(known[slots] == keys)
    return same, slots[same]


def expand(slots: Int64Array, offsets: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return for each posting of each slot the index in ``slots``, and the index of the posting.

    ``offsets`` are those of ``NgramIndex``.
    """
    counts = offsets[slots + 1] - offsets[slots]
    numbers = np.repeat(np.arange(len(slots)), counts)
    within = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers, offsets[slots][numbers] + within


def find_by_ngrams(index: NgramIndex, batch: CandidateBatch) -> Candidates:
    """Return every stretch of the documents that shares enough triples with a query."""
    hits, slots = look_up_triples(index, batch)
    stretches = find_groups(index, batch, hits, slots)
    return refine(index, batch, merge_stretches(batch, index.queries, *stretches), hits)


def look_up_triples(index: NgramIndex, batch: CandidateBatch) -> tuple[Int64Array, Int64Array]:
    """Return the words of the batch at which a triple of a query begins, ascending, and its index in ``grams``."""
    if numba_kernels.is_numba_available():
        return numba_kernels.look_up(batch.shingles, batch.valid, index.gram_table)
    return look_up(batch.shingles, batch.valid, index.grams, index.bloom)


def find_groups(
    index: NgramIndex, batch: CandidateBatch, hits: Int64Array, slots: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return query, first and last word of the groups of triples that could lead to a leak or a review.

    Triples of one query in one document are of one group where they are of DIAGONAL diagonals; all are grouped twice,
    so that the groups overlap by half. ``hits`` and ``slots`` are those of ``look_up_triples``.
    """
    if numba_kernels.is_numba_available():
        return find_groups_compiled(index, batch, hits, slots)
    numbers, postings = expand(slots, index.offsets)
    pair = index.owners[postings] * len(batch.words.offsets) + find_documents(batch, hits)[numbers]
    enough = select_sufficient(pair, index.shares[postings])
    pair, query_words, batch_words = pair[enough], index.positions[postings[enough]], hits[numbers[enough]]
    diagonal = batch_words - query_words + len(index.queries.words)
    order = np.argsort(pair * (len(batch.words) + len(index.queries.words)) + diagonal, kind="stable")
    pair, query_words, batch_words, diagonal = pair[order], query_words[order], batch_words[order], diagonal[order]
    bits = _weigh_triples(index.queries, pair, query_words, batch_words, diagonal)
    groups = []
    for shift in (0, DIAGONAL // 2):
        firsts = find_starts(pair, (diagonal + shift) // DIAGONAL)
        queries = pair[firsts] // len(batch.words.offsets)
        groups.append(_select_groups(index, batch, queries, firsts, query_words, batch_words, bits))
    queries, first, last = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    return queries, first, last


def find_groups_compiled(
    index: NgramIndex, batch: CandidateBatch, hits: Int64Array, slots: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the same as ``find_groups``, in another order, by loops that numba compiles."""
    queries, surprise = index.queries, index.queries.surprise
    return numba_triples.find_groups(
        hits,
        slots,
        (batch.words.hashes, batch.words.offsets),
        (index.offsets, index.owners, index.positions, index.shares, SLACK * LEAST_COVERAGE),
        (queries.words.hashes, queries.words.offsets, index.scale, index.stretch),
        (surprise.first, surprise.second, surprise.later),
        (LEAST_COVERAGE, STRETCHED, SLACK, NEEDED, MISSING, ISOLATED, LEAST_BITS, MARGIN, SIZE),
    )


def select_sufficient(pairs: Int64Array, shares: Float64Array) -> Int64Array:
    """Return the indices of the rows whose pair of a query and a document shares enough triples for LEAST_COVERAGE.

    Sums in a table of fixed size: pairs with the same entry add up, which keeps some too many and none too few.
    """
    entries = pairs % SUMS
    sums = np.bincount(entries, shares, SUMS)
    return np.flatnonzero(sums[entries] >= SLACK * LEAST_COVERAGE)


def refine(
    index: NgramIndex, batch: CandidateBatch, candidates: Candidates, hits: Int64Array | None = None
) -> Candidates:
    """Return the candidates that could lead to a leak or a review, by all triples around them.

    The bound is exact: the most bits and words that any chain of runs can have. ``hits`` are the words of the batch at
    which a triple of a query begins, where they are known.
    """
    queries = index.queries
    number, batch_words, query_words = list_shared(index, batch, candidates, hits)
    diagonal = batch_words - query_words
    bits = _weigh_triples(queries, number, query_words, batch_words, diagonal)
    firsts = find_starts(number, diagonal, batch_words - np.arange(len(batch_words)))
    if not len(firsts):
        return take_candidates(candidates, np.zeros(0, np.int64))
    count = len(candidates.queries)
    runs = np.bincount(number[firsts], np.maximum(np.add.reduceat(bits, firsts) - GAP_BITS, 0), count) + GAP_BITS
    distinct, covered = sum_distinct(number, query_words, bits, count)
    total, coverage = np.minimum(runs, distinct), covered / queries.words.counts[candidates.queries]
    enough = (coverage >= LEAST_COVERAGE) & (total >= least_bits(np.minimum(coverage, 1.0)))
    kept = np.flatnonzero(enough)
    own, _ = sum_distinct(number, query_words, index.own[query_words], count)
    numbers = candidates.queries[kept]
    weights = total[kept] / queries.bits[numbers] + own[kept] / index.own_sums[numbers]
    return keep_best_siblings(take_candidates(candidates, kept), queries.sets[numbers], weights)


def list_shared(
    index: NgramIndex, batch: CandidateBatch, candidates: Candidates, hits: Int64Array | None
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return a row for each triple around a candidate that its query has too: their number, and the two words.

    Rows ascend by the index of the candidate, then by the word of the batch; the word of the query is the first of that
    triple. Compiled loops leave out candidates of which less than LEAST_COVERAGE is covered, which ``refine`` drops.
    """
    queries, (low, high) = index.queries, find_regions(index.queries, batch, candidates)
    ends = np.maximum(high - SIZE + 1, low)
    if numba_kernels.is_numba_available() and len(low):
        hits = look_up_triples(index, batch)[0] if hits is None else hits
        of_queries, rule = (index.pair_positions, queries.words.offsets), (words.JOIN, SIZE, LEAST_COVERAGE)
        return numba_triples.list_shared(
            (low, ends, candidates.queries), hits, batch.shingles, index.pair_table, of_queries, *rule
        )
    number, batch_words = list_ranges(low, ends)
    keys = mix_with_query(batch.shingles[batch_words], candidates.queries[number])
    found, slots = look_up(keys, None, index.pairs, index.pair_bloom)
    return number[found], batch_words[found], index.pair_positions[slots]


def sum_distinct(
    numbers: Int64Array, query_words: Int64Array, bits: Float64Array, count: int
) -> tuple[Float64Array, Float64Array]:
    """Return for each candidate the bits that its triples give if each counts once, and the words that they cover.

    The three arrays have an entry for each shared triple: the index of the candidate, the word of the query, the bits.
    Both results have the shape (count,). A line that a document repeats shares the same words of a query many times,
    and a chain takes each once.
    """
    order = np.lexsort((query_words, numbers))
    firsts = find_starts(numbers[order], query_words[order])
    owner, position = numbers[order][firsts], query_words[order][firsts]
    best = np.maximum.reduceat(bits[order], firsts)
    covers = np.full(len(position), SIZE)
    covers[:-1] = np.where(owner[1:] == owner[:-1], np.minimum(position[1:] - position[:-1], SIZE), SIZE)
    bits_of, covered = (np.bincount(owner, weights, count).astype(np.float64) for weights in (best, covers))
    return bits_of, covered


def keep_best_siblings(candidates: Candidates, sets: Int64Array, weights: Float64Array) -> Candidates:
    """Return, of the candidates of one eval set that overlap, the SIBLINGS of the greatest weights.

    ``sets`` (``EvalQueries.sets``) and ``weights`` have an entry for each candidate.
    """
    if not len(sets):
        return candidates
    pair = candidates.documents * (int(sets.max()) + 1) + sets
    group = group_overlapping(pair, candidates.firsts, candidates.lasts, np.zeros(len(pair), np.int64))
    order = np.lexsort((candidates.queries, -weights, group))
    starts = find_starts(group[order])
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = np.sort(order[rank < SIBLINGS])
    return take_candidates(candidates, kept)


def group_overlapping(pairs: Int64Array, firsts: Int64Array, lasts: Int64Array, reach: Int64Array) -> Int64Array:
    """Return a number for each row, the same for rows of one pair whose stretches overlap in a chain.

    A stretch is the words from ``firsts`` to ``lasts``, the last included, and ``reach`` more.
    """
    order = np.lexsort((firsts, pairs))
    base = pairs[order] * (int(lasts.max(initial=0)) + int(reach.max(initial=0)) + 2)
    begins, ends = base + firsts[order], np.maximum.accumulate(base + (lasts + reach)[order])
    fresh = np.ones(len(order), np.int64)
    fresh[1:] = begins[1:] > ends[:-1]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(fresh)
    return group


def find_regions(queries: EvalQueries, batch: CandidateBatch, candidates: Candidates) -> tuple[Int64Array, Int64Array]:
    """Return the first word of the batch that each candidate's match may have, and the word behind the last.

    The region is longer than the candidate by the length of the query on both sides, within the document.
    """
    reach = queries.words.counts[candidates.queries] + SIZE
    low = np.maximum(batch.words.offsets[candidates.documents], candidates.firsts - reach)
    return low, np.minimum(batch.words.offsets[candidates.documents + 1], candidates.lasts + reach)


def list_ranges(low: Int64Array, high: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return for all numbers from low[i] to high[i], the end excluded, first their i, then the numbers."""
    counts = high - low
    indices = np.repeat(np.arange(len(counts)), counts)
    return indices, np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts) + low[indices]


def take_candidates(candidates: Candidates, indices: Int64Array) -> Candidates:
    """Return the candidates of these indices."""
    return Candidates(*(column[indices] for column in (
        candidates.queries, candidates.documents, candidates.firsts, candidates.lasts
    )))  # fmt: skip


def find_documents(batch: CandidateBatch, batch_words: Int64Array) -> Int64Array:
    """Return the index of the document of each word."""
    documents: Int64Array = np.searchsorted(batch.words.offsets, batch_words, side="right") - 1
    return documents


def find_starts(*keys: Array) -> Int64Array:
    """Return the indices at which groups of equal keys begin; the arrays have one length."""
    differs = np.zeros(len(keys[0]), bool)
    differs[:1] = True
    for key in keys:
        differs[1:] |= np.diff(key) != 0
    return np.flatnonzero(differs)


def _weigh_triples(
    queries: EvalQueries, pairs: Int64Array, query_words: Int64Array, batch_words: Int64Array, diagonals: Int64Array
) -> Float64Array:
    """Return the bits that each shared triple adds to the run that it continues or begins."""
    continues = np.zeros(len(query_words), bool)
    continues[1:] = (np.diff(batch_words) == 1) & (np.diff(diagonals) == 0) & (np.diff(pairs) == 0)
    surprise = queries.surprise
    start = surprise.first[query_words] + surprise.second[query_words + 1]
    bits: Float64Array = surprise.later[query_words + 2] + np.where(continues, 0.0, start)
    return bits


def _select_groups(
    index: NgramIndex,
    batch: CandidateBatch,
    queries: Int64Array,
    firsts: Int64Array,
    query_words: Int64Array,
    batch_words: Int64Array,
    bits: Float64Array,
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return query, first and last word of the groups that could lead to a leak or a review.

    Group g has the triples from ``firsts[g]`` on and the query ``queries[g]``; it counts with the most bits and words
    that it can have.
    """
    if not len(firsts):
        return queries, firsts, firsts
    spans = [
        np.maximum.reduceat(one, firsts) - np.minimum.reduceat(one, firsts) + SIZE for one in (query_words, batch_words)
    ]
    words_of = index.queries.words.counts[queries]
    plain = np.minimum(*spans) / words_of
    stretched = plain * index.stretch[queries]
    coverage = np.minimum(np.where(stretched >= STRETCHED, stretched, plain), 1.0)
    short = np.flatnonzero((coverage < LEAST_COVERAGE) & (index.stretch[queries] > 1.0))
    around = count_equal_around(index.queries, batch, firsts, query_words, batch_words, short)
    coverage[short] = np.minimum(plain[short] + around / words_of[short], 1.0)
    enough = (coverage >= LEAST_COVERAGE) & (
        index.scale[queries] * sum_groups(bits, firsts) >= SLACK * least_bits(coverage)
    )
    low, high = np.minimum.reduceat(batch_words, firsts), np.maximum.reduceat(batch_words, firsts)
    return queries[enough], low[enough], high[enough] + SIZE - 1


def sum_groups(values: Float64Array, firsts: Int64Array) -> Float64Array:
    """Return the sum of each group of values, which begins at ``firsts``, added up one after the other."""
    numbers = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(values))))
    return np.bincount(numbers, values, len(firsts)).astype(np.float64)


def count_equal_around(
    queries: EvalQueries,
    batch: CandidateBatch,
    firsts: Int64Array,
    query_words: Int64Array,
    batch_words: Int64Array,
    groups: Int64Array,
) -> Int64Array:
    """Return how many words before and behind the triples of some groups are the same in the query and the document.

    Group g has the triples from ``firsts[g]`` on; those of a template that lead to other queries only are around it.
    """
    last = np.append(firsts[1:], len(query_words))[groups] - 1
    edges = ((firsts[groups], -1, 0), (last, 1, SIZE - 1))
    counts = np.zeros(len(groups), np.int64)
    for hits, step, offset in edges:
        ours, theirs, active = query_words[hits] + offset, batch_words[hits] + offset, np.arange(len(groups))
        owner, document = find_owners(queries, query_words[hits]), find_documents(batch, batch_words[hits])
        low, high = queries.words.offsets[owner], queries.words.offsets[owner + 1]
        begin, end = batch.words.offsets[document], batch.words.offsets[document + 1]
        while len(active):
            ours[active] += step
            theirs[active] += step
            inside = (ours[active] >= low[active]) & (ours[active] < high[active])
            inside &= (theirs[active] >= begin[active]) & (theirs[active] < end[active])
            active = active[inside]
            active = active[queries.words.hashes[ours[active]] == batch.words.hashes[theirs[active]]]
            counts[active] += 1
    return counts


def merge_stretches(
    batch: CandidateBatch, queries: EvalQueries, numbers: Int64Array, firsts: Int64Array, lasts: Int64Array
) -> Candidates:
    """Return stretches as candidates, sorted by document; overlapping ones of one query in one document become one.

    ``numbers`` are the indices of the queries; the words from ``firsts`` to ``lasts`` are those of the batch.
    """
    documents = find_documents(batch, (firsts + lasts) // 2)
    group = group_overlapping(documents * len(queries.queries) + numbers, firsts, lasts, queries.words.counts[numbers])
    order = np.argsort(group, kind="stable")
    starts = find_starts(group[order])
    if not len(starts):
        return Candidates(numbers, documents, firsts, lasts)
    low, high = np.minimum.reduceat(firsts[order], starts), np.maximum.reduceat(lasts[order], starts)
    return Candidates(numbers[order][starts], documents[order][starts], low, high)
