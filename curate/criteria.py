"""What ``filter`` can ask of a document, from options to one SQL expression that gives the reason.

A document is asked in this order, and the first answer that rejects it is its reason:

    unreadable            counted apart: there was no document to judge
    unscored: STATUS      empty, too_long, unscorable, not_finite: never kept by accident, never given a best score
    contaminated: SET     what ``curate decontaminate`` found in it (``curate.rejections``)
    exact duplicate       near duplicate: what ``curate dedup`` found
    the bounds            perplexity > …, perplexity < …, bits_per_byte …, tokens …, zlib_ratio < …   (included)
    where is false        the user's SQL; ``where is null`` where it has no answer
    COLUMN above / below percentile P

A null or NaN in a column that a criterion asks for rejects (``zlib_ratio is null``). Percentiles are those of the
scored documents that are neither contaminated nor duplicates, whatever the other criteria reject, so that criteria do
not depend on each other; the table that SQL sees as ``scores`` is without those documents, too. Ties go by key (file,
row), so that the share that is kept is exact and ``low`` and ``high`` of rates that add up to 1 share no document.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import duckdb

from curate import decisions, tables
from curate.errors import UsageError

ALIASES = {"ppl": "perplexity", "bpb": "bits_per_byte", "zlib": "zlib_ratio"}


@dataclass(frozen=True, slots=True)
class Bound:
    """A column and the value that it may reach and not pass."""

    option: str
    column: str
    sign: str
    """``>`` rejects what is above (an upper bound), ``<`` what is below."""
    value: float


@dataclass(frozen=True, slots=True)
class Band:
    """The documents between two shares of the corpus, ordered by one column."""

    column: str
    low: Fraction
    high: Fraction


@dataclass(frozen=True, slots=True)
class Criteria:
    """All that one call of ``filter`` asks."""

    bounds: tuple[Bound, ...]
    where: str | None
    band: Band | None

    def __bool__(self) -> bool:
        return bool(self.bounds or self.where is not None or self.band)


NOTHING = Criteria((), None, None)


def criteria_of(options: Mapping[str, Any]) -> Criteria:
    """The options as criteria, in the order in which they reject. UsageError for those that mean nothing."""
    bounds = tuple(
        Bound(f"--{name.replace('_', '-')}", ALIASES.get(name[4:], name[4:]), sign, _number(name, options[name]))
        for name, sign in (
            ("max_ppl", ">"),
            ("min_ppl", "<"),
            ("max_bpb", ">"),
            ("min_bpb", "<"),
            ("min_tokens", "<"),
            ("max_tokens", ">"),
            ("min_zlib", "<"),
        )
        if options.get(name) is not None
    )
    _check_order(bounds)
    return Criteria(
        bounds, _where(options.get("where")), _band(options.get("keep"), options.get("rate"), options.get("by"))
    )


def _number(name: str, value: float) -> float:
    if not math.isfinite(value) or value < 0:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} {value} is no bound: it must be a number from 0 on", f"leave {option} out for none")
    return value


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
        raise UsageError(f"--where is no SQL expression: {decisions.first_line(error)}", hint) from error
    return text


def _band(keep: str | None, rate: float | None, by: str | None) -> Band | None:
    if keep is None:
        for option, value in (("--rate", rate), ("--by", by)):
            if value is not None:
                raise UsageError(f"{option} {value} says nothing without --keep", f"--keep middle {option} {value}")
        return None
    low, high = _shares(keep, rate)
    column = by or "ppl"
    return Band(ALIASES.get(column, column), low, high)


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
    found: dict[str, Any] = {bound.option.lstrip("-").replace("-", "_"): bound.value for bound in criteria.bounds}
    if criteria.where is not None:
        found["where"] = criteria.where
    if criteria.band is not None:
        low, high = _percent(criteria.band.low), _percent(criteria.band.high)
        found.update(keep=f"{low}:{high}", by=criteria.band.column)
    return found


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.10g}"


# From criteria to SQL.


def check_columns(connection: duckdb.DuckDBPyConnection, criteria: Criteria) -> None:
    """UsageError where a criterion asks for a column that the scores lack, or that is no number."""
    known = decisions.columns(connection)
    wanted = {bound.column: bound.option for bound in criteria.bounds}
    if criteria.band:
        wanted[criteria.band.column] = "--by"
    for column, option in wanted.items():
        _check_column(column, option, known)
    if criteria.where is not None:
        _check_where(connection, criteria.where, known)


def _check_column(column: str, option: str, known: Mapping[str, str]) -> None:
    numbers = [
        name for name, kind in known.items() if kind in ("DOUBLE", "FLOAT", "BIGINT", "INTEGER") and name != "row"
    ]
    if column in numbers:
        return
    if column == "zlib_ratio":
        raise UsageError(f"{option}: the scores have no zlib_ratio", "score again with --signals zlib_ratio")
    close = difflib.get_close_matches(column, [*numbers, *ALIASES], 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"{option}: the scores have no column of numbers {column!r}", f"{meant}there are: {', '.join(numbers)}"
    )


def _check_where(connection: duckdb.DuckDBPyConnection, where: str, known: Mapping[str, str]) -> None:
    """Bind the condition as a WHERE clause: DuckDB says what is wrong, the hint which columns there are."""
    hint = f"the columns are: {', '.join(known)}"
    for column, verb in (("contaminated", "decontaminate"), ("eval_sets", "decontaminate"), ("duplicate", "dedup")):
        if re.search(rf"\b{column}\b", where) and column not in known:
            hint = f"{column} is a column once curate {verb} has run; {hint}"
    try:
        connection.execute(f"EXPLAIN SELECT 1 FROM scores WHERE (\n{where}\n)")
        kind = connection.execute(f"DESCRIBE SELECT (\n{where}\n) FROM scores").fetchall()[0][1]
    except duckdb.Error as error:
        raise UsageError(f"--where: {decisions.first_line(error)}", hint) from error
    if kind != "BOOLEAN":
        raise UsageError(f"--where gives {kind}, not true or false", hint)
    _check_steady(connection, where)


def _check_steady(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Refuse functions that answer differently each time: the same run must give the same documents."""
    query = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    changing = {str(name) for (name,) in connection.execute(query).fetchall()}
    for name in re.findall(r"\b([a-z_]\w*)\s*\(", where.lower()):
        if name in changing:
            raise UsageError(
                f"--where: {name}() gives another answer each time", "a run must be reproducible; leave it out"
            )


