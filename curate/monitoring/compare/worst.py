"""The documents that changed most each way, and the spans of them that did it.

A document's change is that of its nats: what it adds to the difference of the sums. So a long document that changed a
little stands before a short one that changed much, since it moves the total more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from curate.errors import CurateError
from curate.monitoring.compare.exported import locate_texts
from curate.monitoring.compare.extremes import ExtremePairs
from curate.monitoring.compare.measures import divide, show_change, show_level
from curate.monitoring.compare.sides import ComparedSide
from curate.reports.document import read_text
from curate.rundir.aligned_parts import read_parts
from curate.runtime.redaction import NO_REDACTION, Redaction, Redactor

if TYPE_CHECKING:
    from curate.reference.token_surprisal import TokenSpan

SPANS = 3
"""Spans that are shown of a document."""
MOST_SPAN_CHARS = 80
"""Characters of a span that are shown."""


@dataclass(frozen=True, slots=True)
class ChangedSpan:
    """A piece of a text that both models cut at its ends."""

    text: str
    nats: tuple[float, float]
    """Before and after."""


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """A document whose nats changed much."""

    direction: Literal["higher", "lower"]
    file: str
    row: int
    id: str | None
    hash: int
    """xxh3_64 of its text."""
    group: str
    """Empty where documents are not grouped."""
    nats: tuple[float, float]
    before: float
    """Perplexity or bits per byte."""
    after: float
    change: float
    """As a row of a comparison shows it."""
    spans: tuple[ChangedSpan, ...] = ()
    note: str | None = None
    """Why there are no spans, where they were asked for."""


Position = tuple[str, int, str | None]
"""File, row and id."""


def locate_documents(side: ComparedSide, hashes: Sequence[int]) -> dict[int, Position]:
    """Return where a side has each of some texts: file, row and id of the first document with it."""
    wanted, found = np.array(sorted(hashes), np.uint64), dict[int, Position]()
    if side.run is not None and len(wanted):
        for part in read_parts(side.run, ["hash", "file", "row", "id"], decided=False):
            held = np.asarray(part.table.column("hash").fill_null(0), np.uint64)
            for index in np.flatnonzero(np.isin(held, wanted)).tolist():
                row = part.table.slice(index, 1).to_pylist()[0]
                found.setdefault(row["hash"], (row["file"], row["row"], row["id"]))
            if len(found) == len(wanted):
                break
    elif side.export is not None and len(wanted):
        found = locate_texts(side.export, wanted)
    return found


def list_changed(
    sides: Sequence[ComparedSide],
    extremes: ExtremePairs,
    names: Sequence[str],
    metric: str,
    redactor: Redactor = NO_REDACTION,
) -> list[ChangedDocument]:
    """Return the documents that changed most, where the later side has them, else the first one.

    ``names`` are those of the groups by their numbers; none where documents are not grouped.
    """
    hashes = [int(one) for one in extremes.hashes]
    places = locate_documents(sides[1], hashes) or locate_documents(sides[0], hashes)
    found = []
    for direction, index in extremes.list():
        count, *numbers = extremes.columns[index].tolist()
        first, second = ([each / count for each in numbers[3 * k : 3 * k + 3]] for k in range(2))
        levels = [divide(nats, tokens, octets, metric) for nats, tokens, octets in (first, second)]
        file, row, name = places.get(hashes[index], ("", -1, None))
        found.append(
            ChangedDocument(
                direction,
                file,
                row,
                None if name is None else redactor(name),
                hashes[index],
                names[int(extremes.groups[index])] if len(names) else "",
                (first[0], second[0]),
                show_level(levels[0], metric),
                show_level(levels[1], metric),
                show_change(levels[1] - levels[0], metric),
            )
        )
    return found


def add_spans(
    sides: Sequence[ComparedSide], changed: Sequence[ChangedDocument], redactor: Redactor
) -> list[ChangedDocument]:
    """Return the documents with the spans that changed most; their texts are read, and scored by both models, again.

    Models read the original texts; what is shown is redacted. What cannot be read or scored says why.
    """
    texts: list[str | None] = []
    found = list(changed)
    for index, one in enumerate(found):
        text, note = _read_text(sides[1], one)
        texts.append(text)
        found[index] = replace(one, note=note)
    readable = [index for index, text in enumerate(texts) if text is not None]
    if not readable:
        return found
    try:
        spans = [_measure_spans(side, [texts[index] or "" for index in readable]) for side in sides]
    except CurateError as error:
        return [replace(one, note=one.note or error.message) for one in found]
    for place, index in enumerate(readable):
        joined = align_spans(redactor.redact(texts[index] or ""), spans[0][place], spans[1][place])
        sign = 1 if found[index].direction == "higher" else -1
        best = sorted(joined, key=lambda span: -sign * (span.nats[1] - span.nats[0]))[:SPANS]
        found[index] = replace(found[index], spans=tuple(best))
    return found


def _read_text(side: ComparedSide, document: ChangedDocument) -> tuple[str | None, str | None]:
    if side.run is None:
        return None, f"{side.label} is no run directory, from which its texts can be read again"
    try:
        return read_text(side.run, side.run.corpus(), document.file, document.row, document.hash), None
    except CurateError as error:
        return None, error.message


def _measure_spans(side: ComparedSide, texts: Sequence[str]) -> "list[list[TokenSpan]]":
    from curate.reference.token_surprisal import measure_passages, reload_reference

    record = side.run.stage("score") if side.run is not None else None
    lies_at = (record or {}).get("request", {}).get("model", {}).get("name", side.identity["model"])
    return measure_passages(reload_reference({**side.identity, "model": lies_at}), texts)[1]


def align_spans(text: Redaction, first: "Sequence[TokenSpan]", second: "Sequence[TokenSpan]") -> list[ChangedSpan]:
    """Return the pieces of a text between the places at which both models cut it, with the nats of both.

    Pieces reach as far as both models scored.
    """
    if not first or not second:
        return []
    starts = [{span.start + len(span.text) for span in spans} | {spans[0].start} for spans in (first, second)]
    cuts = sorted(starts[0] & starts[1])
    sums = [_sum_between(spans, cuts) for spans in (first, second)]
    return [
        ChangedSpan(text.cut(begin, end), (before, after))
        for begin, end, before, after in zip(cuts, cuts[1:], *sums, strict=False)
    ]


def _sum_between(spans: "Sequence[TokenSpan]", cuts: Sequence[int]) -> list[float]:
    """Return the nats of the spans between neighbouring cuts, at each of which a span begins or ends."""
    sums, place = [0.0] * max(len(cuts) - 1, 0), 0
    for span in spans:
        while place < len(sums) and span.start >= cuts[place + 1]:
            place += 1
        if place < len(sums) and span.start >= cuts[0]:
            sums[place] += span.nats
    return sums
