"""What ``filter`` can ask of a document, and in which order.

A document is asked in this order, and the first answer that rejects it is its reason:

    unreadable            counted apart: there was no document to judge
    unscored: STATUS      empty, too_long, unscorable, not_finite: never kept by accident, never given a best score
    contaminated: SET     what ``curate decontaminate`` found in it (``curate.rundir.rejections``)
    exact duplicate       near duplicate: what ``curate dedup`` found
    the bounds            perplexity > …, perplexity < …, bits_per_byte …, tokens …, zlib_ratio < … (included)
    where is false        the user's SQL; ``where is null`` where it has no answer
    the band              COLUMN above / below percentile P, beyond a budget of tokens, or not drawn

A null or NaN in a column that a criterion asks for rejects (``zlib_ratio is null``). Percentiles are those of the
scored documents that are neither contaminated nor duplicates, whatever the other criteria reject, so that criteria do
not depend on each other; the table that SQL sees as ``scores`` is without those documents, too. A budget of tokens is
spent on the documents that every other criterion keeps. ``within`` counts shares in each group by itself, and gives
each group its share of a budget. Ties go by the order of the corpus, so that the share that is kept is exact and
``low`` and ``high`` of rates that add up to 1 share no document.

A draw (``temperature`` T) keeps documents by chance, without replacement, each with odds that go with exp(z/T): z is
how many standard deviations of its group the document lies toward the side that is asked for (of the mean nats a token
where that is perplexity). T near 0 keeps the best, a large T draws evenly. Gumbel noise added to z/T and the highest
sums taken give these odds (Kool et al. 2019, arXiv 1903.06059; for choosing training text Wettig et al. 2024, arXiv
2402.09739).
"""

import difflib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.rundir import document_columns, scores_view, sql
from curate.rundir.schemas import ALIASES, SIGNALS
from curate.runtime.numbers import parse_tokens, spell_tokens

