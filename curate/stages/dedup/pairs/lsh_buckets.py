"""The buckets of each LSH band: documents that share a key.

The buckets of some bands are a unit (``units``): their keys are read from the sketches, sorted, and the documents that
share one written to two files. Keys that do not fit into memory are divided by their highest bits first.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from curate.rundir import parquet
from curate.runtime.arrays import BoolArray, Int64Array, UInt32Array, UInt64Array, read_array
from curate.runtime.disk.files import replace_atomically
from curate.runtime.disk.writers import name_temporary
from curate.stages.dedup.sketch_table import SketchPart

READ_MEMBERS = 1 << 16
"""Members of buckets that are read from disk at a time."""
KEYS_AT_ONCE = 2_000_000
"""Keys that one unit sorts at a time, in some 40 bytes each."""
MOST_PIECES = 256
"""Files among which the keys of a band are divided at most."""
KEY_ROW = np.dtype([("key", np.uint64), ("number", np.uint32)])


@dataclass(frozen=True, slots=True)
class BucketSearch:
    """What the units that group documents by their band keys share."""

    parts: tuple[tuple[str, int, int], ...]
    """The path of each part with documents, the number of its first one, and how many it has; in order."""
    folder: Path
    """Where the buckets are written, and a file ``left-out``: a byte for each document, 1 for those to skip."""
    num_ours: int
    """Documents below this number are ours: a bucket must have one of them."""
    keys_at_once: int = KEYS_AT_ONCE

    @property
    def total(self) -> int:
        """The number of documents."""
        return self.parts[-1][1] + self.parts[-1][2] if self.parts else 0


@dataclass(frozen=True, slots=True)
class BandRange:
    """Bands that are grouped at once."""

    first: int
    names: tuple[str, ...]
    """Their columns in the sketches."""


@dataclass(frozen=True, slots=True)
class BucketFile:
    """Buckets on disk: the numbers of their members (uint32), ascending in each, and how many each has (uint32)."""

    members: Path
    sizes: Path
    count: int
    """Buckets."""
    num_members: int


def make_search(parts: Sequence[SketchPart], folder: Path, num_ours: int, left_out: BoolArray) -> BucketSearch:
    """Return what the units share, with ``left_out`` (documents,) written to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    left_out.tofile(folder / "left-out")
    filled = tuple((str(part.path.absolute()), part.first, part.count) for part in parts if part.count)
    return BucketSearch(filled, folder, num_ours, KEYS_AT_ONCE)


