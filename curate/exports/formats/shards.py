"""The formats of an export: how each writes tables into shards, reads them back, and is loaded by others.

``FORMATS`` has them by name. Other modules look a format up and ask it; none compares its name. So a new format is a
class of shards and two functions here, an entry of the table, and a value of ``--format`` in ``curate.verbs.export``.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, ClassVar, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.values.arrow_types import tabulate
from curate.exports.formats.lines import spell_lines, view_lines
from curate.exports.tokens.formats import INDEX_SUFFIXES, LAYOUTS

ARROW_ROWS = 1000
"""Rows of a record batch: what ``datasets`` writes, and what one look-up of a row reads."""
READ_ROWS = 4096
"""Rows of a table that is read back from JSON lines."""


class Shard(Protocol):
    """A file under construction."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def size(self) -> int:
        """Return the bytes written so far."""

    def checksum(self) -> str | None:
        """Return the SHA-256 of what was written, or None where only reading the file gives it."""

    def close(self) -> None:
        """Finish the file."""


class ArrowShard:
    """An Arrow stream, as ``save_to_disk`` writes it: mapped into memory when it is read, so not compressed."""

    def __init__(self, path: Path | None, schema: pa.Schema):
        self._sink = _open_sink(path)
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, max_chunksize=ARROW_ROWS)

    def size(self) -> int:
        return int(self._sink.tell())

    def checksum(self) -> None:
        return None

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._sink.close()


class ParquetShard:
    """A Parquet file, one row group for each table that is written."""

    def __init__(self, path: Path | None, schema: pa.Schema):
        self._sink = _open_sink(path)
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def size(self) -> int:
        return int(self._sink.tell())

    def checksum(self) -> None:
        return None

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._sink.close()


def _open_sink(path: Path | None) -> pa.NativeFile:
    """Open a file to write; without a path what only counts the bytes."""
    return pa.MockOutputStream() if path is None else pa.OSFile(str(path), "wb")


class LinesShard:
    """JSON lines (``curate.exports.formats.lines``)."""

    def __init__(self, path: Path, schema: pa.Schema):
        """Open the file; a line has the columns of its row, whatever the schema."""
        self._sink: BinaryIO = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, table: pa.Table) -> None:
        offsets, view = view_lines(spell_lines(table, None))
        self.write_bytes(view[offsets[0] : offsets[-1]])

    def write_bytes(self, lines: bytes | memoryview) -> None:
        """Append complete lines unchanged."""
        self._sink.write(lines)
        self._digest.update(lines)

    def size(self) -> int:
        return self._sink.tell()

    def checksum(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        self._sink.close()


def read_arrow(path: Path, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the record batches of an Arrow stream as tables; only the columns ``names`` where they are given."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            table = pa.Table.from_batches([batch])
            yield table if names is None else table.select(list(names))


def read_parquet(path: Path, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the row groups of a Parquet file; only the columns ``names`` where they are given."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, None if names is None else list(names))
            yield table if names is None else table.select(list(names))


def read_lines(path: Path, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield JSON lines as tables of at most ``READ_ROWS`` rows; only the columns ``names`` where they are given.

    The types are those of the values, table by table; a column of ``names`` that a row leaves out is null.
    """
    with open(path, "rb") as lines:
        rows = map(orjson.loads, lines)
        chosen = rows if names is None else ({name: row.get(name) for name in names} for row in rows)
        for batch in _batch_rows(chosen):
            yield tabulate(batch, None)


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A format whose shards hold the columns of the documents; ``datasets.load_dataset`` loads the folder."""

    pattern: str
    """Name of a shard below the top of the dataset, to be formatted with its number and the number of shards."""
    open_shard: Callable[[Path, pa.Schema], Shard]
    """Begins a shard; its folder exists. A class of tables takes None for the path, and counts the bytes alone."""
    read_shard: Callable[[Path, Sequence[str] | None], Iterator[pa.Table]]
    """Yields the tables of a shard, a bounded number of rows at a time: all columns (None), or those that are named.

    Raises ValueError (of which ``pa.ArrowInvalid`` is one) or OSError where the file is no shard of this format."""
    builder: str
    """What ``datasets`` calls its reader of such files."""
    loads_from_disk: bool = False
    """``datasets.load_from_disk`` loads the folder too, by the state files that are written next to the shards."""
    guesses_types: bool = False
    """The reader of ``datasets`` guesses types from values, so the card states them (``json_types``)."""
    writes_lines: bool = False
    """Rows are written and spilled as lines, which may leave columns out, and not as tables of one schema."""
    measure_head: Callable[[pa.Schema], int] = lambda _: 0
    """Returns the bytes of a shard before its first row."""
    leaves_room: bool = False
    """A shard is ended as if the last unit had been written twice, which leaves room for its footer."""

    holds_text: ClassVar[bool] = True
    """Shards hold the columns of the documents."""

    @property
    def suffix(self) -> str:
        """The suffix of a shard."""
        return PurePath(self.pattern).suffix

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the files that hold documents: one."""
        return (self.suffix,)


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """Token ids and their indexes (``curate.exports.tokens.writer``); ``documents.parquet`` places the documents."""

    suffixes: tuple[str, ...] = tuple(PurePath(pattern).suffix for pattern in LAYOUTS.values())
    """The suffixes of the files of ids, one a layout."""
    holds_text: ClassVar[bool] = False
    loads_from_disk: ClassVar[bool] = False
    writes_lines: ClassVar[bool] = False


TABLE_FORMATS = {
    "hf": TableFormat(
        "train/data-{:05d}-of-{:05d}.arrow",
        ArrowShard,
        read_arrow,
        "arrow",
        loads_from_disk=True,
        measure_head=lambda schema: len(schema.serialize()),
    ),
    "parquet": TableFormat(
        "data/train-{:05d}-of-{:05d}.parquet",
        ParquetShard,
        read_parquet,
        "parquet",
        measure_head=lambda _: len(b"PAR1"),
        leaves_room=True,
    ),
    "jsonl": TableFormat(
        "data/train-{:05d}-of-{:05d}.jsonl", LinesShard, read_lines, "json", guesses_types=True, writes_lines=True
    ),
}
"""The formats that ``ShardWriter`` writes; ``hf`` has the layout of ``DatasetDict.save_to_disk``."""
FORMATS: dict[str, TableFormat | TokenFormat] = {**TABLE_FORMATS, "tokens": TokenFormat()}
"""The values of ``curate export --format``."""


def list_shards(files: Sequence[Mapping[str, Any]], format: str) -> list[Mapping[str, Any]]:
    """Return those files of a manifest that hold documents, sorted by path, which is the reading order."""
    suffixes = FORMATS[format].suffixes
    shards = [file for file in files if "/" in file["path"] and file["path"].endswith(suffixes)]
    return sorted(
        (file for file in shards if not file["path"].endswith(INDEX_SUFFIXES)), key=lambda file: str(file["path"])
    )


def make_bucket_pattern(format: str, folder: str) -> str:
    """Return the pattern of the shards of one bucket, whose folder below ``data`` is named ``folder``."""
    return f"data/{folder}/" + "train-{:05d}-of-{:05d}" + TABLE_FORMATS[format].suffix


def _batch_rows(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield lists of at most ``READ_ROWS`` rows."""
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == READ_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
