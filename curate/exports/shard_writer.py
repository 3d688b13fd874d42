"""Tables in, shards of about one size and one schema out, in bounded memory.

A shard keeps the schema that it was begun with; those that turn out too narrow are written again at the end. Memory is
bounded by ``BUFFER_BYTES`` and the largest slice. The same tables in the same order give the same bytes.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from curate.corpus.schema_widening import SchemaShape, fit_table
from curate.exports.json_types import is_misread
from curate.exports.shards import TABLE_FORMATS, Shard, TableFormat

BUFFER_BYTES = 32_000_000


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
    """A shard with the schema that it was begun with, and the columns that were text by then."""

    path: Path
    schema: pa.Schema
    texts: set[str]
    rows: int = 0


@dataclass(slots=True)
class ShardWriter:
    """Writes tables, in order, as shards of at most about ``shard_bytes`` (or one larger row)."""

    folder: Path
    """Top of the dataset."""
    format: str
    """A name in ``TABLE_FORMATS``."""
    shard_bytes: int
    shape: SchemaShape = field(default_factory=SchemaShape)
    misread: set[str] = field(default_factory=set)
    """Columns whose values datasets' reader would change (``json_types.is_misread``)."""
    rows: int = 0
    buckets: dict[str, str] = field(default_factory=dict)
    """Empty: these shards are not in folders of buckets."""
    _format: TableFormat = field(init=False)
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_bytes: int = 0
    _begun: list[_BegunShard] = field(default_factory=list)
    _open: Shard | None = None

    def __post_init__(self) -> None:
        self._format = TABLE_FORMATS[self.format]

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        if not len(table):
            self.shape.see(table)
            return
        step = max(1, int(len(table) * self._unit() // max(table.nbytes, 1)))
        for start in range(0, len(table), step):
            self._add_piece(table.slice(start, step))

    def _unit(self) -> int:
        """Return the bytes that are written at once: a fraction of a shard, so that shards come out near their size."""
        return max(1, min(BUFFER_BYTES, self.shard_bytes // 8))

    def _add_piece(self, piece: pa.Table) -> None:
        if self._pending_bytes + piece.nbytes > self.shard_bytes:
            self._flush()
        self.shape.see(piece)
        if self._format.guesses_types:
            self.misread |= {name for name in piece.column_names if is_misread(piece.column(name))}
        self._pending.append(piece)
        self._pending_bytes += piece.nbytes
        self.rows += len(piece)
        if self._pending_bytes >= self._unit():
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        schema = self.shape.schema()
        table = pa.concat_tables([fit_table(piece, schema) for piece in self._pending]).combine_chunks()
        self._pending, self._pending_bytes = [], 0
        if self._open is not None and self._open.size() + table.nbytes > self.shard_bytes:
            self._close()
        if self._open is not None and self._format.one_schema and not self._begun[-1].schema.equals(schema):
            self._close()
        shard = self._open or self._begin(schema)
        self._begun[-1].rows += len(table)
        shard.write(table)

    def _begin(self, schema: pa.Schema) -> Shard:
        path = self.folder / self._format.pattern.format(len(self._begun), 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begun.append(_BegunShard(path, schema, set(self.shape.texts)))
        self._open = self._format.open_shard(path, schema)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def finish(self) -> list[WrittenShard]:
        """Write what is left, bring all shards under one schema, and give them their final names."""
        self._flush()
        self._close()
        schema = self.shape.schema()
        for shard in self._begun:
            if self._is_narrow(shard, schema):
                widen_shard(shard.path, self._format, schema)
        return [self._name(number, shard) for number, shard in enumerate(self._begun)]

    def _is_narrow(self, shard: _BegunShard, schema: pa.Schema) -> bool:
        """Return whether a shard must be written again under the final schema."""
        return not shard.schema.equals(schema) if self._format.one_schema else shard.texts != self.shape.texts

    def _name(self, number: int, shard: _BegunShard) -> WrittenShard:
        name = self._format.pattern.format(number, len(self._begun))
        os.replace(shard.path, self.folder / name)
        return describe_file(self.folder, name, shard.rows)

    def abandon(self) -> None:
        """Close what is open, when something else has failed."""
        try:
            self._close()
        except (OSError, pa.ArrowException):
            self._open = None


def widen_shard(path: Path, tables: TableFormat, schema: pa.Schema) -> None:
    """Write a finished shard again under a wider schema."""
    narrow = path.with_name(path.name + ".narrow")
    os.replace(path, narrow)
    tables.rewrite_shard(narrow, path, schema)
    narrow.unlink()


def describe_file(folder: Path, name: str, rows: int) -> WrittenShard:
    """Return a finished file with its size and checksum, once it is flushed to the disk."""
    with open(folder / name, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        os.fsync(handle.fileno())
    return WrittenShard(name, rows, (folder / name).stat().st_size, digest)
