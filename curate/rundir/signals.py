"""The signals: columns of the scores that ``curate score --signals`` adds, all that is known of each in one table.

Low perplexity is often boilerplate and repetition. Signals stand next to it so that a filter can tell them apart.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """One column of numbers."""

    name: str
    """The column, and the word of ``--signals``."""
    measure: Callable[[str, bytes], float] | None
    """The number of a text, given it and its UTF-8 bytes; None where the model gives it."""
    label: str
    """What pages call it."""
    dtype: str = "float32"
    """The Arrow type of the column."""


def zlib_ratio(_text: str, octets: bytes) -> float:
    """Return compressed over plain length under zlib level 6; small for repetitive text, NaN for an empty one.

    The eight bytes of zlib's frame make very short texts exceed 1.
    """
    return len(zlib.compress(octets, 6)) / len(octets) if octets else float("nan")


def repeated_5grams(text: str, _octets: bytes = b"") -> float:
    """Return the share of a text's word 5-grams that occurred before in it; NaN for fewer than five words."""
    words = text.split()
    return _share_repeated(zip(*(words[start:] for start in range(5)), strict=False))


def repeated_lines(text: str, _octets: bytes = b"") -> float:
    """Return the share of a text's lines (stripped, not empty) that occurred before in it; NaN without a line."""
    return _share_repeated(line for line in map(str.strip, text.split("\n")) if line)


def _share_repeated(items: Iterable[object]) -> float:
    counts = Counter(items)
    total = sum(counts.values())
    return (total - len(counts)) / total if total else float("nan")


SIGNALS = {
    signal.name: signal
    for signal in (
        Signal("zlib_ratio", zlib_ratio, "zlib ratio"),
        Signal("repeated_5grams", repeated_5grams, "repeated 5grams"),
        Signal("repeated_lines", repeated_lines, "repeated lines"),
        Signal("max_nats", None, "max nats"),
    )
}
"""By name, in the order of the table's columns. To add a signal, add its function and a line here.

The schema of the scores, ``--signals``, its help, and the page of a report follow.
"""
