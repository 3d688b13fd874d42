"""Conversations rendered by a chat template as a trainer does, with the spans that are scored.

The rendering comes from transformers' ``apply_chat_template``, with every turn as role and content, so that a template
does here what it does in training. A turn's text is located by the delimiters that the template writes around it
(``curate.sft.chat_template.delimiters``).

A span is what the model would generate. It begins where the generation prompt ends, so that a blank between the prompt
and the text belongs to the span (``[/INST] answer``), and with ``end_of_turn`` it includes the control token that ends
the turn. Anything else between the generation prompt and the text, such as Qwen 3's empty ``<think>`` block, belongs to
the template.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from curate.corpus.chat.types import Turn
from curate.errors import CurateError
from curate.sft.chat_template.delimiters import (
    OPEN,
    Span,
    TemplateDelimiters,
    is_reasoned,
    locate_between,
    locate_texts,
    mark_turns,
    read_delimiters,
)
from curate.sft.chat_template.guard import GuardedRenderer
from curate.sft.chat_template.tame import is_tame

CACHED = 512
"""Delimiters that are cached. A dataset has few sequences of roles, but every row may have different tools."""
LEAD = "<think>\n"
"""What a template that rewrites reasoning puts before it."""

MOVED = "system turn put into the first user turn"
UNENDED = "turns do not end with a control token, so their end is not scored"
UNREASONED = "reasoning left out by the template"
CHANGED = "texts changed by the template"
TOOLLESS = "tools left out by the template"


class RenderError(ValueError):
    """A conversation cannot be rendered; the message is a short reason, equal for all conversations that share it."""


class RenderRefusal(RenderError):
    """The template raised an exception; the message is the first line of it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as one text, with the spans that are scored."""

    text: str
    spans: tuple[Span, ...]
    """Characters: begin, end (excluded); one for each scored turn, in the order of ``scored``."""
    notes: tuple[str, ...]
    """Changes that the template made to the conversation."""


@dataclass(frozen=True, slots=True)
class _LocatedRendering:
    """A rendering in which every slot was located."""

    text: str
    delimiters: TemplateDelimiters
    spans: list[Span]
    """One for each slot."""
    exact: bool
    """Whether the texts are those of the turns; False where the template changed them."""

    def list_slots(self, turn: int) -> list[int]:
        """Return the indices of a turn's slots."""
        return [index for index, slot in enumerate(self.delimiters.slots) if slot.turn == turn]

    def read_slot(self, index: int) -> str:
        """Return the text of a slot."""
        begin, end = self.spans[index]
        return self.text[begin:end]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A chat template and the tokenizer that renders it."""

    name: str
    """``chat template of MODEL``, ``plain``, ``chatml``, or the path of a file."""
    source: str
    tokenizer: Any = field(repr=False, compare=False)
    end_of_turn: bool = True
    """Whether the control token that ends a turn is scored with it."""
    tool_source: str = ""
    """The Jinja for conversations with tools, where the tokenizer has a separate one."""
    ending: str = ""
    """A text that ends a turn even where the tokenizer does not know it as a control token."""
    _cache: dict[object, TemplateDelimiters | str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _renderer: GuardedRenderer = field(init=False, repr=False, compare=False)
    _ends: frozenset[str] = field(init=False, repr=False, compare=False)
    _lengths: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """List the control tokens once, since a tokenizer may have thousands."""
        object.__setattr__(self, "_renderer", GuardedRenderer(self.name, self.tokenizer.apply_chat_template))
        object.__setattr__(self, "_ends", _list_ending_tokens(self.tokenizer) | ({self.ending} - {""}))
        object.__setattr__(self, "_lengths", tuple(sorted({len(end) for end in self._ends}, reverse=True)))

    def fingerprint(self) -> str:
        """Return a hash of everything that text and spans depend on, except the tokenizer's ids and the date."""
        special = sorted((name, str(value)) for name, value in self.tokenizer.special_tokens_map.items())
        parts = [self.source, self.tool_source, self.end_of_turn, self.ending, special, sorted(self._ends)]
        return xxhash.xxh3_128_hexdigest(json.dumps(parts).encode())  # ASCII: json escapes all else

    def render(self, turns: Sequence[Turn], scored: Sequence[int], tools: str | None = None) -> Rendered:
        """Return the conversation as the template writes it, with the spans of the turns with indices ``scored``.

        ``tools`` is JSON, as datasets have it in a column of that name. For a template that refuses system turns their
        text is put before the first user turn. Raises RenderError where the template refuses the conversation, drops or
        repeats a scored turn, or changes the texts so that they cannot be told from the delimiters, and where a scored
        turn is empty; ValueError for an index of another role's turn.
        """
        if any(turns[index].role != "assistant" for index in scored):
            raise ValueError("scored must be indices of assistant turns")
        fitting, kept = self.fit(turns, tools)
        located = self._locate(fitting, tools)
        within = [kept.index(index) for index in scored]
        spans = tuple(self._find_span(located, fitting, index, tools) for index in within)
        notes = [MOVED] if len(fitting) < len(turns) else []
        notes += self._list_notes(located, fitting, within, tools)
        return Rendered(located.text, spans, tuple(dict.fromkeys(notes)))

    def fit(self, turns: Sequence[Turn], tools: str | None = None) -> tuple[list[Turn], list[int]]:
        """Return the turns that the template accepts, and their indices: without system turns where it refuses them.

        Raises RenderRefusal where it refuses the turns without them, too.
        """
        try:
            self._find_delimiters(turns, tools)
        except RenderRefusal:
            moved = _move_system(turns)
            if moved is None:
                raise
            self._find_delimiters(moved[0], tools)
            return moved
        return list(turns), list(range(len(turns)))

    def apply(self, turns: Sequence[Turn], tools: str | None, **options: Any) -> Any:
        """Return transformers' rendering: a text, or what ``options`` of ``apply_chat_template`` ask for.

        Raises RenderRefusal where the template raises, and UsageError where it takes more than ``guard`` allows.
        """
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        schemas = read_tools(tools)
        source = self.tool_source if schemas and self.tool_source else self.source
        options = {"tokenize": False, **options}
        render = self.tokenizer.apply_chat_template if is_tame(source) else self._renderer.call
        try:
            return render(messages, chat_template=source, tools=schemas, **options)
        except CurateError:
            raise
        except Exception as error:  # a template is a program: it may raise anything
            raise RenderRefusal(_first_line(error)) from error

    def _find_delimiters(
        self, turns: Sequence[Turn], tools: str | None, split: bool = False, prompt: bool = False, refresh: bool = False
    ) -> TemplateDelimiters:
        """Return the delimiters around turns of these roles; they and refusals are cached, unless ``refresh``."""
        reasoned = tuple(split and is_reasoned(turn) for turn in turns)
        key = (tuple(turn.role for turn in turns), reasoned, tools, prompt)
        found = None if refresh else self._cache.get(key)
        if found is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            try:
                found = read_delimiters(self.apply(mark_turns(turns, split), tools, add_generation_prompt=prompt))
            except RenderRefusal as error:
                found = str(error)
            self._cache[key] = found
        if isinstance(found, str):
            raise RenderRefusal(found)
        return found

    def _locate(self, turns: Sequence[Turn], tools: str | None) -> _LocatedRendering:
        """Render the turns and locate their texts. Raises RenderError where that cannot be done."""
        delimiters = self._find_delimiters(turns, tools)
        text = self.apply(turns, tools)
        spans = locate_texts(delimiters, text, turns)
        if spans is None:  # a template may write the time of day
            delimiters = self._find_delimiters(turns, tools, refresh=True)
            spans = locate_texts(delimiters, text, turns)
        if spans is None and any(map(is_reasoned, turns)):
            divided = self._find_delimiters(turns, tools, split=True)
            spans = locate_texts(divided, text, turns)
            delimiters = delimiters if spans is None else divided
        if spans is not None:
            return _LocatedRendering(text, delimiters, spans, exact=True)
        spans = locate_between(delimiters, text)
        if spans is None:
            raise RenderError("the template changes the texts so that they cannot be found in what it writes")
        return _LocatedRendering(text, delimiters, spans, exact=False)

    def _find_span(self, located: _LocatedRendering, turns: Sequence[Turn], turn: int, tools: str | None) -> Span:
        slots = located.list_slots(turn)
        if not slots:
            raise RenderError("assistant turn dropped by the template")
        different = {located.delimiters.slots[index] for index in slots}
        if len(different) < len(slots) or slots[-1] - slots[0] >= len(slots):
            raise RenderError("assistant turn written twice by the template")
        if not "".join(map(located.read_slot, slots)).strip():
            raise RenderError("empty response")
        begin = self._find_begin(located, slots, turns[:turn], tools)
        end = located.spans[slots[-1]][1]
        return begin, end + (self._count_ending(located, slots[-1]) if self.end_of_turn else 0)

    def _find_begin(
        self, located: _LocatedRendering, slots: Sequence[int], before: Sequence[Turn], tools: str | None
    ) -> int:
        """Return where the model begins to generate a turn: at its text, or where the generation prompt ends."""
        first = slots[0]
        text, begin, last = located.text, located.spans[first][0], located.spans[slots[-1]][1]
        lead = LEAD if located.delimiters.slots[first].part == "reasoning" else ""
        edge = located.spans[first - 1][1] if first else 0
        prompt = self._find_generation_prompt(before, tools)
        if prompt is not None and text.startswith(prompt, edge):
            prompted = edge + len(prompt)
            if prompted >= begin and text[prompted:last].strip():
                return prompted  # the text begins as the prompt ends: <think>
            if text[prompted:begin].lstrip(" ") == lead:
                return prompted
        return begin - len(lead) if text.endswith(lead, 0, begin) else begin

    def _find_generation_prompt(self, before: Sequence[Turn], tools: str | None) -> str | None:
        """Return the generation prompt after the turns before an answer; None where the template refuses them."""
        try:
            return self._find_delimiters(before, tools, prompt=True).pieces[-1] if before else None
        except RenderRefusal:
            return None

    def _count_ending(self, located: _LocatedRendering, slot: int) -> int:
        """Return how many characters after a slot end its turn: through the control token, or 0 without one."""
        piece = located.delimiters.pieces[slot + 1]
        eos = self.tokenizer.eos_token
        stripped = piece.lstrip()
        if eos and stripped.startswith(eos):  # EOS ends a turn after any white space
            return len(piece) - len(stripped) + len(eos)
        stripped = piece.lstrip(" ")
        length = next((length for length in self._lengths if stripped[:length] in self._ends), None)
        return 0 if length is None else len(piece) - len(stripped) + length

    def _list_notes(
        self, located: _LocatedRendering, turns: Sequence[Turn], scored: Sequence[int], tools: str | None
    ) -> list[str]:
        written = {slot.turn for slot in located.delimiters.slots}
        notes = [f"{turn.role} turn dropped by the template" for at, turn in enumerate(turns) if at not in written]
        if any(_lost_reasoning(located, turn, at) for at, turn in enumerate(turns) if at in written):
            notes.append(UNREASONED)
        if not located.exact:
            notes.append(CHANGED)
        if self.end_of_turn and any(not self._count_ending(located, located.list_slots(turn)[-1]) for turn in scored):
            notes.append(UNENDED)
        if read_tools(tools) and self._find_delimiters(turns, tools) == self._try_without_tools(turns):
            notes.append(TOOLLESS)
        return notes

    def _try_without_tools(self, turns: Sequence[Turn]) -> TemplateDelimiters | None:
        try:
            return self._find_delimiters(turns, None)
        except RenderRefusal:
            return None


