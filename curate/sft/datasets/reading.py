"""Datasets as examples: the schema settled once, every row read by it or counted with the reason why not."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.corpus import Corpus, RawRow, open_records
from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.rows import list_columns
from curate.corpus.chat.schemas import SCHEMAS
from curate.corpus.chat.types import ConversationError
from curate.errors import CorpusError, RowError, UsageError
from curate.sft.datasets.names import name_sets
from curate.sft.examples import NO_TURNS, Example, NothingToLearnError, read_examples

START_ROWS = 100
# So many places are kept of each reason, and so many reasons.
PLACES = 3
REASONS = 50
OTHER_REASON = "other reasons"

WHERE = re.compile(r"^(line|element|record|row) \d+(, byte \d+)?: ")
HINT = (
    "known are messages, conversations, instruction and output, prompt and completion, question and answer, chosen and "
    f"rejected, …; --schema NAME says which: {', '.join(SCHEMAS)}"
)


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """A dataset and the schema that its rows follow."""

    name: str
    corpus: Corpus
    schema: str
    """Of most of the first rows; others are read by their own where they do not follow it, unless it was said."""
    said: bool
    """Whether the user said the schema, which then is that of every row."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows there are of one kind, and where the first of them lie."""

    count: int = 0
    places: tuple[str, ...] = ()

    def add(self, place: str) -> RowCount:
        return RowCount(self.count + 1, self.places if len(self.places) == PLACES else (*self.places, place))


@dataclass(frozen=True, slots=True)
class DrawnExample:
    """An example and where it comes from: the ``part``-th of its row, counted from zero."""

    file: str
    row: int
    part: int
    id: str | None
    example: Example


@dataclass(slots=True)
class RowCounts:
    """Every row read so far: ``rows`` are those that gave examples, those refused, and the unreadable."""

    rows: int = 0
    giving: int = 0
    refused: dict[str, RowCount] = field(default_factory=dict)
    unreadable: dict[str, RowCount] = field(default_factory=dict)
    schemas: dict[str, int] = field(default_factory=dict)
    """Rows by the schema that read them, those refused among them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a schema makes of a row."""

    schema: str
    examples: list[Example]
    refusal: str | None


def open_set(
    data: str,
    schema: str | None = None,
    *,
    name: str | None = None,
    id_field: str | None = None,
    limit: int | None = None,
    on_error: str = "quarantine",
) -> InstructionSet:
    """Open a file, a folder, a pattern, a URL or a split of the Hub, and find the schema of its first rows.

    ``data`` may be ``NAME=PATH`` where no ``name`` is given. CorpusError where there is nothing to read, no row, or no
    known schema; UsageError for a schema that is none.
    """
    if schema is not None and schema not in SCHEMAS:
        raise UsageError(f"--schema {schema}: no schema has that name", f"known are {', '.join(SCHEMAS)}")
    if name is None:
        ((name, data),) = name_sets([data]).items()
    corpus = open_records([data], id_field=id_field, limit=limit, on_error=on_error)
    return InstructionSet(name, corpus, schema or find_schema(name, corpus), schema is not None)


def find_schema(name: str, corpus: Corpus) -> str:
    """The schema of the first rows that can be read. CorpusError where there are none, or they follow none."""
    reasons: list[str] = []
    records = (row.record for row in corpus.records() if is_sound(row, reasons))
    rows = [record for record in itertools.islice(records, START_ROWS) if record is not None]
    columns = dict.fromkeys(column for row in rows for column in row)
    if schema := choose_schema(columns, rows):
        return schema
    if rows:
        raise CorpusError(f"{name}: its rows follow no known schema; {describe_columns(columns)}", HINT)
    if reasons:
        raise CorpusError(f"{name}: none of its rows can be read; the first: {reasons[0]}")
    raise CorpusError(f"{name} is empty: {' '.join(corpus.paths)} holds no row")


def choose_schema(columns: Mapping[str, Any], rows: Sequence[Mapping[str, object]]) -> str | None:
    """The schema of most rows, each by the columns that it fills; that of all together where they are as many."""
    together = detect_schema(columns, rows)
    each = [detect_schema(filled, [filled]) for filled in map(keep_filled, rows)]
    counts = Counter(schema for schema in each if schema is not None)
    return max(counts, key=lambda schema: (counts[schema], schema == together), default=together)


def keep_filled(record: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in record.items() if value is not None and value != ""}


