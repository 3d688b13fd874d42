"""Pictures as values: paths in a box of 1000 × 1000, ticks and marks as shares of it; the template draws them.

Nothing here is text of the corpus. The number of elements depends on bins alone, never on documents.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.reports.page.histograms import Density, Grid, VisibleBins, estimate_quantile
from curate.reports.page.numbers import CELLS
from curate.reports.page.tables import ProfilePoint
from curate.reports.page.thresholds import Threshold
from curate.runtime.chart_axes import Tick, format_short, label_value, list_linear, list_logarithmic
from curate.runtime.console import format_count
from curate.runtime.numbers import format_figure

BOX = 1000
"""Width and height of the box of a picture."""
LEVELS = 7
"""Shades of a density."""
BANDS = 8
"""Rows of the table of a density."""


@dataclass(frozen=True, slots=True)
class MarkerLine:
    """A line across a picture; ``flip`` puts its label on the left."""

    share: float
    label: str
    flip: bool
    height: int = 0
    """Row of its label, so that labels do not overlap."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram: documents that are kept, with those that are dropped on top."""

    kept: str
    dropped: str
    """Path data, as of ``kept``."""
    x: Sequence[Tick]
    y: Sequence[Tick]
    marks: Sequence[MarkerLine]
    cuts: Sequence[float]


def draw_bars(
    drawn: VisibleBins, group: int, thresholds: Sequence[Threshold] = (), cuts: Sequence[float] = (), ticks: int = 7
) -> Bars:
    """Return the bars of one group of a histogram, with a line at each threshold and each cut-off within it."""
    kept, dropped = drawn.counts[group]
    top = max(int((kept + dropped).max()), 1)
    return Bars(
        kept=step(np.zeros(len(kept)), kept / top),
        dropped=step(kept / top, (kept + dropped) / top),
        x=scale_ticks(drawn, ticks),
        y=[Tick(value / top, tally(value)) for value in even(top)],
        marks=place_marks([(drawn.share(one.value), f"{one.label}") for one in thresholds]),
        cuts=[share for value in cuts if 0 <= (share := drawn.share(value)) <= 1],
    )


def step(low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    """Return the area between two step functions as path data; both are shares of the height, one for each bin.

    Bins without area are left out, and any other has a height that can be seen.
    """
    width = BOX / max(len(low), 1)
    pieces = []
    for at in np.flatnonzero(high > low).tolist():
        height = max((high[at] - low[at]) * BOX, 4)
        left, top = at * width, BOX - low[at] * BOX - height
        pieces.append(f"M{left:.0f} {top:.0f}h{width:.1f}v{height:.0f}h-{width:.1f}z")
    return "".join(pieces)


def tally(value: float) -> str:
    """Return a count as the label of an axis: 12k, 3.4 M."""
    return f"{value / 1000:g}k" if 10_000 <= value < 1_000_000 else format_count(value)


def even(top: float) -> list[float]:
    """Return at most four round numbers above 0, up to ``top``."""
    unit = 10 ** math.floor(math.log10(max(top, 1)))
    width = next(one for one in (unit / 5, unit / 2, unit, 2 * unit, 5 * unit) if top / one <= 4)
    width = max(width, 1)
    return [width * number for number in range(1, int(top / width) + 1)]


def scale_ticks(drawn: VisibleBins, most: int) -> list[Tick]:
    """Return at most ``most`` round values along a drawn grid."""
    low, high = drawn.edges[0], drawn.edges[-1]
    values = list_logarithmic(low, high, most) if drawn.grid.log else list_linear(low, high, most)
    return [Tick(drawn.share(value), label_value(value)) for value in values]


def place_marks(marks: Sequence[tuple[float, str]]) -> list[MarkerLine]:
    """Return lines for pairs of share and label, from left to right, each label in another row; others are left out.

    A share is the horizontal position, from 0 to 1.
    """
    inside = sorted((share, label) for share, label in marks if 0 <= share <= 1)
    return [MarkerLine(share, label, share > 0.6, row) for row, (share, label) in enumerate(inside)]


@dataclass(frozen=True, slots=True)
class Cells:
    """A density: a path for each shade, from few documents to many; crosses where most are dropped."""

    levels: Sequence[tuple[str, str]]
    """Path data and how many documents a cell of the shade has."""
    crossed: str
    x: Sequence[Tick]
    y: Sequence[Tick]
    x_marks: Sequence[MarkerLine]
    y_marks: Sequence[MarkerLine]
    rows: Sequence[tuple[str, int, int, float]]
    """Bands of x: from … to, documents, kept ones, the median of y."""


def draw_cells(density: Density, thresholds: Sequence[Threshold]) -> Cells:
    """Return the picture of a density, with lines at the thresholds of its two columns."""
    across, up = density.drawn(*CELLS)
    counts = across.counts.sum(axis=0)
    top = max(int(counts.max()), 1)
    bounds = sorted({max(1, round(top ** (level / LEVELS))) for level in range(LEVELS)})
    levels = []
    for low, high in zip(bounds, [*bounds[1:], top + 1], strict=True):
        label = f"{low:,}" if high - low <= 1 else f"{low:,} – {high - 1:,}"
        levels.append((_squares((counts >= low) & (counts < high)), label))
    mostly = (across.counts[1] * 2 > counts) & (counts > 0)
    own = [(one, across if one.column == density.x.column else up) for one in thresholds]
    lines = {
        name: [(drawn.share(one.value), one.label) for one, drawn in own if one.column == measure.column]
        for name, measure in (("x", density.x), ("y", density.y))
    }
    return Cells(
        levels,
        _strokes(mostly),
        scale_ticks(across, 7),
        scale_ticks(up, 6),
        place_marks(lines["x"]),
        place_marks(lines["y"]),
        list(_bands(density, across)),
    )


def _squares(chosen: NDArray[np.bool_]) -> str:
    """Return the chosen cells (rows × columns, from the bottom) as path data; neighbours in a row are one rectangle."""
    rows, columns = chosen.shape
    width, height = BOX / columns, BOX / rows
    pieces = []
    for row in range(rows):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen[row].astype(np.int8), [0]])))
        for first, end in edges.reshape(-1, 2).tolist():
            wide = (end - first) * width
            y = BOX - (row + 1) * height
            pieces.append(f"M{first * width:.1f} {y:.1f}h{wide:.1f}v{height:.1f}h-{wide:.1f}z")
    return "".join(pieces)


