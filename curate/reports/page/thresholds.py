"""The thresholds of the filter that are lines in a picture, and sentences about the criteria that are not.

A bound is a line. Percentiles are a line where they are of all documents, or one in each domain where they are taken
within what tells domains apart. A budget is one where it ended. SQL, draws by chance and columns that are not drawn
have none.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.runtime.numbers import spell_tokens
from curate.stages.filter.criteria import NOTHING, Band, Criteria, build_recorded_criteria


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value at which the filter cuts, for all documents or for one domain."""

    column: str
    side: str
    """``above`` or ``below``: what lies there is rejected, the value itself is kept."""
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class BandEdge:
    """The end of a band: a rank among some documents, and its label."""

    side: str
    kept: bool
    """Whether ``rank`` is one among the kept documents, and not among those that criteria are about."""
    rank: int
    label: str


def read_criteria(record: Mapping[str, Any] | None) -> Criteria:
    """Return the criteria of a filter's record; none without a record."""
    return build_recorded_criteria(record["parameters"]) if record else NOTHING


def bounds_of(criteria: Criteria) -> list[Threshold]:
    """Return the bounds as thresholds."""
    return [
        Threshold(
            bound.column,
            "above" if bound.sign == ">" else "below",
            bound.value,
            f"{bound.option.removeprefix('--').replace('-', ' ')} {bound.value:g}",
        )
        for bound in criteria.bounds
    ]


def ends_of(band: Band, eligible: int, kept: int, reasons: Container[str | None]) -> list[BandEdge]:
    """Return the ends of a band of percentiles or of a budget in a group.

    ``eligible`` and ``kept`` are the numbers of documents of the group that have a value. A budget has an end where a
    document was rejected for it.
    """
    if band.budget is not None:
        of = f"budget of {spell_tokens(band.budget)} tokens"
        ends = [BandEdge("below", True, 0, of), BandEdge("above", True, kept - 1, of)] if kept else []
        return [end for end, why in zip(ends, band.reasons(), strict=bool(ends)) if why in reasons]
    ((first, last, total),) = band.ends([eligible])
    ends = [BandEdge("below", False, first, f"percentile {float(band.low * 100):g}")] if 0 < first < total else []
    above = BandEdge("above", False, last - 1, f"percentile {float(band.high * 100):g}")
    return [*ends, above] if 0 < last < total else ends


def is_line(band: Band | None, column: str) -> bool:
    """Return whether a band ends at values of a column."""
    return band is not None and band.column == column and band.draw is None


def say_rest(criteria: Criteria, drawn: Sequence[str], domains: Sequence[str]) -> list[str]:
    """Return one sentence for each criterion that is not a line in a picture."""
    found = [
        f"{bound.option} {bound.value:g}: {bound.column} is not drawn here; what is rejected for it is marked dropped."
        for bound in criteria.bounds
        if bound.column not in drawn
    ]
    if criteria.where is not None:
        found.append(f"--where {criteria.where}: a condition over several columns has no threshold.")
    return [*found, *([_say_band(criteria.band, drawn, domains)] if criteria.band else [])]


def _say_band(band: Band, drawn: Sequence[str], domains: Sequence[str]) -> str:
    much = f"{float(100 * (band.high - band.low)):.3g} % of the documents"
    if band.budget is not None:
        much = f"{spell_tokens(band.budget)} tokens"
    within = f", within {' and '.join(band.within)}" if band.within else ""
    if band.draw is not None:
        how = f"temperature {band.draw.temperature:g}, seed {band.draw.seed}, toward {band.draw.toward}"
        said = f"{much} were drawn by chance by {band.column}{within} ({how})"
        return f"{said}: kept and dropped ones lie side by side, so there is no threshold."
    said = f"{much} were chosen by {band.column}{within}"
    if band.column not in drawn:
        return f"{said}: {band.column} is not drawn here."
    if not band.within:
        return f"{said}; the thresholds are drawn."
    if set(band.within) == set(domains):
        return f"{said}: each domain has its own thresholds, drawn in its picture below."
    return f"{said}: thresholds are shown by curate report --domain {','.join(band.within)}."