def is_sound(row: RawRow, reasons: list[str]) -> bool:
    """Whether a row was read; the reason of the first that was not is kept."""
    if row.reason is not None and not reasons:
        reasons.append(f"{row.file}: {row.reason}")
    return row.reason is None


def describe_columns(columns: Mapping[str, Any]) -> str:
    names = list(columns)
    return f"they have: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "they have no columns"


def read_set(dataset: InstructionSet, ledger: RowCounts) -> Iterator[DrawnExample]:
    """All examples of a dataset in order; ``ledger`` is told of every row.

    RowError at the first row that cannot be read where the dataset was opened with ``on_error="stop"``.
    """
    for row in dataset.corpus.records():
        ledger.rows += 1
        outcome = read_row(row, dataset, ledger)
        if outcome is None:
            continue
        ledger.schemas[outcome.schema] = ledger.schemas.get(outcome.schema, 0) + 1
        if outcome.refusal is not None:
            note(ledger.refused, outcome.refusal, f"{row.file}, row {row.row}")
            continue
        ledger.giving += 1
        for part, example in enumerate(outcome.examples):
            yield DrawnExample(row.file, row.row, part, row.id, example)


def read_row(row: RawRow, dataset: InstructionSet, ledger: RowCounts) -> Outcome | None:
    """What a row gives; None, and an entry in the ledger, where it cannot be read."""
    place, cause = f"{row.file}, row {row.row}", row.reason or ""
    key = WHERE.sub("", cause)
    if row.record is not None:
        try:
            return read_record(row.record, dataset.schema, dataset.said)
        except ConversationError as error:
            cause, key = str(error), f"{error.place}: expected {error.expected}"
    if dataset.corpus.on_error == "stop":
        raise RowError(f"{place}: {cause}", "--on-error quarantine counts such rows and goes on")
    note(ledger.unreadable, re.sub(r"\d+", "N", key), f"{place}: {cause}")
    return None


def note(tallies: dict[str, RowCount], reason: str, place: str) -> None:
    """Count a row under its reason; once there are too many reasons, new ones under a common name."""
    if reason not in tallies and len(tallies) >= REASONS:
        reason = OTHER_REASON
    tallies[reason] = tallies.get(reason, RowCount()).add(place)


def read_record(record: Mapping[str, object], schema: str, said: bool) -> Outcome:
    """A row by the schema of its dataset; by its own where it does not follow that one and none was said.

    ConversationError where neither reads it: that of the schema of the dataset.
    """
    try:
        outcome = read_by(record, schema)
    except ConversationError:
        if not said and (other := read_otherwise(record, schema)):
            return other
        raise
    if outcome.refusal == NO_TURNS and not said:
        return read_otherwise(record, schema) or outcome
    return outcome


def read_otherwise(record: Mapping[str, object], schema: str) -> Outcome | None:
    """A row by the schema of the columns that it fills, where that is another one and reads turns from it."""
    filled = keep_filled(record)
    other = detect_schema(filled, [filled])
    if other is None or other == schema:
        return None
    try:
        outcome = read_by(filled, other)
    except ConversationError:
        return None
    return None if outcome.refusal == NO_TURNS else outcome


def read_by(record: Mapping[str, object], schema: str) -> Outcome:
    try:
        return Outcome(schema, read_examples(record, schema), None)
    except NothingToLearnError as nothing:
        return Outcome(schema, [], nothing.reason)


def refuse_all(dataset: InstructionSet, ledger: RowCounts) -> CorpusError:
    """Why a dataset gives no example: the counts of its rows, its columns, and what is expected."""
    if not ledger.rows:
        return CorpusError(f"{dataset.name} is empty: {' '.join(dataset.corpus.paths)} holds no row")
    tallies = [*ledger.refused.items(), *ledger.unreadable.items()]
    counts = "; ".join(f"{tally.count} × {reason} ({tally.places[0]})" for reason, tally in tallies[:5])
    columns = ", ".join(dataset.corpus.columns[:20]) or "none"
    rows = f"{ledger.rows} row{'s' if ledger.rows != 1 else ''}"
    taken = ", ".join(list_columns(dataset.schema))
    return CorpusError(
        f"{dataset.name}: no example in {rows}: {counts}; the columns are: {columns}",
        f'the schema "{dataset.schema}" reads {taken}; --schema NAME says another: {", ".join(SCHEMAS)}',
    )
