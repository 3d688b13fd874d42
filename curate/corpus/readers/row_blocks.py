"""Blocks of rows, for the formats that are read record by record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from curate.corpus.chat.rows import Turns, count_bytes, take_turns
from curate.corpus.chat.types import join_turns
from curate.corpus.types import ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.json_records import BadRowError, pick_fields, take_id, take_text

# Bytes that each row counts besides its text, so that a million empty rows are not one slice.
ROW_COST = 64

Item = tuple[Any, int, int]
"""A row before parsing (None for a blank one, a BadRowError for a bad one), its first byte, the byte after it."""


@dataclass(frozen=True, slots=True)
class Items:
    """Some consecutive rows before parsing."""

    items: list[Item]
    """In the order of the source."""
    position: int
    """Stored bytes read so far."""
    broken: str | None = None
    """Why the source cannot be read further; None at its end and before."""
    blank_rows: int = 0
    """Blank rows after ``items``."""
    blank_end: int = 0
    """The byte after them."""


@dataclass(slots=True)
class Builder:
    """A block under construction: documents are added in order; ``build`` returns the block and begins the next one."""

    reading: ReadOptions
    begin: int
    """Stored bytes of the source before the block."""
    seekable: bool
    """Whether the block states offsets."""
    rows: list[int] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    content: list[dict[str, Any] | None] = field(default_factory=list)
    turns: dict[int, Turns] = field(default_factory=dict)
    """The turns of conversations by their index in the block."""

    def add(self, row: int, size: int, offset: int, position: int) -> None:
        """Add a document by its position in the source; ``fill`` must follow with its content."""
        self.rows.append(row)
        self.sizes.append(size + ROW_COST)
        self.offsets.append(offset)
        self.positions.append(position)

    def fill(self, record: dict[str, Any] | None, identifier: str | None, text: str | None, reason: str | None) -> None:
        """Set the content of the document added last; a reason makes it unreadable."""
        self.ids.append(identifier)
        self.texts.append(text)
        self.reasons.append(reason)
        if self.reading.keeps_columns:
            self.content.append(self._keep(record) if reason is None else None)

    def _keep(self, record: dict[str, Any] | None) -> dict[str, Any] | None:
        return record if self.reading.all_columns or record is None else pick_fields(record, self.reading.columns)

    def speak(self, turns: Turns) -> str:
        """Set the turns of the document added last, count it by its text, and return that text."""
        text = join_turns(turns)
        self.turns[len(self.rows) - 1] = turns
        self.sizes[-1] = count_bytes(text) + ROW_COST
        return text

    def build(self, next_row: int, next_offset: int, end: int) -> RowBlock:
        """Return the block of the rows so far; ``next_row``, ``next_offset`` and ``end`` are the reader's position."""
        block = RowBlock(
            rows=self.rows,
            ids=self.ids,
            texts=self.texts,
            reasons=self.reasons,
            sizes=self.sizes,
            positions=self.positions,
            offsets=self.offsets if self.seekable else None,
            begin=self.begin,
            end=end,
            next_row=next_row,
            next_offset=next_offset if self.seekable else None,
            content=self.content if self.reading.keeps_columns else None,
            turns=list(map(self.turns.get, range(len(self.rows)))) if self.reading.conversation else None,
        )
        self.begin = end
        self.rows, self.ids, self.texts, self.reasons, self.sizes = [], [], [], [], []
        self.positions, self.offsets, self.content, self.turns = [], [], [], {}
        return block


def find_entry(source: Source, start: ReadStart) -> ReadStart:
    """Return where reading begins: at the row where its byte is known, else at the top of the file."""
    if source.is_plain and start.offset is not None:
        return start
    return ReadStart(0, 0)


def gather_rows(
    batches: Iterable[Items],
    source: Source,
    start: ReadStart,
    reading: ReadOptions,
    parse: Callable[[Any], dict[str, Any]],
    unit: str,
) -> Iterator[RowBlock]:
    """Yield blocks of the rows from ``start`` on.

    ``parse`` turns a row into a record or raises BadRowError. ``unit`` is the word for a row in reasons: line, element.
    """
    entered = find_entry(source, start)
    row, behind = entered.row, entered.offset or 0
    seekable = source.is_plain
    position = behind
    builder = Builder(reading, position, seekable)
    for batch in batches:
        for raw, begin, end in batch.items:
            if row == start.row:
                builder.begin = position
            behind, position = end, end if seekable else batch.position
            if raw is not None and row >= start.row and (reading.keep is None or reading.keep(row)):
                parsed = _parse_raw(raw, parse)
                if _is_drawn(parsed, reading):
                    builder.add(row, end - begin, end, position)
                    _take_row(builder, parsed, f"{unit} {row + 1}", begin)
            row += 1
        if batch.blank_rows:
            if row <= start.row < row + batch.blank_rows:
                builder.begin = position
            row += batch.blank_rows
            behind, position = batch.blank_end, batch.blank_end if seekable else batch.position
        if batch.broken is not None and row >= start.row:
            if row == start.row:
                builder.begin = position
            builder.add(row, 0, behind, batch.position)
            builder.fill(None, None, None, f"{batch.broken} after {unit} {row}" if row else batch.broken)
            row += 1
        if row > start.row:
            yield builder.build(row, behind, batch.position)


def read_nothing(source: Source, reason: str, start: ReadStart, reading: ReadOptions) -> Iterator[RowBlock]:
    """Return an iterator of one block of one unreadable row, for a source that cannot be read at all."""
    return gather_rows([Items([], source.size or 0, reason)], source, start, reading, _refuse_row, "row")


def _refuse_row(raw: Any) -> dict[str, Any]:
    raise BadRowError("not read")


def _parse_raw(raw: Any, parse: Callable[[Any], dict[str, Any]]) -> dict[str, Any] | BadRowError:
    """Return the record of a row, or why it cannot be read."""
    try:
        return raw if isinstance(raw, BadRowError) else parse(raw)
    except BadRowError as bad:
        return bad


def _is_drawn(parsed: dict[str, Any] | BadRowError, reading: ReadOptions) -> bool:
    """Return whether a row is in the sample by its value, or has none: then it gets a row that says so."""
    if reading.draw is None or isinstance(parsed, BadRowError):
        return True
    value = take_id(parsed, reading.draw.field)
    return not value or reading.draw.takes(value)


def _take_row(builder: Builder, parsed: dict[str, Any] | BadRowError, name: str, begin: int) -> None:
    record = identifier = text = reason = None
    reading = builder.reading
    try:
        if isinstance(parsed, BadRowError):
            raise parsed
        record = parsed
        identifier = take_id(record, reading.id_field)
        if reading.draw is not None and not take_id(record, reading.draw.field):
            raise BadRowError(reading.draw.absence)
        if reading.text_field is not None:
            text = take_text(record, reading.text_field)
        elif reading.conversation is not None:
            text = builder.speak(take_turns(record, reading.conversation))
    except BadRowError as bad:
        reason = f"{name}, byte {begin + bad.byte}: {bad.cause}"
    builder.fill(record, identifier, text, reason)
