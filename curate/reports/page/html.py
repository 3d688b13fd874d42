"""The page: values into a template that escapes all of them; what a browser would hide or obey is spelled out."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.reports.document import ordinal
from curate.reports.page import charts
from curate.reports.page.collect import RunReport
from curate.reports.page.json import make_digest
from curate.reports.page.numbers import SHARES, DomainSum
from curate.rundir.reasons import CONTAMINATED, DUPLICATES, NEAR_DUPLICATE, UNREADABLE, group, label_reason
from curate.runtime import files
from curate.runtime.console import count, size
from curate.runtime.html import open_templates
from curate.runtime.numbers import figure, format_change, format_whole_percent, percent
from curate.runtime.text import fold
from curate.stages.decontaminate.report.html import make_cards
from curate.stages.decontaminate.report.wording import name_item, name_place

SHADES = (2.0, 4.0, 6.0, 8.0, 10.0)  # nats from which a piece has the next shade


@dataclass(frozen=True, slots=True)
class LossRow:
    """A bar of the funnel."""

    name: str
    documents: int
    tokens: int | None
    left: float
    """Where its bar begins, as a share of what was read."""
    width: float
    note: str
    kind: str


def write(page: Path, numbers: Path, found: RunReport) -> int:
    """Write both files whole.  → bytes of the page. The same run gives the same bytes; StorageError where refused."""
    text = make_page(found).encode("utf-8", "backslashreplace")
    with files.replacing(page) as beside:
        beside.write_bytes(text)
    with files.replacing(numbers) as beside:
        beside.write_text(json.dumps(make_digest(found), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return len(text)


def make_page(found: RunReport) -> str:
    """The page as text."""
    space = open_templates(Path(__file__).parent)
    space.filters |= {"share": percent, "percent": format_whole_percent, "size": size, "count": count, "fold": fold}
    space.filters |= {"item": name_item, "place": name_place, "figure": number, "ordinal": order_of, "shade": shade}
    space.filters |= {"say": say, "change": change}
    return space.get_template("report.html.j2").render(list_values(found))


def list_values(found: RunReport) -> dict[str, Any]:
    """What the template is given."""
    numbers, buckets = found.numbers, found.buckets
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
        "found": found,
        "shown": found.sources.funnel,
        "model": found.sources.score["made_from"]["model"],
        "corpus": found.sources.score["corpus"]["paths"],
        "losses": list_losses(found),
        "figures": figures,
        "densities": densities,
        "totals": _totals(found),
        "bar_scale": [_largest_share(found, place) for place in (0, 1)],
        "cuts": buckets.cuts if buckets else [],
        "domain_lines": any(any(one.domain_thresholds) for one in numbers.distributions),
        "domain_cuts": bool(buckets and any(buckets.domain_cuts)),
        "command": say_filter(found.sources.filter),
        "left": say_left(found),
        "buckets_said": say_buckets(buckets.parameters) if buckets else "",
        "order_said": say_order(found.order.parameters) if found.order else "",
        "order": charts.draw_order(found.order.points) if found.order else None,
        "cards": make_cards(found.hits),
        "percents": [f"{100 * one:g}\u00a0%" for one in SHARES],
        "shades": SHADES,
        "leaks": (found.sources.found.hits or {}).get("counts", {}),
        "copies": (found.sources.found.duplicates or {}).get("counts", {}),
        "near_duplicates": label_reason(NEAR_DUPLICATE),
    }


def say_left(found: RunReport) -> str:
    """What the page is not about, as the end of a clause."""
    gone = {"curate decontaminate": CONTAMINATED, "curate dedup": DUPLICATES}
    named = [gone[verb] for verb in found.sources.found.verbs()]
    return f" and are {'neither' if len(named) > 1 else 'not'} {' nor '.join(named)}" if named else ""


def say_filter(record: Mapping[str, Any] | None) -> str:
    """The filter as a command; empty where there is none."""
    if record is None:
        return ""
    options = [f"--{name.replace('_', '-')} {_quote(value)}" for name, value in record["parameters"].items()]
    return " ".join(["curate filter", *options])


def _quote(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else shlex.quote(str(value))


def say_buckets(parameters: Mapping[str, Any]) -> str:
    """How buckets were cut: ``ccnet of perplexity, within language``."""
    within = f", within {', '.join(parameters['within'])}" if parameters.get("within") else ""
    applied = "; cut-offs of another corpus" if parameters.get("applied") else ""
    return f"{parameters.get('scheme')} of {say(str(parameters.get('by')))}{within}{applied}"


def say_order(parameters: Mapping[str, Any]) -> str:
    """How documents were ordered: ``fold by perplexity, ascending; folds 3; seed 0``."""
    first = f"{parameters.get('schedule')} by {say(str(parameters.get('by')))}, {parameters.get('direction')}"
    known = ("schedule", "by", "direction", "generator")
    rest = [f"{say(name)} {value}" for name, value in parameters.items() if name not in known]
    return "; ".join([first, *rest])


def _totals(found: RunReport) -> dict[str, tuple[int, int]]:
    return {
        which: (
            sum(getattr(row, which)[0] for row in found.ledger),
            sum(getattr(row, which)[1] for row in found.ledger),
        )
        for which in ("before", "after")
    }


def _largest_share(found: RunReport, place: int) -> float:
    """The largest share of a domain, before or after: the length of the longest bar."""
    totals = _totals(found)
    shares = [
        getattr(row, which)[place] / max(totals[which][place], 1)
        for row in found.ledger
        for which in ("before", "after")
    ]
    return max(shares, default=0.0) or 1.0


def list_losses(found: RunReport) -> list[LossRow]:
    """The funnel as bars: what was read, what went at each stage from the right, and what is kept at the left."""
    shown, reasons = found.sources.funnel, found.numbers.sums.reasons
    whole, left = max(shown.read, 1), shown.read
    total = sum(one.tokens for one in reasons.values())
    lines = [LossRow("read", shown.read, total, 0.0, 1.0 if shown.read else 0.0, "", "read")]
    steps: list[tuple[str, int, int | None, str]] = []
    if shown.unreadable:
        steps.append((UNREADABLE, shown.unreadable, 0, ""))
    for line in group(shown.rejected):
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
    """Three digits; a dash where nothing was measured."""
    return "–" if value is None or not math.isfinite(value) else figure(value)


def order_of(value: float) -> str:
    return ordinal(int(value)) if value == int(value) else f"{value:g}th"


def shade(nats: float) -> int:
    """0 for what was expected, up to 5."""
    return sum(nats >= bound for bound in SHADES)


def say(column: str) -> str:
    return column.replace("_", " ")


def change(before: Sequence[int], after: Sequence[int], totals: Mapping[str, Sequence[int]], place: int) -> str:
    """How a domain's share changed: ``+12 %``, as a part of its share before."""
    first, second = totals["before"][place], totals["after"][place]
    if not first or not second or not before[place]:
        return ""
    return format_change((after[place] / second) / (before[place] / first) - 1)
