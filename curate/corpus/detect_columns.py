"""Detection, from the first rows, of the column of the text or the schema of conversations, and of the id."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.rows import MARK, find_conversation
from curate.corpus.chat.schemas import SCHEMAS, read_conversation, read_turns
from curate.corpus.chat.types import ConversationError
from curate.corpus.files.contents import resolve_contents
from curate.corpus.readers import FORMATS, read_blocks
from curate.corpus.readers.arrow_blocks import as_text, to_records
from curate.corpus.readers.json_layout import DOMINANCE, find_layout
from curate.corpus.types import TEXT_NAMES, BrokenSourceError, ReadOptions, ReadStart, RowBlock, Source
from curate.corpus.values.arrow_types import is_string, merge_schemas, tabulate
from curate.corpus.values.arrow_values import is_json
from curate.errors import CorpusError, UsageError
from curate.runtime.text import quote_path, quote_word

ID_NAMES = ("id", "doc_id", "_id", "uuid")
# The text field of a corpus of ``open_records``, which has no text.
ROWS = "@rows"
HINT = "--text-field NAME, or leave the file out of the corpus"
START_ROWS = 100
START_BLOCKS = 32
START_BYTES = 1 << 16
# So many files are looked at when the corpus is opened; the others when their turn comes.
FILES_AHEAD = 1000
REMOTE_AHEAD = 8


@dataclass(frozen=True, slots=True)
class DetectedColumns:
    """The columns of a source, from its start."""

    schema: pa.Schema
    """Columns and their types."""
    lengths: dict[str, float]
    """Mean length of the values of each column of strings; 0 for formats that state types."""
    nested_bytes: float = 0.0
    """Mean size of the lists and objects of a row, as JSON; 0 for formats that state types."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A schema that the first rows seem to follow."""

    schema: str
    has_text: bool
    """Whether one of the rows has turns."""
    problem: str | None
    """Why the first row cannot be read, where no row can."""


def detect_source_columns(source: Source) -> DetectedColumns | None:
    """Return the columns of a source; None where its start has no readable row."""
    try:
        if (read_schema := FORMATS[source.format].read_schema) is not None:
            schema = read_schema(source)
            texts = [column.name for column in schema if holds_text(column.type) and not is_json(column.type)]
            return DetectedColumns(schema, dict.fromkeys([*texts, *find_json_texts(source, schema)], 0.0))
        records = read_start(source)
    except BrokenSourceError:
        return None
    return infer_columns(records, untyped=FORMATS[source.format].only_strings) if records else None


def find_json_texts(source: Source, schema: pa.Schema) -> list[str]:
    """Return the columns of JSON values with a string among the first rows. Raises what ``read_start`` raises."""
    names = [column.name for column in schema if is_json(column.type)]
    rows = read_start(source) if names else []
    return [name for name in names if any(isinstance(row.get(name), str) for row in rows)]


def read_start(source: Source) -> list[dict[str, Any]]:
    """Return the first rows of a source, without unreadable ones. Raises BrokenSourceError and StorageError."""
    blocks = read_blocks(source, ReadStart(), ReadOptions(None, None, all_columns=True, chunk_bytes=START_BYTES))
    rows = (row for block in itertools.islice(blocks, START_BLOCKS) for row in list_records(block))
    return list(itertools.islice(rows, START_ROWS))


def list_records(block: RowBlock) -> Iterable[dict[str, Any]]:
    """Return the readable rows of a block as dicts, at most START_ROWS of a table."""
    content = block.content
    rows = to_records(content.slice(0, START_ROWS)) if isinstance(content, pa.Table) else content or []
    return (row for row in rows if isinstance(row, dict))


def infer_columns(records: Sequence[dict[str, object]], untyped: bool) -> DetectedColumns:
    """Return columns and their types. In ``untyped`` files (CSV) a column of numbers is text only by its name."""
    schema = tabulate(records, None).schema
    lengths = {}
    for column in schema:
        if holds_text(column.type):
            texts = [value for record in records if isinstance(value := record.get(column.name), str)]
            if texts and not (untyped and column.name not in TEXT_NAMES and all(map(is_number, texts))):
                lengths[column.name] = sum(map(len, texts)) / len(texts)
    return DetectedColumns(schema, lengths, 0.0 if untyped else measure_nested(records))


