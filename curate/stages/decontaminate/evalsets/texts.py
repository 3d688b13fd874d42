"""Values of a row as texts: strings, numbers, lists of alternatives, objects that hold a text, turns of a dialogue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from curate.corpus.json_records import clean_string

# The fields in which an object keeps its text, the first that has one: those of NQ, TriviaQA, CoQA, DROP among others.
INNER = (
    "text", "stem", "question", "content", "value", "answer", "output", "input_text", "spans", "span", "number", "date"
)  # fmt: skip
# Who speaks: OpenAI's messages and ShareGPT's conversations.
SPEAKER = ("role", "from")
SPOKEN = ("content", "value", "text")
USERS = {"user", "human", "prompter"}
ASSISTANTS = {"assistant", "gpt", "model", "bot", "chatgpt"}


def is_blank(text: str) -> bool:
    return not text or text.isspace()


def spell(value: Any) -> str:
    """A single value as text: 18, 51 for 51.0, true; "" for null and not-a-number."""
    if isinstance(value, str):
        return clean_string(value)
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def first_text(value: Any) -> str:
    """The text of a value; of alternatives the first that has one, of an object the field that holds its text."""
    if isinstance(value, dict):
        found = next((text for name in INNER if not is_blank(text := first_text(value.get(name)))), "")
        return found or " ".join(leaves(value))
    if isinstance(value, (list, tuple)):
        if len(value) > 1 and all(isinstance(item, (int, float)) for item in value):
            return json.dumps(value)
        return next((text for item in value if not is_blank(text := first_text(item))), "")
    return spell(value)


def leaves(value: Any) -> Iterator[str]:
    """Every text within a value, in its order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif not is_blank(text := spell(value)):
        yield text


def whole_text(value: Any) -> str:
    """All of a value as one text, a line for each part."""
    return spell(value) if not isinstance(value, (dict, list, tuple)) else "\n".join(leaves(value))


def as_questions(value: Any) -> tuple[str, ...]:
    """What is asked: a text, a list of turns, or the user's turns of a dialogue; blank ones are left out."""
    if is_dialogue(value):
        asked = [text for speaker, text in turns(value) if speaker in USERS]
    elif is_list(value):
        asked = [first_text(item) for item in value]
    elif isinstance(value, dict) and is_list(held := next((value[name] for name in INNER if value.get(name)), None)):
        return as_questions(held)
    else:
        asked = [first_text(value)]
    return tuple(text for text in asked if not is_blank(text))


def is_dialogue(value: Any) -> bool:
    """Whether a value is a list of turns that say who speaks."""
    return (
        is_list(value)
        and bool(value)
        and all(isinstance(turn, dict) and any(name in turn for name in SPEAKER) for turn in value)
    )


def turns(value: Any) -> Iterator[tuple[str, str]]:
    """Who speaks, in lower case, and what they say."""
    for turn in value:
        speaker = next(spell(turn[name]) for name in SPEAKER if name in turn)
        said = next((turn[name] for name in SPOKEN if turn.get(name) is not None), None)
        parts = [part.get("text") if isinstance(part, dict) else part for part in said] if is_list(said) else said
        yield speaker.strip().lower(), whole_text(parts)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def last_reply(value: Any) -> str:
    """What the assistant says last in a dialogue."""
    replies = [text for speaker, text in turns(value) if speaker in ASSISTANTS and not is_blank(text)]
    return replies[-1] if replies else ""
