"""Conversations rendered by a chat template as a trainer does, with the spans that are scored.

The rendering comes from transformers' ``apply_chat_template``, with every turn as the message that the data holds, so
that a template does here what it does in training. A turn's texts are located by the delimiters that the template
writes around them (``delimiters``).

A span is what the model would generate (``spans``). It begins where the generation prompt ends, so that a blank between
the prompt and the text belongs to it (``[/INST] answer``), and so do Qwen 3's empty ``<think>`` block, the channel of
gpt-oss and a tool call; with ``end_of_turn`` it includes the control tokens that end the turn.

    turns → fit: the messages that the template takes (messages, fitting) → rendering, slots located (delimiters)
          → the span of each scored turn (spans)
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import xxhash

from curate.corpus.chat.types import Turn
from curate.errors import CurateError
from curate.sft.chat_template.delimiters import (
    OPEN,
    THOUGHT,
    Span,
    TemplateDelimiters,
    TextMarker,
    locate_between,
    locate_texts,
    read_delimiters,
)
from curate.sft.chat_template.fitting import FittedTurns, choose_form, move_system
from curate.sft.chat_template.guard import GuardedRenderer
from curate.sft.chat_template.messages import FLAT, MessageForm, has_calls, list_forms, write_messages
from curate.sft.chat_template.spans import EndingTokens, LocatedRendering, find_begin, find_end
from curate.sft.chat_template.tame import is_tame

CACHED = 512
"""Delimiters that are cached. A dataset has few sequences of roles, but every row may have different tools."""
RULES = 2
"""Counts changes of how turns become messages and spans; part of the fingerprint."""

MOVED = "system turn put into the first user turn"
UNENDED = "turns do not end with a control token, so their end is not scored"
UNREASONED = "reasoning left out by the template"
CHANGED = "texts changed by the template"
TOOLLESS = "tools left out by the template"
CALLLESS = "tool calls left out by the template"


class RenderError(ValueError):
    """A conversation cannot be rendered; the message is a short reason, equal for all conversations that share it."""


class RenderRefusal(RenderError):
    """The template raised an exception; the message is the first line of it."""


class DroppedTurnError(RenderError):
    """The template writes nothing of a turn."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as one text, with the spans that are scored."""

    text: str
    spans: tuple[Span, ...]
    """Characters: begin, end (excluded); one for each scored turn that the template writes, in order."""
    notes: tuple[str, ...]
    """Changes that the template made to the conversation."""


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
    is_flat: bool = False
    """Whether it writes nothing of a message but its role and content, so that this is the turn's text."""
    _cache: dict[object, TemplateDelimiters | tuple[str, BaseException | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _names: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    _renderer: GuardedRenderer = field(init=False, repr=False, compare=False)
    _ends: EndingTokens = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """List the control tokens once, since a tokenizer may have thousands."""
        ends = _list_ending_tokens(self.tokenizer) | ({self.ending} - {""})
        object.__setattr__(self, "_renderer", GuardedRenderer(self.name, self.tokenizer.apply_chat_template))
        added = frozenset(str(token.content) for token in self.tokenizer.added_tokens_decoder.values())
        object.__setattr__(self, "_ends", EndingTokens(ends, str(self.tokenizer.eos_token or ""), added - {""}))

    def fingerprint(self) -> str:
        """Return a hash of everything that text and spans depend on, except the tokenizer's ids and the date."""
        special = sorted((name, str(value)) for name, value in self.tokenizer.special_tokens_map.items())
        parts = [self.source, self.tool_source, self.end_of_turn, self.ending, special, sorted(self._ends.texts), RULES]
        return xxhash.xxh3_128_hexdigest(json.dumps(parts).encode())  # ASCII: json escapes all else

    def render(self, turns: Sequence[Turn], scored: Sequence[int], tools: str | None = None) -> Rendered:
        """Return the conversation as the template writes it, with the spans of the turns with indices ``scored``.

        ``tools`` is JSON, as datasets have it in a column of that name. For a template that refuses system turns their
        text is put before the first user turn. An answer of which the template writes nothing is noted and has no span,
        unless it is the only one. Raises RenderError where the template refuses the conversation, drops all scored
        turns, repeats one, or changes the texts so that they cannot be told from the delimiters, and where a scored
        turn is empty; ValueError for an index of another role's turn.
        """
        if any(turns[index].role != "assistant" for index in scored):
            raise ValueError("scored must be indices of assistant turns")
        fitted = self.fit(turns, tools)
        located = self._locate(fitted, tools)
        spans, notes = list[Span](), list(fitted.notes)
        dropped: RenderError | None = None
        ended = True
        for index in scored:
            try:
                span, has_end = self._find_span(located, fitted, fitted.kept.index(index), tools)
            except DroppedTurnError as error:
                dropped = dropped or error
                continue
            spans.append(span)
            ended &= has_end
        if dropped is not None and not spans:
            raise dropped
        notes += [] if dropped is None else [f"{dropped}: not scored"]
        notes += self._list_notes(located, fitted, tools) + ([UNENDED] if self.end_of_turn and not ended else [])
        return Rendered(located.text, tuple(spans), tuple(dict.fromkeys(notes)))

    def fit(self, turns: Sequence[Turn], tools: str | None = None) -> FittedTurns:
        """Return the turns that the template accepts, in the form that it accepts them.

        Those are without system turns where it refuses them. Raises RenderRefusal where it refuses the turns without
        them, too.
        """
        fitted = self._try_forms(tuple(turns), tuple(range(len(turns))), tools)
        if isinstance(fitted, RenderRefusal):
            moved = move_system(turns)
            again = fitted if moved is None else self._try_forms(*moved, tools)
            if isinstance(again, RenderRefusal):
                raise fitted if moved is None else again
            fitted = replace(again, notes=(MOVED, *again.notes))
        return fitted

    def apply(self, turns: Sequence[Turn], tools: str | None, form: MessageForm | None = None, **options: Any) -> Any:
        """Return transformers' rendering: a text, or what ``options`` of ``apply_chat_template`` ask for.

        Raises RenderRefusal where the template raises, and UsageError where it takes more than ``guard`` allows.
        """
        return self._apply(write_messages(turns, form or self._form, self._reads), tools, **options)

    @property
    def _form(self) -> MessageForm:
        return FLAT if self.is_flat else MessageForm()

    def _reads(self, name: str) -> bool:
        """Return whether the template mentions a name."""
        if name not in self._names:
            found = re.search(rf"\b{re.escape(name)}\b", self.source + "\n" + self.tool_source)
            self._names[name] = found is not None
        return self._names[name]

    def _apply(self, messages: list[dict[str, Any]], tools: str | None, **options: Any) -> Any:
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

    def _try_forms(
        self, turns: tuple[Turn, ...], kept: tuple[int, ...], tools: str | None
    ) -> FittedTurns | RenderRefusal:
        """Return the turns in the form that the template takes and writes; the first refusal where it takes none."""
        if self.is_flat:
            fitted = FittedTurns(turns, kept, FLAT)
            refusal = self._find_refusal(fitted, tools)
            return refusal or fitted
        refusals = list[RenderRefusal]()
        for form in list_forms(turns):
            fitted = FittedTurns(turns, kept, form)
            refusal = self._find_refusal(fitted, tools)
            if refusal is None:
                return choose_form(fitted, lambda other: self._try_delimiters(other, tools), self._write(fitted, tools))
            refusals.append(refusal)
        return refusals[0]

    def _write(self, fitted: FittedTurns, tools: str | None) -> str:
        """Return the rendering of the turns with their own texts, or an empty text where it is refused."""
        try:
            return str(self.apply(fitted.turns, tools, fitted.form)) if any(map(has_calls, fitted.turns)) else ""
        except RenderRefusal:
            return ""

    def _find_refusal(self, fitted: FittedTurns, tools: str | None) -> RenderRefusal | None:
        try:
            self._find_delimiters(fitted, tools)
        except RenderRefusal as refusal:
            return refusal
        return None

    def _try_delimiters(
        self, fitted: FittedTurns, tools: str | None, prompt: bool = False
    ) -> TemplateDelimiters | None:
        """Return what ``_find_delimiters`` does; None where the template refuses the turns."""
        try:
            return self._find_delimiters(fitted, tools, prompt)
        except RenderRefusal:
            return None

    def _find_delimiters(
        self, fitted: FittedTurns, tools: str | None, prompt: bool = False, refresh: bool = False
    ) -> TemplateDelimiters:
        """Return the delimiters around turns; they and refusals are cached, unless ``refresh``."""
        key = (self._identify(fitted), tools, prompt)
        found = None if refresh else self._cache.get(key)
        if found is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            messages = self._mark(fitted)
            try:
                found = read_delimiters(self._apply(messages, tools, add_generation_prompt=prompt))
            except RenderRefusal as error:
                found = str(error), error.__cause__
            self._cache[key] = found
        if isinstance(found, tuple):
            raise RenderRefusal(found[0]) from found[1]
        return found

    def _mark(self, fitted: FittedTurns) -> list[dict[str, Any]]:
        """Return the messages with a marker for each text."""
        return write_messages(fitted.turns, fitted.form, self._reads, TextMarker(fitted.split).take)

    def _identify(self, fitted: FittedTurns) -> object:
        """Return a key that is equal where the messages with markers are; of plain turns, roles and blank texts."""
        if fitted.split or any(turn.fields is not None for turn in fitted.turns):
            return json.dumps(self._mark(fitted), default=str)
        return fitted.form, tuple((turn.role, "" if turn.text.strip() else turn.text or None) for turn in fitted.turns)

    def _locate(self, fitted: FittedTurns, tools: str | None) -> LocatedRendering:
        """Render the turns and locate their texts. Raises RenderError where that cannot be done."""
        delimiters = self._find_delimiters(fitted, tools)
        text = self.apply(fitted.turns, tools, fitted.form)
        spans = self._match(delimiters, fitted, text)
        if spans is None:  # a template may write the time of day
            delimiters = self._find_delimiters(fitted, tools, refresh=True)
            spans = self._match(delimiters, fitted, text)
        if spans is None and any(map(is_reasoned, fitted.turns)):
            divided = replace(fitted, split=True)
            apart = self._find_delimiters(divided, tools)
            spans = self._match(apart, divided, text)
            if spans is not None:
                return LocatedRendering(text, apart, spans, exact=True, split=True)
        if spans is not None:
            return LocatedRendering(text, delimiters, spans, exact=True)
        spans = locate_between(delimiters, text)
        if spans is None:
            raise RenderError("the template changes the texts so that they cannot be found in what it writes")
        return LocatedRendering(text, delimiters, spans, exact=False)

    def _match(self, delimiters: TemplateDelimiters, fitted: FittedTurns, text: str) -> list[Span] | None:
        marker = TextMarker(fitted.split)
        write_messages(fitted.turns, fitted.form, self._reads, marker.take)
        return locate_texts(delimiters, text, [marker.texts[slot] for slot in delimiters.slots])

    def _find_span(
        self, located: LocatedRendering, fitted: FittedTurns, turn: int, tools: str | None
    ) -> tuple[Span, bool]:
        """Return the span of a turn, and whether it ends with a control token."""
        slots, calls = located.list_slots(turn), has_calls(fitted.turns[turn])
        if not slots and not calls:
            blank = not fitted.turns[turn].text.strip()
            raise RenderError("empty response") if blank else DroppedTurnError("assistant turn dropped by the template")
        different = {located.delimiters.slots[index] for index in slots}
        if slots and (len(different) < len(slots) or slots[-1] - slots[0] >= len(slots)):
            raise RenderError("assistant turn written twice by the template")
        through = replace(fitted, turns=fitted.turns[: turn + 1], split=located.split)
        before = replace(through, turns=fitted.turns[:turn])
        begin = self._find_begin(located, slots, before, tools)
        closed, followed = self._try_delimiters(through, tools), None
        if turn == len(fitted.turns) - 1:
            followed = self._try_delimiters(replace(through, turns=(*through.turns, Turn("user", "?"))), tools)
        edges = None if begin is None else find_end(located, slots, begin, closed, followed, calls, self._ends)
        if begin is None or edges is None or not located.text[begin : edges[0]].strip():
            raise DroppedTurnError(CALLLESS if calls else "empty response")
        return (begin, edges[1] if self.end_of_turn else edges[0]), edges[1] > edges[0]

    def _find_begin(
        self, located: LocatedRendering, slots: Sequence[int], before: FittedTurns, tools: str | None
    ) -> int | None:
        """Return where the model begins to write the turn after ``before``; None where that cannot be told."""
        prompted = self._try_delimiters(before, tools, prompt=True) if before.turns else None
        unprompted = self._try_delimiters(before, tools) if prompted is not None else None
        opened = None
        if not slots or prompted is None or prompted == unprompted:
            opened = self._try_delimiters(replace(before, turns=(*before.turns, Turn("assistant", "?"))), tools)
        return find_begin(located, slots, prompted, unprompted, opened, self._ends)

    def _list_notes(self, located: LocatedRendering, fitted: FittedTurns, tools: str | None) -> list[str]:
        turns = fitted.turns
        written = {slot.turn for slot in located.delimiters.slots}
        notes = [
            f"{turn.role} turn dropped by the template"
            for at, turn in enumerate(turns)
            if at not in written and turn.text.strip() and not has_calls(turn)
        ]
        if any(_lost_reasoning(located, turn, at) for at, turn in enumerate(turns)):
            notes.append(UNREASONED)
        if not located.exact:
            notes.append(CHANGED)
        if read_tools(tools) and self._find_delimiters(fitted, tools) == self._try_delimiters(fitted, None):
            notes.append(TOOLLESS)
        return notes


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


def is_reasoned(turn: Turn) -> bool:
    """Return whether an assistant turn has reasoning in ``<think>`` tags, which a template may rewrite or leave out."""
    return turn.role == "assistant" and THOUGHT in turn.text


def _lost_reasoning(located: LocatedRendering, turn: Turn, index: int) -> bool:
    slots = located.list_slots(index)
    parts = {located.delimiters.slots[slot].part for slot in slots}
    if "reasoning" in parts:
        return False
    if turn.fields is not None and turn.fields.reasoning:
        return True
    return bool(slots) and is_reasoned(turn) and THOUGHT not in "".join(map(located.read_slot, slots))


def _first_line(error: Exception) -> str:
    line = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return line[:119] + "…" if len(line) > 120 else line
