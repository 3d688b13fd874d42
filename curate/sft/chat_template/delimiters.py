"""What a chat template writes around the turns, and where in a rendered conversation each turn's own text stands.

The template is rendered once with a mark in place of every text. What lies between the marks is the scaffold, and the
real rendering must be that scaffold with the texts in it. So a text is found by what stands around it, never by
searching for its words, which the prompt may hold as well.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curate.corpus.chat.types import Turn

# Private-use characters: no white space that a template trims, no case that it folds, nothing that JSON escapes.
OPEN = "\uf8f0"
CLOSE = {"whole": "\uf8f1", "reasoning": "\uf8f2", "answer": "\uf8f3"}
PARTS = {mark: part for part, mark in CLOSE.items()}
MARK = re.compile(f"{OPEN}([0-9]+)([{''.join(PARTS)}])")
THOUGHT = "</think>"

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TextSlot:
    """Where a template puts a text: which turn's, and whether all of it or one side of ``</think>``."""

    turn: int
    part: str


@dataclass(frozen=True, slots=True)
class TemplateDelimiters:
    """What a template writes of its own, and the slots between: one piece more than slots."""

    pieces: tuple[str, ...]
    slots: tuple[TextSlot, ...]


def marked(turns: Sequence[Turn], split: bool = False) -> list[Turn]:
    """The turns with marks in place of their texts. ``split`` gives reasoning and answer a mark each.

    Some templates take an answer apart at ``</think>`` and write its two sides themselves.
    """
    return [Turn(turn.role, _mark(number, split and is_reasoned(turn))) for number, turn in enumerate(turns)]


def is_reasoned(turn: Turn) -> bool:
    """Whether an assistant turn holds reasoning in ``<think>`` tags, which a template may write anew or leave out."""
    return turn.role == "assistant" and THOUGHT in turn.text


def read_scaffold(text: str) -> TemplateDelimiters:
    """The scaffold in a rendering of ``marked`` turns."""
    found = MARK.split(text)
    slots = zip(found[1::3], found[2::3], strict=True)
    return TemplateDelimiters(tuple(found[::3]), tuple(TextSlot(int(turn), PARTS[close]) for turn, close in slots))


def place(scaffold: TemplateDelimiters, text: str, turns: Sequence[Turn]) -> list[Place] | None:
    """Where in a rendering the text of each slot stands, in characters: begin, end (excluded); None if it does not fit.

    A text may stand there as it is, trimmed, without its reasoning, or as JSON writes it. First all texts are taken
    as they are, then all trimmed, then each as it fits.
    """
    texts = [_side(turns[slot.turn].text, slot.part) for slot in scaffold.slots]
    found = _walk(scaffold, text, texts)
    if found is None:
        found = _walk(scaffold, text, [one.strip() for one in texts])
    return _choose(scaffold, text, [_forms(one) for one in texts]) if found is None else found


def place_between(scaffold: TemplateDelimiters, text: str) -> list[Place] | None:
    """Where the slots lie if only the scaffold is known; None unless there is exactly one way to read the rendering.

    The pieces are looked for from the left, and from the right: where the two disagree a text holds a piece itself.
    """
    first, *inner, last = scaffold.pieces if scaffold.slots else (text, "")
    begin, end = len(first), len(text) - len(last)
    if not scaffold.slots or begin > end or not text.startswith(first) or not text.endswith(last):
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
    edges = [begin, *(edge for both in found for edge in both), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _mark(number: int, split: bool) -> str:
    marks = {part: f"{OPEN}{number}{close}" for part, close in CLOSE.items()}
    return f"<think>\n{marks['reasoning']}\n{THOUGHT}\n\n{marks['answer']}" if split else marks["whole"]


def _side(text: str, part: str) -> str:
    """One side of an answer, taken apart as Qwen's template does it."""
    if part == "reasoning":
        return text.split(THOUGHT)[0].split("<think>")[-1]
    return text.split(THOUGHT)[-1] if part == "answer" else text


def _forms(text: str) -> Iterable[str]:
    """The ways in which templates write a text, the likelier first."""
    rest = text.rpartition(THOUGHT)[2]
    trimmed = (text, text.strip(), text.lstrip(), text.rstrip(), text.strip("\n"), text.lstrip("\n"))
    return dict.fromkeys(
        (*trimmed, rest, rest.strip(), rest.lstrip(), rest.lstrip("\n"), json.dumps(text, ensure_ascii=False)[1:-1])
    )


def _walk(scaffold: TemplateDelimiters, text: str, texts: Sequence[str]) -> list[Place] | None:
    if not text.startswith(scaffold.pieces[0]):
        return None
    at = len(scaffold.pieces[0])
    found = []
    for said, piece in zip(texts, scaffold.pieces[1:], strict=True):
        end = at + len(said)
        if not (text.startswith(said, at) and text.startswith(piece, end)):
            return None
        found.append((at, end))
        at = end + len(piece)
    return found if at == len(text) else None


def _choose(scaffold: TemplateDelimiters, text: str, forms: Sequence[Iterable[str]]) -> list[Place] | None:
    """The first choice of forms that joins to the text; every place is tried once, so long conversations are cheap."""
    if not text.startswith(scaffold.pieces[0]):
        return None
    ways: dict[int, tuple[Place, object] | None] = {len(scaffold.pieces[0]): None}
    for choices, piece in zip(forms, scaffold.pieces[1:], strict=True):
        further: dict[int, tuple[Place, object] | None] = {}
        for at, before in ways.items():
            for said in choices:
                end = at + len(said)
                if text.startswith(said, at) and text.startswith(piece, end):
                    further.setdefault(end + len(piece), ((at, end), before))
        ways = further
    return _unwind(ways[len(text)]) if len(text) in ways else None


def _unwind(way: object) -> list[Place]:
    found: list[Place] = []
    while isinstance(way, tuple):
        own, way = way
        found.append(own)
    return found[::-1]
