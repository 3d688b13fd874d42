"""The table of a ranking: from the sums of the examples to ranks, with how sure each rank is.

    MeasuredDataset, one for each dataset → columns of measures → values and bootstrap draws → RankingTable

Pure arithmetic over ``measures`` and ``bootstrap``. ``session`` measures, and ``summary``, ``page`` and ``files`` show.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.runtime.arrays import Float64Array
from curate.sft.ranking import agreement, bootstrap, measures
from curate.sft.ranking.agreement import NO_LENGTH_ORDER, LengthOrder
from curate.sft.ranking.languages import LanguageReading, find_language_flags, is_apart, judge_languages
from curate.sft.ranking.measured_dataset import (
    FEW,
    MeasuredDataset,
    count_distinct,
    find_flags,
    is_few,
    is_set_aside,
)
from curate.sft.ranking.measures import MEASURES, RANKABLE


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % bootstrap interval."""

    value: float
    low: float
    """The lower end; NaN where there is no interval."""
    high: float


@dataclass(frozen=True, slots=True)
class RankedDataset:
    """The rank of a dataset and all that was measured of it."""

    name: str
    examples: int
    """Examples that have numbers."""
    scores: dict[str, Interval]
    """By the name of the measure."""
    rank: int | None
    """1 for the best of those that it is ranked with; None for a dataset that is set aside."""
    rank_low: int | None
    """The 95 % interval of the rank is ``rank_low`` … ``rank_high``, ends included."""
    rank_high: int | None
    best: float
    """The share of bootstrap draws in which it is first; NaN where it is set aside."""
    group: str
    """Letters; two datasets that share one cannot be told apart."""
    flags: tuple[str, ...]
    """What a reader should know before trusting its rank."""
    set_aside: bool
    distinct: float
    """The share of different answers."""
    language: str = ""
    """The ISO 639-1 code of most of its examples; empty where it has no clear language."""
    apart: bool = False
    """Whether it is in a language that the base does not read: its rank is among those of that language."""


@dataclass(frozen=True, slots=True)
class NeighbourPair:
    """Two datasets that follow one another in the ranking."""

    better: str
    worse: str
    separated: bool
    reversed_share: float
    """The share of draws in which their order is reversed."""
    examples: tuple[int, int]
    """Examples of better and worse that have numbers."""
    needed: tuple[float, float]
    """Examples of each that would tell them apart in four of five samples; infinite for no difference."""


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Two rankings of the same datasets compared: by another model, template or measure."""

    first: str
    second: str
    tau: float
    """Kendall's τ-b: 1 the same order, −1 the reverse."""
    low: float
    """The 95 % interval of τ is ``low`` … ``high``."""
    high: float
    reversals: int
    """Pairs in the opposite order, chance included."""
    changes: tuple[tuple[str, str], ...]
    """Pairs whose order changes beyond chance: (better under the first, better under the second)."""


@dataclass(frozen=True, slots=True)
class RankingTable:
    """One ranking: every dataset under one model and one template, by one measure."""

    by: str
    """The name of the measure."""
    datasets: tuple[RankedDataset, ...]
    """Best first, then those that are ranked apart, by language, then those that are set aside."""
    pairs: tuple[NeighbourPair, ...]
    """Neighbours in the ranking, best first."""
    values: dict[str, Float64Array]
    """By measure, the values (D) of the datasets that are ranked, in the order of ``names``."""
    draws: dict[str, Float64Array]
    """By measure, the bootstrap draws (B × D)."""
    names: tuple[str, ...]
    """The datasets that are ranked, in the order in which they were given, without those apart."""
    length: LengthOrder = NO_LENGTH_ORDER
    """How far the order of these is that of their mean response length."""


