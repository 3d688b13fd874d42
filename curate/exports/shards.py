"""Shards: tables in, files of about one size and one schema out, in bounded memory.

A shard keeps the schema that it was begun with; those that turn out too narrow are written again at the end. Memory is
bounded by ``BUFFER_BYTES`` and the largest slice. The same tables in the same order give the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus.schema_widening import SchemaShape, fit, respell, spell

FORMATS = {"hf": "train/data-{:05d}-of-{:05d}.arrow", "parquet": "data/train-{:05d}-of-{:05d}.parquet"}
FORMATS["jsonl"] = "data/train-{:05d}-of-{:05d}.jsonl"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:?[0-9]{2}){0,2}(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
BUFFER_BYTES = 32_000_000
ARROW_ROWS = 1000  # Rows of a record batch: what datasets writes, and what one look-up of a row touches.


# Shards: one file each.


class Shard(Protocol):
    """A file under construction."""

    def write(self, table: pa.Table) -> None: ...

    def size(self) -> int: ...

    def close(self) -> None: ...


class ArrowShard:
    """An Arrow stream, as ``save_to_disk`` writes it: mapped into memory when it is read, so not compressed."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, max_chunksize=ARROW_ROWS)

    def size(self) -> int:
        return int(self._sink.tell())

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._sink.close()


class ParquetShard:
    """A Parquet file, one row group for each table that it is given."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._behind = 0

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._behind = table.nbytes

    def size(self) -> int:
        """An upper bound: the last row group is still in memory, compressed to an unknown size."""
        return int(self._sink.tell()) + self._behind

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._sink.close()


class LinesShard:
    """JSON lines; times are ISO 8601, bytes are base64, and NaN, for which JSON has no word, is null."""

    def __init__(self, path: Path):
        self._sink: BinaryIO = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self.write_row(row)

    def write_row(self, row: Mapping[str, Any]) -> None:
        self.write_bytes(dump_line(row))

    def write_bytes(self, lines: bytes | memoryview) -> None:
        """Whole lines as they are."""
        self._sink.write(lines)
        self._digest.update(lines)

    def checksum(self) -> str:
        """SHA-256 of what was written."""
        return self._digest.hexdigest()

    def size(self) -> int:
        return self._sink.tell()

    def close(self) -> None:
        self._sink.close()


def dump_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
    return orjson.dumps(row, default=spell, option=options)


def open_shard(path: Path, kind: str, schema: pa.Schema) -> Shard:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "jsonl":
        return LinesShard(path)
    return ArrowShard(path, schema) if kind == "hf" else ParquetShard(path, schema)


def read_shard(path: Path, kind: str) -> Iterator[pa.Table]:
    """The tables of a finished Arrow or Parquet shard, a piece at a time."""
    if kind == "hf":
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
        return
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def widen_shard(path: Path, kind: str, schema: pa.Schema) -> None:
    """Write a finished shard again under a wider schema."""
    narrow = path.with_name(path.name + ".narrow")
    os.replace(path, narrow)
    if kind == "jsonl":
        _respell_lines(narrow, path, schema)
    else:
        shard = open_shard(path, kind, schema)
        try:
            for table in read_shard(narrow, kind):
                shard.write(fit(table, schema))
        finally:
            shard.close()
    narrow.unlink()


def _respell_lines(old: Path, new: Path, schema: pa.Schema) -> None:
    """In JSON lines narrower values are right as they are, but for those that became text."""
    types = {column.name: column.type for column in schema}
    with open(old, "rb") as lines, open(new, "wb") as out:
        for line in lines:
            row = {name: respell(value, types[name]) for name, value in orjson.loads(line).items()}
            out.write(dump_line(row))


# The writer: tables in, shards of about one size out.


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A finished file of a dataset."""

    path: str
    """Below the top of the dataset, POSIX."""
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class _Begun:
    """A shard with the schema that it was begun with, and the text columns of then."""

    path: Path
    schema: pa.Schema
    texts: set[str]
    rows: int = 0


