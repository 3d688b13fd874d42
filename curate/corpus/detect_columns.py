"""Which column is the text, or which schema the conversations follow, and which is the id, seen from the first rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.corpus.arrow_types import is_string, merge_schemas, tabulate
from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.rows import MARK, find_conversation
from curate.corpus.chat.schemas import SCHEMAS, read_conversation, read_turns
from curate.corpus.chat.types import ConversationError
from curate.corpus.readers import FORMATS, read_blocks
from curate.corpus.readers.arrow_blocks import as_text, to_records
from curate.corpus.types import BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.errors import CorpusError, UsageError

TEXT_NAMES = (
    "text", "content", "document", "body", "raw_content", "passage", "article", "page_content", "raw_text", "full_text"
)  # fmt: skip
ID_NAMES = ("id", "doc_id", "_id", "uuid")
# What stands for the text field of a corpus that is opened as rows, which has none.
ROWS = "@rows"
START_ROWS = 100
START_BLOCKS = 32
START_BYTES = 1 << 16
# So many files are looked at before anything is read; the others when their turn comes.
FILES_AHEAD = 1000
REMOTE_AHEAD = 8


@dataclass(frozen=True, slots=True)
class DetectedColumns:
    """The columns of a source as its start shows them."""

    schema: pa.Schema
    lengths: dict[str, float]
    """Mean length of the values of each column of strings; 0 where the format tells types without values."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A schema that the first rows seem to follow."""

    schema: str
    has_text: bool
    """Whether one of them gives turns."""
    problem: str | None
    """Why the first row cannot be read, where none can."""


def detect_source_columns(source: Source) -> DetectedColumns | None:
    """The columns of a source; None where its start has no row that could be read."""
    try:
        if (read_schema := FORMATS[source.format].read_schema) is not None:
            schema = read_schema(source)
            return DetectedColumns(schema, {column.name: 0.0 for column in schema if holds_text(column.type)})
        records = read_start(source)
    except BrokenSourceError:
        return None
    return infer_columns(records, untyped=FORMATS[source.format].only_strings) if records else None


def read_start(source: Source) -> list[dict[str, Any]]:
    """The first rows of a source, without those that could not be read."""
    blocks = read_blocks(source, ReadStart(), ReadOptions(None, None, whole=True, chunk_bytes=START_BYTES))
    rows = (row for block in itertools.islice(blocks, START_BLOCKS) for row in list_records(block))
    return list(itertools.islice(rows, START_ROWS))


def list_records(block: RowBlock) -> Iterable[dict[str, Any]]:
    held = block.content
    rows = to_records(held.slice(0, START_ROWS)) if isinstance(held, pa.Table) else held or []
    return (row for row in rows if isinstance(row, dict))


def infer_columns(records: Sequence[dict[str, object]], untyped: bool) -> DetectedColumns:
    """Columns and their types. In ``untyped`` files (CSV) a column of spelled numbers is text by its name alone."""
    schema = tabulate(records, None).schema
    lengths = {}
    for column in schema:
        if holds_text(column.type):
            texts = [value for record in records if isinstance(value := record.get(column.name), str)]
            if texts and not (untyped and column.name not in TEXT_NAMES and all(map(is_number, texts))):
                lengths[column.name] = sum(map(len, texts)) / len(texts)
    return DetectedColumns(schema, lengths)


def is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def holds_text(kind: pa.DataType) -> bool:
    return not pa.types.is_null(kind) and as_text(pa.nulls(0, kind)) is not None


def settle_text_field(
    wanted: str | None, sources: Sequence[Source], columns: Sequence[DetectedColumns | None], where: str
) -> str:
    """The text field: the one that is wanted, else the column or ``@SCHEMA`` that is obvious, else a CorpusError."""
    if not wanted:
        return choose_text_field(sources, columns, where)
    known = any(find_type(seen.schema, wanted) is not None for seen in columns if seen is not None)
    if wanted.startswith(MARK) and find_conversation(wanted) is None and not known:
        schemas = ", ".join(MARK + schema for schema in SCHEMAS)
        raise UsageError(f"--text-field {wanted}: no schema has that name", f"known are {schemas}")
    return wanted


def choose_text_field(sources: Sequence[Source], columns: Sequence[DetectedColumns | None], where: str) -> str:
    """A column with the name of a text, else conversations, else the only column of strings, else a CorpusError.

    The only column of strings comes last because it may be what lies beside the conversations, such as their source.
    """
    texts = measure_texts(seen for seen in columns if seen is not None)
    names = list(dict.fromkeys(name for seen in columns if seen is not None for name in seen.schema.names))
    named = next((name for name in TEXT_NAMES if name in texts), None)
    if named is not None or not names:
        return named or TEXT_NAMES[0]
    alone = [name for name in texts if name not in ID_NAMES]
    guess = guess_schema(sources, columns)
    if guess is not None and (guess.has_text or (guess.problem is None and len(alone) != 1)):
        return MARK + guess.schema
    if len(alone) == 1:
        return alone[0]
    likely = max(alone, key=lambda name: texts[name]) if any(texts.values()) and alone else "NAME"
    found = f"{where} has no obvious text column; it has: {list_names(names)}"
    if guess is not None:
        found += f'; its first rows are no conversations in the schema "{guess.schema}" ({guess.problem})'
    raise CorpusError(found, f"curate score … --text-field {likely}")


