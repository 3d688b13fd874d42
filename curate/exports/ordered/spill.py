"""Rows set down on disk on their way to another order: sorted runs of bounded size, found again by their keys.

A row has a key, an integer that no other row has, what is told of it in ``order.parquet``, and a body: a whole line, or
a row of a table. Rows are gathered up to ``limit`` bytes, sorted, and written as one run of two files: the narrow rows,
and the bodies, which are cut into pieces that never cross a bound of ``cell`` keys nor exceed ``PIECE_BYTES`` (or one
row). So any range of keys is read from the pieces that overlap it, in memory of its own size, whatever lies around it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

PIECE_BYTES = 4_000_000
Numbers = np.ndarray[Any, np.dtype[np.int64]]
Narrow = np.ndarray[Any, Any]
"""Of ``NARROW``: a row each."""

# Size is that of the body, of a line exactly.
NARROW = np.dtype([(name, np.int64) for name in ("key", "file", "row", "tokens", "size")])


@dataclass(frozen=True, slots=True)
class SpillPiece:
    """Consecutive rows of a run, of ascending keys."""

    run: str
    """Path without the suffix."""
    start: int
    """Its first row in the run."""
    rows: int
    first: int
    last: int
    """The keys of its first and of its last row."""
    offset: int
    octets: int
    """Where its bodies lie in the file of the bodies."""
    size: int
    """Sum of the sizes of its rows."""


@dataclass(slots=True)
class SpillFile:
    """Takes rows in any order; ``finish`` gives the pieces of all that was taken."""

    stem: Path
    """Runs are named after it: STEM-0.keys, STEM-0.rows …"""
    limit: int
    cell: int
    _narrow: list[Narrow] = field(default_factory=list)
    _bodies: list[Any] = field(default_factory=list)
    _octets: int = 0
    _runs: int = 0
    _pieces: list[SpillPiece] = field(default_factory=list)

    def add(self, narrow: Narrow, bodies: list[bytes] | pa.Table) -> None:
        """Take rows, all lines or all rows of tables."""
        if self._bodies and isinstance(bodies, pa.Table) and not bodies.schema.equals(self._bodies[0].schema):
            self._flush()
        for start, stop in cut_rows(narrow["size"], self.limit):
            self._narrow.append(narrow[start:stop])
            part = bodies[start:stop] if isinstance(bodies, list) else bodies.slice(start, stop - start)
            self._bodies.append(part)
            self._octets += int(narrow["size"][start:stop].sum())
            if self._octets >= self.limit:
                self._flush()

    def finish(self) -> list[SpillPiece]:
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if not self._bodies:
            return
        narrow, bodies = np.concatenate(self._narrow), self._bodies
        self._narrow, self._bodies, self._octets = [], [], 0
        order = np.argsort(narrow["key"], kind="stable")
        narrow = narrow[order]
        run = f"{self.stem}-{self._runs}"
        self._runs += 1
        narrow.tofile(f"{run}.keys")
        cuts = self._cut(narrow["key"], narrow["size"])
        write = _write_lines if isinstance(bodies[0], list) else _write_tables
        for (start, stop), (offset, octets) in zip(
            cuts, write(f"{run}.rows", bodies, order, narrow, cuts), strict=True
        ):
            first, last = int(narrow["key"][start]), int(narrow["key"][stop - 1])
            size = int(narrow["size"][start:stop].sum())
            self._pieces.append(SpillPiece(run, start, stop - start, first, last, offset, octets, size))

    def _cut(self, keys: Numbers, sizes: Numbers) -> list[tuple[int, int]]:
        """The ranges of rows of one piece each."""
        bounds = [0, *(np.flatnonzero(np.diff(keys // self.cell)) + 1).tolist(), len(keys)]
        found = []
        for first, stop in pairwise(bounds):
            found += [(first + a, first + b) for a, b in cut_rows(sizes[first:stop], PIECE_BYTES)]
        return found


Cuts = Sequence[tuple[int, int]]


def _write_lines(path: str, bodies: list[list[bytes]], order: Numbers, narrow: Narrow, cuts: Cuts) -> Cuts:
    """Lines one after the other; → offset and length of each piece."""
    lines = [line for body in bodies for line in body]
    with open(path, "wb", buffering=0) as sink:
        whole = memoryview(b"".join(map(lines.__getitem__, order.tolist())))
        while whole:
            whole = whole[sink.write(whole) :]
    ends = np.concatenate([[0], np.cumsum(narrow["size"])]).tolist()
    return [(ends[start], ends[stop] - ends[start]) for start, stop in cuts]


def _write_tables(path: str, bodies: list[pa.Table], order: Numbers, narrow: Narrow, cuts: Cuts) -> Cuts:
    """A record batch a piece; → offset and length of each."""
    table = take_rows(pa.concat_tables(bodies), order)
    ends = [len(table.schema.serialize())]  # The writer begins with the schema, with the first batch at the latest.
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        for start, stop in cuts:
            (batch,) = table.slice(start, stop - start).to_batches()
            writer.write_batch(batch)
            ends.append(sink.tell())
    return [(start, stop - start) for start, stop in pairwise(ends)]


def cut_rows(sizes: Numbers, most: int) -> list[tuple[int, int]]:
    """Consecutive ranges of rows whose sizes add up to ``most`` at most, or of one larger row."""
    ends, start, found = np.cumsum(sizes), 0, []
    while start < len(sizes):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + most, side="right")))
        found.append((start, stop))
        start = stop
    return found


def take_rows(table: pa.Table, order: Numbers) -> pa.Table:
    """The rows in that order, each column in one new chunk, so that equal rows give equal bytes.

    (A slice or a copy of bits has others behind its end, which Arrow would write, too.)
    """
    table, places = table.combine_chunks(), pa.array(order)
    columns = [column.chunk(0).take(places) for column in table.columns]
    return pa.table(columns, schema=table.schema)


# Read back.


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of a piece that are asked for: [low, high) of it."""

    piece: SpillPiece
    low: int
    high: int
    narrow: Narrow
    before: int
    """Bytes of the lines of the piece that stand before."""


