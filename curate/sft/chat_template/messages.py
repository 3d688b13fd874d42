"""Turns as the messages that a chat template takes: content, reasoning, tool calls, ids, in the form that it expects.

Templates differ in what they take. Arguments of calls are an object for most and JSON text for some; a message of calls
alone has null content, or an empty one; typed parts are read by some; reasoning has three names. A ``MessageForm`` is
one way to write a conversation, ``list_forms`` the ways that are tried, the documented one of transformers first.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import xxhash

from curate.corpus.chat.fields import MessageFields
from curate.corpus.chat.types import Turn

REASONING_NAMES = ("reasoning_content", "thinking", "reasoning")
CALL_ID = re.compile("[0-9A-Za-z]{9}")
"""The ids that Mistral's templates take."""
Take = Callable[[int, str, str], str]
"""Turn, part and text → what is handed to the template in place of the text."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """A way to write the messages of a conversation."""

    arguments: Literal["object", "text"] = "object"
    """What the arguments of tool calls are: an object, or its JSON."""
    content: Literal["given", "empty", "null"] = "given"
    """What a message of tool calls without a text has for content."""
    parts: Literal["given", "text", "list"] = "given"
    """Whether contents are lists of typed parts: where the data has some, nowhere, or everywhere."""
    writes_ids: bool = False
    """Whether tool calls without an id that Mistral's templates take get one."""
    calls: Literal["calls", "json", "none"] = "calls"
    """Whether tool calls are that, JSON in the content where the data holds them as text, or left out."""
    is_flat: bool = False
    """Whether each message is a role and the turn's text, and blank turns are left out."""


FLAT = MessageForm(is_flat=True)


def list_forms(turns: Sequence[Turn]) -> Iterator[MessageForm]:
    """Yield the forms in which the template may take the turns, the likelier first. Forms that are equal come once."""
    fields = [turn.fields for turn in turns if turn.fields is not None]
    calling = [each for each in fields if each.calls]
    bare = any(not "".join(each.content).strip() for each in calling)
    contents: tuple[Literal["given", "empty", "null"], ...] = ("given", "empty", "null") if bare else ("given",)
    arguments: tuple[Literal["object", "text"], ...] = ("object", "text") if calling else ("object",)
    ids = (False, True) if calling else (False,)
    typed = any(not isinstance(each.content, str) for each in fields)
    parts: tuple[Literal["given", "text", "list"], ...] = ("given", "text") if typed else ("given", "list")
    for part, writes_ids, argument, content in product(parts, ids, arguments, contents):
        yield MessageForm(argument, content, part, writes_ids)


def write_messages(
    turns: Sequence[Turn], form: MessageForm, reads: Callable[[str], bool], take: Take | None = None
) -> list[dict[str, Any]]:
    """Return the turns as messages. ``reads`` says whether the template mentions a field; ``take`` replaces texts."""
    take = take or (lambda turn, part, text: text)
    ids = _CallIds()
    messages = list[dict[str, Any]]()
    for index, turn in enumerate(turns):
        if form.is_flat:
            if turn.text.strip():
                messages.append({"role": turn.role, "content": take(index, "whole", turn.text)})
            continue
        fields = turn.fields or MessageFields(turn.text)
        message = {"role": turn.role, "content": _write_content(index, fields, form, take)}
        if fields.reasoning:
            message[_name_reasoning(fields, reads)] = take(index, "reasoning", fields.reasoning)
        if fields.calls and form.calls != "none" and not _is_json(fields, form):
            message["tool_calls"] = [_write_call(call, form, ids) for call in fields.calls]
        message |= {key: value for key, value in fields.others.items() if key not in message and reads(key)}
        if form.writes_ids and turn.role == "tool":
            message["tool_call_id"] = ids.answer(message.get("tool_call_id"))
        messages.append(message)
    return messages


def has_calls(turn: Turn) -> bool:
    """Return whether a turn has tool calls."""
    return turn.fields is not None and bool(turn.fields.calls)


def _is_json(fields: MessageFields, form: MessageForm) -> bool:
    return fields.is_text and form.calls == "json"


def _write_content(index: int, fields: MessageFields, form: MessageForm, take: Take) -> object:
    content = fields.content
    if _is_json(fields, form):
        texts = (content,) if isinstance(content, str) else content
        calls = [json.dumps(call["function"], ensure_ascii=False, default=str) for call in fields.calls]
        content = "\n\n".join([*(text for text in texts if text.strip()), *calls])
    elif fields.calls and not "".join(content).strip():
        is_null = fields.is_null if form.content == "given" else form.content == "null"
        blank = content if isinstance(content, str) else ""
        return None if is_null else [{"type": "text", "text": blank}] if form.parts == "list" else blank
    texts = (content,) if isinstance(content, str) else content
    if form.parts == "list" or (texts and form.parts == "given" and not isinstance(content, str)):
        return [{"type": "text", "text": take(index, "whole", text)} for text in texts]
    return take(index, "whole", "\n\n".join(texts))


def _name_reasoning(fields: MessageFields, reads: Callable[[str], bool]) -> str:
    """Return the name of the field of reasoning: the given one, or another that the template reads instead."""
    given = fields.reasoning_key or REASONING_NAMES[0]
    return given if reads(given) else next(filter(reads, REASONING_NAMES), given)


def _write_call(call: Mapping[str, object], form: MessageForm, ids: "_CallIds") -> dict[str, object]:
    function = call["function"]
    assert isinstance(function, Mapping)
    arguments = function["arguments"]
    if form.arguments == "text" and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, default=str)
    written = {**call, "function": {**function, "arguments": arguments}}
    return {**written, "id": ids.call(call.get("id"))} if form.writes_ids else written


class _CallIds:
    """Ids of calls and of their results, in the form of Mistral's templates; results follow the order of the calls."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.count = 0

    def call(self, given: object) -> str:
        """Return the id of the next call."""
        self.count += 1
        written = _shorten_id(given) if given else f"call{self.count:05}"
        self.waiting.append(written)
        return written

    def answer(self, given: object) -> str:
        """Return the id of the call that the next result answers."""
        written = _shorten_id(given) if given else (self.waiting or ["call00000"])[0]
        if written in self.waiting:
            self.waiting.remove(written)
        return written


def _shorten_id(given: object) -> str:
    text = str(given)
    return text if CALL_ID.fullmatch(text) else xxhash.xxh3_64_hexdigest(text.encode())[:9]
