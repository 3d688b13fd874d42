"""Rows set down on disk on their way to another order: sorted runs of bounded size, found again by their keys.

A row has a key, an integer that no other row has. Rows are gathered up to ``limit`` bytes, sorted, and written as one
run: an Arrow file whose batches (pieces) never cross a bound of ``cell`` keys nor exceed ``PIECE_BYTES`` (or one row).
So any range of keys is read from the pieces that overlap it, in memory of its own size, whatever lies around it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

PIECE_BYTES = 4_000_000
Numbers = np.ndarray[Any, np.dtype[np.int64]]

# What stands before the columns of the row itself.
NARROW = pa.schema(
    [("key", pa.int64()), ("file", pa.int32()), ("row", pa.int64()), ("tokens", pa.int64()), ("size", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A batch of a run: rows of ascending keys."""

    path: Path
    batch: int
    first: int
    last: int
    """The keys of its first and of its last row."""
    rows: int
    size: int
    """Sum of the sizes of its rows."""


@dataclass(slots=True)
class Spill:
    """Takes tables of rows in any order; ``finish`` gives the pieces of all that was taken."""

    stem: Path
    """Runs are named after it: STEM-0.arrow …"""
    limit: int
    cell: int
    _tables: list[pa.Table] = field(default_factory=list)
    _octets: int = 0
    _runs: int = 0
    _pieces: list[Piece] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """Take rows: the columns of ``NARROW`` first, then any others."""
        if self._tables and not table.schema.equals(self._tables[0].schema):
            self._flush()
        step = max(1, self.limit * len(table) // max(1, table.nbytes))
        for start in range(0, len(table), step):
            self._tables.append(table.slice(start, step))
            self._octets += self._tables[-1].nbytes
            if self._octets >= self.limit:
                self._flush()

    def finish(self) -> list[Piece]:
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if not self._tables:
            return
        table = pa.concat_tables(self._tables)
        self._tables, self._octets = [], 0
        table = sort_rows(table)
        path = self.stem.with_name(f"{self.stem.name}-{self._runs}.arrow")
        self._runs += 1
        keys, sizes = table.column(0).to_numpy(), table.column(4).to_numpy()
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            for number, (start, stop) in enumerate(self._cut(keys, sizes)):
                (batch,) = table.slice(start, stop - start).to_batches()
                writer.write_batch(batch)
                rows, size = stop - start, int(sizes[start:stop].sum())
                self._pieces.append(Piece(path, number, int(keys[start]), int(keys[stop - 1]), rows, size))

    def _cut(self, keys: Numbers, sizes: Numbers) -> list[tuple[int, int]]:
        """The ranges of rows of one piece each."""
        bounds = [0, *(np.flatnonzero(np.diff(keys // self.cell)) + 1).tolist(), len(keys)]
        found = []
        for first, stop in pairwise(bounds):
            found += [(first + a, first + b) for a, b in cut_rows(sizes[first:stop], PIECE_BYTES)]
        return found


def cut_rows(sizes: Numbers, most: int) -> list[tuple[int, int]]:
    """Consecutive ranges of rows whose sizes add up to ``most`` at most, or of one larger row."""
    ends, start, found = np.cumsum(sizes), 0, []
    while start < len(sizes):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + most, side="right")))
        found.append((start, stop))
        start = stop
    return found


def sort_rows(table: pa.Table) -> pa.Table:
    """The rows in ascending order of their keys, each column in one new chunk, so that equal rows give equal bytes.

    (A slice or a copy of bits has others behind its end, which Arrow would write, too.)
    """
    table = table.combine_chunks()
    order = pa.array(np.argsort(table.column(0).to_numpy(), kind="stable"))
    columns = [column.chunk(0).take(order) for column in table.columns]
    return pa.table(columns, schema=table.schema)


def read_range(pieces: Iterable[Piece], first: int, stop: int, columns: Sequence[int] | None = None) -> list[pa.Table]:
    """The rows with a key in [first, stop), a table a piece, each with the schema of its run."""
    by_run: dict[Path, list[Piece]] = {}
    for piece in pieces:
        if piece.first < stop and piece.last >= first:
            by_run.setdefault(piece.path, []).append(piece)
    options = pa.ipc.IpcReadOptions() if columns is None else pa.ipc.IpcReadOptions(included_fields=list(columns))
    found = []
    for path, wanted in by_run.items():
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source, options=options) as reader:
            for piece in wanted:
                table = pa.Table.from_batches([reader.get_batch(piece.batch)])
                if piece.first < first or piece.last >= stop:
                    low, high = np.searchsorted(table.column(0).to_numpy(), [first, stop])
                    table = table.slice(low, high - low)
                found.append(table)
    return found
