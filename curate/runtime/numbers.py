"""How people write quantities: one number or several, tokens as 2B, a share as 12.5 %."""

import math
import re
from fractions import Fraction
from typing import Any

import typer

from curate.errors import UsageError

TOKENS = re.compile(r"(?i)^([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([kmbt]?)$")
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parse_numbers(text: str) -> float | tuple[float, ...]:
    """``50``, or for a dry run several: ``20,30,50``."""
    try:
        found = tuple(float(part) for part in str(text).split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number (or, with --dry-run, several: 20,30,50)") from None
    return found[0] if len(found) == 1 else found


def parse_tokens(text: str | int) -> int:
    """``2B`` as 2,000,000,000: thousands, millions, billions, trillions. UsageError for anything else."""
    found = TOKENS.match(str(text).strip())
    if found is None:
        raise UsageError(f"--tokens {text} is no number of tokens", "for example --tokens 2B, or 500M")
    number = Fraction(re.sub("[_,]", "", found[1])) * UNITS[found[2].lower()]
    if number < 1:
        raise UsageError(f"--tokens {text} keeps nothing", "for example --tokens 2B, or 500M")
    return int(number)


def spell_tokens(number: int) -> str:
    """A number of tokens as short as it is exact: 2B, 1.5M, 123,456."""
    for unit in ("T", "B", "M"):
        size = UNITS[unit.lower()]
        if number >= size and number * 100 % size == 0:
            return f"{number / size:.10g}{unit}"
    return f"{number:,}"


def figure(value: float) -> str:
    """Return three significant digits: 4.13, 38.9, 413, 90200; with an exponent below 0.0001 and from 1e10 on."""
    return f"{float(f'{value:.3g}'):.10g}" if abs(value) < 1e10 else f"{value:.3g}"


def format_percent(share: float, digits: int = 1) -> str:
    """Return a share of 1 in percent, with so many decimals: ``12.5 %``. The one place that spells a percentage."""
    return f"{share:.{digits}%}".replace("%", " %")


def percent(part: float, whole: float) -> str:
    """Return ``part / whole`` in percent with one decimal: ``12.5 %``; empty text where ``whole`` is 0."""
    return format_percent(part / whole) if whole else ""


def format_whole_percent(share: float) -> str:
    """Return a share of 1 in whole percent; below 1 it is at most ``99 %``, so that ``100 %`` means all."""
    return format_percent(share if share == 1 else min(share, 0.99), 0)


def format_change(change: float) -> str:
    """Return a relative change in whole percent with its sign: ``+12 %``, ``−40 %``; ``0 %`` for what rounds to 0."""
    rounded = format_percent(abs(change), 0)
    return rounded if rounded == "0 %" else f"{'−' if change < 0 else '+'}{rounded}"


def finite(value: Any) -> Any:
    """The same value with null in the place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


BYTE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(text: str) -> int:
    """``500MB`` as bytes; powers of ten, or of two for KiB, MiB, GiB. UsageError when it is no size."""
    number = text.strip().rstrip("bBkKmMgGiI ")
    unit = text.strip()[len(number) :].strip().upper()
    try:
        octets = float(number) * BYTE_UNITS[unit]
    except (ValueError, KeyError) as error:
        raise UsageError(f"{text!r} is no size", "for example 500MB or 2GiB") from error
    if not 1 <= octets < 2**60:
        raise UsageError(f"{text!r} is no size for a shard", "for example 500MB or 2GiB")
    return int(octets)


def parse_memory(text: str) -> int:
    """``--memory-limit`` as bytes. UsageError, naming the option, when it is no size."""
    try:
        return parse_size(text)
    except UsageError:
        raise UsageError(f"--memory-limit {text}: that is no size", "for example --memory-limit 1GB") from None