def measure_nested(records: Sequence[dict[str, object]]) -> float:
    """Return the mean size of the lists and objects of records, in bytes of JSON."""
    nested = [value for record in records for value in record.values() if isinstance(value, (list, dict))]
    return sum(len(json.dumps(value, ensure_ascii=False)) for value in nested) / max(1, len(records))


def is_number(text: str) -> bool:
    """Return whether a string is a number or empty."""
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def holds_text(kind: pa.DataType) -> bool:
    """Return whether values of a type can be texts: strings or bytes, also in dictionaries, or JSON."""
    if is_json(kind):
        return True
    return not pa.types.is_null(kind) and as_text(pa.nulls(0, kind)) is not None


def settle_text_field(
    text_field: str | None, sources: Sequence[Source], columns: Sequence[DetectedColumns | None], where: str
) -> str:
    """Return the given text field, or the detected one. Raises UsageError for an unknown schema, and CorpusError."""
    if not text_field:
        return choose_text_field(sources, columns, where)
    known = any(find_type(seen.schema, text_field) is not None for seen in columns if seen is not None)
    if text_field.startswith(MARK) and find_conversation(text_field) is None and not known:
        schemas = ", ".join(MARK + schema for schema in SCHEMAS)
        raise UsageError(f"--text-field {text_field}: there is no schema of this name", f"schemas: {schemas}")
    return text_field


def choose_text_field(sources: Sequence[Source], columns: Sequence[DetectedColumns | None], where: str) -> str:
    """Return a column with the name of a text, else the schema of conversations, else the only column of strings.

    The only column of strings comes last because it may belong to conversations, such as their source, and only where
    the rows do not have ``DOMINANCE`` times as much in lists and objects. Raises CorpusError where the choice is not
    obvious; ``where`` names the corpus in its message.
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
    nested = max(seen.nested_bytes for seen in columns if seen is not None)
    if len(alone) == 1 and nested <= DOMINANCE * texts[alone[0]]:
        return alone[0]
    refuse_lists(sources, columns)
    likely = max(alone, key=lambda name: texts[name]) if any(texts.values()) and alone else "NAME"
    message = f"{where} has no obvious text column; it has: {list_names(names)}"
    if guess is not None:
        message += f'; its first rows are not conversations in the schema "{guess.schema}" ({guess.problem})'
    raise CorpusError(message, f"--text-field {quote_word(likely)}")


def refuse_lists(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> None:
    """Raise CorpusError for a JSON file that is one object with lists of records, none of which is the obvious one."""
    for source, seen in zip(sources, columns, strict=True):
        lists = () if seen is None or source.format not in ("json", "jsonl") else find_lists(source)
        if lists:
            listed = ", ".join(f'"{".".join(path)}" ({count:,})' for path, count in lists)
            keys, _ = max(lists, key=lambda each: each[1])
            path = "".join(f"[{json.dumps(key)}]" for key in keys)
            name = quote_word(f"{keys[-1]}.jsonl")
            raise CorpusError(
                f"{source.name} is one object, not a document; it has lists of records: {listed}",
                f"jq -c {quote_word(f'.{path}[]')} {quote_path(source.path)} > {name}",
            )


def find_lists(source: Source) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Return the lists of objects in a JSON file that is one object and is read as one row, with their lengths."""
    try:
        return find_layout(resolve_contents(source)).lists
    except BrokenSourceError:
        return ()


def measure_texts(columns: Iterable[DetectedColumns]) -> dict[str, float]:
    """Return the largest mean length, over sources, of each column of strings."""
    texts: dict[str, float] = {}
    for seen in columns:
        for name, length in seen.lengths.items():
            texts[name] = max(texts.get(name, 0.0), length)
    return texts


