"""Values of a row as texts: strings, numbers, lists of alternatives, objects that hold a text, turns of a dialogue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from curate.corpus.values.json_records import clean_string

INNER = (
    "text", "stem", "question", "content", "value", "answer", "output", "input_text", "spans", "span", "number", "date"
)  # fmt: skip
"""The keys under which an object has its text, the first that has one: of NQ, TriviaQA, CoQA, DROP among others."""
SPEAKER = ("role", "from")
"""The keys of who speaks: OpenAI's messages and ShareGPT's conversations."""
SPOKEN = ("content", "value", "text")
"""The keys of what they say."""
USERS = {"user", "human", "prompter"}
ASSISTANTS = {"assistant", "gpt", "model", "bot", "chatgpt"}


def is_blank(text: str) -> bool:
    """Return whether a text has nothing but white space."""
    return not text or text.isspace()


def spell(value: Any) -> str:
    """Return a single value as text: 18, 51 for 51.0, true; "" for null and NaN."""
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
    """Return the text of a value: of a list the first element's that has one, of an object that under an INNER key."""
    if isinstance(value, dict):
        inner = next((text for name in INNER if not is_blank(text := first_text(value.get(name)))), "")
        return inner or " ".join(leaves(value))
    if isinstance(value, (list, tuple)):
        if len(value) > 1 and all(isinstance(item, (int, float)) for item in value):
            return json.dumps(value)
        return next((text for item in value if not is_blank(text := first_text(item))), "")
    return spell(value)


def leaves(value: Any) -> Iterator[str]:
    """Yield every text within a value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif not is_blank(text := spell(value)):
        yield text


def whole_text(value: Any) -> str:
    """Return all texts of a value as one, a line for each."""
    return spell(value) if not isinstance(value, (dict, list, tuple)) else "\n".join(leaves(value))


def as_questions(value: Any) -> tuple[str, ...]:
    """Return the questions in a value: a text, a list of turns, or the user's turns of a dialogue; no blank ones."""
    if is_dialogue(value):
        questions = [text for speaker, text in turns(value) if speaker in USERS]
    elif is_list(value):
        questions = [first_text(item) for item in value]
    elif isinstance(value, dict) and is_list(inner := next((value[name] for name in INNER if value.get(name)), None)):
        return as_questions(inner)
    else:
        questions = [first_text(value)]
    return tuple(text for text in questions if not is_blank(text))


def is_dialogue(value: Any) -> bool:
    """Return whether a value is a list of turns with a speaker each."""
    return (
        is_list(value)
        and bool(value)
        and all(isinstance(turn, dict) and any(name in turn for name in SPEAKER) for turn in value)
    )


def turns(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the speaker of each turn, in lower case, and the text."""
    for turn in value:
        speaker = next(spell(turn[name]) for name in SPEAKER if name in turn)
        content = next((turn[name] for name in SPOKEN if turn.get(name) is not None), None)
        parts = content
        if is_list(content):
            parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        yield speaker.strip().lower(), whole_text(parts)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list or tuple."""
    return isinstance(value, (list, tuple))


def last_reply(value: Any) -> str:
    """Return the assistant's last text in a dialogue, "" where there is none."""
    replies = [text for speaker, text in turns(value) if speaker in ASSISTANTS and not is_blank(text)]
    return replies[-1] if replies else ""
