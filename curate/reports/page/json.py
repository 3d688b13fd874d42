"""The numbers of a report as JSON.

Keys: ``format`` (1; any change of meaning raises it), ``run``, ``corpus``, ``model``, ``domain_column``; ``funnel``
(read, unreadable, rejected by reason, kept, tokens of each, parameters of the filter, ``not_drawn``: its criteria that
are no threshold; ``also``: lines on documents of several reasons; stale); ``distributions`` by column (edges; kept and
dropped counts, overall and by domain; quantiles of all, kept and dropped; thresholds); ``densities`` (x, y, their
edges, counts as rows of y: kept and dropped); ``ledger`` (domain; before and after: documents, tokens, median);
``buckets``, ``cut_offs``, ``order`` (null without); ``examples``, ``hits``, ``duplicates``, ``provenance``;
``redaction`` (what is redacted, as ``--redact`` takes it). What was not measured is null.
"""

from dataclasses import asdict
from typing import Any

from curate.reports.page.collect import LedgerRow, RunReport
from curate.reports.page.numbers import CELLS, SHARES, Distribution
from curate.rundir.run import publish_model
from curate.runtime.numbers import make_jsonable
from curate.runtime.published import hide_folder, hide_folders

FORMAT = 1
EVIDENCE = ("file", "row", "id", "eval_set", "eval_id", "rule", "coverage", "bits", "matched_text", "eval_text")


def make_digest(report: RunReport) -> dict[str, Any]:
    """Return all numbers and names of the page as one JSON object (the module's docstring describes its keys)."""
    sources, numbers = report.sources, report.numbers
    digest: dict[str, Any] = {
        "format": FORMAT,
        "run": hide_folder(str(sources.run.path)),
        "corpus": list(map(hide_folder, sources.score["corpus"]["paths"])),
        "model": publish_model(sources.score)["model"],
        "domain_column": sources.domain,
        "funnel": _funnel(report),
        "distributions": {one.measure.column: _distribution(report, one) for one in numbers.distributions},
        "densities": [_density(one) for one in numbers.densities],
        "ledger": [_row(row) for row in report.ledger],
        "buckets": None if report.buckets is None else [asdict(one) for one in report.buckets.rows],
        "cut_offs": [] if report.buckets is None else report.buckets.cuts,
        "order": None if report.order is None else [asdict(one) for one in report.order.points],
        "examples": [_example(one) for one in report.examples],
        "hits": {
            "sets": [asdict(one) for one in report.sets],
            "strongest": [{name: hit[name] for name in EVIDENCE} for hit in report.hits],
        },
        "duplicates": {"largest": [asdict(one) for one in report.clusters]},
        "redaction": report.redaction,
        "provenance": {
            "model": publish_model(sources.score),
            "stages": hide_folders(report.stages),
            "versions": dict(report.versions),
        },
    }
    return dict(make_jsonable(digest))


def _funnel(report: RunReport) -> dict[str, Any]:
    shown, reasons = report.sources.funnel, report.numbers.sums.reasons
    kept = reasons.get(None)
    return {
        "read": shown.read,
        "unreadable": shown.unreadable,
        "rejected": dict(shown.rejected),
        "rejected_tokens": {reason: reasons[reason].tokens for reason in shown.rejected if reason in reasons},
        "kept": shown.kept,
        "kept_tokens": kept.tokens if kept else 0,
        "filtered": shown.filtered,
        "parameters": dict(shown.parameters),
        "also": list(shown.also),
        "not_drawn": list(report.numbers.said),
        "stale": list(report.stale),
    }


def _distribution(report: RunReport, one: Distribution) -> dict[str, Any]:
    kept, dropped = one.whole.counts[0].tolist()
    names = [row.domain for row in report.ledger]
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
