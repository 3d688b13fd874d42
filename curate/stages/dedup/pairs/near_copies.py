"""Near copies of a corpus: its buckets, pairs, verified pairs and components, unit by unit.

The driver holds a byte for each document, eight for each that is in a bucket while texts are read again, and then 24
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
    own = compare_pairs(search, files, num_ours, False, skipped)
    return gather_near_copies(search, files, num_ours, buckets.total, others, own, matched)


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
    own: Sequence[VerifiedPairs],
    matched: BoolArray | None,
) -> NearCopies:
    """Return the components of the verified pairs among ``own``, and the keepers of those with ``others``."""
    documents = np.flatnonzero(mark_documents([*others, *own], total)).astype(np.uint32)
    links = find_links(documents, [*others, *own])
    keepers = find_keepers(documents, num_ours, others, links)
    edges = (_locate(documents, pairs) for each in own for pairs, _ in each.read())
    ours = documents[: len(keepers)]
    roots = label_components(len(ours), edges, search.compiled)
    crowded = count_crowded(files, num_ours, ours, ours[roots], matched)
    return NearCopies(documents, roots, keepers, links, *add_compared([*others, *own]), crowded)


def _locate(documents: UInt32Array, pairs: UInt64Array) -> tuple[UInt32Array, UInt32Array]:
    """Return the indices of the larger and of the smaller document of each pair."""
    larger, smaller = (np.searchsorted(documents, half) for half in unpack_pairs(pairs))
    return larger.astype(np.uint32), smaller.astype(np.uint32)


def count_below(documents: UInt32Array, number: int) -> int:
    """Return how many of some documents, ascending, have numbers below ``number``."""
    return len(documents) if number > 0xFFFFFFFF else int(np.searchsorted(documents, np.uint32(number)))


def find_links(documents: UInt32Array, verified: Sequence[VerifiedPairs]) -> Float64Array:
    """Return the highest similarity of each document in a verified pair."""
    links = np.zeros(len(documents))
    for each in verified:
        for pairs, similarities in each.read():
            for half in _locate(documents, pairs):
                np.maximum.at(links, half, similarities)
    return links


def find_keepers(
    documents: UInt32Array, num_ours: int, others: Sequence[VerifiedPairs], links: Float64Array
) -> Int64Array:
    """Return for each of ours the index of the other that is most similar, of equals the first; NONE for none."""
    nothing = len(documents)
    keepers = np.full(count_below(documents, num_ours), nothing, np.int64)
    for each in others:
        for pairs, similarities in each.read():
            larger, smaller = _locate(documents, pairs)
            best = similarities == links[smaller]
            np.minimum.at(keepers, smaller[best], larger[best])
    keepers[keepers == nothing] = NONE
    return keepers