def list_band_ranges(bands: Sequence[str], total: int, keys_at_once: int) -> list[BandRange]:
    """Return all bands in ranges, as many in each as may be sorted at a time."""
    step = max(1, keys_at_once // max(1, total))
    return [BandRange(first, tuple(bands[first : first + step])) for first in range(0, len(bands), step)]


def group_bands(search: BucketSearch, bands: BandRange) -> BucketFile:
    """Write the buckets of two and more documents, one of them ours, of some bands: a unit."""
    members, sizes = (search.folder / f"{name}-{bands.first:04d}" for name in ("members", "sizes"))
    count = num_members = 0
    with ExitStack() as opened:
        beside = [opened.enter_context(replace_atomically(path)) for path in (members, sizes)]
        outs = [opened.enter_context(open(path, "wb")) for path in beside]
        for keys, numbers in read_keys(search, bands):
            found = group_keys(keys, numbers, search.num_ours)
            for out, values in zip(outs, found, strict=True):
                out.write(values.tobytes())
            num_members, count = num_members + len(found[0]), count + len(found[1])
    return BucketFile(members, sizes, count, num_members)


def read_keys(search: BucketSearch, bands: BandRange) -> Iterator[tuple[UInt64Array, UInt32Array]]:
    """Yield keys of some bands and the numbers of their documents; all documents of a key in the same arrays."""
    if search.total * len(bands.names) > search.keys_at_once:
        for band in bands.names:
            yield from divide_keys(search, band)
        return
    keys_BN, numbers = np.empty((len(bands.names), search.total), np.uint64), np.empty(search.total, np.uint32)
    filled = 0
    for part_keys, part_numbers in stream_keys(search, bands.names):
        stop = filled + len(part_numbers)
        keys_BN[:, filled:stop], numbers[filled:stop] = part_keys, part_numbers
        filled = stop
    for keys in keys_BN:
        yield keys[:filled], numbers[:filled]


def stream_keys(search: BucketSearch, bands: Sequence[str]) -> Iterator[tuple[UInt64Array, UInt32Array]]:
    """Yield the keys (bands, documents) and the numbers of the documents of each part, without those to skip."""
    for path, first, count in search.parts:
        kept = np.flatnonzero(~read_array(search.folder / "left-out", np.bool_, count, first))
        with parquet.naming(Path(path)), pq.ParquetFile(path) as file:
            columns = file.read(list(bands), use_threads=False)
        yield np.stack([columns[band].to_numpy()[kept] for band in bands]), (kept + first).astype(np.uint32)


def divide_keys(search: BucketSearch, band: str) -> Iterator[tuple[UInt64Array, UInt32Array]]:
    """Yield what ``read_keys`` does of one band, in pieces by the highest bits of the keys, through files."""
    bits = min((search.total // search.keys_at_once).bit_length() + 1, MOST_PIECES.bit_length() - 1)
    scratch = name_temporary(search.folder / band)
    scratch.mkdir()
    try:
        paths = [scratch / str(piece) for piece in range(1 << bits)]
        with ExitStack() as opened:
            outs = [opened.enter_context(open(path, "wb", buffering=1 << 16)) for path in paths]
            for keys_BN, numbers in stream_keys(search, [band]):
                pieces = (keys_BN[0] >> np.uint64(64 - bits)).astype(np.uint16)
                order = np.argsort(pieces, kind="stable")
                rows = np.empty(len(order), KEY_ROW)
                rows["key"], rows["number"] = keys_BN[0][order], numbers[order]
                edges = np.searchsorted(pieces[order], np.arange(len(outs) + 1))
                for out, first, stop in zip(outs, edges, edges[1:], strict=False):
                    out.write(rows[first:stop].tobytes())
        for path in paths:
            rows = np.fromfile(path, KEY_ROW)
            yield np.ascontiguousarray(rows["key"]), np.ascontiguousarray(rows["number"])
            path.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def group_keys(keys: UInt64Array, numbers: UInt32Array, num_ours: int) -> tuple[UInt32Array, UInt32Array]:
    """Return the members of the buckets of two and more documents, one of them ours, and the size of each bucket.

    The members of a bucket ascend. ``keys`` and ``numbers`` have an entry for each document, in any order.
    """
    order = np.argsort(keys)
    keys = keys[order]
    is_shared = np.zeros(len(keys) + 1, bool)
    np.equal(keys[1:], keys[:-1], out=is_shared[1:-1])
    begins = is_shared[1:] & ~is_shared[:-1]
    chosen = begins | is_shared[:-1]
    bucket = np.cumsum(begins)[chosen]
    members = numbers[order[chosen]]
    members = members[np.lexsort((members, bucket))]
    starts = np.flatnonzero(np.diff(bucket, prepend=0))
    sizes = np.diff(starts, append=len(members))
    has_ours = members[starts] < num_ours
    return members[np.repeat(has_ours, sizes)], sizes[has_ours].astype(np.uint32)


def read_buckets(file: BucketFile) -> Iterator[tuple[UInt32Array, Int64Array]]:
    """Yield the members and the sizes of some buckets at a time, about READ_MEMBERS members or one bucket."""
    sizes = read_array(file.sizes, np.uint32, file.count).astype(np.int64)
    first = done = 0
    while first < len(sizes):
        ends = np.cumsum(sizes[first : first + READ_MEMBERS])
        count = max(1, int(np.searchsorted(ends, READ_MEMBERS, side="right")))
        yield read_array(file.members, np.uint32, int(ends[count - 1]), done), sizes[first : first + count]
        first, done = first + count, done + int(ends[count - 1])


def mark_members(files: Sequence[BucketFile], total: int) -> BoolArray:
    """Return which of ``total`` documents are in a bucket, of shape (total,)."""
    is_member = np.zeros(total, bool)
    for file in files:
        for members, _ in read_buckets(file):
            is_member[members] = True
    return is_member
