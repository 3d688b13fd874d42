"""Conversations: one row of an instruction-tuning dataset as turns, whichever schema its authors chose.

    schema          columns                                                     becomes
    tree            prompt: {text, role, replies: […]}                          every message once, depth first
    preference      chosen, rejected; prompt, question, …, or conversations     the context, then both answers
    messages        messages: [{role, content}]                                 a turn for each message
    conversations   conversations or conversation: [{from, value}]              a turn for each message
    instances       instruction, instances: [{input, output}]                   question and answer for each instance
    alpaca          instruction, input or context, output or response           question, answer
    prompt          prompt, completion or response                              question, answer
    question        question, context, answer or response                       question, answer
    query           query, context, response or answer                          question, answer
    problem         problem, solution or answer                                 question, answer

Conventions that bind every schema:

- A rejected answer is an assistant turn as the chosen one is, and so is an answer with the label false (KTO).
- ``system`` or ``system_prompt`` beside any schema but tree is a system turn; ``history`` beside a question, pairs of a
  question and an answer (LLaMA-Factory), stands before it. Other columns, such as ``tools``, are not read.
- A message is one turn: its reasoning where that is plain text, its content, its tool calls as JSON, with a blank line
  between two. It may use role or from, and content, value or text.
- Of a content's typed parts, text, reasoning and tool calls are read; others (images, audio, …) are skipped, counted.
- A list of messages may be stored as a JSON string, and may stand for the string of a prompt or an answer (TRL).
- Several columns of a question are joined by a blank line; several answers are a turn each; equal ones count once.
- Null, NaN (a missing value of pandas) and white space are no text. Numbers are text; booleans are an error.
- Texts are kept as they are; nothing is stripped from a turn that has text.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

TURNS = ("all", "user", "assistant")

# Roles of: OpenAI (developer, function, tool), ShareGPT and FastChat (human, gpt, chatgpt, bing, bard), OpenAssistant
# (prompter), LLaMA-Factory (function_call, observation), Gemini and Gemma (model), Llama 3.1 (ipython), Qwen and
# Hermes (tool_call, tool_response), OLMo (environment).
ROLES = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "bing", "bard", "model", "function_call", "tool_call"),
    "tool": ("tool", "function", "observation", "tool_response", "ipython", "environment"),
}
STANDARD = {name: role for role, names in ROLES.items() for name in names}

ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
CALL_KEYS = ("tool_calls", "function_call")
PART_KEYS = ("text", "value", "content", "thinking", "reasoning")
SPOKEN_PARTS = ("text", "input_text", "output_text", "reasoning", "thinking", "tool_call", None)

SYSTEM_COLUMNS = ("system", "system_prompt")
MESSAGE_COLUMNS = {"messages": ("messages",), "conversations": ("conversations", "conversation")}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says at once."""

    role: str
    """system, user, assistant or tool."""
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one row, and what was left out of them."""

    turns: tuple[Turn, ...]
    skipped: tuple[str, ...]
    """The types of the parts that are no text, one for each part: image_url, input_audio, …"""


@dataclass(frozen=True, slots=True)
class Pair:
    """The columns of a schema of questions and answers."""

    asked: tuple[str, ...]
    """The first makes the schema; the others add to it."""
    answered: tuple[str, ...]


PAIRS = {
    "alpaca": Pair(("instruction", "input", "context"), ("output", "response")),
    "prompt": Pair(("prompt",), ("completion", "response")),
    "question": Pair(("question", "context"), ("answer", "response")),
    "query": Pair(("query", "context"), ("response", "answer")),
    "problem": Pair(("problem",), ("solution", "answer")),
}
PREFERENCE = Pair(("prompt", "question", "query", "instruction", "input", "context"), ("chosen", "rejected"))

# From the most particular to the most general, which is the order of detection.
SCHEMAS = ("tree", "preference", *MESSAGE_COLUMNS, "instances", *PAIRS)


class ConversationError(ValueError):
    """A row that does not follow its schema: where in it, what was found there, what was expected."""

    def __init__(self, place: str, found: str, expected: str):
        super().__init__(place, found, expected)  # what pickle makes it from again
        self.place = place
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}, expected {self.expected}"

    @property
    def column(self) -> str:
        """The column of the row, without what lies inside it."""
        return self.place.partition("[")[0].partition(".")[0]


def detect_schema(columns: Iterable[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """The schema that a dataset's rows follow, by its columns and its first rows; None if it is no known one.

    The first of ``SCHEMAS`` whose columns are there and that reads text from one of the rows; failing that, the first
    whose columns are there, so that rows which are all broken are counted and not taken for something else. Without
    rows the columns decide.
    """
    names = set(columns)
    fitting = [schema for schema in SCHEMAS if _fits(schema, names, rows)]
    readable = [schema for schema in fitting if any(_is_readable(row, schema) for row in rows)]
    return next(iter(readable + fitting), None)


def read_turns(row: Mapping[str, object], schema: str) -> list[Turn]:
    """The turns of one row, in order, each with some text; none for a row without any.

    Raises ConversationError, which names the place, what was found and what was expected, for a row that does not
    follow the schema, and ValueError for a schema that is none of ``SCHEMAS``.
    """
    return list(read_conversation(row, schema).turns)


def read_conversation(row: Mapping[str, object], schema: str) -> Conversation:
    """The turns of one row as ``read_turns`` gives them, and the types of the parts that were skipped."""
    skipped: list[str] = []
    if schema == "tree":
        turns = read_tree(row, skipped)
    elif schema == "preference":
        turns = read_preference(row, skipped)
    elif schema in MESSAGE_COLUMNS:
        turns = read_messages(row, MESSAGE_COLUMNS[schema], skipped)
    elif schema == "instances":
        turns = read_instances(row, skipped)
    elif schema in PAIRS:
        turns = read_pair(row, PAIRS[schema], skipped)
    else:
        raise ValueError(f"unknown schema {schema!r}; expected one of {', '.join(SCHEMAS)}")
    return Conversation(tuple(turns), tuple(skipped))


def walk_tree(row: Mapping[str, object]) -> Iterator[tuple[int, list[Turn]]]:
    """Every message of a tree, depth first: how many messages it replies to, and its turn; no turn without text.

    Raises ConversationError where ``read_turns`` does.
    """
    return _walk_tree(row, [])


def list_instances(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The instances of a self-instruct task, each as the row of Alpaca that it stands for, without the task's system.

    Raises ConversationError for instances that are no objects.
    """
    require_columns(row, ("instances",))
    instances: list[Mapping[str, object]] = []
    for number, instance in enumerate(as_list(row["instances"], "instances")):
        if not isinstance(instance, Mapping):
            raise ConversationError(f"instances[{number}]", describe_value(instance), "an object with input and output")
        instances.append({"instruction": row.get("instruction"), **instance})
    return instances


