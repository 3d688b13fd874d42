"""Slices of Parquet files as Arrow tables, without Python objects for texts and ids.

For what needs no more than the rows and their texts as they are stored: an export. A slice with a row that has no text
or a string that is not UTF-8, or damage, is left to the reader of ``curate.corpus``, which gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from curate.corpus.corpus import Corpus
from curate.corpus.files.streams import open_binary
from curate.corpus.readers.arrow import DAMAGE, choose_batch_rows, open_parquet, plan_plain
from curate.corpus.readers.arrow_blocks import as_content, join_chunks
from curate.corpus.readers.utf8 import is_valid
from curate.corpus.types import BrokenSourceError, SliceMark, Source
from curate.corpus.values.arrow_types import is_string
from curate.corpus.values.schema_widening import join_tables
from curate.errors import StorageError


@dataclass(frozen=True, slots=True, eq=False)
class TableSlice:
    """The documents of a slice, each with a text."""

    table: pa.Table
    """All columns."""
    texts: pa.LargeStringArray
    num_bytes: int
    """Of the file, about."""


class ParquetSlices:
    """Reads slices of one file that follow one another, each row group once."""

    __slots__ = ("_batches", "_corpus", "_held", "_num_rows", "_row", "_source")

    def __init__(self, corpus: Corpus, source: Source):
        self._corpus, self._source = corpus, source
        self._batches: Iterator[pa.Table] | None = None
        self._held: list[pa.Table] = []
        self._row, self._num_rows = 0, 0

    def read(self, mark: SliceMark) -> TableSlice | None:
        """Return the slice of a mark; None for a slice that the full reader must read, and for all behind it."""
        corpus, rows = self._corpus, mark.next_row - mark.first_row
        may_be_plain = self._source.format == "parquet" and corpus.conversation is None
        if not may_be_plain or rows != mark.documents or not rows:
            return None
        try:
            table = self._take(mark.first_row, rows)
        except (*DAMAGE, BrokenSourceError, StorageError):
            return None
        has_more = mark.last and mark.next_row != self._num_rows
        if table is None or has_more or corpus.text_field not in table.column_names:
            return None
        column = table.column(corpus.text_field)
        if not is_string(column.type) or column.null_count or not all(map(is_valid, table.columns)):
            return None
        num_bytes = (self._source.size or 0) * rows // max(1, self._num_rows)
        return TableSlice(table, join_chunks(column).cast(pa.large_string()), num_bytes)

    def _take(self, first: int, rows: int) -> pa.Table | None:
        """Return some rows; None where the file has fewer. Raises what reading a damaged file raises."""
        if self._batches is None or self._row != first:
            self.close()
            self._batches, self._row = self._stream(first), first
        while sum(map(len, self._held)) < rows:
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._held.append(batch)
        joined = join_tables(self._held)
        self._held, self._row = [joined.slice(rows)] if len(joined) > rows else [], first + rows
        return joined.slice(0, rows)

    def _stream(self, first: int) -> Iterator[pa.Table]:
        """Yield the rows from ``first`` on; row groups before it are not read."""
        with open_binary(self._source.path) as file, closing(open_parquet(self._source, file)) as opened:
            plain, row = plan_plain(self._source, opened.schema_arrow), 0
            self._num_rows = opened.metadata.num_rows
            for group in range(opened.metadata.num_row_groups):
                metadata = opened.metadata.row_group(group)
                row += metadata.num_rows
                if row <= first:
                    continue
                skipped = max(0, first - (row - metadata.num_rows))
                for batch in opened.iter_batches(choose_batch_rows(metadata), row_groups=[group], use_threads=False):
                    if skipped < len(batch):
                        yield as_content(plain.read(batch.slice(skipped)), plain.schema, [])
                    skipped = max(0, skipped - len(batch))

    def close(self) -> None:
        """Close the file."""
        if self._batches is not None:
            self._batches.close()  # type: ignore[attr-defined]
        self._batches, self._held = None, []
