"""``export --format tokens``: documents as token ids, in files that a trainer maps into memory.

The only special token that is added is that of ``--append``, and text that spells one is text (``curate.reference``).
Memory is bounded by ``BATCH_CHARACTERS`` of text, or the longest document, and 12 bytes a document.

``documents.parquet`` has a row for each document: shard (the number in the file's name), shard_row, start and tokens
(ids in the file, with what was appended), and which document it is (file, row).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus.values.schema_widening import SchemaShape
from curate.errors import TableError, UsageError
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.json_types import Finding
from curate.exports.formats.shard_writer import WrittenShard, describe_file
from curate.exports.tokens.formats import HEADER_BYTES, LAYOUTS, TokenShard, choose_dtype, index_of
from curate.runtime.arrays import Int32Array, Int64Array

if TYPE_CHECKING:
    from curate.exports.tokens.tokenizer import TokenizerOnly

BATCH_CHARACTERS = 1_000_000
BATCH_ROWS = 1024
DOCUMENTS_NAME = "documents.parquet"
DOCUMENTS = pa.schema(
    [
        ("shard", pa.int32()),
        ("shard_row", pa.int64()),
        ("start", pa.int64()),
        ("tokens", pa.int64()),
        ("file", pa.large_string()),
        ("row", pa.int64()),
    ]
)


@dataclass(slots=True)
class TokenWriter:
    """Writes the tokens of tables with texts, in order; the same methods as ``shard_writer.ShardWriter``."""

    folder: Path
    """Top of the dataset."""
    vocabulary: "TokenizerOnly"
    layout: str
    """A name in ``LAYOUTS``."""
    append: str
    """eos or none: what ends each document."""
    text: str
    """The column with the text, or a path with dots into one."""
    key: tuple[str, str]
    """The names of the columns file and row."""
    shard_bytes: int
    shape: SchemaShape = field(default_factory=SchemaShape)
    format: str = "tokens"
    misread: set[Finding] = field(default_factory=set)
    """Empty: ``datasets`` does not read these files."""
    buckets: dict[str, str] = field(default_factory=dict)
    """Empty: these files are not in folders of buckets."""
    rows: int = 0
    tokens: int = 0
    """Ids written, with what was appended."""
    counts: list[int] = field(default_factory=list)
    """Documents of each shard."""
    depot: ShardDepot | None = None
    """Takes complete files; None leaves them in the folder."""
    _sent: list[list[WrittenShard]] = field(default_factory=list)
    """The two files of each shard that the depot has, under their first names."""
    _open: TokenShard | None = None
    _documents: pq.ParquetWriter | None = None
    """Of ``documents.parquet``."""

    def __post_init__(self) -> None:
        if self.append == "eos" and self.vocabulary.eos is None:
            raise UsageError(f"--append eos: the tokenizer {self.vocabulary.name} has no EOS", "--append none")

    @property
    def dtype(self) -> str:
        """The dtype of the ids: uint16 or int32."""
        return choose_dtype(self.vocabulary.size)

    def add(self, table: pa.Table, records: Sequence[dict[str, Any] | None] | None = None) -> None:
        """Append documents; ``records`` have no effect. Raises TableError where one has no text."""
        self.shape.see(table)
        texts = take_texts(table, self.text)
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        for first, last in cut_batches(lengths):
            self._add_batch(table.slice(first, last - first), texts.slice(first, last - first).to_pylist())

    def _add_batch(self, table: pa.Table, texts: list[str]) -> None:
        end = [] if self.append == "none" else [self.vocabulary.eos]
        tail = np.array(end, dtype=np.int32)
        encoded = [np.concatenate([ids, tail]) for ids in self.vocabulary.encoder.encode(texts)]
        start = 0
        while start < len(encoded):
            shard = self._choose_shard(encoded[start])
            stop, room = start + 1, self.shard_bytes - shard.size() - self._num_bytes(encoded[start])
            while stop < len(encoded) and self._num_bytes(encoded[stop]) <= room:
                room -= self._num_bytes(encoded[stop])
                stop += 1
            self._add_documents(table.slice(start, stop - start), shard, encoded[start:stop])
            shard.write(encoded[start:stop])
            start = stop

    def _num_bytes(self, ids: Int32Array) -> int:
        return len(ids) * np.dtype(self.dtype).itemsize

    def _choose_shard(self, ids: Int32Array) -> TokenShard:
        """Return the shard for a document: the open one while it has room, else a new one."""
        size = self._num_bytes(ids)
        if self._open is not None and self._open.tokens and self._open.size() + size > self.shard_bytes:
            self._close()
        if self._open is None:
            self._open = TokenShard(self.folder / LAYOUTS[self.layout].format(len(self.counts), 0), self.dtype)
            self.counts.append(0)
        return self._open

    def _add_documents(self, table: pa.Table, shard: TokenShard, encoded: list[Int32Array]) -> None:
        """Append rows to ``documents.parquet`` for documents that are about to be written into a shard."""
        if self._documents is None:
            self._documents = pq.ParquetWriter(self.folder / DOCUMENTS_NAME, DOCUMENTS, compression="zstd")
        lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
        columns: dict[str, Any] = {
            "shard": np.full(len(lengths), len(self.counts) - 1, np.int32),
            "shard_row": self.counts[-1] + np.arange(len(lengths)),
            "start": shard.tokens + np.cumsum(lengths) - lengths,
            "tokens": lengths,
            "file": table.column(self.key[0]).cast(pa.large_string()),
            "row": table.column(self.key[1]).cast(pa.int64()),
        }
        self._documents.write_table(pa.table(columns, schema=DOCUMENTS))
        self.counts[-1] += len(lengths)
        self.rows += len(lengths)
        self.tokens += int(lengths.sum())

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            path, self._open = self._open.path, None
            if self.depot is not None:
                self._sent.append([describe_file(self.folder, name, self.counts[-1]) for name in self._pair(path)])
                for file in self._sent[-1]:
                    self.depot.put(file.path)

    def _pair(self, path: Path) -> list[str]:
        """Return the names of a file of ids and of its index below the folder."""
        return [each.relative_to(self.folder).as_posix() for each in (path, index_of(path))]

    def finish(self) -> list[WrittenShard]:
        """Give the files their final names and return them. Raises TableError where ids were lost on the way."""
        self._close()
        if self._documents is not None:
            self._documents.close()
            self._documents = None
        named = [file for number, rows in enumerate(self.counts) for file in self._name(number, rows)]
        _check_sum(self, sum(file.bytes for file in named[::2]))
        return [*named, describe_file(self.folder, DOCUMENTS_NAME, self.rows)]

    def _name(self, number: int, rows: int) -> list[WrittenShard]:
        pattern = LAYOUTS[self.layout]
        names = self._pair(self.folder / pattern.format(number, len(self.counts)))
        if self.depot is not None:
            for file, name in zip(self._sent[number], names, strict=True):
                self.depot.rename(file.path, name)
            return [replace(file, path=name) for file, name in zip(self._sent[number], names, strict=True)]
        for old, name in zip(self._pair(self.folder / pattern.format(number, 0)), names, strict=True):
            os.replace(self.folder / old, self.folder / name)
        return [describe_file(self.folder, name, rows) for name in names]

    def describe(self) -> dict[str, Any]:
        """Return what the manifest says about the tokens."""
        vocabulary = self.vocabulary
        return {
            "tokenizer": vocabulary.name,
            "tokenizer_hash": vocabulary.encoder.name,
            "vocabulary": vocabulary.size,
            "layout": self.layout,
            "dtype": self.dtype,
            "append": self.append,
            "eos": {"id": vocabulary.eos, "text": vocabulary.eos_text} if self.append == "eos" else None,
            "tokens": self.tokens,
            "documents": DOCUMENTS_NAME,
        }

    def abandon(self) -> None:
        """Close what is open, when something else has failed."""
        if self._open is not None:
            self._open.abandon()
            self._open = None
        if self._documents is not None:
            self._documents.close()
            self._documents = None


def _check_sum(writer: TokenWriter, num_bytes: int) -> None:
    """Raise TableError unless the files have as many ids as were counted, and each document is in one of them.

    ``num_bytes`` is the size of all files of ids.
    """
    header = HEADER_BYTES * len(writer.counts) if writer.layout == "numpy" else 0
    num_ids = (num_bytes - header) // np.dtype(writer.dtype).itemsize
    if num_ids != writer.tokens or sum(writer.counts) != writer.rows:
        message = f"{writer.tokens:,} ids of {writer.rows:,} documents were made, the files have {num_ids:,}"
        raise TableError(message, "curate export it again; if it persists, check the disk")


def cut_batches(lengths: Int64Array) -> list[tuple[int, int]]:
    """Return ranges [start, stop) of documents of at most ``BATCH_CHARACTERS`` and ``BATCH_ROWS``.

    A longer document has a range of its own. ``lengths`` are characters, one a document; no documents give no range.
    """
    batches, first, characters = [], 0, 0
    for index, length in enumerate(lengths.tolist()):
        if index > first and (characters + length > BATCH_CHARACTERS or index - first == BATCH_ROWS):
            batches.append((first, index))
            first, characters = index, 0
        characters += length
    return [*batches, (first, len(lengths))] if len(lengths) else batches


def take_texts(table: pa.Table, path: str) -> pa.ChunkedArray:
    """Return the texts of a table: a column, or a path with dots into one. Raises TableError where one is null."""
    name = path if path in table.column_names else path.split(".")[0]
    column = table.column(name)
    for member in path.split(".")[1:] if name != path else ():
        column = pc.struct_field(column, member)
    texts = column.cast(pa.large_string())
    if texts.null_count:
        raise TableError(f"{texts.null_count:,} of the documents to write have no text in {path}", "curate score again")
    return texts
