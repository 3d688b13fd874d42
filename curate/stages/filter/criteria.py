"""The criteria of ``filter``, and the order in which they reject.

Criteria are applied to a document in this order, and the first that rejects it is its reason:

    unreadable            counted apart: there was no document to judge
    unscored: STATUS      empty, too_long, unscorable, not_finite: never kept by accident, never given a best score
    contaminated: SET     ``curate decontaminate`` found items of the eval set in it (``rundir.verdicts.rejections``)
    exact duplicate       near duplicate: what ``curate dedup`` found
    the bounds            perplexity > …, perplexity < …, bits_per_byte …, tokens …, zlib_ratio < … (included)
    where is false        the user's SQL; ``where is null`` where its result is null
    the band              COLUMN above / below percentile P, beyond a budget of tokens, or not drawn

A null or NaN in the column of a criterion rejects (``zlib_ratio is null``). Percentiles are those of the scored
documents that are neither contaminated nor duplicates, whatever the other criteria reject, so that criteria do not
depend on each other; the table ``scores`` of the user's SQL does not have those documents either. A budget of tokens
is spent on the documents that every other criterion keeps. ``within`` counts shares in each group alone, and gives
each group its share of a budget. Ties go by the order of the corpus, so that the share that is kept is exact, and
``low`` and ``high`` of rates that add up to 1 share no document.

A draw (``temperature`` T) keeps documents by chance, without replacement, each with odds that go with exp(z/T): z is
how many standard deviations of its group the document lies toward the side of ``keep`` (of the mean nats a token
where that is perplexity). T near 0 keeps the best, a large T draws evenly. Gumbel noise added to z/T and the highest
sums taken give these odds (Kool et al. 2019, arXiv 1903.06059; for choosing training text Wettig et al. 2024, arXiv
2402.09739).
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import UsageError
from curate.rundir.columns import kinds
from curate.rundir.columns.names import PREFIX, is_score_name, join_names, read_name, split_group_columns
from curate.rundir.schemas import ALIASES
from curate.rundir.signals import SIGNALS, find_signal, is_sum
from curate.runtime.arrays import Float64Array
from curate.runtime.numbers import parse_tokens, spell_tokens
from curate.stages.filter.where import check_expression

SINGLE = tuple(name for name, signal in SIGNALS.items() if signal.columns.get(name) == "float32")
"""Columns of single precision, whose bounds are compared in it, so that a bound of 0.7 includes its 0.7."""
BoundValues = float | tuple[float, ...] | list[float] | None
"""The value of a bound, several to try, or None for no bound."""


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The criteria as ``curate filter`` takes them, under the names of its options. None for those that are not given.

    A bound may have several values, each of which a dry run tries (``split_trials``); a decision needs one.
    """

    max_ppl: BoundValues = None
    min_ppl: BoundValues = None
    max_bpb: BoundValues = None
    min_bpb: BoundValues = None
    min_tokens: BoundValues = None
    max_tokens: BoundValues = None
    min_zlib: BoundValues = None
    max_repeated_5grams: BoundValues = None
    max_repeated_lines: BoundValues = None
    keep: str | None = None
    rate: float | None = None
    tokens: str | int | None = None
    by: str | None = None
    within: str | None = None
    temperature: float | None = None
    seed: int = 0
    where: str | None = None


@dataclass(frozen=True, slots=True)
class BoundSpec:
    """A bound of ``filter``: its option, its column, and the values that were given."""

    option: str
    column: str
    sign: str
    """``>`` rejects what is above (an upper bound), ``<`` what is below."""
    values: BoundValues


