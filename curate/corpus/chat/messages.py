"""Messages of a conversation: roles, typed content, reasoning and tool calls; each message is one turn.

Functions take the path of a value within its row for the errors that they raise. All raise ConversationError.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from curate.corpus.chat.fields import PART_KEYS, read_fields
from curate.corpus.chat.learning_marks import mark_turns, read_marks
from curate.corpus.chat.types import ConversationError, Turn
from curate.corpus.chat.written import read_python_list

# Roles of: OpenAI (developer, function, tool), ShareGPT and FastChat (human, gpt, chatgpt, bing, bard), OpenAssistant
# (prompter), LLaMA-Factory (function_call, observation), Gemini and Gemma (model), Llama 3.1 (ipython), Qwen and
# Hermes (tool_call, tool_response), OLMo (environment), Cohere (chatbot), others (bot, ai).
ROLES = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": (
        *("assistant", "gpt", "chatgpt", "bing", "bard", "model", "bot", "ai", "chatbot"),
        *("function_call", "tool_call"),
    ),
    "tool": ("tool", "function", "observation", "tool_response", "ipython", "environment"),
}
STANDARD = {name: role for role, names in ROLES.items() for name in names}

ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
CALL_KEYS = ("tool_calls", "function_call")
TEXT_PARTS = ("text", "input_text", "output_text", "reasoning", "thinking", "tool_call", None)

SYSTEM_COLUMNS = ("system", "system_prompt")
MESSAGE_COLUMNS = {"messages": ("messages",), "conversations": ("conversations", "conversation")}


def has_messages(columns: tuple[str, ...], names: set[str], rows: Sequence[Mapping[str, object]]) -> bool:
    """Return whether one of the columns is among the names and may hold messages: False for a count or a plain text."""
    return any(column in names and _may_hold_messages(column, rows) for column in columns)


def _may_hold_messages(column: str, rows: Sequence[Mapping[str, object]]) -> bool:
    values = [row.get(column) for row in rows]
    filled = [value for value in values if value is not None]
    return not filled or any(
        value.lstrip().startswith("[") if isinstance(value, str) else isinstance(value, list | tuple)
        for value in filled
    )


def read_messages(columns: tuple[str, ...], row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Return the system turn, then a turn for each message of the columns. Raises ConversationError."""
    require_columns(row, columns)
    turns = [turn for column in columns for turn in read_column(row, column, None, skipped)]
    return extend_turns(read_system(row), turns)


def read_whole_messages(columns: tuple[str, ...], row: Mapping[str, object], marks: Mapping[str, object]) -> list[Turn]:
    """Return what ``read_messages`` does and a turn for each blank message, which a chat template may write as well.

    The marks of the row (``learning_marks.find_row_marks``) are on the turns; a list of marks is about the messages of
    a column, blank ones included. A blank system message is left out beside a system column. Raises ConversationError.
    """
    system = read_system(row)
    turns: list[Turn] = []
    for column in columns:
        value = row.get(column)
        messages = _parse_messages(value, known=False) if isinstance(value, str) else value
        if not isinstance(messages, list | tuple):
            messages = [messages] if isinstance(messages, Mapping) else []
        found = [read_message(message, f"{column}[{number}]", [], True) for number, message in enumerate(messages)]
        numbers = [number for number, more in enumerate(found) for _ in more]
        turns += mark_turns([turn for more in found for turn in more], numbers, len(messages), marks)
    kept = [turn for turn in turns if turn.text.strip() or not (system and turn.role == "system")]
    return extend_turns(system, kept)


def read_system(row: Mapping[str, object]) -> list[Turn]:
    """Return the first system column with text as a turn, or an empty list."""
    values = {column: row.get(column) for column in SYSTEM_COLUMNS}
    texts = [_as_text(value, column) for column, value in values.items() if isinstance(value, str)]
    return [Turn("system", text) for text in texts if text.strip()][:1]


