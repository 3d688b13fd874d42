"""The numbers of a report as JSON; the keys are described in the docstring of ``curate.report``, the verb."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from curate.reports.page.collect import LedgerRow, RunReport
from curate.reports.page.numbers import CELLS, SHARES, Distribution

FORMAT = 1
EVIDENCE = ("file", "row", "id", "eval_set", "eval_id", "rule", "coverage", "bits", "matched_text", "eval_text")


def make_digest(found: RunReport) -> dict[str, Any]:
    """Everything on the page that is a number or a name."""
    sources, numbers = found.sources, found.numbers
    parts: dict[str, Any] = {
        "format": FORMAT,
        "run": str(sources.run.path),
        "corpus": sources.score["corpus"]["paths"],
        "model": sources.score["made_from"]["model"]["model"],
        "domain_column": sources.domain,
        "funnel": _funnel(found),
        "distributions": {one.measure.column: _distribution(found, one) for one in numbers.distributions},
        "densities": [_density(one) for one in numbers.densities],
        "ledger": [_row(row) for row in found.ledger],
        "buckets": None if found.buckets is None else [asdict(one) for one in found.buckets.rows],
        "cut_offs": [] if found.buckets is None else found.buckets.cuts,
        "order": None if found.order is None else [asdict(one) for one in found.order.points],
        "examples": [_example(one) for one in found.examples],
        "hits": {
            "sets": [asdict(one) for one in found.sets],
            "strongest": [{name: hit[name] for name in EVIDENCE} for hit in found.hits],
        },
        "duplicates": {"largest": [asdict(one) for one in found.clusters]},
        "provenance": {
            "model": sources.score["made_from"]["model"],
            "stages": found.stages,
            "versions": dict(found.versions),
        },
    }
    return {name: finite(value) for name, value in parts.items()}


def finite(value: Any) -> Any:
    """The same value with null in the place of NaN and infinity, and no half characters."""
    if isinstance(value, Mapping):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _funnel(found: RunReport) -> dict[str, Any]:
    shown, reasons = found.sources.funnel, found.numbers.sums.reasons
    kept = reasons.get(None)
    return {
        "read": shown.read,
        "unreadable": shown.unreadable,
        "rejected": dict(shown.rejected),
        "rejected_tokens": {why: reasons[why].tokens for why in shown.rejected if why in reasons},
        "kept": shown.kept,
        "kept_tokens": kept.tokens if kept else 0,
        "filtered": shown.filtered,
        "parameters": dict(shown.parameters),
        "not_drawn": list(found.numbers.said),
        "stale": list(found.stale),
    }


def _distribution(found: RunReport, one: Distribution) -> dict[str, Any]:
    kept, dropped = one.whole.counts[0].tolist()
    names = [row.domain for row in found.ledger]
    return {
        "edges": one.whole.edges,
        "kept": kept,
        "dropped": dropped,
        "quantiles": {
            which: {f"{share:g}": value for share, value in zip(SHARES, values, strict=True)}
            for which, values in one.quantiles.items()
        },
        "thresholds": [asdict(line) for line in one.thresholds],
        "domain_edges": one.domains.edges,
        "domains": {
            name: {
                "kept": one.domains.counts[place][0].tolist(),
                "dropped": one.domains.counts[place][1].tolist(),
                "median": one.medians[place][0],
                "kept_median": one.medians[place][1],
                "thresholds": [asdict(line) for line in one.domain_thresholds[place]],
            }
            for place, name in enumerate(names)
        },
    }


def _density(density: Any) -> dict[str, Any]:
    across, up = density.drawn(*CELLS)
    kept, dropped = across.counts.tolist()
    return {
        "x": density.x.column,
        "y": density.y.column,
        "x_edges": across.edges,
        "y_edges": up.edges,
        "kept": kept,
        "dropped": dropped,
    }


def _row(row: LedgerRow) -> dict[str, Any]:
    names = ("documents", "tokens", "median_perplexity")
    return {
        "domain": row.domain,
        "before": dict(zip(names, row.before, strict=True)),
        "after": dict(zip(names, row.after, strict=True)),
    }


def _example(one: Any) -> dict[str, Any]:
    shown = (
        "percentile",
        "file",
        "row",
        "id",
        "domain",
        "kept",
        "reason",
        "numbers",
        "text",
        "missing",
        "again_nats",
        "note",
    )
    values = {name: getattr(one, name) for name in shown}
    return {**values, "surprising": [asdict(piece) for piece in one.surprising]}
