"""Eval items and eval sets, whatever the columns of their files are called."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import xxhash

ROLES = ("question", "context", "choices", "answer", "id")
MOST_NAMED = 4
"""Of more columns, only the first and the last are shown."""


@dataclass(frozen=True, slots=True)
class EvalItem:
    """One item of a benchmark: a question with what belongs to it."""

    set: str
    """Name of its eval set."""
    id: str
    """Its id in the file, else the number of its row; unique in the set: an id that comes again is "17#2"."""
    questions: tuple[str, ...]
    """What a model has to answer, as in the file: usually one text, in dialogues one for each turn of the user."""
    context: str
    """The passage before the question, "" where there is none."""
    choices: tuple[str, ...]
    """The options without their letters."""
    answer: str
    """Text of the answer, solution or reference code; "" where the file has a letter or number of an unknown option."""
    file: str
    row: int
    """Counted from 0, as in the corpus: blank lines of JSON Lines count, the header of a CSV file does not."""


@dataclass(frozen=True, slots=True)
class EvalSet:
    """One benchmark and how it was read: ``read == len(items) + duplicates + empty + unreadable``."""

    name: str
    source: str
    """Its path, or its name on the Hub with configuration and split."""
    revision: str | None
    """The commit on the Hub; None for local files, and where the Hub does not say."""
    items: tuple[EvalItem, ...]
    fields: Mapping[str, tuple[str, ...]]
    """Role (question, context, choices, answer, id) to the columns that texts were taken from."""
    read: int
    """Rows of the files; blank lines are not rows."""
    duplicates: int
    """Rows that repeat question, context, choices and answer of an earlier one; kept once."""
    empty: int
    """Rows without any question."""
    unreadable: int
    problems: tuple[str, ...]
    """Position and reason of the first rows that are no items, and how many more there are."""
    clashing_ids: int
    """Items whose id in the file an earlier item has."""

    @property
    def fingerprint(self) -> str:
        """Hex digits of a hash of the texts of all items in order, whatever their ids, files and columns are called."""
        return xxhash.xxh3_128_hexdigest("\n".join(map(hash_item, self.items)).encode())

    def describe(self) -> str:
        """Return one line for people: how many items, from which columns, and what was left out."""
        line = f"{self.name}   {len(self.items):,} item{'s' if len(self.items) != 1 else ''}   "
        line += ", ".join(f"{role} {_list_columns(role, names)}" for role, names in self.fields.items() if role != "id")
        counts = (
            (self.duplicates, "repeated"),
            (self.empty, "without a question"),
            (self.unreadable, "unreadable"),
            (self.clashing_ids, "with the id of another"),
        )
        left = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return line + (f"   ({left})" if left else "")


def _list_columns(role: str, names: tuple[str, ...]) -> str:
    if len(names) > MOST_NAMED:
        return f'"{names[0]}" … "{names[-1]}"'
    return (" or " if role == "answer" else " + ").join(f'"{name}"' for name in names)


def hash_item(item: EvalItem) -> str:
    """Return the hex digits of a hash of an item's texts: questions, context, choices and answer.

    Unicode form (NFC) and white space make no difference.
    """
    parts = [item.questions, (item.context,), item.choices, (item.answer,)]
    content = [[" ".join(unicodedata.normalize("NFC", text).split()) for text in texts] for texts in parts]
    return xxhash.xxh3_128_hexdigest(json.dumps(content, ensure_ascii=False).encode())
