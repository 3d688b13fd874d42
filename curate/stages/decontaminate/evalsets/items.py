"""What an eval set is made of, whatever the columns of its file are called."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import xxhash

ROLES = ("question", "context", "choices", "answer", "id")
# More columns than this are told by the first and the last.
MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class EvalItem:
    """One thing that a model is asked."""

    set: str
    """Name of its eval set."""
    id: str
    """Its own id, else the number of its row; unique in the set: what comes again is "17#2"."""
    questions: tuple[str, ...]
    """What a model is asked, as it is in the file: usually one text, in dialogues one for each turn of the user."""
    context: str
    """The passage that stands before the question, "" where there is none."""
    choices: tuple[str, ...]
    """The options without their letters."""
    answer: str
    """Text of the answer, solution or reference code; "" where the file has a letter or number of an unknown option."""
    file: str
    row: int
    """From zero, as the corpus counts: blank lines of JSON Lines count, the header of a CSV file does not."""


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
    """Rows of the files; blank lines are none."""
    duplicates: int
    """Rows that repeat question, context, choices and answer of an earlier one; kept once."""
    empty: int
    """Rows without any question."""
    unreadable: int
    problems: tuple[str, ...]
    """Place and reason of the first rows that are no items, and how many more there are."""
    clashing_ids: int
    """Items whose own id an earlier item has."""

    @property
    def fingerprint(self) -> str:
        """Hex digits of the contents of all items in order, whatever their ids, files and fields are called."""
        return xxhash.xxh3_128_hexdigest("\n".join(map(hash_item, self.items)).encode())

    def describe(self) -> str:
        """One line for people: how many items, from which columns, and what was left out."""
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
    """Hex digits of what an item says: questions, context, choices and answer, in any Unicode form and white space."""
    said = [item.questions, (item.context,), item.choices, (item.answer,)]
    content = [[" ".join(unicodedata.normalize("NFC", text).split()) for text in texts] for texts in said]
    return xxhash.xxh3_128_hexdigest(json.dumps(content, ensure_ascii=False).encode())
