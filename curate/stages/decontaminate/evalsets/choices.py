"""Options of a multiple choice without their letters, and answers that only point at one of them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from curate.stages.decontaminate.evalsets.column_names import alike
from curate.stages.decontaminate.evalsets.texts import first_text, is_blank, is_list, spell

LETTER = re.compile(r"\s*\(?\s*([A-Za-z])\s*[).:]\s*(.*?)\s*", re.DOTALL)
LONE_LETTER = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*[)\].:]*\s*")
MARK = re.compile(r"(?:^|[\s,;])\(?([A-Ja-j])\s?[).:]\s+")
DIGITS = re.compile(r"-?[0-9]{1,4}")
UNSURE = -1
# Columns whose values point at an option (or at a class), and never are the text of an answer when they are numbers.
POINTERS = frozenset(
    (
        "label", "labels", "gold", "goldindex", "correct", "correctoption", "correctchoice", "correctindex", "cop",
        "answerkey", "answeridx", "answerindex", "answerid", "correctansweridx", "correctanswerindex", "targetidx",
    )
)  # fmt: skip


class AnswerChoices(NamedTuple):
    """The options of one row in their order, and what the file itself calls them; an absent one is ""."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def kept(self) -> tuple[str, ...]:
        return tuple(text for text in self.texts if text)


def as_options(value: Any) -> AnswerChoices:
    """A list of texts, an object of parallel lists or of letters, a list of objects, or a text that lists options."""
    if isinstance(value, dict):
        return _from_object(value)
    if isinstance(value, str):
        return as_options(split_options(value))
    if not is_list(value):
        return AnswerChoices()
    if value and all(isinstance(item, dict) for item in value):
        labels = tuple(spell(item.get("label", item.get("key"))).strip() for item in value)
        return AnswerChoices(tuple(first_text(item).strip() for item in value), labels if all(labels) else ())
    return AnswerChoices(strip_letters([first_text(item).strip() for item in value]))


def _from_object(value: dict[str, Any]) -> AnswerChoices:
    texts = next((value[name] for name in ("text", "texts", "choices", "options") if is_list(value.get(name))), None)
    if texts is None:
        held = {name: first_text(text).strip() for name, text in value.items()}
        return AnswerChoices(tuple(held.values()), tuple(held))
    labels = value.get("label", value.get("labels"))
    if not is_list(labels) or len(labels) != len(texts) or not all(isinstance(label, str) for label in labels):
        return AnswerChoices(as_options(texts).texts)
    return AnswerChoices(as_options(texts).texts, tuple(label.strip() for label in labels))


def strip_letters(texts: Sequence[str]) -> tuple[str, ...]:
    """Options without "(A)", "A)", "A." or "A:", where every one of them begins with its own letter."""
    found = [LETTER.fullmatch(text) for text in texts if text]
    own = all(one and ord(one[1].upper()) - ord("A") == place for place, one in enumerate(found))
    return tuple(one[2] for one in found if one) if own and len(found) > 1 else tuple(texts)


def split_options(text: str) -> list[Any]:
    """The options that one text lists: JSON, a Python list, lines, lettered ("A) 3, B) 4"), or parted by semicolons."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if is_list(found) or isinstance(found, dict):
            return list(as_options(found).texts)
    marks = list(MARK.finditer(text))
    if len(marks) > 1 and all(ord(mark[1].upper()) - ord("A") == place for place, mark in enumerate(marks)):
        stops = [*(mark.start() for mark in marks[1:]), len(text)]
        return [text[mark.end() : stop].strip(" ,;\n") for mark, stop in zip(marks, stops, strict=True)]
    parts = text.splitlines() if "\n" in text.strip() else text.split(";")
    return [part.strip() for part in parts if part.strip()]


# ------------------------------------------------------------------------------------------------------------ pointers


def find_base(column: str, pairs: Iterable[tuple[Any, AnswerChoices]], first: int | None) -> int | None:
    """What number the first option has in a column of answers, 0 or 1; None where its numbers are no such thing.

    A 0 among the answers says 0, the count of the options says 1, both or more than that say none. Where neither
    occurs, numbers count from 0; numbers that are strings count as the columns of the options do (``first``), else
    it stays UNSURE. A column that is not named for it must hold nothing but numbers, and not the texts of options.
    """
    held = [(value, _as_digits(value), options) for value, options in pairs if len(options.texts) > 1]
    numbers = [(int(digits), options) for _, digits, options in held if digits and int(digits) >= 0]
    if not numbers or any(number > len(options.texts) for number, options in numbers):
        return None
    if alike(column) not in POINTERS and not _only_points(held):
        return None
    zero = any(number == 0 for number, _ in numbers)
    full = any(number == len(options.texts) for number, options in numbers)
    if zero or full:
        return None if zero and full else int(full)
    if not any(isinstance(value, str) for value, _, _ in held):
        return 0
    return UNSURE if first is None else first


def _only_points(held: list[tuple[Any, str, AnswerChoices]]) -> bool:
    """Whether values are all numbers, and not all of them texts of their options."""
    told = [(digits, options) for value, digits, options in held if digits or not is_blank(first_text(value))]
    return all(digits for digits, _ in told) and any(digits not in options.texts for digits, options in told)


def _as_digits(value: Any) -> str:
    """A whole number as its digits, "" for every other value."""
    if is_list(value) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):  # True is no 1 here
        return ""
    text = spell(value).strip()
    return text if DIGITS.fullmatch(text) else ""


def point(column: str, value: Any, options: AnswerChoices, base: int | None) -> str:
    """The answer that a value is or points at: always the text of an option, never its letter or number."""
    if is_list(value) and len(value) == len(options.texts) > 1 and all(item in (0, 1) for item in value):
        return "\n".join(text for text, mark in zip(options.texts, value, strict=True) if mark)
    if is_list(value) and options.texts and len(value) > 1:
        pointed = [_point_one(column, item, options, base) for item in value]
        return "\n".join(filter(None, pointed)) if all(one in options.texts for one in pointed) else first_text(value)
    return _point_one(column, value, options, base)


def _point_one(column: str, value: Any, options: AnswerChoices, base: int | None) -> str:
    text = first_text(value)
    bare, named = text.strip(), alike(column) in POINTERS
    if bare in options.labels:
        return options.texts[options.labels.index(bare)]
    if not options.texts:
        letter = LONE_LETTER.fullmatch(bare)
        is_pointer = (letter and bare.isupper()) or (named and (_as_digits(bare) or letter))
        return "" if is_pointer else text
    if not named and bare in options.texts:
        return bare
    if letter := LONE_LETTER.fullmatch(bare):
        place = ord(letter[1].upper()) - ord("A")
        return options.texts[place] if place < len(options.texts) else ""
    if (lettered := LETTER.fullmatch(text)) and lettered[2] in options.texts:
        return lettered[2]
    if digits := _as_digits(value):
        if base in (0, 1) and 0 <= int(digits) - base < len(options.texts):
            return options.texts[int(digits) - base]
        return "" if named or base == UNSURE else text
    return "" if is_blank(text) else text