def measure_texts(columns: Iterable[DetectedColumns]) -> dict[str, float]:
    """The greatest mean length of each column of strings."""
    texts: dict[str, float] = {}
    for seen in columns:
        for name, length in seen.lengths.items():
            texts[name] = max(texts.get(name, 0.0), length)
    return texts


def guess_schema(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> Guess | None:
    """The schema of the first source that has rows; None where they look like no conversations."""
    for source, seen in zip(sources, columns, strict=True):
        try:
            rows = read_start(source) if seen is not None else []
        except BrokenSourceError:
            continue
        if rows and seen is not None:
            schema = detect_schema(seen.schema.names, rows)
            return None if schema is None else try_schema(schema, rows)
    return None


def try_schema(schema: str, rows: Sequence[Mapping[str, object]]) -> Guess:
    problems: list[str] = []
    for row in rows:
        try:
            if read_turns(row, schema):
                return Guess(schema, True, None)
        except ConversationError as error:
            problems.append(str(error))
    return Guess(schema, False, problems[0] if len(problems) == len(rows) else None)


def choose_id_field(columns: Sequence[DetectedColumns]) -> str | None:
    names = {name for seen in columns for name in seen.schema.names}
    return next((name for name in ID_NAMES if name in names), None)


def list_names(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def check_field(source: Source, seen: DetectedColumns | None, field: str) -> None:
    """CorpusError where no row at the start of a source has the field, or its column cannot hold text.

    For ``@SCHEMA``, where the columns of the schema are missing or cannot hold what it reads.
    """
    conversation = find_conversation(field)
    if conversation is not None:
        check_conversation(source, seen, conversation)
    elif seen is not None and seen.schema.names:
        check_column(source, seen, field)


def check_column(source: Source, seen: DetectedColumns, field: str) -> None:
    kind = find_type(seen.schema, field)
    if kind is None:
        raise CorpusError(
            f'{source.name} has no column "{field}"; it has: {list_names(seen.schema.names)}',
            "curate score … --text-field NAME, or leave the file out",
        )
    if FORMATS[source.format].is_columnar and not pa.types.is_null(kind) and not holds_text(kind):
        raise CorpusError(
            f'{source.name}: column "{field}" holds {kind}, not text; there are: {list_names(seen.schema.names)}',
            "curate score … --text-field NAME",
        )


def check_conversation(source: Source, seen: DetectedColumns | None, schema: str) -> None:
    hint = "curate score … --text-field NAME, or leave the file out"
    if source.format == "text":
        raise CorpusError(f'{source.name} is plain text, not conversations in the schema "{schema}"', hint)
    if seen is None or not seen.schema.names:
        return
    typed = FORMATS[source.format].is_columnar
    try:
        read_conversation({column.name: make_example(column.type) if typed else None for column in seen.schema}, schema)
    except ConversationError as error:
        names = seen.schema.names
        wrong = f'has no column {error.expected}, which the schema "{schema}" reads'
        if error.column in names:
            wrong = f'holds {seen.schema.field(error.column).type} in "{error.column}", not {error.expected}'
        raise CorpusError(f"{source.name} {wrong}; it has: {list_names(names)}", hint) from error


def make_example(kind: pa.DataType) -> object:
    """A value of a type for a schema to judge, None where some values of the type are turns."""
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return 0
    may_speak = is_string(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind) or pa.types.is_nested(kind)
    return None if may_speak else kind


def find_type(schema: pa.Schema, field: str) -> pa.DataType | None:
    """The type of a column, or of a field within it by a path with dots; None where there is none."""
    if field in schema.names:
        return schema.field(field).type
    first, *rest = field.split(".")
    if not rest or first not in schema.names:
        return None
    kind = schema.field(first).type
    for part in rest:
        if pa.types.is_large_string(kind):
            return kind  # An object without a common type: only its rows can tell.
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return None
        kind = kind.field(kind.get_field_index(part)).type
    return kind


def merge_columns(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> pa.Schema | None:
    """The types that the columns of sources without types of their own begin with."""
    schema = None
    for source, seen in zip(sources, columns, strict=True):
        if seen is not None and not FORMATS[source.format].is_columnar:
            schema = merge_schemas(schema, seen.schema)
    return schema
