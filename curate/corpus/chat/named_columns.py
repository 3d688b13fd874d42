"""Columns and roles that a user names: rows of any names as rows of a known schema.

    FieldNames(prompt=("task", "details"), response=("reply",))      as instruction, input and output of alpaca
    FieldNames(messages=("dialogue",), roles=(("kunde", "user"),))   as messages
    FieldNames(messages=("turns",), role_key=("who",), content_key=("said",))

``rename_row`` is all of it: the readers of the schemas know nothing of other names. ``spell`` writes them behind the
name of a schema, as in ``alpaca?prompt=task&response=reply``, so that a text field says them too.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from curate.corpus.chat.messages import CONTENT_KEYS, MESSAGE_COLUMNS, ROLE_KEYS, STANDARD, describe_value
from curate.corpus.chat.pairs import PAIRS, PREFERENCE
from curate.corpus.chat.types import ConversationError
from curate.corpus.chat.written import read_python_list, read_transcript
from curate.corpus.values.json_records import MISSING, look_up

ASKED, ANSWERED = PAIRS["alpaca"].asked, PAIRS["alpaca"].answered
"""The columns that named questions and answers become."""
MESSAGES = "messages"
OTHER_ROLE_KEYS = ("speaker", "author", "sender")
OTHER_CONTENT_KEYS = ("utterance", "message", "body")
"""Keys of messages in a column that the user names, beside those of ``messages``."""
ALTERNATING = ("user", "assistant")
"""The roles of a list of strings in a column that the user names."""
SPOKEN = tuple(dict.fromkeys((*(name for names in MESSAGE_COLUMNS.values() for name in names), *PREFERENCE.answered)))
"""Columns of the schemas that hold messages with roles; a prompt may, too."""
READ = frozenset(
    (*SPOKEN, "instances", *PREFERENCE.asked, *(c for p in PAIRS.values() for c in (*p.asked, *p.answered)))
)
"""Columns that some schema reads as turns."""
SEPARATOR = "?"


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names that a dataset has for its columns and roles; empty where they are those of its schema."""

    prompt: tuple[str, ...] = ()
    """Columns of the question, or paths with dots within them; several are joined by a blank line."""
    response: tuple[str, ...] = ()
    """Columns of answers; several are an answer each."""
    messages: tuple[str, ...] = ()
    """The column of messages, alone."""
    role_key: tuple[str, ...] = ()
    """The key of a message that says who speaks, alone; or a path with dots within the message."""
    content_key: tuple[str, ...] = ()
    """The key of a message that holds what is said, likewise."""
    roles: tuple[tuple[str, str], ...] = ()
    """Pairs of a role as the dataset has it, in lower case, and system, user, assistant or tool."""
    transcripts: tuple[str, ...] = ()
    """Columns whose strings are transcripts of two sides, where they are."""

    @property
    def schema(self) -> str | None:
        """The schema that rows follow by their new names; None where no column is named."""
        return MESSAGES if self.messages else "alpaca" if self.prompt or self.response else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named, and those that paths begin with."""
        named = (*self.prompt, *self.response, *self.messages)
        return tuple(dict.fromkeys((*named, *(name.split(".")[0] for name in named))))

    def as_dict(self) -> dict[str, Any]:
        """Return the names that there are, as JSON."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if name == "roles" else list(value) for name, value in found.items() if value}


NO_NAMES = FieldNames()


def spell(schema: str, names: FieldNames) -> str:
    """Return a schema with the names of a dataset, as ``alpaca?prompt=task``; the schema alone without names."""
    pairs = [(key, "=".join(one) if key == "roles" else one) for key in names.as_dict() for one in getattr(names, key)]
    return f"{schema}{SEPARATOR}{urlencode(pairs)}" if pairs else schema


@lru_cache(maxsize=64)
def read_spelling(text: str) -> tuple[str, FieldNames]:
    """Return the schema and the names that ``spell`` wrote. Raises ValueError for other names than those."""
    schema, _, query = text.partition(SEPARATOR)
    keys = {one.name: list[Any]() for one in fields(FieldNames)}
    for key, value in parse_qsl(query, strict_parsing=True) if query else ():
        if key not in keys:
            raise ValueError(f"{text}: {key} is none of {', '.join(keys)}")
        keys[key].append(tuple(value.rsplit("=", 1)) if key == "roles" else value)
    return schema, FieldNames(**{key: tuple(values) for key, values in keys.items()})


def rename_row(row: Mapping[str, Any], names: FieldNames) -> Mapping[str, Any]:
    """Return a row with the columns and roles of its schema; the row itself without names.

    Columns that a schema would read, and that the user did not name, are left out where others are named. Raises
    ConversationError for a row that lacks what is named.
    """
    if names == NO_NAMES:
        return row
    renamed = dict(row)
    if names.schema is not None:
        renamed = {key: value for key, value in row.items() if key not in READ and key not in names.columns}
        if names.messages:
            renamed[MESSAGES] = list_messages(take(row, names.messages[:1])[0], names.messages[0], names)
        else:
            asked, answered = take(row, names.prompt), take(row, names.response)
            renamed |= dict(zip(ASKED, asked, strict=False)) | dict(zip(ANSWERED, answered, strict=False))
    for column in names.transcripts:
        text = renamed.get(column)
        renamed[column] = (read_transcript(text) or text) if isinstance(text, str) else text
    return rename_messages(renamed, names) if names.roles or names.role_key or names.content_key else renamed


