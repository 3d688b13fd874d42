"""The formats of an export: how each writes tables into shards, reads them back, and is loaded by others.

``FORMATS`` has them by name. Other modules look a format up and ask it; none compares its name. So a new format is a
class here, a line of the table, and a value of ``--format`` in ``curate.verbs.export``.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.schema_widening import fit_table, spell_value, widen_value
from curate.exports.tokens.formats import INDEX_SUFFIXES, LAYOUTS

ARROW_ROWS = 1000
"""Rows of a record batch: what ``datasets`` writes, and what one look-up of a row reads."""
READ_ROWS = 4096
"""Rows of a table that is read back from Parquet or JSON lines."""


class Shard(Protocol):
    """A file under construction."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def size(self) -> int:
        """Return the bytes written so far, or an upper bound of them."""

    def checksum(self) -> str | None:
        """Return the SHA-256 of what was written, or None where only reading the file gives it."""

    def close(self) -> None:
        """Finish the file."""


class ArrowShard:
    """An Arrow stream, as ``save_to_disk`` writes it: mapped into memory when it is read, so not compressed."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._sink = pa.OSFile(str(path), "wb")
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

    def __init__(self, path: Path, schema: pa.Schema):
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._last_bytes = 0

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._last_bytes = table.nbytes

    def size(self) -> int:
        """Return an upper bound: the last row group is still in memory, compressed to an unknown size."""
        return int(self._sink.tell()) + self._last_bytes

    def checksum(self) -> None:
        return None

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
        """Append one row as a line."""
        self.write_bytes(dump_line(row))

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


def dump_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as one line of JSON, its end included."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
    return orjson.dumps(row, default=spell_value, option=options)


class ShardFormat(Protocol):
    """What the card, the manifest and ``curate verify`` ask about a format."""

    suffixes: tuple[str, ...]
    """Suffixes of the files that hold documents."""
    index_suffixes: tuple[str, ...]
    """Suffixes of the files that belong to one of those and hold no document."""
    holds_text: bool
    """Shards hold the columns of the documents, and ``datasets.load_dataset`` loads the folder. Else they hold token
    ids, and ``documents.parquet`` says which document is where."""
    loads_from_disk: bool
    """``datasets.load_from_disk`` loads the folder too, by the state files that are written next to the shards."""


class TableFormat(ShardFormat, Protocol):
    """A format whose shards hold tables: what the writers and the readers of shards ask."""

    pattern: str
    """Name of a shard below the top of the dataset, to be formatted with its number and the number of shards."""
    one_schema: bool
    """All tables of a shard, and all shards, have the same schema. Else a row may leave columns out."""
    guesses_types: bool
    """The reader of ``datasets`` guesses types from values, so the card states them (``json_types``)."""
    spills_lines: bool
    """An ordered export spills its rows as lines that are ready to be written, and not as tables."""

    def open_shard(self, path: Path, schema: pa.Schema) -> Shard:
        """Begin a shard; its folder exists."""

    def read_tables(self, path: Path) -> Iterator[pa.Table]:
        """Yield the tables of a shard in the pieces in which they were written."""

    def read_columns(self, path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of a shard, a bounded number of rows at a time.

        Raises ValueError (of which ``pa.ArrowInvalid`` is one) or OSError where the file is no shard of this format.
        """

    def rewrite_shard(self, old: Path, new: Path, schema: pa.Schema) -> None:
        """Write the rows of a shard to another path under a schema that is at least as wide."""


class HfFormat:
    """Arrow streams in the layout of ``DatasetDict.save_to_disk``."""

    pattern = "train/data-{:05d}-of-{:05d}.arrow"
    suffixes: tuple[str, ...] = (".arrow",)
    index_suffixes: tuple[str, ...] = ()
    holds_text = True
    loads_from_disk = True
    one_schema = True
    guesses_types = False
    spills_lines = False

    def open_shard(self, path: Path, schema: pa.Schema) -> Shard:
        return ArrowShard(path, schema)

    def read_tables(self, path: Path) -> Iterator[pa.Table]:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def read_columns(self, path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch]).select(list(names))

    def rewrite_shard(self, old: Path, new: Path, schema: pa.Schema) -> None:
        _rewrite_tables(self, old, new, schema)


