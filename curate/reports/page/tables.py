"""What other verbs left in the run: hits with their evidence, clusters of copies, buckets, the order, provenance."""

import itertools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.reference.likelihood import perplexity
from curate.reports.page.groups import DomainGroups
from curate.reports.page.sources import TEXT, ReportSources, ScoreBlocks
from curate.rundir import parquet, quantiles, sql
from curate.rundir.run import Run
from curate.runtime.version import __version__

STRONGEST = 5  # hits, and clusters, that are shown
OPENING = 240  # characters of a keeper's text
STEPS = 80  # points of the curve along the order
STAGES = ("score", "decontaminate", "dedup", "filter", "bucket", "order")
VERSIONS = ("duckdb", "jinja2", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True)
class SetHits:
    """An eval set with the documents that contain items of it."""

    name: str
    documents: int
    """Contaminated ones."""
    review: int
    items: int
    """Different items that were found as leaks."""


def count_hits(sources: ReportSources) -> list[SetHits]:
    """The eval sets that were found, those in most documents first."""
    leaks = "FILTER (verdict = 'contaminated')"
    query = (
        f"SELECT eval_set, count(DISTINCT (file, row)) {leaks}, count(DISTINCT (file, row)) FILTER (verdict = 'review')"
        f", count(DISTINCT eval_id) {leaks} FROM {{source}} GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1"
    )
    return [SetHits(*row) for row in _ask_hits(sources, query)]


def strongest_hits(sources: ReportSources) -> list[dict[str, Any]]:
    """The leaks of the most bits, one of each document, with both texts."""
    if sources.found.hits is None or not parquet.parts(sources.run.hits):
        return []
    source = sql.parquet_source(sources.run.hits)
    best = "QUALIFY row_number() OVER (PARTITION BY file, row ORDER BY bits DESC, eval_set, eval_id, start) = 1"
    chosen = f"SELECT * FROM {source} WHERE verdict = 'contaminated' {best}"
    query = f"SELECT * FROM ({chosen}) ORDER BY bits DESC, file, row LIMIT {STRONGEST}"
    rows: list[dict[str, Any]] = sql.connect().sql(query).to_arrow_table().to_pylist()
    return rows


def _ask_hits(sources: ReportSources, query: str) -> list[tuple[Any, ...]]:
    if sources.found.hits is None or not parquet.parts(sources.run.hits):
        return []
    asked = query.format(source=sql.parquet_source(sources.run.hits))
    found: list[tuple[Any, ...]] = sql.connect().execute(asked).fetchall()
    return found


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """Documents that are copies of one."""

    exact: int
    near: int
    """Dropped."""
    file: str
    row: int
    id: str | None
    """Of the one that stays."""
    source: str | None
    """The name of the other corpus that it lies in; None for this one."""
    opening: str | None = None
    """How its text begins, where it can be read."""


def largest_clusters(sources: ReportSources) -> list[ClusterRow]:
    """The clusters with the most copies that are dropped."""
    if sources.found.duplicates is None:
        return []
    source = sql.parquet_source(sources.run.duplicates)
    query = (
        "SELECT count(*) FILTER (kind = 'exact'), count(*) FILTER (kind = 'near'), keeper_file, keeper_row, "
        f"any_value(id) FILTER (keeper), keeper_source FROM {source} GROUP BY keeper_source, keeper_file, keeper_row "
        f"HAVING count(*) FILTER (NOT keeper) > 0 "
        f"ORDER BY count(*) FILTER (NOT keeper) DESC, keeper_source NULLS FIRST, keeper_file, keeper_row "
        f"LIMIT {STRONGEST}"
    )
    return [ClusterRow(*row) for row in sql.connect().execute(query).fetchall()]


def find_hash(sources: ReportSources, file: str, row: int) -> int | None:
    """The hash of the text that was scored at a place."""
    query = f"SELECT hash FROM {sql.parquet_source(sources.run.scores)} WHERE file = ? AND row = ? LIMIT 1"
    found = sql.connect().execute(query, [file, row]).fetchall()
    return int(found[0][0]) if found and found[0][0] is not None else None


# Buckets and the order, each seen in one pass over the kept documents.


@dataclass(frozen=True, slots=True)
class BucketRow:
    """Kept documents of one bucket."""

    name: str
    documents: int
    tokens: int
    median: float
    """Of their perplexities; NaN for none."""
    low: float
    high: float
    """The least and the largest perplexity; NaN for none."""


@dataclass(frozen=True, slots=True)
class BucketTable:
    """The buckets, in the order in which they were cut, and where they part."""

    rows: Sequence[BucketRow]
    parameters: Mapping[str, Any]
    cuts: Sequence[float]
    """The perplexities from which the next bucket begins, where it does so for all documents."""
    domain_cuts: Sequence[Sequence[float]]
    """The same in each domain."""


