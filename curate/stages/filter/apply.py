"""Criteria on the narrow tables, part by part: the reason of each document as a small number.

Reading goes over the parts once for each question: where shares end (``curate.rundir.quantiles``), what is decided,
which median. What is read stays in memory as NumPy columns where it fits, so that a corpus of some millions of
documents is read once; beyond that it is read again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import xxhash

from curate.rundir import quantiles
from curate.rundir.aligned_parts import number_of
from curate.rundir.document_blocks import BlockReader, DocumentBlock
from curate.runtime.arrays import BoolArray, Float64Array, Int16Array, Int64Array
from curate.stages.filter.criteria import Band, Criteria


@dataclass(frozen=True, slots=True)
class CompiledBand:
    """One end of a band in one group: what lies beyond it is rejected."""

    value: float
    below: int
    """The weight of what is less than ``value``."""
    place: int
    """Where the end lies, in weight."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledBound:
    """A band with its ends found: the lower and the upper one of each group, None for none."""

    band: Band
    low: Mapping[int, CompiledBand]
    high: Mapping[int, CompiledBand]


@dataclass(slots=True)
class CompiledCriteria:
    """Criteria as a function from rows to reasons; asked part by part in order, since ties go by the order."""

    criteria: Criteria
    fence: CompiledBound | None
    names: list[str | None]
    """Reasons by number; shared by all sieves of a source."""
    _passed: dict[tuple[int, str], int] = field(default_factory=dict)
    """The weight of the ties so far, by group and end."""

    def afresh(self) -> "CompiledCriteria":
        """The same, before the first part."""
        return CompiledCriteria(self.criteria, self.fence, self.names)

    def judge(self, block: DocumentBlock) -> Int16Array:
        """The reason of each document, 0 for what is kept."""
        found = judge_each(self.criteria, block, self._number)
        if self.fence is not None:
            self._judge_band(self.fence, block, found)
        return found

    def _number(self, reason: str) -> int:
        return number_of(self.names, reason)

    def _judge_band(self, fence: CompiledBound, block: DocumentBlock, found: Int16Array) -> None:
        """Those beyond the ends, and those that have no place in the order."""
        band, values = fence.band, order_values(fence.band, block)
        member = member_of(band, block, found) & ~np.isnan(values)
        weights = block.tokens if band.in_tokens else np.ones(len(values), np.int64)
        found[(found == 0) & np.isnan(values)] = self._number(f"{band.column} is null")
        size = int(block.within.max(initial=-1)) + 1
        for edges, side, none in ((fence.low, "low", -np.inf), (fence.high, "high", np.inf)):
            ends = np.array([edges[group].value if group in edges else none for group in range(size)])[block.within]
            beyond = member & (values < ends if side == "low" else values > ends)
            for group, ties in _by_group(np.flatnonzero(member & (values == ends)), block.within):
                if group in edges:
                    beyond[ties] = self._beyond(edges[group], (group, side), weights[ties])
            found[beyond & (found == 0)] = self._number(band.reasons()[side == "high"])

    def _beyond(self, edge: CompiledBand, key: tuple[int, str], weights: Int64Array) -> BoolArray:
        """Which of the documents at the value of an end lie beyond it, by the order of the corpus."""
        before = edge.below + self._passed.get(key, 0) + np.cumsum(weights) - weights
        self._passed[key] = self._passed.get(key, 0) + int(weights.sum())
        return np.asarray(before < edge.place if key[1] == "low" else before + weights > edge.place)


def _by_group(places: Int64Array, groups: Int64Array) -> Iterator[tuple[int, Int64Array]]:
    """Some places apart by their groups, each in order."""
    own = groups[places]
    for group in np.unique(own).tolist():
        yield group, places[own == group]


def judge_each(criteria: Criteria, block: DocumentBlock, number: Callable[[str], int]) -> Int16Array:
    """The reasons that need no other document: those of the tables, of the bounds, of ``where``."""
    found = block.codes.copy()
    for bound in criteria.bounds:
        values = block.numbers(bound.column)
        found[(found == 0) & np.isnan(values)] = number(f"{bound.column} is null")
        with np.errstate(invalid="ignore"):
            beyond = values > bound.limit if bound.sign == ">" else values < bound.limit
        found[(found == 0) & beyond] = number(bound.reason)
    if block.where is not None and criteria.where is not None:
        found[(found == 0) & (block.where == 2)] = number("where is null")
        found[(found == 0) & (block.where == 0)] = number("where is false")
    return found


