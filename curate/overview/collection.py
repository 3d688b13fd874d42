"""Everything that a report shows, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import UsageError
from curate.overview import examples as chosen
from curate.overview import findings
from curate.overview.examples import Example
from curate.overview.findings import Bucket, Cluster, Point, SetHits
from curate.overview.numbers import Numbers, collect_numbers
from curate.overview.sources import Sources, open_sources
from curate.runs import Run

MOVED = {"": "all documents"}


@dataclass(frozen=True, slots=True)
class Row:
    """One domain of the ledger."""

    domain: str
    before: tuple[int, int, float | None]
    """Scored documents, their tokens, the median of their perplexities."""
    after: tuple[int, int, float | None]
    """Of those that are kept."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows."""

    sources: Sources
    numbers: Numbers
    ledger: Sequence[Row]
    examples: Sequence[Example]
    sets: Sequence[SetHits]
    hits: Sequence[Mapping[str, Any]]
    clusters: Sequence[Cluster]
    buckets: Sequence[Bucket] | None
    order: Sequence[Point] | None
    stale: tuple[str, ...]
    stages: Mapping[str, Any]
    versions: Mapping[str, str]


def collect(run: Run, domain: str | None, percentiles: Sequence[float], tokens_of: int) -> Report:
    """Read a run. TableError without scores; UsageError for a domain or a model that it does not have."""
    if tokens_of and run.finished_scores()["made_from"]["model"]["model"] == "none":
        raise UsageError("--tokens-of: this run was scored without a model", "leave --tokens-of out")
    with open_sources(run, domain) as sources:
        numbers = collect_numbers(sources)
        column = numbers.distributions[0].measure.column if numbers.distributions else None
        many = numbers.sums.measured.get(column, 0) if column else 0
        picked = chosen.choose(sources, column, many, percentiles) if column else []
        buckets, order, stale = _later_tables(sources, numbers)
        return Report(
            sources=sources,
            numbers=numbers,
            ledger=make_ledger(numbers),
            examples=chosen.add_texts(sources, picked, tokens_of),
            sets=findings.count_hits(sources),
            hits=findings.strongest_hits(sources),
            clusters=[_opening(sources, one) for one in findings.largest_clusters(sources)],
            buckets=buckets,
            order=order,
            stale=(*sources.funnel.stale, *stale),
            stages=findings.list_stages(sources),
            versions=findings.list_versions(),
        )


def _later_tables(
    sources: Sources, numbers: Numbers
) -> tuple[Sequence[Bucket] | None, Sequence[Point] | None, list[str]]:
    """Buckets and order, where there are usable ones, and what is wrong with them where not."""
    stale = []
    found: dict[str, bool] = {}
    for stage in ("bucket", "order"):
        record, why = findings.find_table(sources, stage)
        found[stage] = record is not None
        stale += [] if why is None else [why]
    kept = sources.funnel.kept
    return (
        findings.describe_buckets(sources) if found["bucket"] else None,
        findings.describe_order(sources, kept) if found["order"] else None,
        stale,
    )


def make_ledger(numbers: Numbers) -> list[Row]:
    """The domains before and after, as they are drawn: the ones of the most tokens, then the others."""
    perplexities = next((one for one in numbers.distributions if one.measure.column == "perplexity"), None)
    sums = [[[0, 0], [0, 0]] for _ in numbers.groups.names]
    for name, pair in numbers.sums.domains.items():
        group = numbers.groups.index.get(name, len(sums) - 1)
        for place, one in enumerate(pair):
            sums[group][place][0] += one.documents
            sums[group][place][1] += one.tokens
    rows = []
    for group, name in enumerate(numbers.groups.names):
        medians = perplexities.medians[group] if perplexities else (None, None)
        (before, after) = sums[group]
        first, second = (before[0], before[1], medians[0]), (after[0], after[1], medians[1])
        rows.append(Row(MOVED.get(name, name), first, second))
    return rows


def _opening(sources: Sources, cluster: Cluster) -> Cluster:
    """A cluster with the beginning of its keeper's text, where that is a document of this run."""
    if cluster.source is not None:
        return cluster
    digest = findings.find_hash(sources, cluster.file, cluster.row)
    text, _ = chosen.read_text(sources, cluster.file, cluster.row, digest) if digest is not None else (None, None)
    return replace(cluster, opening=None if text is None else text[: findings.OPENING])