@dataclass(slots=True)
class ShardWriter:
    """Writes the tables that it is given, in order, as shards of about ``shard_bytes`` at most (or one larger row)."""

    folder: Path
    kind: str
    shard_bytes: int
    shape: SchemaShape = field(default_factory=SchemaShape)
    misread: set[str] = field(default_factory=set)
    """Columns whose strings datasets' JSON reader takes for times (in JSON lines alone)."""
    rows: int = 0
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_bytes: int = 0
    _begun: list[_Begun] = field(default_factory=list)
    _open: Shard | None = None

    def add(self, table: pa.Table) -> None:
        """Take the next rows."""
        if not len(table):
            self.shape.see(table)
            return
        step = max(1, int(len(table) * self._unit() // max(table.nbytes, 1)))
        for start in range(0, len(table), step):
            self._add_piece(table.slice(start, step))

    def _unit(self) -> int:
        """Bytes that are written at once: a fraction of a shard, so that shards come out near their size."""
        return max(1, min(BUFFER_BYTES, self.shard_bytes // 8))

    def _add_piece(self, piece: pa.Table) -> None:
        if self._pending_bytes + piece.nbytes > self.shard_bytes:
            self._flush()
        self.shape.see(piece)
        if self.kind == "jsonl":
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
        table = pa.concat_tables([fit(piece, schema) for piece in self._pending]).combine_chunks()
        self._pending, self._pending_bytes = [], 0
        if self._open is not None and self._open.size() + table.nbytes > self.shard_bytes:
            self._close()
        if self._open is not None and self.kind != "jsonl" and not self._begun[-1].schema.equals(schema):
            self._close()
        shard = self._open or self._begin(schema)
        self._begun[-1].rows += len(table)
        shard.write(table)

    def _begin(self, schema: pa.Schema) -> Shard:
        path = self.folder / FORMATS[self.kind].format(len(self._begun), 0)
        self._begun.append(_Begun(path, schema, set(self.shape.texts)))
        self._open = open_shard(path, self.kind, schema)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def finish(self) -> list[WrittenShard]:
        """Write what is left, bring all shards under one schema and give them their names."""
        self._flush()
        self._close()
        schema = self.shape.schema()
        for shard in self._begun:
            if shard.texts != self.shape.texts if self.kind == "jsonl" else not shard.schema.equals(schema):
                widen_shard(shard.path, self.kind, schema)
        return [self._name(place, shard) for place, shard in enumerate(self._begun)]

    def _name(self, place: int, shard: _Begun) -> WrittenShard:
        name = FORMATS[self.kind].format(place, len(self._begun))
        os.replace(shard.path, self.folder / name)
        return describe_file(self.folder, name, shard.rows)

    def abandon(self) -> None:
        """Close what is open, when something else has failed."""
        try:
            self._close()
        except (OSError, pa.ArrowException):
            self._open = None


def describe_file(folder: Path, name: str, rows: int) -> WrittenShard:
    """A finished file with its size and checksum."""
    with open(folder / name, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        os.fsync(handle.fileno())
    return WrittenShard(name, rows, (folder / name).stat().st_size, digest)


def is_misread(values: pa.ChunkedArray | pa.Array) -> bool:
    """Whether datasets' JSON reader would change these values: strings that are all dates, numbers beyond int64.

    It lets Arrow guess the types before it looks at the card, and Arrow takes "2020-01-01" for a time.
    """
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return any(_is_misread(chunk) for chunk in chunks)


def _is_misread(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_struct(kind):
        return any(_is_misread(values.field(place)) for place in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_misread(values.flatten())
    if pa.types.is_uint64(kind):
        return bool((pc.max(values).as_py() or 0) >= 1 << 63)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _are_dates(values)
    return False


def _are_dates(values: pa.Array) -> bool:
    longest = pc.max(pc.binary_length(values)).as_py()
    if longest is None or longest > 40:
        return False
    return bool(pc.all(pc.match_substring_regex(values, DATE)).as_py())
