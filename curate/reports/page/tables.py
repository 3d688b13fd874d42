"""The tables of other verbs for the page: hits, clusters of copies, buckets, the order, provenance."""

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
from curate.reports.page.sources import ReportSources, ScoreBlocks
from curate.rundir import parquet, quantiles, sql
from curate.rundir.document_blocks import TEXT
from curate.rundir.run import Run
from curate.rundir.verdicts.rejections import hits_source
from curate.runtime.arrays import Float64Array, Int32Array, Int64Array
from curate.runtime.version import __version__

STRONGEST = 5
"""Hits, and clusters, that are shown."""
OPENING = 240
"""Characters of a keeper's text that are shown."""
STEPS = 80
"""Points of the curve along the order."""
STAGES = ("score", "decontaminate", "dedup", "filter", "bucket", "order")
VERSIONS = ("duckdb", "jinja2", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True)
class SetHits:
    """The documents that contain items of one eval set."""

    name: str
    documents: int
    """Those that are contaminated."""
    review: int
    """Documents with a hit for review."""
    items: int
    """Distinct items that contaminate documents."""


def count_hits(sources: ReportSources) -> list[SetHits]:
    """Return the eval sets with hits, those in most documents first; none where the run has no usable hits."""
    leaks = "FILTER (verdict = 'contaminated')"
    query = (
        f"SELECT eval_set, count(DISTINCT (file, row)) {leaks}, count(DISTINCT (file, row)) FILTER (verdict = 'review')"
        f", count(DISTINCT eval_id) {leaks} FROM {{source}} GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1"
    )
    return [SetHits(*row) for row in _query_hits(sources, query)]


def strongest_hits(sources: ReportSources) -> list[dict[str, Any]]:
    """Return the ``STRONGEST`` rows of the hits table with the most bits, one for each contaminated document."""
    if sources.rejections.hits is None or not parquet.list_parts(sources.run.hits):
        return []
    source = hits_source(sources.run)
    best = "QUALIFY row_number() OVER (PARTITION BY file, row ORDER BY bits DESC, eval_set, eval_id, start) = 1"
    chosen = f"SELECT * FROM {source} WHERE verdict = 'contaminated' {best}"
    query = f"SELECT * FROM ({chosen}) ORDER BY bits DESC, file, row LIMIT {STRONGEST}"
    return sql.ask_dicts(query)


def _query_hits(sources: ReportSources, query: str) -> list[tuple[Any, ...]]:
    if sources.rejections.hits is None or not parquet.list_parts(sources.run.hits):
        return []
    return sql.ask(query.format(source=hits_source(sources.run)))


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A cluster of copies, by the document that is kept: its keeper."""

    exact: int
    """Copies with the same words, which are dropped."""
    near: int
    """Other copies, which are dropped."""
    file: str
    row: int
    id: str | None
    """Of the keeper, as file and row."""
    source: str | None
    """The name of the ``--against`` corpus that has the keeper; None for the corpus of the run."""
    opening: str | None = None
    """The first characters of the keeper's text; None where it cannot be read."""
    missing: str | None = None
    """Why it cannot be read."""


def largest_clusters(sources: ReportSources) -> list[ClusterRow]:
    """Return the ``STRONGEST`` clusters with the most copies that are dropped; none without usable duplicates."""
    if sources.rejections.duplicates is None:
        return []
    source = sql.parquet_source(sources.run.duplicates)
    query = (
        "SELECT count(*) FILTER (kind = 'exact'), count(*) FILTER (kind = 'near'), keeper_file, keeper_row, "
        f"any_value(id) FILTER (keeper), keeper_source FROM {source} GROUP BY keeper_source, keeper_file, keeper_row "
        f"HAVING count(*) FILTER (NOT keeper) > 0 "
        f"ORDER BY count(*) FILTER (NOT keeper) DESC, keeper_source NULLS FIRST, keeper_file, keeper_row "
        f"LIMIT {STRONGEST}"
    )
    return [ClusterRow(*row) for row in sql.ask(query)]


def find_hash(sources: ReportSources, file: str, row: int) -> int | None:
    """Return the xxh3_64 of the text of a row of the scores; None where there is no such row, or it has no text."""
    query = f"SELECT hash FROM {sql.parquet_source(sources.run.scores)} WHERE file = ? AND row = ? LIMIT 1"
    rows = sql.ask(query, [file, row])
    return int(rows[0][0]) if rows and rows[0][0] is not None else None


@dataclass(frozen=True, slots=True)
class BucketRow:
    """The documents of one bucket, all of which are kept."""

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
    """The buckets, in the order in which they were cut, with their cut-offs."""

    rows: Sequence[BucketRow]
    parameters: Mapping[str, Any]
    cuts: Sequence[float]
    """The lowest perplexity of each bucket but the first; none where the ranges of two buckets overlap."""
    domain_cuts: Sequence[Sequence[float]]
    """The same within each domain."""


