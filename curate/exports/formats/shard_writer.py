"""Tables in, shards of about one size and one schema out, in bounded memory.

A shard keeps the schema that it was begun with; those that turn out too narrow are written again at the end. Memory is
bounded by ``BUFFER_BYTES`` and the largest slice. The same tables in the same order give the same bytes.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.values.schema_widening import SchemaShape, fit_table
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.features import build_schema, export_table, restore_table
from curate.exports.formats.json_types import Finding, inspect_table, plan_lines
from curate.exports.formats.lines import respell_line, spell_lines, view_lines
from curate.exports.formats.shards import TABLE_FORMATS, Shard, TableFormat
from curate.runtime.arrays import Int64Array

BUFFER_BYTES = 32_000_000


def choose_unit_bytes(shard_bytes: int) -> int:
    """Return the bytes that are written at once: a fraction of a shard, so that shards come out near their size."""
    return max(1, min(BUFFER_BYTES, shard_bytes // 8))


def cut_lines(offsets: Int64Array, unit: int) -> Iterator[tuple[int, int]]:
    """Yield ranges [start, stop) of lines of at most ``unit`` bytes, or one longer line; ``offsets`` one more."""
    start = 0
    while start < len(offsets) - 1:
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + unit, side="right")) - 1)
        yield start, stop
        start = stop


def cut_table(table: pa.Table, unit: int) -> Iterator[pa.Table]:
    """Yield slices of a table of about ``unit`` bytes each."""
    step = max(1, int(len(table) * unit // max(table.nbytes, 1)))
    for start in range(0, len(table), step):
        yield table.slice(start, step)


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A finished file of a dataset."""

    path: str
    """Below the top of the dataset, POSIX."""
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class _BegunShard:
    """A shard with the schema of the shape that it was begun with, and its own."""

    path: Path
    schema: pa.Schema
    stored: pa.Schema
    rows: int = 0
    written: "WrittenShard | None" = None
    """What it is under its first name, once a depot has it."""


