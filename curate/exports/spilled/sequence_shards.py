"""The shards of an export in the order of the corpus, from what its tasks spilled."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from curate.exports.formats.lines import respell_line
from curate.exports.formats.shard_writer import WrittenShard, describe_closed, join_pieces, widen_table
from curate.exports.formats.shards import TABLE_FORMATS
from curate.exports.spilled.places import SpillFolder


@dataclass(frozen=True, slots=True)
class SequencePiece:
    """Consecutive rows of a slice; no rows where a slice has none, which may still have columns."""

    run: str
    """Path of the file without its suffix."""
    rows: int
    size: int
    """Bytes in memory; of lines, as they are written."""
    offset: int
    """Where it begins in the file of the rows, in bytes."""
    num_bytes: int
    """Its length in the file."""
    shape: int
    """Index of its shape in the result of its task; of lines 0."""


@dataclass(frozen=True, slots=True)
class SequenceUnit:
    """Rows that are written at once."""

    pieces: list[SequencePiece]
    size: int
    """Bytes in memory; of lines, as they are written."""
    step: int
    """Index of its ``SchemaStep``."""


@dataclass(frozen=True, slots=True)
class SchemaStep:
    """The schema of all rows up to some of them, and that of shards of them; both are empty for lines."""

    schema: pa.Schema
    stored: pa.Schema


@dataclass(frozen=True, slots=True)
class UnitsToMeasure:
    """Units of one schema."""

    step: SchemaStep
    units: list[SequenceUnit]


@dataclass(frozen=True, slots=True)
class SequenceShard:
    """A shard to write."""

    name: str
    """Below the top of the export, POSIX."""
    units: list[SequenceUnit]


@dataclass(frozen=True, slots=True)
class SequenceMerge:
    """How the rows of all shards are written."""

    final: SchemaStep
    texts: Mapping[str, pa.DataType]
    """Columns of lines that must become JSON text (``json_types.plan_lines``)."""
    steps: list[SchemaStep]
    """The schemas under which the units were measured."""


def measure_units(format: str, item: UnitsToMeasure) -> list[int]:
    """Return the bytes that units take in a shard, each alone, without the head of the shard."""
    form, sizes = TABLE_FORMATS[format], []
    for unit in item.units:
        shard = form.open_shard(None, item.step.stored)  # type: ignore[arg-type]
        try:
            shard.write(_join_unit(unit, item.step))
            sizes.append(shard.size() - form.measure_head(item.step.stored))
        finally:
            shard.close()
    return sizes


def write_shard(spill: SpillFolder, format: str, merge: SequenceMerge, planned: SequenceShard) -> WrittenShard:
    """Write a shard into the folder of the spill; where it knows its checksum, it is not flushed to the disk yet."""
    rows = sum(piece.rows for unit in planned.units for piece in unit.pieces)
    with spill.build_shard(planned.name) as path:
        shard = TABLE_FORMATS[format].open_shard(path, merge.final.stored)
        try:
            if TABLE_FORMATS[format].writes_lines:
                _copy_lines(shard, merge, planned)
            else:
                for unit in planned.units:
                    shard.write(_widen_unit(unit, merge))
        finally:
            shard.close()
        return describe_closed(shard, path, planned.name, rows)


def _copy_lines(shard: Any, merge: SequenceMerge, planned: SequenceShard) -> None:
    """Append lines to a ``LinesShard``, written again where a column must be JSON text."""
    for data in _read_lines([piece for unit in planned.units for piece in unit.pieces]):
        if merge.texts:
            for line in io.BytesIO(data):
                shard.write_bytes(respell_line(line, merge.texts))
        else:
            shard.write_bytes(data)


def _read_lines(pieces: Sequence[SequencePiece]) -> Iterator[bytes]:
    """Yield the bytes of the pieces, complete lines. Raises OSError where a file has become shorter."""
    for run, some in groupby(pieces, lambda piece: piece.run):
        with open(f"{run}.rows", "rb") as source:
            for piece in some:
                source.seek(piece.offset)
                data = source.read(piece.num_bytes)
                if len(data) != piece.num_bytes:
                    raise OSError(5, "it is shorter than it was", f"{run}.rows")
                yield data


def _join_unit(unit: SequenceUnit, step: SchemaStep) -> pa.Table:
    """Return the rows of a unit under the schema of shards of its step."""
    return join_pieces(list(_read_tables(unit.pieces)), step.schema, step.stored)


def _widen_unit(unit: SequenceUnit, merge: SequenceMerge) -> pa.Table:
    """Return the rows of a unit under the schema of the shards, by the steps in which ``ShardWriter`` takes them."""
    step, final = merge.steps[unit.step], merge.final
    table = _join_unit(unit, step)
    if step.stored.equals(final.stored, check_metadata=True):
        return table
    return widen_table(table, step.schema, final.schema, final.stored)


def _read_tables(pieces: Sequence[SequencePiece]) -> Iterator[pa.Table]:
    """Yield the rows of each piece, under the schema of its file."""
    for run, some in groupby(pieces, lambda piece: piece.run):
        with pa.OSFile(f"{run}.rows", "rb") as source:
            schema = pa.ipc.read_schema(source)
            for piece in some:
                source.seek(piece.offset)
                batch = pa.ipc.read_record_batch(source.read_buffer(piece.num_bytes), schema)
                yield pa.Table.from_batches([batch])
