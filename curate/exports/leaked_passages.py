"""The leaks of the documents that are exported: named in a column, or cut out of the text.

Hits are in the order of the corpus, so those of a slice follow those of the slice before, however the hits themselves
were sliced. Memory: one part of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus import Corpus, Documents, SliceMark
from curate.corpus.values.arrow_types import is_binary
from curate.errors import TableError, UsageError
from curate.rundir import parquet, sql
from curate.rundir.run import Run
from curate.rundir.verdicts.rejections import Rejections, hits_source

COLUMNS = ["file", "row", "turn", "eval_set", "verdict", "action", "start", "end"]
ACTIONS = {"drop": "drop", "mark": "mark", "cut-span": "cut", "cut": "cut"}
"""From the value of ``decontaminate --action`` to the action in the hits."""

Hits = Mapping[int, Sequence[Mapping[str, Any]]]
"""The leaks of each row that has any."""


@dataclass(frozen=True, slots=True)
class LeakTreatment:
    """What an export does about leaks, apart from leaving documents out. False where that is nothing."""

    marks: bool = False
    """Add the column ``eval_sets``."""
    cuts: bool = False
    """Cut passages out of the text, and add the column ``cut_characters``."""

    def __bool__(self) -> bool:
        return self.marks or self.cuts


def choose_treatment(run: Run, rejections: Rejections, corpus: Corpus) -> LeakTreatment:
    """Return what ``decontaminate --action`` chose, together with the actions in the hits.

    Raises UsageError where passages would be cut out of a text that is no column of its own.
    """
    if rejections.hits is None:
        return LeakTreatment()
    actions = {ACTIONS.get(rejections.hits["parameters"].get("action", "drop"), "drop"), *_find_actions(run)}
    if "cut" in actions:
        _check_column(corpus)
    return LeakTreatment("mark" in actions, "cut" in actions)


def _find_actions(run: Run) -> set[str]:
    """Return the actions in the hits."""
    parts = parquet.list_parts(run.hits)
    query = f"SELECT DISTINCT action FROM {hits_source(run)}" if parts else "SELECT 'none'"
    return {str(action) for (action,) in sql.ask(query)}


def _check_column(corpus: Corpus) -> None:
    """Raise UsageError unless the text is a column."""
    field = corpus.text_field
    if field.startswith("@") or ("." in field and field not in corpus.columns):
        what = "a conversation" if field.startswith("@") else f"the nested column {field}"
        message = f"passages cannot be cut out of {what}"
        raise UsageError(message, "curate decontaminate … --action drop, or --action mark")


class LeakedPassages:
    """The leaks of a run, slice by slice."""

    __slots__ = ("_hits", "_next", "_path")

    def __init__(self, run: Run):
        self._path = run.hits
        self._hits = _read_leaks(run)
        self._next = next(self._hits, None)

    def take(self, documents: Documents) -> dict[int, list[dict[str, Any]]]:
        """Return the leaks of the next slice by row; slices come in the order of the corpus.

        Raises TableError where a hit has no document.
        """
        hits = self.collect(documents.mark)
        check_rows(self._path, documents.mark.file, hits, documents.rows.tolist())
        return hits

    def collect(self, mark: SliceMark) -> dict[int, list[dict[str, Any]]]:
        """Return the leaks between the ends of the next slice by row, without checking that documents are there."""
        hits: dict[int, list[dict[str, Any]]] = {}
        while self._next is not None and self._next["file"] == mark.file and self._next["row"] < mark.next_row:
            hits.setdefault(self._next["row"], []).append(self._next)
            self._next = next(self._hits, None)
        return hits

    def check_end(self) -> None:
        """Raise TableError where a hit is behind the last slice."""
        if self._next is not None:
            raise _missing_error(self._path, self._next["file"], self._next["row"])


def check_rows(path: Path, file: str, hits: Hits, rows: Sequence[int]) -> None:
    """Raise TableError where a hit has no document among ``rows`` of ``file``; ``path`` is that of the hits."""
    missing = hits.keys() - set(rows)
    if missing:
        raise _missing_error(path, file, min(missing))


def _missing_error(path: Path, file: str, row: int) -> TableError:
    return TableError(f"{path} has a hit at {file}, row {row}, where no document is", "curate decontaminate")


def _read_leaks(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the hits of contaminated documents, in the order of the corpus."""
    for path in parquet.list_parts(run.hits):
        for hit in parquet.read_table(path, columns=COLUMNS).to_pylist():
            if hit["verdict"] == "contaminated":
                yield hit