@dataclass(slots=True)
class ShardWriter:
    """Writes tables, in order, as shards of at most about ``shard_bytes`` (or one larger row)."""

    folder: Path
    """Top of the dataset."""
    format: str
    """A name in ``TABLE_FORMATS``."""
    shard_bytes: int
    shape: SchemaShape = field(default_factory=SchemaShape)
    misread: set[Finding] = field(default_factory=set)
    """What datasets' reader of JSON lines would change (``json_types.inspect_table``)."""
    rows: int = 0
    buckets: dict[str, str] = field(default_factory=dict)
    """Empty: these shards are not in folders of buckets."""
    depot: ShardDepot | None = None
    """Takes complete shards; None leaves them in the folder."""
    _format: TableFormat = field(init=False)
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_bytes: int = 0
    _begun: list[_BegunShard] = field(default_factory=list)
    _open: Shard | None = None
    _last_bytes: int = 0
    """What the last unit took in memory."""
    _stored: pa.Schema | None = None
    """The schema of shards by the shape so far; None where it must be built."""

    def __post_init__(self) -> None:
        self._format = TABLE_FORMATS[self.format]

    def add(self, table: pa.Table, records: Sequence[dict[str, Any] | None] | None = None) -> None:
        """Append rows; ``records`` are the same rows as they were read, where their format has no types.

        Only JSON lines make use of ``records``, which lack the columns that come last in the shape.
        """
        if not len(table):
            self._see(table)
            return
        if self._format.writes_lines:
            self._see(table)
            self.misread |= inspect_table(table)
            self._add_lines(spell_lines(table, records, self.shape.last))
            return
        for piece in cut_table(table, self._unit()):
            self._add_piece(piece)

    def add_lines(self, lines: pa.LargeBinaryArray, shape: SchemaShape, misread: set[Finding]) -> None:
        """Append complete lines, of the format that writes lines: with the shape of their table, and what is in it."""
        self.shape.join(shape)
        self.misread |= misread
        self._add_lines(lines)

    def _see(self, table: pa.Table) -> None:
        if self.shape.see(table):
            self._stored = None

    def _unit(self) -> int:
        return choose_unit_bytes(self.shard_bytes)

    def _add_lines(self, lines: pa.LargeBinaryArray) -> None:
        self.rows += len(lines)
        offsets, view = view_lines(lines)
        for start, stop in cut_lines(offsets, self._unit()):
            piece = view[offsets[start] : offsets[stop]]
            if self._open is not None and self._open.size() + len(piece) > self.shard_bytes:
                self._close()
            shard: Any = self._open or self._begin(pa.schema([]), pa.schema([]))
            shard.write_bytes(piece)
            self._begun[-1].rows += stop - start

    def _add_piece(self, piece: pa.Table) -> None:
        if self._pending_bytes + piece.nbytes > self.shard_bytes:
            self._flush()
        self._see(piece)
        self._pending.append(piece)
        self._pending_bytes += piece.nbytes
        self.rows += len(piece)
        if self._pending_bytes >= self._unit():
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        schema, stored = self.shape.schema(), self._build_schema()
        table = join_pieces(self._pending, schema, stored)
        num_bytes = self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self._open is not None and self._filled_bytes() + num_bytes > self.shard_bytes:
            self._close()
        if self._open is not None and not self._begun[-1].stored.equals(stored, check_metadata=True):
            self._close()
        shard = self._open or self._begin(schema, stored)
        self._begun[-1].rows += len(table)
        shard.write(table)
        self._last_bytes = num_bytes

    def _filled_bytes(self) -> int:
        """Return the bytes of the shard that is open, by which it is judged whether more fits."""
        return (self._open.size() if self._open else 0) + self._last_bytes * self._format.leaves_room

    def _build_schema(self) -> pa.Schema:
        if self._stored is None:
            self._stored = build_schema(self.shape)
        return self._stored

    def _begin(self, schema: pa.Schema, stored: pa.Schema) -> Shard:
        path = self.folder / self._format.pattern.format(len(self._begun), 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begun.append(_BegunShard(path, schema, stored))
        self._open = self._format.open_shard(path, stored)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
            self._send(self._begun[-1])

    def _send(self, shard: _BegunShard) -> None:
        """Give a complete shard to the depot, where there is one."""
        if self.depot is not None:
            name = shard.path.relative_to(self.folder).as_posix()
            shard.written = describe_file(self.folder, name, shard.rows)
            self.depot.put(name)

    def finish(self) -> list[WrittenShard]:
        """Write what is left, bring all shards under one schema, and give them their final names."""
        self._flush()
        self._close()
        if self._format.writes_lines:
            texts = plan_lines(self.shape, self.misread).texts
            for shard in self._begun if texts else ():
                self._rewrite(shard, lambda old, new: respell_lines(old, new, texts))
        else:
            self._widen_shards()
        return [self._name(number, shard) for number, shard in enumerate(self._begun)]

    def _widen_shards(self) -> None:
        schema, stored = self.shape.schema(), self._build_schema()
        for shard in self._begun:
            if not shard.stored.equals(stored, check_metadata=True):
                self._widen(shard, schema, stored)

    def _widen(self, shard: _BegunShard, schema: pa.Schema, stored: pa.Schema) -> None:
        """Write a finished shard again under a wider schema."""

        def rewrite(old: Path, new: Path) -> None:
            wide = self._format.open_shard(new, stored)
            try:
                for table in self._format.read_shard(old, None):
                    wide.write(widen_table(table, shard.schema, schema, stored))
            finally:
                wide.close()

        self._rewrite(shard, rewrite)

    def _rewrite(self, shard: _BegunShard, rewrite: Callable[[Path, Path], None]) -> None:
        """Replace a finished shard by what ``rewrite`` makes of it (``rewrite_file``)."""
        if self.depot is not None and shard.written is not None:
            self.depot.fetch(shard.written.path)
        rewrite_file(shard.path, rewrite)
        self._send(shard)

    def _name(self, number: int, shard: _BegunShard) -> WrittenShard:
        name = self._format.pattern.format(number, len(self._begun))
        if self.depot is not None and shard.written is not None:
            self.depot.rename(shard.written.path, name)
            described: WrittenShard = replace(shard.written, path=name)
            return described
        os.replace(shard.path, self.folder / name)
        return describe_file(self.folder, name, shard.rows)

    def abandon(self) -> None:
        """Close what is open, when something else has failed."""
        try:
            if self._open is not None:
                self._open.close()
        except (OSError, pa.ArrowException):
            pass
        self._open = None


def join_pieces(pieces: Sequence[pa.Table], schema: pa.Schema, stored: pa.Schema) -> pa.Table:
    """Return what is written at once, under the schema of shards; ``schema`` is that of the shape of the tables."""
    return export_table(pa.concat_tables([fit_table(piece, schema) for piece in pieces]).combine_chunks(), stored)


def widen_table(table: pa.Table, old: pa.Schema, schema: pa.Schema, stored: pa.Schema) -> pa.Table:
    """Return a table of a shard of the shape ``old`` as one of the shape ``schema``, under the schema of its shards."""
    return export_table(fit_table(restore_table(table, old), schema), stored).combine_chunks()


def rewrite_file(path: Path, rewrite: Callable[[Path, Path], None]) -> None:
    """Replace a file by what ``rewrite`` makes of it: it is given the path of the old one and of the new one."""
    old = path.with_name(path.name + ".narrow")
    os.replace(path, old)
    rewrite(old, path)
    old.unlink()


def respell_lines(old: Path, new: Path, texts: Mapping[str, pa.DataType]) -> None:
    """Write JSON lines to another path, some columns as JSON text (``lines.respell_line``)."""
    with open(old, "rb") as lines, open(new, "wb") as out:
        out.writelines(respell_line(line, texts) for line in lines)


def describe_file(folder: Path, name: str, rows: int) -> WrittenShard:
    """Return a finished file with its size and checksum, once it is flushed to the disk."""
    with open(folder / name, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        os.fsync(handle.fileno())
    return WrittenShard(name, rows, (folder / name).stat().st_size, digest)


def describe_closed(shard: Shard, path: Path, name: str, rows: int) -> WrittenShard:
    """Return a shard that is closed and lies at ``path``, which has ``name`` in the export.

    Where it knows no checksum, it is read for one, and flushed to the disk.
    """
    checksum = shard.checksum()
    if checksum is None:
        described: WrittenShard = replace(describe_file(path.parent, path.name, rows), path=name)
        return described
    return WrittenShard(name, rows, path.stat().st_size, checksum)
