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
import pyarrow.parquet as pq

from curate import shards
from curate.errors import TableError
from curate.shards import Written
from curate.spill import NARROW, Piece, cut_rows, read_range, sort_rows
from curate.widening import fit, respell

UNIT_BYTES = 32_000_000
NARROW_COLUMNS = len(NARROW)


@dataclass(frozen=True, slots=True)
class Unit:
    """The rows with a key in [first, stop)."""

    first: int
    stop: int
    size: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A shard to write."""

    name: str
    """Below the folder, POSIX."""
    units: list[Unit]
    pieces: list[Piece]
    """All that overlap it."""


@dataclass(frozen=True, slots=True)
class Writing:
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


def plan_shards(pieces: Sequence[Piece], bucket_keys: int, cell: int, shard_bytes: int) -> dict[int, list[list[Unit]]]:
    """The units of each shard of each bucket (key // bucket_keys), in order."""
    most = unit_bytes(shard_bytes)
    cells: dict[int, list[Piece]] = {}
    for piece in pieces:
        cells.setdefault(piece.first // cell, []).append(piece)
    planned: dict[int, list[list[Unit]]] = {}
    for number in sorted(cells):
        buckets = planned.setdefault(number * cell // bucket_keys, [[]])
        for unit in _cut_cell(cells[number], number * cell, cell, most):
            _place(buckets, unit, most, shard_bytes)
    return planned


def _cut_cell(pieces: list[Piece], first: int, cell: int, most: int) -> Iterator[Unit]:
    total = sum(piece.size for piece in pieces)
    if total <= most:
        yield Unit(first, first + cell, total)
        return
    tables = read_range(pieces, first, first + cell, columns=(0, 4))
    keys = np.concatenate([table.column(0).to_numpy() for table in tables])
    order = np.argsort(keys)
    keys, sizes = keys[order], np.concatenate([table.column(1).to_numpy() for table in tables])[order]
    for start, stop in cut_rows(sizes, most):
        yield Unit(int(keys[start]), int(keys[stop - 1]) + 1, int(sizes[start:stop].sum()))


def _place(shards_: list[list[Unit]], unit: Unit, most: int, shard_bytes: int) -> None:
    """Put a unit behind those before it: into the last unit, the last shard, or a new one."""
    last = shards_[-1]
    filled = sum(one.size for one in last)
    if last and filled + unit.size > shard_bytes:
        shards_.append([unit])
    elif last and last[-1].size + unit.size <= most:
        last[-1] = Unit(last[-1].first, unit.stop, last[-1].size + unit.size)
    else:
        last.append(unit)


def write_shard(shared: Writing, planned: Planned) -> Written:
    """Write one shard, and its narrow rows beside. TableError where two rows claim one place."""
    path = shared.folder / planned.name
    shard = shards.open_shard(path, shared.kind, shared.schema)
    narrow, rows = [], 0
    try:
        for unit in planned.units:
            table = _read_unit(shared, planned.pieces, unit)
            keys = table.column(0).to_numpy()
            if len(keys) > 1 and not bool((keys[1:] > keys[:-1]).all()):
                raise TableError("two documents have one position", "curate order again")
            narrow.append(table.select(list(range(NARROW_COLUMNS))))
            _write(shard, shared, pa.table(table.columns[NARROW_COLUMNS:], schema=_beside(table.schema)))
            rows += len(table)
    finally:
        shard.close()
    places = pa.concat_tables(narrow)
    pq.write_table(places, shared.places / (planned.name.replace("/", "+") + ".places"), compression="lz4")
    return shards.describe_file(shared.folder, planned.name, rows)


def _beside(schema: pa.Schema) -> pa.Schema:
    return pa.schema(list(schema)[NARROW_COLUMNS:])


def _read_unit(shared: Writing, pieces: list[Piece], unit: Unit) -> pa.Table:
    tables = read_range(pieces, unit.first, unit.stop)
    if shared.kind != "jsonl":
        for place, table in enumerate(tables):
            wide = fit(pa.table(table.columns[NARROW_COLUMNS:], schema=_beside(table.schema)), shared.schema)
            schema = pa.schema([*NARROW, *shared.schema])
            tables[place] = pa.table([*table.columns[:NARROW_COLUMNS], *wide.columns], schema=schema)
    return sort_rows(pa.concat_tables(tables))


def _write(shard: Any, shared: Writing, table: pa.Table) -> None:
    if shared.kind != "jsonl":
        shard.write(table)
        return
    if shared.texts:
        types = {column.name: column.type for column in shared.schema}
        for line in table.column(0).to_pylist():
            row = {name: respell(value, types[name]) for name, value in orjson.loads(line).items()}
            shard.write_row(row)
        return
    for chunk in table.column(0).chunks:
        offsets = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        shard.write_bytes(memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]])