def read_history(row: Mapping[str, object]) -> list[Turn]:
    """Return the pairs of ``history`` as turns of the user and the assistant, those with text."""
    turns = []
    for number, pair in enumerate(as_list(row.get("history"), "history")):
        path = f"history[{number}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ConversationError(path, describe_value(pair), "a question and its answer")
        turns += [Turn("user", _as_text(pair[0], path)), Turn("assistant", _as_text(pair[1], path))]
    return [turn for turn in turns if turn.text.strip()]


def read_column(row: Mapping[str, object], column: str, role: str | None, skipped: list[str]) -> list[Turn]:
    """Return the messages of a column as turns, or its text as one turn of ``role``; for None only messages."""
    value = row.get(column)
    if isinstance(value, str):
        value = _parse_messages(value, known=role is not None) or value
    if isinstance(value, Mapping):
        return read_message(value, column, skipped)
    if isinstance(value, list | tuple):
        return [
            turn
            for number, message in enumerate(value)
            for turn in read_message(message, f"{column}[{number}]", skipped)
        ]
    text = _as_text(value, column, "a string or messages" if role else "a list of messages")
    if role is None and text.strip() not in ("", "[]"):
        written = "; a text in brackets must be JSON or a complete Python list" if text.lstrip()[:1] == "[" else ""
        raise ConversationError(column, describe_value(value), f"a list of messages{written}")
    return [Turn(role, text)] if role and text.strip() else []


