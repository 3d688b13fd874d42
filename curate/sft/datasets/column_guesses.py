"""Which columns of an unknown dataset may hold questions and answers: by their names, else by what they hold.

A column that identifies or classifies a row (``id``, ``source``, ``topic``) is none of them, whatever its place. Prose
is most of what is left; of several columns of prose whose names say nothing, the longest two are taken, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from typing import Any

ASKED_WORDS = (
    *("prompt", "question", "instruction", "query", "request", "task", "problem", "input", "user", "human", "asked"),
    "ask",
)
ANSWERED_WORDS = (
    *("response", "answer", "output", "completion", "reply", "solution", "target", "assistant", "bot", "gpt", "model"),
    "label",
)
"""Parts of the names of columns, the clearer first; one of fewer than four letters is a part by itself."""
LETTERS = (("q", "a"), ("q", "r"), ("x", "y"))
"""Parts of the names of two columns, which mean something only beside one another."""
LABELS = frozenset(
    (
        *(
            "id",
            "ids",
            "uid",
            "uuid",
            "guid",
            "idx",
            "index",
            "key",
            "hash",
            "sha",
            "md5",
            "url",
            "uri",
            "link",
            "href",
        ),
        *("path", "file", "filename", "source", "origin", "lang", "language", "locale", "date", "time", "timestamp"),
        *("created", "license", "licence", "category", "categories", "topic", "subject", "domain", "tag", "tags"),
        *("split", "type", "kind", "difficulty", "level", "score", "rating", "author", "annotator", "worker"),
        *("version", "status"),
    )
)
"""Parts of the names of columns that are about a row."""
PROSE_WORDS = 3
"""Words of a text from which it is prose, on the average of a column."""
WORDS = re.compile(r"[^\W\d_]+")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
ADDRESS = re.compile(r"(https?:|ftp:|www\.|/|[\w.-]+@)\S+$")


def split_name(column: str) -> list[str]:
    """Return the parts of a column's name in lower case: body and q of ``bodyQ`` and of ``body_q``."""
    return [part.lower() for part in PARTS.findall(column)]


def holds_texts(values: Sequence[Any]) -> bool:
    """Return whether most values of a column are texts that are neither numbers nor addresses."""
    texts = [value for value in values if isinstance(value, str) and not value.strip().isdigit()]
    texts = [text for text in texts if not ADDRESS.match(text.strip())]
    return bool(texts) and 2 * len(texts) > len(values)


def list_texts(column_to_values: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the columns of texts that may be questions or answers, those about the row left out unless none is left.

    ``column_to_values`` has the filled values of each column.
    """
    texts = [column for column, values in column_to_values.items() if holds_texts(values)]
    return [column for column in texts if not LABELS & {*split_name(column)}] or texts


def measure_prose(values: Sequence[Any]) -> float:
    """Return the mean number of characters of a column's texts: below 1 for a word or two, 0 for one text alone."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts or (len(texts) > 1 and len(set(texts)) == 1):
        return 0.0
    words = sum(len(WORDS.findall(text)) for text in texts) / len(texts)
    wide = sum(ord(letter) > 0x2E7F for text in texts for letter in text) / len(texts)
    length = sum(map(len, texts)) / len(texts)
    return length if max(words, wide / 2) >= PROSE_WORDS else length / (length + 1)


def choose_by_name(columns: Sequence[str], words: Sequence[str]) -> str | None:
    """Return the first column with one of the words as a part of its name, the earlier words first."""
    for word in words:
        for column in columns:
            if any(part in (word, f"{word}s") for part in split_name(column)):
                return column
    long = [word for word in words if len(word) > 3]
    return next((column for word in long for column in columns if word in column.lower()), None)


def guess_side(
    column_to_values: Mapping[str, Sequence[Any]], words: Sequence[str], taken: Collection[str]
) -> str | None:
    """Return the column of questions or of answers by its name, else the one with the longest prose; None for none."""
    free = [column for column in list_texts(column_to_values) if column not in taken]
    named = choose_by_name(free, words)
    lengths = {column: length for column in free if (length := measure_prose(column_to_values[column]))}
    return named or max(lengths, key=lambda column: lengths[column], default=None)


def find_letters(columns: Sequence[str]) -> tuple[str, str] | None:
    """Return two columns whose names differ in a letter that says which is the question: ``body_q``, ``body_r``."""
    parts = {column: split_name(column) for column in columns}
    for asked, answered in LETTERS:
        for first, second in permutations(columns, 2):
            if (
                asked in parts[first]
                and [answered if part == asked else part for part in parts[first]] == parts[second]
            ):
                return first, second
    return None


def guess_pair(column_to_values: Mapping[str, Sequence[Any]]) -> tuple[str, str] | None:
    """Return the columns of questions and of answers; None where fewer than two may be."""
    texts = list_texts(column_to_values)
    if pair := find_letters(texts):
        return pair
    asked, answered = choose_by_name(texts, ASKED_WORDS), choose_by_name(texts, ANSWERED_WORDS)
    if asked == answered:
        answered = choose_by_name([column for column in texts if column != asked], ANSWERED_WORDS)
    if asked is None and answered is None:
        longest = sorted(texts, key=lambda column: -measure_prose(column_to_values[column]))[:2]
        longest = [column for column in texts if column in longest and measure_prose(column_to_values[column])]
        return (longest[0], longest[1]) if len(longest) == 2 else None
    if answered is None:
        answered = guess_side(column_to_values, ANSWERED_WORDS, [asked or ""])
    elif asked is None:
        asked = guess_side(column_to_values, ASKED_WORDS, [answered])
    return None if asked is None or answered is None else (asked, answered)
