"""The numbers of a report: sums by domain and by reason, distributions, densities, and exact quantiles.

Three passes over blocks, which are read once where they fit into memory: the first sums and so knows the domains, the
second counts on fine grids, the third finds order statistics (``curate.reports.page.exact_quantiles``). Memory grows
with the number of domains and of bins, and with that of the documents only up to a bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.reports.page import exact_quantiles
from curate.reports.page.groups import DomainGroups
from curate.reports.page.histograms import MEASURES, Density, Histogram, HistogramMeasure, VisibleBins
from curate.reports.page.sources import ReportSources, ScoreBlocks
from curate.reports.page.thresholds import BandEdge, Threshold, bounds_of, ends_of, is_line, read_criteria, say_rest
from curate.rundir import quantiles as rundir_quantiles
from curate.rundir.document_blocks import DocumentBlock
from curate.stages.filter.criteria import Criteria

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles that are shown."""
DOMAINS = 24
"""Domains that are drawn; the others together are one more."""
OTHERS = "others"
BINS, SMALL_BINS = 96, 48
"""Bins of a drawn histogram, large or small."""
CELLS = (64, 40)
"""Columns and rows of a drawn density."""


@dataclass(slots=True)
class DomainSum:
    """A number of documents and their tokens."""

    documents: int = 0
    tokens: int = 0

    def add(self, documents: int, tokens: int) -> None:
        self.documents += documents
        self.tokens += tokens


@dataclass(slots=True)
class DomainSums:
    """Documents and tokens by domain and by reason: the first pass."""

    domains: dict[str, tuple[DomainSum, DomainSum]] = field(default_factory=dict)
    """What criteria are about, and what is kept of it."""
    reasons: dict[str | None, DomainSum] = field(default_factory=dict)
    """All documents; None for what is kept."""

    def order(self) -> list[str]:
        """Return the domains, that of the most tokens (then documents) first."""

        def weight(name: str) -> tuple[int, int, str]:
            before = self.domains[name][0]
            return -before.tokens, -before.documents, name

        return sorted(self.domains, key=weight)


def sum_up(table: ScoreBlocks) -> DomainSums:
    """Return the sums by domain and by reason: the first pass."""
    found, domains, reasons = DomainSums(), list[DomainSum](), dict[int, DomainSum]()
    for block in table.blocks():
        lanes = block.domain * 3 + np.where(block.eligible, block.codes != 0, 2)
        documents, tokens = _count(lanes, block.tokens)
        domains += [DomainSum() for _ in range(len(documents) - len(domains))]
        for at, many in enumerate(documents):
            domains[at].add(many, tokens[at])
        for code, (many, weight) in enumerate(zip(*_count(block.codes, block.tokens), strict=True)):
            if many:
                reasons.setdefault(code, DomainSum()).add(many, weight)
    found.reasons = {table.reasons[code]: one for code, one in sorted(reasons.items())}
    domains += [DomainSum() for _ in range(3 * len(table.domains.names) - len(domains))]
    for number, name in enumerate(table.domains.names):
        kept, dropped = domains[3 * number], domains[3 * number + 1]
        before = DomainSum(kept.documents + dropped.documents, kept.tokens + dropped.tokens)
        if before.documents:
            found.domains[name] = (before, kept)
    return found