def rank_measured(
    datasets: Sequence[MeasuredDataset], by: str, draws: int, seed: int, apart: bool = True, set_aside: bool = True
) -> RankingTable:
    """Rank datasets by a measure of ``RANKABLE``, lowest first.

    With ``apart``, datasets in a language that the base does not read are ranked among themselves; with ``set_aside``,
    those that repeat their answers have no rank. Equal values rank in the order in which the datasets are given. The
    draws of a dataset depend on its name, its examples and the seed alone. Raises ValueError for a measure that cannot
    rank.
    """
    if by not in RANKABLE:
        raise ValueError(f"by must be one of {', '.join(RANKABLE)}, not {by}")
    readings = judge_languages([dataset.languages for dataset in datasets])
    groups, aside = group_by_reading(datasets, readings if apart else {}, set_aside)
    slope, centre = measures.fit_length(
        [one.sums for one in datasets if not (apart and is_apart(one.languages, readings))]
    )
    values, drawn = {}, {}
    for dataset in datasets:
        columns = measures.build_columns(dataset.sums, slope, centre)
        sums = bootstrap.resample(columns, draws, bootstrap.make_generator(seed, dataset.name))
        values[dataset.name] = measures.evaluate_measures(columns.sum(axis=0))
        drawn[dataset.name] = measures.evaluate_measures(sums)
    scores = {dataset.name: _find_scores(values[dataset.name], drawn[dataset.name]) for dataset in datasets}
    ranked = []
    for language, members in groups.items():
        values_D = np.array([values[one.name][by] for one in members], np.float64)
        draws_BD = _stack_draws([drawn[one.name][by] for one in members], draws)
        ranked += _rank_candidates(members, scores, values_D, draws_BD, readings, bool(language))
    ranked += [_describe_aside(dataset, scores[dataset.name], readings) for dataset in aside]
    names = tuple(dataset.name for dataset in groups[""])
    values_by = {measure: np.array([values[name][measure] for name in names], np.float64) for measure in MEASURES}
    draws_by = {measure: _stack_draws([drawn[name][measure] for name in names], draws) for measure in MEASURES}
    pairs = _compare_neighbours(groups[""], values_by[by], draws_by[by])
    length = agreement.compare_with_length(values_by[by], values_by["response_tokens"])
    return RankingTable(by, tuple(ranked), pairs, values_by, draws_by, names, length)


def group_by_reading(
    datasets: Sequence[MeasuredDataset], readings: Mapping[str, LanguageReading], set_aside: bool
) -> tuple[dict[str, list[MeasuredDataset]], list[MeasuredDataset]]:
    """Return the datasets that are ranked together, by the language that sets them apart, and those without a rank.

    The languages that the base reads share the empty name, which is there without datasets too.
    """
    aside = [dataset for dataset in datasets if set_aside and is_set_aside(dataset)]
    groups: dict[str, list[MeasuredDataset]] = {"": []}
    for dataset in datasets:
        if not (set_aside and is_set_aside(dataset)):
            language = dataset.languages.main if is_apart(dataset.languages, readings) else ""
            groups.setdefault(language, []).append(dataset)
    return groups, aside


def _stack_draws(columns: Sequence[Float64Array], draws: int) -> Float64Array:
    return np.stack(columns, axis=1) if columns else np.zeros((draws, 0))


def _find_scores(values: Mapping[str, Float64Array], draws: Mapping[str, Float64Array]) -> dict[str, Interval]:
    """Return each measure of one dataset with its interval."""
    scores = {}
    for measure in MEASURES:
        low, high = bootstrap.find_interval(draws[measure])
        scores[measure] = Interval(float(values[measure]), float(low), float(high))
    return scores


def _rank_candidates(
    candidates: Sequence[MeasuredDataset],
    scores: Mapping[str, dict[str, Interval]],
    values_D: Float64Array,
    draws_BD: Float64Array,
    readings: Mapping[str, LanguageReading],
    apart: bool,
) -> list[RankedDataset]:
    """Return datasets that are ranked together, best first; one of few examples has no letter of its own."""
    order = np.argsort(values_D, kind="stable").tolist()
    ranks = bootstrap.find_rank_intervals(values_D, draws_BD)
    few = list(map(is_few, candidates))
    groups = agreement.group_datasets(
        order, agreement.join_few(bootstrap.find_separated_pairs(values_D, draws_BD), few)
    )
    letters = agreement.label_groups(groups, len(candidates))
    if few == [True]:
        letters = [""]
    return [
        RankedDataset(
            name=candidates[index].name,
            examples=len(candidates[index].answered),
            scores=scores[candidates[index].name],
            rank=ranks[index].rank,
            rank_low=ranks[index].rank_low,
            rank_high=ranks[index].rank_high,
            best=ranks[index].best,
            group=letters[index],
            flags=_list_flags(candidates[index], readings),
            set_aside=False,
            distinct=_share_distinct(candidates[index]),
            language=candidates[index].languages.main,
            apart=apart,
        )
        for index in order
    ]


