"""The numbers of a report: distributions, densities and the ledger, in two passes over the scores and exact quantiles.

The first pass sums documents and tokens by domain and by reason; the second counts on fine grids. Memory grows with the
number of domains and of bins, never with that of the documents.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate import cuts
from curate.overview.binning import MEASURES, Density, Drawn, Grid, Histogram, Measure
from curate.overview.sources import Part, Sources, name_domains, read_parts

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
HELD = 4_000_000  # numbers that are kept to find quantiles among, 25 bytes each
DOMAINS = 24  # that are drawn; the others together are one more
OTHERS = "others"
BINS, SMALL_BINS = 96, 48  # of a drawn histogram
CELLS = (64, 40)  # columns and rows of a drawn density
BOUNDS = {"ppl": "perplexity", "bpb": "bits_per_byte", "tokens": "tokens", "zlib": "zlib_ratio"}
PERCENTILE = re.compile(r"^(\w+) (above|below) percentile ([\d.]+)")


@dataclass(slots=True)
class Sum:
    """Some documents."""

    documents: int = 0
    tokens: int = 0

    def add(self, documents: int, tokens: int) -> None:
        self.documents += documents
        self.tokens += tokens


@dataclass(slots=True)
class Sums:
    """The first pass: what there is, by domain and by reason."""

    domains: dict[str, tuple[Sum, Sum]] = field(default_factory=dict)
    """Scored and kept documents."""
    reasons: dict[str | None, Sum] = field(default_factory=dict)
    """All documents; None for what is kept."""
    measured: dict[str, int] = field(default_factory=dict)
    """Scored documents that have a number, by column."""

    def order(self) -> list[str]:
        """The domains, that of the most tokens (then documents) first."""

        def weight(name: str) -> tuple[int, int, str]:
            before = self.domains[name][0]
            return -before.tokens, -before.documents, name

        return sorted(self.domains, key=weight)


def sum_up(sources: Sources) -> Sums:
    """The first pass."""
    found = Sums()
    for part in read_parts(sources, ["tokens", *MEASURES]):
        tokens, scored = np.nan_to_num(part.numbers("tokens")).astype(np.int64), part.is_scored()
        _add_reasons(found, part, tokens)
        names, codes = name_domains(part)
        for place, chosen in enumerate((scored, scored & part.keep)):
            documents, sums = _count(codes[chosen], tokens[chosen], len(names))
            for name, many, weight in zip(names, documents, sums, strict=True):
                found.domains.setdefault(name, (Sum(), Sum()))[place].add(many, weight)
        for column in MEASURES:
            many = int(np.count_nonzero(scored & ~np.isnan(part.numbers(column))))
            found.measured[column] = found.measured.get(column, 0) + many
    found.domains = {name: pair for name, pair in found.domains.items() if pair[0].documents}
    return found


def _add_reasons(found: Sums, part: Part, tokens: NDArray[np.int64]) -> None:
    names = [*part.reasons.dictionary.to_pylist(), None]
    codes = pc.fill_null(part.reasons.indices, len(names) - 1).to_numpy()
    documents, sums = _count(codes, tokens, len(names))
    for name, many, weight in zip(names, documents, sums, strict=True):
        if many:
            found.reasons.setdefault(name, Sum()).add(many, weight)


def _count(codes: NDArray[np.int64], tokens: NDArray[np.int64], size: int) -> tuple[list[int], list[int]]:
    return np.bincount(codes, minlength=size).tolist(), cuts.count(codes, tokens, size).tolist()


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value at which the filter cuts, for all documents or for one domain."""

    column: str
    side: str
    """``above`` or ``below``: what lies there is rejected."""
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Groups:
    """The domains that are drawn, by number; the last one holds the others, where there are any."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    others: int
    """Domains that are not drawn by themselves."""

    def place(self, part: Part) -> NDArray[np.int64]:
        names, codes = name_domains(part)
        known = np.array([self.index.get(name, len(self.names) - 1) for name in names], np.int64)
        return known[codes]


def choose_groups(sums: Sums) -> Groups:
    """The domains of the most tokens, and one group for all others."""
    ordered = sums.order() or [""]
    shown = ordered if len(ordered) <= DOMAINS + 1 else ordered[:DOMAINS]
    others = len(ordered) - len(shown)
    names = (*shown, f"{others:,} {OTHERS}") if others else tuple(shown)
    return Groups(names, {name: place for place, name in enumerate(shown)}, others)


@dataclass(slots=True)
class Edges:
    """Where percentile criteria cut, seen in the documents that they reject: by column, side and percentile."""

    groups: int
    found: dict[tuple[str, str, str], NDArray[np.float64]] = field(default_factory=dict)

    def add(self, part: Part, groups: NDArray[np.int64], scored: NDArray[np.bool_]) -> None:
        for code, reason in enumerate(part.reasons.dictionary.to_pylist()):
            match = PERCENTILE.match(reason or "")
            if match is None or match[1] not in MEASURES:
                continue
            above = match[2] == "above"
            rows = scored & (pc.fill_null(part.reasons.indices, -1).to_numpy() == code)
            values = part.numbers(match[1])
            rows &= ~np.isnan(values)
            key = (match[1], match[2], match[3])
            seen = self.found.setdefault(key, np.full(self.groups, np.inf if above else -np.inf))
            (np.minimum if above else np.maximum).at(seen, groups[rows], values[rows])

    def thresholds(self, group: int | None) -> list[Threshold]:
        """Those of one group, or of all documents where the percentiles are not taken within domains."""
        found = []
        for (column, side, percentile), seen in sorted(self.found.items()):
            held = seen[np.isfinite(seen)] if group is None else seen[group : group + 1]
            held = held[np.isfinite(held)]
            if len(held):
                value = float(held.min() if side == "above" else held.max())
                found.append(Threshold(column, side, value, f"percentile {percentile}: {value:.3g}"))
        return found


@dataclass(frozen=True, slots=True)
class Distribution:
    """One measure: drawn counts of all documents and of each domain, and quantiles of both."""

    measure: Measure
    whole: Drawn
    """(1) × (kept, dropped) × bin"""
    domains: Drawn
    """domain × (kept, dropped) × bin"""
    quantiles: Mapping[str, Sequence[float]]
    """``all``, ``kept`` and ``dropped`` at ``SHARES``; NaN for none."""
    medians: Sequence[tuple[float, float]]
    """Of each domain: of all documents and of the kept ones."""
    thresholds: Sequence[Threshold]
    domain_thresholds: Sequence[Sequence[Threshold]]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the passes found."""

    sums: Sums
    groups: Groups
    distributions: Sequence[Distribution]
    densities: Sequence[Density]


