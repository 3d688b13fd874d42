"""The signals: columns of the scores that ``curate score --signals`` adds, all that is known of each in one table.

Low perplexity is often boilerplate and repetition. Signals of one number stand next to it so that a filter can tell
them apart. Signals of several columns are sums that other verbs read (``curate compare``): a filter may use their
columns by name, and what shows all numbers of a document leaves them out.

    kinds         kind_nats_KIND, kind_bytes_KIND: nats and scored bytes by kind of text, for each of the seven kinds
                  (``reference.measures.text_kinds``)
    calibration   top1_hits, and sums in 20 bins of probability as lists: ece_full_pairs, ece_full_confidence,
                  ece_full_hits, and the same of ece_top1 (``reference.measures.calibration``)
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from curate.runtime.choices import TextKind, TokenMeasure, choices_of


@dataclass(frozen=True, slots=True)
class Signal:
    """A number of each document in one column, or sums of each in several."""

    name: str
    """The word of ``--signals``, and the column where there is one."""
    measure: Callable[[str, bytes], float] | None
    """The number of a text, given it and its UTF-8 bytes; None where the model gives it."""
    label: str
    """What pages call it."""
    dtype: str = "float32"
    """The Arrow type of the one column."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """The columns of sums and their Arrow types, ``[]`` behind a type for a list of it; empty: one column."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        return self.sums or {self.name: self.dtype}


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


KIND_SUMS = {
    f"kind_{what}_{kind}": dtype
    for what, dtype in (("nats", "float64"), ("bytes", "int64"))
    for kind in choices_of(TextKind)
}
CALIBRATION_SUMS = {"top1_hits": "int64"} | {
    f"ece_{pairs}_{what}": dtype
    for pairs in ("full", "top1")
    for what, dtype in (("pairs", "int64[]"), ("confidence", "float64[]"), ("hits", "int64[]"))
}
SIGNALS = {
    signal.name: signal
    for signal in (
        Signal("zlib_ratio", zlib_ratio, "zlib ratio"),
        Signal("repeated_5grams", repeated_5grams, "repeated 5grams"),
        Signal("repeated_lines", repeated_lines, "repeated lines"),
        Signal("max_nats", None, "max nats"),
        Signal("kinds", None, "kinds of text", sums=KIND_SUMS),
        Signal("calibration", None, "calibration", sums=CALIBRATION_SUMS),
    )
}
"""By name, in the order of the table's columns. To add a signal, add its function and a line here.

The schema of the scores, ``--signals``, its help, and the page of a report follow.
"""


def list_columns(names: Iterable[str]) -> dict[str, str]:
    """Return the columns of the named signals with their Arrow types, in the order of ``SIGNALS``."""
    named = set(names)
    return {column: dtype for name, one in SIGNALS.items() if name in named for column, dtype in one.columns.items()}


def find_signal(column: str) -> Signal | None:
    """Return the signal that has a column; None where none has it."""
    return next((signal for signal in SIGNALS.values() if column in signal.columns), None)


def is_sum(column: str) -> bool:
    """Return whether a column is one of several of a signal: what shows all numbers of a document leaves it out."""
    signal = find_signal(column)
    return signal is not None and bool(signal.sums)


def list_numbers() -> dict[str, Signal]:
    """Return the signals that are one number of each document, by name."""
    return {name: signal for name, signal in SIGNALS.items() if not signal.sums}


def list_measures(names: Iterable[str]) -> list[TokenMeasure]:
    """Return which of some signals a model measures of its tokens only where it is asked to."""
    named = set(names)
    return [measure for measure in choices_of(TokenMeasure) if measure in named]
