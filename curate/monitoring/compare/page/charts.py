"""The other pictures of a comparison as values: path data in a box of 1000 × 1000, ticks as shares of it.

A point is a path of no length with round ends, so that it stays round in a picture that is stretched. How many elements
there are depends on sides, groups and steps, never on documents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.monitoring.compare.calibration import Calibration
from curate.monitoring.compare.cost import SideCost
from curate.monitoring.compare.distributions import SideDistribution
from curate.monitoring.compare.series import Series, SeriesRow
from curate.monitoring.compare.verdicts import Metric
from curate.runtime.arrays import Float64Array
from curate.runtime.chart_axes import Scale, Tick, fit_scale, list_linear
from curate.runtime.numbers import format_figure
from curate.runtime.text import count_columns, fold_whitespace, shorten

BOX = 1000
MOST_LINES = 7
"""Sides that are drawn; those beyond are in the table only."""
FEWEST_BINS, MOST_BINS = 8, 40
"""Bins between the first and the last percentile."""
ROOM = 2.0
"""Octaves beyond the first and last percentile that are drawn."""
STEP_LABEL = 16
"""Columns of the label of a step."""
LABELS_WIDE, LABELS_NARROW = 100, 40
"""Columns that labels of steps take on a wide screen and on a narrow one."""


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line of one side, or of one group."""

    label: str
    number: int
    """Which chooses its colour and its dashes."""
    path: str
    dots: str = ""
    is_estimated: bool = False
    """Whether it was drawn from quantiles."""


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines with their axes."""

    lines: Sequence[DrawnLine]
    x: Sequence[Tick]
    y: Sequence[Tick]
    outside: int = 0
    """Documents beyond the ends of the picture."""
    diagonal: str = ""
    left_out: int = 0
    """Lines beyond ``MOST_LINES``."""


def draw_distributions(distributions: Sequence[SideDistribution]) -> LineChart | None:
    """Return the shares of documents by bins of the measure, a step line a side; None where no side has documents."""
    known = [one for one in distributions if one.documents and not math.isnan(one.quantiles[50])]
    if not known:
        return None
    drawn = known[:MOST_LINES]
    lowest = math.log2(min(one.quantiles[1] for one in drawn))
    highest = math.log2(max(one.quantiles[99] for one in drawn))
    per_octave = choose_bins(highest - lowest, drawn)
    first, end = math.floor((lowest - ROOM) * per_octave), math.ceil((highest + ROOM) * per_octave)
    edges = np.arange(first, end + 1) / per_octave
    shares = [_bin_shares(one, edges) for one in drawn]
    filled = np.flatnonzero(np.sum(shares, axis=0))
    low, high = max(int(filled[0]) - 1, 0), min(int(filled[-1]) + 2, len(edges) - 1)
    top = max(float(one.max()) for one in shares)
    outside = sum(_count_outside(one, edges) for one in drawn)
    lines = [
        DrawnLine(one.label, number, step_line(own[low:high] / top), is_estimated=one.counts is None)
        for number, (one, own) in enumerate(zip(drawn, shares, strict=True))
    ]
    across = Scale(float(2.0 ** edges[low]), float(2.0 ** edges[high]), True)
    upright = [Tick(value / top, f"{100 * value:g} %") for value in list_linear(0.0, top, 5) if value > 0]
    return LineChart(lines, across.list_ticks(6), upright, outside, left_out=len(known) - len(drawn))


def choose_bins(octaves: float, distributions: Sequence[SideDistribution]) -> float:
    """Return how many bins an octave has: more for more documents (2 n^(1/3), Rice's rule), never finer than counts."""
    wanted = 2 * min(one.documents for one in distributions) ** (1 / 3)
    wanted = min(max(wanted, FEWEST_BINS), MOST_BINS)
    per_octave = min(one.per_octave for one in distributions)
    while per_octave > 1 and octaves * per_octave > wanted:
        per_octave /= 2
    return per_octave


def _bin_shares(distribution: SideDistribution, edges: Float64Array) -> Float64Array:
    """Return the share of the documents between neighbouring edges (octaves), of quantiles where counts are unknown."""
    counts = distribution.counts
    if counts is None:
        octaves = np.maximum.accumulate(np.log2(np.maximum(distribution.quantiles, 2.0**-20)))
        octaves = octaves + np.arange(len(octaves)) * 1e-9  # so that values that are the same keep their order
        return np.diff(np.interp(edges, octaves, np.linspace(0, 1, len(octaves)), left=0.0, right=1.0))
    middles = distribution.first + (np.arange(len(counts)) + 0.5) / distribution.per_octave
    found = np.histogram(middles, edges, weights=np.array(counts, np.float64))[0]
    return np.asarray(found / max(sum(counts), 1), np.float64)


def _count_outside(distribution: SideDistribution, edges: Float64Array) -> int:
    if distribution.counts is None:
        return 0
    total = sum(distribution.counts)
    return total - round(float(_bin_shares(distribution, edges).sum()) * total)


def step_line(heights: Float64Array) -> str:
    """Return a step function from the lower left corner to the lower right one as path data; heights are shares."""
    width, pieces, last = BOX / max(len(heights), 1), ["M0 1000"], BOX
    for index, height in enumerate(heights.tolist()):
        y = round(BOX - height * BOX)
        if y != last:
            pieces.append(f"H{index * width:.0f}V{y}")
            last = y
    return f"{''.join(pieces)}H1000"


def draw_quantiles(distributions: Sequence[SideDistribution]) -> LineChart | None:
    """Return the quantiles of each side but the first against those of the first, at 1, 2 … 99 %, on two log axes.

    None where fewer than two sides have documents.
    """
    known = [one for one in distributions if one.documents and not math.isnan(one.quantiles[50])]
    if len(known) < 2 or known[0] is not distributions[0]:
        return None
    drawn = known[:MOST_LINES]
    scale = fit_scale([value for one in drawn for value in one.quantiles[1:100]], True)
    first = [scale.share(value) for value in drawn[0].quantiles[1:100]]
    lines = []
    for number, one in enumerate(drawn[1:], 1):
        points = list(zip(first, (scale.share(value) for value in one.quantiles[1:100]), strict=True))
        lines.append(DrawnLine(one.label, number, "", list_dots(points)))
    ticks = scale.list_ticks(6)
    return LineChart(lines, ticks, ticks, diagonal="M0 1000L1000 0", left_out=len(known) - len(drawn))


def draw_calibration(calibration: Calibration, labels: Sequence[str]) -> LineChart:
    """Return how often the likeliest token came against its probability, a line a side, both from 0 to 1."""
    lines = []
    for number, label in enumerate(labels[:2]):
        pairs = zip(calibration.confidence[number], calibration.accuracy[number], strict=True)
        points = [(x, y) for x, y in pairs if not math.isnan(x)]
        lines.append(DrawnLine(label, number, join_points(points), list_dots(points)))
    ticks = [Tick(share / 4, f"{share / 4:g}") for share in range(5)]
    return LineChart(lines, ticks, ticks[1:], diagonal="M0 1000L1000 0")


def list_dots(points: Sequence[tuple[float, float]]) -> str:
    """Return points, as shares from the lower left corner, as path data."""
    return "".join(f"M{x * BOX:.0f} {BOX - y * BOX:.0f}h0" for x, y in points if not math.isnan(y))


@dataclass(frozen=True, slots=True)
class StepLabel:
    """The name of a step below its point."""

    share: float
    label: str
    is_narrow: bool
    """Whether it has room on a narrow screen."""


@dataclass(frozen=True, slots=True)
class SeriesChart:
    """A measure over the steps: a line, its points, the points of jumps beyond the tolerance, and the slope."""

    row: SeriesRow
    path: str
    dots: str
    jumped: str
    slope: str
    since: float
    """Where the series became another one, as a share of the width; NaN where it did not."""
    y: Sequence[Tick]


def label_steps(steps: Sequence[str]) -> list[StepLabel]:
    """Return the labels of as many steps as have room, among them the first and the last."""
    names = [shorten(fold_whitespace(step), STEP_LABEL) for step in steps]
    width = max(map(count_columns, names), default=1) + 2
    wide = _choose_steps(len(names), LABELS_WIDE // width)
    narrow = {wide[index] for index in _choose_steps(len(wide), LABELS_NARROW // width)}
    return [StepLabel(place_step(index, len(names)), names[index], index in narrow) for index in wide]


def _choose_steps(count: int, most: int) -> list[int]:
    """Return at most ``most`` (at least two) of ``count`` indices, evenly spaced, with the first and the last."""
    most = min(max(most, 2), count)
    return sorted({round(index * (count - 1) / max(most - 1, 1)) for index in range(most)})


def place_step(index: int, count: int) -> float:
    """Return where a step is, as a share of the width."""
    return (index + 0.5) / count


def draw_series(series: Series, metric: Metric, most: int) -> tuple[SeriesChart, list[SeriesChart]]:
    """Return the chart of all documents, and those of the first ``most`` groups.

    The charts of groups have one height for the same change, so that they compare.
    """
    log = metric == "perplexity"
    whole = _draw_row(series.all, fit_scale(list_levels(series.all, log), log), 5)
    rows = series.groups[:most]
    spans = [_find_span(list_levels(row, log), log) for row in rows]
    widest = max([*(high - low for low, high in spans if high >= low), 0.02 if log else 1e-3])
    groups = []
    for row, (low, high) in zip(rows, spans, strict=True):
        middle, half = (low + high) / 2 if high >= low else 0.0, 0.54 * widest
        ends = (math.exp(middle - half), math.exp(middle + half)) if log else (middle - half, middle + half)
        groups.append(_draw_row(row, Scale(*ends, log), 4))
    return whole, groups


def list_levels(row: SeriesRow, log: bool) -> list[float]:
    """Return the levels of a row that can be drawn, with the ends of its slope."""
    fitted = fit_slope(row, log)
    return [value for value in (*row.levels, *fitted) if math.isfinite(value) and (value > 0 or not log)]


def _find_span(values: Sequence[float], log: bool) -> tuple[float, float]:
    bent = [math.log(value) if log else value for value in values]
    return (min(bent), max(bent)) if bent else (0.0, -1.0)


def fit_slope(row: SeriesRow, log: bool) -> list[float]:
    """Return the levels of the line of least squares at each step; none where a step was not measured."""
    if math.isnan(row.slope) or not all(math.isfinite(level) and (level > 0 or not log) for level in row.levels):
        return []
    bent = [math.log(level) if log else level for level in row.levels]
    middle, center = sum(bent) / len(bent), (len(bent) - 1) / 2
    line = [middle + row.slope * (index - center) for index in range(len(bent))]
    return [math.exp(value) for value in line] if log else line


def _draw_row(row: SeriesRow, scale: Scale, ticks: int) -> SeriesChart:
    count = len(row.levels)
    points = [
        (place_step(index, count), scale.share(level) if math.isfinite(level) else math.nan)
        for index, level in enumerate(row.levels)
    ]
    fitted = [(place_step(index, count), scale.share(level)) for index, level in enumerate(fit_slope(row, scale.log))]
    since = math.nan if row.since is None else row.since / count
    jumped = list_dots([points[index] for index in row.crossed])
    return SeriesChart(
        row, join_points(points), list_dots(points), jumped, join_points(fitted), since, scale.list_ticks(ticks)
    )


def join_points(points: Sequence[tuple[float, float]]) -> str:
    """Return a line through points as path data, broken where one was not measured."""
    pieces, letter = [], "M"
    for x, y in points:
        if math.isnan(y):
            letter = "M"
            continue
        pieces.append(f"{letter}{x * BOX:.1f} {BOX - y * BOX:.1f}")
        letter = "L"
    return "".join(pieces)


@dataclass(frozen=True, slots=True)
class CostMark:
    """One or more sides at one place."""

    x: float
    y: float
    label: str
    """Their numbers, as in the table."""


@dataclass(frozen=True, slots=True)
class CostChart:
    """Bits per byte against the price of a GB of text."""

    rows: Sequence[SideCost]
    """Cheapest first; numbered from 1."""
    front: str
    front_dots: str
    dots: str
    marks: Sequence[CostMark]
    x: Sequence[Tick]
    y: Sequence[Tick]
    is_free: bool
    """Whether a side costs nothing, and is at the left end of the logarithmic axis."""


NEAR = (0.04, 0.09)
"""Shares of the width and the height within which two labels would overlap."""


def draw_costs(costs: Sequence[SideCost]) -> CostChart:
    """Return what each side costs as points; the front is a staircase through those that nobody beats."""
    rows = sorted(costs, key=lambda one: one.dollars_per_gigabyte)
    across = fit_scale([one.dollars_per_gigabyte for one in rows], True)
    upright = fit_scale([one.bits_per_byte for one in rows], False)
    places = [(across.share(one.dollars_per_gigabyte), upright.share(one.bits_per_byte)) for one in rows]
    held = [place for one, place in zip(rows, places, strict=True) if one.on_front and not any(map(math.isnan, place))]
    others = [place for one, place in zip(rows, places, strict=True) if not one.on_front and not math.isnan(place[0])]
    x = [Tick(tick.share, f"${tick.label}") for tick in across.list_ticks(5)]
    is_free = any(one.dollars_per_gigabyte == 0 for one in rows)
    marks = _merge_labels(places)
    return CostChart(
        rows, _join_stairs(held), list_dots(held), list_dots(others), marks, x, upright.list_ticks(5), is_free
    )


def _join_stairs(places: Sequence[tuple[float, float]]) -> str:
    pieces = [f"{'H' if index else 'M'}{x * BOX:.0f}" + ("V" if index else " ") + f"{BOX - y * BOX:.0f}"
              for index, (x, y) in enumerate(places)]  # fmt: skip
    return "".join(pieces)


def _merge_labels(places: Sequence[tuple[float, float]]) -> list[CostMark]:
    """Return the labels of points; points that lie close together have one."""
    marks: list[CostMark] = []
    for number, (x, y) in enumerate(places, 1):
        if math.isnan(x) or math.isnan(y):
            continue
        near = [k for k, mark in enumerate(marks) if abs(mark.x - x) < NEAR[0] and abs(mark.y - y) < NEAR[1]]
        if near:
            mark = marks[near[0]]
            marks[near[0]] = CostMark(mark.x, mark.y, f"{mark.label}, {number}")
        else:
            marks.append(CostMark(x, y, str(number)))
    return marks


def label_figure(value: float) -> str:
    """Return three significant digits; a dash for no number."""
    return format_figure(value) if math.isfinite(value) else "–"