def _strokes(chosen: NDArray[np.bool_]) -> str:
    rows, columns = chosen.shape
    width, height = BOX / columns, BOX / rows
    return "".join(
        f"M{column * width:.1f} {BOX - row * height:.1f}l{width:.1f} -{height:.1f}"
        for row, column in np.argwhere(chosen).tolist()
    )


def _bands(density: Density, across: VisibleBins) -> Iterator[tuple[str, int, int, float]]:
    """Yield the rows of the table of a density, from the fine counts; bands without documents are left out."""
    grid, width = across.grid, across.factor * across.counts.shape[-1]
    edges = [across.first + width * number // BANDS for number in range(BANDS + 1)]
    for first, end in itertools.pairwise(edges):
        part = density.counts[:, :, first : min(end, grid.bins)]
        documents = int(part.sum())
        if documents:
            name = f"{say(grid, first)} – {say(grid, end)}" if end < grid.bins else f"{say(grid, first)} and more"
            yield name, documents, int(part[0].sum()), estimate_quantile(density.y.coarse, part.sum(axis=(0, 2)), 0.5)


def say(grid: Grid, edge: int) -> str:
    """Return the value at an edge of a grid as text."""
    value = grid.edge(edge)
    return format_short(float(f"{value:.2g}")) if value >= 1000 else format_figure(value)


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve as path data, with its axes."""

    path: str
    x: Sequence[Tick]
    y: Sequence[Tick]


def draw_order(points: Sequence[ProfilePoint]) -> Curve | None:
    """Return the curve of perplexity (logarithmic) over the tokens of the order; None for fewer than two points."""
    known = [point for point in points if math.isfinite(point.perplexity)]
    if len(known) < 2:
        return None
    lows, highs = min(one.perplexity for one in known), max(one.perplexity for one in known)
    first, last = math.floor(math.log2(lows) * 8), math.ceil(math.log2(highs) * 8 + 1e-6)
    drawn = VisibleBins(
        Grid(first / 8, 1 / 8, max(last - first, 1)), 0, 1, np.zeros((1, max(last - first, 1)), np.int64)
    )
    total, before, places = max(known[-1].tokens, 1), 0, []
    for one in known:
        places.append(((before + one.tokens) / 2 / total * BOX, BOX - drawn.share(one.perplexity) * BOX))
        before = one.tokens
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    steps = [value for value in even(total) if value <= total]
    return Curve(path, [Tick(value / total, format_short(value)) for value in [0, *steps]], scale_ticks(drawn, 5))
