"""Collects all that a report shows into one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import UsageError
from curate.reports.page import tables
from curate.reports.page.examples import PercentileExample, add_texts, choose_examples, read_text
from curate.reports.page.numbers import DomainSum, ReportNumbers, collect_numbers, list_columns
from curate.reports.page.sources import ReportSources, ScoreBlocks, open_sources
from curate.reports.page.tables import BucketTable, ClusterRow, OrderProfile, SetHits
from curate.rundir.run import Run
from curate.runtime.published import hide_folder, hide_folders, hide_in_text
from curate.runtime.redaction import Redactor
from curate.stages.decontaminate.report.redacted import redact_hits

MOVED = {"all": "all documents"}


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One line of the ledger: a domain before and after the criteria."""

    domain: str
    before: tuple[int, int, float | None]
    """Documents, tokens and median perplexity (None for none) of those that are scored and rejected by no table."""
    after: tuple[int, int, float | None]
    """The same of those that are kept."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that a page shows."""

    sources: ReportSources
    numbers: ReportNumbers
    ledger: Sequence[LedgerRow]
    examples: Sequence[PercentileExample]
    sets: Sequence[SetHits]
    hits: Sequence[Mapping[str, Any]]
    clusters: Sequence[ClusterRow]
    buckets: BucketTable | None
    order: OrderProfile | None
    stale: tuple[str, ...]
    """One sentence for each table that is stale and not counted."""
    stages: Mapping[str, Any]
    versions: Mapping[str, str]
    redaction: str | None = None
    """What is redacted, as ``--redact`` takes it; None for nothing."""


def collect_report(
    run: Run, domain: str | None, percentiles: Sequence[float], tokens_of: int, redactor: Redactor
) -> RunReport:
    """Read all that the page of a run shows; texts of documents and eval items, and ids, are redacted.

    ``percentiles`` are those of the examples, of which the first ``tokens_of`` are read again by the reference model.
    Raises TableError without complete scores; UsageError for a domain that the documents do not have, or for
    ``tokens_of`` where the run was scored without a model.
    """
    if tokens_of and run.finished_scores()["made_from"]["model"]["model"] == "none":
        raise UsageError("--tokens-of: this run was scored without a model", "leave --tokens-of out")
    sources = open_sources(run, domain)
    table = ScoreBlocks(sources, list_columns(sources))
    numbers = collect_numbers(sources, table, percentiles)
    first = numbers.distributions[0] if numbers.distributions else None
    picked = choose_examples(sources, table, first.measure.column, first.at) if first else []
    shown = sources.funnel
    return RunReport(
        sources=sources,
        numbers=numbers,
        ledger=make_ledger(numbers),
        examples=add_texts(sources, picked, tokens_of, redactor),
        sets=tables.count_hits(sources),
        hits=redact_hits(tables.strongest_hits(sources), redactor),
        clusters=[_add_opening(sources, one, redactor) for one in tables.largest_clusters(sources)],
        buckets=None if shown.buckets is None else tables.describe_buckets(table, run, numbers.groups),
        order=None if shown.order is None else tables.describe_order(table, run, shown.kept),
        stale=tuple(map(hide_in_text, shown.stale)),
        stages=hide_folders(tables.list_stages(sources)),
        versions=tables.list_versions(),
        redaction=redactor.choice.spell() if redactor else None,
    )


def make_ledger(numbers: ReportNumbers) -> list[LedgerRow]:
    """Return the ledger: the domains with the most tokens, then all others as one line."""
    perplexities = next((one for one in numbers.distributions if one.measure.column == "perplexity"), None)
    sums = [(DomainSum(), DomainSum()) for _ in numbers.groups.names]
    for name, pair in numbers.sums.domains.items():
        for own, one in zip(sums[numbers.groups.index.get(name, len(sums) - 1)], pair, strict=True):
            own.add(one.documents, one.tokens)
    rows = []
    for group, name in enumerate(numbers.groups.names):
        medians = perplexities.medians[group] if perplexities else (None, None)
        before, after = ((one.documents, one.tokens, median) for one, median in zip(sums[group], medians, strict=True))
        rows.append(LedgerRow(MOVED.get(name, name), before, after))
    return rows


def _add_opening(sources: ReportSources, cluster: ClusterRow, redactor: Redactor) -> ClusterRow:
    """Return a cluster with the first characters of its keeper's text, where that is a document of the run."""
    cluster = cluster if cluster.id is None else replace(cluster, id=redactor(cluster.id))
    if cluster.source is not None:
        return replace(cluster, source=hide_folder(cluster.source))
    digest = tables.find_hash(sources, cluster.file, cluster.row)
    text, why = read_text(sources, cluster.file, cluster.row, digest) if digest is not None else (None, None)
    opening = None if text is None else redactor.redact(text).cut(0, tables.OPENING)
    return replace(cluster, opening=opening, missing=why)