def reason_of(connection: duckdb.DuckDBPyConnection, criteria: Criteria) -> str:
    """The SQL expression over ``documents`` of a row's reason: null for what is kept."""
    cases = ["WHEN status = 'unreadable' THEN 'unreadable'"]
    cases.append("WHEN status IS DISTINCT FROM 'ok' THEN 'unscored: ' || coalesce(status, 'no status')")
    cases.append("WHEN rejection IS NOT NULL THEN rejection")
    for bound in criteria.bounds:
        cases += _bound_cases(bound)
    if criteria.where is not None:
        cases.append(f"WHEN (\n{criteria.where}\n) IS NULL THEN 'where is null'")
        cases.append(f"WHEN NOT (\n{criteria.where}\n) THEN 'where is false'")
    if criteria.band is not None:
        cases += _band_cases(connection, criteria.band)
    return f"CASE {' '.join(cases)} END"


def _bound_cases(bound: Bound) -> list[str]:
    """A value of a FLOAT column is compared in single precision, so that a bound of 0.7 includes its 0.7."""
    value = f"CAST('{bound.value!r}' AS DOUBLE)"
    passes = f"{bound.column} {bound.sign} {value}"
    if bound.column == "zlib_ratio":
        passes = f"{bound.column} {bound.sign} CAST({value} AS FLOAT)"
    return [
        f"WHEN {bound.column} IS NULL THEN '{bound.column} is null'",
        f"WHEN {passes} THEN '{bound.column} {bound.sign} {bound.value:.10g}'",
    ]


def _band_cases(connection: duckdb.DuckDBPyConnection, band: Band) -> list[str]:
    """The band as two places in the order (value, file, row): a comparison for each row instead of a rank."""
    column = band.column
    ranked = f"FROM scores WHERE status = 'ok' AND {column} IS NOT NULL"
    count = connection.execute(f"SELECT count(*) {ranked}").fetchall()[0][0]
    first, end = (math.floor(share * count + Fraction(1, 2)) for share in (band.low, band.high))
    cases = [f"WHEN {column} IS NULL THEN '{column} is null'"]
    for rank, sign, side, share in ((first, "<", "below", band.low), (end - 1, ">", "above", band.high)):
        reason = f"THEN '{column} {side} percentile {_percent(share)}'"
        if first >= end:
            cases.append(f"WHEN true {reason}")
            continue
        order = f"ORDER BY {column}, file, row LIMIT 1 OFFSET {rank}"
        value, file, row = connection.execute(f"SELECT {column}::DOUBLE, file, row {ranked} {order}").fetchall()[0]
        here = f"CAST('{value!r}' AS DOUBLE)"
        tie = f"(file {sign} {tables.quote(file)} OR (file = {tables.quote(file)} AND row {sign} {row}))"
        cases.append(f"WHEN {column} {sign} {here} OR ({column} = {here} AND {tie}) {reason}")
    return cases
