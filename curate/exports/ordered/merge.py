"""From the spill to the shards: rows in the order of their keys, in shards whose sorted names are that order.

What is cut where follows from the sizes of the rows alone: a unit (what is sorted and written at once, a row group of
Parquet) holds ``UNIT_BYTES`` at most, or one larger row; a shard is consecutive units. So any memory limit and any
number of workers give the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from curate.corpus.schema_widening import fit, respell
from curate.errors import TableError
from curate.exports import shards
from curate.exports.ordered.spill import Narrow, SpillPiece, cut_rows, read_lines, read_narrow, read_tables, take_rows
from curate.exports.shards import WrittenShard

UNIT_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class MergeUnit:
    """The rows with a key in [first, stop)."""

    first: int
    stop: int
    size: int


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to write."""

    name: str
    """Below the folder, POSIX."""
    units: list[MergeUnit]
    pieces: list[SpillPiece]
    """All that overlap it."""


@dataclass(frozen=True, slots=True)
class MergeJob:
    """What all workers know."""

    folder: Path
    kind: str
    schema: pa.Schema
    texts: frozenset[str]
    """Columns in which values of different kinds met and became text."""
    places: Path
    """Folder for the narrow rows of each shard."""


def unit_bytes(shard_bytes: int) -> int:
    return max(1, min(UNIT_BYTES, shard_bytes // 8))


def plan_shards(
    pieces: Sequence[SpillPiece], bucket_keys: int, cell: int, shard_bytes: int
) -> dict[int, list[list[MergeUnit]]]:
    """The units of each shard of each bucket (key // bucket_keys), in order."""
    most = unit_bytes(shard_bytes)
    cells: dict[int, list[SpillPiece]] = {}
    for piece in pieces:
        cells.setdefault(piece.first // cell, []).append(piece)
    planned: dict[int, list[list[MergeUnit]]] = {}
    for number in sorted(cells):
        buckets = planned.setdefault(number * cell // bucket_keys, [[]])
        for unit in _cut_cell(cells[number], number * cell, cell, most):
            _place(buckets, unit, most, shard_bytes)
    return planned


def _cut_cell(pieces: list[SpillPiece], first: int, cell: int, most: int) -> Iterator[MergeUnit]:
    total = sum(piece.size for piece in pieces)
    if total <= most:
        yield MergeUnit(first, first + cell, total)
        return
    narrow = read_narrow(pieces, first, first + cell)
    narrow = narrow[np.argsort(narrow["key"])]
    keys, sizes = narrow["key"], narrow["size"]
    for start, stop in cut_rows(sizes, most):
        yield MergeUnit(int(keys[start]), int(keys[stop - 1]) + 1, int(sizes[start:stop].sum()))


def _place(shards_: list[list[MergeUnit]], unit: MergeUnit, most: int, shard_bytes: int) -> None:
    """Put a unit behind those before it: into the last unit, the last shard, or a new one."""
    last = shards_[-1]
    filled = sum(one.size for one in last)
    if last and filled + unit.size > shard_bytes:
        shards_.append([unit])
    elif last and last[-1].size + unit.size <= most:
        last[-1] = MergeUnit(last[-1].first, unit.stop, last[-1].size + unit.size)
    else:
        last.append(unit)


def write_shard(shared: MergeJob, planned: PlannedShard) -> WrittenShard:
    """Write one shard, and its narrow rows beside. TableError where two rows claim one place.

    The file is not flushed to the disk yet.
    """
    path = shared.folder / planned.name
    shard, rows, room = shards.open_shard(path, shared.kind, shared.schema), 0, bytearray()
    try:
        with open(places_of(shared.places, planned.name), "wb") as places:
            for unit in planned.units:
                narrow = _write_unit(shard, shared, planned.pieces, unit, room)
                if not bool((narrow["key"][1:] > narrow["key"][:-1]).all()):
                    raise TableError("two documents have one position", "curate order again")
                places.write(narrow.tobytes())
                rows += len(narrow)
    finally:
        shard.close()
    if isinstance(shard, shards.LinesShard):
        return WrittenShard(planned.name, rows, path.stat().st_size, shard.checksum())
    return shards.describe_file(shared.folder, planned.name, rows)


def places_of(folder: Path, shard: str) -> Path:
    """Where the narrow rows of a shard lie, in their order."""
    return folder / (shard.replace("/", "+") + ".places")


def _write_unit(shard: Any, shared: MergeJob, pieces: list[SpillPiece], unit: MergeUnit, room: bytearray) -> Narrow:
    if shared.kind == "jsonl":
        narrow, lines = read_lines(pieces, unit.first, unit.stop, room)
        _write_lines(shard, shared, lines)
        return narrow
    found = read_tables(pieces, unit.first, unit.stop)
    narrow = np.concatenate([one for one, _ in found])
    order = np.argsort(narrow["key"], kind="stable")
    shard.write(take_rows(pa.concat_tables([fit(table, shared.schema) for _, table in found]), order))
    return narrow[order]


def _write_lines(shard: Any, shared: MergeJob, lines: pa.Array) -> None:
    if shared.texts:
        types = {column.name: column.type for column in shared.schema}
        for line in lines.to_pylist():
            row = {name: respell(value, types[name]) for name, value in orjson.loads(line).items()}
            shard.write_row(row)
        return
    offsets = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
    shard.write_bytes(memoryview(lines.buffers()[2])[offsets[0] : offsets[-1]])
