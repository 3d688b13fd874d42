"""Documents on both sides of what parts kept from rejected: the nearest to each boundary, with how they begin.

A boundary is a bound, or an end of a band in one group. A draw and the user's SQL have none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.corpus import SliceMark
from curate.rundir import parquet
from curate.rundir.aligned_parts import number_of

if TYPE_CHECKING:
    from curate.rundir.document_blocks import DocumentBlock
    from curate.rundir.run import Run
    from curate.runtime.arrays import Int16Array
    from curate.stages.filter.counts import Judgement

EACH = 10
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
    """What parts kept from rejected, and the nearest documents of both sides, the nearest first."""

    reason: str
    """Of those that are rejected."""
    group: str | None
    column: str
    value: float
    kept: tuple[Neighbour, ...]
    rejected: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A boundary before its documents are found."""

    reason: str
    group: int | None
    column: str
    value: float
    above: bool
    """Whether what is rejected lies above."""


Place = tuple[float, str, str, int, float]
"""Distance, part, file, row, value."""


def find(run: "Run", judgement: "Judgement", each: int = EACH) -> tuple[Boundary, ...]:
    """The boundaries of a decision with their documents; texts are read from the corpus."""
    lines = _list_lines(judgement)
    near: dict[tuple[int, bool], list[Place]] = {}
    for block, codes in judgement.blocks():
        for number, line in enumerate(lines):
            for kept in (True, False):
                key = (number, kept)
                found = [*near.get(key, []), *_nearest(line, block, codes, kept, judgement.source.reasons, each)]
                near[key] = sorted(found, key=lambda place: place[0])[:each]
    texts = _read(run, {place[1:4] for places in near.values() for place in places})
    names = judgement.source.within.names
    return tuple(
        Boundary(
            line.reason,
            None if line.group is None or len(names) == 1 else names[line.group],
            line.column,
            line.value,
            *(tuple(_neighbour(place, texts) for place in near[number, kept]) for kept in (True, False)),
        )
        for number, line in enumerate(lines)
    )


def _list_lines(judgement: "Judgement") -> list[_Line]:
    criteria, fence = judgement.sieve.criteria, judgement.sieve.fence
    lines = [_Line(bound.reason, None, bound.column, bound.limit, bound.sign == ">") for bound in criteria.bounds]
    if fence is None or fence.band.draw is not None:
        return lines
    for edges, reason, above in zip((fence.low, fence.high), fence.band.reasons(), (False, True), strict=True):
        lines += [_Line(reason, group, fence.band.column, edge.value, above) for group, edge in sorted(edges.items())]
    return [line for line in lines if np.isfinite(line.value)]


def _nearest(
    line: _Line, block: "DocumentBlock", codes: "Int16Array", kept: bool, reasons: list[str | None], each: int
) -> Iterator[Place]:
    """The nearest documents of one part on one side."""
    values = block.numbers(line.column)
    inside = codes == 0 if kept else codes == number_of(reasons, line.reason)
    if line.group is not None:
        inside = inside & (block.within == line.group)
    places = np.flatnonzero(inside)
    distance = np.abs(values[places] - line.value)
    for at in np.argsort(distance, kind="stable")[:each].tolist():
        place = int(places[at])
        yield float(distance[at]), block.name, block.file, int(block.rows[place]), float(values[place])


def _neighbour(place: Place, texts: dict[tuple[str, int], tuple[str | None, str | None]]) -> Neighbour:
    _, _, file, row, value = place
    name, text = texts.get((file, row), (None, None))
    return Neighbour(file, row, name, value, text)


def _read(run: "Run", wanted: set[tuple[str, str, int]]) -> dict[tuple[str, int], tuple[str | None, str | None]]:
    """Ids and beginnings of texts by file and row; each file is read once, from the first slice that is needed."""
    corpus, found = run.corpus(), {}
    for number, source in enumerate(corpus.sources):
        parts = sorted({part for part, file, _ in wanted if file == source.name})
        if not parts:
            continue
        paths = sorted(run.scores.glob(f"{number:05d}-*.parquet"))
        before = [_mark(path) for path in paths if path.name < parts[0]]
        rows = {row for _, file, row in wanted if file == source.name}
        for documents in replace(corpus, sources=(source,), on_error="quarantine").slices({source.name: before}):
            for row, name, text in zip(documents.rows.tolist(), documents.ids, documents.texts, strict=True):
                if row in rows:
                    found[source.name, row] = name, None if text is None else text[:TEXT_CHARS]
            if documents.mark.number >= _mark(run.scores / parts[-1]).number:
                break
    return found


def _mark(path: Any) -> SliceMark:
    return SliceMark(**parquet.read_metadata(path)["slice"])


def describe(boundaries: Sequence[Boundary] | None) -> list[str]:
    """The boundaries as lines of at most 100 columns; None where nobody asked for them."""
    if boundaries is not None and not boundaries:
        return ["", "no boundary to show: a draw and SQL have none"]
    if boundaries is None:
        return []
    from curate.runtime.numbers import figure
    from curate.runtime.text import fold

    lines = []
    for one in boundaries:
        group = f" in {fold(one.group)}" if one.group else ""
        lines += ["", f"boundary    {one.column} {figure(one.value)}{group}: {one.reason}"]
        for label, side in (("kept", one.kept), ("rejected", one.rejected)):
            for place, near in enumerate(side):
                name = fold(near.id or f"{near.file}:{near.row}")[:28]
                text = fold(near.text) if near.text is not None else "(cannot be read)"
                head = f"  {label if place == 0 else '':<10}{figure(near.value):>8}  {name:<28}  "
                lines.append((head + text)[:100].rstrip())
    return lines
