"""From the spill to the shards: rows in the order of their keys, in shards whose sorted names are that order.

Where rows are cut depends on their sizes alone: a unit (what is sorted and written at once, a row group of Parquet) has
at most ``UNIT_BYTES``, or one larger row; a shard is consecutive units. So any memory limit and any number of workers
give the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.values.schema_widening import fit_table
from curate.errors import TableError
from curate.exports.formats.features import export_table
from curate.exports.formats.lines import respell_line, view_lines
from curate.exports.formats.shard_writer import WrittenShard, describe_closed
from curate.exports.formats.shards import TABLE_FORMATS, Shard
from curate.exports.ordered.spill import Narrow, SpillPiece, cut_rows, read_lines, read_narrow, read_tables, take_rows
from curate.exports.spilled.places import SpillFolder

UNIT_BYTES = 32_000_000
NARROW_SUFFIX = ".places"
"""Ends the name of the file of the narrow rows of a shard, in their order."""


@dataclass(frozen=True, slots=True)
class MergeUnit:
    """The rows with a key in [first, stop)."""

    first: int
    stop: int
    size: int
    """Bytes of the rows."""


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to write."""

    name: str
    """Below the folder, POSIX."""
    units: list[MergeUnit]
    pieces: list[SpillPiece]
    """All that overlap the keys of its units."""


@dataclass(frozen=True, slots=True)
class MergeJob:
    """How all shards are written."""

    format: str
    """A name in ``shards.TABLE_FORMATS``."""
    schema: pa.Schema
    """The schema of the shape of all rows."""
    stored: pa.Schema
    """The schema of the shards; empty for lines."""
    texts: Mapping[str, pa.DataType]
    """Columns of lines that must become JSON text (``json_types.plan_lines``)."""


def compute_unit_bytes(shard_bytes: int) -> int:
    """Return the largest size of a unit: a fraction of a shard, so that shards come out near their size."""
    return max(1, min(UNIT_BYTES, shard_bytes // 8))


def plan_shards(
    pieces: Sequence[SpillPiece], bucket_keys: int, cell: int, shard_bytes: int
) -> dict[int, list[list[MergeUnit]]]:
    """Return the units of each shard of each bucket (``key // bucket_keys``), in order.

    ``cell`` is the number of keys that no piece crosses a multiple of.
    """
    most = compute_unit_bytes(shard_bytes)
    cells: dict[int, list[SpillPiece]] = {}
    for piece in pieces:
        cells.setdefault(piece.first // cell, []).append(piece)
    planned: dict[int, list[list[MergeUnit]]] = {}
    for number in sorted(cells):
        buckets = planned.setdefault(number * cell // bucket_keys, [[]])
        for unit in _cut_cell(cells[number], number * cell, cell, most):
            _append_unit(buckets, unit, most, shard_bytes)
    return planned


def _cut_cell(pieces: list[SpillPiece], first: int, cell: int, most: int) -> Iterator[MergeUnit]:
    """Yield the units of one cell, each of at most ``most`` bytes or one larger row."""
    total = sum(piece.size for piece in pieces)
    if total <= most:
        yield MergeUnit(first, first + cell, total)
        return
    narrow = read_narrow(pieces, first, first + cell)
    narrow = narrow[np.argsort(narrow["key"])]
    keys, sizes = narrow["key"], narrow["size"]
    for start, stop in cut_rows(sizes, most):
        yield MergeUnit(int(keys[start]), int(keys[stop - 1]) + 1, int(sizes[start:stop].sum()))


def _append_unit(shards: list[list[MergeUnit]], unit: MergeUnit, most: int, shard_bytes: int) -> None:
    """Append a unit after those before it: to the last unit, to the last shard, or as a new shard."""
    last = shards[-1]
    filled = sum(other.size for other in last)
    if last and filled + unit.size > shard_bytes:
        shards.append([unit])
    elif last and last[-1].size + unit.size <= most:
        last[-1] = MergeUnit(last[-1].first, unit.stop, last[-1].size + unit.size)
    else:
        last.append(unit)


def write_shard(spill: SpillFolder, shared: MergeJob, planned: PlannedShard) -> WrittenShard:
    """Write one shard, and its narrow rows, into the folder of the spill.

    Where the shard knows its checksum, the file is not flushed to the disk yet. Raises TableError where two rows have
    the same position.
    """
    with spill.build_shard(planned.name) as path, spill.build_shard(planned.name, NARROW_SUFFIX) as narrow_path:
        shard, rows, room = TABLE_FORMATS[shared.format].open_shard(path, shared.stored), 0, bytearray()
        try:
            with open(narrow_path, "wb") as narrow_rows:
                for unit in planned.units:
                    narrow = _write_unit(shard, shared, planned.pieces, unit, room)
                    if not bool((narrow["key"][1:] > narrow["key"][:-1]).all()):
                        raise TableError("two documents have one position", "make the order again: curate order …")
                    narrow_rows.write(narrow.tobytes())
                    rows += len(narrow)
        finally:
            shard.close()
        return describe_closed(shard, path, planned.name, rows)


def _write_unit(shard: Shard, shared: MergeJob, pieces: list[SpillPiece], unit: MergeUnit, room: bytearray) -> Narrow:
    """Append the rows of a unit to a shard, and return their narrow rows, both in the order of their keys."""
    if TABLE_FORMATS[shared.format].writes_lines:
        narrow, lines = read_lines(pieces, unit.first, unit.stop, room)
        _write_lines(shard, shared, lines)
        return narrow
    parts = read_tables(pieces, unit.first, unit.stop)
    narrow = np.concatenate([part for part, _ in parts])
    order = np.argsort(narrow["key"], kind="stable")
    table = take_rows(pa.concat_tables([fit_table(table, shared.schema) for _, table in parts]), order)
    shard.write(export_table(table, shared.stored))
    return narrow[order]


def _write_lines(shard: Any, shared: MergeJob, lines: pa.Array) -> None:
    """Append complete lines to a ``LinesShard``, written again where a column must be JSON text."""
    if shared.texts:
        for line in lines.to_pylist():
            shard.write_bytes(respell_line(line, shared.texts))
        return
    offsets, view = view_lines(lines)
    shard.write_bytes(view[offsets[0] : offsets[-1]])
