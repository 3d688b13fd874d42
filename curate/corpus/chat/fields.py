"""The fields of a message as a chat template takes them: content, reasoning, tool calls, and what else it holds.

A turn's text is one string for scoring (``messages.read_message``). A template needs the parts of the message instead,
since it writes reasoning and tool calls in forms of its own. Calls are in transformers' form whatever form they had:

    {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}, with an ``id`` where the message has one

Calls that the data holds as text (a turn of ``function_call``, a typed part ``tool_call``) become calls too, where the
text is such JSON; ``is_text`` says so.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

REASONING_PARTS = ("reasoning", "thinking")
CALLING_ROLES = ("function_call", "tool_call")
PLAIN_PARTS = ("text", "input_text", "output_text", None)
PART_KEYS = ("text", "value", "content", "thinking", "reasoning")
CONSUMED = frozenset(("role", "from", "content", "value", "text", "tool_calls", "function_call", "replies"))
"""Keys that are read into the other fields, or that are other messages."""


@dataclass(frozen=True, slots=True)
class MessageFields:
    """What a message holds, in the form that chat templates take."""

    content: str | tuple[str, ...]
    """The text, or the texts of its typed parts."""
    is_null: bool = False
    """Whether the content is null or absent."""
    reasoning: str = ""
    reasoning_key: str = ""
    """The name of the field that held the reasoning; empty where a typed part held it."""
    calls: tuple[Mapping[str, object], ...] = ()
    is_text: bool = False
    """Whether the calls were given as text."""
    others: Mapping[str, object] = field(default_factory=dict)
    """The other fields that are not null, such as ``name`` and ``tool_call_id``."""


def read_fields(
    message: Mapping[str, object], role: str, raw_role: str, reasoning: Sequence[tuple[str, str]], content: object
) -> MessageFields | None:
    """Return the fields of a message; None where it is a role and a plain text, and nothing else.

    ``reasoning`` has the names and texts of its fields of reasoning, ``content`` is the value of its content.
    """
    keys = {key for key, _ in reasoning}
    others = {
        key: value
        for key, value in message.items()
        if isinstance(key, str) and value is not None and key not in CONSUMED and key not in keys
    }
    calls = [call for key in ("tool_calls", "function_call") for call in _list_calls(message.get(key))]
    thoughts = [text for _, text in reasoning]
    texts: str | tuple[str, ...] = "" if content is None else str(content)
    is_text = False
    if isinstance(content, list | tuple):
        texts, more, said = _read_parts(content)
        thoughts, calls, is_text = [*thoughts, *more], [*calls, *said], bool(said)
    elif raw_role in CALLING_ROLES and not calls and (said := _parse_calls(str(texts))):
        texts, calls, is_text = "", said, True
    if role != "assistant":
        calls, is_text = [], False
    if not (others or calls or thoughts or isinstance(texts, tuple) or content is None):
        return None
    named = next((key for key, _ in reasoning), "")
    thought = "\n\n".join(dict.fromkeys(text for text in thoughts if text.strip()))
    is_null = content is None or (is_text and not texts)
    return MessageFields(texts, is_null, thought, named, tuple(calls), is_text, others)


def _read_parts(parts: Sequence[object]) -> tuple[tuple[str, ...], list[str], list[Mapping[str, object]]]:
    """Return the texts, the reasoning and the tool calls among typed parts; a call that is no JSON is a text."""
    texts, thoughts, calls = list[str](), list[str](), list[Mapping[str, object]]()
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        text = (
            next((part[key] for key in PART_KEYS if isinstance(part.get(key), str)), None)
            if isinstance(part, Mapping)
            else part
        )
        if not isinstance(text, str) or not text:
            continue
        said = _parse_calls(text) if kind == "tool_call" else []
        if kind in REASONING_PARTS:
            thoughts.append(text)
        elif said:
            calls += said
        elif kind in PLAIN_PARTS or kind == "tool_call":
            texts.append(text)
    return tuple(texts), thoughts, calls


def _parse_calls(text: str) -> list[Mapping[str, object]]:
    """Return the calls in a JSON text, one or a list of them; none where it is anything else."""
    if text.lstrip()[:1] not in ("{", "["):
        return []
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return _list_calls(parsed)


def _list_calls(value: object) -> list[Mapping[str, object]]:
    """Return calls in transformers' form; none where one of the values is no call with a name."""
    found = value if isinstance(value, list | tuple) else [value] if isinstance(value, Mapping) else []
    calls = [_read_call(call) for call in found]
    return [call for call in calls if call is not None] if None not in calls else []


def _read_call(call: object) -> Mapping[str, object] | None:
    if not isinstance(call, Mapping):
        return None
    function = call.get("function")
    named = function if isinstance(function, Mapping) else call
    name = named.get("name")
    if not isinstance(name, str) or not name:
        return None
    rest = {key: value for key, value in call.items() if key in ("id", "index") and value is not None}
    kind = call.get("type")
    arguments = _parse_object(named.get("arguments", named.get("parameters")))
    return {
        **rest,
        "type": kind if isinstance(kind, str) else "function",
        "function": {"name": name, "arguments": arguments},
    }


def _parse_object(arguments: object) -> object:
    """Return arguments as an object where they are JSON text of one; no arguments as an empty object."""
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        try:
            parsed = json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
        return parsed if isinstance(parsed, dict) else arguments
    return arguments