def select_turns(turns: Iterable[Turn], wanted: str) -> list[Turn]:
    """The turns of one side: ``user`` is all that the model is given, ``assistant`` what it is trained to say.

    System prompts and tool results are given, so they count as ``user``. ``all`` is both. Order is kept. Raises
    ValueError for another name.
    """
    if wanted not in TURNS:
        raise ValueError(f"unknown turns {wanted!r}; expected one of {', '.join(TURNS)}")
    return [turn for turn in turns if wanted == "all" or (turn.role == "assistant") == (wanted == "assistant")]


def joined(turns: Iterable[Turn]) -> str:
    """The texts of the turns with a blank line between two; no turns give no text."""
    return "\n\n".join(turn.text for turn in turns)


def _fits(schema: str, names: set[str], rows: Sequence[Mapping[str, object]]) -> bool:
    if schema == "tree":
        nested = any(isinstance(row.get("prompt"), Mapping) for row in rows)
        return "prompt" in names and (nested or "message_tree_id" in names)
    if schema in MESSAGE_COLUMNS:
        return any(name in names and _may_hold_messages(name, rows) for name in MESSAGE_COLUMNS[schema])
    if schema == "instances":
        return {"instruction", "instances"} <= names
    if schema == "preference":
        return names.issuperset(PREFERENCE.answered)
    return PAIRS[schema].asked[0] in names and not names.isdisjoint(PAIRS[schema].answered)


def _may_hold_messages(column: str, rows: Sequence[Mapping[str, object]]) -> bool:
    """False where ``messages`` is a count or a plain text."""
    values = [row.get(column) for row in rows]
    filled = [value for value in values if value is not None]
    return not filled or any(
        value.lstrip().startswith("[") if isinstance(value, str) else isinstance(value, list | tuple)
        for value in filled
    )


def _is_readable(row: Mapping[str, object], schema: str) -> bool:
    try:
        return bool(read_turns(row, schema))
    except ConversationError:
        return False