def list_bound_specs(options: FilterOptions) -> tuple[BoundSpec, ...]:
    """Return every bound of ``filter``, in the order in which bounds reject.

    A new bound is a field of ``FilterOptions``, a line here, and a parameter of ``curate.verbs.filter.filter``.
    """
    return (
        BoundSpec("--max-ppl", "perplexity", ">", options.max_ppl),
        BoundSpec("--min-ppl", "perplexity", "<", options.min_ppl),
        BoundSpec("--max-bpb", "bits_per_byte", ">", options.max_bpb),
        BoundSpec("--min-bpb", "bits_per_byte", "<", options.min_bpb),
        BoundSpec("--min-tokens", "tokens", "<", options.min_tokens),
        BoundSpec("--max-tokens", "tokens", ">", options.max_tokens),
        BoundSpec("--min-zlib", "zlib_ratio", "<", options.min_zlib),
        BoundSpec("--max-repeated-5grams", "repeated_5grams", ">", options.max_repeated_5grams),
        BoundSpec("--max-repeated-lines", "repeated_lines", ">", options.max_repeated_lines),
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """A column and the value that it may reach but not pass."""

    option: str
    column: str
    sign: str
    """``>`` rejects what is above (an upper bound), ``<`` what is below."""
    value: float

    @property
    def limit(self) -> float:
        """The value in the precision of the column."""
        return float(np.float32(self.value)) if self.column in SINGLE else self.value

    @property
    def reason(self) -> str:
        return f"{self.column} {self.sign} {self.value:.10g}"


@dataclass(frozen=True, slots=True, eq=False)
class WeightedDraw:
    """How documents are drawn: toward which side, how strictly, and with which seed."""

    toward: str
    temperature: float
    seed: int
    middle: Float64Array
    """The mean of the order values by group; empty before the criteria are compiled."""
    scale: Float64Array
    """Their standard deviation by group."""


@dataclass(frozen=True, slots=True)
class Band:
    """The documents between two shares of their group, ordered by one column."""

    column: str
    low: Fraction
    high: Fraction
    within: tuple[str, ...] = ()
    budget: int | None = None
    """Tokens to keep, over all groups; ``low`` and ``high`` then say where the budget lies: from below, from above,
    around the middle."""
    draw: WeightedDraw | None = None

    @property
    def in_tokens(self) -> bool:
        """Whether positions in the order are counted in tokens, and not in documents."""
        return self.budget is not None

    def with_draw(self, middle: Float64Array, scale: Float64Array) -> "Band":
        """Return the same band with the mean and the standard deviation of each group, which its draw needs."""
        assert self.draw is not None
        return replace(self, draw=replace(self.draw, middle=middle, scale=scale))

    def ends(self, weights: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return (first, last, weight) of each group: positions from ``first`` on and before ``last`` are kept.

        ``weights`` are documents, or tokens with a budget; positions run from 0 to the weight of the group.
        """
        total = sum(weights)
        return [self._ends(weight, total) for weight in weights]

    def _ends(self, weight: int, total: int) -> tuple[int, int, int]:
        if self.budget is None:
            first, last = (math.floor(share * weight + Fraction(1, 2)) for share in (self.low, self.high))
            return first, last, weight
        part = weight if self.budget >= total else self.budget * weight // max(total, 1)
        if self.low == 0:
            return 0, part, weight
        first = weight - part if self.high == 1 else (weight - part) // 2
        return first, first + part, weight

    def reasons(self) -> tuple[str, str]:
        """Return the reason for a document below the band, and that for one above."""
        of = f" of its {' and '.join(self.within)}" if self.within else ""
        if self.draw is not None:
            reason = f"not drawn (temperature {self.draw.temperature:.10g}){of.replace(' of', ' in')}"
            return reason, reason
        if self.budget is not None:
            budget = f"the budget of {spell_tokens(self.budget)} tokens"
            return f"{self.column} below {budget}", f"{self.column} above {budget}"
        low, high = _percent(self.low), _percent(self.high)
        return f"{self.column} below percentile {low}{of}", f"{self.column} above percentile {high}{of}"


@dataclass(frozen=True, slots=True)
class Criteria:
    """The criteria of one call of ``filter``; false where there are none."""

    bounds: tuple[Bound, ...]
    where: str | None
    band: Band | None

    def __bool__(self) -> bool:
        return bool(self.bounds or self.where is not None or self.band)

    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns that bounds and the band need, each once."""
        names = [bound.column for bound in self.bounds] + ([self.band.column] if self.band else [])
        return tuple(dict.fromkeys(names))


NOTHING = Criteria((), None, None)


def split_trials(options: FilterOptions) -> list[FilterOptions]:
    """Return what a dry run tries: one set of options for each combination of the bounds that have several values.

    The last of these bounds varies fastest. Without such a bound the options are the one trial.
    """
    trials = [options]
    for field in fields(options):
        values = getattr(options, field.name)
        if isinstance(values, (tuple, list)):
            trials = [replace(trial, **{field.name: value}) for trial in trials for value in values]
    return trials


def build_criteria(options: FilterOptions) -> Criteria:
    """Return the options as criteria, in the order in which they reject.

    Raises UsageError for options that are wrong, contradict each other, or have no effect.
    """
    bounds = tuple(_make_bound(spec) for spec in list_bound_specs(options) if spec.values is not None)
    _check_order(bounds)
    if options.seed and options.temperature is None:
        seed = options.seed
        raise UsageError(f"--seed {seed} has no effect without --temperature", f"--temperature 1 --seed {seed}")
    return Criteria(bounds, check_expression(options.where), _make_band(options))


def build_recorded_criteria(parameters: Mapping[str, Any]) -> Criteria:
    """Return the criteria of a filter's record, as ``parameters_of`` wrote them."""
    known = {field.name for field in fields(FilterOptions)}
    return build_criteria(FilterOptions(**{name: value for name, value in parameters.items() if name in known}))


def _make_bound(spec: BoundSpec) -> Bound:
    option, value = spec.option, spec.values
    if isinstance(value, (tuple, list)):
        shown = ",".join(f"{one:.10g}" for one in value)
        raise UsageError(f"{option} {shown}: a decision has one bound", f"try several with --dry-run {option} {shown}")
    if value is None or not math.isfinite(value) or value < 0:
        raise UsageError(f"{option} must be a number from 0 on, not {value}", f"leave {option} out for no bound")
    return Bound(option, spec.column, spec.sign, float(value))


def _check_order(bounds: Sequence[Bound]) -> None:
    lows = {bound.column: bound for bound in bounds if bound.sign == "<"}
    for high in bounds:
        low = lows.get(high.column)
        if high.sign == ">" and low is not None and low.value > high.value:
            pair = f"{low.option} {low.value:g} is above {high.option} {high.value:g}"
            raise UsageError(f"{pair}: nothing lies between them", "swap the two values")


def _make_band(options: FilterOptions) -> Band | None:
    keep, rate, budget = options.keep, options.rate, options.tokens
    if keep is None:
        _refuse_without_keep(
            {
                "--rate": rate,
                "--by": options.by,
                "--within": options.within,
                "--tokens": budget,
                "--temperature": options.temperature,
            }
        )
        return None
    column = read_name(options.by or "ppl")
    within = tuple(split_group_columns(options.within)) if options.within else ()
    low, high = _find_shares(keep, rate)
    if budget is not None and (rate is not None or ":" in keep):
        other = f"--rate {rate}" if rate is not None else f"--keep {keep}"
        raise UsageError(f"{other} and --tokens {budget} both set how much to keep", "leave one of them out")
    band = Band(ALIASES.get(column, column), low, high, within, None if budget is None else parse_tokens(budget))
    return band if options.temperature is None else _make_drawn(band, keep, options.temperature, options.seed)


def _refuse_without_keep(option_to_value: Mapping[str, Any]) -> None:
    for option, value in option_to_value.items():
        if value is not None:
            raise UsageError(f"{option} {value} has no effect without --keep", f"--keep middle {option} {value}")


def _make_drawn(band: Band, keep: str, temperature: float, seed: int) -> Band:
    """Return the band as a share that is drawn."""
    if ":" in keep:
        hint = f"--keep low, middle or high with --temperature {temperature}"
        raise UsageError(f"--keep {keep}: a draw has no percentiles, since any document may be drawn", hint)
    if not math.isfinite(temperature) or temperature <= 0:
        hint = "1 draws softly, 0.1 nearly keeps the best; without --temperature nothing is random"
        raise UsageError(f"--temperature must be greater than 0, not {temperature}", hint)
    draw = WeightedDraw(keep, temperature, seed, np.zeros(0), np.zeros(0))
    return replace(band, low=Fraction(0), high=band.high - band.low, draw=draw)


def _find_shares(keep: str, rate: float | None) -> tuple[Fraction, Fraction]:
    """Return the two shares between which ``keep`` keeps; exact, so that neighbouring shares do not overlap."""
    part = Fraction(str(rate)) if rate is not None and math.isfinite(rate) else Fraction(1, 2)
    if rate is not None and not 0 < rate <= 1:
        raise UsageError(f"--rate must be greater than 0 and at most 1, not {rate}", "--rate 0.5 keeps half")
    named = {"low": (Fraction(0), part), "middle": ((1 - part) / 2, (1 + part) / 2), "high": (1 - part, Fraction(1))}
    if keep in named:
        return named[keep]
    return _percentiles(keep, rate)


def _percentiles(keep: str, rate: float | None) -> tuple[Fraction, Fraction]:
    hint = "low, middle or high with --rate, or two percentiles as in --keep 10:60"
    try:
        low, high = (Fraction(part.strip()) / 100 for part in keep.split(":"))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--keep {keep} is not known", hint) from error
    if not 0 <= low < high <= 1:
        raise UsageError(f"--keep {keep}: percentiles go from 0 to 100, the lower first", hint)
    if rate is not None:
        raise UsageError(f"--keep {keep} and --rate {rate} both set how much to keep", "leave out --rate")
    return low, high


def parameters_of(criteria: Criteria) -> dict[str, Any]:
    """Return the criteria as JSON for records, cards and fingerprints; ``build_recorded_criteria`` reads it again."""
    found: dict[str, Any] = {
        bound.option.lstrip("-").replace("-", "_"): _plain(bound.value) for bound in criteria.bounds
    }
    if criteria.where is not None:
        found["where"] = criteria.where
    if criteria.band is not None:
        found.update(_band_parameters(criteria.band))
    return found


def _band_parameters(band: Band) -> dict[str, Any]:
    found: dict[str, Any] = {"keep": f"{_percent(band.low)}:{_percent(band.high)}", "by": band.column}
    if band.budget is not None or band.draw is not None:
        ends = {(True, False): "low", (False, True): "high"}
        found["keep"] = band.draw.toward if band.draw else ends.get((band.low == 0, band.high == 1), "middle")
    if band.draw is not None:
        found |= {"temperature": band.draw.temperature, "seed": band.draw.seed}
        found |= {} if band.budget is not None else {"rate": float(band.high)}
    if band.within:
        found["within"] = join_names(band.within)
    return found if band.budget is None else {**found, "tokens": band.budget}


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.10g}"


def check_columns(
    scores: pa.Schema, criteria: Criteria, carried: Mapping[str, pa.DataType], of_documents: Sequence[str] = ()
) -> None:
    """Raise UsageError where a criterion needs a column of numbers that neither scores nor documents have.

    ``carried`` are the columns of the documents next to the scores, with their types; ``of_documents`` are names that
    a mistyped one may mean.
    """
    column_to_option = {bound.column: bound.option for bound in criteria.bounds}
    if criteria.band:
        column_to_option[criteria.band.column] = "--by"
    for column, option in column_to_option.items():
        _check_column(column, option, scores, carried, of_documents)


def _check_column(
    column: str, option: str, scores: pa.Schema, carried: Mapping[str, pa.DataType], of_documents: Sequence[str]
) -> None:
    types = {one.name: one.type for one in scores if one.name not in ("row", "hash")}
    numbers = [name for name, kind in types.items() if kinds.is_measure(kind)]
    if column in numbers or kinds.is_measure(carried.get(column, pa.null())):
        return
    if column not in types and (signal := find_signal(column)) is not None:
        raise UsageError(f"{option}: the scores have no {column}", f"score again with --signals {signal.name}, or all")
    shown = [name for name in numbers if not is_sum(name)]
    if is_score_name(column):
        hint = f"{option} {PREFIX}{column} is that of the documents; there are: {', '.join(shown)}"
        raise UsageError(f"{option}: the column {column} of the scores holds no numbers", hint)
    if column in carried:
        held = kinds.describe_kind(carried[column])
        raise UsageError(
            f"{option}: the column {column} of the documents holds {held}, not numbers", "curate filter -h"
        )
    close = difflib.get_close_matches(column, [*numbers, *ALIASES, *of_documents], 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"{option}: the scores have no column of numbers {column!r}", f"{meant}there are: {', '.join(shown)}"
    )
