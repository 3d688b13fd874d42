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

import curate
from curate import cuts, tables
from curate.errors import TableError
from curate.likelihood import perplexity
from curate.overview.sources import Part, Rows, Sources, read_parts

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


def count_hits(sources: Sources) -> list[SetHits]:
    """The eval sets that were found, those in most documents first."""
    leaks = "FILTER (verdict = 'contaminated')"
    query = (
        f"SELECT eval_set, count(DISTINCT (file, row)) {leaks}, count(DISTINCT (file, row)) FILTER (verdict = 'review')"
        f", count(DISTINCT eval_id) {leaks} FROM {{source}} GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1"
    )
    return [SetHits(*row) for row in _ask_hits(sources, query)]


def strongest_hits(sources: Sources) -> list[dict[str, Any]]:
    """The leaks of the most bits, one of each document, with both texts."""
    if sources.found.hits is None or not tables.parts(sources.run.hits):
        return []
    source = tables.parquet_source(sources.run.hits)
    best = "QUALIFY row_number() OVER (PARTITION BY file, row ORDER BY bits DESC, eval_set, eval_id, start) = 1"
    chosen = f"SELECT * FROM {source} WHERE verdict = 'contaminated' {best}"
    query = f"SELECT * FROM ({chosen}) ORDER BY bits DESC, file, row LIMIT {STRONGEST}"
    rows: list[dict[str, Any]] = tables.connect().sql(query).to_arrow_table().to_pylist()
    return rows


def _ask_hits(sources: Sources, query: str) -> list[tuple[Any, ...]]:
    if sources.found.hits is None or not tables.parts(sources.run.hits):
        return []
    asked = query.format(source=tables.parquet_source(sources.run.hits))
    found: list[tuple[Any, ...]] = tables.connect().execute(asked).fetchall()
    return found


@dataclass(frozen=True, slots=True)
class Cluster:
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


def largest_clusters(sources: Sources) -> list[Cluster]:
    """The clusters with the most copies that are dropped."""
    if sources.found.duplicates is None:
        return []
    source = tables.parquet_source(sources.run.duplicates)
    query = (
        "SELECT count(*) FILTER (kind = 'exact'), count(*) FILTER (kind = 'near'), keeper_file, keeper_row, "
        f"any_value(id) FILTER (keeper), keeper_source FROM {source} GROUP BY keeper_source, keeper_file, keeper_row "
        f"HAVING count(*) FILTER (NOT keeper) > 0 "
        f"ORDER BY count(*) FILTER (NOT keeper) DESC, keeper_source NULLS FIRST, keeper_file, keeper_row "
        f"LIMIT {STRONGEST}"
    )
    return [Cluster(*row) for row in tables.connect().execute(query).fetchall()]


def find_hash(sources: Sources, file: str, row: int) -> int | None:
    """The hash of the text that was scored at a place."""
    query = f"SELECT hash FROM {tables.parquet_source(sources.run.scores)} WHERE file = ? AND row = ? LIMIT 1"
    found = tables.connect().execute(query, [file, row]).fetchall()
    return int(found[0][0]) if found and found[0][0] is not None else None


# Buckets and the order, seen in one pass over the kept documents.


@dataclass(frozen=True, slots=True)
class Bucket:
    """Kept documents of one bucket."""

    name: str
    documents: int
    tokens: int
    median: float
    """Of their perplexities; NaN for none."""
    low: float
    high: float
    """The least and the largest perplexity."""


@dataclass(frozen=True, slots=True)
class Point:
    """Neighbours in the order."""

    tokens: int
    """Of all documents up to the last of these."""
    documents: int
    perplexity: float
    """exp of their nats over their tokens."""


def describe_buckets(sources: Sources) -> list[Bucket]:
    """The buckets, that of the lowest median first."""
    names: dict[str, int] = {}
    sums: list[list[float]] = []
    for ppl, tokens, labels in _bucketed(sources):
        for name in labels.dictionary.to_pylist():
            if name not in names:
                names[name] = len(sums)
                sums.append([0, 0, np.inf, -np.inf])
        place = _number(labels, names)
        for number in np.unique(place).tolist():
            own, inside = sums[number], place == number
            own[0] += int(inside.sum())
            own[1] += int(tokens[inside].sum())
            held = ppl[inside][~np.isnan(ppl[inside])]
            if len(held):
                own[2], own[3] = min(own[2], held.min()), max(own[3], held.max())

    def passes() -> Iterator[cuts.Batch]:
        for ppl, _, labels in _bucketed(sources):
            known = ~np.isnan(ppl)
            yield ppl[known], _number(labels, names)[known], None

    sizes = cuts.totals(passes, len(sums))
    medians = cuts.quantiles(passes, range(len(sums)), [0.5], sizes)
    found = [
        Bucket(name, int(sums[at][0]), int(sums[at][1]), medians[at][0], float(sums[at][2]), float(sums[at][3]))
        for name, at in names.items()
    ]
    return sorted(found, key=lambda one: (np.nan_to_num(one.median, nan=np.inf), one.name))


