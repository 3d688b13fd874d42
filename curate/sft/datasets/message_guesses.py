"""How the messages of a column can be read whose keys or roles are not known: which key says who speaks, and who asks.

    [{"who": "kunde", "said": "…"}, {"who": "agent", "said": "…"}]
    → --role-field who --content-field said --role kunde=user,agent=assistant

The key of roles has few and short values, which change from message to message; that of contents has the longest texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from curate.corpus.chat.messages import CONTENT_KEYS, ROLE_KEYS, STANDARD
from curate.corpus.chat.named_columns import (
    NO_NAMES,
    FieldNames,
    find_role_key,
    find_value,
    list_messages,
)
from curate.corpus.chat.types import ConversationError
from curate.sft.datasets.column_guesses import (
    ANSWERED_WORDS,
    ASKED_WORDS,
    choose_by_name,
    find_letters,
    holds_texts,
    split_name,
)
from curate.sft.datasets.dataset_start import walk_columns

SPEAKING_WORDS = ("role", "speaker", "who", "from", "author", "sender", "participant", "party", "side", "name")
SAYING_WORDS = ("content", "text", "message", "utterance", "body", "value", "said", "say", "msg", "parts")
ASKING_WORDS = ("user", "human", "customer", "client", "caller", "student", "patient", "visitor", "ask", "question")
TOOL_WORDS, SYSTEM_WORDS = ("tool", "function", "observation", "api"), ("system",)
"""Parts of the names of roles that ask, answer calls, and instruct."""
LONGEST_ROLE, MOST_ROLES = 40, 8
"""Characters of a role, and how many there may be."""
NEARLY_ALL = 0.9
"""The share of messages in which the key of roles is."""


@dataclass(frozen=True, slots=True)
class MessageGuess:
    """The words of options by which the messages of a column can be read; none where its own are known."""

    role_key: tuple[str, ...] = ()
    content_key: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def as_words(self) -> dict[str, tuple[str, ...]]:
        """Return the words that there are, by the names of ``FieldNames``."""
        words = {"role_key": self.role_key, "content_key": self.content_key, "roles": self.roles}
        return {key: value for key, value in words.items() if value}


def guess_messages(values: Sequence[Any], names: FieldNames = NO_NAMES) -> MessageGuess | None:
    """Return how the messages in the values of a column can be read; None where most values hold none.

    ``names`` are those that are known already; the guess adds to them.
    """
    lists = [read for value in values if (read := _try_messages(value, names))]
    if not lists or 2 * len(lists) <= len(values):
        return None
    keys = _guess_keys(lists) if max(map(len, lists)) > 1 else None
    if keys is None:
        exchange = _guess_exchange(lists)
        return None if exchange is None else MessageGuess(roles=exchange)
    role_key, content_key = keys
    named = replace(names, role_key=role_key or names.role_key, content_key=content_key or names.content_key)
    renamed = [read for value in values if (read := _try_messages(value, named))]
    return MessageGuess(role_key, content_key, _guess_roles(renamed, dict(names.roles)))


def _try_messages(value: object, names: FieldNames) -> list[Mapping[str, Any]]:
    """Return the objects in a value that may be messages; none where it is anything else."""
    try:
        read = list_messages(value, "", names)
    except ConversationError:
        return []
    messages = read if isinstance(read, list) else []
    return [one for one in messages if isinstance(one, Mapping)] if len(messages) else []


def _guess_keys(lists: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the keys of roles and of contents, each empty where the known one is there; None where one is missing."""
    messages = [message for one in lists for message in one]
    spoken = all(map(find_role_key, messages))
    filled = all(any(isinstance(message.get(key), str | list) for key in CONTENT_KEYS) for message in messages)
    key_to_values = dict(walk_columns(messages))
    role = None if spoken else _choose_role_key(key_to_values, lists, len(messages))
    taken = (role, *(ROLE_KEYS if spoken else ()))
    content = None if filled else _choose_content_key(key_to_values, taken)
    if (role is None and not spoken) or (content is None and not filled):
        return None
    return () if role is None else (role,), () if content is None else (content,)


