"""A comparison as one HTML page: the answer, differences with whiskers, distributions, series, costs, documents.

The page loads nothing and runs no script. Names, texts and messages are escaped, and control characters are spelled out
where a browser would hide or obey them. The same comparison gives the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from curate.monitoring.compare.page.charts import (
    draw_calibration,
    draw_costs,
    draw_distributions,
    draw_quantiles,
    draw_series,
    label_figure,
    label_steps,
)
from curate.monitoring.compare.page.headline import make_headline
from curate.monitoring.compare.page.whiskers import VERDICT_KINDS, DifferencePlot, plot_differences
from curate.monitoring.compare.screen import (
    format_change,
    format_interval,
    format_level,
    format_needed,
    say_pairing,
)
from curate.monitoring.compare.summary import SideComparison
from curate.monitoring.compare.verdicts import METRIC_NAMES
from curate.reports.page.html import SHADES, shade
from curate.runtime.console import format_count
from curate.runtime.disk import files
from curate.runtime.html import open_templates
from curate.runtime.numbers import format_percent
from curate.runtime.published import hide_in_text
from curate.runtime.text import fold_whitespace, shorten
from curate.runtime.version import __version__

MOST_ROWS = 200
"""Groups that are shown of a comparison; a file of ``--json`` has all."""
NAME, TEXT = 120, 400
"""Columns of a name, and of a piece of a text, that are shown."""
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
"""Those of the table of quantiles."""


def write_page(path: Path, comparison: SideComparison) -> int:
    """Write the page of a comparison, and return its size in bytes. Raises StorageError where the disk refuses."""
    text = draw_comparison(comparison).encode("utf-8", "backslashreplace")
    with files.replace_atomically(path) as temporary:
        temporary.write_bytes(text)
    return len(text)


def draw_comparison(comparison: SideComparison) -> str:
    """Return the page as text, also where numbers are missing or infinite."""
    templates = open_templates(Path(__file__).parent)
    templates.filters |= {"name": clip_name, "piece": clip_text, "message": hide_in_text, "shade": shade}
    templates.filters |= {"count": format_count, "figure": label_figure, "needed": format_needed, "part": spell_part}
    return templates.get_template("compare.html.j2").render(list_values(comparison))


def list_values(comparison: SideComparison) -> dict[str, Any]:
    """Return the variables of the template."""
    metric, series = comparison.metric, comparison.series
    labels = [side.label for side in comparison.sides]
    return {
        "found": comparison,
        "measure": METRIC_NAMES[metric],
        "is_log": metric == "perplexity",
        "head": make_headline(comparison),
        "title": say_title(comparison),
        "tables": list_tables(comparison),
        "most_rows": MOST_ROWS,
        "distributions": draw_distributions(comparison.distributions),
        "quantiles": draw_quantiles(comparison.distributions),
        "percentiles": PERCENTILES,
        "series": None if series is None else draw_series(series, metric, MOST_ROWS),
        "steps": [] if series is None else label_steps(series.steps),
        "costs": draw_costs(comparison.costs) if comparison.costs else None,
        "kinds": VERDICT_KINDS,
        "is_known": math.isfinite,
        "shades": SHADES,
        "version": __version__,
        "by_kind": plot_kinds(comparison),
        "calibration": comparison.calibration and draw_calibration(comparison.calibration, labels),
        "level": partial(format_level, metric=metric),
        "change": partial(format_change, metric=metric),
        "interval": partial(format_interval, metric=metric),
        "bits_level": partial(format_level, metric="bits_per_byte"),
        "bits_change": partial(format_change, metric="bits_per_byte"),
        "bits_interval": partial(format_interval, metric="bits_per_byte"),
    }


@dataclass(frozen=True, slots=True)
class DifferenceTable:
    """Differences on one scale: the groups of two sides, or several sides without groups."""

    before: str
    after: str
    """Empty where there are several."""
    pairings: Sequence[str]
    """How documents were compared."""
    plot: DifferencePlot
    groups: int
    """All of them, with those that are not shown."""


def list_tables(comparison: SideComparison) -> list[DifferenceTable]:
    """Return a table of each pair of sides; one of all pairs where documents are not grouped."""
    metric, tolerance, pairs = comparison.metric, comparison.tolerance, comparison.pairs
    if len(pairs) > 1 and not any(pair.groups for pair in pairs):
        rows = [(pair.after, pair.all) for pair in pairs[: MOST_ROWS + 1]]
        pairings = list(dict.fromkeys(map(say_pairing, pairs)))[:3]
        return [DifferenceTable(pairs[0].before, "", pairings, plot_differences(rows, metric, tolerance), len(pairs))]
    tables = []
    for pair in pairs:
        rows = [(row.name, row) for row in pair.rows[: MOST_ROWS + 1]]
        plot = plot_differences(rows, metric, tolerance)
        tables.append(DifferenceTable(pair.before, pair.after, [say_pairing(pair)], plot, len(pair.groups)))
    return tables


def plot_kinds(comparison: SideComparison) -> DifferencePlot | None:
    """Return the differences of kinds of text, in bits per byte; None where they were not compared."""
    rows = [(one.kind.replace("_", " "), one.row) for one in comparison.kinds]
    return plot_differences(rows, "bits_per_byte", None) if rows else None


def say_title(comparison: SideComparison) -> str:
    """Return what was compared, in one line."""
    labels = [side.label for side in comparison.sides]
    if comparison.series is not None:
        steps = comparison.series.steps
        return f"{steps[0]} … {steps[-1]}"
    return " → ".join(labels) if len(labels) < 3 else f"{labels[0]} → {len(labels) - 1} others"


def clip_name(text: str) -> str:
    """Return a name on one line; what is too long ends with …"""
    return shorten(fold_whitespace(text), NAME)


def clip_text(text: str) -> str:
    """Return a piece of a text on one line; what is too long ends with …"""
    return shorten(fold_whitespace(text), TEXT)


def spell_part(share: float) -> str:
    """Return a part of a difference in whole per cent, with the sign of what lowers it; a dash for no difference."""
    return "–" if math.isnan(share) else format_percent(share, 0).replace("-", "−")
