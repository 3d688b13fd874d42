"""Numbers as people write and read them: tokens as 2B, sizes as 500MB, figures, shares as 12.5 %."""

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from curate.errors import UsageError

TOKENS = re.compile(r"(?i)^([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([kmbt]?)$")
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parse_tokens(text: str | int) -> int:
    """Return ``2B`` as 2,000,000,000; the units are K, M, B and T, in capitals or not. A fraction is rounded down.

    Raises UsageError, naming ``--tokens``, for other texts and for less than one token.
    """
    match = TOKENS.match(str(text).strip())
    if match is None:
        raise UsageError(f"--tokens must be a number of tokens, such as 2B or 500M, not {text}", "--tokens 2B")
    number = Fraction(re.sub("[_,]", "", match[1])) * UNITS[match[2].lower()]
    if number < 1:
        raise UsageError(f"--tokens must be at least 1, not {text}", "--tokens 2B")
    return int(number)


def spell_tokens(number: int) -> str:
    """Return a number of tokens in the shortest exact form, with at most two decimals: 2B, 1.5M, 123,456."""
    for unit in ("T", "B", "M"):
        size = UNITS[unit.lower()]
        if number >= size and number * 100 % size == 0:
            return f"{number / size:.10g}{unit}"
    return f"{number:,}"


def format_figure(value: float) -> str:
    """Return three significant digits: 4.13, 38.9, 413, 90200; with an exponent below 0.0001 and from 1e10 on."""
    return f"{float(f'{value:.3g}'):.10g}" if abs(value) < 1e10 else f"{value:.3g}"


def format_percent(share: float, digits: int = 1) -> str:
    """Return a share of 1 in percent, with so many decimals: ``12.5 %``. The one place that spells a percentage."""
    return f"{share:.{digits}%}".replace("%", " %")


def format_share(part: float, whole: float) -> str:
    """Return ``part / whole`` in percent with one decimal: ``12.5 %``; empty text where ``whole`` is 0."""
    return format_percent(part / whole) if whole else ""


def format_whole_percent(share: float) -> str:
    """Return a share of 1 in whole percent; below 1 it is at most ``99 %``, so that ``100 %`` means all."""
    return format_percent(share if share == 1 else min(share, 0.99), 0)


def format_change(change: float) -> str:
    """Return a relative change in whole percent with its sign: ``+12 %``, ``−40 %``; ``0 %`` for what rounds to 0."""
    rounded = format_percent(abs(change), 0)
    return rounded if rounded == "0 %" else f"{'−' if change < 0 else '+'}{rounded}"


def make_jsonable(value: Any) -> Any:
    """Return a value that can be written as JSON in UTF-8; tuples become lists.

    NaN and infinity, which JSON does not have, become None. Characters that UTF-8 cannot encode become escapes.
    """
    if isinstance(value, Mapping):
        return {key: make_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [make_jsonable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


BYTE_UNITS = {"": 1, "B": 1}
BYTE_UNITS |= {f"{letter}B": 10 ** (3 * power) for power, letter in enumerate("KMGT", 1)}
BYTE_UNITS |= {f"{letter}IB": 2 ** (10 * power) for power, letter in enumerate("KMGT", 1)}


def parse_size(text: str, option: str) -> int:
    """Return ``500MB`` in bytes: units are powers of ten, and of two for KiB, MiB, GiB and TiB.

    Raises UsageError, naming the ``option``, where the text is not a size from 1 byte up to 2^60.
    """
    number = text.strip().rstrip("bBkKmMgGtTiI ")
    unit = text.strip()[len(number) :].strip().upper()
    try:
        octets = float(number) * BYTE_UNITS[unit]
    except (ValueError, KeyError):
        octets = math.nan
    if not 1 <= octets < 2**60:
        allowed = "a size from 1 byte up to 2^60, such as 500MB or 2GiB"
        raise UsageError(f"{option} must be {allowed}, not {text}", f"{option} 1GB")
    return int(octets)


def count_noun(number: int, noun: str) -> str:
    """Return a number with what it counts: 1 document, 1,200 documents."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
