"""A ranking of datasets: from the sums of their examples to places, with how sure each place is.

Pure arithmetic over ``curate.sft.ranking.measures`` and ``curate.sft.ranking.bootstrap``;
``curate.sft.ranking.session`` measures, ``curate.sft.measuring.response_cache`` keeps, ``curate.sft.ranking.summary``
shows. A dataset that repeats its answers is measured and set aside: a model can say one sentence perfectly, and such a
dataset teaches little else, so that it has no place, whatever its perplexity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.runtime.numbers import format_percent
from curate.sft.ranking import agreement, bootstrap, measures
from curate.sft.ranking.measures import MEASURES

Floats = NDArray[np.float64]
Sums = Mapping[str, Floats]

RANKABLE = tuple(name for name, measure in MEASURES.items() if measure.lower_is_better)
FEW = 30  # examples below which intervals promise too much; see ``curate.sft.ranking.bootstrap``
DISTINCT = 0.5  # share of different answers below which a dataset is set aside
HEAVY, OUTWEIGHS = 0.05, 10  # share of a dataset's tokens in one example, and times its fair share, that sway the rest
SHORT = 5  # tokens of the middle answer
ENOUGH = 5  # examples from which a repetition is no accident


@dataclass(frozen=True, slots=True)
class MeasuredDataset:
    """A dataset with what was measured of it under one model and template. N examples that have numbers."""

    name: str
    sums: Sums  # N each, see ``measures.SUMS``; NaN where an example could not be scored, so that models stay paired
    answered: NDArray[np.uint64]  # hashes of the answers of those that could


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, and the 95 % bootstrap interval around it; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RankedDataset:
    """Where one dataset stands, and all that was measured of it."""

    name: str
    examples: int
    """Examples that have numbers."""
    scores: dict[str, Interval]
    """By the name of the measure."""
    rank: int | None
    """1 the best; None for a dataset that is set aside."""
    rank_low: int | None
    rank_high: int | None
    best: float
    """The share of bootstrap draws in which it is first."""
    group: str
    """Letters; two datasets that share one cannot be told apart."""
    flags: tuple[str, ...]
    """What a reader should know before trusting its place."""
    set_aside: bool
    distinct: float
    """Share of different answers."""


@dataclass(frozen=True, slots=True)
class NeighbourPair:
    """Two datasets that follow one another in the ranking."""

    better: str
    worse: str
    separated: bool
    reversed_share: float
    """The share of draws in which they stand the other way round."""
    examples: tuple[int, int]
    needed: tuple[float, float]
    """Examples of each that would tell them apart in four samples of five; infinite for no difference."""


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Two rankings of the same datasets beside each other: under another model, template or measure."""

    first: str
    second: str
    tau: float
    """Kendall's τ-b: 1 the same order, −1 the reverse."""
    low: float
    high: float
    reversals: int
    """Pairs that stand the other way round, chance included."""
    changes: tuple[tuple[str, str], ...]
    """Pairs that change places beyond chance: better under the first, better under the second."""


@dataclass(frozen=True, slots=True)
class RankingTable:
    """One ranking: every dataset under one model, one template, by one measure; best first, set-aside ones last."""

    by: str
    places: tuple[RankedDataset, ...]
    pairs: tuple[NeighbourPair, ...]
    values: dict[str, Floats]
    """For each measure one value a dataset that is ranked, in the order of ``names``."""
    draws: dict[str, Floats]
    """The same, B × D."""
    names: tuple[str, ...]
    """The datasets that are ranked, in the order in which they were given."""


def rank(entrants: Sequence[MeasuredDataset], by: str, draws: int, seed: int) -> RankingTable:
    """Rank datasets by a measure of ``RANKABLE``, lowest first.

    Equal values go by the order in which the datasets are given. The draws of a dataset depend on its name, its
    examples and the seed alone. ValueError for a measure that no dataset is better by.
    """
    if by not in RANKABLE:
        raise ValueError(f"{by} ranks nothing; one of {', '.join(RANKABLE)}")
    slope, centre = measures.fit_length([one.sums for one in entrants])
    values, drawn = {}, {}
    for one in entrants:
        columns = measures.columns(one.sums, slope, centre)
        sums = bootstrap.resample(columns, draws, bootstrap.make_generator(seed, one.name))
        values[one.name], drawn[one.name] = measures.evaluate(columns.sum(axis=0)), measures.evaluate(sums)
    ranked = [one for one in entrants if not is_set_aside(one)]
    names = tuple(one.name for one in ranked)
    values_D = {name: np.array([values[one][name] for one in names], np.float64) for name in MEASURES}
    draws_BD = {name: _stack([drawn[one][name] for one in names], draws) for name in MEASURES}
    scores = {one.name: _bound(values[one.name], drawn[one.name]) for one in entrants}
    order = np.argsort(values_D[by], kind="stable").tolist()
    places = _place(entrants, ranked, scores, values_D[by], draws_BD[by], order)
    pairs = _pair(ranked, values_D[by], draws_BD[by], order)
    return RankingTable(by, places, pairs, values_D, draws_BD, names)


def _stack(columns: Sequence[Floats], draws: int) -> Floats:
    return np.stack(columns, axis=1) if columns else np.zeros((draws, 0))


