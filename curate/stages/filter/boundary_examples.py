"""Documents on both sides of the boundaries between kept and rejected: the nearest ones, with how they begin.

A boundary is a bound, or an end of a band in one group. A draw and the user's SQL have none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from curate.rundir.aligned_parts import number_of
from curate.rundir.run import find_file_parts
from curate.runtime.console import WIDTH
from curate.runtime.numbers import format_figure
from curate.runtime.text import fold_whitespace, pad_columns, shorten

if TYPE_CHECKING:
    from curate.rundir.document_blocks import DocumentBlock
    from curate.rundir.run import Run
    from curate.runtime.arrays import Int16Array
    from curate.runtime.redaction import Redactor
    from curate.stages.filter.counts import Judgement

EACH = 10
"""Documents shown on each side of a boundary."""
TEXT_CHARS = 400


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A document near a boundary."""

    file: str
    row: int
    id: str | None
    value: float
    text: str | None
    """How it begins; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """A value that separates kept from rejected documents, and the nearest documents of both sides, nearest first."""

    reason: str
    """Of those that are rejected."""
    group: str | None
    column: str
    value: float
    kept: tuple[Neighbour, ...]
    rejected: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class _BoundaryLine:
    """A boundary before its documents are found."""

    reason: str
    group: int | None
    column: str
    value: float


@dataclass(frozen=True, slots=True)
class _NearDocument:
    """A document near a boundary, before its text is read."""

    distance: float
    file: str
    row: int
    value: float


def find_boundaries(run: "Run", judgement: "Judgement", redactor: "Redactor", each: int = EACH) -> tuple[Boundary, ...]:
    """Return the boundaries of a decision with their documents; texts are read from the corpus, and redacted."""
    lines = _list_lines(judgement)
    nearest: dict[tuple[int, bool], list[_NearDocument]] = {}
    for block, codes in judgement.blocks():
        for number, line in enumerate(lines):
            for kept in (True, False):
                key = (number, kept)
                near = [*nearest.get(key, []), *_find_nearest(line, block, codes, kept, judgement.reader.reasons, each)]
                nearest[key] = sorted(near, key=lambda document: document.distance)[:each]
    texts = _read_texts(run, [document for documents in nearest.values() for document in documents], redactor)
    names = judgement.reader.within.names
    return tuple(
        Boundary(
            line.reason,
            None if line.group is None or len(names) == 1 else names[line.group],
            line.column,
            line.value,
            *(tuple(_make_neighbour(one, texts) for one in nearest[number, kept]) for kept in (True, False)),
        )
        for number, line in enumerate(lines)
    )


def _list_lines(judgement: "Judgement") -> list[_BoundaryLine]:
    criteria, compiled = judgement.compiled.criteria, judgement.compiled.band
    lines = [_BoundaryLine(bound.reason, None, bound.column, bound.limit) for bound in criteria.bounds]
    if compiled is None or compiled.band.draw is not None:
        return lines
    column = compiled.band.column
    for ends, reason in zip((compiled.low, compiled.high), compiled.band.reasons(), strict=True):
        lines += [_BoundaryLine(reason, group, column, end.value) for group, end in sorted(ends.items())]
    return [line for line in lines if np.isfinite(line.value)]


def _find_nearest(
    line: _BoundaryLine,
    block: "DocumentBlock",
    codes: "Int16Array",
    kept: bool,
    reasons: list[str | None],
    each: int,
) -> Iterator[_NearDocument]:
    """Yield the nearest documents of one block on one side."""
    values = block.numbers(line.column)
    inside = codes == 0 if kept else codes == number_of(reasons, line.reason)
    if line.group is not None:
        inside = inside & (block.within == line.group)
    indices = np.flatnonzero(inside)
    distance = np.abs(values[indices] - line.value)
    for nth in np.argsort(distance, kind="stable")[:each].tolist():
        index = int(indices[nth])
        yield _NearDocument(float(distance[nth]), block.name_file(index), int(block.rows[index]), float(values[index]))


def _make_neighbour(document: _NearDocument, texts: dict[tuple[str, int], tuple[str | None, str | None]]) -> Neighbour:
    name, text = texts.get((document.file, document.row), (None, None))
    return Neighbour(document.file, document.row, name, document.value, text)


def _read_texts(
    run: "Run", documents: Sequence[_NearDocument], redactor: "Redactor"
) -> dict[tuple[str, int], tuple[str | None, str | None]]:
    """Return (id, beginning of the text) by (file, row); each file is read once, from the first slice needed."""
    corpus, texts = run.corpus(), {}
    for number, source in enumerate(corpus.sources):
        here = [document for document in documents if document.file == source.name]
        if not here:
            continue
        rows = {document.row for document in here}
        before = [part.mark for part in find_file_parts(run, source.name, number)]
        before = before[: next(index for index, mark in enumerate(before) if min(rows) < mark.next_row)]
        for piece in replace(corpus, sources=(source,), on_error="quarantine").slices({source.name: before}):
            for row, name, text in zip(piece.rows.tolist(), piece.ids, piece.texts, strict=True):
                if row in rows:
                    shown = None if text is None else redactor.redact(text).cut(0, TEXT_CHARS)
                    texts[source.name, row] = None if name is None else redactor(name), shown
            if piece.mark.next_row > max(rows):
                break
    return texts


def render_boundaries(boundaries: Sequence[Boundary] | None) -> list[str]:
    """Return the boundaries as lines of at most 100 columns; none for None, which is a run without ``--show``."""
    if boundaries is None:
        return []
    if not boundaries:
        return ["", "no boundary to show: a draw and SQL have none"]
    lines = []
    for boundary in boundaries:
        group = f" in {fold_whitespace(boundary.group)}" if boundary.group else ""
        lines += ["", f"boundary    {boundary.column} {format_figure(boundary.value)}{group}: {boundary.reason}"]
        for label, neighbours in (("kept", boundary.kept), ("rejected", boundary.rejected)):
            for nth, near in enumerate(neighbours):
                name = shorten(fold_whitespace(near.id or f"{near.file}:{near.row}"), 28)
                text = fold_whitespace(near.text) if near.text is not None else "(cannot be read)"
                head = f"  {label if nth == 0 else '':<10}{format_figure(near.value):>8}  {pad_columns(name, 28)}  "
                lines.append(shorten(head + text, WIDTH).rstrip())
    return lines