def _parse_messages(text: str, known: bool) -> list[Mapping[str, object]] | None:
    """Return the messages in a JSON string, or in that of a Python list; None for other strings.

    With ``known`` one message needs a known role, since an answer may be JSON itself; an unknown role beside it is an
    error of ``read_message``.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        messages = json.loads(text)
    except (ValueError, RecursionError):
        messages = read_python_list(text)
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        return None
    return messages if not known or any(map(_find_role, messages)) else None


def read_message(message: object, path: str, skipped: list[str], keep_blank: bool = False) -> list[Turn]:
    """Return a message as one turn: reasoning, content, tool calls, joined by blank lines.

    There is no turn without text, unless ``keep_blank``.
    """
    if message is None:
        return []
    if not isinstance(message, Mapping):
        raise ConversationError(path, describe_value(message), "a message, an object with role and content")
    if not any(key in message for key in (*CONTENT_KEYS, *REASONING_KEYS, *CALL_KEYS)):
        raise ConversationError(path, describe_value(message), f"one of {', '.join(CONTENT_KEYS)}")
    reasoning = _read_reasoning(message, path, skipped)
    content = _read_content(message, path, skipped)
    texts = [*dict.fromkeys(text for _, text in reasoning), *content, *_read_calls(message, path)]
    role = _find_role(message)
    if role is None:
        key = next((key for key in ROLE_KEYS if message.get(key) is not None), ROLE_KEYS[0])
        raise ConversationError(f"{path}.{key}", describe_value(message.get(key)), f"one of {', '.join(STANDARD)}")
    text = "\n\n".join(part for part in texts if part.strip())
    if not text and not keep_blank:
        return []
    raw = next((message[key] for key in ROLE_KEYS if message.get(key) is not None), "")
    value = next((message[key] for key in CONTENT_KEYS if message.get(key) not in (None, "")), None)
    whole: object = value if isinstance(value, list | tuple) else content[0]
    if all(message.get(key) is None for key in CONTENT_KEYS):
        whole = None
    fields = read_fields(message, role, str(raw).strip().lower(), reasoning, whole)
    return [Turn(role, text, *read_marks(message, role), fields)]


def _find_role(message: Mapping[str, object]) -> str | None:
    names = [message[key] for key in ROLE_KEYS if message.get(key) is not None]
    return STANDARD.get(names[0].strip().lower()) if names and isinstance(names[0], str) else None


def _read_reasoning(message: Mapping[str, object], path: str, skipped: list[str]) -> list[tuple[str, str]]:
    """Return the fields of reasoning that are plain text, with their names."""
    values = {key: message[key] for key in REASONING_KEYS if message.get(key)}
    skipped += [key for key, value in values.items() if not isinstance(value, str)]
    return [(key, _as_text(value, f"{path}.{key}")) for key, value in values.items() if isinstance(value, str)]


def _read_content(message: Mapping[str, object], path: str, skipped: list[str]) -> list[str]:
    key = next((key for key in CONTENT_KEYS if message.get(key) not in (None, "")), CONTENT_KEYS[0])
    content, path = message.get(key), f"{path}.{key}"
    if not isinstance(content, list | tuple):
        return [_as_text(content, path, "a string or a list of typed parts")]
    parts = [_read_part(part, f"{path}[{number}]", skipped) for number, part in enumerate(content)]
    return [part for part in parts if part]


def _read_part(part: object, path: str, skipped: list[str]) -> str:
    if not isinstance(part, Mapping):
        return _as_text(part, path, "a typed part")
    kind = part.get("type")
    text = next((part[key] for key in PART_KEYS if isinstance(part.get(key), str)), None)
    if kind in TEXT_PARTS and text is not None:
        return _as_text(text, path)
    skipped.append(str(kind))
    return ""


def _read_calls(message: Mapping[str, object], path: str) -> list[str]:
    texts = []
    for key in CALL_KEYS:
        calls = message.get(key) or []
        for call in calls if isinstance(calls, list | tuple) else [calls]:
            texts.append(_write_call(call, f"{path}.{key}"))
    return texts


def _write_call(call: object, path: str) -> str:
    """Return the name and the arguments as chat templates write them: one JSON object, the arguments as an object."""
    if not isinstance(call, Mapping):
        return _as_text(call, path, "a tool call, an object with name and arguments")
    function = call.get("function")
    named = function if isinstance(function, Mapping) else call
    arguments = named.get("arguments")
    try:
        if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
            arguments = json.loads(arguments)
    except (ValueError, RecursionError):
        pass  # A model is trained on arguments that are not JSON too.
    written = {"name": named["name"], "arguments": arguments} if named.get("name") else call
    try:
        text = json.dumps(written, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConversationError(path, f"arguments that JSON cannot hold ({error})", "an object") from error
    return _as_text(text, path)


def extend_turns(turns: list[Turn], more: list[Turn]) -> list[Turn]:
    """Return ``turns`` and then ``more``, without the turns that ``more`` repeats from the beginning of ``turns``."""
    first = 1 if turns and more and turns[0].role == "system" != more[0].role else 0
    same = 0
    while same < min(len(turns) - first, len(more)) and turns[first + same] == more[same]:
        same += 1
    repeated = [_join_marks(turn, again) for turn, again in zip(turns[first:], more[:same], strict=False)]
    return turns[:first] + repeated + turns[first + same :] + more[same:]


def _join_marks(turn: Turn, again: Turn) -> Turn:
    """Return a turn that is given twice: it is learnt where both are."""
    if again.learnt and not again.notes:
        return turn
    return replace(turn, learnt=turn.learnt and again.learnt, notes=(*turn.notes, *again.notes))


def require_columns(row: Mapping[str, object], columns: tuple[str, ...]) -> None:
    """Raise ConversationError for a row that has none of the columns."""
    if not any(column in row for column in columns):
        found = f"no such column among {', '.join(map(str, row)) or 'none'}"
        raise ConversationError(columns[0], found, " or ".join(columns))


def as_list(value: object, path: str) -> Sequence[object]:
    """Return a list, also from a JSON string of messages; an empty one for null and white space."""
    if isinstance(value, str):
        value = _parse_messages(value, known=False) or value.strip() or None
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ConversationError(path, describe_value(value), "a list")
    return value


def _as_text(value: object, path: str, expected: str = "a string") -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConversationError(path, describe_value(value), expected)
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"a lone surrogate at character {error.start}"
        raise ConversationError(path, found, expected) from error
    return text


def describe_value(value: object) -> str:
    """Return a value in a few words for an error message: null, a list of 3, an object with role, content."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'the string "{value[:40]}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(str, list(value)[:5])) or 'nothing in it'}"
    return f"the {type(value).__name__} {str(value)[:40]}"