def name_sets(rows: Sequence[int], hits: Hits) -> pa.Array:
    """Return the eval sets whose items each row contains, as text separated by commas; null for none."""
    names = (", ".join(sorted({hit["eval_set"] for hit in hits[row]})) if row in hits else None for row in rows)
    return pa.array(names, pa.large_string())


def cut_passages(documents: Documents, table: pa.Table, column: str, hits: Hits) -> tuple[pa.Table, pa.Array]:
    """Return the rows of a slice without the passages that are cut out of one column, and the characters cut from each.

    Raises TableError where a passage is not in the text.
    """
    removed, changed = [0] * len(documents), {}
    for index, (row, text) in enumerate(zip(documents.rows.tolist(), documents.texts, strict=True)):
        passages = [hit for hit in hits.get(row, ()) if hit["action"] == "cut"]
        if text is None or not passages:
            continue
        merged = merge_passages(documents.mark.file, row, text, passages)
        changed[index], removed[index] = cut_spans(text, merged), count_characters(merged)
    counts = pa.array(removed, pa.int64())
    return (replace_texts(table, column, changed) if changed else table), counts


def merge_passages(file: str, row: int, text: str, hits: Sequence[Mapping[str, Any]]) -> "list[Span]":
    """Return the passages of some hits in a text, merged. Raises TableError where one is not inside the text."""
    try:
        merged = merge_spans((hit["start"], hit["end"]) for hit in hits)
        check_inside(text, merged)
    except ValueError as error:
        message = f"a hit is not inside the text of {file}, row {row}: {error}"
        raise TableError(message, "curate decontaminate again") from error
    return merged


def replace_texts(table: pa.Table, column: str, changed: Mapping[int, str]) -> pa.Table:
    """Return the table with other texts in some rows of a column of strings or bytes; ``changed`` is by index."""
    number, values = table.column_names.index(column), table.column(column).to_pylist()
    kind = table.schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_bytes = is_binary(kind)
    for index, text in changed.items():
        values[index] = text.encode() if is_bytes else text
    return table.set_column(number, column, pa.array(values, pa.large_binary() if is_bytes else pa.large_string()))


Span = tuple[int, int]
"""Characters [start, end) of a text."""


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the same characters as spans in ascending order that neither overlap nor touch; empty spans vanish.

    Raises ValueError for a span that begins before the text, or ends before it begins.
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if not 0 <= start <= end:
            raise ValueError(f"a span goes from {start} to {end}")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def count_characters(merged: Sequence[Span]) -> int:
    """Return how many characters merged spans have."""
    return sum(end - start for start, end in merged)


def cut_spans(text: str, merged: Sequence[Span]) -> str:
    """Return the text with a space instead of each of some merged spans; everything else is unchanged.

    Where no letter and no digit is left of the lines that a span was in, a line end is written instead of the space, so
    that the lines around it stay apart. Raises ValueError for a span that the text is too short for.
    """
    check_inside(text, merged)
    left = _blank_spans(text, merged)
    pieces, last = [], 0
    for start, end in merged:
        pieces += [text[last:start], " " if _line_has_words(left, start, end) else "\n"]
        last = end
    return "".join([*pieces, text[last:]])


def check_inside(text: str, merged: Sequence[Span]) -> None:
    """Raise ValueError for a merged span that the text is too short for."""
    if merged and merged[-1][1] > len(text):
        raise ValueError(f"a span ends at {merged[-1][1]}, the text at {len(text)}")


def _blank_spans(text: str, merged: Sequence[Span]) -> str:
    """Return the text with a space for each character of the spans."""
    pieces, last = [], 0
    for start, end in merged:
        pieces += [text[last:start], " " * (end - start)]
        last = end
    return "".join([*pieces, text[last:]])


def _line_has_words(text: str, start: int, end: int) -> bool:
    """Return whether the lines that a span is in have a letter or a digit."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return any(map(str.isalnum, text[first : last if last >= 0 else len(text)]))