def read_tree(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    return [turn for _, turns in _walk_tree(row, skipped) for turn in turns]


def _walk_tree(row: Mapping[str, object], skipped: list[str]) -> Iterator[tuple[int, list[Turn]]]:
    require_columns(row, ("prompt",))
    ahead = [(row["prompt"], "prompt", 0)]  # a stack, since trees may lie deeper than Python recurses
    while ahead:
        message, place, depth = ahead.pop()
        yield depth, read_message(message, place, skipped)
        if isinstance(message, Mapping):
            place = f"{place}.replies"
            replies = list(enumerate(as_list(message.get("replies"), place)))
            ahead += [(reply, f"{place}[{number}]", depth + 1) for number, reply in reversed(replies)]


def read_preference(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """A message that an answer repeats from the context, as where each holds the whole conversation, comes once."""
    require_columns(row, PREFERENCE.answered)
    turns = extend_turns(read_system(row), read_history(row) + _read_asked(row, PREFERENCE, skipped))
    for column in (name for names in MESSAGE_COLUMNS.values() for name in names):
        turns = extend_turns(turns, read_column(row, column, None, skipped))
    for column in PREFERENCE.answered:
        turns = extend_turns(turns, read_column(row, column, "assistant", skipped))
    return turns


def read_messages(row: Mapping[str, object], columns: tuple[str, ...], skipped: list[str]) -> list[Turn]:
    require_columns(row, columns)
    said = [turn for column in columns for turn in read_column(row, column, None, skipped)]
    return extend_turns(read_system(row), said)


def read_instances(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Each instance is what an Alpaca row is, so a task of several instances repeats its instruction."""
    turns = []
    for number, instance in enumerate(list_instances(row)):
        try:
            turns += read_pair(instance, PAIRS["alpaca"], skipped)
        except ConversationError as error:
            place = f"instances[{number}].{error.place}"
            raise ConversationError(place, error.found, error.expected) from error
    return read_system(row) + (turns or read_column(row, "instruction", "user", skipped))


def read_pair(row: Mapping[str, object], pair: Pair, skipped: list[str]) -> list[Turn]:
    require_columns(row, pair.asked[:1])
    require_columns(row, pair.answered)
    asked = read_history(row) + _read_asked(row, pair, skipped)
    answers = dict.fromkeys(tuple(read_column(row, column, "assistant", skipped)) for column in pair.answered)
    return extend_turns(read_system(row), asked) + [turn for answer in answers for turn in answer]


def _read_asked(row: Mapping[str, object], pair: Pair, skipped: list[str]) -> list[Turn]:
    columns = [read_column(row, column, "user", skipped) for column in pair.asked]
    texts = [turns[0] for turns in columns if len(turns) == 1 and turns[0].role == "user"]
    if len(texts) > 1 and len(texts) == sum(map(len, columns)):
        return [Turn("user", joined(dict.fromkeys(texts)))]
    return [turn for turns in columns for turn in turns]


def read_system(row: Mapping[str, object]) -> list[Turn]:
    found = {column: row.get(column) for column in SYSTEM_COLUMNS}
    texts = [_write(value, column) for column, value in found.items() if isinstance(value, str)]
    return [Turn("system", text) for text in texts if text.strip()][:1]


def read_history(row: Mapping[str, object]) -> list[Turn]:
    turns = []
    for number, pair in enumerate(as_list(row.get("history"), "history")):
        place = f"history[{number}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ConversationError(place, describe_value(pair), "a question and its answer")
        turns += [Turn("user", _write(pair[0], place)), Turn("assistant", _write(pair[1], place))]
    return [turn for turn in turns if turn.text.strip()]


def read_column(row: Mapping[str, object], column: str, role: str | None, skipped: list[str]) -> list[Turn]:
    """Messages, or a text that ``role`` says; messages alone where the role is None."""
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
    text = _write(value, column, "a string or messages" if role else "a list of messages")
    if role is None and text.strip() not in ("", "[]"):
        raise ConversationError(column, describe_value(value), "a list of messages")
    return [Turn(role, text)] if role and text.strip() else []


def _parse_messages(text: str, known: bool) -> list[Mapping[str, object]] | None:
    """The messages that a JSON string holds. ``known`` asks for a known role in each, since an answer may be JSON."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(message, Mapping) for message in found):
        return None
    return found if not known or all(map(_find_role, found)) else None


def read_message(message: object, place: str, skipped: list[str]) -> list[Turn]:
    if message is None:
        return []
    if not isinstance(message, Mapping):
        raise ConversationError(place, describe_value(message), "a message, an object with role and content")
    if not any(key in message for key in (*CONTENT_KEYS, *REASONING_KEYS, *CALL_KEYS)):
        raise ConversationError(place, describe_value(message), f"one of {', '.join(CONTENT_KEYS)}")
    said = [*_read_reasoning(message, place, skipped), *_read_content(message, place, skipped)]
    said += _read_calls(message, place)
    role = _find_role(message)
    if role is None:
        key = next((key for key in ROLE_KEYS if message.get(key) is not None), ROLE_KEYS[0])
        raise ConversationError(f"{place}.{key}", describe_value(message.get(key)), f"one of {', '.join(STANDARD)}")
    text = "\n\n".join(part for part in said if part.strip())
    return [Turn(role, text)] if text else []


def _find_role(message: Mapping[str, object]) -> str | None:
    names = [message[key] for key in ROLE_KEYS if message.get(key) is not None]
    return STANDARD.get(names[0].strip().lower()) if names and isinstance(names[0], str) else None


def _read_reasoning(message: Mapping[str, object], place: str, skipped: list[str]) -> list[str]:
    found = {key: message[key] for key in REASONING_KEYS if message.get(key)}
    skipped += [key for key, value in found.items() if not isinstance(value, str)]
    texts = [_write(value, f"{place}.{key}") for key, value in found.items() if isinstance(value, str)]
    return list(dict.fromkeys(texts))


def _read_content(message: Mapping[str, object], place: str, skipped: list[str]) -> list[str]:
    key = next((key for key in CONTENT_KEYS if message.get(key) not in (None, "")), CONTENT_KEYS[0])
    content, place = message.get(key), f"{place}.{key}"
    if not isinstance(content, list | tuple):
        return [_write(content, place, "a string or a list of typed parts")]
    parts = [_read_part(part, f"{place}[{number}]", skipped) for number, part in enumerate(content)]
    return [part for part in parts if part]


def _read_part(part: object, place: str, skipped: list[str]) -> str:
    if not isinstance(part, Mapping):
        return _write(part, place, "a typed part")
    kind = part.get("type")
    text = next((part[key] for key in PART_KEYS if isinstance(part.get(key), str)), None)
    if kind in SPOKEN_PARTS and text is not None:
        return _write(text, place)
    skipped.append(str(kind))
    return ""


def _read_calls(message: Mapping[str, object], place: str) -> list[str]:
    texts = []
    for key in CALL_KEYS:
        calls = message.get(key) or []
        for call in calls if isinstance(calls, list | tuple) else [calls]:
            texts.append(_write_call(call, f"{place}.{key}"))
    return texts


def _write_call(call: object, place: str) -> str:
    """The name and the arguments as chat templates write them: one JSON object, whose arguments are no string."""
    if not isinstance(call, Mapping):
        return _write(call, place, "a tool call, an object with name and arguments")
    function = call.get("function")
    named = function if isinstance(function, Mapping) else call
    arguments = named.get("arguments")
    try:
        if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
            arguments = json.loads(arguments)
    except (ValueError, RecursionError):
        pass  # the model is trained to say even what is no JSON
    said = {"name": named["name"], "arguments": arguments} if named.get("name") else call
    try:
        text = json.dumps(said, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConversationError(place, f"arguments that JSON cannot hold ({error})", "an object") from error
    return _write(text, place)


def extend_turns(turns: list[Turn], more: list[Turn]) -> list[Turn]:
    """``turns`` and ``more``, without what ``more`` repeats from the beginning of ``turns``."""
    first = 1 if turns and more and turns[0].role == "system" != more[0].role else 0
    same = 0
    while same < min(len(turns) - first, len(more)) and turns[first + same] == more[same]:
        same += 1
    return turns + more[same:]


def require_columns(row: Mapping[str, object], columns: tuple[str, ...]) -> None:
    if not any(column in row for column in columns):
        found = f"no such column among {', '.join(map(str, row)) or 'none'}"
        raise ConversationError(columns[0], found, " or ".join(columns))


def as_list(value: object, place: str) -> Sequence[object]:
    if isinstance(value, str):
        value = _parse_messages(value, known=False) or value.strip() or None
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ConversationError(place, describe_value(value), "a list")
    return value


def _write(value: object, place: str, expected: str = "a string") -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConversationError(place, describe_value(value), expected)
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"a lone surrogate at character {error.start}"
        raise ConversationError(place, found, expected) from error
    return text


def describe_value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'the string "{value[:40]}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(str, list(value)[:5])) or 'nothing in it'}"
    return f"the {type(value).__name__} {str(value)[:40]}"
