"""The delimiters that a chat template writes around the turns, and the span of each turn's text in a rendering.

The template is rendered once with a marker in place of every text. What lies between the markers are the delimiters,
and the real rendering must consist of these delimiters with the texts in between. So a text is located by its
delimiters, never by searching for its words, which the prompt may contain as well.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curate.corpus.chat.types import Turn

# Private-use characters: no white space that a template trims, no case that it folds, nothing that JSON escapes.
OPEN = "\uf8f0"
CLOSE = {"whole": "\uf8f1", "reasoning": "\uf8f2", "answer": "\uf8f3"}
PARTS = {marker: part for part, marker in CLOSE.items()}
MARKER = re.compile(f"{OPEN}([0-9]+)([{''.join(PARTS)}])")
THOUGHT = "</think>"

Span = tuple[int, int]
"""Characters: begin, end (excluded)."""


@dataclass(frozen=True, slots=True)
class TextSlot:
    """A position where a template writes a text."""

    turn: int
    """The index of the turn whose text it is."""
    part: str
    """``whole``, or one side of ``</think>``: ``reasoning`` or ``answer``."""


@dataclass(frozen=True, slots=True)
class TemplateDelimiters:
    """The texts that a template writes itself, and the slots between them."""

    pieces: tuple[str, ...]
    """One more than there are slots: before the first slot, between two, after the last one."""
    slots: tuple[TextSlot, ...]


def mark_turns(turns: Sequence[Turn], split: bool = False) -> list[Turn]:
    """Return the turns with markers in place of their texts. ``split`` gives reasoning and answer a marker each.

    Some templates take an answer apart at ``</think>`` and write its two sides themselves.
    """
    return [Turn(turn.role, _make_marker(index, split and is_reasoned(turn))) for index, turn in enumerate(turns)]


def is_reasoned(turn: Turn) -> bool:
    """Return whether an assistant turn has reasoning in ``<think>`` tags, which a template may rewrite or leave out."""
    return turn.role == "assistant" and THOUGHT in turn.text


def read_delimiters(text: str) -> TemplateDelimiters:
    """Return the delimiters and slots of a rendering of ``mark_turns``."""
    parts = MARKER.split(text)
    slots = zip(parts[1::3], parts[2::3], strict=True)
    return TemplateDelimiters(tuple(parts[::3]), tuple(TextSlot(int(turn), PARTS[close]) for turn, close in slots))


def locate_texts(delimiters: TemplateDelimiters, text: str, turns: Sequence[Turn]) -> list[Span] | None:
    """Return the span of each slot's text in a rendering; None if the rendering is not made of these texts.

    A text may appear unchanged, trimmed, without its reasoning, or escaped as JSON. First all texts are taken
    unchanged, then all trimmed, then each in whichever form fits.
    """
    texts = [_take_part(turns[slot.turn].text, slot.part) for slot in delimiters.slots]
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


def _make_marker(turn: int, split: bool) -> str:
    markers = {part: f"{OPEN}{turn}{close}" for part, close in CLOSE.items()}
    return f"<think>\n{markers['reasoning']}\n{THOUGHT}\n\n{markers['answer']}" if split else markers["whole"]


def _take_part(text: str, part: str) -> str:
    """Return one side of an answer, taken apart as Qwen's template does it; all of it for ``whole``."""
    if part == "reasoning":
        return text.split(THOUGHT)[0].split("<think>")[-1]
    return text.split(THOUGHT)[-1] if part == "answer" else text


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