def collect_numbers(sources: Sources) -> Numbers:
    """All the passes."""
    sums = sum_up(sources)
    groups = choose_groups(sums)
    count = len(groups.names)
    measures = [MEASURES[name] for name in choose_measures(sums)]
    histograms = [Histogram(one.fine, count) for one in measures]
    densities = [Density(MEASURES[x], MEASURES[y]) for x, y in choose_pairs(sums)]
    edges = Edges(count)
    for part in read_parts(sources, list(MEASURES)):
        place, scored = groups.place(part), part.is_scored()
        edges.add(part, place, scored)
        for one, histogram in zip(measures, histograms, strict=True):
            histogram.add(part.numbers(one.column)[scored], place[scored], part.keep[scored])
        for density in densities:
            x, y = part.numbers(density.x.column)[scored], part.numbers(density.y.column)[scored]
            density.add(x, y, part.keep[scored])
    fixed = bounds_of(sources.filter)
    within = bool(sources.filter and sources.filter["parameters"].get("within"))
    distributions = [
        describe(sources, groups, one, histogram, edges, fixed, within)
        for one, histogram in zip(measures, histograms, strict=True)
    ]
    return Numbers(sums, groups, distributions, densities)


def choose_measures(sums: Sums) -> list[str]:
    """What the distributions are of: the model's numbers, or without a model those of the text."""
    wanted = ["perplexity", "bits_per_byte"] if sums.measured.get("perplexity") else ["bytes", "zlib_ratio"]
    return [name for name in wanted if sums.measured.get(name)]


