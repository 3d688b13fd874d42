"""Conversations as the text that a trainer would feed: rendered by a chat template, with the spans that are scored.

The template is rendered by transformers' own ``apply_chat_template``, with every turn as role and content, so that it
does here what it does in training. Where a turn's text stands in the rendering is found by what the template writes
around it (``curate/scaffolds.py``).

A span is what the model itself would say: it begins where the generation prompt ends, so that a blank between the two
belongs to it (``[/INST] answer``), and with ``end_of_turn`` goes on through the control token that ends the turn. What
stands between the generation prompt and the text otherwise, as Qwen 3's empty ``<think>`` block, is the template's.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.delimiters import (
    OPEN,
    Place,
    TemplateDelimiters,
    is_reasoned,
    marked,
    place,
    place_between,
    read_scaffold,
)

REMEMBERED = 512  # scaffolds; a dataset has few sequences of roles, but each of its rows may have tools of its own
LEAD = "<think>\n"  # what a template that writes reasoning anew puts before it

MOVED = "system turn put into the first user turn"
UNENDED = "turns do not end with a control token, so their end is not scored"
UNREASONED = "reasoning left out by the template"
CHANGED = "texts changed by the template"
TOOLLESS = "tools left out by the template"


class RenderError(ValueError):
    """Why a conversation cannot be rendered: a short reason, the same for all conversations that share it."""


class RenderRefusal(RenderError):
    """The template itself raised, with these words."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as one text, and what of it is scored."""

    text: str
    spans: tuple[Place, ...]
    """Characters: begin, end (excluded); one for each turn that was asked for, in that order."""
    notes: tuple[str, ...]
    """What the template did to the conversation."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rendering that was understood: where in it each slot lies."""

    text: str
    scaffold: TemplateDelimiters
    places: list[Place]
    exact: bool

    def slots_of(self, turn: int) -> list[int]:
        return [number for number, slot in enumerate(self.scaffold.slots) if slot.turn == turn]

    def part(self, number: int) -> str:
        begin, end = self.places[number]
        return self.text[begin:end]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A chat template and the tokenizer that renders it."""

    name: str
    """As a person would say it: chat template of MODEL, plain, chatml, or the path."""
    source: str
    tokenizer: Any = field(repr=False, compare=False)
    end_of_turn: bool = True
    """Whether the control token that ends a turn is scored with it."""
    tool_source: str = ""
    """The Jinja for conversations with tools, where the tokenizer brings another one for these."""
    ending: str = ""
    """A text that ends a turn though the tokenizer may not know it as a control token."""
    _known: dict[object, TemplateDelimiters | str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _ends: frozenset[str] = field(init=False, repr=False, compare=False)
    _lengths: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tokenizers may have thousands of control tokens, so they are asked for them once."""
        object.__setattr__(self, "_ends", _ending_tokens(self.tokenizer) | ({self.ending} - {""}))
        object.__setattr__(self, "_lengths", tuple(sorted({len(one) for one in self._ends}, reverse=True)))

    def fingerprint(self) -> str:
        """A hash of all that decides about spans and text, but for the tokenizer's ids and the date."""
        special = sorted((name, str(value)) for name, value in self.tokenizer.special_tokens_map.items())
        found = [self.source, self.tool_source, self.end_of_turn, self.ending, special, sorted(self._ends)]
        return xxhash.xxh3_128_hexdigest(json.dumps(found).encode("utf-8", "surrogatepass"))

    def render(self, turns: Sequence[Turn], scored: Sequence[int], tools: str | None = None) -> Rendered:
        """The conversation as the template writes it, and the spans of the assistant turns with these indices.

        ``tools`` is JSON, as datasets keep it in a column of that name. A template that refuses system turns gets
        their text before the first user turn. Raises RenderError where the template refuses the conversation, drops or
        repeats a scored turn, or changes the texts so that they cannot be told from what stands around them, and where
        a scored turn is empty; ValueError for an index of another role's turn.
        """
        if any(turns[index].role != "assistant" for index in scored):
            raise ValueError("only assistant turns are scored")
        fitting, kept = self.fit(turns, tools)
        placed = self._place(fitting, tools)
        within = [kept.index(index) for index in scored]
        spans = tuple(self._find_span(placed, fitting, index, tools) for index in within)
        notes = [MOVED] if len(fitting) < len(turns) else []
        notes += self._describe(placed, fitting, within, tools)
        return Rendered(placed.text, spans, tuple(dict.fromkeys(notes)))

    def fit(self, turns: Sequence[Turn], tools: str | None = None) -> tuple[list[Turn], list[int]]:
        """The turns that the template takes, and their indices: without system turns where it refuses them."""
        try:
            self._scaffold(turns, tools)
        except RenderRefusal:
            moved = _move_system(turns)
            if moved is None:
                raise
            self._scaffold(moved[0], tools)
            return moved
        return list(turns), list(range(len(turns)))

    def apply(self, turns: Sequence[Turn], tools: str | None, **options: Any) -> Any:
        """What transformers makes of the turns: text, unless ``options`` of ``apply_chat_template`` say otherwise."""
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        schemas = read_tools(tools)
        source = self.tool_source if schemas and self.tool_source else self.source
        options = {"tokenize": False, **options}
        try:
            return self.tokenizer.apply_chat_template(messages, chat_template=source, tools=schemas, **options)
        except Exception as error:  # a template is a program: it may raise anything
            raise RenderRefusal(_first_line(error)) from error

    def _scaffold(
        self, turns: Sequence[Turn], tools: str | None, split: bool = False, prompt: bool = False, anew: bool = False
    ) -> TemplateDelimiters:
        """What the template writes around turns of these roles; remembered, with what it refuses."""
        reasoned = tuple(split and is_reasoned(turn) for turn in turns)
        key = (tuple(turn.role for turn in turns), reasoned, tools, prompt)
        found = None if anew else self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            try:
                found = read_scaffold(self.apply(marked(turns, split), tools, add_generation_prompt=prompt))
            except RenderRefusal as error:
                found = str(error)
            self._known[key] = found
        if isinstance(found, str):
            raise RenderRefusal(found)
        return found

    def _place(self, turns: Sequence[Turn], tools: str | None) -> _Placed:
        scaffold = self._scaffold(turns, tools)
        text = self.apply(turns, tools)
        places = place(scaffold, text, turns)
        if places is None:  # a template may write the time of day
            scaffold = self._scaffold(turns, tools, anew=True)
            places = place(scaffold, text, turns)
        if places is None and any(map(is_reasoned, turns)):
            divided = self._scaffold(turns, tools, split=True)
            places = place(divided, text, turns)
            scaffold = scaffold if places is None else divided
        if places is not None:
            return _Placed(text, scaffold, places, exact=True)
        places = place_between(scaffold, text)
        if places is None:
            raise RenderError("the template changes the texts so that they cannot be found in what it writes")
        return _Placed(text, scaffold, places, exact=False)

    def _find_span(self, placed: _Placed, turns: Sequence[Turn], turn: int, tools: str | None) -> Place:
        own = placed.slots_of(turn)
        if not own:
            raise RenderError("assistant turn dropped by the template")
        if len({placed.scaffold.slots[number] for number in own}) < len(own) or own[-1] - own[0] >= len(own):
            raise RenderError("assistant turn written twice by the template")
        if not "".join(map(placed.part, own)).strip():
            raise RenderError("empty response")
        begin = self._find_begin(placed, own, turns[:turn], tools)
        end = placed.places[own[-1]][1]
        return begin, end + (self._ending_after(placed, own[-1]) if self.end_of_turn else 0)

    def _find_begin(self, placed: _Placed, own: Sequence[int], before: Sequence[Turn], tools: str | None) -> int:
        """Where the model begins to say this turn: at its text, or where the generation prompt ends."""
        first = own[0]
        text, begin, last = placed.text, placed.places[first][0], placed.places[own[-1]][1]
        lead = LEAD if placed.scaffold.slots[first].part == "reasoning" else ""
        edge = placed.places[first - 1][1] if first else 0
        prompt = self._generation_prompt(before, tools)
        if prompt is not None and text.startswith(prompt, edge):
            prompted = edge + len(prompt)
            if prompted >= begin and text[prompted:last].strip():
                return prompted  # the text begins as the prompt ends: <think>
            if text[prompted:begin].lstrip(" ") == lead:
                return prompted
        return begin - len(lead) if text.endswith(lead, 0, begin) else begin

    def _generation_prompt(self, before: Sequence[Turn], tools: str | None) -> str | None:
        """What the template writes after the turns before an answer to have it said; None where it cannot."""
        try:
            return self._scaffold(before, tools, prompt=True).pieces[-1] if before else None
        except RenderRefusal:
            return None

    def _ending_after(self, placed: _Placed, number: int) -> int:
        """How many characters after a slot end its turn: up to the end of a control token, or none."""
        piece = placed.scaffold.pieces[number + 1]
        eos = self.tokenizer.eos_token
        whole = piece.lstrip()
        if eos and whole.startswith(eos):  # which ends a turn wherever it stands
            return len(piece) - len(whole) + len(eos)
        whole = piece.lstrip(" ")
        length = next((length for length in self._lengths if whole[:length] in self._ends), None)
        return 0 if length is None else len(piece) - len(whole) + length

    def _describe(self, placed: _Placed, turns: Sequence[Turn], scored: Sequence[int], tools: str | None) -> list[str]:
        written = {slot.turn for slot in placed.scaffold.slots}
        notes = [f"{turn.role} turn dropped by the template" for at, turn in enumerate(turns) if at not in written]
        if any(_lost_reasoning(placed, turn, at) for at, turn in enumerate(turns) if at in written):
            notes.append(UNREASONED)
        if not placed.exact:
            notes.append(CHANGED)
        if self.end_of_turn and any(not self._ending_after(placed, placed.slots_of(one)[-1]) for one in scored):
            notes.append(UNENDED)
        if read_tools(tools) and self._scaffold(turns, tools) == self._try_scaffold(turns):
            notes.append(TOOLLESS)
        return notes

    def _try_scaffold(self, turns: Sequence[Turn]) -> TemplateDelimiters | None:
        try:
            return self._scaffold(turns, None)
        except RenderRefusal:
            return None


