"""Which column is the text and which is the id, seen from the first rows of the files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from curate.corpus.batches import as_text
from curate.corpus.columnar import read_schema
from curate.corpus.columntypes import merge_schemas, tabulate
from curate.corpus.formats import read_blocks
from curate.corpus.separated import DELIMITERS
from curate.corpus.sources import COLUMNAR
from curate.corpus.values import BrokenSourceError, Reading, Source, Start
from curate.errors import CorpusError

TEXT_NAMES = (
    "text", "content", "document", "body", "raw_content", "passage", "article", "page_content", "raw_text", "full_text"
)  # fmt: skip
ID_NAMES = ("id", "doc_id", "_id", "uuid")
START_ROWS = 100
START_BLOCKS = 32
START_BYTES = 1 << 16
# So many files are looked at before anything is read; the others when their turn comes.
FILES_AHEAD = 1000
REMOTE_AHEAD = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a source as its start shows them."""

    schema: pa.Schema
    lengths: dict[str, float]
    """Mean length of the values of each column of strings; 0 where the format tells types without values."""


def look_at(source: Source) -> Columns | None:
    """The columns of a source; None where its start has no row that could be read."""
    try:
        if source.format in COLUMNAR:
            schema = read_schema(source)
            return Columns(schema, {column.name: 0.0 for column in schema if holds_text(column.type)})
        blocks = read_blocks(source, Start(), Reading(None, None, whole=True, chunk_bytes=START_BYTES))
        rows = (row for block in itertools.islice(blocks, START_BLOCKS) for row in block.content or [])
        records = list(itertools.islice((row for row in rows if row is not None), START_ROWS))
    except BrokenSourceError:
        return None
    return columns_of(records, untyped=source.format in DELIMITERS) if records else None


def columns_of(records: Sequence[dict[str, object]], untyped: bool) -> Columns:
    """Columns and their types. In ``untyped`` files (CSV) a column of spelled numbers is text by its name alone."""
    schema = tabulate(records, None).schema
    lengths = {}
    for column in schema:
        if holds_text(column.type):
            texts = [value for record in records if isinstance(value := record.get(column.name), str)]
            if texts and not (untyped and column.name not in TEXT_NAMES and all(map(is_number, texts))):
                lengths[column.name] = sum(map(len, texts)) / len(texts)
    return Columns(schema, lengths)


def is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def holds_text(kind: pa.DataType) -> bool:
    return not pa.types.is_null(kind) and as_text(pa.nulls(0, kind)) is not None


def choose_text(columns: Sequence[Columns], where: str) -> str:
    """The column of the text where that is obvious, else a CorpusError that lists what there is."""
    texts: dict[str, float] = {}
    for seen in columns:
        for name, length in seen.lengths.items():
            texts[name] = max(texts.get(name, 0.0), length)
    for name in TEXT_NAMES:
        if name in texts:
            return name
    names = list(dict.fromkeys(name for seen in columns for name in seen.schema.names))
    alone = [name for name in texts if name not in ID_NAMES]
    if len(alone) == 1:
        return alone[0]
    if not names:
        return TEXT_NAMES[0]
    guess = max(alone, key=lambda name: texts[name]) if any(texts.values()) and alone else "NAME"
    raise CorpusError(
        f"{where} has no obvious text column; it has: {list_names(names)}", f"curate score … --text-field {guess}"
    )


def choose_id(columns: Sequence[Columns]) -> str | None:
    names = {name for seen in columns for name in seen.schema.names}
    return next((name for name in ID_NAMES if name in names), None)


def list_names(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def check_field(source: Source, seen: Columns | None, field: str) -> None:
    """CorpusError where no row at the start of a source has the field, or its column cannot hold text."""
    if seen is None or not seen.schema.names:
        return
    kind = find_type(seen.schema, field)
    if kind is None:
        raise CorpusError(
            f'{source.name} has no column "{field}"; it has: {list_names(seen.schema.names)}',
            "curate score … --text-field NAME, or leave the file out",
        )
    if source.format in COLUMNAR and not pa.types.is_null(kind) and not holds_text(kind):
        raise CorpusError(
            f'{source.name}: column "{field}" holds {kind}, not text; there are: {list_names(seen.schema.names)}',
            "curate score … --text-field NAME",
        )


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


def merge_columns(sources: Sequence[Source], columns: Sequence[Columns | None]) -> pa.Schema | None:
    """The types that the columns of sources without types of their own begin with."""
    schema = None
    for source, seen in zip(sources, columns, strict=True):
        if seen is not None and source.format not in COLUMNAR:
            schema = merge_schemas(schema, seen.schema)
    return schema