def _count(codes: NDArray[np.integer], tokens: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    documents = np.bincount(codes)
    return documents.tolist(), rundir_quantiles.count_weights(codes, tokens, len(documents)).tolist()


def choose_groups(sums: DomainSums, table: ScoreBlocks) -> DomainGroups:
    """Return a group for each of the domains of the most tokens, and one group for all others."""
    ordered = sums.order() or ["all"]
    shown = ordered if len(ordered) <= DOMAINS + 1 else ordered[:DOMAINS]
    others = len(ordered) - len(shown)
    names = (*shown, f"{others:,} {OTHERS}") if others else tuple(shown)
    index = {name: place for place, name in enumerate(shown)}
    places = np.array([index.get(name, len(names) - 1) for name in table.domains.names], np.int32)
    return DomainGroups(names, index, others, places)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One measure: drawn counts of all documents and of each domain, and quantiles of both."""

    measure: HistogramMeasure
    whole: VisibleBins
    """(1) × (kept, dropped) × bin"""
    domains: VisibleBins
    """domain × (kept, dropped) × bin"""
    quantiles: Mapping[str, Sequence[float]]
    """``all``, ``kept`` and ``dropped`` at ``SHARES``; NaN for none."""
    medians: Sequence[tuple[float, float]]
    """Of each domain: of all documents and of the kept ones."""
    thresholds: Sequence[Threshold]
    domain_thresholds: Sequence[Sequence[Threshold]]
    size: int
    """Documents that have a number."""
    at: Mapping[float, float]
    """The numbers at the percentiles of the examples."""


@dataclass(frozen=True, slots=True)
class ReportNumbers:
    """What the passes found."""

    sums: DomainSums
    groups: DomainGroups
    distributions: Sequence[Distribution]
    densities: Sequence[Density]
    bounds: Sequence[Threshold]
    """The fixed bounds of the filter."""
    said: Sequence[str]
    """The criteria that are no line in a picture."""


def list_measures(sources: ReportSources) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the columns of the distributions and the pairs of the densities: of the model, or without one of texts."""
    if sources.has_model:
        return ["perplexity", "bits_per_byte"], [("tokens", "perplexity"), ("zlib_ratio", "perplexity")]
    return ["bytes", "zlib_ratio"], [("bytes", "zlib_ratio")]


def list_columns(sources: ReportSources) -> list[str]:
    """Return the columns of the scores that a report reads."""
    names, pairs = list_measures(sources)
    return list(dict.fromkeys(["perplexity", "scored_tokens", *names, *(name for pair in pairs for name in pair)]))


def collect_numbers(sources: ReportSources, table: ScoreBlocks, percentiles: Sequence[float]) -> ReportNumbers:
    """Return the numbers of all passes; ``percentiles`` are those of the first measure at which examples lie."""
    sums = sum_up(table)
    groups, asked = choose_groups(sums, table), read_criteria(sources.filter)
    names, pairs = list_measures(sources)
    histograms = {name: Histogram(MEASURES[name].fine, len(groups.names)) for name in names}
    densities = [Density(MEASURES[x], MEASURES[y]) for x, y in pairs]
    for block in table.blocks():
        _add(block, groups, histograms, densities)
    histograms = {name: one for name, one in histograms.items() if one.counts.any()}
    densities = [one for one in densities if one.counts.any()]
    work = _Work(sources, table, groups, sums, asked)
    distributions = [
        work.describe(name, histogram, percentiles if name == names[0] else ())
        for name, histogram in histograms.items()
    ]
    drawn = {*histograms, *(one.column for density in densities for one in (density.x, density.y))}
    return ReportNumbers(
        sums, groups, distributions, densities, bounds_of(asked), say_rest(asked, sorted(drawn), sources.domains)
    )


def _add(
    block: DocumentBlock, groups: DomainGroups, histograms: Mapping[str, Histogram], densities: Sequence[Density]
) -> None:
    """Count the documents of a block; each column is placed on its fine grid once."""
    lanes = groups.lanes(block)
    columns = {*histograms, *(one.column for density in densities for one in (density.x, density.y))}
    bins = {name: np.where(lanes >= 0, MEASURES[name].fine.place(block.numbers(name)), -1) for name in columns}
    for name, histogram in histograms.items():
        histogram.add_placed(bins[name], lanes)
    for density in densities:
        density.add_placed(bins[density.x.column], bins[density.y.column], lanes & 1)


@dataclass(frozen=True, slots=True)
class _Work:
    """What describing a distribution needs."""

    sources: ReportSources
    table: ScoreBlocks
    groups: DomainGroups
    sums: DomainSums
    asked: Criteria

    def describe(self, column: str, histogram: Histogram, percentiles: Sequence[float]) -> Distribution:
        """Return a measure's counts as they are drawn, with its quantiles and thresholds."""
        count, sizes = len(self.groups.names), exact_quantiles.sizes_of(histogram)
        ends = self._ends(column, sizes.tolist())
        middle = {key: set(rundir_quantiles.ranks_around(int(size), SHARES)) for key, size in enumerate(sizes.tolist())}
        looked = {share: _nearest(share, int(sizes[2 * count])) for share in percentiles if sizes[2 * count]}
        for key, found in ends.items():
            for end in found:
                middle[_key_of(end, key, count)].add(end.rank)
        middle[2 * count] |= set(looked.values())
        known = exact_quantiles.find(self.table, self.groups, histogram, column, middle)

        def at(key: int, share: float) -> float:
            return rundir_quantiles.interpolate(lambda rank: known[key, rank], int(sizes[key]), share)

        def lines(key: int) -> list[Threshold]:
            found = [(end, known[_key_of(end, key, count), end.rank]) for end in ends.get(key, ())]
            return [Threshold(column, end.side, value, f"{end.label}: {value:.3g}") for end, value in found]

        drawn = Histogram(histogram.grid, 1)
        drawn.counts = histogram.counts.sum(axis=0, keepdims=True)
        fixed = [one for one in bounds_of(self.asked) if one.column == column]
        common = [*fixed, *lines(2 * count)]
        return Distribution(
            measure=MEASURES[column],
            whole=drawn.drawn(BINS),
            domains=histogram.drawn(SMALL_BINS),
            quantiles={
                name: [at(2 * count + place, share) for share in SHARES]
                for place, name in enumerate(("all", "kept", "dropped"))
            },
            medians=[(at(group, 0.5), at(count + group, 0.5)) for group in range(count)],
            thresholds=common,
            domain_thresholds=[[*common, *lines(group)] for group in range(count)],
            size=int(sizes[2 * count]),
            at={share: known[2 * count, rank] for share, rank in looked.items()},
        )

    def _ends(self, column: str, sizes: Sequence[int]) -> dict[int, list[BandEdge]]:
        """Return the ends of the band that are lines, by key: of all documents, or of each domain."""
        band, count = self.asked.band, len(self.groups.names)
        if band is None or not is_line(band, column):
            return {}
        if not band.within:
            keys = [2 * count]
        elif set(band.within) == set(self.sources.domains):
            keys = list(range(count - bool(self.groups.others)))
        else:
            return {}
        pairs = {key: (sizes[key], sizes[key + count if key < count else key + 1]) for key in keys}
        return {key: ends_of(band, asked, kept, self.sums.reasons) for key, (asked, kept) in pairs.items()}


def _key_of(end: BandEdge, key: int, count: int) -> int:
    """Return the key of the documents among which an end is a rank."""
    if not end.kept:
        return key
    return key + count if key < count else key + 1


def _nearest(share: float, size: int) -> int:
    """Return the rank at a percentile."""
    return min(size - 1, int(share / 100 * (size - 1) + 0.5))