def choose_pairs(sums: Sums) -> list[tuple[str, str]]:
    pairs = [("tokens", "perplexity"), ("zlib_ratio", "perplexity")]
    if not sums.measured.get("perplexity"):
        pairs = [("bytes", "zlib_ratio")]
    return [pair for pair in pairs if all(sums.measured.get(name) for name in pair)]


def bounds_of(record: Mapping[str, object] | None) -> list[Threshold]:
    """The fixed bounds of the filter."""
    parameters = record["parameters"] if record else {}
    if not isinstance(parameters, Mapping):
        return []
    found = []
    for name, value in parameters.items():
        side, _, short = str(name).partition("_")
        if side in ("max", "min") and short in BOUNDS and isinstance(value, (int, float)):
            label = f"{side} {short} {value:g}"
            found.append(Threshold(BOUNDS[short], "above" if side == "max" else "below", float(value), label))
    return found


def describe(
    sources: Sources,
    groups: Groups,
    measure: Measure,
    histogram: Histogram,
    edges: Edges,
    fixed: Sequence[Threshold],
    within: bool,
) -> Distribution:
    """A measure's counts as they are drawn, with its quantiles and thresholds."""
    drawn = Histogram(histogram.grid, 1)
    drawn.counts = histogram.counts.sum(axis=0, keepdims=True)
    found = find_quantiles(sources, groups, measure.column, histogram)
    count = len(groups.names)
    own = [one for one in fixed if one.column == measure.column]
    common = [] if within else [one for one in edges.thresholds(None) if one.column == measure.column]
    apart = [[one for one in edges.thresholds(group) if one.column == measure.column] for group in range(count)]
    middle = SHARES.index(0.5)
    return Distribution(
        measure=measure,
        whole=drawn.drawn(BINS),
        domains=histogram.drawn(SMALL_BINS),
        quantiles={name: found[2 * count + place] for place, name in enumerate(("all", "kept", "dropped"))},
        medians=[(found[group][middle], found[count + group][middle]) for group in range(count)],
        thresholds=[*own, *common],
        domain_thresholds=[[*own, *(apart[group] if within else common)] for group in range(count)],
    )


def find_quantiles(sources: Sources, groups: Groups, column: str, histogram: Histogram) -> dict[int, list[float]]:
    """Exact quantiles: of all and of the kept documents of each domain, then of all, kept and dropped ones.

    The histogram says in which of its bins each lies, so that one more pass needs to keep the numbers of those bins
    alone; where they are too many for that, ``curate.cuts`` takes as many passes as it needs.
    """
    count = len(groups.names)
    kinds = np.concatenate([histogram.counts.sum(axis=1), histogram.counts[:, 0], _totals(histogram.counts)])
    wanted = {key: _ranks(int(row.sum())) for key, row in enumerate(kinds)}
    bins = {key: _bins(row, wanted[key]) for key, row in enumerate(kinds)}
    mask = np.zeros(histogram.counts.shape, np.bool_)
    for key, places in bins.items():
        _members(mask, key, count)[..., sorted(set(places.values()))] = True
    if int(histogram.counts[mask].sum()) > HELD:
        return _find_slowly(sources, groups, column, kinds.sum(axis=1))
    held = _hold(sources, groups, column, histogram.grid, mask)
    return {key: _quantiles(held, kinds[key], wanted[key], bins[key], key, count) for key in wanted}


