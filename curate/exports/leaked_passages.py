"""The leaks of the documents that are exported: named in a column, or cut out of the text.

Hits lie in the order of the corpus, so that those of a slice follow those of the slice before, however the hits
themselves were sliced; memory holds one part of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus, Documents, SliceMark
from curate.errors import TableError, UsageError
from curate.rundir import parquet, sql
from curate.rundir.rejections import Rejections
from curate.rundir.run import Run

COLUMNS = ["file", "row", "turn", "eval_set", "verdict", "action", "start", "end"]
ACTIONS = {"drop": "drop", "mark": "mark", "cut-span": "cut", "cut": "cut"}  # as asked for, as in the hits

Hits = Mapping[int, Sequence[Mapping[str, Any]]]
"""The leaks of each row that has any."""


@dataclass(frozen=True, slots=True)
class LeakTreatment:
    """What an export does about leaks, beside leaving documents out."""

    marks: bool = False
    cuts: bool = False

    def __bool__(self) -> bool:
        return self.marks or self.cuts


def choose_treatment(run: Run, found: Rejections, corpus: Corpus) -> LeakTreatment:
    """What was asked for, or is in the hits. UsageError where a passage could not be cut out of the text."""
    if found.hits is None:
        return LeakTreatment()
    actions = {ACTIONS.get(found.hits["parameters"].get("action", "drop"), "drop"), *_find_actions(run)}
    if "cut" in actions:
        _check_column(corpus)
    return LeakTreatment("mark" in actions, "cut" in actions)


def _find_actions(run: Run) -> set[str]:
    parts = parquet.parts(run.hits)
    query = f"SELECT DISTINCT action FROM {sql.parquet_source(run.hits)}" if parts else "SELECT 'none'"
    return {str(action) for (action,) in sql.connect().execute(query).fetchall()}


def _check_column(corpus: Corpus) -> None:
    field = corpus.text_field
    if field.startswith("@") or ("." in field and field not in corpus.columns):
        what = "a conversation" if field.startswith("@") else f"the nested column {field}"
        message = f"passages cannot be cut out of {what}"
        raise UsageError(message, "curate decontaminate … --action drop, or --action mark")


class LeakedPassages:
    """The leaks of a run, given out slice by slice."""

    __slots__ = ("_hits", "_next", "_place")

    def __init__(self, run: Run):
        self._place = run.hits
        self._hits = _read_leaks(run)
        self._next = next(self._hits, None)

    def take(self, documents: Documents) -> dict[int, list[dict[str, Any]]]:
        """The leaks of a slice by row; slices come in the order of the corpus. TableError where a row is missing."""
        found = self.collect(documents.mark)
        check_rows(self._place, documents.mark.file, found, documents.rows.tolist())
        return found

    def collect(self, mark: SliceMark) -> dict[int, list[dict[str, Any]]]:
        """The leaks between the ends of a slice by row, whether a document is there or not."""
        found: dict[int, list[dict[str, Any]]] = {}
        while self._next is not None and self._next["file"] == mark.file and self._next["row"] < mark.next_row:
            found.setdefault(self._next["row"], []).append(self._next)
            self._next = next(self._hits, None)
        return found

    def check_end(self) -> None:
        """TableError where a hit was met by no document."""
        if self._next is not None:
            raise _refuse(self._place, self._next["file"], self._next["row"])


def check_rows(place: Path, file: str, hits: Hits, rows: Sequence[int]) -> None:
    """TableError where a hit has no document."""
    missing = hits.keys() - set(rows)
    if missing:
        raise _refuse(place, file, min(missing))


def _refuse(place: Path, file: str, row: int) -> TableError:
    return TableError(f"{place} has a hit at {file}, row {row}, where no document is", "curate decontaminate")


def _read_leaks(run: Run) -> Iterator[dict[str, Any]]:
    for path in parquet.parts(run.hits):
        for hit in pq.read_table(path, columns=COLUMNS, partitioning=None).to_pylist():
            if hit["verdict"] == "contaminated":
                yield hit


def name_sets(rows: Sequence[int], hits: Hits) -> pa.Array:
    """The eval sets whose items each row contains, separated by commas; null for none."""
    names = (", ".join(sorted({hit["eval_set"] for hit in hits[row]})) if row in hits else None for row in rows)
    return pa.array(names, pa.large_string())


def cut_passages(documents: Documents, table: pa.Table, column: str, hits: Hits) -> tuple[pa.Table, pa.Array]:
    """The rows of a slice without the passages that are to be cut out of one column, and how many characters went.

    TableError where a passage does not lie in the text.
    """
    removed, changed = [0] * len(documents), {}
    for place, (row, text) in enumerate(zip(documents.rows.tolist(), documents.texts, strict=True)):
        wanted = [hit for hit in hits.get(row, ()) if hit["action"] == "cut"]
        if text is None or not wanted:
            continue
        changed[place], removed[place] = _cut(documents.mark.file, row, text, wanted)
    counts = pa.array(removed, pa.int64())
    return (_replace(table, column, changed) if changed else table), counts


def _cut(file: str, row: int, text: str, hits: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    try:
        merged = merge_spans((hit["start"], hit["end"]) for hit in hits)
        return cut_spans(text, merged), count_characters(merged)
    except ValueError as error:
        raise TableError(f"a hit does not lie in {file}, row {row}: {error}", "curate decontaminate again") from error


def _replace(table: pa.Table, column: str, changed: Mapping[int, str]) -> pa.Table:
    """The table with other texts in some rows of a column of strings or bytes."""
    place, values = table.column_names.index(column), table.column(column).to_pylist()
    kind = table.schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    octets = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    for row, text in changed.items():
        values[row] = text.encode() if octets else text
    return table.set_column(place, column, pa.array(values, pa.large_binary() if octets else pa.large_string()))


Span = tuple[int, int]


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """The same characters as spans in order that neither overlap nor touch; empty spans vanish.

    ValueError for a span that begins before the text, or ends before it begins.
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if not 0 <= start <= end:
            raise ValueError(f"no span: {start} to {end}")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def count_characters(merged: Sequence[Span]) -> int:
    """Characters of merged spans."""
    return sum(end - start for start, end in merged)


def cut_spans(text: str, merged: Sequence[Span]) -> str:
    """The text without some merged spans, a space in the place of each; everything else stays as it is.

    Where nothing is left of the lines that a span stood in, no letter and no digit, a line end takes its place, so that
    the lines around it stay apart. ValueError for a span that the text is too short for.
    """
    if merged and merged[-1][1] > len(text):
        raise ValueError(f"a span ends at {merged[-1][1]}, the text at {len(text)}")
    left = _blank(text, merged)
    pieces, behind = [], 0
    for start, end in merged:
        pieces += [text[behind:start], " " if _line_has_words(left, start, end) else "\n"]
        behind = end
    return "".join([*pieces, text[behind:]])


def _blank(text: str, merged: Sequence[Span]) -> str:
    """The text with spaces for the characters of the spans."""
    pieces, behind = [], 0
    for start, end in merged:
        pieces += [text[behind:start], " " * (end - start)]
        behind = end
    return "".join([*pieces, text[behind:]])


def _line_has_words(text: str, start: int, end: int) -> bool:
    """Whether the line around a place has a letter or a digit."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return any(map(str.isalnum, text[first : last if last >= 0 else len(text)]))
