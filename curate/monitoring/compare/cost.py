"""What a model costs beside what it says: bits per byte against $ per billion tokens and per GB of text.

A file of prices (YAML or JSON) has an entry for each side, by its label or the name of its model::

    builtin:  {tokens_per_second: 12500, dollars_per_hour: 0.4}
    smollm2:  {tokens_per_second: 1000, dollars_per_hour: 0.4}
    hosted:   {dollars_per_million_tokens: 0.1}

Tokens of two tokenizers are not the same amount of text, so that a side is on the Pareto front by its price of a GB: no
other side says it in fewer bits per byte for the same money or less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.runtime.disk.filenames import expand_home
from curate.runtime.text import fold_whitespace

RATE_KEYS = {"tokens_per_second", "dollars_per_hour"}
PRICE_KEY = "dollars_per_million_tokens"
EXAMPLE = "a line a side: builtin: {tokens_per_second: 12500, dollars_per_hour: 0.4}"


@dataclass(frozen=True, slots=True)
class SideCost:
    """What a side costs to score with."""

    label: str
    bits_per_byte: float
    tokens_per_second: float | None
    dollars_per_billion_tokens: float
    dollars_per_gigabyte: float
    """Of text in UTF-8, by the tokens that the side has for its own."""
    on_front: bool
    """Whether it is on the Pareto front."""


def load_costs(path: str) -> dict[str, dict[str, float]]:
    """Return the entries of a file of prices. Raises UsageError where it cannot be read, or an entry is no price."""
    import yaml

    file = expand_home(path)
    try:
        value = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--cost {path}: {error.strerror}", EXAMPLE) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--cost {path} is no YAML: {fold_whitespace(str(error))}", EXAMPLE) from error
    if not isinstance(value, dict) or not value:
        raise UsageError(f"--cost {path} must have an entry for each side, by its label or model", EXAMPLE)
    return {str(name): _check_entry(path, str(name), entry) for name, entry in value.items()}


def _check_entry(path: str, name: str, entry: Any) -> dict[str, float]:
    keys = set(entry) if isinstance(entry, dict) else set()
    if not (keys == {PRICE_KEY} or keys == {PRICE_KEY, "tokens_per_second"} or keys == RATE_KEYS):
        allowed = f"{PRICE_KEY}, or tokens_per_second and dollars_per_hour"
        raise UsageError(f"--cost {path}: {name} must have {allowed}", EXAMPLE)
    for key, number in entry.items():
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
        if not is_number or number < 0 or (key == "tokens_per_second" and number == 0):
            raise UsageError(f"--cost {path}: {key} of {name} must be a number above 0, not {number}", EXAMPLE)
    return {key: float(number) for key, number in entry.items()}


def find_costs(
    entries: Mapping[str, Mapping[str, float]], sides: Sequence[tuple[str, str, float, float, float]]
) -> list[SideCost]:
    """Return what each side costs. A side is its label, its model, bits per byte, tokens and bytes of its documents.

    Raises UsageError for a side without an entry.
    """
    found = []
    for label, model, bits, tokens, octets in sides:
        entry = entries.get(label, entries.get(model))
        if entry is None:
            known = ", ".join(entries)
            raise UsageError(f"--cost has no entry for {label} ({model}); it has {known}", EXAMPLE)
        rate = entry.get("tokens_per_second")
        if PRICE_KEY in entry:
            price = entry[PRICE_KEY] * 1000
        else:
            assert rate is not None
            price = entry["dollars_per_hour"] / 3600 / rate * 1e9
        found.append(SideCost(label, bits, rate, price, price * tokens / octets if octets else math.nan, False))
    return [_mark_front(one, found) for one in found]


def _mark_front(one: SideCost, others: Sequence[SideCost]) -> SideCost:
    beaten = any(
        other.bits_per_byte <= one.bits_per_byte
        and other.dollars_per_gigabyte <= one.dollars_per_gigabyte
        and (other.bits_per_byte < one.bits_per_byte or other.dollars_per_gigabyte < one.dollars_per_gigabyte)
        for other in others
    )
    return replace(one, on_front=not beaten)