def _list_flags(dataset: MeasuredDataset, readings: Mapping[str, LanguageReading]) -> tuple[str, ...]:
    """Return the flags of a dataset, those of its language first where it is not set aside for its answers."""
    strange, flags = find_language_flags(dataset.languages, readings), find_flags(dataset)
    return (*flags, *strange) if is_set_aside(dataset) else (*strange, *flags)


def _describe_aside(
    dataset: MeasuredDataset, scores: dict[str, Interval], readings: Mapping[str, LanguageReading]
) -> RankedDataset:
    return RankedDataset(
        name=dataset.name,
        examples=len(dataset.answered),
        scores=scores,
        rank=None,
        rank_low=None,
        rank_high=None,
        best=math.nan,
        group="",
        flags=_list_flags(dataset, readings),
        set_aside=True,
        distinct=_share_distinct(dataset),
        language=dataset.languages.main,
    )


def _share_distinct(dataset: MeasuredDataset) -> float:
    return count_distinct(dataset) / max(len(dataset.answered), 1)


def _compare_neighbours(
    candidates: Sequence[MeasuredDataset], values_D: Float64Array, draws_BD: Float64Array
) -> tuple[NeighbourPair, ...]:
    order = np.argsort(values_D, kind="stable").tolist()
    counts = [len(dataset.answered) for dataset in candidates]
    few = list(map(is_few, candidates))
    return tuple(
        NeighbourPair(
            candidates[pair.better].name,
            candidates[pair.worse].name,
            pair.separated and not (few[pair.better] or few[pair.worse]),
            pair.reversed_share,
            (counts[pair.better], counts[pair.worse]),
            require_enough(pair.needed),
        )
        for pair in bootstrap.compare_neighbours(values_D, draws_BD, order, counts)
    )


def require_enough(needed: tuple[float, float]) -> tuple[float, float]:
    """Return how many examples are needed, at least those with which a dataset can be told apart at all."""
    first, second = (number if math.isnan(number) else max(number, FEW) for number in needed)
    return first, second


def compare_tables(first: RankingTable, second: RankingTable, names: tuple[str, str]) -> RankAgreement:
    """Compare the datasets that both tables rank, by the measure of the first. ``names`` are those of the rankings."""
    common = [name for name in first.names if name in second.names]
    firsts, seconds = ([table.names.index(name) for name in common] for table in (first, second))
    return _compare_orders(
        names,
        common,
        (first.values[first.by][firsts], first.draws[first.by][:, firsts]),
        (second.values[first.by][seconds], second.draws[first.by][:, seconds]),
    )


def compare_measures(table: RankingTable) -> list[RankAgreement]:
    """Compare the order by the table's measure with the order by every other one of ``RANKABLE``."""
    ranking = (table.values[table.by], table.draws[table.by])
    return [
        _compare_orders((table.by, name), table.names, ranking, (table.values[name], table.draws[name]))
        for name in RANKABLE
        if name != table.by
    ]


def _compare_orders(
    names: tuple[str, str],
    datasets: Sequence[str],
    first: tuple[Float64Array, Float64Array],
    second: tuple[Float64Array, Float64Array],
) -> RankAgreement:
    """Compare two rankings, each given by its values (D) and draws (B × D)."""
    low, high = agreement.bound_agreement(first[1], second[1])
    changes = agreement.find_changes(*first, *second)
    return RankAgreement(
        *names,
        agreement.compute_tau(first[0], second[0]),
        low,
        high,
        agreement.count_reversals(first[0], second[0]),
        tuple((datasets[change.first], datasets[change.second]) for change in changes),
    )


def as_record(ranked: RankedDataset) -> dict[str, Any]:
    """Return a ranked dataset as JSON: each score under the name of its measure, its interval under ``intervals``."""
    values = {name: score.value for name, score in ranked.scores.items()}
    return {
        "name": ranked.name,
        "rank": None if ranked.apart else ranked.rank,
        "rank_interval": None if ranked.rank is None or ranked.apart else [ranked.rank_low, ranked.rank_high],
        "rank_apart": ranked.rank if ranked.apart else None,
        "p_best": ranked.best,
        "group": ranked.group,
        "scored": ranked.examples,
        **values,
        "intervals": {name: [score.low, score.high] for name, score in ranked.scores.items()},
        "distinct_answers": ranked.distinct,
        "flags": list(ranked.flags),
        "set_aside": ranked.set_aside,
        "language": ranked.language or None,
    }