SINGLE = ("zlib_ratio", "repeated_5grams", "repeated_lines")
"""Columns of single precision, whose bounds are compared in it, so that a bound of 0.7 includes its 0.7."""
BOUNDS = {
    "max_ppl": ">",
    "min_ppl": "<",
    "max_bpb": ">",
    "min_bpb": "<",
    "min_tokens": "<",
    "max_tokens": ">",
    "min_zlib": "<",
    "max_repeated_5grams": ">",
    "max_repeated_lines": ">",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A column and the value that it may reach and not pass."""

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
    """How documents are drawn: toward which side, how strictly, and by which seed."""

    toward: str
    temperature: float
    seed: int
    middle: NDArray[np.float64]
    """The mean of what is gone by, in each group; empty before the corpus was looked at."""
    scale: NDArray[np.float64]
    """Its standard deviation."""


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
        """Whether places are counted in tokens, and not in documents."""
        return self.budget is not None

    def with_draw(self, middle: NDArray[np.float64], scale: NDArray[np.float64]) -> "Band":
        """The same band, with what the draw needs to know of the corpus."""
        assert self.draw is not None
        return replace(self, draw=replace(self.draw, middle=middle, scale=scale))

    def ends(self, weights: Sequence[int]) -> list[tuple[int, int, int]]:
        """The places [low, high) that are kept of each group, and how far places go, from the groups' weights."""
        whole = sum(weights)
        return [self._ends(weight, whole) for weight in weights]

    def _ends(self, weight: int, whole: int) -> tuple[int, int, int]:
        if self.budget is None:
            first, last = (math.floor(share * weight + Fraction(1, 2)) for share in (self.low, self.high))
            return first, last, weight
        part = weight if self.budget >= whole else self.budget * weight // max(whole, 1)
        if self.low == 0:
            return 0, part, weight
        first = weight - part if self.high == 1 else (weight - part) // 2
        return first, first + part, weight

    def reasons(self) -> tuple[str, str]:
        """Why a document below the band is rejected, and why one above."""
        of = f" of its {' and '.join(self.within)}" if self.within else ""
        if self.draw is not None:
            said = f"not drawn (temperature {self.draw.temperature:.10g}){of.replace(' of', ' in')}"
            return said, said
        if self.budget is not None:
            budget = f"the budget of {spell_tokens(self.budget)} tokens"
            return f"{self.column} below {budget}", f"{self.column} above {budget}"
        low, high = _percent(self.low), _percent(self.high)
        return f"{self.column} below percentile {low}{of}", f"{self.column} above percentile {high}{of}"


@dataclass(frozen=True, slots=True)
class Criteria:
    """All that one call of ``filter`` asks."""

    bounds: tuple[Bound, ...]
    where: str | None
    band: Band | None

    def __bool__(self) -> bool:
        return bool(self.bounds or self.where is not None or self.band)

    def columns(self) -> tuple[str, ...]:
        """The columns of numbers that are asked for."""
        names = [bound.column for bound in self.bounds] + ([self.band.column] if self.band else [])
        return tuple(dict.fromkeys(names))


NOTHING = Criteria((), None, None)


def trials_of(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a dry run tries: one set of options for each combination of the bounds that have several values."""
    several = {name: value for name, value in options.items() if isinstance(value, (tuple, list))}
    found = [{name: value for name, value in options.items() if name not in several}]
    for name, values in several.items():
        found = [{**one, name: value} for one in found for value in values]
    return [{name: one[name] for name in options} for one in found]


def criteria_of(options: Mapping[str, Any]) -> Criteria:
    """The options as criteria, in the order in which they reject. UsageError for those that mean nothing."""
    bounds = tuple(
        Bound(f"--{name.replace('_', '-')}", ALIASES.get(name[4:], name[4:]), sign, _number(name, options[name]))
        for name, sign in BOUNDS.items()
        if options.get(name) is not None
    )
    _check_order(bounds)
    if options.get("seed") and options.get("temperature") is None:
        seed = options["seed"]
        raise UsageError(f"--seed {seed} says nothing without --temperature", f"--temperature 1 --seed {seed}")
    return Criteria(bounds, _where(options.get("where")), _band(options))


def _number(name: str, value: Any) -> float:
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, (tuple, list)):
        shown = ",".join(f"{one:.10g}" for one in value)
        raise UsageError(f"{option} {shown}: a decision has one bound", f"try several with --dry-run {option} {shown}")
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{option} {value} is no bound: it must be a number from 0 on", f"leave {option} out for none")
    return float(value)


def _check_order(bounds: Sequence[Bound]) -> None:
    lows = {bound.column: bound for bound in bounds if bound.sign == "<"}
    for high in bounds:
        low = lows.get(high.column)
        if high.sign == ">" and low is not None and low.value > high.value:
            pair = f"{low.option} {low.value:g} is above {high.option} {high.value:g}"
            raise UsageError(f"{pair}: nothing lies between them", "swap the two values")


def _where(text: str | None) -> str | None:
    """The user's condition, checked to be one SQL expression and nothing around it."""
    if text is None:
        return None
    try:
        duckdb.SQLExpression(text)
    except duckdb.Error as error:
        hint = 'one condition over the columns, as in --where "perplexity < 50 and tokens >= 64"'
        raise UsageError(f"--where is no SQL expression: {explain(error)}", hint) from error
    return text


def _band(options: Mapping[str, Any]) -> Band | None:
    keep, rate, by = (options.get(name) for name in ("keep", "rate", "by"))
    within, budget, temperature = (options.get(name) for name in ("within", "tokens", "temperature"))
    if keep is None:
        _refuse_alone({"rate": rate, "by": by, "within": within, "tokens": budget, "temperature": temperature})
        return None
    column = by or "ppl"
    named = document_columns.split(within) if within else ()
    low, high = _shares(keep, rate)
    if budget is not None and (rate is not None or ":" in keep):
        said = f"--rate {rate}" if rate is not None else f"--keep {keep}"
        raise UsageError(f"{said} and --tokens {budget} both say how much to keep", "leave one of them out")
    band = Band(ALIASES.get(column, column), low, high, tuple(named), None if budget is None else parse_tokens(budget))
    return band if temperature is None else _drawn(band, keep, temperature, options.get("seed") or 0)


def _refuse_alone(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name} {value} says nothing without --keep", f"--keep middle --{name} {value}")


def _drawn(band: Band, keep: str, temperature: float, seed: int) -> Band:
    """The band as a share that is drawn."""
    if ":" in keep:
        hint = f"--keep low, middle or high with --temperature {temperature}"
        raise UsageError(f"--keep {keep}: a draw has no percentiles, for any document may be drawn", hint)
    if not math.isfinite(temperature) or temperature <= 0:
        hint = "1 draws softly, 0.1 nearly keeps the best; without --temperature nothing is left to chance"
        raise UsageError(f"--temperature {temperature} is no temperature: above 0", hint)
    draw = WeightedDraw(keep, temperature, seed, np.zeros(0), np.zeros(0))
    return replace(band, low=Fraction(0), high=band.high - band.low, draw=draw)


def _shares(keep: str, rate: float | None) -> tuple[Fraction, Fraction]:
    """The two shares between which ``keep`` keeps, exact, so that .5 is a half and neighbours do not overlap."""
    part = Fraction(str(rate)) if rate is not None and math.isfinite(rate) else Fraction(1, 2)
    if rate is not None and not 0 < rate <= 1:
        raise UsageError(f"--rate {rate} is not a share of the documents: above 0, up to 1", "--rate 0.5 keeps half")
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
        raise UsageError(f"--keep {keep} already says how much; --rate {rate} would say it again", "leave out --rate")
    return low, high


def parameters_of(criteria: Criteria) -> dict[str, Any]:
    """The criteria as JSON, for the record, the card and the fingerprint."""
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
        found["within"] = ",".join(band.within)
    return found if band.budget is None else {**found, "tokens": band.budget}


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.10g}"


# Against a run.


def check_columns(scores: pa.Schema, criteria: Criteria, own: Mapping[str, str]) -> None:
    """UsageError where a criterion asks for a column that neither the scores nor the documents have as numbers.

    ``own`` are the columns of the documents that are carried, with their types.
    """
    wanted = {bound.column: bound.option for bound in criteria.bounds}
    if criteria.band:
        wanted[criteria.band.column] = "--by"
    for column, option in wanted.items():
        _check_column(column, option, scores, own)


def _check_column(column: str, option: str, scores: pa.Schema, own: Mapping[str, str]) -> None:
    kinds = {one.name: one.type for one in scores if one.name not in ("row", "hash")}
    numbers = [name for name, kind in kinds.items() if pa.types.is_floating(kind) or pa.types.is_integer(kind)]
    if column in numbers or own.get(column) in ("int64", "double"):
        return
    if column in SIGNALS:
        raise UsageError(f"{option}: the scores have no {column}", f"score again with --signals {column}, or all")
    if column in own:
        raise UsageError(f"{option}: the column {column} of the documents holds text, not numbers", "curate filter -h")
    close = difflib.get_close_matches(column, [*numbers, *ALIASES], 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"{option}: the scores have no column of numbers {column!r}", f"{meant}there are: {', '.join(numbers)}"
    )


def check_where(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Bind the condition as a WHERE clause: DuckDB says what is wrong, the hint which columns there are."""
    known = scores_view.list_columns(connection)
    hint = f"the columns are: {', '.join(known)}"
    for column, verb in scores_view.REJECTION_COLUMNS.items():
        if re.search(rf"\b{column}\b", where) and column not in known:
            hint = f"{column} is a column once curate {verb} has run; {hint}"
    try:
        connection.execute(f"EXPLAIN SELECT 1 FROM scores WHERE (\n{where}\n)")
        kind = connection.execute(f"DESCRIBE SELECT (\n{where}\n) FROM scores").fetchall()[0][1]
    except duckdb.Error as error:
        raise UsageError(f"--where: {explain(error)}", f"{_suggest(str(error), known)}{hint}") from error
    if kind != "BOOLEAN":
        raise UsageError(f"--where gives {kind}, not true or false", hint)
    _check_steady(connection, where)


def explain(error: duckdb.Error) -> str:
    """What DuckDB says of a condition, with the place that it points at."""
    lines = str(error).splitlines()
    for line, below in itertools.pairwise(lines):
        if line.startswith("LINE ") and set(below.strip()) == {"^"}:
            found = line[below.index("^") :].strip()
            return f"{sql.first_line(error)}, at: {found[:40]}{'…' if len(found) > 40 else ''}"
    return sql.first_line(error)


def _suggest(message: str, known: Mapping[str, str]) -> str:
    named = re.search(r'column "([^"]+)" not found', message)
    close = difflib.get_close_matches(named[1], known, 1) if named else []
    return f"did you mean {close[0]}? " if close else ""


def _check_steady(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Refuse functions that answer differently each time: the same run must give the same documents."""
    query = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    changing = {str(name) for (name,) in connection.execute(query).fetchall()}
    for name in re.findall(r"\b([a-z_]\w*)\s*\(", where.lower()):
        if name in changing:
            raise UsageError(
                f"--where: {name}() gives another answer each time", "a run must be reproducible; leave it out"
            )


def ask(criteria: Criteria) -> str:
    """The SQL of what ``where`` says of each document, in the order of the corpus: 0 false, 1 true, 2 null."""
    said = f"CASE WHEN (\n{criteria.where}\n) IS NULL THEN 2 WHEN (\n{criteria.where}\n) THEN 1 ELSE 0 END"
    guarded = f"CASE WHEN status = 'ok' AND rejection IS NULL THEN {said} ELSE 2 END"  # no cast fails on the others
    return f"SELECT {guarded}::TINYINT AS said, part, place FROM documents AS scores ORDER BY part, place"
