"""The screen of ``curate compare``."""

import math
from collections.abc import Sequence

from curate.monitoring.compare.calibration import Calibration
from curate.monitoring.compare.groups import ComparedGroup
from curate.monitoring.compare.pair import ComparedPair
from curate.monitoring.compare.series import Series, SeriesRow
from curate.monitoring.compare.summary import SideComparison
from curate.monitoring.compare.verdicts import METRIC_NAMES, Metric
from curate.monitoring.compare.worst import ChangedDocument
from curate.runtime.console import WIDTH, format_count
from curate.runtime.numbers import count_noun, format_figure, format_percent
from curate.runtime.text import align_right, count_columns, fold_whitespace, pad_columns, shorten, wrap_parts

LABEL = 12
NAME = 24
"""Columns of the name of a group at most."""
SHOWN = 40
"""Groups that are shown of a comparison."""
EMPTY = "(empty)"
"""The name of a group whose value is an empty text."""
NO_LEAK = "no sign: held-out text costs no less, none is known by heart, none is shared"
BLOCKS = "▁▂▃▄▅▆▇█"


def render_comparison(comparison: SideComparison) -> str:
    """Return the lines of a comparison."""
    lines = _list_sides(comparison)
    for pair in comparison.pairs:
        lines += ["", *_list_pair(pair, comparison)]
    if comparison.series is not None:
        lines += ["", *_list_series(comparison.series, comparison)]
    if comparison.kinds:
        lines += ["", *_list_kinds(comparison)]
    if comparison.calibration is not None:
        lines += ["", *_list_calibration(comparison.calibration)]
    if comparison.costs:
        lines += ["", *_list_costs(comparison)]
    if comparison.changed:
        lines += ["", *_list_changed(comparison.changed, comparison.metric)]
    if comparison.leak is not None:
        alarms = comparison.leak.alarms or (NO_LEAK,)
        lines += ["", *(line for one in alarms for line in wrap_parts("leak", one.split(), indent=LABEL))]
    for what, path in comparison.pages.items():
        lines.append(f"{what:<{LABEL}}{path}")
    if (verdict := say_verdict(comparison)) is not None:
        lines += ["", *wrap_parts("verdict", verdict.split(), indent=LABEL)]
    return "\n".join(line.rstrip() for line in lines)


def _list_sides(comparison: SideComparison) -> list[str]:
    """Return a line for each side, then what is to be known of all of them."""
    heads = ["", "documents", "tokens", "perplexity", "bits per byte"]
    cells = [
        [
            shorten(f"{fold_whitespace(side.label)}   {fold_whitespace(side.model)}", 46),
            f"{side.documents:,}",
            format_count(side.tokens),
            format_level(side.perplexity, "perplexity"),
            format_level(side.bits_per_byte, "bits_per_byte"),
        ]
        for side in comparison.sides
    ]
    lines = _tabulate([heads, *cells])
    if comparison.metric_reason:
        lines += wrap_parts("unit", f"bits per byte: {comparison.metric_reason}".split(), indent=LABEL)
    for one in comparison.ignored:
        lines += wrap_parts("ignored", f"{one} (--anyway)".split(), indent=LABEL)
    if comparison.noise:
        noise = f"{' and '.join(comparison.noise)} differ, which alone moves numbers a little (bf16 by up to 1 %)"
        lines += wrap_parts("note", noise.split(), indent=LABEL)
    return lines


def say_pairing(pair: ComparedPair) -> str:
    """Return how documents were compared, and how many."""
    if not pair.paired:
        shared = "" if not pair.shared else f", of which they share {format_part(pair.shared)}"
        return f"as two samples of {pair.all.documents[0]:,} and {pair.all.documents[1]:,} documents{shared}"
    rest = ""
    if any(pair.left_out):
        rest = f"; left out: {pair.left_out[0]:,} of {pair.before} alone, {pair.left_out[1]:,} of {pair.after} alone"
    return f"in pairs, {count_noun(pair.num_pairs, 'document')} of the same text{rest}"


def _list_pair(pair: ComparedPair, comparison: SideComparison) -> list[str]:
    title = f"{pair.before} → {pair.after}: {METRIC_NAMES[comparison.metric]}, {say_pairing(pair)}"
    if comparison.cluster:
        title += f"; drawn by {comparison.cluster}"
    lines = wrap_parts("compared", title.split(), indent=LABEL)
    heads = [
        "",
        "documents",
        "before",
        "after",
        "change",
        "95 % interval",
        *(["verdict"] if comparison.tolerance else []),
    ]
    rows = [pair.all, *pair.groups[:SHOWN]]
    lines += _tabulate([heads, *(_list_cells(row, comparison) for row in rows)])
    if len(pair.groups) > SHOWN:
        lines.append(f"and {len(pair.groups) - SHOWN:,} more groups (--json has all)")
    if comparison.within:
        lines.append(f"the {len(pair.groups) + 1:,} intervals hold together, 19 times in 20")
    if pair.note:
        lines += wrap_parts("note", pair.note.split(), indent=LABEL)
    return lines


