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
from curate.sft.ranking.measured_dataset import MeasuredDataset, count_distinct, find_flags, is_set_aside
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
    """1 for the best; None for a dataset that is set aside."""
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
    """Best first, those that are set aside last."""
    pairs: tuple[NeighbourPair, ...]
    """Neighbours in the ranking, best first."""
    values: dict[str, Float64Array]
    """By measure, the values (D) of the datasets that are ranked, in the order of ``names``."""
    draws: dict[str, Float64Array]
    """By measure, the bootstrap draws (B × D)."""
    names: tuple[str, ...]
    """The datasets that are ranked, in the order in which they were given."""


def rank_measured(datasets: Sequence[MeasuredDataset], by: str, draws: int, seed: int) -> RankingTable:
    """Rank datasets by a measure of ``RANKABLE``, lowest first.

    Equal values rank in the order in which the datasets are given. The draws of a dataset depend on its name, its
    examples and the seed alone. Raises ValueError for a measure that cannot rank.
    """
    if by not in RANKABLE:
        raise ValueError(f"by must be one of {', '.join(RANKABLE)}, not {by}")
    slope, centre = measures.fit_length([dataset.sums for dataset in datasets])
    values, drawn = {}, {}
    for dataset in datasets:
        columns = measures.build_columns(dataset.sums, slope, centre)
        sums = bootstrap.resample(columns, draws, bootstrap.make_generator(seed, dataset.name))
        values[dataset.name] = measures.evaluate_measures(columns.sum(axis=0))
        drawn[dataset.name] = measures.evaluate_measures(sums)
    candidates = [dataset for dataset in datasets if not is_set_aside(dataset)]
    names = tuple(dataset.name for dataset in candidates)
    values_D = {measure: np.array([values[name][measure] for name in names], np.float64) for measure in MEASURES}
    draws_BD = {measure: _stack_draws([drawn[name][measure] for name in names], draws) for measure in MEASURES}
    scores = {dataset.name: _find_scores(values[dataset.name], drawn[dataset.name]) for dataset in datasets}
    order = np.argsort(values_D[by], kind="stable").tolist()
    ranked = _rank_candidates(candidates, scores, values_D[by], draws_BD[by], order)
    aside = [_describe_aside(dataset, scores[dataset.name]) for dataset in datasets if is_set_aside(dataset)]
    pairs = _compare_neighbours(candidates, values_D[by], draws_BD[by], order)
    return RankingTable(by, (*ranked, *aside), pairs, values_D, draws_BD, names)


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
    order: Sequence[int],
) -> list[RankedDataset]:
    ranks = bootstrap.find_rank_intervals(values_D, draws_BD)
    groups = agreement.group_datasets(order, bootstrap.find_separated_pairs(values_D, draws_BD))
    letters = agreement.label_groups(groups, len(candidates))
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
            flags=find_flags(candidates[index]),
            set_aside=False,
            distinct=_share_distinct(candidates[index]),
        )
        for index in order
    ]


def _describe_aside(dataset: MeasuredDataset, scores: dict[str, Interval]) -> RankedDataset:
    return RankedDataset(
        name=dataset.name,
        examples=len(dataset.answered),
        scores=scores,
        rank=None,
        rank_low=None,
        rank_high=None,
        best=math.nan,
        group="",
        flags=find_flags(dataset),
        set_aside=True,
        distinct=_share_distinct(dataset),
    )


def _share_distinct(dataset: MeasuredDataset) -> float:
    return count_distinct(dataset) / max(len(dataset.answered), 1)


def _compare_neighbours(
    candidates: Sequence[MeasuredDataset], values_D: Float64Array, draws_BD: Float64Array, order: Sequence[int]
) -> tuple[NeighbourPair, ...]:
    counts = [len(dataset.answered) for dataset in candidates]
    return tuple(
        NeighbourPair(
            candidates[pair.better].name,
            candidates[pair.worse].name,
            pair.separated,
            pair.reversed_share,
            (counts[pair.better], counts[pair.worse]),
            pair.needed,
        )
        for pair in bootstrap.compare_neighbours(values_D, draws_BD, order, counts)
    )


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
        "rank": ranked.rank,
        "rank_interval": None if ranked.rank is None else [ranked.rank_low, ranked.rank_high],
        "p_best": ranked.best,
        "group": ranked.group,
        "scored": ranked.examples,
        **values,
        "intervals": {name: [score.low, score.high] for name, score in ranked.scores.items()},
        "distinct_answers": ranked.distinct,
        "flags": list(ranked.flags),
        "set_aside": ranked.set_aside,
    }