def describe_buckets(table: ScoreBlocks, run: Run, groups: DomainGroups) -> BucketTable:
    """Return the buckets of a run; ``groups`` are the domains of ``domain_cuts``. Reads the kept documents twice."""
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
    """Sums over the documents of one bucket, and the range of their perplexities in each domain."""

    def __init__(self, groups: int):
        self._documents, self._tokens = 0, 0
        self._low, self._high = np.full(groups, np.inf), np.full(groups, -np.inf)

    def add(self, values: Float64Array, tokens: Int64Array, groups: Int32Array | Int64Array) -> None:
        """Add documents: their perplexities (NaN for none), tokens and domains."""
        self._documents += len(values)
        self._tokens += int(tokens.sum())
        known = ~np.isnan(values)
        np.minimum.at(self._low, groups[known], values[known])
        np.maximum.at(self._high, groups[known], values[known])

    def sums(self) -> tuple[int, int]:
        """Return the number of documents and of tokens."""
        return self._documents, self._tokens

    def ends(self, group: int | None = None) -> tuple[float, float]:
        """Return the least and the largest perplexity, of one domain or of all; NaN for none."""
        low, high = (self._low.min(), self._high.max()) if group is None else (self._low[group], self._high[group])
        return (float(low), float(high)) if low <= high else (np.nan, np.nan)


def _cuts(ends: Sequence[tuple[float, float]]) -> list[float]:
    """Return where each range but the first begins; none where two neighbours overlap. NaN is no range."""
    known = [pair for pair in ends if pair[0] == pair[0]]
    pairs = list(itertools.pairwise(known))
    return [right[0] for _, right in pairs] if all(left[1] <= right[0] for left, right in pairs) else []


def _medians(table: ScoreBlocks, run: Run, names: Sequence[str]) -> dict[str, float]:
    """Return the median perplexity of each bucket; NaN for none."""
    name_to_index = {name: index for index, name in enumerate(names)}

    def passes() -> Iterator[quantiles.Batch]:
        for block, column in table.beside(run.buckets, "bucket", TEXT):
            labels, values = column.combine_chunks(), block.numbers("perplexity")
            codes = pc.fill_null(labels.indices, -1).to_numpy(zero_copy_only=False)
            inside = np.flatnonzero((codes >= 0) & (block.codes == 0) & ~np.isnan(values))
            own = np.array([name_to_index[name] for name in labels.dictionary.to_pylist()] or [0], np.int64)
            yield values[inside], own[codes[inside]], None

    sizes = quantiles.sum_weights(passes, len(names))
    medians = quantiles.compute_quantiles(passes, range(len(names)), [0.5], sizes)
    return {name: medians[index][0] for name, index in name_to_index.items()}


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """A step of the order: documents that follow one another."""

    tokens: int
    """Of all documents up to the last of this step."""
    documents: int
    perplexity: float
    """exp of their nats over their scored tokens."""


@dataclass(frozen=True, slots=True)
class OrderProfile:
    """The order of a run, in at most ``STEPS`` steps of equally many documents."""

    points: Sequence[ProfilePoint]
    parameters: Mapping[str, Any]
    tenths: Sequence[Mapping[str, Any]]
    """The median and the mean of the key by tenths of the tokens, as ``curate order`` recorded them."""


def describe_order(table: ScoreBlocks, run: Run, kept: int) -> OrderProfile:
    """Return the perplexity along the order; ``kept`` is the number of documents that are kept."""
    steps = max(min(STEPS, kept), 1)
    sums = np.zeros((4, steps))
    for block, column in table.beside(run.order, "position", pa.int64()):
        positions = pc.fill_null(column, -1).to_numpy()
        known = np.flatnonzero((block.codes == 0) & (positions >= 0))
        at = np.minimum(positions[known] * steps // max(kept, 1), steps - 1)
        tokens = block.tokens[known]
        counted = block.numbers("scored_tokens")[known]
        scored = np.where(np.isnan(counted), tokens, counted)  # an earlier version counted the scored ones alone
        nats = np.nan_to_num(np.log(block.numbers("perplexity")[known])) * scored
        for number, values in enumerate((np.ones(len(at)), tokens, scored, nats)):
            sums[number] += np.bincount(at, values, minlength=steps)
    ends, means = np.cumsum(sums[1]), perplexity(sums[3], sums[2])
    points = [ProfilePoint(int(ends[at]), int(sums[0][at]), float(means[at])) for at in range(steps) if sums[0][at]]
    record = run.stage("order") or {}
    return OrderProfile(points, record.get("parameters", {}), record.get("summary", {}).get("tenths", ()))


def list_stages(sources: ReportSources) -> dict[str, dict[str, Any]]:
    """Return the fingerprint and the parameters of every stage that has run, by its name."""
    stages = {}
    for name in STAGES:
        record = sources.run.stage(name)
        if record is not None:
            made = record.get("made_from")
            parameters = made.get("parameters") if name == "score" and isinstance(made, Mapping) else None
            shown = parameters or record.get("parameters") or {}
            stages[name] = {"fingerprint": record.get("fingerprint"), "parameters": dict(shown)}
    return stages


def list_versions() -> dict[str, str]:
    """Return the versions of curate, Python and the libraries that make the page."""
    own = {"curate": __version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in VERSIONS}
