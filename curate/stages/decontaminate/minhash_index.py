"""Candidates by MinHash: windows over the documents, looked up among the signatures of the eval items.

Windows of several lengths move over the documents by a quarter of their length; the bands of their signatures are
looked up among those of the queries. It is an estimate: 64 bands of 2 rows find a similarity of .2 with probability
.93, and .3, which a third of a shortened item within a window of its length has, with .998. The inverted index
(``curate.stages.decontaminate.ngram_index``) is exact and, on the eval sets that we measured, faster too; signatures
take the same room for an item of ten words as for one of a thousand.
"""

from dataclasses import dataclass

import numpy as np

from curate.matching import minhash, numba_kernels, numba_windows
from curate.matching.numba_kernels import KeyTable, make_key_table
from curate.runtime.arrays import Int64Array, UInt32Array, UInt64Array
from curate.stages.decontaminate.ngram_index import (
    POSTINGS,
    BloomFilter,
    CandidateBatch,
    Candidates,
    NgramIndex,
    expand,
    make_bloom_filter,
    merge_stretches,
    refine,
    search_sorted,
)
from curate.stages.decontaminate.queries import EvalQueries

BANDS = minhash.Bands(64, 2)
WINDOWS = (8, 16, 32, 64, 128, 256)
"""Words of the windows, each twice as many as the one before."""
LEAST_AGREEMENT = 0.12
"""Share of equal signature values from which on a window is a candidate."""


@dataclass(frozen=True, slots=True, eq=False)
class SignedQueries:
    """The signatures of the queries, and their bands. Q queries, V values of a signature, K distinct band keys."""

    queries: EvalQueries
    permutations: UInt32Array
    """Of shape (2, V): what ``minhash.make_permutations`` gives."""
    signatures: UInt32Array
    """Of shape (Q, V)."""
    keys: UInt64Array
    """Of shape (K,): the keys of all bands, ascending."""
    offsets: Int64Array
    """Of shape (K + 1,): the postings of key k are those from offsets[k] to offsets[k + 1], the end excluded."""
    owners: Int64Array
    """For each posting, the index of its query."""
    bloom: BloomFilter
    """Of ``keys``."""
    table: KeyTable
    """Of ``keys``, for compiled loops."""
    filters: UInt64Array
    """Bloom filters of the keys of each band, for compiled loops: ``numba_windows.make_band_filters``."""


