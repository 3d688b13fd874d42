"""Criteria on the narrow tables, part by part: the reason of each document as a small number.

Reading goes over the parts once for each question: where shares end (``curate.rundir.quantiles``), what is decided,
which median. What is read stays in memory as NumPy columns where it fits, so that a corpus of some millions of
documents is read once; beyond that it is read again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.rundir import aligned_parts, quantiles
from curate.stages.filter.criteria import Band, Criteria

if TYPE_CHECKING:
    from curate.rundir.rejections import Rejections
    from curate.rundir.run import Run

HELD_BYTES = 1_000_000_000

Codes = NDArray[np.int16]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RowBatch:
    """The documents of one part as columns; every array has one entry for each."""

    name: str
    file: str
    rows: NDArray[np.int64]
    """The row of each in its file."""
    base: Codes
    """Why each is rejected before any criterion is asked; 0 for those that criteria are about."""
    tokens: NDArray[np.int64]
    numbers: Mapping[str, Floats]
    """The columns that criteria ask for, NaN where null."""
    domain: NDArray[np.int64]
    """The group of the ledger."""
    within: NDArray[np.int64]
    """The group in which shares are counted."""
    where: NDArray[np.int8] | None
    """What the user's SQL says: 0 false, 1 true, 2 null."""

    @property
    def nbytes(self) -> int:
        own = self.base.nbytes + self.tokens.nbytes + self.domain.nbytes + self.within.nbytes + self.rows.nbytes
        return own + sum(column.nbytes for column in self.numbers.values())


@dataclass(slots=True)
class DocumentRows:
    """The narrow tables of a run as rows, again and again; held in memory where they fit."""

    run: "Run"
    found: "Rejections"
    columns: Sequence[str]
    """Of numbers: of the scores or of the documents."""
    ledger: Sequence[str]
    within: Sequence[str]
    where: Callable[[], Iterator[pa.RecordBatch]] | None = None
    """Gives what the SQL says, row by row in the order of the corpus, afresh each time."""
    held_bytes: int = HELD_BYTES
    domains: aligned_parts.ColumnGroups = field(init=False)
    groups: aligned_parts.ColumnGroups = field(init=False)
    names: list[str | None] = field(default_factory=lambda: [None])
    """Reasons by number: first those of the tables, then those of the criteria."""
    refused: int = 0
    """How many of the first reasons are of the tables; 0 before everything was read once."""
    _held: list[RowBatch] | None = None

    def __post_init__(self) -> None:
        self.domains, self.groups = aligned_parts.ColumnGroups(self.ledger), aligned_parts.ColumnGroups(self.within)

    def rows(self) -> Iterator[RowBatch]:
        """All rows, part by part."""
        if self._held is not None:
            yield from self._held
            return
        held: list[RowBatch] = []
        room = self.held_bytes
        for rows in self._read():
            room -= rows.nbytes
            held = [] if room < 0 else held
            if room >= 0:
                held.append(rows)
            yield rows
        self._held = held if room >= 0 else None

    def load(self) -> None:
        """Read everything once: all groups and reasons of the tables are known then, and rows are held that fit."""
        for _ in self.rows():
            pass
        self.refused = self.refused or len(self.names)

    def is_held(self) -> bool:
        """Whether the rows stay in memory, once they were all read."""
        return self._held is not None

    def _read(self) -> Iterator[RowBatch]:
        carry = list(
            dict.fromkeys([*self.ledger, *self.within, *(name for name in self.columns if self._is_own(name))])
        )
        columns = [name for name in self.columns if not self._is_own(name)]
        refusals = aligned_parts.RejectionCodes(self.run, self.found, self.names)
        answers = _Answers(self.where()) if self.where is not None else None
        asked = list(dict.fromkeys(["status", "row", "tokens", *columns]))
        for number, part in enumerate(aligned_parts.read_parts(self.run, asked, carry, decided=False, coded=True)):
            base = refusals.take(number, part.table.column("status"))
            yield RowBatch(
                name=part.name,
                file=part.file,
                rows=part.counts("row"),
                base=base,
                tokens=part.counts("tokens"),
                numbers={name: self._numbers(part, name) for name in self.columns},
                domain=self.domains.take(part.table),
                within=self.groups.take(part.table),
                where=answers.take(len(part)) if answers is not None else None,
            )

    def _is_own(self, name: str) -> bool:
        """Whether a column is the documents' own, and not of the scores."""
        from curate.rundir import schemas

        return name not in schemas.SCORES.names and name not in schemas.SIGNALS

    def _numbers(self, part: aligned_parts.AlignedPart, name: str) -> Floats:
        try:
            return part.numbers(name)
        except pa.ArrowInvalid as error:
            raise UsageError(
                f"the column {name} of the documents holds text, not numbers", f"--within {name}"
            ) from error


