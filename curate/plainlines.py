"""Slices of plain JSON lines, read at once where every line is an ordinary document.

The bytes of such a slice are known from its mark. Any other slice (a bad or blank line, a number that orjson would
round, a text that is no string) is left to ``curate.corpus``, which knows what to do about it.
"""

import operator
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from curate.corpus import Corpus, SliceMark, Source
from curate.corpus.columntypes import encode, infer_type
from curate.corpus.records import HUGE, holds_huge
from curate.corpus.streams import is_url


@dataclass(frozen=True, slots=True)
class Lines:
    """The documents of a slice."""

    records: list[dict[str, Any]]
    texts: list[str]
    octets: int
    columns: dict[str, pa.DataType]
    """The types that ``tabulate`` finds for them."""


def read_plain(corpus: Corpus, source: Source, behind: SliceMark | None, mark: SliceMark) -> Lines | None:
    """The slice of a mark, None where it has to be read with more care."""
    if not _may_be_plain(corpus, source) or mark.next_offset is None or mark.documents == 0:
        return None
    begin = 0 if behind is None else behind.next_offset
    if begin is None or mark.next_row - mark.first_row != mark.documents:
        return None
    try:
        with open(source.path, "rb", buffering=0) as file:
            file.seek(begin)
            data = file.read(mark.next_offset - begin)
    except OSError:
        return None
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(data) != mark.next_offset - begin or len(lines) != mark.documents:
        return None
    return _parse(lines, corpus, len(data))


def _may_be_plain(corpus: Corpus, source: Source) -> bool:
    local = source.format == "jsonl" and source.compression is None and not is_url(source.path)
    return local and corpus.sample is None and corpus.conversation is None


def _parse(lines: list[bytes], corpus: Corpus, octets: int) -> Lines | None:
    try:
        records = list(map(orjson.loads, lines))
        texts = list(map(operator.itemgetter(corpus.text_field), records))
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if set(map(type, records)) != {dict} or set(map(type, texts)) != {str}:
        return None
    columns = _normalise(records, corpus.schema)
    return None if columns is None else Lines(records, texts, octets, columns)


def _normalise(records: list[dict[str, Any]], schema: pa.Schema | None) -> dict[str, pa.DataType] | None:
    """The types of the columns; the values of those that a table would hold otherwise are replaced by what it holds.

    None where a float is so large that it may have been a whole number.
    """
    known = {column.name: column.type for column in schema} if schema is not None else {}
    names = dict.fromkeys([*known, *(name for shape in dict.fromkeys(map(tuple, records)) for name in shape)])
    types = {}
    for name in names:
        values = [record.get(name) for record in records]
        kinds = set(map(type, values)) - {type(None)}
        if (float in kinds and any(type(value) is float and abs(value) >= HUGE for value in values)) or (
            kinds & {dict, list} and any(map(holds_huge, values))
        ):
            return None
        kind = known.get(name) if kinds == {str} else None
        types[name] = pa.large_string() if kind == pa.large_string() else infer_type(values, known.get(name))
        if not _is_held(kinds, types[name]):
            held = encode(values, types[name]).to_pylist()
            for record, value in zip(records, held, strict=True):
                if name in record:
                    record[name] = value
    return types


def _is_held(kinds: set[type], kind: pa.DataType) -> bool:
    """Whether a column gives back the values as they are."""
    plain = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return not kinds or (len(kinds) == 1 and plain.get(next(iter(kinds))) == kind)