def _choose_role_key(
    key_to_values: Mapping[str, Sequence[Any]], lists: Sequence[Sequence[Mapping[str, Any]]], count: int
) -> str | None:
    """Return the key by which messages of few speakers take turns, one whose name says so first; None for none."""
    ranked = []
    for key, values in key_to_values.items():
        texts = {str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)}
        if len(values) < NEARLY_ALL * count or not 2 <= len(texts) <= MOST_ROLES:
            continue
        if any(len(text) > LONGEST_ROLE or "\n" in text for text in texts):
            continue
        pairs = [pair for one in lists for pair in pairwise(find_value(message, key) for message in one)]
        change = sum(first != second for first, second in pairs) / max(len(pairs), 1)
        is_named = choose_by_name([key], SPEAKING_WORDS) is not None
        ranked.append((change >= 0.5, is_named, change, -len(texts), key))
    return max(ranked)[-1] if ranked and max(ranked)[0] else None


def _choose_content_key(key_to_values: Mapping[str, Sequence[Any]], taken: Sequence[str | None]) -> str | None:
    """Return the key of the longest texts, or lists of texts; one whose name says so first where it is half as long."""
    lengths = {
        key: length for key, values in key_to_values.items() if key not in taken and (length := _mean_length(values))
    }
    longest = max(lengths.values(), default=0.0)
    named = choose_by_name([key for key, length in lengths.items() if 2 * length >= longest], SAYING_WORDS)
    return named or max(lengths, key=lambda key: lengths[key], default=None)


def _mean_length(values: Sequence[Any]) -> float:
    texts = ["".join(part for part in one if isinstance(part, str)) if isinstance(one, list) else one for one in values]
    return sum(len(text) for text in texts if isinstance(text, str)) / max(len(texts), 1)


def _guess_exchange(lists: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[str, ...] | None:
    """Return the roles that are keys of objects with a question and its answer: ``q=user`` and ``a=assistant``."""
    key_to_values = dict(walk_columns([message for one in lists for message in one]))
    texts = [key for key, values in key_to_values.items() if holds_texts(values) and "." not in key]
    if letters := find_letters(texts):
        return f"{letters[0]}=user", f"{letters[1]}=assistant"
    asked = choose_by_name(texts, (*ASKED_WORDS, *ASKING_WORDS))
    answered = choose_by_name([key for key in texts if key != asked], ANSWERED_WORDS)
    return None if asked is None or answered is None else (f"{asked}=user", f"{answered}=assistant")


def _guess_roles(lists: Sequence[Sequence[Mapping[str, Any]]], known: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``OWN=STANDARD`` for the roles that are not known.

    Which of them asks is a guess by its name, or by who speaks first.
    """
    spoken = [[message[key].strip() for message in one if (key := find_role_key(message))] for one in lists]
    standard = STANDARD | dict(known)
    unknown = list(dict.fromkeys(role for one in spoken for role in one if role.lower() not in standard))
    have = {standard[role.lower()] for one in spoken for role in one if role.lower() in standard}
    guessed = {role: _guess_role(role) for role in unknown}
    if "user" not in have and "user" not in guessed.values():
        first = Counter(role for one in spoken for role in one[:1] if guessed.get(role) == "assistant")
        guessed |= {role: "user" for role, _ in first.most_common(1)}
    if unknown and "assistant" not in have and "assistant" not in guessed.values():
        answering = Counter(role for one in spoken for role in one[1:] if guessed.get(role) == "user")
        guessed |= {role: "assistant" for role, _ in answering.most_common(1)} if len(unknown) > 1 else {}
    return tuple(f"{role}={guessed[role]}" for role in unknown[:MOST_ROLES])


def _guess_role(role: str) -> str:
    for words, standard in ((ASKING_WORDS, "user"), (TOOL_WORDS, "tool"), (SYSTEM_WORDS, "system")):
        if any(word in role.lower() for word in words) or set(words) & {*split_name(role)}:
            return standard
    return "assistant"
