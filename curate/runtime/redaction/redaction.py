"""What was found in a text, and the text with labels, whole or cut where the original is cut.

A text is redacted whole and cut afterwards: a secret that lies across a cut would not be found in either piece. Of a
span that lies across a cut, the label stands in the first piece, and the second begins behind the span.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curate.runtime.redaction.kinds import KINDS, LABELS

Span = tuple[int, int]
"""Characters [start, end) of a text."""
EDGE = "edge"
"""The kind of a stretch that is left out at an end of an excerpt, since it may be a part of something."""
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True, order=True)
class FoundSpan:
    """Characters [start, end) of a text that are personal data or a secret."""

    start: int
    end: int
    kind: str

    @property
    def label(self) -> str:
        """What is written instead."""
        return LABELS.get(self.kind, ELLIPSIS)


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text with what was found in it."""

    original: str
    spans: tuple[FoundSpan, ...] = ()
    """Ascending; they do not overlap."""

    @property
    def text(self) -> str:
        """The text with labels."""
        return self.cut(0, len(self.original)) if self.spans else self.original

    def counts(self) -> dict[str, int]:
        """Return the number of replacements by kind, in the order of ``KINDS``, without kinds that were not found."""
        return count_spans(self.spans)

    def cut(self, begin: int, end: int) -> str:
        """Return the characters [begin, end) of the original with labels; see the module for spans across a cut."""
        end = min(end, len(self.original))
        pieces, done = [], begin
        for span in self.spans:
            if span.end <= begin:
                continue
            if span.start >= end:
                break
            if span.start >= begin:
                pieces += [self.original[done : span.start], span.label]
            done = span.end
        return "".join([*pieces, self.original[done:end]])

    def measure(self, position: int) -> int:
        """Return the length of ``cut(0, position)``: where a position of the original stands in the redacted text."""
        moved = position
        for span in self.spans:
            if span.start >= position:
                break
            moved += len(span.label) - (min(span.end, position) - span.start)
        return moved

    def move_span(self, span: Span, begin: int = 0) -> Span:
        """Return a span of the original as one of ``cut(begin, …)``; where it touches what was found, with all of it.

        What was found across ``begin`` has its label before the cut, and is not part of the result.
        """
        first, last = span
        inside = next((one.start for one in self.spans if one.start < first < one.end), first)
        first = max(inside, begin)
        start = self.measure(begin)
        return self.measure(first) - start, self.measure(max(last, first)) - start

    def widen(self, spans: Iterable[Span]) -> list[Span]:
        """Return spans of the original, with all of what was found that they touch."""
        return [
            (
                min([first, *(one.start for one in self.spans if one.start < last and first < one.end)]),
                max([last, *(one.end for one in self.spans if one.start < last and first < one.end)]),
            )
            for first, last in spans
        ]

    def without(self, spans: Iterable[Span]) -> "Redaction":
        """Return the redaction without what was found inside some spans of the original."""
        inside = list(spans)
        kept = (one for one in self.spans if not any(a <= one.start and one.end <= b for a, b in inside))
        return Redaction(self.original, tuple(kept))


def count_spans(spans: Iterable[FoundSpan]) -> dict[str, int]:
    """Return the number of spans by kind, in the order of ``KINDS``; edges of excerpts are not counted."""
    found = Counter(span.kind for span in spans)
    return {kind: found[kind] for kind in KINDS if found[kind]}


def merge_found(spans: Iterable[FoundSpan]) -> tuple[FoundSpan, ...]:
    """Return the same characters as spans that do not overlap; the kind is the first in ``KINDS`` of those that did."""
    merged: list[FoundSpan] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            before = merged.pop()
            kind = min(before.kind, span.kind, key=lambda one: KINDS.index(one) if one in KINDS else len(KINDS))
            span = FoundSpan(before.start, max(before.end, span.end), kind)
        merged.append(span)
    return tuple(merged)


def mask_spans(text: str, spans: Iterable[FoundSpan]) -> str:
    """Return the text with brackets in place of spans, character by character, so that offsets stay the same."""
    return "".join(_mask_pieces(text, spans))


def _mask_pieces(text: str, spans: Iterable[FoundSpan]) -> Iterator[str]:
    done = 0
    for span in spans:
        yield text[done : span.start]
        yield "[".ljust(span.end - span.start, "]")
        done = span.end
    yield text[done:]