def read_tools(tools: str | None) -> list[dict[str, Any]] | None:
    """The tools of a row from their JSON: a list of objects, one object, or a list of JSON strings; None for none."""
    if tools is None or not tools.strip():
        return None
    if OPEN in tools:
        raise RenderError("tools hold a character that marks texts")
    try:
        found = json.loads(tools)
        found = found if isinstance(found, list) else [found] if found else []
        found = [json.loads(one) if isinstance(one, str) else one for one in found]
    except (ValueError, RecursionError) as error:
        raise RenderError("tools are no JSON") from error
    if not all(isinstance(one, dict) for one in found):
        raise RenderError("tools are no list of objects")
    return found or None


def _ending_tokens(tokenizer: Any) -> frozenset[str]:
    """The texts of the control tokens that can end a turn: all but the one that begins a text."""
    found = {str(one.content) for one in tokenizer.added_tokens_decoder.values() if one.special}
    found |= {str(tokenizer.eos_token or ""), str(getattr(tokenizer, "eot_token", None) or "")}
    begins = set() if tokenizer.bos_token == tokenizer.eos_token else {str(tokenizer.bos_token)}
    return frozenset(found - begins - {""})


def _move_system(turns: Sequence[Turn]) -> tuple[list[Turn], list[int]] | None:
    """The system texts at the beginning put before the first user text, with a blank line between two."""
    first = next((at for at, turn in enumerate(turns) if turn.role == "user"), len(turns))
    systems = [at for at in range(first) if turns[at].role == "system"]
    if first == len(turns) or not systems:
        return None
    kept = [at for at in range(len(turns)) if at not in systems]
    said = "\n\n".join(turns[at].text for at in (*systems, first))
    return [Turn("user", said) if at == first else turns[at] for at in kept], kept


def _lost_reasoning(placed: _Placed, turn: Turn, at: int) -> bool:
    if not is_reasoned(turn):
        return False
    own = placed.slots_of(at)
    parts = {placed.scaffold.slots[number].part for number in own}
    return "reasoning" not in parts and "</think>" not in "".join(map(placed.part, own))


def _first_line(error: Exception) -> str:
    found = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return found[:119] + "…" if len(found) > 120 else found