def _bound(values: Mapping[str, Floats], draws: Mapping[str, Floats]) -> dict[str, Interval]:
    found = {}
    for name in MEASURES:
        low, high = bootstrap.bound(draws[name])
        found[name] = Interval(float(values[name]), float(low), float(high))
    return found


def _place(
    entrants: Sequence[MeasuredDataset],
    ranked: Sequence[MeasuredDataset],
    scores: Mapping[str, dict[str, Interval]],
    values_D: Floats,
    draws_BD: Floats,
    order: Sequence[int],
) -> tuple[RankedDataset, ...]:
    standings = bootstrap.stand(values_D, draws_BD)
    letters = agreement.label(agreement.group(order, bootstrap.separate(values_D, draws_BD)), len(ranked))
    found = []
    for at in order:
        one, own = ranked[at], standings[at]
        found.append(_describe(one, scores[one.name], own.rank, own.rank_low, own.rank_high, own.best, letters[at]))
    aside = [one for one in entrants if is_set_aside(one)]
    return (*found, *(_describe(one, scores[one.name], None, None, None, math.nan, "") for one in aside))


def _describe(
    one: MeasuredDataset,
    scores: dict[str, Interval],
    place: int | None,
    low: int | None,
    high: int | None,
    best: float,
    group: str,
) -> RankedDataset:
    flags = find_flags(one)
    count = len(one.answered)
    return RankedDataset(
        one.name,
        count,
        scores,
        place,
        low,
        high,
        best,
        group,
        flags,
        is_set_aside(one),
        count_distinct(one) / max(count, 1),
    )


def _pair(
    ranked: Sequence[MeasuredDataset], values_D: Floats, draws_BD: Floats, order: Sequence[int]
) -> tuple[NeighbourPair, ...]:
    counts = [len(one.answered) for one in ranked]
    return tuple(
        NeighbourPair(
            ranked[one.better].name,
            ranked[one.worse].name,
            one.separated,
            one.reversed_share,
            (counts[one.better], counts[one.worse]),
            one.needed,
        )
        for one in bootstrap.compare(values_D, draws_BD, order, counts)
    )


def count_distinct(one: MeasuredDataset) -> int:
    """How many different answers a dataset gives, case and white space apart."""
    return len(np.unique(one.answered))


def is_set_aside(one: MeasuredDataset) -> bool:
    """Whether a dataset repeats its answers so much that its perplexity says nothing of its fit."""
    count = len(one.answered)
    return count >= ENOUGH and count_distinct(one) < DISTINCT * count


def find_flags(one: MeasuredDataset) -> tuple[str, ...]:
    """What a reader should know of a dataset before trusting its place."""
    count, flags = len(one.answered), []
    if is_set_aside(one):
        flags.append(f"repeats its answers: {count_distinct(one):,} different among {count:,}")
    if count < 2:
        flags.append("one example: nothing is known of how sure its numbers are" if count else "no example was scored")
    elif count < FEW:
        flags.append(f"only {count} examples: the intervals promise too much")
    tokens = one.sums["tokens"]
    share = float(np.nanmax(tokens) / np.nansum(tokens)) if count >= FEW else 0.0
    if share > max(HEAVY, OUTWEIGHS / max(count, 1)):
        flags.append(f"one example holds {format_percent(share, 0)} of its scored tokens")
    middle = float(np.nanmedian(tokens)) if count else 0.0
    if count and middle < SHORT:
        flags.append(f"very short answers: {middle:.0f} tokens in the middle")
    return tuple(flags)


def compare_tables(first: RankingTable, second: RankingTable, names: tuple[str, str]) -> RankAgreement:
    """The same datasets under two models or templates, by the measure of the first."""
    common = [name for name in first.names if name in second.names]
    one, two = ([table.names.index(name) for name in common] for table in (first, second))
    return _agree(
        names,
        common,
        (first.values[first.by][one], first.draws[first.by][:, one]),
        (second.values[first.by][two], second.draws[first.by][:, two]),
    )


def compare_measures(table: RankingTable) -> list[RankAgreement]:
    """The order by every other rankable measure beside the order by the table's own."""
    own = (table.values[table.by], table.draws[table.by])
    return [
        _agree((table.by, name), table.names, own, (table.values[name], table.draws[name]))
        for name in RANKABLE
        if name != table.by
    ]


def _agree(
    names: tuple[str, str], datasets: Sequence[str], first: tuple[Floats, Floats], second: tuple[Floats, Floats]
) -> RankAgreement:
    low, high = agreement.bound_agreement(first[1], second[1])
    changes = agreement.find_changes(*first, *second)
    return RankAgreement(
        *names,
        agreement.agree(first[0], second[0]),
        low,
        high,
        agreement.count_reversals(first[0], second[0]),
        tuple((datasets[one.first], datasets[one.second]) for one in changes),
    )


def as_record(place: RankedDataset) -> dict[str, Any]:
    """A place as JSON: each score under its own name, its interval under ``intervals``."""
    values = {name: one.value for name, one in place.scores.items()}
    return {
        "name": place.name,
        "rank": place.rank,
        "rank_interval": None if place.rank is None else [place.rank_low, place.rank_high],
        "p_best": place.best,
        "group": place.group,
        "scored": place.examples,
        **values,
        "intervals": {name: [one.low, one.high] for name, one in place.scores.items()},
        "distinct_answers": place.distinct,
        "flags": list(place.flags),
        "set_aside": place.set_aside,
    }