def read_tools(tools: str | None) -> list[dict[str, Any]] | None:
    """Return the tools of a row from JSON: a list of objects, one object, or a list of JSON strings; None for none.

    Raises RenderError for anything else.
    """
    if tools is None or not tools.strip():
        return None
    if OPEN in tools:
        raise RenderError("tools hold a character that marks texts")
    try:
        parsed = json.loads(tools)
        parsed = parsed if isinstance(parsed, list) else [parsed] if parsed else []
        parsed = [json.loads(tool) if isinstance(tool, str) else tool for tool in parsed]
    except (ValueError, RecursionError) as error:
        raise RenderError("tools are no JSON") from error
    if not all(isinstance(tool, dict) for tool in parsed):
        raise RenderError("tools are no list of objects")
    return parsed or None


def _list_ending_tokens(tokenizer: Any) -> frozenset[str]:
    """Return the texts of the control tokens that can end a turn: all except BOS, unless it is EOS as well."""
    found = {str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special}
    found |= {str(tokenizer.eos_token or ""), str(getattr(tokenizer, "eot_token", None) or "")}
    begins = set() if tokenizer.bos_token == tokenizer.eos_token else {str(tokenizer.bos_token)}
    return frozenset(found - begins - {""})


def _move_system(turns: Sequence[Turn]) -> tuple[list[Turn], list[int]] | None:
    """Put the system texts at the beginning before the first user text, with a blank line in between.

    Returns the turns and the indices that they had; None where there is no system turn to move, or no user turn.
    """
    first = next((at for at, turn in enumerate(turns) if turn.role == "user"), len(turns))
    systems = [at for at in range(first) if turns[at].role == "system"]
    if first == len(turns) or not systems:
        return None
    kept = [at for at in range(len(turns)) if at not in systems]
    joined = "\n\n".join(turns[at].text for at in (*systems, first))
    return [Turn("user", joined) if at == first else turns[at] for at in kept], kept


def _lost_reasoning(located: _LocatedRendering, turn: Turn, index: int) -> bool:
    if not is_reasoned(turn):
        return False
    slots = located.list_slots(index)
    parts = {located.delimiters.slots[slot].part for slot in slots}
    return "reasoning" not in parts and "</think>" not in "".join(map(located.read_slot, slots))


def _first_line(error: Exception) -> str:
    line = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return line[:119] + "…" if len(line) > 120 else line