def member_of(band: Band, block: DocumentBlock, found: Int16Array) -> BoolArray:
    """The documents whose order a band is about: all that were scored, or with a budget those that are still kept."""
    return np.asarray((found == 0) if band.in_tokens else block.eligible)


def order_values(band: Band, block: DocumentBlock) -> Float64Array:
    """What a band orders documents by, in its group."""
    values = block.numbers(band.column)
    if band.draw is None:
        return values
    spread = np.log(values) if band.column == "perplexity" else values
    middle, scale = band.draw.middle[block.within], band.draw.scale[block.within]
    standard = (spread - middle) / np.where(scale > 0, scale, 1.0)
    liking = {"low": -standard, "high": standard, "middle": -np.abs(standard)}[band.draw.toward]
    return np.asarray(-(liking / band.draw.temperature + gumbel(band.draw.seed, block)))


def gumbel(seed: int, block: DocumentBlock) -> Float64Array:
    """Standard Gumbel noise of each document, from the seed, its part and its place in it alone.

    Uniform numbers are the splitmix64 of a counter (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    start = xxhash.xxh3_64_intdigest(block.name.encode(), seed & ((1 << 64) - 1))
    with np.errstate(over="ignore"):
        state = np.uint64(start) + np.arange(1, len(block) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    uniform = ((state >> np.uint64(11)).astype(np.float64) + 0.5) / (1 << 53)
    return np.asarray(-np.log(-np.log(uniform)))


# Where the ends of a band lie.


def prepare(source: BlockReader, criteria: Criteria) -> CompiledCriteria:
    """The criteria with the ends of their band found in the corpus, which was loaded before."""
    band = criteria.band
    if band is None:
        return CompiledCriteria(criteria, None, source.reasons)
    if band.draw is not None:
        band = band.with_draw(*_moments(source, criteria, band))
    chosen = Criteria(criteria.bounds, criteria.where, band)

    def passes() -> Iterator[quantiles.Batch]:
        return weigh_members(source, chosen, band)

    weights = quantiles.totals(passes, len(source.within.names))
    ends = band.ends(weights.tolist())
    wanted = {
        group: [place for place, edge in ((low, low > 0), (high, high < total)) if edge]
        for group, (low, high, total) in enumerate(ends)
    }
    found = quantiles.find(passes, wanted)
    low, high = {}, {}
    for group, (first, last, total) in enumerate(ends):
        if first > 0:
            low[group] = edge_of(found.get((group, first)), first)
        if last < total:
            high[group] = edge_of(found.get((group, last)), last)
    return CompiledCriteria(chosen, CompiledBound(band, low, high), source.reasons)


def weigh_members(source: BlockReader, criteria: Criteria, band: Band) -> Iterator[quantiles.Batch]:
    """What the documents that a band is about are ordered by, their groups, and their tokens where those count."""
    for block in source.blocks():
        found = judge_each(criteria, block, lambda reason: number_of(source.reasons, reason))
        values = order_values(band, block)
        inside = member_of(band, block, found) & ~np.isnan(values)
        yield values[inside], block.within[inside], block.tokens[inside] if band.in_tokens else None


def edge_of(cut: quantiles.QuantileCut | None, place: int) -> CompiledBand:
    """The end at a place; beyond every number where there is none."""
    return CompiledBand(np.inf, 0, place) if cut is None else CompiledBand(cut.value, cut.below, place)


def _moments(source: BlockReader, criteria: Criteria, band: Band) -> tuple[Float64Array, Float64Array]:
    """The mean and the standard deviation of what a draw goes by, in each group."""
    size = len(source.within.names)
    sums = np.zeros((3, size))
    for block in source.blocks():
        values = block.numbers(band.column)
        spread = np.log(values) if band.column == "perplexity" else values
        found = judge_each(criteria, block, lambda reason: number_of(source.reasons, reason))
        inside = member_of(band, block, found) & np.isfinite(spread)
        for power in range(3):
            sums[power] += np.bincount(block.within[inside], spread[inside] ** power, size)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    return mean, np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
