"""Near copies of a corpus: its buckets, pairs, verified pairs and components, unit by unit.

The driver holds a byte for each document, eight for each that is in a bucket while texts are read again, and then 16
for each that has a near copy. All the rest is in files of the work folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import TableError
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt32Array, UInt64Array
from curate.runtime.work.processes import StartWorkers
from curate.stages.dedup.pairs import candidates
from curate.stages.dedup.pairs.candidates import PairListing, PairRun, cut_ranges, list_pairs, unpack_pairs
from curate.stages.dedup.pairs.components import label_components
from curate.stages.dedup.pairs.crowding import count_crowded
from curate.stages.dedup.pairs.lsh_buckets import (
    BucketFile,
    BucketSearch,
    group_bands,
    list_band_ranges,
    mark_members,
)
from curate.stages.dedup.pairs.shingle_store import ShingleStore
from curate.stages.dedup.pairs.units import run_units
from curate.stages.dedup.pairs.verification import PairCheck, VerifiedPairs, add_compared, verify_range

NONE = -1
WORD_BYTES = 8
WORDS_AT_ONCE = 1 << 17
"""Words of 64 documents that are looked through at a time."""

ReadSets = Callable[[Int64Array], Iterator[UInt64Array]]
"""Yields the set of each of some documents, whose numbers ascend."""


@dataclass(frozen=True, slots=True)
class PairSearch:
    """What the search for near copies needs."""

    folder: Path
    """Where all files are written."""
    bands: Sequence[str]
    threshold: float
    start: StartWorkers
    workers: int
    compiled: bool
    """Whether loops are compiled whatever their length."""
    say: Callable[[str, str], None]
    """Shows a text after a label."""
    report: Callable[[str, str], None]
    """Shows how far a step is, now and then."""


@dataclass(frozen=True, slots=True, eq=False)
class NearCopies:
    """Documents that have a near copy; the first and the last array have an entry for each, of all corpora."""

    documents: UInt32Array
    """Their numbers, ascending: ours first."""
    roots: UInt32Array
    """For each of ours the index of the first document of its component."""
    keepers: Int64Array
    """For each of ours the index of the most similar of the others, NONE where none is near."""
    links: Float64Array
    """The highest similarity with any document that it was compared with and that may be in its cluster."""
    compared: int
    """Pairs that were compared."""
    agreed: int
    """Pairs that reached the threshold."""
    crowded: int
    """Documents that were not compared with all others of a bucket."""


def find_near_copies(search: PairSearch, buckets: BucketSearch, read_sets: ReadSets) -> NearCopies:
    """Return the near copies among all documents, as one machine or many find them."""
    if buckets.total > candidates.MOST_DOCUMENTS:
        message = f"{buckets.total:,} documents: dedup numbers at most {candidates.MOST_DOCUMENTS:,}"
        raise TableError(message, "divide the corpus, and remove the copies of one half with --against the other")
    ranges = list_band_ranges(search.bands, buckets.total, buckets.keys_at_once)
    files = _run(search, "grouping", group_bands, buckets, ranges)
    members = np.flatnonzero(mark_members(files, buckets.total))
    with ShingleStore(search.folder, members) as store:
        for hashes in read_sets(members):
            store.add(hashes)
    search.say("comparing", f"{len(members):,} documents that share {sum(file.count for file in files):,} buckets")
    del members
    num_ours = buckets.num_ours
    others = compare_pairs(search, files, num_ours, True, None) if num_ours < buckets.total else []
    matched = mark_documents(others, num_ours) if others else None
    skipped = None if matched is None else search.folder / "matched"
    if matched is not None and skipped is not None:
        matched.tofile(skipped)
    among_ours = compare_pairs(search, files, num_ours, False, skipped)
    return gather_near_copies(search, files, num_ours, buckets.total, others, among_ours, matched)


def compare_pairs(
    search: PairSearch, files: Sequence[BucketFile], num_ours: int, with_others: bool, skipped: Path | None
) -> list[VerifiedPairs]:
    """List and verify the pairs of all buckets: of ours with others, or among ours without those ``skipped``."""
    kind = "others" if with_others else "own"
    listing = PairListing(kind, num_ours, with_others, skipped, candidates.COMPARISONS)
    runs = [run for of_file in _run(search, "pairing", list_pairs, listing, files) for run in of_file]
    return verify_runs(search, kind, runs, search.threshold)


def verify_runs(search: PairSearch, kind: str, runs: Sequence[PairRun], threshold: float) -> list[VerifiedPairs]:
    """Return the pairs of some runs that reach a threshold, range by range, in their order."""
    check = PairCheck(kind, search.folder, tuple(runs), threshold, search.compiled)
    return _run(search, "comparing", verify_range, check, cut_ranges(runs))


def measure_pairs(search: PairSearch, larger: Int64Array, smaller: Int64Array) -> Float64Array:
    """Return the similarity of each pair of different documents, of which the store has both."""
    pairs = candidates.pack_pairs(np.maximum(larger, smaller), np.minimum(larger, smaller))
    if not len(pairs):
        return np.zeros(0)
    runs = [candidates.write_run(search.folder / "pairs-keepers", [pairs])]
    read = [batch for verified in verify_runs(search, "keepers", runs, 0.0) for batch in verified.read()]
    known, similarities = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
    measured: Float64Array = similarities[np.searchsorted(known, pairs)]
    return measured


def _run(
    search: PairSearch, label: str, function: Callable[[Any, Any], Any], shared: Any, items: Sequence[Any]
) -> list[Any]:
    return run_units(search.start, search.workers, function, shared, items, lambda text: search.report(label, text))


def mark_documents(verified: Sequence[VerifiedPairs], count: int) -> BoolArray:
    """Return which of the documents 0 … count − 1 are in a verified pair, of shape (count,)."""
    is_paired = np.zeros(count, bool)
    for each in verified:
        for pairs, _ in each.read():
            for half in unpack_pairs(pairs):
                is_paired[half[half < count]] = True
    return is_paired


def gather_near_copies(
    search: PairSearch,
    files: Sequence[BucketFile],
    num_ours: int,
    total: int,
    others: Sequence[VerifiedPairs],
    among_ours: Sequence[VerifiedPairs],
    matched: BoolArray | None,
) -> NearCopies:
    """Return the components of the verified pairs ``among_ours``, and the keepers of those with ``others``."""
    ranks = PairedDocuments(mark_documents([*others, *among_ours], total))
    documents = ranks.list_documents()
    links = find_links(ranks, [*others, *among_ours])
    keepers = find_keepers(ranks, num_ours, others, links)
    edges = (ranks.find_pairs(pairs) for each in among_ours for pairs, _ in each.read())
    roots = label_components(len(keepers), edges, search.compiled)
    crowded = count_crowded(files, num_ours, documents[: len(keepers)], roots, matched)
    return NearCopies(documents, roots, keepers, links, *add_compared([*others, *among_ours]), crowded)


class PairedDocuments:
    """The documents that are in a verified pair, and their indices among these: two bits for each document of all."""

    def __init__(self, is_paired: BoolArray):
        """Begin with which of all documents are in a pair, of shape (documents,)."""
        self._words = np.packbits(is_paired, bitorder="little")
        self._words = np.concatenate([self._words, np.zeros(WORD_BYTES - len(self._words) % WORD_BYTES, np.uint8)])
        self._words = self._words.view("<u8")
        counts = np.bitwise_count(self._words)
        self._before = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=self._before[1:])

    def __len__(self) -> int:
        return int(self._before[-1])

    def list_documents(self) -> UInt32Array:
        """Return the numbers of the documents, ascending."""
        documents = np.empty(len(self), np.uint32)
        for first in range(0, len(self._words), WORDS_AT_ONCE):
            words = self._words[first : first + WORDS_AT_ONCE]
            bits = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
            begin = int(self._before[first])
            documents[begin : begin + len(bits)] = bits + 64 * first
        return documents

    def count_below(self, number: int) -> int:
        """Return how many have numbers below ``number``."""
        below = int(self._words[number // 64]) & ((1 << number % 64) - 1)
        return int(self._before[number // 64]) + below.bit_count()

    def find(self, documents: UInt32Array) -> UInt32Array:
        """Return the index of each of some documents, all of which are in a pair."""
        words = documents >> np.uint32(6)
        below = self._words[words] & ((np.uint64(1) << (documents & np.uint32(63)).astype(np.uint64)) - np.uint64(1))
        indices: UInt32Array = self._before[words] + np.bitwise_count(below)
        return indices

    def find_pairs(self, pairs: UInt64Array) -> tuple[UInt32Array, UInt32Array]:
        """Return the indices of the larger and of the smaller document of each pair."""
        larger, smaller = unpack_pairs(pairs)
        return self.find(larger), self.find(smaller)


def find_links(ranks: PairedDocuments, verified: Sequence[VerifiedPairs]) -> Float64Array:
    """Return the highest similarity of each document in a verified pair."""
    links = np.zeros(len(ranks))
    for each in verified:
        for pairs, similarities in each.read():
            for half in ranks.find_pairs(pairs):
                np.maximum.at(links, half, similarities)
    return links


def find_keepers(
    ranks: PairedDocuments, num_ours: int, others: Sequence[VerifiedPairs], links: Float64Array
) -> Int64Array:
    """Return for each of ours the index of the other that is most similar, of equals the first; NONE for none."""
    count = ranks.count_below(num_ours)
    if not others:
        return np.broadcast_to(np.int64(NONE), count)
    keepers = np.full(count, len(ranks), np.int64)
    for each in others:
        for pairs, similarities in each.read():
            larger, smaller = ranks.find_pairs(pairs)
            best = similarities == links[smaller]
            np.minimum.at(keepers, smaller[best], larger[best])
    keepers[keepers == len(ranks)] = NONE
    return keepers