class ParquetFormat:
    """Parquet files, compressed with zstd."""

    pattern = "data/train-{:05d}-of-{:05d}.parquet"
    suffixes: tuple[str, ...] = (".parquet",)
    index_suffixes: tuple[str, ...] = ()
    holds_text = True
    loads_from_disk = False
    one_schema = True
    guesses_types = False
    spills_lines = False

    def open_shard(self, path: Path, schema: pa.Schema) -> Shard:
        return ParquetShard(path, schema)

    def read_tables(self, path: Path) -> Iterator[pa.Table]:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def read_columns(self, path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_ROWS, columns=list(names)):
                yield pa.Table.from_batches([batch]).select(list(names))

    def rewrite_shard(self, old: Path, new: Path, schema: pa.Schema) -> None:
        _rewrite_tables(self, old, new, schema)


class JsonlFormat:
    """JSON lines."""

    pattern = "data/train-{:05d}-of-{:05d}.jsonl"
    suffixes: tuple[str, ...] = (".jsonl",)
    index_suffixes: tuple[str, ...] = ()
    holds_text = True
    loads_from_disk = False
    one_schema = False
    guesses_types = True
    spills_lines = True

    def open_shard(self, path: Path, schema: pa.Schema) -> Shard:
        return LinesShard(path)

    def read_tables(self, path: Path) -> Iterator[pa.Table]:
        with open(path, "rb") as lines:
            for rows in _batch_rows(map(orjson.loads, lines)):
                yield pa.Table.from_pylist(rows)

    def read_columns(self, path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
        with open(path, "rb") as lines:
            chosen = ({name: row.get(name) for name in names} for row in map(orjson.loads, lines))
            for rows in _batch_rows(chosen):
                yield pa.Table.from_pylist(rows)

    def rewrite_shard(self, old: Path, new: Path, schema: pa.Schema) -> None:
        """Narrower values are right as they are in JSON, except those whose column has become text."""
        types = {column.name: column.type for column in schema}
        with open(old, "rb") as lines, open(new, "wb") as out:
            for line in lines:
                row = {name: widen_value(value, types[name]) for name, value in orjson.loads(line).items()}
                out.write(dump_line(row))


class TokensFormat:
    """Token ids and their index; ``curate.exports.tokens.writer`` writes them, in two layouts."""

    suffixes: tuple[str, ...] = tuple(PurePath(pattern).suffix for pattern in LAYOUTS.values())
    index_suffixes: tuple[str, ...] = INDEX_SUFFIXES
    holds_text = False
    loads_from_disk = False


TABLE_FORMATS: dict[str, TableFormat] = {"hf": HfFormat(), "parquet": ParquetFormat(), "jsonl": JsonlFormat()}
"""The formats that ``ShardWriter`` writes."""
FORMATS: dict[str, ShardFormat] = {**TABLE_FORMATS, "tokens": TokensFormat()}
"""The values of ``curate export --format``."""


def list_shards(files: Sequence[Mapping[str, Any]], format: str) -> list[Mapping[str, Any]]:
    """Return those files of a manifest that hold documents, sorted by path, which is the reading order."""
    shard_format = FORMATS[format]
    shards = [file for file in files if "/" in file["path"] and file["path"].endswith(shard_format.suffixes)]
    return sorted(
        (file for file in shards if not file["path"].endswith(shard_format.index_suffixes)),
        key=lambda file: str(file["path"]),
    )


def make_bucket_pattern(format: str, folder: str) -> str:
    """Return the pattern of the shards of one bucket, whose folder below ``data`` is named ``folder``."""
    return f"data/{folder}/" + "train-{:05d}-of-{:05d}" + TABLE_FORMATS[format].suffixes[0]


def _rewrite_tables(tables: TableFormat, old: Path, new: Path, schema: pa.Schema) -> None:
    shard = tables.open_shard(new, schema)
    try:
        for table in tables.read_tables(old):
            shard.write(fit_table(table, schema))
    finally:
        shard.close()


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
