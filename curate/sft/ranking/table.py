"""The table of a ranking: from the sums of the examples to ranks, with how sure each rank is.

    MeasuredDataset, one for each dataset → columns of measures → values and bootstrap draws → RankingTable

Pure arithmetic over ``measures`` and ``bootstrap``. ``session`` measures, and ``summary``, ``page`` and ``files`` show.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array
from curate.sft.ranking import agreement, bootstrap, intervals, measures
from curate.sft.ranking.agreement import NO_LENGTH_ORDER, LengthOrder
from curate.sft.ranking.intervals import Interval
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
    """Letters; two datasets that share one cannot be told apart. Those ranked apart have letters of their own."""
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
    language: str = ""
    """The language for which both are ranked apart; empty for the ranking itself."""


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
    """Neighbours in the ranking, best first, then those among datasets that are ranked apart."""
    values: dict[str, Float64Array]
    """By measure, the values (D) of the datasets that are ranked, in the order of ``names``."""
    draws: dict[str, Float64Array]
    """By measure, the bootstrap draws (B × D)."""
    names: tuple[str, ...]
    """The datasets that are ranked, in the order in which they were given, without those apart."""
    length: LengthOrder = NO_LENGTH_ORDER
    """How far the order of these is that of their mean response length."""
    looks: int = 1
    """Looks at growing samples over which ranks, letters and neighbours hold."""


def rank_measured(
    datasets: Sequence[MeasuredDataset],
    by: str,
    draws: int,
    seed: int,
    looks: int = 1,
    *,
    apart: bool = True,
    set_aside: bool = True,
) -> RankingTable:
    """Rank datasets by a measure of ``RANKABLE``, lowest first.

    With ``apart``, datasets in a language that the base does not read are ranked among themselves; with ``set_aside``,
    those that repeat their answers have no rank. Equal values rank in the order in which the datasets are given. The
    draws of a dataset depend on its name, its examples and the seed alone. Ranks, letters and neighbours hold over
    ``looks`` at growing samples, and over the ranking and those apart, each of which has an equal part of the .05.
    Where an interval is withheld the draws are NaN, so that nothing is claimed of the dataset by that measure. Raises
    ValueError for a measure that cannot rank.
    """
    if by not in RANKABLE:
        raise ValueError(f"by must be one of {', '.join(RANKABLE)}, not {by}")
    readings = judge_languages([dataset.languages for dataset in datasets])
    groups, aside = group_by_reading(datasets, readings if apart else {}, set_aside)
    slope, centre = measures.fit_length(
        [one.sums for one in datasets if not (apart and is_apart(one.languages, readings))]
    )
    scores, drawn = {}, {}
    for dataset in datasets:
        columns = measures.build_columns(dataset.sums, slope, centre)
        generator = bootstrap.make_generator(seed, dataset.name)
        sums = bootstrap.resample(intervals.add_products(columns), draws, generator)
        scores[dataset.name] = intervals.find_intervals(columns, sums)
        drawn[dataset.name] = _find_draws(sums[:, : columns.shape[1]], scores[dataset.name])
    ranked: list[RankedDataset] = []
    pairs: list[NeighbourPair] = []
    tests = looks * max(sum(len(members) > 1 for members in groups.values()), 1)
    taken = 0
    for language, members in groups.items():
        comparison = _compare_datasets(members, scores, drawn, by, draws, tests)
        letters, taken = _label_datasets(members, comparison, taken)
        ranked += _rank_candidates(members, scores, by, comparison, readings, bool(language), letters)
        pairs += _compare_neighbours(members, comparison, tests, language)
    ranked += [_describe_aside(dataset, scores[dataset.name], by, readings) for dataset in aside]
    names = tuple(dataset.name for dataset in groups[""])
    values_D = {measure: np.array([scores[name][measure].value for name in names], np.float64) for measure in MEASURES}
    draws_BD = {measure: _stack_draws([drawn[name][measure] for name in names], draws) for measure in MEASURES}
    length = agreement.compare_with_length(values_D[by], values_D["response_tokens"])
    return RankingTable(by, tuple(ranked), tuple(pairs), values_D, draws_BD, names, length, looks)


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


def _find_draws(sums_B2M: Float64Array, scores: Mapping[str, Interval]) -> dict[str, Float64Array]:
    """Return the draws of each measure (B); NaN where its interval is withheld."""
    drawn = measures.evaluate_measures(sums_B2M)
    return {name: np.full_like(found, math.nan) if scores[name].withheld else found for name, found in drawn.items()}


def _stack_draws(columns: Sequence[Float64Array], draws: int) -> Float64Array:
    return np.stack(columns, axis=1) if columns else np.zeros((draws, 0))


def prepare_comparison(
    scores: Sequence[Interval], values_D: Float64Array, draws_BD: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return values and draws as pairs are compared by: on a log scale, and as wide as the intervals.

    On a log scale they are less skewed; they stay as they are where any is 0 or less. Draws alone are too narrow where
    examples are skewed, so that their distances from the value grow by the length of the interval over that of plain
    draws, 3.92 standard deviations.
    """
    ends_2D = np.array([[score.low for score in scores], [score.high for score in scores]], np.float64)
    if not ((values_D <= 0).any() or (draws_BD <= 0).any() or (ends_2D <= 0).any()):
        values_D, draws_BD, ends_2D = np.log(values_D), np.log(draws_BD), np.log(ends_2D)
    with np.errstate(invalid="ignore", divide="ignore"):
        plain_D = draws_BD.std(axis=0, ddof=1) * bootstrap.LENGTH
        spread_D = np.where(plain_D > 0, np.maximum((ends_2D[1] - ends_2D[0]) / plain_D, 1.0), 1.0)
    return values_D, values_D + (draws_BD - values_D) * spread_D


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Datasets that are ranked together, as pairs of them are compared."""

    values_D: Float64Array
    draws_BD: Float64Array
    order: list[int]
    """Indices of the datasets, lowest value first."""
    apart_DD: BoolArray
    """Which pairs can be told apart; none with a dataset of few examples."""


def _compare_datasets(
    members: Sequence[MeasuredDataset],
    scores: Mapping[str, dict[str, Interval]],
    drawn: Mapping[str, dict[str, Float64Array]],
    by: str,
    draws: int,
    looks: int,
) -> Comparison:
    values_D = np.array([scores[one.name][by].value for one in members], np.float64)
    draws_BD = _stack_draws([drawn[one.name][by] for one in members], draws)
    compared = prepare_comparison([scores[one.name][by] for one in members], values_D, draws_BD)
    separated = bootstrap.find_separated_pairs(*compared, [len(one.answered) for one in members], looks)
    apart_DD = agreement.join_few(separated, list(map(is_few, members)))
    return Comparison(*compared, np.argsort(values_D, kind="stable").tolist(), apart_DD)


def _label_datasets(candidates: Sequence[MeasuredDataset], comparison: Comparison, taken: int) -> tuple[list[str], int]:
    """Return the letters of datasets that are ranked together, and how many letters are taken with these.

    A dataset of few examples has no letter of its own.
    """
    if list(map(is_few, candidates)) == [True]:
        return [""], taken
    groups = agreement.group_datasets(comparison.order, comparison.apart_DD)
    return agreement.label_groups(groups, len(candidates), taken), taken + len(groups)


def _rank_candidates(
    candidates: Sequence[MeasuredDataset],
    scores: Mapping[str, dict[str, Interval]],
    by: str,
    comparison: Comparison,
    readings: Mapping[str, LanguageReading],
    apart: bool,
    letters: Sequence[str],
) -> list[RankedDataset]:
    """Return datasets that are ranked together, best first; ``letters`` are their groups."""
    counts = [len(dataset.answered) for dataset in candidates]
    ranks = bootstrap.find_rank_intervals(comparison.values_D, comparison.draws_BD, comparison.apart_DD)
    return [
        RankedDataset(
            name=candidates[index].name,
            examples=counts[index],
            scores=scores[candidates[index].name],
            rank=ranks[index].rank,
            rank_low=ranks[index].rank_low,
            rank_high=ranks[index].rank_high,
            best=ranks[index].best,
            group=letters[index],
            flags=_list_flags(candidates[index], scores[candidates[index].name], by, readings),
            set_aside=False,
            distinct=_share_distinct(candidates[index]),
            language=candidates[index].languages.main,
            apart=apart,
        )
        for index in comparison.order
    ]


def _list_flags(
    dataset: MeasuredDataset, scores: Mapping[str, Interval], by: str, readings: Mapping[str, LanguageReading]
) -> tuple[str, ...]:
    """Return the dataset's warnings, and why it has no interval by the measure of the ranking.

    Those of its language come first where it is not set aside for its answers.
    """
    strange, flags = find_language_flags(dataset.languages, readings), find_flags(dataset)
    withheld = scores[by].withheld
    note = f"no interval of {MEASURES[by].phrase}, and not told apart by it: {withheld}"
    notes = [note] if withheld and not MEASURES[by].no_interval else []
    return (*flags, *strange, *notes) if is_set_aside(dataset) else (*strange, *flags, *notes)


def _describe_aside(
    dataset: MeasuredDataset, scores: dict[str, Interval], by: str, readings: Mapping[str, LanguageReading]
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
        flags=_list_flags(dataset, scores, by, readings),
        set_aside=True,
        distinct=_share_distinct(dataset),
        language=dataset.languages.main,
    )


def _share_distinct(dataset: MeasuredDataset) -> float:
    return count_distinct(dataset) / max(len(dataset.answered), 1)


def _compare_neighbours(
    candidates: Sequence[MeasuredDataset], comparison: Comparison, looks: int, language: str
) -> tuple[NeighbourPair, ...]:
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
            language,
        )
        for pair in bootstrap.compare_neighbours(
            comparison.values_D, comparison.draws_BD, comparison.order, counts, looks
        )
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
        max(first.looks, second.looks),
    )


def compare_measures(table: RankingTable) -> list[RankAgreement]:
    """Compare the order by the table's measure with the order by every other one of ``RANKABLE``."""
    ranking = (table.values[table.by], table.draws[table.by])
    return [
        _compare_orders((table.by, name), table.names, ranking, (table.values[name], table.draws[name]), table.looks)
        for name in RANKABLE
        if name != table.by
    ]


def _compare_orders(
    names: tuple[str, str],
    datasets: Sequence[str],
    first: tuple[Float64Array, Float64Array],
    second: tuple[Float64Array, Float64Array],
    looks: int,
) -> RankAgreement:
    """Compare two rankings, each given by its values (D) and draws (B × D); changes hold over ``looks``."""
    low, high = agreement.bound_agreement(first[1], second[1])
    changes = agreement.find_changes(*first, *second, looks)
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
        "rank_apart_interval": [ranked.rank_low, ranked.rank_high] if ranked.apart else None,
        "p_best": math.nan if ranked.apart else ranked.best,
        "group": ranked.group,
        "scored": ranked.examples,
        **values,
        "intervals": {name: [score.low, score.high] for name, score in ranked.scores.items()},
        "intervals_withheld": intervals.list_withheld(ranked.scores),
        "distinct_answers": ranked.distinct,
        "flags": list(ranked.flags),
        "set_aside": ranked.set_aside,
        "language": ranked.language or None,
    }