def _bucketed(sources: Sources) -> Iterator[tuple[Any, Any, Any]]:
    """Perplexities, tokens and names of buckets of the kept documents that have one."""
    for part, column in read_beside(sources, sources.run.buckets, "bucket"):
        known = part.keep & ~np.asarray(column.combine_chunks().is_null().to_numpy(zero_copy_only=False), np.bool_)
        tokens = np.nan_to_num(part.numbers("tokens"))[known].astype(np.int64)
        labels = column.combine_chunks().cast("string").filter(pa.array(known)).dictionary_encode()
        yield part.numbers("perplexity")[known], tokens, labels


def _number(labels: Any, names: Mapping[str, int]) -> Any:
    table = np.array([names[name] for name in labels.dictionary.to_pylist()] or [0], np.int64)
    return table[labels.indices.to_numpy()]


def cut_offs(buckets: Sequence[Bucket]) -> list[float]:
    """The perplexities at which one bucket ends and the next begins, where they do not overlap."""
    pairs = itertools.pairwise(buckets)
    return [right.low for left, right in pairs if np.isfinite(right.low) and left.high <= right.low]


def describe_order(sources: Sources, kept: int) -> list[Point]:
    """The perplexity along the order, over steps of equally many documents."""
    steps = min(STEPS, kept)
    sums = np.zeros((3, max(steps, 1)))
    for part, column in read_beside(sources, sources.run.order, "position"):
        positions = pc.fill_null(column, -1).to_numpy()
        known = part.keep & (positions >= 0)
        at = np.minimum(positions[known] * steps // max(kept, 1), max(steps - 1, 0))
        for number, values in enumerate((np.ones(len(at)), part.numbers("tokens")[known], part.numbers("nats")[known])):
            sums[number] += np.bincount(at, np.nan_to_num(values), minlength=max(steps, 1))
    ends, means = np.cumsum(sums[1]), perplexity(sums[2], sums[1])
    return [Point(int(ends[at]), int(sums[0][at]), float(means[at])) for at in range(steps)]


def read_beside(sources: Sources, path: Any, column: str) -> Iterator[tuple[Part, Any]]:
    """The parts of the scores, each with the same rows of a column of another table. TableError where rows differ."""
    rows = Rows(path, [column])
    for part in read_parts(sources, ["perplexity", "tokens", "nats"]):
        yield part, rows.take(len(part.table)).column(column)
    rows.check_end()


def find_table(sources: Sources, stage: str) -> tuple[Mapping[str, Any] | None, str | None]:
    """The record of the buckets or of the order; None, and why, where the table may not be used."""
    run, record = sources.run, sources.run.stage(stage)
    path = run.buckets if stage == "bucket" else run.order
    if record is None and not path.exists():
        return None, None
    hint = f"(curate {stage} … --run {run.path})"
    if record is None or not path.exists():
        return None, f"the last curate {stage} did not finish {hint}"
    if fingerprints(record) != now(sources):
        return None, f"{path} is stale: the scores or the decisions have changed since {hint}"
    try:
        same = tables.read_metadata(path).get("fingerprint") == record.get("fingerprint")
    except TableError as error:
        return None, f"{error.message} {hint}"
    return (record, None) if same else (None, f"{path} and run.json do not belong together {hint}")


def fingerprints(record: Mapping[str, Any]) -> dict[str, str | None]:
    """What a table of buckets or an order was made from."""
    made = record.get("made_from")
    known = dict(made) if isinstance(made, Mapping) else {**record, "scores": made}
    return {name: known.get(name) for name in ("scores", "filter", "hits", "duplicates")}


def now(sources: Sources) -> dict[str, str | None]:
    """What such a table would be made from now."""
    chosen = None if sources.filter is None else sources.filter["fingerprint"]
    return {"scores": sources.score["fingerprint"], "filter": chosen, **sources.found.fingerprints()}


# Provenance.


def list_stages(sources: Sources) -> dict[str, dict[str, Any]]:
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
    found = {"curate": curate.__version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in VERSIONS}
