"""Ticks of chart axes, linear or logarithmic: round values and their labels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curate.runtime.numbers import format_figure

MARGIN = 0.04  # share of a scale that is added at each end
LEAST = 0.05  # a scale spans at least this share of its values
HIGHEST = 1e300  # values above, or below the inverse on a logarithmic scale, are drawn at an end


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis: 0 ≤ ``share`` ≤ 1 from its beginning."""

    share: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale that maps values to shares of a width: 0 at ``low``, 1 at ``high``; a logarithmic one has ``low`` > 0."""

    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        """Return where a value lies, in [0, 1]: monotone, clipped at both ends, NaN for NaN."""
        if math.isnan(value):
            return math.nan
        low, high = self._bend(self.low), self._bend(self.high)
        return min(max((self._bend(value) - low) / (high - low), 0.0), 1.0)

    def beyond(self, value: float) -> int:
        """Return −1 for a value below the scale, 1 for one above it, else 0."""
        return int(value > self.high) - int(value < self.low)

    def list_ticks(self, most: int) -> list[Tick]:
        """Return about ``most`` round values or fewer, with labels, in ascending order."""
        find = list_logarithmic if self.log else list_linear
        return [Tick(self.share(value), label_value(value)) for value in find(self.low, self.high, most)]

    def _bend(self, value: float) -> float:
        if not self.log:
            return value
        return math.log(value) if value > 0 else -math.inf


def fit_scale(values: Sequence[float], log: bool) -> Scale:
    """Return the scale that holds all values, with a margin; it ignores numbers that cannot be drawn on it.

    Without values it is 1 … 10 (linear: 0 … 1). Around one value it spans a twentieth of it.
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
    """Return a round value as the label of a tick: 413, 0.05, 20k."""
    return format_figure(value) if value < 10_000 else format_short(value)


def format_short(value: float) -> str:
    """Return a round value with a unit of thousands: 20k, 1.5M, 2B; below a thousand the value."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def list_logarithmic(low: float, high: float, most: int) -> Sequence[float]:
    """Return 1, 2, 5, 10 … within [low, high]; powers of ten where those are too many, even steps in a narrow range."""
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
    """Yield at most ``most`` multiples of 1, 2, 5, 10 … within [low, high], in ascending order."""
    span = max(high - low, 1e-9)
    unit = 10.0 ** math.floor(math.log10(span / (most - 1)))
    width = next(unit * digit for digit in (1, 2, 5, 10) if span / (unit * digit) <= most - 1 + 1e-9)
    for number in range(math.ceil(low / width - 1e-9), math.floor(high / width + 1e-9) + 1):
        yield float(f"{number * width:.6g}")
