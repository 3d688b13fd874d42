"""The options of multiple-choice items without their letters, and answers that only point at one of them."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from curate.stages.decontaminate.evalsets.column_names import alike
from curate.stages.decontaminate.evalsets.texts import first_text, is_blank, is_list, spell

LETTER = re.compile(r"\s*\(?\s*([A-Za-z])\s*[).:]\s*(.*?)\s*", re.DOTALL)
LONE_LETTER = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*[)\].:]*\s*")
MARK = re.compile(r"(?:^|[\s,;])\(?([A-Ja-j])\s?[).:]\s+")
DIGITS = re.compile(r"-?[0-9]{1,4}")
UNSURE = -1
"""The base of a column whose numbers may count from 0 or from 1."""
POINTERS = (
    "label", "labels", "answerkey", "answeridx", "answerindex", "answerid", "gold", "goldindex", "correct",
    "correctoption", "correctchoice", "correctindex", "correctansweridx", "correctanswerindex", "targetidx", "cop",
)  # fmt: skip
"""Columns whose values point at an option or a class: numbers in them are never the text of an answer.

From the surest name to the last resort, as in ``detect_columns``.
"""


class AnswerChoices(NamedTuple):
    """The options of one row in their order; an absent one is ""."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """How the file names the options; () where it does not."""

    def kept(self) -> tuple[str, ...]:
        """Return the options that are not absent."""
        return tuple(text for text in self.texts if text)


def as_options(value: Any) -> AnswerChoices:
    """Return the options in a value, none where it has none.

    The value is a list of texts, an object of parallel lists or of letters, a list of objects, or a text that lists
    options.
    """
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
        by_label = {name: first_text(text).strip() for name, text in value.items()}
        return AnswerChoices(tuple(by_label.values()), tuple(by_label))
    labels = value.get("label", value.get("labels"))
    if not is_list(labels) or len(labels) != len(texts) or not all(isinstance(label, str) for label in labels):
        return AnswerChoices(as_options(texts).texts)
    return AnswerChoices(as_options(texts).texts, tuple(label.strip() for label in labels))


def strip_letters(texts: Sequence[str]) -> tuple[str, ...]:
    """Return options without "(A)", "A)", "A." or "A:"; unchanged unless each begins with the letter of its index."""
    matches = [LETTER.fullmatch(text) for text in texts if text]
    in_order = all(match and ord(match[1].upper()) - ord("A") == index for index, match in enumerate(matches))
    return tuple(match[2] for match in matches if match) if in_order and len(matches) > 1 else tuple(texts)


def split_options(text: str) -> list[Any]:
    """Return the options that a text lists: JSON, a Python list, lines, lettered ("A) 3, B) 4") or after semicolons."""
    for parse in (json.loads, parse_literal):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue  # TypeError: of {{7}}, a set in a set, which Python has not.
        if is_list(value) or isinstance(value, dict):
            return list(as_options(value).texts)
    marks = list(MARK.finditer(text))
    if len(marks) > 1 and all(ord(mark[1].upper()) - ord("A") == index for index, mark in enumerate(marks)):
        stops = [*(mark.start() for mark in marks[1:]), len(text)]
        return [text[mark.end() : stop].strip(" ,;\n") for mark, stop in zip(marks, stops, strict=True)]
    parts = text.splitlines() if "\n" in text.strip() else text.split(";")
    return [part.strip() for part in parts if part.strip()]


def parse_literal(text: str) -> Any:
    """Return the value of a Python literal, in silence. Raises what ``ast.literal_eval`` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A backslash that escapes nothing, as in LaTeX.
        return ast.literal_eval(text)


def find_base(column: str, pairs: Iterable[tuple[Any, AnswerChoices]], first: int | None) -> int | None:
    """Return the number of the first option in a column of answers: 0, 1 or UNSURE, None where numbers do not point.

    ``pairs`` are the values of the column with the options of their rows. A 0 among the values implies 0, a value that
    is the count of the options implies 1; both, or a greater one, imply None. Where neither occurs, numbers count from
    0, and numbers that are strings from ``first``, the number in the name of the first column of options; without
    that the base is UNSURE. A column not in POINTERS must hold nothing but numbers that are not all texts of options.
    """
    rows = [(value, _as_digits(value), options) for value, options in pairs if len(options.texts) > 1]
    numbers = [(int(digits), options) for _, digits, options in rows if digits and int(digits) >= 0]
    if not numbers or any(number > len(options.texts) for number, options in numbers):
        return None
    if alike(column) not in POINTERS and not _only_points(rows):
        return None
    zero = any(number == 0 for number, _ in numbers)
    full = any(number == len(options.texts) for number, options in numbers)
    if zero or full:
        return None if zero and full else int(full)
    if not any(isinstance(value, str) for value, _, _ in rows):
        return 0
    return UNSURE if first is None else first


def _only_points(rows: list[tuple[Any, str, AnswerChoices]]) -> bool:
    """Return whether values are all numbers, and not all of them texts of their options."""
    filled = [(digits, options) for value, digits, options in rows if digits or not is_blank(first_text(value))]
    return all(digits for digits, _ in filled) and any(digits not in options.texts for digits, options in filled)


def _as_digits(value: Any) -> str:
    """Return an integer as its digits, "" for every other value."""
    if is_list(value) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):  # True is not 1 here
        return ""
    text = spell(value).strip()
    return text if DIGITS.fullmatch(text) else ""


def point(column: str, value: Any, options: AnswerChoices, base: int | None) -> str:
    """Return the answer that a value is or points at: always the text of an option, never its letter or number.

    ``base`` is what ``find_base`` returns for the column. Returns "" where the value points at no option.
    """
    if is_list(value) and len(value) == len(options.texts) > 1 and all(item in (0, 1) for item in value):
        return "\n".join(text for text, mark in zip(options.texts, value, strict=True) if mark)
    if is_list(value) and options.texts and len(value) > 1:
        pointed = [_point_one(column, item, options, base) for item in value]
        return "\n".join(filter(None, pointed)) if all(text in options.texts for text in pointed) else first_text(value)
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
        index = ord(letter[1].upper()) - ord("A")
        return options.texts[index] if index < len(options.texts) else ""
    if (lettered := LETTER.fullmatch(text)) and lettered[2] in options.texts:
        return lettered[2]
    if digits := _as_digits(value):
        if base in (0, 1) and 0 <= int(digits) - base < len(options.texts):
            return options.texts[int(digits) - base]
        return "" if named or base == UNSURE else text
    return "" if is_blank(text) else text
