"""The positions of a ranking's dots and whiskers: shares of a row's width and height, on one scale for all rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from curate.runtime.chart_axes import Scale, Tick, fit_scale
from curate.sft.ranking.intervals import Interval
from curate.sft.ranking.measures import MEASURES
from curate.sft.ranking.summary import Ranking, ThreeWayReading
from curate.sft.ranking.table import RankedDataset, RankingTable

TICKS = 9
MOST_OTHERS = 6
"""Further models or templates that have marks; those beyond are in the table only."""
STRETCH = 2.0
"""The factor by which the scale may widen for datasets that are set aside; beyond it they are an arrow."""


@dataclass(frozen=True, slots=True)
class IntervalMark:
    """A dot with its whisker."""

    series: int
    """0 for the ranking itself, 1 … for the other models and templates."""
    score: Interval
    at: float
    """The dot, as a share of the width; NaN for no dot."""
    low: float
    """The whisker is ``low`` … ``high``, as shares of the width; NaN for no whisker."""
    high: float
    lane: float
    """As a share of the height."""
    beyond: int
    """−1 where the value is below the scale, 1 where above it, else 0."""

    @property
    def drawn(self) -> bool:
        """Whether there is a dot."""
        return not math.isnan(self.at)

    @property
    def whiskers(self) -> bool:
        """Whether there is a whisker."""
        return self.drawn and not self.beyond and not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True, slots=True)
class RankingPlot:
    """A scale, and the marks of each row."""

    log: bool
    ticks: Sequence[Tick]
    rows: Mapping[str, Sequence[IntervalMark]]
    """By the name of the dataset."""
    lanes: int
    """Marks of a row, one below the other."""


def plot_ranking(ranking: Ranking) -> RankingPlot:
    """Return a dot for each dataset, and one below it for each of the first ``MOST_OTHERS`` models or templates."""
    others = list(ranking.others.values())[:MOST_OTHERS]
    tables = [_index_by_name(table) for table in (ranking.table, *others)]
    log = MEASURES[ranking.by].log_scale
    scale = _choose_scale([ranked for table in tables for ranked in table.values()], ranking.by, log)
    rows = {}
    for name in tables[0]:
        series = [(number, table[name].scores[ranking.by]) for number, table in enumerate(tables) if name in table]
        rows[name] = [_make_mark(scale, number, score, number, len(tables)) for number, score in series]
    return RankingPlot(log, scale.list_ticks(TICKS), rows, len(tables))


def plot_readings(readings: Sequence[ThreeWayReading]) -> RankingPlot:
    """Return three dots for each dataset, in bits per byte."""
    scores = {reading.name: (reading.base_raw, reading.chat_raw, reading.chat_template) for reading in readings}
    scale = fit_scale(list(_list_ends(score for three in scores.values() for score in three)), False)
    rows = {
        name: [_make_mark(scale, number, score, number, 3) for number, score in enumerate(three)]
        for name, three in scores.items()
    }
    return RankingPlot(False, scale.list_ticks(TICKS), rows, 3)


def _index_by_name(table: RankingTable) -> dict[str, RankedDataset]:
    return {ranked.name: ranked for ranked in table.datasets}


def _choose_scale(datasets: Sequence[RankedDataset], by: str, log: bool) -> Scale:
    """Return the scale of all datasets, or of those in the order where that of all is much wider."""
    main = [ranked for ranked in datasets if not ranked.set_aside and not ranked.apart]
    with_rank = fit_scale(list(_list_ends(ranked.scores[by] for ranked in main)), log)
    every = fit_scale(list(_list_ends(ranked.scores[by] for ranked in datasets)), log)
    if not main or _find_width(every) <= STRETCH * _find_width(with_rank):
        return every
    return with_rank


def _list_ends(scores: Iterable[Interval]) -> Iterable[float]:
    for score in scores:
        yield from (score.value, score.low, score.high)


def _find_width(scale: Scale) -> float:
    return math.log(scale.high / scale.low) if scale.log else scale.high - scale.low


def _make_mark(scale: Scale, series: int, score: Interval, lane: int, lanes: int) -> IntervalMark:
    at, low, high = (scale.share(value) for value in (score.value, score.low, score.high))
    return IntervalMark(series, score, at, low, high, (lane + 0.5) / lanes, scale.beyond(score.value))
