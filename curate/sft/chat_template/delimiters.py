"""The delimiters that a chat template writes around the turns, and the span of each turn's text in a rendering.

The template is rendered once with a marker in place of every text. What lies between the markers are the delimiters,
and the real rendering must consist of these delimiters with the texts in between. So a text is located by its
delimiters, never by searching for its words, which the prompt may contain as well.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Private-use characters: no white space that a template trims, no case that it folds, nothing that JSON escapes.
OPEN = "\uf8f0"
CLOSE = {"whole": "\uf8f1", "reasoning": "\uf8f2", "answer": "\uf8f3"}
PARTS = {marker: part for part, marker in CLOSE.items()}
MARKER = re.compile(f"{OPEN}([0-9]+):([0-9]+)([{''.join(PARTS)}])")
THOUGHT = "</think>"

Span = tuple[int, int]
"""Characters: begin, end (excluded)."""


@dataclass(frozen=True, slots=True)
class TextSlot:
    """A position where a template writes a text."""

    turn: int
    """The index of the turn whose text it is."""
    part: str
    """``whole`` or ``reasoning``; ``reasoning`` and ``answer`` are the sides of a content with ``</think>``."""
    number: int = 0
    """Of several typed parts, which one it is."""


@dataclass(frozen=True, slots=True)
class TemplateDelimiters:
    """The texts that a template writes itself, and the slots between them."""

    pieces: tuple[str, ...]
    """One more than there are slots: before the first slot, between two, after the last one."""
    slots: tuple[TextSlot, ...]


class TextMarker:
    """Puts a marker in place of every text that is not blank, and remembers the text of each slot.

    Blank texts stay, since templates ask whether there is a text. ``split`` gives the reasoning and the answer in a
    content a marker each: some templates take it apart at ``</think>`` and write its two sides themselves.
    """

    def __init__(self, split: bool = False):
        self.texts: dict[TextSlot, str] = {}
        self._counts: Counter[tuple[int, str]] = Counter()
        self._split = split

    def take(self, turn: int, part: str, text: str) -> str:
        """Return what stands in for a text of a turn."""
        if not text.strip():
            return text
        if self._split and part == "whole" and THOUGHT in text:
            return self._mark_sides(turn, text)
        return self._mark(turn, part, text)

    def _mark_sides(self, turn: int, text: str) -> str:
        """Return a content with ``</think>`` with markers for its two sides, and the blanks around them as they are."""
        begin, end = text.rfind("<think>", 0, text.index(THOUGHT)), text.index(THOUGHT)
        begin = 0 if begin < 0 else begin + len("<think>")
        last = text.rindex(THOUGHT) + len(THOUGHT)
        sides = [("reasoning", text[begin:end]), ("answer", text[last:])]
        reasoning, answer = (
            side.replace(side.strip(), self._mark(turn, part, side.strip())) if side.strip() else side
            for part, side in sides
        )
        return text[:begin] + reasoning + text[end:last] + answer

    def _mark(self, turn: int, part: str, text: str) -> str:
        number = self._counts[turn, part]
        self._counts[turn, part] += 1
        self.texts[TextSlot(turn, part, number)] = text
        return f"{OPEN}{turn}:{number}{CLOSE[part]}"


def read_delimiters(text: str) -> TemplateDelimiters:
    """Return the delimiters and slots of a rendering of what a ``TextMarker`` gave."""
    parts = MARKER.split(text)
    slots = zip(parts[1::4], parts[2::4], parts[3::4], strict=True)
    found = tuple(TextSlot(int(turn), PARTS[close], int(number)) for turn, number, close in slots)
    return TemplateDelimiters(tuple(parts[::4]), found)


def locate_texts(delimiters: TemplateDelimiters, text: str, texts: Sequence[str]) -> list[Span] | None:
    """Return the span of each slot's text in a rendering; None if the rendering is not made of these texts.

    ``texts`` has one for each slot. A text may appear unchanged, trimmed, without its reasoning, or escaped as JSON.
    First all texts are taken unchanged, then all trimmed, then each in whichever form fits.
    """
    spans = _match_texts(delimiters, text, texts)
    if spans is None:
        spans = _match_texts(delimiters, text, [each.strip() for each in texts])
    return _match_forms(delimiters, text, [_list_forms(each) for each in texts]) if spans is None else spans


def locate_between(delimiters: TemplateDelimiters, text: str) -> list[Span] | None:
    """Return the spans of the slots from the delimiters alone; None unless there is exactly one way to read the text.

    The pieces are searched for from the left and from the right. Where the results differ, a text contains a piece.
    """
    first, *inner, last = delimiters.pieces if delimiters.slots else (text, "")
    begin, end = len(first), len(text) - len(last)
    if not delimiters.slots or begin > end or not text.startswith(first) or not text.endswith(last):
        return None
    found = []
    at = begin
    for piece in inner:
        at = text.find(piece, at, end)
        if at < 0:
            return None
        found.append((at, at + len(piece)))
        at += len(piece)
    at = end
    for piece, (left, _) in zip(reversed(inner), reversed(found), strict=True):
        at = text.rfind(piece, begin, at)
        if at != left:
            return None
    edges = [begin, *(edge for span in found for edge in span), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _list_forms(text: str) -> Iterable[str]:
    """Return the forms in which templates write a text, the likelier first."""
    rest = text.rpartition(THOUGHT)[2]
    trimmed = (text, text.strip(), text.lstrip(), text.rstrip(), text.strip("\n"), text.lstrip("\n"))
    return dict.fromkeys(
        (*trimmed, rest, rest.strip(), rest.lstrip(), rest.lstrip("\n"), json.dumps(text, ensure_ascii=False)[1:-1])
    )


def _match_texts(delimiters: TemplateDelimiters, text: str, texts: Sequence[str]) -> list[Span] | None:
    if not text.startswith(delimiters.pieces[0]):
        return None
    at = len(delimiters.pieces[0])
    spans = []
    for each, piece in zip(texts, delimiters.pieces[1:], strict=True):
        end = at + len(each)
        if not (text.startswith(each, at) and text.startswith(piece, end)):
            return None
        spans.append((at, end))
        at = end + len(piece)
    return spans if at == len(text) else None


def _match_forms(delimiters: TemplateDelimiters, text: str, forms: Sequence[Iterable[str]]) -> list[Span] | None:
    """Return the spans of the first choice of forms that makes up the text.

    Every position is tried once for each slot, so that long conversations stay cheap.
    """
    if not text.startswith(delimiters.pieces[0]):
        return None
    ways: dict[int, tuple[Span, object] | None] = {len(delimiters.pieces[0]): None}
    for choices, piece in zip(forms, delimiters.pieces[1:], strict=True):
        further: dict[int, tuple[Span, object] | None] = {}
        for at, before in ways.items():
            for each in choices:
                end = at + len(each)
                if text.startswith(each, at) and text.startswith(piece, end):
                    further.setdefault(end + len(piece), ((at, end), before))
        ways = further
    return _unwind_spans(ways[len(text)]) if len(text) in ways else None


def _unwind_spans(way: object) -> list[Span]:
    """Return the spans of a linked list (span, the list before it), the first span first."""
    spans: list[Span] = []
    while isinstance(way, tuple):
        span, way = way
        spans.append(span)
    return spans[::-1]
