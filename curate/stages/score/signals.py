"""Numbers that a text gives without a model: how far it compresses, and how much of it repeats.

Low perplexity is often boilerplate and repetition; these stand beside it so that a filter can tell.
"""

import zlib
from collections import Counter
from collections.abc import Iterable

from curate.errors import UsageError


def choose_signals(text: str) -> list[str]:
    """The signals that a user named, in the order of the table's columns."""
    from curate.rundir.schemas import SIGNALS

    named = [name.strip() for name in text.split(",") if name.strip()]
    if named in (["all"], ["none"]):
        return list(SIGNALS) if named == ["all"] else []
    unknown = [name for name in named if name not in SIGNALS]
    if unknown:
        raise UsageError(f"--signals {unknown[0]} is unknown", f"any of {', '.join(SIGNALS)}; or all, or none")
    return [name for name in SIGNALS if name in named]


def zlib_ratio(octets: bytes) -> float:
    """Compressed over plain length under zlib level 6; small for repetitive text, NaN for none.

    The eight bytes of zlib's frame make very short texts exceed 1.
    """
    return len(zlib.compress(octets, 6)) / len(octets) if octets else float("nan")


def repeated_5grams(text: str) -> float:
    """The share of a text's word 5-grams that have occurred before in it; 0 for none repeated, NaN under five words."""
    words = text.split()
    return _repeated(zip(*(words[start:] for start in range(5)), strict=False))


def repeated_lines(text: str) -> float:
    """The share of a text's lines (stripped, not empty) that have occurred before in it; NaN for no line."""
    return _repeated(line for line in map(str.strip, text.split("\n")) if line)


def _repeated(items: Iterable[object]) -> float:
    counts = Counter(items)
    total = sum(counts.values())
    return (total - len(counts)) / total if total else float("nan")