class _Answers:
    """Answers of SQL, given out as parts ask for them."""

    def __init__(self, batches: Iterator[pa.RecordBatch]):
        self._batches = batches
        self._rest = np.zeros(0, np.int8)

    def take(self, count: int) -> NDArray[np.int8]:
        held, have = [self._rest], len(self._rest)
        while have < count:
            batch = next(self._batches)
            held.append(batch.column(0).to_numpy(zero_copy_only=False).astype(np.int8))
            have += len(held[-1])
        whole = np.concatenate(held)
        found, self._rest = whole[:count], whole[count:]
        return found


# One set of criteria, made ready for a corpus.


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

    def judge(self, rows: RowBatch) -> Codes:
        """The reason of each document, 0 for what is kept."""
        found = judge_each(self.criteria, rows, self._number)
        if self.fence is not None:
            self._judge_band(self.fence, rows, found)
        return found

    def _number(self, reason: str) -> int:
        return aligned_parts.number_of(self.names, reason)

    def _judge_band(self, fence: CompiledBound, rows: RowBatch, found: Codes) -> None:
        """Those beyond the ends, and those that have no place in the order."""
        band, values = fence.band, order_values(fence.band, rows)
        member = member_of(band, rows, found) & ~np.isnan(values)
        weights = rows.tokens if band.in_tokens else np.ones(len(values), np.int64)
        found[(found == 0) & np.isnan(values)] = self._number(f"{band.column} is null")
        size = int(rows.within.max(initial=-1)) + 1
        for edges, side, none in ((fence.low, "low", -np.inf), (fence.high, "high", np.inf)):
            ends = np.array([edges[group].value if group in edges else none for group in range(size)])[rows.within]
            beyond = member & (values < ends if side == "low" else values > ends)
            for group, ties in _by_group(np.flatnonzero(member & (values == ends)), rows.within):
                if group in edges:
                    beyond[ties] = self._beyond(edges[group], (group, side), weights[ties])
            found[beyond & (found == 0)] = self._number(band.reasons()[side == "high"])

    def _beyond(self, edge: CompiledBand, key: tuple[int, str], weights: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the documents at the value of an end lie beyond it, by the order of the corpus."""
        before = edge.below + self._passed.get(key, 0) + np.cumsum(weights) - weights
        self._passed[key] = self._passed.get(key, 0) + int(weights.sum())
        return np.asarray(before < edge.place if key[1] == "low" else before + weights > edge.place)


def _by_group(places: NDArray[np.int64], groups: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Some places apart by their groups, each in order."""
    own = groups[places]
    for group in np.unique(own).tolist():
        yield group, places[own == group]


def judge_each(criteria: Criteria, rows: RowBatch, number: Callable[[str], int]) -> Codes:
    """The reasons that need no other document: those of the tables, of the bounds, of ``where``."""
    found = rows.base.copy()
    for bound in criteria.bounds:
        values = rows.numbers[bound.column]
        found[(found == 0) & np.isnan(values)] = number(f"{bound.column} is null")
        with np.errstate(invalid="ignore"):
            beyond = values > bound.limit if bound.sign == ">" else values < bound.limit
        found[(found == 0) & beyond] = number(bound.reason)
    if rows.where is not None and criteria.where is not None:
        found[(found == 0) & (rows.where == 2)] = number("where is null")
        found[(found == 0) & (rows.where == 0)] = number("where is false")
    return found


def member_of(band: Band, rows: RowBatch, found: Codes) -> NDArray[np.bool_]:
    """The documents whose order a band is about: all that were scored, or with a budget those that are still kept."""
    return np.asarray((found == 0) if band.in_tokens else (rows.base == 0))


def order_values(band: Band, rows: RowBatch) -> Floats:
    """What a band orders documents by, in its group."""
    values = rows.numbers[band.column]
    if band.draw is None:
        return values
    spread = np.log(values) if band.column == "perplexity" else values
    middle, scale = band.draw.middle[rows.within], band.draw.scale[rows.within]
    standard = (spread - middle) / np.where(scale > 0, scale, 1.0)
    liking = {"low": -standard, "high": standard, "middle": -np.abs(standard)}[band.draw.toward]
    return np.asarray(-(liking / band.draw.temperature + gumbel(band.draw.seed, rows)))


def gumbel(seed: int, rows: RowBatch) -> Floats:
    """Standard Gumbel noise of each document, from the seed, its part and its place in it alone.

    Uniform numbers are the splitmix64 of a counter (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    """
    start = xxhash.xxh3_64_intdigest(rows.name.encode(), seed & ((1 << 64) - 1))
    with np.errstate(over="ignore"):
        state = np.uint64(start) + np.arange(1, len(rows.base) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    uniform = ((state >> np.uint64(11)).astype(np.float64) + 0.5) / (1 << 53)
    return np.asarray(-np.log(-np.log(uniform)))


# Where the ends of a band lie.


def prepare(source: DocumentRows, criteria: Criteria) -> CompiledCriteria:
    """The criteria with the ends of their band found in the corpus, which was loaded before."""
    band = criteria.band
    if band is None:
        return CompiledCriteria(criteria, None, source.names)
    if band.draw is not None:
        band = band.with_draw(*_moments(source, criteria, band))
    chosen = Criteria(criteria.bounds, criteria.where, band)

    def passes() -> Iterator[quantiles.Batch]:
        return weigh_members(source, chosen, band)

    weights = quantiles.totals(passes, len(source.groups.names))
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
    return CompiledCriteria(chosen, CompiledBound(band, low, high), source.names)


def weigh_members(source: DocumentRows, criteria: Criteria, band: Band) -> Iterator[quantiles.Batch]:
    """What the documents that a band is about are ordered by, their groups, and their tokens where those count."""
    for rows in source.rows():
        found = judge_each(criteria, rows, lambda reason: aligned_parts.number_of(source.names, reason))
        values = order_values(band, rows)
        inside = member_of(band, rows, found) & ~np.isnan(values)
        yield values[inside], rows.within[inside], rows.tokens[inside] if band.in_tokens else None


def edge_of(cut: quantiles.QuantileCut | None, place: int) -> CompiledBand:
    """The end at a place; beyond every number where there is none."""
    return CompiledBand(np.inf, 0, place) if cut is None else CompiledBand(cut.value, cut.below, place)


def _moments(source: DocumentRows, criteria: Criteria, band: Band) -> tuple[Floats, Floats]:
    """The mean and the standard deviation of what a draw goes by, in each group."""
    size = len(source.groups.names)
    sums = np.zeros((3, size))
    for rows in source.rows():
        values = rows.numbers[band.column]
        spread = np.log(values) if band.column == "perplexity" else values
        found = judge_each(criteria, rows, lambda reason: aligned_parts.number_of(source.names, reason))
        inside = member_of(band, rows, found) & np.isfinite(spread)
        for power in range(3):
            sums[power] += np.bincount(rows.within[inside], spread[inside] ** power, size)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    return mean, np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
