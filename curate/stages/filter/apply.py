"""Criteria compiled for a corpus and applied to its blocks: the reason of each document as a small number.

Compiling goes over the blocks once for each question: how much weight each group has, where shares end
(``curate.rundir.quantiles``), which mean a draw goes by.
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
class BandEnd:
    """One end of a band in one group: what lies beyond it is rejected."""

    value: float
    below: int
    """The weight of what is less than ``value``."""
    position: int
    """Where the end lies in the order of the group, in weight: documents, or tokens where the band has a budget."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledBand:
    """A band with its ends: the lower and the upper one of each group that has one."""

    band: Band
    low: Mapping[int, BandEnd]
    high: Mapping[int, BandEnd]


@dataclass(slots=True)
class CompiledCriteria:
    """Criteria as a function from blocks to reasons. Blocks must come in order, since ties go by the order."""

    criteria: Criteria
    band: CompiledBand | None
    reasons: list[str | None]
    """Reasons by code, shared with the reader; new ones are added."""
    _passed: dict[tuple[int, str], int] = field(default_factory=dict)
    """The weight of the ties so far, by group and end."""

    def restart(self) -> "CompiledCriteria":
        """Return the same criteria in the state before the first block."""
        return CompiledCriteria(self.criteria, self.band, self.reasons)

    def judge(self, block: DocumentBlock) -> Int16Array:
        """Return the code of the reason of each document; 0 for what is kept."""
        codes = judge_without_band(self.criteria, block, self._code)
        if self.band is not None:
            self._judge_band(self.band, block, codes)
        return codes

    def _code(self, reason: str) -> int:
        return number_of(self.reasons, reason)

    def _judge_band(self, compiled: CompiledBand, block: DocumentBlock, codes: Int16Array) -> None:
        """Set the codes of the documents beyond the ends, and of those without a number to order by."""
        band, values = compiled.band, compute_order_values(compiled.band, block)
        member = find_members(band, block, codes) & ~np.isnan(values)
        weights = block.tokens if band.in_tokens else np.ones(len(values), np.int64)
        give_reason(codes, np.isnan(values), self._code(f"{band.column} is null"))
        num_groups = int(block.within.max(initial=-1)) + 1
        for ends, side, none in ((compiled.low, "low", -np.inf), (compiled.high, "high", np.inf)):
            limits = [ends[group].value if group in ends else none for group in range(num_groups)]
            limit = np.array(limits)[block.within]
            beyond = member & (values < limit if side == "low" else values > limit)
            for group, ties in _split_by_group(np.flatnonzero(member & (values == limit)), block.within):
                if group in ends:
                    beyond[ties] = self._are_ties_beyond(ends[group], (group, side), weights[ties])
            give_reason(codes, beyond, self._code(band.reasons()[side == "high"]))

    def _are_ties_beyond(self, end: BandEnd, key: tuple[int, str], weights: Int64Array) -> BoolArray:
        """Return which of the documents at the value of an end lie beyond it, by the order of the corpus."""
        before = end.below + self._passed.get(key, 0) + np.cumsum(weights) - weights
        self._passed[key] = self._passed.get(key, 0) + int(weights.sum())
        return np.asarray(before < end.position if key[1] == "low" else before + weights > end.position)


def _split_by_group(indices: Int64Array, groups: Int64Array) -> Iterator[tuple[int, Int64Array]]:
    """Yield each group of the documents at ``indices``, with those of its documents, in order."""
    group_of = groups[indices]
    for group in np.unique(group_of).tolist():
        yield group, indices[group_of == group]


def judge_without_band(criteria: Criteria, block: DocumentBlock, code_of: Callable[[str], int]) -> Int16Array:
    """Return the codes of the reasons that need no other document: of the tables, the bounds, and ``where``."""
    codes = block.codes.copy()
    for bound in criteria.bounds:
        values = block.numbers(bound.column)
        give_reason(codes, np.isnan(values), code_of(f"{bound.column} is null"))
        with np.errstate(invalid="ignore"):
            beyond = values > bound.limit if bound.sign == ">" else values < bound.limit
        give_reason(codes, beyond, code_of(bound.reason))
    if block.where is not None and criteria.where is not None:
        give_reason(codes, block.where == 2, code_of("where is null"))
        give_reason(codes, block.where == 0, code_of("where is false"))
    return codes


def give_reason(codes: Int16Array, rejected: BoolArray, code: int) -> None:
    """Set the code of those of the rejected documents that have no reason yet."""
    codes += ((codes == 0) & rejected) * np.int16(code)  # a twentieth of the time of setting by a mask


