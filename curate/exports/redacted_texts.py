"""Personal data and secrets in the texts that are exported: labels in their place, and how many there are.

The text of a document is its column, a field within one, or the columns of its conversation, in which every string is
redacted by itself. Other columns stay as they are, ids among them. Passages that are cut out are positions of the
original text. So what is found in it comes first: a passage takes with it all of a secret that reaches into it, and
what is left is redacted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curate.corpus import Corpus, Documents
from curate.corpus.chat.rows import list_columns
from curate.corpus.values.arrow_strings import replace_in_value, replace_strings
from curate.corpus.values.arrow_values import to_values
from curate.exports import leaked_passages
from curate.runtime.arrays import BoolArray
from curate.runtime.redaction import Redactor

Paths = Mapping[str, Sequence[str]]
"""The columns that hold text, each with the keys that lead to it within a value."""


@dataclass(slots=True)
class RedactedRows:
    """What was replaced in some rows of a slice."""

    replacements: dict[int, Counter[str]] = field(default_factory=dict)
    """By index of the row, then by kind; rows without any are left out."""
    strings: dict[str | bytes, str | bytes] = field(default_factory=dict)
    """The strings in which something was found, redacted."""

    def note(self, index: int, counts: Mapping[str, int]) -> None:
        """Add what was replaced in a row."""
        if counts:
            self.replacements.setdefault(index, Counter()).update(counts)

    def count_rows(self, num_rows: int) -> pa.Array:
        """Return the number of replacements in each row."""
        return pa.array([self.replacements.get(index, Counter()).total() for index in range(num_rows)], pa.int64())

    def count_kinds(self) -> Counter[str]:
        """Return the number of replacements by kind."""
        return sum(self.replacements.values(), Counter())


def list_text_columns(corpus: Corpus, names: Sequence[str]) -> Paths:
    """Return the columns among ``names`` that hold text, each with the keys that lead to it within a value."""
    if corpus.conversation is not None:
        return {name: () for name in list_columns(corpus.conversation) if name in names}
    if corpus.text_field in names:
        return {corpus.text_field: ()}
    first, *inner = corpus.text_field.split(".")
    return {first: tuple(inner)}


def redact_columns(
    table: pa.Table, columns: Paths, kept: BoolArray, redactor: Redactor
) -> tuple[pa.Table, RedactedRows]:
    """Return a table with every string of some columns redacted in the rows that are kept, and what was replaced.

    Another row that has the same string may be redacted too.
    """
    rows = RedactedRows()
    for name, path in columns.items():
        values = to_values(table.column(name))
        for index in kept.nonzero()[0].tolist():
            for text in _list_strings(values[index], path):
                rows.note(index, _redact_string(text, redactor, rows.strings))
        if rows.strings:
            number = table.column_names.index(name)
            table = table.set_column(number, name, replace_strings(table.column(name), rows.strings, path))
    return table, rows


def redact_record(record: dict[str, Any], columns: Paths, redactor: Redactor) -> dict[str, Any]:
    """Return a row as it was read with every string of some columns redacted."""
    strings: dict[str | bytes, str | bytes] = {}
    for name, path in columns.items():
        for text in _list_strings(record.get(name), path):
            _redact_string(text, redactor, strings)
    return {
        name: replace_in_value(value, strings, columns[name]) if name in columns else value
        for name, value in record.items()
    }


def _redact_string(text: str | bytes, redactor: Redactor, strings: dict[str | bytes, str | bytes]) -> Mapping[str, int]:
    """Return the replacements in a string by kind, and add the redacted string where there are any."""
    found = redactor.redact(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)
    if found.spans:
        strings[text] = found.text.encode("utf-8", "surrogateescape") if isinstance(text, bytes) else found.text
    return found.counts()


def _list_strings(value: Any, path: Sequence[str] = ()) -> Iterator[str | bytes]:
    """Yield the strings and bytes of a value at the end of a path, keys of objects left out."""
    if path:
        if isinstance(value, dict):
            yield from _list_strings(value.get(path[0]), path[1:])
    elif isinstance(value, (str, bytes)):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _list_strings(inner)


def cut_and_redact(
    documents: Documents, table: pa.Table, column: str, hits: leaked_passages.Hits, kept: BoolArray, redactor: Redactor
) -> tuple[pa.Table, pa.Array, RedactedRows]:
    """Return the rows of a slice without the passages to cut, and with what is left of their texts redacted.

    The other results are the characters cut from each row, and what was replaced. Raises TableError where a passage is
    not in the text.
    """
    rows, changed, removed = RedactedRows(), dict[int, str](), [0] * len(documents)
    listed = zip(documents.rows.tolist(), documents.texts, kept.tolist(), strict=True)
    for index, (row, text, is_kept) in enumerate(listed):
        if text is None or not is_kept:
            continue
        passages = [hit for hit in hits.get(row, ()) if hit["action"] == "cut"]
        merged = leaked_passages.merge_passages(documents.mark.file, row, text, passages)
        redaction = redactor.redact(text)
        merged = leaked_passages.merge_spans(redaction.widen(merged))
        left = redaction.without(merged)
        rows.note(index, left.counts())
        removed[index] = leaked_passages.count_characters(merged)
        if merged or left.spans:
            changed[index] = leaked_passages.cut_spans(left.text, [left.move_span(span) for span in merged])
    table = leaked_passages.replace_texts(table, column, changed) if changed else table
    return table, pa.array(removed, pa.int64()), rows