def take(row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """Return the values of some columns, null for one that is missing. Raises ConversationError where all are."""
    values = [find_value(row, name) for name in names]
    if all(value is MISSING for value in values):
        found = f"no such column among {', '.join(map(str, row)) or 'none'}"
        raise ConversationError(names[0] if names else "prompt", found, " or ".join(names))
    return [None if value is MISSING else value for value in values]


def find_value(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a column, or of a path with dots; null below a column that is null; MISSING without one."""
    value = look_up(dict(row), name)
    return None if value is MISSING and row.get(name.split(".")[0], MISSING) is None else value


def list_messages(value: object, column: str, names: FieldNames = NO_NAMES) -> object:
    """Return the messages of a column that the user names, in any form that says who speaks.

    Those are messages, a string of them, a transcript, an object of lists (``{"role": […], "content": […]}``), objects
    with a text for each role (``{"user": …, "assistant": …}``), and a list of strings, of which the user says the first
    and the assistant every second. ``names`` has the keys and roles that the user names. Raises ConversationError for a
    string that is none of these.
    """
    if isinstance(value, str):
        read = parse_json_list(value) or read_python_list(value) or read_transcript(value)
        if read is None and value.strip():
            expected = "messages: a list, JSON, or a transcript of Human: and Assistant:"
            raise ConversationError(column, describe_value(value), expected)
        value = read
    if isinstance(value, Mapping):
        value = zip_lists(value)
    if not isinstance(value, list | tuple):
        return value
    if value and all(isinstance(one, str) for one in value):
        return [{"role": ALTERNATING[at % 2], "content": one} for at, one in enumerate(value)]
    known = STANDARD | dict(names.roles)
    return [message for one in value for message in split_exchange(rename_keys(name_keys(one, names)), known)]


def parse_json_list(text: str) -> object:
    """Return the list in a JSON text; None for any other text."""
    try:
        value = json.loads(text) if text.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def zip_lists(value: Mapping[str, Any]) -> object:
    """Return an object of several lists of one length as a list of objects; another object as it is."""
    lists = [inner for inner in value.values() if isinstance(inner, list | tuple)]
    if len(lists) < max(2, len(value)) or len({len(one) for one in lists}) > 1:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]


def rename_keys(message: object) -> object:
    """Return a message with role and content where it has other keys for these."""
    if not isinstance(message, Mapping):
        return message
    renamed = dict(message)
    for known, others in ((ROLE_KEYS, OTHER_ROLE_KEYS), (CONTENT_KEYS, OTHER_CONTENT_KEYS)):
        other = next((key for key in others if not isinstance(renamed.get(key), Mapping | None)), None)
        if other is not None and all(renamed.get(key) is None for key in known):
            renamed[known[0]] = renamed.pop(other)
    return renamed


def name_keys(message: object, names: FieldNames) -> object:
    """Return a message with role and content where the user names other keys for these; a number as a text."""
    if not isinstance(message, Mapping):
        return message
    renamed = dict(message)
    for named, known in ((names.role_key, ROLE_KEYS), (names.content_key, CONTENT_KEYS)):
        value = find_value(message, named[0]) if named else MISSING
        if value is MISSING:
            continue
        for key in (*known, named[0].split(".")[0]):
            renamed.pop(key, None)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        renamed[known[0]] = str(value) if is_number else value
    return renamed


def split_exchange(message: object, roles: Mapping[str, str]) -> list[object]:
    """Return a message for each role that is a key of an object without role and content; another one as it is."""
    if not isinstance(message, Mapping) or any(key in message for key in (*ROLE_KEYS, *CONTENT_KEYS)):
        return [message]
    turns = [
        {"role": key.strip(), "content": value}
        for key, value in message.items()
        if isinstance(key, str) and isinstance(value, str) and key.strip().lower() in roles
    ]
    return [*turns] or [message]


def rename_messages(row: Mapping[str, Any], names: FieldNames) -> dict[str, Any]:
    """Return a row with the standard keys and roles in every column of messages, read from a string where it is one."""
    roles = dict(names.roles)
    renamed = dict(row)
    for column in (*SPOKEN, *PREFERENCE.asked):
        value = renamed.get(column)
        if isinstance(value, str):
            value = parse_json_list(value) or read_python_list(value)
        if isinstance(value, list | tuple):
            renamed[column] = [rename_role(name_keys(message, names), roles) for message in value]
    return renamed


def rename_role(message: object, roles: Mapping[str, str]) -> object:
    """Return a message with the role that ``roles`` has for its own, if any."""
    key = find_role_key(message)
    if key is None or not isinstance(message, Mapping):
        return message
    return {**message, key: roles.get(message[key].strip().lower(), message[key])}


def find_role_key(message: object) -> str | None:
    """Return the key of a message's role, where that is a text."""
    if not isinstance(message, Mapping):
        return None
    key = next((key for key in ROLE_KEYS if message.get(key) is not None), None)
    return key if key is not None and isinstance(message[key], str) else None


def list_read_columns(columns: Iterable[str], names: FieldNames) -> tuple[str, ...]:
    """Return the columns that are read of a dataset: those of its schema, or those that are named in their place."""
    if names.schema is None:
        return tuple(columns)
    return tuple(dict.fromkeys((*(name for name in columns if name not in READ), *names.columns)))
