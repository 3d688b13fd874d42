"""``export --format tokens``: documents as token ids, in files that a trainer maps into memory.

No special token is added but what ``--append`` says, and text that spells one is text (``curate.reference``). Memory is
bounded by ``BATCH_CHARACTERS`` of text, or the longest document, and 12 bytes a document. ``documents.parquet`` says of
each document which it is and where it lies: shard (the number in the file's name), shard_row, start and tokens (ids in
the file, with what was appended), file, row.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.corpus.schema_widening import SchemaShape
from curate.errors import TableError, UsageError
from curate.exports.shards import WrittenShard, describe_file
from curate.exports.tokens.formats import HEADER_BYTES, LAYOUTS, TokenShard, choose_dtype, index_of
from curate.reference.tokenizer_only import TokenizerOnly

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
    """Takes tables with texts, in order, and writes their tokens; the same face as ``shards.Writer``."""

    folder: Path
    vocabulary: TokenizerOnly
    layout: str
    append: str
    text: str
    """The column of the text, or a path with dots inside one."""
    key: tuple[str, str]
    """The columns of file and row."""
    shard_bytes: int
    shape: SchemaShape = field(default_factory=SchemaShape)
    kind: str = "tokens"
    misread: set[str] = field(default_factory=set)
    rows: int = 0
    tokens: int = 0
    counts: list[int] = field(default_factory=list)
    """Documents of each shard."""
    _open: TokenShard | None = None
    _documents: pq.ParquetWriter | None = None

    def __post_init__(self) -> None:
        if self.append == "eos" and self.vocabulary.eos is None:
            raise UsageError(f"the tokenizer {self.vocabulary.name} has no EOS to append", "--append none")

    @property
    def dtype(self) -> str:
        return choose_dtype(self.vocabulary.size)

    def add(self, table: pa.Table) -> None:
        """Take the next documents."""
        self.shape.see(table)
        texts = take_texts(table, self.text)
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        for first, last in cut_batches(lengths):
            self._add_batch(table.slice(first, last - first), texts.slice(first, last - first).to_pylist())

    def _add_batch(self, table: pa.Table, texts: list[str]) -> None:
        end = [] if self.append == "none" else [self.vocabulary.eos]
        tail = np.array(end, dtype=np.int32)
        encoded = [np.concatenate([ids, tail]) for ids in self.vocabulary.encoder.encode(texts)]
        begun = 0
        while begun < len(encoded):
            shard = self._choose(encoded[begun])
            stop, room = begun + 1, self.shard_bytes - shard.size() - self._octets(encoded[begun])
            while stop < len(encoded) and self._octets(encoded[stop]) <= room:
                room -= self._octets(encoded[stop])
                stop += 1
            self._note(table.slice(begun, stop - begun), shard, encoded[begun:stop])
            shard.write(encoded[begun:stop])
            begun = stop

    def _octets(self, ids: NDArray[np.int32]) -> int:
        return len(ids) * np.dtype(self.dtype).itemsize

    def _choose(self, upcoming: NDArray[np.int32]) -> TokenShard:
        """The shard for a document: the open one while it has room, else a new one."""
        size = self._octets(upcoming)
        if self._open is not None and self._open.tokens and self._open.size() + size > self.shard_bytes:
            self._close()
        if self._open is None:
            self._open = TokenShard(self.folder / LAYOUTS[self.layout].format(len(self.counts), 0), self.dtype)
            self.counts.append(0)
        return self._open

    def _note(self, table: pa.Table, shard: TokenShard, encoded: list[NDArray[np.int32]]) -> None:
        """Say of some documents which they are and where they will lie."""
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
            self._open = None

    def finish(self) -> list[WrittenShard]:
        """Give the files their names; TableError where ids were lost on the way."""
        self._close()
        if self._documents is not None:
            self._documents.close()
            self._documents = None
        named = [name for place, rows in enumerate(self.counts) for name in self._name(place, rows)]
        _check_sum(self)
        return [*named, describe_file(self.folder, DOCUMENTS_NAME, self.rows)]

    def _name(self, place: int, rows: int) -> list[WrittenShard]:
        pattern = LAYOUTS[self.layout]
        old, name = self.folder / pattern.format(place, 0), pattern.format(place, len(self.counts))
        new, index = self.folder / name, index_of(self.folder / name)
        os.replace(old, new)
        os.replace(index_of(old), index)
        return [
            describe_file(self.folder, name, rows),
            describe_file(self.folder, index.relative_to(self.folder).as_posix(), rows),
        ]

    def describe(self) -> dict[str, Any]:
        """What the manifest says of the tokens."""
        known = self.vocabulary
        return {
            "tokenizer": known.name,
            "tokenizer_hash": known.encoder.name,
            "vocabulary": known.size,
            "layout": self.layout,
            "dtype": self.dtype,
            "append": self.append,
            "eos": {"id": known.eos, "text": known.eos_text} if self.append == "eos" else None,
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


def _check_sum(writer: TokenWriter) -> None:
    """The conservation law of the ids: the files hold what was counted, and each document is in one of them."""
    pattern, width = LAYOUTS[writer.layout], np.dtype(writer.dtype).itemsize
    names = [writer.folder / pattern.format(place, len(writer.counts)) for place in range(len(writer.counts))]
    header = HEADER_BYTES if writer.layout == "numpy" else 0
    held = sum((name.stat().st_size - header) // width for name in names)
    if held != writer.tokens or sum(writer.counts) != writer.rows:
        message = f"{writer.tokens:,} ids of {writer.rows:,} documents were made, the files hold {held:,}"
        raise TableError(message, "curate export it again; if it persists, the disk loses writes")


def cut_batches(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of documents of at most ``BATCH_CHARACTERS`` and ``BATCH_ROWS``, or one longer document: (first, behind)."""
    batches, first, held = [], 0, 0
    for place, length in enumerate(lengths.tolist()):
        if place > first and (held + length > BATCH_CHARACTERS or place - first == BATCH_ROWS):
            batches.append((first, place))
            first, held = place, 0
        held += length
    return [*batches, (first, len(lengths))] if len(lengths) else batches


def take_texts(table: pa.Table, path: str) -> pa.ChunkedArray:
    """The texts of a table: a column, or a path with dots inside one. TableError where one is null."""
    name = path if path in table.column_names else path.split(".")[0]
    column = table.column(name)
    for member in path.split(".")[1:] if name != path else ():
        column = pc.struct_field(column, member)
    texts = column.cast(pa.large_string())
    if texts.null_count:
        raise TableError(f"{texts.null_count:,} of the documents to write have no text in {path}", "curate score again")
    return texts
