"""Candidates by MinHash: windows over the documents, looked up among the signatures of the eval items.

Windows of several lengths move over the documents by a quarter of their length; the bands of their signatures are
looked up among those of the probes. It is an estimate: 64 bands of 2 rows find a similarity of .2 with probability .93,
and .3, which a third of a shortened item within a window of its length has, with .998. The inverted index
(``curate.stages.decontaminate.ngram_index``) is exact and, on the eval sets that we measured, faster too; signatures
take the same room for an item of ten words as for one of a thousand.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.matching import minhash, numba_kernels
from curate.stages.decontaminate.ngram_index import (
    POSTINGS,
    BloomFilter,
    CandidateBatch,
    Candidates,
    NgramIndex,
    expand,
    gather,
    make_sieve,
    refine,
    search,
)
from curate.stages.decontaminate.queries import EvalQueries

Array = np.ndarray[Any, np.dtype[Any]]

BANDS = minhash.Bands(64, 2)
WINDOWS = (8, 16, 32, 64, 128, 256)  # words
LEAST_AGREEMENT = 0.12  # share of equal signature values from which a window is a candidate


@dataclass(frozen=True, slots=True, eq=False)
class SignedWindows:
    """The signatures of the probes, and their bands."""

    probes: EvalQueries
    permutations: Array
    signatures: Array
    """uint32 (probes, permutations)"""
    keys: Array
    """uint64, the distinct keys of all bands, sorted."""
    offsets: Array
    owners: Array
    """For each posting, its probe."""
    sieve: BloomFilter
    small: Array
    """A first, small sieve: see ``kernels.sift``."""


def sign_probes(probes: EvalQueries, seed: int = minhash.SEED) -> SignedWindows:
    """The probes as an LSH index: as datasketch's ``MinHashLSH(params=(64, 2))`` holds them, in sorted arrays."""
    table = minhash.permutations(BANDS.bands * BANDS.rows, seed)
    places = np.flatnonzero(probes.valid)
    offsets = np.searchsorted(places, probes.words.offsets)
    signatures = minhash.signatures(probes.shingles[places], offsets, table)
    keys = minhash.band_keys(signatures, BANDS)
    distinct, inverse = np.unique(keys.ravel(), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    counts = np.bincount(inverse, minlength=len(distinct))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    ends = np.concatenate([[0], np.cumsum(np.minimum(counts, POSTINGS))])
    return SignedWindows(
        probes,
        table,
        signatures,
        distinct,
        ends,
        order[rank < POSTINGS] // BANDS.bands,
        make_sieve(distinct),
        numba_kernels.make_small(distinct),
    )


def find_by_minhash(index: SignedWindows, exact: NgramIndex, batch: CandidateBatch) -> Candidates:
    """Every window whose signature shares a band with a probe and agrees with it in enough values."""
    signatures, firsts, lasts = sign_windows(batch, index.permutations)
    places, slots = look_up_bands(signatures, index)
    numbers, postings = expand(slots, index.offsets)
    window, probe = places[numbers] // BANDS.bands, index.owners[postings]
    pairs = np.unique(window * len(index.signatures) + probe)
    window, probe = pairs // max(len(index.signatures), 1), pairs % max(len(index.signatures), 1)
    agreement = (signatures[window] == index.signatures[probe]).mean(axis=1) if len(pairs) else np.zeros(0)
    enough = agreement >= LEAST_AGREEMENT
    return refine(
        exact, batch, gather(batch, index.probes, probe[enough], firsts[window[enough]], lasts[window[enough]])
    )


def look_up_bands(signatures: Array, index: SignedWindows) -> tuple[Array, Array]:
    """The bands that some probe has too: their places, windows by bands, and where the index has them."""
    if not len(index.keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if numba_kernels.available():
        sieve = index.sieve
        found = numba_kernels.sift(
            signatures, BANDS.bands, BANDS.rows, minhash.MULTIPLIER, index.small, sieve.table, sieve.mask
        )
    else:
        keys = minhash.band_keys(signatures, BANDS).ravel()
        places = index.sieve.places(keys)
        found = places, keys[places]
    same, slots = search(found[1], index.keys)
    return found[0][same], slots


def sign_windows(batch: CandidateBatch, table: Array) -> tuple[Array, Array, Array]:
    """Signatures, first words and last words of all windows; a window does not end with its document, but with itself.

    The triples of blocks of a quarter of the smallest window are signed once; longer windows take the minima of theirs.
    """
    step = WINDOWS[0] // 4
    places = np.flatnonzero(batch.valid)
    if not len(places):
        nothing = np.zeros(0, np.int64)
        return np.zeros((0, table.shape[1]), np.uint32), nothing, nothing
    edges = np.searchsorted(places, np.arange(0, len(batch.words) + step, step))
    level = minhash.signatures(batch.shingles[places], edges, table)
    found, firsts, lasts = [], [], []
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
        found.append(four)
        firsts.append(begin)
        lasts.append(np.minimum(begin + length, len(batch.words)) - 1)
    return np.concatenate(found), np.concatenate(firsts), np.concatenate(lasts)
