"""Slices, cut from a stream of rows: the unit of work, of resuming, and of the parts of a table.

A slice takes rows while their sizes stay within ``slice_bytes``; a larger single document is a slice. The cuts depend
only on the rows, not on their blocks, so reading that begins at a slice gives the same slices from there on. Slices
that were cut before, by another size or when the file was shorter, are cut again along their marks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curate.corpus.chat.rows import Turns
from curate.corpus.types import EMPTY, OK, UNREADABLE, Documents, RowBlock, SliceMark
from curate.corpus.values.arrow_types import tabulate
from curate.corpus.values.schema_widening import join_tables
from curate.errors import RowError


class BlockSpan(NamedTuple):
    """Documents [first, stop) of a block."""

    block: RowBlock
    first: int
    stop: int


@dataclass(slots=True)
class SliceCutter:
    """Where the next slice of a file begins, and its pieces so far."""

    file: str
    number: int
    """Number of the next slice."""
    row: int
    """First row of the next slice."""
    position: int | None
    """Stored bytes before the next slice; None until the first block tells."""
    schema: pa.Schema | None
    """Column types to begin with for formats without types; None where only the text is read."""
    with_table: bool
    """Whether ``Documents.table`` is gathered."""
    with_turns: bool = False
    """Whether ``Documents.turns`` are gathered."""
    pieces: list[BlockSpan] = field(default_factory=list)

    def take(self, block: RowBlock, first: int, stop: int) -> None:
        """Add the documents [first, stop) of a block to the next slice."""
        if first < stop:
            self.pieces.append(BlockSpan(block, first, stop))

    def close(self, end: RowBlock | None = None, last: bool = False) -> Documents:
        """Return the slice of the pieces, up to its last document, or up to the end of the block ``end``."""
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

    def close_at(self, mark: SliceMark, end: RowBlock | None = None) -> Documents:
        """Return the slice of the pieces as the one that a mark describes, with the documents that are there.

        ``end`` is the last block of the file, where that is read to its end.
        """
        position = self.position or 0
        if end is not None:
            position = end.end
        elif self.pieces:
            block, _, stop = self.pieces[-1]
            position = block.positions[stop - 1]
        count = sum(stop - first for _, first, stop in self.pieces)
        documents = self._gather(replace(mark, documents=count), position - (self.position or 0))
        self.number, self.row, self.position, self.pieces = mark.number + 1, mark.next_row, position, []
        return documents

    def _gather(self, mark: SliceMark, read_bytes: int) -> Documents:
        rows = [row for block, first, stop in self.pieces for row in block.rows[first:stop]]
        texts = [text for block, first, stop in self.pieces for text in block.texts[first:stop]]
        return Documents(
            marks=(mark,),
            rows=np.array(rows, dtype=np.int64),
            ids=[value for block, first, stop in self.pieces for value in block.ids[first:stop]],
            texts=texts,
            turns=gather_turns(self.pieces) if self.with_turns else None,
            statuses=[classify_text(text) for text in texts],
            reasons=[reason for block, first, stop in self.pieces for reason in block.reasons[first:stop]],
            read_bytes=read_bytes,
            table=gather_table(self.pieces, self.schema) if self.with_table else None,
            records=gather_records(self.pieces) if self.with_table else None,
            size=sum(sum(block.sizes[first:stop]) for block, first, stop in self.pieces),
        )


def cut_slices(
    blocks: Iterable[RowBlock], cutter: SliceCutter, slice_bytes: int, limit: int | None
) -> Iterator[Documents]:
    """Yield the slices of one file, at most ``limit`` documents; the final one, marked ``last``, may be empty."""
    filled, remaining, block = 0, limit, None
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
            if remaining is not None:
                remaining -= 1
                if remaining == 0:
                    cutter.take(block, first, index + 1)
                    yield cutter.close(last=True)
                    return
        cutter.take(block, first, len(block.sizes))
    yield cutter.close(end=block, last=True)


def cut_along(blocks: Iterable[RowBlock], cutter: SliceCutter, marks: Sequence[SliceMark]) -> Iterator[Documents]:
    """Yield the slices of one file that ``marks`` describe, which follow one another from where the cutter stands.

    Reading ends with the last of them. Where the file has other rows than the marks tell, a slice has another number of
    documents than its mark.
    """
    done, block = 0, None
    for block in blocks:
        if cutter.position is None:
            cutter.position = block.begin
        first = 0
        while first < len(block.rows):
            stop = bisect_left(block.rows, marks[done].next_row, first)
            cutter.take(block, first, stop)
            first = stop
            if stop == len(block.rows):
                break
            yield cutter.close_at(marks[done])
            done += 1
            if done == len(marks):
                return
    for mark in marks[done:]:
        yield cutter.close_at(mark, block)


def classify_text(text: str | None) -> str:
    """Return the status of a text: unreadable for None, empty for white space, else ok."""
    if text is None:
        return UNREADABLE
    return EMPTY if not text or text.isspace() else OK


def gather_turns(pieces: list[BlockSpan]) -> list[Turns | None]:
    """Return the turns of every document of the pieces, None for unreadable ones."""
    blocks = [(block.turns or [None] * len(block.rows), first, stop) for block, first, stop in pieces]
    return [turns for of_block, first, stop in blocks for turns in of_block[first:stop]]


def gather_table(pieces: list[BlockSpan], schema: pa.Schema | None) -> pa.Table:
    """Return the columns of the pieces as one table, with the types of the format, or inferred where it has none."""
    contents = [(block.content, first, stop) for block, first, stop in pieces]
    tables = [part.slice(first, stop - first) for part, first, stop in contents if isinstance(part, pa.Table)]
    if not tables:
        records = [record for part, first, stop in contents for record in (part or [])[first:stop]]
        return tabulate(records, schema)
    slices = iter(tables)
    return join_tables(
        [
            next(slices) if isinstance(part, pa.Table) else _make_nulls(tables[0].schema, stop - first)
            for part, first, stop in contents
        ]
    )


def gather_records(pieces: list[BlockSpan]) -> list[dict[str, Any] | None] | None:
    """Return the rows of the pieces as they were read; None where the format has types, and blocks are tables."""
    if any(isinstance(block.content, pa.Table) for block, _, _ in pieces):
        return None
    return [record for block, first, stop in pieces for record in (block.content or [])[first:stop]]


def _make_nulls(schema: pa.Schema, count: int) -> pa.Table:
    return pa.table([pa.nulls(count, column.type) for column in schema], schema=schema)


def select_leading_marks(marks: Sequence[SliceMark]) -> list[SliceMark]:
    """Return the marks from number 0 up to the first missing one, in order."""
    by_number = {mark.number: mark for mark in marks}
    lead: list[SliceMark] = []
    while len(lead) in by_number:
        lead.append(by_number[len(lead)])
    return lead


def is_sampled(file: str, share: float, seed: int, row: int) -> bool:
    """Return whether a row is in the sample, by a hash of its file and number; nothing else has influence."""
    return xxhash.xxh3_64_intdigest(f"{file}\0{row}".encode("utf-8", "surrogateescape"), seed) < share * 2.0**64


def stop_at_unreadable(documents: Documents) -> None:
    """Raise RowError for the first unreadable document."""
    for row, status, reason in zip(documents.rows, documents.statuses, documents.reasons, strict=True):
        if status == UNREADABLE:
            raise make_row_error(documents.mark.file, row, reason)


def make_row_error(file: str, row: int, reason: str | None) -> RowError:
    """Return the error for an unreadable row under ``--on-error stop``."""
    return RowError(f"{file}, row {row}: {reason}", "--on-error quarantine gives such rows a status and continues")
