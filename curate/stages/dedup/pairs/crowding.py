"""Documents that share a bucket with so many others that they were not compared with all of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from curate.runtime.arrays import BoolArray, Int64Array, UInt32Array
from curate.stages.dedup.pairs import candidates
from curate.stages.dedup.pairs.lsh_buckets import BucketFile, read_buckets


def count_crowded(
    files: Sequence[BucketFile], num_ours: int, joined: UInt32Array, roots: UInt32Array, matched: BoolArray | None
) -> int:
    """Return how many of ours share a bucket with documents that they were neither compared nor joined with.

    ``joined`` are those of ours that have near copies, ascending, ``roots`` the index among them of the document that
    stands for each one's component, and ``matched`` (documents of ours,) those that have a copy among the others, which
    do not count; None where none has.
    """
    is_crowded: BoolArray | None = None
    for file in files:
        for members, sizes in read_buckets(file):
            if int(sizes.max()) > candidates.COMPARISONS:
                is_crowded = np.zeros(num_ours, bool) if is_crowded is None else is_crowded
                for documents in find_strangers(members, sizes, num_ours, joined, roots, matched):
                    is_crowded[documents] = True
    return 0 if is_crowded is None else int(np.count_nonzero(is_crowded))


def find_strangers(
    members: UInt32Array,
    sizes: Int64Array,
    num_ours: int,
    joined: UInt32Array,
    roots: UInt32Array,
    matched: BoolArray | None,
) -> Iterator[UInt32Array]:
    """Yield documents of ours in some buckets that some of the others, then some of ours, stayed strangers to."""
    buckets = np.repeat(np.arange(len(sizes)), sizes)
    is_ours = members < num_ours if matched is None else candidates.mark_unskipped(members, num_ours, matched)
    num_others = np.bincount(buckets[members >= num_ours], minlength=len(sizes))
    yield members[is_ours & (num_others > candidates.COMPARISONS)[buckets]]
    members, buckets = members[is_ours], buckets[is_ours]
    behind = np.arange(len(members)) - np.searchsorted(buckets, buckets) >= candidates.COMPARISONS
    members, buckets = members[behind], buckets[behind]  # these were not compared among themselves
    if len(members):
        component = find_roots(members, joined, roots)
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        lengths = np.diff(starts, append=len(members))
        is_mixed = np.minimum.reduceat(component, starts) < np.maximum.reduceat(component, starts)
        yield members[np.repeat(is_mixed, lengths)]


def find_roots(documents: UInt32Array, joined: UInt32Array, roots: UInt32Array) -> UInt32Array:
    """Return the document that stands for the component of each of some documents: itself where none is joined."""
    if not len(joined):
        return documents
    places = np.minimum(np.searchsorted(joined, documents), len(joined) - 1)
    return np.where(joined[places] == documents, joined[roots[places]], documents)