def _totals(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    whole = counts.sum(axis=0)
    return np.stack([whole.sum(axis=0), whole[0], whole[1]])


def _ranks(size: int) -> list[int]:
    """The ranks between which the quantiles of so many numbers lie."""
    places = [share * (size - 1) for share in SHARES] if size else []
    return sorted({rank for place in places for rank in (int(place), min(int(place) + 1, size - 1))})


def _bins(row: NDArray[np.int64], ranks: Sequence[int]) -> dict[int, int]:
    return dict(zip(ranks, np.searchsorted(np.cumsum(row), ranks, side="right").tolist(), strict=True))


def _members(values: NDArray[np.bool_], key: int, count: int) -> NDArray[np.bool_]:
    """The part of group × (kept, dropped) × … that a key speaks of: a domain, its kept ones, all, kept, dropped."""
    if key < 2 * count:
        return values[key] if key < count else values[key - count, :1]
    return values if key == 2 * count else values[:, key - 2 * count - 1]


@dataclass(frozen=True, slots=True)
class _Held:
    """Numbers of some bins, ordered by bin."""

    values: NDArray[np.float64]
    bins: NDArray[np.int64]
    groups: NDArray[np.int64]
    keep: NDArray[np.bool_]

    def choose(self, number: int, key: int, count: int) -> NDArray[np.float64]:
        """The numbers of one bin that a key speaks of."""
        first, end = np.searchsorted(self.bins, [number, number + 1]).tolist()
        values, groups, keep = self.values[first:end], self.groups[first:end], self.keep[first:end]
        if key < 2 * count:
            chosen = (groups == key % count) & (keep | (key < count))
        else:
            chosen = np.ones(len(keep), np.bool_) if key == 2 * count else keep == (key == 2 * count + 1)
        return np.asarray(values[chosen])


def _hold(sources: Sources, groups: Groups, column: str, grid: Grid, mask: NDArray[np.bool_]) -> _Held:
    pieces: list[tuple[NDArray[Any], ...]] = [
        (np.zeros(0), *(np.zeros(0, kind) for kind in (np.int64, np.int64, bool)))
    ]
    for part in read_parts(sources, [column]):
        values, place = part.numbers(column), groups.place(part)
        bins = grid.place(values)
        chosen = part.is_scored() & (bins >= 0) & mask[place, (~part.keep).astype(np.int64), bins]
        pieces.append((values[chosen], bins[chosen], place[chosen], part.keep[chosen]))
    values, bins, place, keep = (np.concatenate([piece[number] for piece in pieces]) for number in range(4))
    order = np.argsort(bins, kind="stable")
    return _Held(values[order], bins[order], place[order], keep[order])


def _quantiles(
    held: _Held, row: NDArray[np.int64], ranks: Sequence[int], bins: Mapping[int, int], key: int, count: int
) -> list[float]:
    """Linear between order statistics; NaN for no numbers."""
    size, below = int(row.sum()), np.concatenate([[0], np.cumsum(row)])
    if not size:
        return [float("nan")] * len(SHARES)
    found: dict[int, float] = {}
    for number in sorted(set(bins.values())):
        values = np.sort(held.choose(number, key, count))
        found |= {rank: float(values[rank - below[number]]) for rank in ranks if bins[rank] == number}
    places = [share * (size - 1) for share in SHARES]
    pairs = [(found[int(place)], found[min(int(place) + 1, size - 1)], place % 1) for place in places]
    return [low + part * (high - low) if part else low for low, high, part in pairs]


def _find_slowly(sources: Sources, groups: Groups, column: str, sizes: NDArray[np.int64]) -> dict[int, list[float]]:
    """Exact quantiles: of all and of the kept documents of each domain, then of all, kept and dropped ones."""
    count = len(groups.names)

    def passes() -> Iterator[cuts.Batch]:
        for part in read_parts(sources, [column]):
            values = part.numbers(column)
            known = part.is_scored() & ~np.isnan(values)
            place, keep, values = groups.place(part)[known], part.keep[known], values[known]
            zeros = np.zeros(len(values), np.int64)
            yield np.tile(values, 2), np.concatenate([place, zeros + 2 * count]), None
            chosen = values[keep]
            yield np.tile(chosen, 2), np.concatenate([place[keep] + count, zeros[keep] + 2 * count + 1]), None
            yield values[~keep], zeros[~keep] + 2 * count + 2, None

    return cuts.quantiles(passes, range(2 * count + 3), SHARES, sizes)