def _list_cells(row: ComparedGroup, comparison: SideComparison) -> list[str]:
    before, after = row.documents
    documents = f"{before:,}" if before == after else f"{before:,} → {after:,}"
    cells = [
        shorten(fold_whitespace(row.name) or EMPTY, NAME),
        documents,
        format_level(row.before, comparison.metric),
        format_level(row.after, comparison.metric),
        format_change(row.change, comparison.metric),
        format_interval(row.change_low, row.change_high, comparison.metric),
    ]
    return [*cells, say_row_verdict(row)] if comparison.tolerance else cells


def say_row_verdict(row: ComparedGroup) -> str:
    """Return the verdict on a row, with how many documents would tell."""
    if row.verdict is None:
        return "new"
    if row.verdict == "cannot tell" and row.needed is not None:
        return f"cannot tell (needs {format_needed(row.needed)})"
    return row.verdict


def format_needed(number: int) -> str:
    """Return a number of documents in two digits, rounded up: 9,300."""
    step = 10 ** max(len(str(number)) - 2, 0)
    return format_count(-(-number // step) * step)


def format_level(value: float, metric: Metric) -> str:
    """Return a measure in four digits; a dash where it was not measured."""
    if math.isnan(value):
        return "–"
    return f"{value:.4g}" if metric == "perplexity" else f"{value:.4f}"


def format_change(value: float, metric: Metric) -> str:
    """Return a change with its sign: +0.52 % of perplexity, +0.0123 bits per byte; a dash where it was not measured."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "+∞"
    text = format_percent(abs(value), 2) if metric == "perplexity" else f"{abs(value):.4f}"
    if not float(text.split()[0]):
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def format_part(share: float) -> str:
    """Return a share in percent, in up to three digits; never 0 % for something."""
    return f"{100 * share:.3g} %"


def format_interval(low: float, high: float, metric: Metric) -> str:
    """Return an interval: −0.10 … +0.52 %."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    if math.isinf(low) or math.isinf(high):
        return "too few documents"
    return f"{format_change(low, metric).removesuffix(' %')} … {format_change(high, metric)}"


def _tabulate(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: the first cell on the left, the others right-aligned, each column as wide as it needs."""
    widths = [max(count_columns(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        pad_columns(row[0], widths[0])
        + "".join(
            "  " + align_right(cell, width).removeprefix(" " * (count_columns(cell) >= width))
            for cell, width in zip(row[1:], widths[1:], strict=True)
        )
        for row in rows
    ]


def _list_series(series: Series, comparison: SideComparison) -> list[str]:
    how = f"in pairs, {count_noun(series.num_pairs, 'document')} of the same text" if series.paired else "as samples"
    title = f"{METRIC_NAMES[comparison.metric]} over {len(series.steps)} steps, "
    title += f"{series.steps[0]} … {series.steps[-1]}, {how}"
    lines = wrap_parts("series", title.split(), indent=LABEL)
    if series.without_time:
        lines.append(f"{'left out':<{LABEL}}{count_noun(series.without_time, 'document')} without a time")
    heads = ["", "steps", "first", "last", "per step", "95 % interval", "another since"]
    heads += ["verdict"] if comparison.tolerance else []
    rows = [series.all, *series.groups[:SHOWN]]
    lines += _tabulate([heads, *(_list_series_cells(row, series, comparison) for row in rows)])
    if len(series.groups) > SHOWN:
        lines.append(f"and {len(series.groups) - SHOWN:,} more groups (--json has all)")
    for row in rows:
        for step in row.crossed:
            jump = row.jumps[step - 1]
            text = (
                f"{row.name}: {series.steps[step - 1]} → {series.steps[step]} "
                f"{format_change(jump.change, comparison.metric)} "
                f"({format_interval(jump.change_low, jump.change_high, comparison.metric)})"
            )
            lines += wrap_parts("jump", fold_whitespace(text).split(), indent=LABEL)
    return lines


def _list_series_cells(row: SeriesRow, series: Series, comparison: SideComparison) -> list[str]:
    cells = [
        shorten(fold_whitespace(row.name) or EMPTY, NAME),
        draw_sparkline(row.levels),
        format_level(row.levels[0], comparison.metric),
        format_level(row.levels[-1], comparison.metric),
        format_change(row.change, comparison.metric),
        format_interval(row.change_low, row.change_high, comparison.metric),
        "–" if row.since is None else shorten(fold_whitespace(series.steps[row.since]), 20),
    ]
    return [*cells, row.verdict or "–"] if comparison.tolerance else cells


def draw_sparkline(levels: Sequence[float], most: int = 24) -> str:
    """Return one block a step, from the lowest to the highest level, of at most ``most`` steps; a dot for none."""
    step = max(1, math.ceil(len(levels) / most))
    shown = [levels[index] for index in range(0, len(levels), step)]
    known = [level for level in shown if math.isfinite(level)]
    if not known:
        return "·" * len(shown)
    low, high = min(known), max(known)
    return "".join(
        "·" if not math.isfinite(level) else BLOCKS[round((level - low) / (high - low) * 7) if high > low else 0]
        for level in shown
    )


def _list_kinds(comparison: SideComparison) -> list[str]:
    heads = ["kind of text", "of bytes", "before", "after", "bits per byte", "95 % interval", "of the difference"]
    rows = [
        [
            one.kind.replace("_", " "),
            format_part(one.bytes_share),
            format_level(one.row.before, "bits_per_byte"),
            format_level(one.row.after, "bits_per_byte"),
            format_change(one.row.change, "bits_per_byte"),
            format_interval(one.row.change_low, one.row.change_high, "bits_per_byte"),
            "–" if math.isnan(one.gap_share) else format_percent(one.gap_share, 0).replace("-", "−"),
        ]
        for one in comparison.kinds
    ]
    return _tabulate([heads, *rows])


def _list_calibration(calibration: Calibration) -> list[str]:
    how = "in pairs" if calibration.paired else "as samples"
    heads = [f"calibration, {how}", "before", "after", "gap", "95 % interval"]
    rows = [
        [
            row.name,
            f"{row.before:.4f}",
            f"{row.after:.4f}",
            format_change(row.gap, "bits_per_byte"),
            format_interval(row.low, row.high, "bits_per_byte"),
        ]
        for row in calibration.rows
    ]
    return _tabulate([heads, *rows])


def _list_costs(comparison: SideComparison) -> list[str]:
    heads = ["cost", "bits per byte", "tokens/s", "$ per 1 B tokens", "$ per GB of text", ""]
    rows = [
        [
            shorten(fold_whitespace(one.label), NAME),
            f"{one.bits_per_byte:.4f}",
            "–" if one.tokens_per_second is None else f"{one.tokens_per_second:,.0f}",
            format_figure(one.dollars_per_billion_tokens),
            format_figure(one.dollars_per_gigabyte),
            "on the front" if one.on_front else "",
        ]
        for one in sorted(comparison.costs, key=lambda one: one.dollars_per_gigabyte)
    ]
    return _tabulate([heads, *rows])


def _list_changed(changed: Sequence[ChangedDocument], metric: Metric) -> list[str]:
    lines = []
    for one in changed:
        word = "rose most" if one.direction == "higher" else "fell most"
        name = one.id or f"{one.file}:{one.row}"
        group = f"   {one.group}" if one.group else ""
        numbers = (
            f"{format_level(one.before, metric)} → {format_level(one.after, metric)}   "
            f"{format_change(one.change, metric)}   {one.nats[1] - one.nats[0]:+,.1f} nats".replace("-", "−")
        )
        lines.append(
            shorten(f"{word:<{LABEL}}{fold_whitespace(name)}{fold_whitespace(group)}", WIDTH - 44) + "   " + numbers
        )
        for span in one.spans:
            nats = f"{span.nats[0]:.1f} → {span.nats[1]:.1f} nats"
            lines.append(f"{'':<{LABEL}}{pad_columns(nats, 22)}⟦{shorten(fold_whitespace(span.text), 60)}⟧")
        if one.note:
            lines += wrap_parts("", f"not read again: {one.note}".split(), indent=LABEL)
    return lines


def say_verdict(comparison: SideComparison) -> str | None:
    """Return the verdict in a sentence that names what crossed; None without a tolerance."""
    if comparison.tolerance is None:
        return None
    side = " upwards" if comparison.tolerance.only_worse else ""
    several = len(comparison.pairs) > 1
    rows = [
        (f"{row.name or EMPTY} ({pair.after})" if several else row.name or EMPTY, row.verdict)
        for pair in comparison.pairs
        for row in pair.rows
    ]
    if comparison.series is not None:
        rows += [(row.name, row.verdict) for row in comparison.series.rows]
    parts = []
    for verdict, words in (
        ("beyond", f"beyond {comparison.tolerance.text}{side}"),
        ("unmeasured", "not measured now"),
        ("cannot tell", "cannot tell"),
    ):
        names = [name for name, own in rows if own == verdict]
        if names:
            parts.append(f"{words}: {join_names(names)}")
    if comparison.leak is not None and comparison.leak.alarms:
        parts.insert(0, "leak")
    return "; ".join(parts) if parts else f"within {comparison.tolerance.text}{side}"


def join_names(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas, at most ``most``."""
    distinct = list(dict.fromkeys(fold_whitespace(name) for name in names))
    rest = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return ", ".join(distinct[:most]) + rest
