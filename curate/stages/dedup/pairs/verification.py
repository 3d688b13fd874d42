"""Pairs compared exactly, range by range: a unit (``units``), which writes the pairs that reach the threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from curate.matching import numba_kernels
from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array, read_array
from curate.runtime.disk.files import replace_atomically
from curate.stages.dedup.pairs.candidates import PairRange, PairRun, read_range, unpack_pairs
from curate.stages.dedup.pairs.shingle_store import StoredSets

SETS_AT_ONCE = 2_000_000
"""Elements of sets that are in memory at a time."""
PAYS_FROM = 20_000
"""Pairs of a range from which on loading numba pays, where nothing else has loaded it."""
READ_PAIRS = 1 << 18
"""Pairs that are read back at a time."""


@dataclass(frozen=True, slots=True)
class PairCheck:
    """What the units that compare pairs share."""

    kind: str
    """The name of their files."""
    store: Path
    """The folder of a ``ShingleStore``, where the results are written, too."""
    runs: tuple[PairRun, ...]
    threshold: float
    """The least similarity of pairs that are written; 0 for all."""
    compiled: bool


@dataclass(frozen=True, slots=True)
class VerifiedPairs:
    """Pairs on disk that reached the threshold, ascending, and behind them the similarity of each."""

    path: Path
    count: int
    compared: int
    """Pairs whose sets were compared; the others are of such sizes that they cannot reach the threshold."""

    def read(self) -> Iterator[tuple[UInt64Array, Float64Array]]:
        """Yield pairs and similarities, READ_PAIRS at most at a time."""
        for first in range(0, self.count, READ_PAIRS):
            count = min(READ_PAIRS, self.count - first)
            similarities = read_array(self.path, np.float64, count, self.count + first)
            yield read_array(self.path, np.uint64, count, first), similarities


def verify_range(check: PairCheck, pair_range: PairRange) -> VerifiedPairs:
    """Compare the pairs of a range, each once, and write those that are at least as similar as the threshold."""
    pairs, sets = read_range(check.runs, pair_range), StoredSets(check.store)
    places = np.stack([sets.find(half.astype(np.int64)) for half in unpack_pairs(pairs)])
    sizes = np.stack([sets.measure(each) for each in places])
    possible = sizes.min(axis=0) / sizes.max(axis=0) >= check.threshold  # the most that sets of such sizes can share
    pairs, places, sizes = pairs[possible], places[:, possible], sizes[:, possible]
    if len(pairs) > PAYS_FROM and numba_kernels.is_numba_available():
        check = replace(check, compiled=True)
    common = [count_common(sets, *block, check.compiled) for block in cut_blocks(sets, *places)]
    counts = np.concatenate([np.zeros(0, np.int64), *common])
    similarities = counts / (sizes.sum(axis=0) - counts)
    agreed = similarities >= check.threshold
    path = check.store / f"verified-{check.kind}-{pair_range.number:06d}"
    with replace_atomically(path) as beside, open(beside, "wb") as out:
        out.write(pairs[agreed].tobytes() + similarities[agreed].tobytes())
    return VerifiedPairs(path, int(np.count_nonzero(agreed)), len(pairs))


def cut_blocks(sets: StoredSets, first: Int64Array, second: Int64Array) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Yield consecutive pairs, given by their places, whose sets have SETS_AT_ONCE elements together, or one pair."""
    needed = np.unique(np.concatenate([first, second]))
    if len(first) > 1 and int(sets.measure(needed).sum()) > SETS_AT_ONCE:
        half = len(first) // 2
        yield from cut_blocks(sets, first[:half], second[:half])
        yield from cut_blocks(sets, first[half:], second[half:])
    elif len(first):
        yield first, second


def count_common(sets: StoredSets, first: Int64Array, second: Int64Array, compiled: bool) -> Int64Array:
    """Return how many elements the two sets of each pair, given by their places, have in common."""
    needed = np.unique(np.concatenate([first, second]))
    hashes, offsets = sets.read(needed)
    left, right = np.searchsorted(needed, first), np.searchsorted(needed, second)
    if compiled:
        from curate.stages.dedup.pairs import numba_pairs

        return numba_pairs.count_common(hashes, offsets, left, right)
    return np.array([
        count_shared(hashes[offsets[one] : offsets[one + 1]], hashes[offsets[other] : offsets[other + 1]])
        for one, other in zip(left.tolist(), right.tolist(), strict=True)
    ], np.int64)  # fmt: skip


def count_shared(first: UInt64Array, second: UInt64Array) -> int:
    """Return the elements that two sets, each ascending without repeats, have in common."""
    merged = np.concatenate((first, second))
    merged.sort(kind="stable")  # two sorted runs: a merge, in linear time
    return int(np.count_nonzero(merged[1:] == merged[:-1]))


def add_compared(verified: Sequence[VerifiedPairs]) -> tuple[int, int]:
    """Return the pairs that were compared, and those that reached the threshold."""
    return sum(each.compared for each in verified), sum(each.count for each in verified)
