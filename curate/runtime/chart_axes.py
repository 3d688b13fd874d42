"""Round values along an axis, even or logarithmic, and how they are labelled."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curate.runtime.numbers import figure

MARGIN = 0.04  # of a scale on either side of what it must hold
LEAST = 0.05  # of a value: the least that a scale spans
HIGHEST = 1e300  # what lies above, or below its inverse on a logarithmic scale, is drawn at an end


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis: ``share`` from its beginning."""

    share: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Values as shares of a width: 0 at ``low``, 1 at ``high``; logarithmic where ``log``, and then above 0."""

    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        """Never falls as the value rises. What lies beyond an end is at that end; NaN is nowhere, and stays NaN."""
        if math.isnan(value):
            return math.nan
        low, high = self._bend(self.low), self._bend(self.high)
        return min(max((self._bend(value) - low) / (high - low), 0.0), 1.0)

    def beyond(self, value: float) -> int:
        """−1 below the scale, 1 above it, else 0."""
        return int(value > self.high) - int(value < self.low)

    def list_ticks(self, most: int) -> list[Tick]:
        """At most about so many round values, with labels."""
        find = list_logarithmic if self.log else list_linear
        return [Tick(self.share(value), label_value(value)) for value in find(self.low, self.high, most)]

    def _bend(self, value: float) -> float:
        if not self.log:
            return value
        return math.log(value) if value > 0 else -math.inf


def hold(values: Sequence[float], log: bool) -> Scale:
    """The scale that holds all values, with a margin; numbers that cannot be drawn on it are left out.

    Without any value it is 1 … 10 (0 … 1 where it is even); around one value it spans a twentieth of it.
    """
    known = [value for value in values if abs(value) < HIGHEST and (value > 1 / HIGHEST or not log)]
    if not known:
        return Scale(1.0, 10.0, log) if log else Scale(0.0, 1.0, log)
    low, high = (math.log(end) if log else end for end in (min(known), max(known)))
    least = LEAST if log else LEAST * max(abs(low), abs(high)) or 1.0
    lack = max(least - (high - low), 0.0) / 2
    pad = MARGIN * (high - low + 2 * lack) + lack
    low, high = low - pad, high + pad
    return Scale(math.exp(low), math.exp(high), log) if log else Scale(low, high, log)


def label_value(value: float) -> str:
    """A round value on an axis."""
    return figure(value) if value < 10_000 else count_short(value)


def count_short(value: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def list_logarithmic(low: float, high: float, most: int) -> Sequence[float]:
    """1, 2, 5, 10 … or powers of ten alone where those would be too many; even steps within a narrow range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    if len(found) < 3 and high < 10 * low:
        return list(list_linear(low, high, most))
    return found[:: -(-len(found) // most)]


def list_linear(low: float, high: float, most: int) -> Iterator[float]:
    """Multiples of 1, 2, 5, 10 …"""
    span = max(high - low, 1e-9)
    unit = 10.0 ** math.floor(math.log10(span / (most - 1)))
    width = next(unit * digit for digit in (1, 2, 5, 10) if span / (unit * digit) <= most - 1 + 1e-9)
    for number in range(math.ceil(low / width - 1e-9), math.floor(high / width + 1e-9) + 1):
        yield float(f"{number * width:.6g}")