def guess_schema(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> Guess | None:
    """Return the schema of the first source that has rows; None where they follow no schema."""
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
    """Return whether a schema reads text from one of the rows, and what is wrong with the first if it reads none."""
    problems: list[str] = []
    for row in rows:
        try:
            if read_turns(row, schema):
                return Guess(schema, True, None)
        except ConversationError as error:
            problems.append(str(error))
    return Guess(schema, False, problems[0] if len(problems) == len(rows) else None)


def choose_id_field(columns: Sequence[DetectedColumns]) -> str | None:
    """Return the first of ``ID_NAMES`` that a source has, None where none has one."""
    names = {name for seen in columns for name in seen.schema.names}
    return next((name for name in ID_NAMES if name in names), None)


def list_names(names: Sequence[str], most: int = 20) -> str:
    """Return the first ``most`` names, separated by commas."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def check_field(source: Source, seen: DetectedColumns | None, field: str) -> None:
    """Raise CorpusError where no row at the start of a source has the text field, or its column cannot have text.

    For ``@SCHEMA``, raise it where the columns of the schema are missing or have types that it does not read.
    """
    conversation = find_conversation(field)
    if conversation is not None:
        check_conversation(source, seen, conversation)
    elif seen is not None and seen.schema.names:
        check_column(source, seen, field)


def check_column(source: Source, seen: DetectedColumns, field: str) -> None:
    """Raise CorpusError for a source without the column, or with values that are not texts in it."""
    kind = find_type(seen.schema, field)
    if kind is None:
        raise CorpusError(
            f'{source.name} has no column "{field}"; it has: {list_names(seen.schema.names)}',
            HINT,
        )
    if FORMATS[source.format].is_columnar and not pa.types.is_null(kind) and not holds_text(kind):
        raise CorpusError(
            f'{source.name}: column "{field}" holds {kind}, not text; there are: {list_names(seen.schema.names)}',
            HINT,
        )


def check_conversation(source: Source, seen: DetectedColumns | None, schema: str) -> None:
    """Raise CorpusError for a source whose columns or types a schema of conversations cannot read."""
    hint = HINT
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
    """Return a value of a type with which to test a schema, None where some values of the type are turns."""
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return 0
    may_speak = (
        is_string(kind)
        or is_json(kind)
        or pa.types.is_dictionary(kind)
        or pa.types.is_null(kind)
        or pa.types.is_nested(kind)
    )
    return None if may_speak else kind


def find_type(schema: pa.Schema, field: str) -> pa.DataType | None:
    """Return the type of a column, or of a field within it by a path with dots; None where there is none."""
    if field in schema.names:
        return schema.field(field).type
    first, *rest = field.split(".")
    if not rest or first not in schema.names:
        return None
    kind = schema.field(first).type
    for part in rest:
        if pa.types.is_large_string(kind) or is_json(kind):
            return kind  # An object without a common type: only its rows can tell.
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return None
        kind = kind.field(kind.get_field_index(part)).type
    return kind


def merge_columns(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> pa.Schema | None:
    """Return the types with which the columns of JSON, CSV and text sources begin; None without such sources."""
    schema = None
    for source, seen in zip(sources, columns, strict=True):
        if seen is not None and not FORMATS[source.format].is_columnar:
            schema = merge_schemas(schema, seen.schema)
    return schema


def list_start_schemas(columns: Sequence[DetectedColumns | None]) -> tuple[pa.Schema, ...]:
    """Return the distinct schemas with which the sources begin, in their order."""
    return tuple(dict.fromkeys(seen.schema.remove_metadata() for seen in columns if seen is not None))


def are_all_typed(sources: Sequence[Source], columns: Sequence[DetectedColumns | None]) -> bool:
    """Return whether the starts show every field that any row may have: all sources state their types."""
    typed = all(FORMATS[source.format].is_columnar for source in sources)
    return typed and all(seen is not None for seen in columns)


def free_text(schema: pa.Schema | None, text_field: str) -> pa.Schema | None:
    """Return the schema with strings for texts: rows where the text is something else are unreadable, and have none."""
    if schema is None or text_field not in schema.names:
        return schema
    number = schema.get_field_index(text_field)
    return schema.set(number, schema.field(number).with_type(pa.large_string()))


def list_column_names(seen: Sequence[DetectedColumns]) -> tuple[str, ...]:
    """Return the names of the columns of all sources, each once, in the order of their first source."""
    return tuple(dict.fromkeys(name for column in seen for name in column.schema.names))