def describe_buckets(table: ScoreBlocks, run: Run, groups: DomainGroups) -> BucketTable:
    """The buckets of a run."""
    parameters = (run.stage("bucket") or {}).get("parameters", {})
    names = list(parameters.get("names", ()))
    spans: dict[str, ProfileSpan] = {name: ProfileSpan(len(groups.names)) for name in names}
    for block, column in table.beside(run.buckets, "bucket", TEXT):
        labels, values, group = column.combine_chunks(), block.numbers("perplexity"), groups.places[block.domain]
        codes = pc.fill_null(labels.indices, -1).to_numpy(zero_copy_only=False)
        for code, name in enumerate(labels.dictionary.to_pylist()):
            inside = np.flatnonzero((codes == code) & (block.codes == 0))
            spans.setdefault(name, ProfileSpan(len(groups.names))).add(
                values[inside], block.tokens[inside], group[inside]
            )
    ordered = list(spans.values())
    medians = _medians(table, run, list(spans))
    rows = [BucketRow(name, *span.sums(), medians[name], *span.ends()) for name, span in spans.items()]
    domain_cuts = [_cuts([span.ends(group) for span in ordered]) for group in range(len(groups.names))]
    return BucketTable(rows, parameters, _cuts([span.ends() for span in ordered]), domain_cuts)


class ProfileSpan:
    """Documents of one bucket, their tokens, and the range of their perplexities in each domain."""

    def __init__(self, groups: int):
        self._documents, self._tokens = 0, 0
        self._low, self._high = np.full(groups, np.inf), np.full(groups, -np.inf)

    def add(self, values: Any, tokens: Any, groups: Any) -> None:
        self._documents += len(values)
        self._tokens += int(tokens.sum())
        known = ~np.isnan(values)
        np.minimum.at(self._low, groups[known], values[known])
        np.maximum.at(self._high, groups[known], values[known])

    def sums(self) -> tuple[int, int]:
        return self._documents, self._tokens

    def ends(self, group: int | None = None) -> tuple[float, float]:
        """The least and the largest perplexity; NaN for none."""
        low, high = (self._low.min(), self._high.max()) if group is None else (self._low[group], self._high[group])
        return (float(low), float(high)) if low <= high else (np.nan, np.nan)


def _cuts(ends: Sequence[tuple[float, float]]) -> list[float]:
    """Where a range begins after the one before has ended; none where any two overlap."""
    held = [pair for pair in ends if pair[0] == pair[0]]
    pairs = list(itertools.pairwise(held))
    return [right[0] for _, right in pairs] if all(left[1] <= right[0] for left, right in pairs) else []


def _medians(table: ScoreBlocks, run: Run, names: Sequence[str]) -> dict[str, float]:
    """The median perplexity of each bucket; NaN for none."""
    places = {name: place for place, name in enumerate(names)}

    def passes() -> Iterator[quantiles.Batch]:
        for block, column in table.beside(run.buckets, "bucket", TEXT):
            labels, values = column.combine_chunks(), block.numbers("perplexity")
            codes = pc.fill_null(labels.indices, -1).to_numpy(zero_copy_only=False)
            inside = np.flatnonzero((codes >= 0) & (block.codes == 0) & ~np.isnan(values))
            own = np.array([places[name] for name in labels.dictionary.to_pylist()] or [0], np.int64)
            yield values[inside], own[codes[inside]], None

    sizes = quantiles.totals(passes, len(names))
    found = quantiles.quantiles(passes, range(len(names)), [0.5], sizes)
    return {name: found[place][0] for name, place in places.items()}


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """Neighbours in the order."""

    tokens: int
    """Of all documents up to the last of these."""
    documents: int
    perplexity: float
    """exp of their nats over their tokens."""


@dataclass(frozen=True, slots=True)
class OrderProfile:
    """The order of a run, in steps of equally many documents."""

    points: Sequence[ProfilePoint]
    parameters: Mapping[str, Any]
    tenths: Sequence[Mapping[str, Any]]
    """What ``curate order`` recorded of the key: its median and mean by tenths of the tokens."""


def describe_order(table: ScoreBlocks, run: Run, kept: int) -> OrderProfile:
    """The perplexity along the order."""
    steps = max(min(STEPS, kept), 1)
    sums = np.zeros((3, steps))
    for block, column in table.beside(run.order, "position", pa.int64()):
        positions = pc.fill_null(column, -1).to_numpy()
        known = np.flatnonzero((block.codes == 0) & (positions >= 0))
        at = np.minimum(positions[known] * steps // max(kept, 1), steps - 1)
        tokens = block.tokens[known]
        nats = np.nan_to_num(np.log(block.numbers("perplexity")[known])) * tokens
        for number, values in enumerate((np.ones(len(at)), tokens, nats)):
            sums[number] += np.bincount(at, values, minlength=steps)
    ends, means = np.cumsum(sums[1]), perplexity(sums[2], sums[1])
    points = [ProfilePoint(int(ends[at]), int(sums[0][at]), float(means[at])) for at in range(steps) if sums[0][at]]
    record = run.stage("order") or {}
    return OrderProfile(points, record.get("parameters", {}), record.get("summary", {}).get("tenths", ()))


# Provenance.


def list_stages(sources: ReportSources) -> dict[str, dict[str, Any]]:
    """The parameters, counts and fingerprint of every stage that has run."""
    found = {}
    for name in STAGES:
        record = sources.run.stage(name)
        if record is not None:
            made = record.get("made_from")
            parameters = made.get("parameters") if name == "score" and isinstance(made, Mapping) else None
            shown = parameters or record.get("parameters") or {}
            found[name] = {"fingerprint": record.get("fingerprint"), "parameters": dict(shown)}
    return found


def list_versions() -> dict[str, str]:
    """What made the report."""
    found = {"curate": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in VERSIONS}
