"""Sides compared: read, paired or taken as samples of their own, and their groups side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curate.errors import UsageError
from curate.monitoring.compare.baseline import MOST_PAIRED, BaselineGroup
from curate.monitoring.compare.documents import Grouping
from curate.monitoring.compare.extremes import ExtremePairs
from curate.monitoring.compare.groups import (
    ALL,
    ComparedGroup,
    Drawing,
    MeasuredGroup,
    compare_groups,
    measure_apart,
    measure_pairs,
    sort_groups,
)
from curate.monitoring.compare.pairing import (
    PAIRED_FROM,
    PairedUnits,
    ReadSide,
    SideUnits,
    join_texts,
    read_apart,
    read_in_step,
)
from curate.monitoring.compare.sides import ComparedSide
from curate.monitoring.compare.totals import SideTotals, estimate_shared
from curate.monitoring.compare.verdicts import Tolerance
from curate.runtime.arrays import Float64Array

Pairs = Literal["auto", "only", "never"]


@dataclass(frozen=True, slots=True)
class PairingSettings:
    """How documents of sides are paired."""

    pairs: Pairs
    memory: int
    """Bytes to work in."""
    scratch: Path
    """A folder to spill to, which need not exist."""


@dataclass(frozen=True, slots=True, eq=False)
class GatheredSides:
    """What was read of two or more sides."""

    paired: PairedUnits | None
    """None where the sides are samples of their own."""
    apart: list[SideUnits | None]
    """Of each side; None for sides of which sums alone are known, and where sides are paired."""
    totals: list[SideTotals | None]
    """Of each side, all of its documents; None where sums alone are known."""
    shared: float | None
    """The share of the texts of the smallest side that all sides hold, as samples show it; 1 for sides in step, None
    where it is not known."""


def gather_sides(
    sides: Sequence[ComparedSide],
    grouping: Grouping,
    settings: PairingSettings,
    extremes: ExtremePairs | None = None,
) -> GatheredSides:
    """Read some sides, and pair their documents where they share enough of them; ``extremes`` is given all pairs.

    Raises UsageError where pairs alone are asked for and there are none.
    """
    for side in sides:
        for group in side.baseline.groups if side.baseline is not None and grouping.within else ():
            grouping.number(group.name)
    known = [ReadSide(one.read, one.num_documents, one.has_hashes) for one in sides if one.read is not None]
    lacking = next((side.label for side in sides if side.read is None or not side.has_hashes), None)
    can_pair = settings.pairs != "never" and lacking is None
    if settings.pairs == "only" and lacking is not None:
        raise UsageError(f"--pairs only: the texts of {lacking} are not known", "leave out --pairs only")
    if can_pair and (found := read_in_step(known, grouping, extremes)) is not None and found.num_pairs:
        return GatheredSides(found, [None] * len(sides), list(found.totals), 1.0)
    if extremes is not None:
        extremes.clear()
    apart = [_read_apart(side, grouping, lacking is None) for side in sides]
    totals = [None if one is None else one.totals for one in apart]
    shared = estimate_shared([one.sample for one in totals if one is not None]) if lacking is None else None
    if can_pair and shared is not None and (settings.pairs == "only" or shared >= PAIRED_FROM):
        read = [one for one in totals if one is not None]
        joined = join_texts(known, grouping, read, settings.memory, settings.scratch, extremes)
        if joined.num_pairs:
            return GatheredSides(joined, [None] * len(sides), totals, shared)
        if settings.pairs == "only":
            raise UsageError("--pairs only: the sides share no text in one group", "leave out --pairs only")
    apart = [None if side.baseline is not None else one for side, one in zip(sides, apart, strict=True)]
    totals = [None if one is None else one.totals for one in apart]
    return GatheredSides(None, apart, totals, shared)


def _read_apart(side: ComparedSide, grouping: Grouping, with_saved: bool) -> SideUnits | None:
    """Return the units of a side; of a baseline only ``with_saved``, for its hashes."""
    if side.read is None or (side.baseline is not None and not with_saved):
        return None
    return read_apart(ReadSide(side.read, side.num_documents, side.has_hashes), grouping)


def measure_groups(
    sides: Sequence[ComparedSide], gathered: GatheredSides, grouping: Grouping, drawing: Drawing
) -> list[MeasuredGroup]:
    """Return the groups of some sides by their numbers, then all documents."""
    size = len(grouping.names)
    names = [*(grouping.names if grouping.within else []), ALL]
    if gathered.paired is not None:
        chosen = gathered.paired.sums.tabulate(size)[-len(names) :]
        known = [one for one in gathered.totals if one is not None]
        counts = [[one.count(number) for one in known] for number in range(len(names) - 1)]
        counts.append([one.documents for one in known])
        return [measure_pairs(*each, drawing) for each in zip(names, chosen, counts, strict=True)]
    parts = [_list_groups(side, units, names, size) for side, units in zip(sides, gathered.apart, strict=True)]
    return [measure_apart(name, each, drawing) for name, *each in zip(names, *parts, strict=True)]


def _list_groups(
    side: ComparedSide, units: SideUnits | None, names: Sequence[str], size: int
) -> Sequence[Float64Array | BaselineGroup | None]:
    """Return the groups of one side by their numbers, then all of its documents."""
    if units is not None:
        return units.sums.tabulate(size)[-len(names) :]
    assert side.baseline is not None
    by_name = {group.name: group for group in side.baseline.groups}
    return [*(by_name.get(name) for name in names[:-1]), side.baseline.all]


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """Two sides compared."""

    before: str
    """The label of the first side."""
    after: str
    paired: bool
    """Whether documents of one text are compared in pairs; else the sides are two samples."""
    num_pairs: int
    left_out: tuple[int, int]
    """Documents of each side that are in no pair; (0, 0) for two samples."""
    shared: float | None
    """The share of the texts of the smaller side that both hold, as samples of them show it; None where unknown."""
    note: str
    """Why documents of one text could not be paired; empty where they could have been."""
    all: ComparedGroup
    groups: tuple[ComparedGroup, ...]
    """By the columns of ``--within``; those that crossed the tolerance first."""

    @property
    def rows(self) -> list[ComparedGroup]:
        """All rows, that of all documents first."""
        return [self.all, *self.groups]


def compare_pair(
    sides: Sequence[ComparedSide],
    gathered: GatheredSides,
    grouping: Grouping,
    drawing: Drawing,
    tolerance: Tolerance | None,
) -> ComparedPair:
    """Return two gathered sides compared."""
    measured = measure_groups(sides, gathered, grouping, drawing)
    rows = [row for (row,) in compare_groups(measured, [(-1.0, 1.0)], drawing.metric, tolerance)]
    num_pairs = 0 if gathered.paired is None else gathered.paired.num_pairs
    counts = [count_documents(side, total) for side, total in zip(sides, gathered.totals, strict=True)]
    left = (0, 0) if gathered.paired is None else (counts[0] - num_pairs, counts[1] - num_pairs)
    groups = tuple(sort_groups([row for row in rows[:-1] if any(row.documents)]))
    is_paired = gathered.paired is not None
    known = (sides[0].label, sides[1].label, is_paired, num_pairs, left, gathered.shared)
    return ComparedPair(*known, "" if is_paired else explain_samples(sides), rows[-1], groups)


def explain_samples(sides: Sequence[ComparedSide]) -> str:
    """Return why sides cannot be paired; empty where their texts are known."""
    for side in sides:
        if side.baseline is not None and side.baseline.documents is None:
            return (
                f"{side.label} keeps none of its {side.num_documents:,} documents (a baseline keeps up to "
                f"{MOST_PAIRED:,}); compare run directories for pairs"
            )
        if not side.has_hashes:
            return f"the texts of {side.label} are not in one column, so that they cannot be paired"
    return ""


def count_documents(side: ComparedSide, totals: SideTotals | None) -> int:
    """Return how many documents of a side have numbers."""
    if totals is not None:
        return totals.documents
    assert side.baseline is not None
    return side.baseline.all.documents


def sum_side(side: ComparedSide, totals: SideTotals | None) -> dict[str, float]:
    """Return the sums of all documents of a side: documents, nats, tokens, bytes."""
    names = ("documents", "nats", "tokens", "bytes")
    if totals is not None:
        return dict(zip(names, totals.sums_G4.sum(axis=0).tolist(), strict=True))
    assert side.baseline is not None
    known = side.baseline.all
    return dict(zip(names, (float(known.documents), known.nats, known.tokens, known.bytes), strict=True))
