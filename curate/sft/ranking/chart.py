"""Where the dots and whiskers of a ranking stand: shares of a row's width and height, on one scale for all rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from curate.runtime.chart_axes import Scale, Tick, hold
from curate.sft.ranking.measures import MEASURES
from curate.sft.ranking.summary import Ranking, ThreeWayReading
from curate.sft.ranking.table import Interval, RankedDataset, RankingTable

TICKS = 9
MOST_OTHERS = 6  # further models or templates that have marks of their own; the others are in the table alone
PERPLEXITIES = tuple(name for name in MEASURES if name.endswith("perplexity") or name == "residual")
"""The measures on a logarithmic scale."""
STRETCH = 2.0  # how much wider a scale may become for those that are set aside; beyond it they are an arrow


@dataclass(frozen=True, slots=True)
class IntervalMark:
    """A dot with its whisker."""

    series: int
    """0 for the ranking itself, 1 … for what stands beside it."""
    one: Interval
    at: float
    """Of the width; NaN for no dot."""
    low: float
    high: float
    """Of the width; NaN for no whisker."""
    lane: float
    """Of the height."""
    beyond: int
    """−1 where the value lies before the scale, 1 where behind it."""

    @property
    def drawn(self) -> bool:
        return not math.isnan(self.at)

    @property
    def whiskers(self) -> bool:
        return self.drawn and not self.beyond and not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True, slots=True)
class RankingPlot:
    """A scale, and the marks of each row."""

    log: bool
    ticks: Sequence[Tick]
    rows: Mapping[str, Sequence[IntervalMark]]
    """By the name of the dataset."""
    lanes: int


def plot_places(ranking: Ranking) -> RankingPlot:
    """A dot for each dataset, one below it for each further model or template."""
    others = list(ranking.others.values())[:MOST_OTHERS]
    tables = [_index(table) for table in (ranking.table, *others)]
    log = ranking.by in PERPLEXITIES
    scale = _choose_scale([one for table in tables for one in table.values()], ranking.by, log)
    rows = {}
    for place in ranking.table.places:
        found = [(number, table[place.name]) for number, table in enumerate(tables) if place.name in table]
        rows[place.name] = [_mark(scale, number, one.scores[ranking.by], number, len(tables)) for number, one in found]
    return RankingPlot(log, scale.list_ticks(TICKS), rows, len(tables))


def plot_readings(readings: Sequence[ThreeWayReading]) -> RankingPlot:
    """Three dots for each dataset, in bits per byte."""
    three = {one.name: (one.base_raw, one.chat_raw, one.chat_template) for one in readings}
    scale = hold(list(_list_ends(one for each in three.values() for one in each)), False)
    rows = {
        name: [_mark(scale, number, one, number, 3) for number, one in enumerate(each)] for name, each in three.items()
    }
    return RankingPlot(False, scale.list_ticks(TICKS), rows, 3)


def _index(table: RankingTable) -> dict[str, RankedDataset]:
    return {one.name: one for one in table.places}


def _choose_scale(places: Sequence[RankedDataset], by: str, log: bool) -> Scale:
    """The scale of all that is ranked; of all there is, if that is not much wider."""
    ranked = hold(list(_list_ends(one.scores[by] for one in places if not one.set_aside)), log)
    every = hold(list(_list_ends(one.scores[by] for one in places)), log)
    if all(one.set_aside for one in places) or _measure(every) <= STRETCH * _measure(ranked):
        return every
    return ranked


def _list_ends(found: Iterable[Interval]) -> Iterable[float]:
    for one in found:
        yield from (one.value, one.low, one.high)


def _measure(scale: Scale) -> float:
    return math.log(scale.high / scale.low) if scale.log else scale.high - scale.low


def _mark(scale: Scale, series: int, one: Interval, lane: int, lanes: int) -> IntervalMark:
    at, low, high = (scale.share(value) for value in (one.value, one.low, one.high))
    return IntervalMark(series, one, at, low, high, (lane + 0.5) / lanes, scale.beyond(one.value))
