"""The pairs of documents that are compared, by a rule that knows no order of buckets.

    in each bucket     every document with the COMPARISONS smallest numbers of it (all pairs, up to COMPARISONS + 1)
    with --against     each of ours with the COMPARISONS smallest of the others, and then those of ours that have no
                       copy there among themselves

A pair counts once, in however many bands its documents meet. Listing the pairs of some buckets is a unit (``units``):
it writes sorted runs of distinct pairs. Verifying those in a range is another one (``verification``), and merges the
runs on the way. A pair is one 64-bit number: the larger document in its high half, the smaller in its low half.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.runtime.arrays import BoolArray, Int64Array, UInt32Array, UInt64Array, read_array
from curate.runtime.disk.files import replace_atomically
from curate.stages.dedup.pairs.lsh_buckets import BucketFile, read_buckets
from curate.stages.dedup.pairs.shingle_store import map_array

COMPARISONS = 64
"""Documents of a bucket with which each other one is compared."""
PAIRS_AT_ONCE = 1 << 19
"""Pairs that are sorted at a time."""
BLOCK_PAIRS = 1 << 16
"""Pairs that are listed at a time."""
SAMPLE_STEP = 1 << 14
"""Every so many pairs of a run one is kept, so that ranges can be cut."""
RANGE_PAIRS = 1 << 18
"""Pairs of all runs that a range has, about; those of several bands among them are the same."""
HALF = np.uint64(32)
MOST_DOCUMENTS = 1 << 32
"""Documents whose numbers fit into half of a pair."""


@dataclass(frozen=True, slots=True)
class PairListing:
    """What the units that list pairs share."""

    kind: str
    """The name of their files."""
    num_ours: int
    with_others: bool
    """Whether ours are paired with the others, or with one another."""
    skipped: Path | None
    """A file with a byte for each of ours, 1 for those that are paired with none of ours; None: all are."""
    comparisons: int


@dataclass(frozen=True, slots=True, eq=False)
class PairRun:
    """Distinct pairs in a file, ascending."""

    path: Path
    count: int
    sample: UInt64Array
    """Every SAMPLE_STEP-th of them."""


@dataclass(frozen=True, slots=True)
class PairRange:
    """The pairs in [first, stop); a ``stop`` of None is behind all."""

    number: int
    first: int
    stop: int | None


def list_pairs(listing: PairListing, file: BucketFile) -> list[PairRun]:
    """Write the pairs of some buckets as sorted runs: a unit."""
    skipped = None if listing.skipped is None else read_array(listing.skipped, np.bool_, listing.num_ours)
    name = file.members.name.replace("members", f"pairs-{listing.kind}")
    runs: list[PairRun] = []
    waiting, filled = list[UInt64Array](), 0
    for members, sizes in read_buckets(file):
        for pairs in pair_members(listing, members, sizes, skipped):
            waiting.append(pairs)
            filled += len(pairs)
            if filled >= PAIRS_AT_ONCE:
                runs.append(write_run(file.members.with_name(f"{name}-{len(runs):06d}"), waiting))
                waiting, filled = [], 0
    return [*runs, write_run(file.members.with_name(f"{name}-{len(runs):06d}"), waiting)] if filled else runs


def pair_members(
    listing: PairListing, members: UInt32Array, sizes: Int64Array, skipped: BoolArray | None
) -> Iterator[UInt64Array]:
    """Yield the pairs of some buckets by the rule, at most about BLOCK_PAIRS at a time; the same one may come again.

    ``members`` ascend in each bucket, whose sizes are ``sizes``.
    """
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_ours = members < listing.num_ours
    if listing.with_others:
        num_ours = np.repeat(np.add.reduceat(is_ours, np.cumsum(sizes) - sizes, dtype=np.int64), sizes)
        most = np.minimum(np.repeat(sizes, sizes) - num_ours, listing.comparisons)
        chosen = np.flatnonzero(is_ours)
        yield from pair_up(members, chosen, (starts + num_ours)[chosen], most[chosen])
        return
    kept = is_ours if skipped is None else mark_unskipped(members, listing.num_ours, skipped)
    members, starts = members[kept], starts[kept]
    index = np.arange(len(members))
    begins = np.searchsorted(starts, starts)  # of a bucket's first member among those that are kept
    yield from pair_up(members, index, begins, np.minimum(index - begins, listing.comparisons))


def mark_unskipped(members: UInt32Array, num_ours: int, skipped: BoolArray) -> BoolArray:
    """Return which members are of ours and not ``skipped``, which has an entry for each of ours."""
    kept = members < num_ours
    kept[kept] = ~skipped[members[kept]]
    return kept


def pair_up(members: UInt32Array, chosen: Int64Array, begins: Int64Array, counts: Int64Array) -> Iterator[UInt64Array]:
    """Yield the pairs of each chosen member, by its index, with the ``counts`` members from index ``begins`` on."""
    ends, first = np.cumsum(counts), 0
    while first < len(chosen):
        before = ends[first - 1] if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, before + BLOCK_PAIRS, side="right")))
        many = counts[first:stop]
        left = np.repeat(members[chosen[first:stop]], many)
        offsets = np.arange(len(left)) - np.repeat(np.cumsum(many) - many, many)
        right = members[np.repeat(begins[first:stop], many) + offsets]
        yield pack_pairs(np.maximum(left, right), np.minimum(left, right))
        first = stop


def pack_pairs(larger: Any, smaller: Any) -> UInt64Array:
    """Return pairs of documents, given by the arrays of their numbers, as one number each."""
    pairs: UInt64Array = (larger.astype(np.uint64) << HALF) | smaller.astype(np.uint64)
    return pairs


def unpack_pairs(pairs: UInt64Array) -> tuple[UInt32Array, UInt32Array]:
    """Return the larger and the smaller document of each pair."""
    return (pairs >> HALF).astype(np.uint32), pairs.astype(np.uint32)


def write_run(path: Path, pairs: Sequence[UInt64Array]) -> PairRun:
    """Write some pairs, each once, ascending."""
    distinct = np.unique(np.concatenate(pairs))
    with replace_atomically(path) as beside:
        distinct.tofile(beside)
    return PairRun(path, len(distinct), distinct[::SAMPLE_STEP].copy())


def cut_ranges(runs: Sequence[PairRun]) -> list[PairRange]:
    """Return ranges that have all pairs of some runs together, about RANGE_PAIRS in each; none where there are none."""
    if not runs:
        return []
    samples = np.sort(np.concatenate([run.sample for run in runs]))
    step = max(1, RANGE_PAIRS // SAMPLE_STEP)
    cuts = [0, *np.unique(samples[step::step]).tolist()]
    return [PairRange(number, *cut) for number, cut in enumerate(zip(cuts, [*cuts[1:], None], strict=True))]


def read_range(runs: Sequence[PairRun], pair_range: PairRange) -> UInt64Array:
    """Return the distinct pairs of a range, ascending."""
    pieces = [np.zeros(0, np.uint64)]
    for run in runs:
        pairs = map_array(run.path, np.uint64)
        first = int(np.searchsorted(pairs, np.uint64(pair_range.first)))
        stop = run.count if pair_range.stop is None else int(np.searchsorted(pairs, np.uint64(pair_range.stop)))
        pieces.append(np.array(pairs[first:stop]))
    return np.unique(np.concatenate(pieces))