def sign_queries(queries: EvalQueries, seed: int = minhash.SEED) -> SignedQueries:
    """Return the queries as an LSH index: what datasketch's ``MinHashLSH(params=(64, 2))`` holds, in sorted arrays."""
    table = minhash.make_permutations(BANDS.bands * BANDS.rows, seed)
    positions = np.flatnonzero(queries.valid)
    offsets = np.searchsorted(positions, queries.words.offsets)
    signatures = minhash.compute_signatures(queries.shingles[positions], offsets, table)
    keys = minhash.band_keys(signatures, BANDS)
    distinct, inverse = np.unique(keys.ravel(), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    counts = np.bincount(inverse, minlength=len(distinct))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    ends = np.concatenate([[0], np.cumsum(np.minimum(counts, POSTINGS))])
    return SignedQueries(
        queries,
        table,
        signatures,
        distinct,
        ends,
        order[rank < POSTINGS] // BANDS.bands,
        make_bloom_filter(distinct),
        make_key_table(distinct),
        numba_windows.make_band_filters(keys),
    )


def find_by_minhash(index: SignedQueries, exact: NgramIndex, batch: CandidateBatch) -> Candidates:
    """Return every window whose signature shares a band with a query and agrees with it in enough values.

    ``exact`` is the inverted index of the same queries, by which candidates are refined.
    """
    compiled = numba_kernels.is_numba_available() and BANDS.rows == 2
    stretches = (list_similar_compiled if compiled else list_similar)(index, batch)
    return refine(exact, batch, merge_stretches(batch, index.queries, *stretches))


def list_similar(index: SignedQueries, batch: CandidateBatch) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return query, first and last word of each window that shares a band with a query and enough values."""
    signatures, firsts, lasts = sign_windows(batch, index.permutations)
    positions, slots = look_up_bands(signatures, index)
    numbers, postings = expand(slots, index.offsets)
    windows, queries = positions[numbers] // BANDS.bands, index.owners[postings]
    pairs = np.unique(windows * len(index.signatures) + queries)
    windows, queries = pairs // max(len(index.signatures), 1), pairs % max(len(index.signatures), 1)
    agreement = (signatures[windows] == index.signatures[queries]).mean(axis=1) if len(pairs) else np.zeros(0)
    enough = agreement >= LEAST_AGREEMENT
    return queries[enough], firsts[windows[enough]], lasts[windows[enough]]


def list_similar_compiled(index: SignedQueries, batch: CandidateBatch) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the same as ``list_similar``, in loops that numba compiles."""
    count, blocks = len(batch.words), -(-len(batch.words) * 4 // WINDOWS[0])
    if not batch.valid.any():
        return (np.zeros(0, np.int64),) * 3
    mixed = minhash.premix_hashes(batch.shingles.astype(np.uint32))
    padded = numba_windows.pad_words(mixed, batch.valid, count, len(WINDOWS))
    levels = np.arange(len(WINDOWS))
    counts = np.maximum(-(-blocks // (1 << levels)) - 3, 1)
    found = numba_windows.find_windows(
        padded, counts, count, index.permutations, minhash.MULTIPLIER, index.filters, index.table
    )
    postings = (index.offsets, index.owners)
    return numba_windows.compare_windows(padded, index.permutations, found, postings, index.signatures, LEAST_AGREEMENT)


def look_up_bands(signatures: UInt32Array, index: SignedQueries) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the bands that some query has too, and their indices in ``index.keys``.

    ``signatures`` has the shape (windows, V). Band b of window w has the index w · bands + b.
    """
    if not len(index.keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    every = minhash.band_keys(signatures, BANDS).ravel()
    indices = index.bloom.select(every)
    keys = every[indices]
    same, slots = search_sorted(keys, index.keys)
    return indices[same], slots


def sign_windows(batch: CandidateBatch, table: UInt32Array) -> tuple[UInt32Array, Int64Array, Int64Array]:
    """Return the signatures (windows, V) of all windows, and the indices of their first and last words.

    A window may reach over the end of a document. ``table`` is what ``minhash.make_permutations`` gives. The triples of
    blocks of a quarter of the smallest window are signed once; longer windows take the minima of theirs.
    """
    step = WINDOWS[0] // 4
    positions = np.flatnonzero(batch.valid)
    if not len(positions):
        nothing = np.zeros(0, np.int64)
        return np.zeros((0, table.shape[1]), np.uint32), nothing, nothing
    edges = np.searchsorted(positions, np.arange(0, len(batch.words) + step, step))
    level = minhash.compute_signatures(batch.shingles[positions], edges, table)
    signatures, firsts, lasts = [], [], []
    for length in WINDOWS:
        width = length // 4
        while step < width:  # blocks of twice the length
            if len(level) % 2:
                level = np.concatenate([level, np.full((1, level.shape[1]), minhash.EMPTY)])
            level = np.minimum(level[::2], level[1::2])
            step *= 2
        if len(level) < 4:
            level, four = level, level.min(axis=0, keepdims=True)
        else:
            two = np.minimum(level[:-1], level[1:])
            four = np.minimum(two[:-2], two[2:])
        begin = np.arange(len(four)) * width
        signatures.append(four)
        firsts.append(begin)
        lasts.append(np.minimum(begin + length, len(batch.words)) - 1)
    return np.concatenate(signatures), np.concatenate(firsts), np.concatenate(lasts)
