"""The page: a template that escapes every value, with characters spelled out that a browser would hide or obey."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.reports.document import ordinal
from curate.reports.page import charts
from curate.reports.page.collect import RunReport
from curate.reports.page.json import make_digest
from curate.reports.page.numbers import SHARES, DomainSum
from curate.rundir.run import publish_model
from curate.rundir.signals import list_numbers
from curate.rundir.verdicts.reasons import (
    CONTAMINATED,
    DUPLICATES,
    NEAR_DUPLICATE,
    UNREADABLE,
    group_reasons,
    label_reason,
)
from curate.runtime.console import format_count, format_size
from curate.runtime.disk import files
from curate.runtime.html import open_templates
from curate.runtime.numbers import format_change, format_figure, format_share, format_whole_percent
from curate.runtime.published import hide_folder, hide_in_text
from curate.runtime.text import fold_whitespace, quote_word
from curate.stages.decontaminate.report.html import make_cards
from curate.stages.decontaminate.report.wording import name_item, name_place

SHADES = (2.0, 4.0, 6.0, 8.0, 10.0)
"""Nats from which a piece of a text has the next shade."""


@dataclass(frozen=True, slots=True)
class LossRow:
    """A bar of the funnel."""

    name: str
    documents: int
    tokens: int | None
    """None where they were not counted."""
    left: float
    """Start of the bar, as a share of the documents read."""
    width: float
    """Length of the bar, as a share of the documents read."""
    note: str
    kind: str
    """read, lost or kept."""


def write_report(page: Path, numbers: Path, report: RunReport) -> int:
    """Write the page and the file of its numbers, and return the size of the page in bytes.

    The same run gives the same bytes. Raises StorageError where the disk refuses.
    """
    text = make_page(report).encode("utf-8", "backslashreplace")
    with files.replace_atomically(page) as temporary:
        temporary.write_bytes(text)
    with files.replace_atomically(numbers) as temporary:
        temporary.write_text(json.dumps(make_digest(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return len(text)


def make_page(report: RunReport) -> str:
    """Return the page as HTML."""
    space = open_templates(Path(__file__).parent)
    space.filters |= {
        "share": format_share,
        "percent": format_whole_percent,
        "size": format_size,
        "count": format_count,
        "fold": fold_whitespace,
    }
    space.filters |= {"item": name_item, "place": name_place, "figure": number, "ordinal": order_of, "shade": shade}
    space.filters |= {"say": say, "change": change}
    return space.get_template("report.html.j2").render(list_values(report))


def list_values(report: RunReport) -> dict[str, Any]:
    """Return the variables of the template."""
    numbers, buckets = report.numbers, report.buckets
    figures = []
    for one in numbers.distributions:
        own = buckets if one.measure.column == "perplexity" else None
        domains = [
            charts.draw_bars(one.domains, at, lines, own.domain_cuts[at] if own else (), ticks=4)
            for at, lines in enumerate(one.domain_thresholds)
        ]
        figures.append((one, charts.draw_bars(one.whole, 0, one.thresholds, own.cuts if own else ()), domains))
    lines = [line for one in numbers.distributions for line in one.thresholds]
    lines += [line for line in numbers.bounds if line not in lines]
    densities = [(one, charts.draw_cells(one, lines)) for one in numbers.densities]
    return {
        "found": report,
        "signals": list_numbers(),
        "shown": report.sources.funnel,
        "run_name": hide_folder(str(report.sources.run.path)),
        "model": publish_model(report.sources.score),
        "corpus": list(map(hide_folder, report.sources.score["corpus"]["paths"])),
        "losses": list_losses(report),
        "figures": figures,
        "densities": densities,
        "totals": _totals(report),
        "bar_scale": [_largest_share(report, index) for index in (0, 1)],
        "cuts": buckets.cuts if buckets else [],
        "domain_lines": any(any(one.domain_thresholds) for one in numbers.distributions),
        "domain_cuts": bool(buckets and any(buckets.domain_cuts)),
        "command": hide_in_text(say_filter(report.sources.filter)),
        "left": say_left(report),
        "buckets_said": say_buckets(buckets.parameters) if buckets else "",
        "order_said": say_order(report.order.parameters) if report.order else "",
        "order": charts.draw_order(report.order.points) if report.order else None,
        "cards": make_cards(report.hits),
        "percents": [f"{100 * one:g}\u00a0%" for one in SHARES],
        "shades": SHADES,
        "leaks": (report.sources.rejections.hits or {}).get("counts", {}),
        "copies": (report.sources.rejections.duplicates or {}).get("counts", {}),
        "near_duplicates": label_reason(NEAR_DUPLICATE),
    }


def say_left(report: RunReport) -> str:
    """Return the end of a clause that names the documents that distributions leave out; empty where there are none."""
    labels = {"curate decontaminate": CONTAMINATED, "curate dedup": DUPLICATES}
    named = [labels[verb] for verb in report.sources.rejections.verbs()]
    return f" and are {'neither' if len(named) > 1 else 'not'} {' nor '.join(named)}" if named else ""


def say_filter(record: Mapping[str, Any] | None) -> str:
    """Return the filter as a command; empty where there is none."""
    if record is None:
        return ""
    options = [f"--{name.replace('_', '-')} {_quote(value)}" for name, value in record["parameters"].items()]
    return " ".join(["curate filter", *options])


def _quote(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else quote_word(str(value))


def say_buckets(parameters: Mapping[str, Any]) -> str:
    """Return how buckets were cut: ``ccnet of perplexity, within language``."""
    within = f", within {', '.join(parameters['within'])}" if parameters.get("within") else ""
    applied = "; cut-offs of another corpus" if parameters.get("applied") else ""
    return f"{parameters.get('scheme')} of {say(str(parameters.get('by')))}{within}{applied}"


def say_order(parameters: Mapping[str, Any]) -> str:
    """Return how documents were ordered: ``fold by perplexity, ascending; folds 3; seed 0``."""
    first = f"{parameters.get('schedule')} by {say(str(parameters.get('by')))}, {parameters.get('direction')}"
    known = ("schedule", "by", "direction", "generator")
    rest = [f"{say(name)} {value}" for name, value in parameters.items() if name not in known]
    return "; ".join([first, *rest])


def _totals(report: RunReport) -> dict[str, tuple[int, int]]:
    return {
        which: (
            sum(getattr(row, which)[0] for row in report.ledger),
            sum(getattr(row, which)[1] for row in report.ledger),
        )
        for which in ("before", "after")
    }


def _largest_share(report: RunReport, index: int) -> float:
    """Return the largest share of a domain, before or after: of the documents (``index`` 0) or the tokens (1)."""
    totals = _totals(report)
    shares = [
        getattr(row, which)[index] / max(totals[which][index], 1)
        for row in report.ledger
        for which in ("before", "after")
    ]
    return max(shares, default=0.0) or 1.0


def list_losses(report: RunReport) -> list[LossRow]:
    """Return the funnel as bars: the documents read, those lost for each reason from the right, and those kept."""
    shown, reasons = report.sources.funnel, report.numbers.sums.reasons
    whole, left = max(shown.read, 1), shown.read
    total = sum(one.tokens for one in reasons.values())
    lines = [LossRow("read", shown.read, total, 0.0, 1.0 if shown.read else 0.0, "", "read")]
    steps: list[tuple[str, int, int | None, str]] = []
    if shown.unreadable:
        steps.append((UNREADABLE, shown.unreadable, 0, ""))
    for line in group_reasons(shown.rejected):
        note = ", ".join(f"{name} {many:,}" for name, many in list(line.sets.items())[:4])
        note += f" and {len(line.sets) - 4} more" if len(line.sets) > 4 else ""
        steps.append((line.label, line.documents, _sum_tokens(reasons, line.reasons), note))
    for name, many, tokens, note in steps:
        left -= many
        lines.append(LossRow(name, many, tokens, left / whole, many / whole, note, "lost"))
    return [*lines, LossRow("kept", shown.kept, shown.tokens, 0.0, shown.kept / whole, "", "kept")]


def _sum_tokens(sums: Mapping[str | None, DomainSum], reasons: Sequence[str]) -> int | None:
    """Return the tokens of the documents of some reasons; None where none of these documents was counted."""
    counted = [int(sums[reason].tokens) for reason in reasons if reason in sums]
    return sum(counted) if counted else None


def number(value: float | None) -> str:
    """Return three significant digits; a dash where nothing was measured."""
    return "–" if value is None or not math.isfinite(value) else format_figure(value)


def order_of(value: float) -> str:
    """Return a percentile as 1st, 25th or 2.5th."""
    return ordinal(int(value)) if value == int(value) else f"{value:g}th"


def shade(nats: float) -> int:
    """Return the shade of a piece of a text: 0 for an expected one, up to 5."""
    return sum(nats >= bound for bound in SHADES)


def say(column: str) -> str:
    """Return the name of a column for people: ``bits per byte``."""
    return column.replace("_", " ")


def change(before: Sequence[int], after: Sequence[int], totals: Mapping[str, Sequence[int]], index: int) -> str:
    """Return how the share of a domain changed, relative to its share before: ``+12 %``; empty without a share before.

    ``index`` is 0 for shares of the documents, 1 for shares of the tokens.
    """
    first, second = totals["before"][index], totals["after"][index]
    if not first or not second or not before[index]:
        return ""
    return format_change((after[index] / second) / (before[index] / first) - 1)
