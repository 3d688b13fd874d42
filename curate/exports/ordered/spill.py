"""Rows spilled to disk on their way to another order: sorted runs of bounded size, found again by their keys.

A row has a key (an integer that no other row has), a narrow row (what ``order.parquet`` says about it), and a body: a
line of JSON, or a row of a table. Rows are gathered up to ``limit`` bytes, sorted, and written as one run of two files:
the narrow rows, and the bodies. Bodies are cut into pieces that cross no multiple of ``cell`` keys and have at most
``PIECE_BYTES`` (or one row). So any range of keys is read from the pieces that overlap it, in memory of the size of the
range.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.exports.formats.lines import view_lines
from curate.runtime.arrays import Int64Array, fill_from, read_array

PIECE_BYTES = 4_000_000
NARROW = np.dtype([(name, np.int64) for name in ("key", "file", "row", "tokens", "size")])
"""The fields of a narrow row: ``file`` is an index into the sources of the corpus, ``size`` the bytes of the body (for
lines exactly)."""
Narrow = np.ndarray[Any, Any]
"""Narrow rows: an array of dtype ``NARROW``."""
Cuts = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SpillPiece:
    """Consecutive rows of a run, of ascending keys."""

    run: str
    """Path without the suffix."""
    start: int
    """Index of its first row in the run."""
    rows: int
    first: int
    """Key of its first row."""
    last: int
    """Key of its last row."""
    offset: int
    """Where its bodies begin in the file of the bodies, in bytes."""
    num_bytes: int
    """Length of its bodies in that file."""
    size: int
    """Sum of the sizes of its rows."""


@dataclass(slots=True)
class SpillFile:
    """Writes rows in any order; ``finish`` returns their pieces."""

    stem: Path
    """Runs are named after it: STEM-0.keys, STEM-0.rows …"""
    limit: int
    """Bytes of rows that are gathered before they are sorted."""
    cell: int
    """Number of keys that no piece crosses a multiple of."""
    _narrow: list[Narrow] = field(default_factory=list)
    _bodies: list[Any] = field(default_factory=list)
    _num_bytes: int = 0
    _runs: int = 0
    _pieces: list[SpillPiece] = field(default_factory=list)

    def add(self, narrow: Narrow, bodies: pa.LargeBinaryArray | pa.Table) -> None:
        """Append rows: their narrow rows and as many bodies, which are lines in all calls or tables in all calls."""
        if self._bodies and isinstance(bodies, pa.Table) and not bodies.schema.equals(self._bodies[0].schema):
            self._flush()
        for start, stop in cut_rows(narrow["size"], self.limit):
            self._narrow.append(narrow[start:stop])
            self._bodies.append(bodies.slice(start, stop - start))
            self._num_bytes += int(narrow["size"][start:stop].sum())
            if self._num_bytes >= self.limit:
                self._flush()

    def finish(self) -> list[SpillPiece]:
        """Write what is left, and return the pieces of all runs."""
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if not self._bodies:
            return
        narrow, bodies = np.concatenate(self._narrow), self._bodies
        self._narrow, self._bodies, self._num_bytes = [], [], 0
        order = np.argsort(narrow["key"], kind="stable")
        narrow = narrow[order]
        run = f"{self.stem}-{self._runs}"
        self._runs += 1
        narrow.tofile(f"{run}.keys")
        cuts = self._cut(narrow["key"], narrow["size"])
        write = _write_tables if isinstance(bodies[0], pa.Table) else _write_lines
        for (start, stop), (offset, num_bytes) in zip(
            cuts, write(f"{run}.rows", bodies, order, narrow, cuts), strict=True
        ):
            first, last = int(narrow["key"][start]), int(narrow["key"][stop - 1])
            size = int(narrow["size"][start:stop].sum())
            self._pieces.append(SpillPiece(run, start, stop - start, first, last, offset, num_bytes, size))

    def _cut(self, keys: Int64Array, sizes: Int64Array) -> list[tuple[int, int]]:
        """Return the ranges [start, stop) of rows of one piece each."""
        bounds = [0, *(np.flatnonzero(np.diff(keys // self.cell)) + 1).tolist(), len(keys)]
        cuts = []
        for first, stop in pairwise(bounds):
            cuts += [(first + a, first + b) for a, b in cut_rows(sizes[first:stop], PIECE_BYTES)]
        return cuts


def _write_lines(path: str, bodies: list[pa.LargeBinaryArray], order: Int64Array, narrow: Narrow, cuts: Cuts) -> Cuts:
    """Write lines one after the other, and return offset and length of each piece. ``bodies`` is empty afterwards."""
    joined = pa.concat_arrays(bodies)
    bodies.clear()  # Else they were in memory three times.
    offsets, view = view_lines(joined.take(pa.array(order)))
    del joined
    with open(path, "wb", buffering=0) as sink:
        rest = view[offsets[0] : offsets[-1]]
        while rest:
            rest = rest[sink.write(rest) :]
    ends = np.concatenate([[0], np.cumsum(narrow["size"])]).tolist()
    return [(ends[start], ends[stop] - ends[start]) for start, stop in cuts]


def _write_tables(path: str, bodies: list[pa.Table], order: Int64Array, narrow: Narrow, cuts: Cuts) -> Cuts:
    """Write a record batch a piece, and return offset and length of each. ``bodies`` is empty afterwards."""
    joined = pa.concat_tables(bodies).combine_chunks()
    bodies.clear()
    table = take_rows(joined, order)
    del joined
    ends = [len(table.schema.serialize())]  # The writer begins with the schema, with the first batch at the latest.
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        for start, stop in cuts:
            (batch,) = table.slice(start, stop - start).to_batches()
            writer.write_batch(batch)
            ends.append(sink.tell())
    return [(start, stop - start) for start, stop in pairwise(ends)]


def cut_rows(sizes: Int64Array, most: int) -> list[tuple[int, int]]:
    """Return consecutive ranges [start, stop) of rows whose sizes add up to at most ``most``, or of one larger row."""
    ends, start, cuts = np.cumsum(sizes), 0, []
    while start < len(sizes):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + most, side="right")))
        cuts.append((start, stop))
        start = stop
    return cuts


def take_rows(table: pa.Table, order: Int64Array) -> pa.Table:
    """Return the rows in that order, each column in one new chunk, so that equal rows give equal bytes.

    (A slice or a copy of bits has other bits behind its end, which Arrow would write too.)
    """
    table, indices = table.combine_chunks(), pa.array(order)
    columns = [column.chunk(0).take(indices) for column in table.columns]
    return pa.table(columns, schema=table.schema)


@dataclass(frozen=True, slots=True)
class _PieceRange:
    """The rows [low, high) of a piece."""

    piece: SpillPiece
    low: int
    high: int
    narrow: Narrow
    """Of these rows."""
    bytes_before: int
    """Sum of the sizes of the rows of the piece before ``low``."""


def read_narrow(pieces: Iterable[SpillPiece], first: int, stop: int) -> Narrow:
    """Return the narrow rows with a key in [first, stop), piece by piece."""
    return _join_narrow(_find_ranges(pieces, first, stop))


def _join_narrow(ranges: Iterable[_PieceRange]) -> Narrow:
    return np.concatenate([np.empty(0, NARROW), *(part.narrow for part in ranges)])


def _find_ranges(pieces: Iterable[SpillPiece], first: int, stop: int) -> list[_PieceRange]:
    """Return the rows with a key in [first, stop), a range a piece."""
    by_run: dict[str, list[SpillPiece]] = {}
    for piece in pieces:
        if piece.first < stop and piece.last >= first:
            by_run.setdefault(piece.run, []).append(piece)
    ranges = []
    for run, overlapping in by_run.items():
        for piece in overlapping:
            narrow: Narrow = read_array(Path(f"{run}.keys"), NARROW, piece.rows, piece.start)
            low, high = np.searchsorted(narrow["key"], [first, stop]).tolist()
            before = int(narrow["size"][:low].sum())
            ranges.append(_PieceRange(piece, low, high, narrow[low:high], before))
    return ranges


def read_lines(pieces: Iterable[SpillPiece], first: int, stop: int, room: bytearray) -> tuple[Narrow, pa.Array]:
    """Return the narrow rows with a key in [first, stop) in the order of their keys, and their lines (large_binary).

    ``room`` is where they are gathered: it grows as needed. Pass the same one again, since new memory is slow.
    """
    ranges = _find_ranges(pieces, first, stop)
    narrow = _join_narrow(ranges)
    ends = np.concatenate([[0], np.cumsum(narrow["size"])])
    if len(room) < ends[-1]:
        room.extend(bytes(int(ends[-1]) - len(room)))
    start, view = 0, memoryview(room)
    for run, parts in _group_by_run(ranges):
        with open(f"{run}.rows", "rb", buffering=0) as source:
            for part in parts:
                num_bytes = int(part.narrow["size"].sum())
                offset = part.piece.offset + part.bytes_before
                fill_from(source.fileno(), view[start : start + num_bytes], offset, Path(f"{run}.rows"))
                start += num_bytes
    lines = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(narrow), [None, pa.py_buffer(ends), pa.py_buffer(room)]
    )
    order = np.argsort(narrow["key"], kind="stable")
    return narrow[order], lines.take(pa.array(order))


def read_tables(pieces: Iterable[SpillPiece], first: int, stop: int) -> list[tuple[Narrow, pa.Table]]:
    """Return the rows with a key in [first, stop): for each piece its narrow rows and a table.

    A table has the schema of its run.
    """
    tables = []
    for run, parts in _group_by_run(_find_ranges(pieces, first, stop)):
        with pa.OSFile(f"{run}.rows", "rb") as source:
            schema = pa.ipc.read_schema(source)
            for part in parts:
                source.seek(part.piece.offset)
                batch = pa.ipc.read_record_batch(source.read_buffer(part.piece.num_bytes), schema)
                table = pa.Table.from_batches([batch])
                tables.append((part.narrow, table.slice(part.low, part.high - part.low)))
    return tables


def _group_by_run(ranges: Sequence[_PieceRange]) -> Iterator[tuple[str, list[_PieceRange]]]:
    """Yield each run with its ranges, both in the order of the ranges."""
    runs: dict[str, list[_PieceRange]] = {}
    for part in ranges:
        runs.setdefault(part.piece.run, []).append(part)
    return iter(runs.items())
