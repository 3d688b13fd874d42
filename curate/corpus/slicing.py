"""Slices: the unit of work, of resuming and of parts, cut from a stream of rows.

A slice takes rows while their sizes stay within ``slice_bytes``; a bigger single document makes a slice of its own. The
cuts depend on the rows alone, not on how they came in blocks, so reading that begins at a slice goes on with the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.corpus.arrow_types import join_tables, tabulate
from curate.corpus.chat.rows import Turns
from curate.corpus.types import EMPTY, OK, UNREADABLE, Documents, RowBlock, SliceMark


class BlockSpan(NamedTuple):
    """Documents [first, stop) of a block."""

    block: RowBlock
    first: int
    stop: int


@dataclass(slots=True)
class SliceCutter:
    """Where the next slice of a file begins, and the pieces that it has so far."""

    file: str
    number: int
    row: int
    position: int | None
    """Stored bytes read before the slice; None until the first block says."""
    schema: pa.Schema | None
    """Column types to begin with where a format has none of its own; None where the text alone is wanted."""
    whole: bool
    conversational: bool = False
    """Whether turns are gathered."""
    pieces: list[BlockSpan] = field(default_factory=list)

    def take(self, block: RowBlock, first: int, stop: int) -> None:
        if first < stop:
            self.pieces.append(BlockSpan(block, first, stop))

    def close(self, end: RowBlock | None = None, last: bool = False) -> Documents:
        """The slice of the pieces taken, up to its last document, or to the end of the file behind ``end``."""
        next_row, next_offset, position = self.row, None, self.position or 0
        if end is not None:
            next_row, next_offset, position = end.next_row, end.next_offset, end.end
        elif self.pieces:
            block, _, stop = self.pieces[-1]
            next_row, position = block.rows[stop - 1] + 1, block.positions[stop - 1]
            next_offset = None if block.offsets is None else block.offsets[stop - 1]
        count = sum(stop - first for _, first, stop in self.pieces)
        mark = SliceMark(self.file, self.number, self.row, next_row, next_offset, count, last)
        documents = self._gather(mark, position - (self.position or 0))
        self.number, self.row, self.position, self.pieces = self.number + 1, next_row, position, []
        return documents

    def _gather(self, mark: SliceMark, read_bytes: int) -> Documents:
        rows = [row for block, first, stop in self.pieces for row in block.rows[first:stop]]
        texts = [text for block, first, stop in self.pieces for text in block.texts[first:stop]]
        return Documents(
            mark=mark,
            rows=np.array(rows, dtype=np.int64),
            ids=[value for block, first, stop in self.pieces for value in block.ids[first:stop]],
            texts=texts,
            turns=gather_turns(self.pieces) if self.conversational else None,
            statuses=[classify_text(text) for text in texts],
            reasons=[reason for block, first, stop in self.pieces for reason in block.reasons[first:stop]],
            read_bytes=read_bytes,
            table=gather_table(self.pieces, self.schema) if self.whole else None,
        )


def cut_slices(
    blocks: Iterable[RowBlock], cutter: SliceCutter, slice_bytes: int, limit: int | None
) -> Iterator[Documents]:
    """The slices of one file, at most ``limit`` documents; there always is a final one, marked ``last``."""
    filled, left, block = 0, limit, None
    for block in blocks:
        if cutter.position is None:
            cutter.position = block.begin
        first = 0
        for index, size in enumerate(block.sizes):
            if filled and filled + size > slice_bytes:
                cutter.take(block, first, index)
                yield cutter.close()
                first, filled = index, 0
            filled += size
            if left is not None:
                left -= 1
                if left == 0:
                    cutter.take(block, first, index + 1)
                    yield cutter.close(last=True)
                    return
        cutter.take(block, first, len(block.sizes))
    yield cutter.close(end=block, last=True)


def classify_text(text: str | None) -> str:
    if text is None:
        return UNREADABLE
    return EMPTY if not text or text.isspace() else OK


def gather_turns(pieces: list[BlockSpan]) -> list[Turns | None]:
    """The turns of every document of the pieces, None where it could not be read."""
    held = [(block.turns or [None] * len(block.rows), first, stop) for block, first, stop in pieces]
    return [turns for found, first, stop in held for turns in found[first:stop]]


def gather_table(pieces: list[BlockSpan], schema: pa.Schema | None) -> pa.Table:
    """Every original column of the pieces: of Arrow's types where the format has them, else of types found by value."""
    contents = [(block.content, first, stop) for block, first, stop in pieces]
    tables = [held.slice(first, stop - first) for held, first, stop in contents if isinstance(held, pa.Table)]
    if not tables:
        records = [record for held, first, stop in contents for record in (held or [])[first:stop]]
        return tabulate(records, schema)
    parts = iter(tables)
    return join_tables(
        [
            next(parts) if isinstance(held, pa.Table) else _nulls(tables[0].schema, stop - first)
            for held, first, stop in contents
        ]
    )


def _nulls(schema: pa.Schema, count: int) -> pa.Table:
    return pa.table([pa.nulls(count, column.type) for column in schema], schema=schema)