def read_narrow(pieces: Iterable[SpillPiece], first: int, stop: int) -> Narrow:
    """The narrow rows with a key in [first, stop), a piece after the other."""
    return np.concatenate([np.empty(0, NARROW), *(one.narrow for one in _find(pieces, first, stop))])


def _find(pieces: Iterable[SpillPiece], first: int, stop: int) -> list[_Found]:
    by_run: dict[str, list[SpillPiece]] = {}
    for piece in pieces:
        if piece.first < stop and piece.last >= first:
            by_run.setdefault(piece.run, []).append(piece)
    found = []
    for run, wanted in by_run.items():
        with open(f"{run}.keys", "rb", buffering=0) as source:
            for piece in wanted:
                held = os.pread(source.fileno(), piece.rows * NARROW.itemsize, piece.start * NARROW.itemsize)
                narrow = np.frombuffer(held, NARROW)
                low, high = np.searchsorted(narrow["key"], [first, stop]).tolist()
                before = int(narrow["size"][:low].sum())
                found.append(_Found(piece, low, high, narrow[low:high], before))
    return found


def read_lines(pieces: Iterable[SpillPiece], first: int, stop: int, room: bytearray) -> tuple[Narrow, pa.Array]:
    """The rows with a key in [first, stop) in the order of their keys, and their lines.

    ``room`` is where they are gathered: it grows as needed and is to be passed again, since new memory is slow.
    """
    found = _find(pieces, first, stop)
    narrow = np.concatenate([np.empty(0, NARROW), *(one.narrow for one in found)])
    ends = np.concatenate([[0], np.cumsum(narrow["size"])])
    if len(room) < ends[-1]:
        room.extend(bytes(int(ends[-1]) - len(room)))
    place, view = 0, memoryview(room)
    for run, held in _by_run(found):
        with open(f"{run}.rows", "rb", buffering=0) as source:
            for one in held:
                octets = int(one.narrow["size"].sum())
                _read_into(source.fileno(), view[place : place + octets], one.piece.offset + one.before)
                place += octets
    lines = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(narrow), [None, pa.py_buffer(ends), pa.py_buffer(room)]
    )
    order = np.argsort(narrow["key"], kind="stable")
    return narrow[order], lines.take(pa.array(order))


def _read_into(handle: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.preadv(handle, [view], offset)
        if not count:
            raise EOFError("a spilled run is shorter than it was")
        view, offset = view[count:], offset + count


def read_tables(pieces: Iterable[SpillPiece], first: int, stop: int) -> list[tuple[Narrow, pa.Table]]:
    """The rows with a key in [first, stop), a table a piece, each with the schema of its run."""
    tables = []
    for run, held in _by_run(_find(pieces, first, stop)):
        with pa.OSFile(f"{run}.rows", "rb") as source:
            schema = pa.ipc.read_schema(source)
            for one in held:
                source.seek(one.piece.offset)
                batch = pa.ipc.read_record_batch(source.read_buffer(one.piece.octets), schema)
                table = pa.Table.from_batches([batch])
                tables.append((one.narrow, table.slice(one.low, one.high - one.low)))
    return tables


def _by_run(found: Sequence[_Found]) -> Iterator[tuple[str, list[_Found]]]:
    """What was found, in its order, by the run that it is of."""
    runs: dict[str, list[_Found]] = {}
    for one in found:
        runs.setdefault(one.piece.run, []).append(one)
    return iter(runs.items())