def find_members(band: Band, block: DocumentBlock, codes: Int16Array) -> BoolArray:
    """Return which documents a band orders: all that were scored, or with a budget those that are still kept."""
    return np.asarray((codes == 0) if band.in_tokens else block.eligible)


def compute_order_values(band: Band, block: DocumentBlock) -> Float64Array:
    """Return the values by which a band orders documents within their groups: a column, or the keys of a draw."""
    values = block.numbers(band.column)
    if band.draw is None:
        return values
    spread = np.log(values) if band.column == "perplexity" else values
    middle, scale = band.draw.middle[block.within], band.draw.scale[block.within]
    standard = (spread - middle) / np.where(scale > 0, scale, 1.0)
    liking = {"low": -standard, "high": standard, "middle": -np.abs(standard)}[band.draw.toward]
    return np.asarray(-(liking / band.draw.temperature + draw_gumbel_noise(band.draw.seed, block)))


def draw_gumbel_noise(seed: int, block: DocumentBlock) -> Float64Array:
    """Return standard Gumbel noise for each document, which depends on the seed, its slice and its index in it alone.

    Uniform numbers are the splitmix64 of a counter (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    starts = [xxhash.xxh3_64_intdigest(one.part.encode(), seed & ((1 << 64) - 1)) for one in block.slices]
    counts = [one.num_rows for one in block.slices]
    firsts = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    counters = (np.arange(len(block)) - firsts + 1).astype(np.uint64)
    with np.errstate(over="ignore"):
        state = np.repeat(np.array(starts, np.uint64), counts) + counters * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    uniform = ((state >> np.uint64(11)).astype(np.float64) + 0.5) / (1 << 53)
    return np.asarray(-np.log(-np.log(uniform)))


def compile_criteria(reader: BlockReader, criteria: Criteria) -> CompiledCriteria:
    """Return the criteria with the ends of their band found in the corpus; ``reader.load()`` must have run before."""
    band = criteria.band
    if band is None:
        return CompiledCriteria(criteria, None, reader.reasons)
    if band.draw is not None:
        band = band.with_draw(*_compute_moments(reader, criteria, band))
    criteria = Criteria(criteria.bounds, criteria.where, band)

    def passes() -> Iterator[quantiles.Batch]:
        return weigh_members(reader, criteria, band)

    survey = quantiles.survey_numbers(passes, len(reader.within.names))
    ends = band.ends(survey.weights.tolist())
    positions = {
        group: [position for position, is_end in ((low, low > 0), (high, high < total)) if is_end]
        for group, (low, high, total) in enumerate(ends)
    }
    cuts = quantiles.find_cuts(passes, positions, survey=survey)
    low, high = {}, {}
    for group, (first, last, total) in enumerate(ends):
        if first > 0:
            low[group] = make_end(cuts.get((group, first)), first)
        if last < total:
            high[group] = make_end(cuts.get((group, last)), last)
    return CompiledCriteria(criteria, CompiledBand(band, low, high), reader.reasons)


def weigh_members(reader: BlockReader, criteria: Criteria, band: Band) -> Iterator[quantiles.Batch]:
    """Yield the order values, groups and weights (tokens, or None for 1) of the documents that a band orders."""
    for block in reader.blocks():
        codes = judge_without_band(criteria, block, lambda reason: number_of(reader.reasons, reason))
        values = compute_order_values(band, block)
        inside = np.flatnonzero(find_members(band, block, codes) & ~np.isnan(values))
        yield values[inside], block.within[inside], block.tokens[inside] if band.in_tokens else None


def make_end(cut: quantiles.QuantileCut | None, position: int) -> BandEnd:
    """Return the end at a position; where there is no cut it lies beyond every number."""
    return BandEnd(np.inf, 0, position) if cut is None else BandEnd(cut.value, cut.below, position)


def _compute_moments(reader: BlockReader, criteria: Criteria, band: Band) -> tuple[Float64Array, Float64Array]:
    """Return the mean and the standard deviation, by group, of the numbers that a draw goes by."""
    num_groups = len(reader.within.names)
    sums = np.zeros((3, num_groups))
    for block in reader.blocks():
        values = block.numbers(band.column)
        spread = np.log(values) if band.column == "perplexity" else values
        codes = judge_without_band(criteria, block, lambda reason: number_of(reader.reasons, reason))
        inside = find_members(band, block, codes) & np.isfinite(spread)
        for power in range(3):
            sums[power] += np.bincount(block.within[inside], spread[inside] ** power, num_groups)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    return mean, np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
