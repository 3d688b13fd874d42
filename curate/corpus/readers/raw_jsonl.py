"""A fast path for slices of plain JSON Lines in which every line is an ordinary document.

The mark of such a slice gives its bytes, which are read at once (``read_bytes``). Flat lines under the types of the
corpus are a table (``flat_jsonl``); others are parsed line by line here. All other slices (a bad or blank line, a
number that orjson would round, values nested too deeply, a text that is not a string) are left to the reader of
``curate.corpus``.

An export to JSON Lines can copy the bytes of a line up to its closing brace (``RawLines.heads``), with numbers and
escapes as they were written. That is correct for a slice in which each line is one object that ends in ``}``, without
repeated keys (readers differ in which one counts), of strings, numbers, truth values and nulls.
"""

import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from curate.corpus.corpus import Corpus
from curate.corpus.files.streams import is_url
from curate.corpus.types import SliceMark, Source
from curate.corpus.values.arrow_types import infer_type
from curate.corpus.values.json_records import HUGE, BadRowError, holds_huge

LAST = operator.itemgetter(-1)
MOST_BACKSLASHES = 64


@dataclass(frozen=True, slots=True)
class RawLines:
    """The documents of a slice."""

    records: list[dict[str, Any]]
    texts: list[str]
    octets: int
    """Bytes of the slice."""
    columns: dict[str, pa.DataType]
    """The types that ``tabulate`` infers for them."""
    heads: list[bytes] | None
    """Each line without its closing brace; None where they must be written from the records."""


def read_bytes(corpus: Corpus, source: Source, behind: SliceMark | None, mark: SliceMark) -> bytes | None:
    """Return the bytes of the slice of a mark, if each of its lines may be a document; else None.

    ``behind`` is the mark before it. The last line of a file gets a line end where it has none.
    """
    if not _may_be_plain(corpus, source) or mark.next_offset is None or mark.documents == 0:
        return None
    begin = 0 if behind is None else behind.next_offset
    if begin is None or mark.next_row - mark.first_row != mark.documents:
        return None
    try:
        with open(source.path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), mark.next_offset - begin, begin)
    except OSError:
        return None
    if len(data) != mark.next_offset - begin:
        return None
    return data if data.endswith(b"\n") else data + b"\n"


def _may_be_plain(corpus: Corpus, source: Source) -> bool:
    local = source.format == "jsonl" and source.compression is None and not is_url(source.path)
    return local and corpus.sample is None and corpus.conversation is None


def parse_lines(data: bytes, documents: int, corpus: Corpus) -> RawLines | None:
    """Return the lines of a slice that has so many documents; None for a slice that the full reader must read."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(lines) != documents:
        return None
    try:
        records = list(map(orjson.loads, lines))
        texts = list(map(operator.itemgetter(corpus.text_field), records))
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if set(map(type, records)) != {dict} or set(map(type, texts)) != {str}:
        return None
    columns = _Columns()
    try:
        if not columns.look(records, corpus.schema):
            return None
    except BadRowError:
        return None
    heads = _cut_heads(lines) if columns.is_flat and _count_strings(data) == columns.strings else None
    return RawLines(records, texts, len(data), columns.types, heads)


def _cut_heads(lines: list[bytes]) -> list[bytes] | None:
    """Return the lines without their closing brace; None where a line does not end with one."""
    return [line[:-1] for line in lines] if set(map(LAST, lines)) == {ord("}")} else None


def _count_strings(data: bytes) -> int:
    """Return how many strings, including keys, are in lines of valid JSON; -1 where counting takes too long.

    Each has two quotes that are not escaped, that is, preceded by an even number of backslashes.
    """
    octets = np.frombuffer(data, np.uint8)
    behind = np.flatnonzero(octets == ord('"'))
    count = len(behind)
    for depth in range(1, MOST_BACKSLASHES + 1):  # Inclusion and exclusion of quotes after ``depth`` or more.
        behind = behind[octets[behind - depth] == ord("\\")]
        if not len(behind):
            return count // 2
        count += len(behind) if depth % 2 == 0 else -len(behind)
    return -1


@dataclass(slots=True)
class _Columns:
    """The types of the columns of some records."""

    types: dict[str, pa.DataType] = field(default_factory=dict)
    is_flat: bool = True
    """Whether there are neither lists nor objects."""
    strings: int = 0
    """Keys and strings in the records: fewer than in their lines where one has a key twice."""

    def look(self, records: list[dict[str, Any]], schema: pa.Schema | None) -> bool:
        """Infer the types of all columns.

        Returns False where a float is so large that it may have been a whole number. Raises BadRowError for values
        nested too deeply.
        """
        known = {column.name: column.type for column in schema} if schema is not None else {}
        for name, values in _list_columns(records, known):
            kinds = set(map(type, values)) - {type(None)}
            if _may_be_huge(values, kinds):
                return False
            kind = known.get(name) if kinds == {str} else None
            self.types[name] = pa.large_string() if kind == pa.large_string() else infer_type(values, known.get(name))
            if kinds == {str}:
                self.strings += len(values) - values.count(None)
            elif str in kinds:
                self.strings += sum(type(value) is str for value in values)
            if kinds & {dict, list}:
                self.is_flat = False
        self.strings += sum(map(len, records))
        return True


def _list_columns(records: list[dict[str, Any]], known: Iterable[str]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the values of each column, those of ``known`` first; None where a record has none."""
    shapes = dict.fromkeys(map(tuple, records))
    names = dict.fromkeys([*known, *(name for shape in shapes for name in shape)])
    if len(shapes) > 1:
        yield from ((name, [record.get(name) for record in records]) for name in names)
        return
    columns = dict(zip(next(iter(shapes)), zip(*map(dict.values, records), strict=True), strict=True))
    yield from ((name, columns.get(name) or [None] * len(records)) for name in names)


def _may_be_huge(values: Sequence[Any], kinds: set[type]) -> bool:
    if float in kinds and any(type(value) is float and abs(value) >= HUGE for value in values):
        return True
    return bool(kinds & {dict, list}) and any(map(holds_huge, values))
