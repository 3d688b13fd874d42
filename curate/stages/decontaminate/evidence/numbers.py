"""The values of numbers, in digits of any script and spelled, so that the same number is the same however written."""

import json
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

SPELLED = Path(__file__).parent / "numbers.json"
"""By language the spelled numbers from 2 to 20, the tens, a hundred and a thousand (``recipes/count-words.py``)."""
NUMERALS = {char: value for value, char in enumerate("〇一二三四五六七八九")} | {
    "两": 2,
    "十": 10,
    "百": 100,
    "千": 1000,
    "万": 10_000,
}
"""Chinese and Japanese characters that are numbers when another of them stands in their place."""


def read_values(words: Sequence[str], language: str) -> list[int]:
    """Return the values of the numbers among some words, in small letters; digits in a row make one number."""
    values: list[int] = []
    digits = ""
    for word in [*words, ""]:
        decimal = _to_decimal(word)
        if decimal:
            digits += decimal
            continue
        if digits:
            values.append(int(digits))
            digits = ""
        value = _load_spelled(language).get(word, NUMERALS.get(word, _read_amount(word)))
        if value is not None:
            values.append(value)
    return values


def _to_decimal(word: str) -> str:
    """Return a word of digits as ASCII, "" for any other and for more digits than a number has."""
    if not word or len(word) > 40 or not all(map(str.isdecimal, word)):
        return ""
    return "".join(str(unicodedata.decimal(char)) for char in word)


def _read_amount(word: str) -> int | None:
    """Return the number that a word of digits and then letters begins with, as ``5kg`` does; None for any other."""
    letters = word.lstrip("".join({char for char in word if char.isdecimal()}))
    if letters == word or any(map(str.isdecimal, letters)):
        return None
    decimal = _to_decimal(word[: len(word) - len(letters)])
    return int(decimal) if decimal else None


@cache
def _load_spelled(language: str) -> dict[str, int]:
    return dict(json.loads(SPELLED.read_text(encoding="utf-8")).get(language, {}))
