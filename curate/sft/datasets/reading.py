"""Instruction datasets as examples: one schema for the dataset; each row gives examples or is counted with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from curate.corpus import Corpus, RawRow, open_records
from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.messages import ROLE_KEYS
from curate.corpus.chat.named_columns import NO_NAMES, FieldNames, rename_row, spell
from curate.corpus.chat.rows import list_columns
from curate.corpus.chat.schemas import SCHEMAS
from curate.corpus.chat.types import ConversationError
from curate.errors import CorpusError, RowError, UsageError
from curate.runtime.calls import find_call, repeat_command
from curate.sft.datasets.dataset_start import read_start
from curate.sft.datasets.fields import complete_fields
from curate.sft.datasets.mending import leave_out, require_both, require_named, suggest_command
from curate.sft.datasets.names import name_sets
from curate.sft.datasets.recognition import choose_schema, find_schema, find_transcripts, keep_filled
from curate.sft.examples import NO_TURNS, Example, NothingToLearnError, read_examples

LOCATIONS = 3
"""Rows that are named for each reason."""
REASONS = 50
"""Reasons that are counted apart; the others share ``OTHER_REASON``."""
OTHER_REASON = "other reasons"

WHERE = re.compile(r"^(line|element|record|row) \d+(, byte \d+)?: ")


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """An instruction dataset, open for reading, and the schema of its rows."""

    name: str
    corpus: Corpus
    schema: str
    """The schema of most of the first rows. Rows of other schemas are read by those, unless ``schema_given``."""
    schema_given: bool
    """Whether the user named the schema or its columns; then it holds for every row."""
    fields: FieldNames = NO_NAMES
    """The names of its columns and roles, where they are not those of the schema."""

    @property
    def spelled_schema(self) -> str:
        """The schema with these names, as the text field of a corpus has it."""
        return spell(self.schema, self.fields)


@dataclass(frozen=True, slots=True)
class RowCount:
    """The number of rows that share a reason, and the locations of the first ``LOCATIONS`` of them."""

    count: int = 0
    locations: tuple[str, ...] = ()
    """``FILE, row N``, with the reason in full where the key of the count leaves out numbers."""

    def add(self, location: str) -> RowCount:
        """Return the count with one row more."""
        kept = self.locations if len(self.locations) == LOCATIONS else (*self.locations, location)
        return RowCount(self.count + 1, kept)


@dataclass(frozen=True, slots=True)
class DrawnExample:
    """An example and its origin: the ``part``-th example of its row, counted from zero."""

    file: str
    row: int
    part: int
    id: str | None
    example: Example


@dataclass(slots=True)
class RowCounts:
    """Counts of the rows read so far: ``rows`` = rows that gave examples (``giving``) + refused + unreadable."""

    rows: int = 0
    giving: int = 0
    refused: dict[str, RowCount] = field(default_factory=dict)
    """Rows without anything to learn, by reason."""
    unreadable: dict[str, RowCount] = field(default_factory=dict)
    """Rows that no schema reads, by reason; numbers in a reason are replaced by N."""
    schemas: dict[str, int] = field(default_factory=dict)
    """Rows by the schema that read them, refused rows included."""
    marks: dict[str, RowCount] = field(default_factory=dict)
    """Rows that gave examples, by what is to be said of the marks of their turns."""


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """The result of reading a row: examples, or the reason of a refusal."""

    schema: str
    examples: list[Example]
    refusal: str | None


def open_set(
    data: str,
    schema: str | None = None,
    *,
    name: str | None = None,
    on_error: str = "quarantine",
    fields: FieldNames = NO_NAMES,
) -> InstructionSet:
    """Open a file, a folder, a pattern, a URL or a split of the Hub, and find the schema of its first rows.

    ``data`` may be ``NAME=PATH`` where no ``name`` is given. ``fields`` are its own names of columns and roles.
    Raises CorpusError where there is nothing to read, no row, or no known schema; UsageError for an unknown ``schema``.
    """
    if schema is not None and schema not in SCHEMAS:
        raise UsageError(
            f"--schema must be one of {', '.join(SCHEMAS)}, not {schema}", repeat_command("rank_sft", schema=None)
        )
    if name is None:
        ((name, data),) = name_sets([data]).items()
    corpus = open_records([data], on_error=on_error)
    start = read_start(corpus)
    if schema is None and not start.rows:
        if start.reason is not None:
            raise CorpusError(f"{name}: none of its rows can be read; the first: {start.reason}", leave_out(name))
        raise CorpusError(f"{name} is empty: {' '.join(corpus.paths)} holds no row", leave_out(name))
    given = fields.schema
    if given is not None:
        fields = complete_fields(fields, start.columns)
        require_named(name, data, start, fields, choose_schema(start.columns, start.rows) is not None)
        require_both(name, data, start, fields)
    known = given or schema
    if known is None:
        known, fields = find_schema(name, data, start, fields)
    fields = replace(fields, transcripts=find_transcripts(known, start, fields))
    return InstructionSet(name, corpus, known, bool(given or schema), fields)


def open_sets(
    data: Sequence[str], schema: str | None, on_error: str, fields: Mapping[str, FieldNames] | None = None
) -> list[InstructionSet]:
    """Open datasets, each under a name that no other has; ``fields`` has the names of their columns by these.

    Raises what ``name_sets`` and ``open_set`` raise.
    """
    named = fields or {}
    return [
        open_set(path, schema, name=name, on_error=on_error, fields=named.get(name, NO_NAMES))
        for name, path in name_sets(data).items()
    ]


def read_set(dataset: InstructionSet, counts: RowCounts) -> Iterator[DrawnExample]:
    """Yield all examples of a dataset in order, and count every row in ``counts``.

    Raises RowError at the first row that cannot be read where the dataset was opened with ``on_error="stop"``.
    """
    for row in dataset.corpus.records():
        counts.rows += 1
        outcome = read_row(row, dataset, counts)
        if outcome is None:
            continue
        counts.schemas[outcome.schema] = counts.schemas.get(outcome.schema, 0) + 1
        if outcome.refusal is not None:
            count_reason(counts.refused, outcome.refusal, f"{row.file}, row {row.row}")
            continue
        counts.giving += 1
        for note in dict.fromkeys(note for example in outcome.examples for note in example.notes):
            count_reason(counts.marks, note, f"{row.file}, row {row.row}")
        for part, example in enumerate(outcome.examples):
            yield DrawnExample(row.file, row.row, part, row.id, example)


def read_row(row: RawRow, dataset: InstructionSet, counts: RowCounts) -> RowOutcome | None:
    """Return what a row gives. Where it cannot be read, count it as unreadable and return None.

    Raises RowError for such a row where the dataset was opened with ``on_error="stop"``.
    """
    location, cause = f"{row.file}, row {row.row}", row.reason or ""
    key = WHERE.sub("", cause)
    if row.record is not None:
        try:
            return read_record(row.record, dataset)
        except ConversationError as error:
            cause, key = str(error), f"{error.location}: expected {error.expected}"
            if error.location.rpartition(".")[2] in ROLE_KEYS:
                key += "; --role OWN=STANDARD names others"
    if dataset.corpus.on_error == "stop":
        raise RowError(f"{location}: {cause}", repeat_command("rank_sft", on_error=None))
    count_reason(counts.unreadable, re.sub(r"\d+", "N", key), f"{location}: {cause}")
    return None


def count_reason(reason_to_count: dict[str, RowCount], reason: str, location: str) -> None:
    """Count a row under its reason; beyond ``REASONS`` reasons, count new ones as ``OTHER_REASON``."""
    if reason not in reason_to_count and len(reason_to_count) >= REASONS:
        reason = OTHER_REASON
    reason_to_count[reason] = reason_to_count.get(reason, RowCount()).add(location)


def read_record(record: Mapping[str, Any], dataset: InstructionSet) -> RowOutcome:
    """Read a row by the schema of its dataset or, unless the user gave that one, by the schema that the row follows.

    Raises the ConversationError of the dataset's schema where neither reads the row.
    """
    schema, schema_given = dataset.schema, dataset.schema_given
    try:
        renamed = rename_row(record, dataset.fields)
        outcome = read_by(renamed, schema)
    except ConversationError:
        if not schema_given and (other := read_otherwise(record, schema)):
            return other
        raise
    if outcome.refusal == NO_TURNS and not schema_given:
        return read_otherwise(record, schema) or outcome
    return outcome


def read_otherwise(record: Mapping[str, object], schema: str) -> RowOutcome | None:
    """Read a row by the schema of the columns that it fills; None where that is ``schema`` or gives no turns."""
    filled = keep_filled(record)
    other = detect_schema(filled, [filled])
    if other is None or other == schema:
        return None
    try:
        outcome = read_by(filled, other)
    except ConversationError:
        return None
    return None if outcome.refusal == NO_TURNS else outcome


def read_by(record: Mapping[str, object], schema: str) -> RowOutcome:
    """Read a row by one schema. Raises ConversationError where the row does not follow it."""
    try:
        return RowOutcome(schema, read_examples(record, schema), None)
    except NothingToLearnError as nothing:
        return RowOutcome(schema, [], nothing.reason)


def explain_no_example(dataset: InstructionSet, counts: RowCounts) -> CorpusError:
    """Return the error for a dataset without examples: counts of its rows, its columns, and the expected columns."""
    if not counts.rows:
        message = f"{dataset.name} is empty: {' '.join(dataset.corpus.paths)} holds no row"
        return CorpusError(message, leave_out(dataset.name))
    reasons = [*counts.refused.items(), *counts.unreadable.items()]
    listed = "; ".join(f"{rows.count} × {reason} ({rows.locations[0]})" for reason, rows in reasons[:5])
    columns = ", ".join(dataset.corpus.columns[:20]) or "none"
    rows = f"{counts.rows} row{'s' if counts.rows != 1 else ''}"
    message = f"{dataset.name}: no example in {rows}: {listed}; the columns are: {columns}"
    path = dataset.corpus.paths[0]
    if hint := suggest_command(dataset.name, read_start(dataset.corpus), dataset.fields, path):
        return CorpusError(message, hint)
    call = find_call("rank_sft")
    if call is not None and call.values.get("schema"):
        return CorpusError(message, repeat_command("rank_sft", schema=None))
    taken = ", ".join(list_columns(dataset.spelled_schema))
    known = f'the schema "{dataset.schema}" reads {taken}; choose another with --schema: {", ".join(SCHEMAS)}'
    return CorpusError(message, leave_out(dataset.name) or known)
