"""A ranking as one HTML page: ranks with whiskers, every measure, what was read, and examples.

The page loads nothing and runs no script. Text from datasets and models is escaped, and control characters are spelled
out where a browser would hide or obey them. The same ranking gives the same bytes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from curate.runtime.html import open_templates
from curate.runtime.numbers import format_percent
from curate.runtime.text import fold_whitespace, quote_word
from curate.sft.datasets.fields import OPTIONS
from curate.sft.datasets.names import is_name
from curate.sft.ranking.languages import name_language
from curate.sft.ranking.measures import MEASURES, RANKABLE
from curate.sft.ranking.page.chart import MOST_OTHERS, plot_ranking, plot_readings
from curate.sft.ranking.summary import (
    CAUTION,
    Dataset,
    Ranking,
    format_interval,
    format_number,
    format_rank_interval,
    round_up,
)
from curate.sft.ranking.table import NeighbourPair, RankingTable

NAMED = 5
"""Datasets that a headline names."""
REASONS, LONGEST = 12, 400
"""Reasons that are listed for a dataset, and characters of one."""
CHANGES = 40
"""Pairs with a changed order that are listed."""
LEVELS = 5
"""Shades of ranks."""
HARDNESS = ("easy", "ordinary", "hard")
READINGS = ("base, as raw text", "chat model, as raw text", "chat model, answers in its own template")


@dataclass(frozen=True, slots=True)
class MeasureOrder:
    """The ranks of all datasets by one measure."""

    name: str
    """The name of the measure."""
    ranks: Mapping[str, int]
    """By the name of the dataset."""
    tau: str
    """Kendall's τ with the order of the ranking."""


def draw_page(ranking: Ranking) -> str:
    """Return the page as text, also where values of the ranking are missing or infinite."""
    templates = open_templates(Path(__file__).parent)
    templates.filters |= {"fold": fold_whitespace, "clip": _clip, "reasons": list_reasons, "level": choose_level}
    templates.filters |= {"number": format_number, "interval": format_interval, "share": format_share}
    templates.filters |= {"rank_interval": format_rank_interval}
    return templates.get_template("ranking.html.j2").render(list_values(ranking))


def list_values(ranking: Ranking) -> dict[str, Any]:
    """Return the variables of the template."""
    best = list_best(ranking.table)
    return {
        "ranking": ranking,
        "reports": {dataset.name: dataset for dataset in ranking.datasets},
        "best": best[:NAMED] if len(best) <= NAMED else [],
        "equals": best,
        "total": sum(ranked.examples for ranked in ranking.table.datasets),
        "ranked": [ranked for ranked in ranking.table.datasets if not ranked.set_aside and not ranked.apart],
        "apart": [ranked for ranked in ranking.table.datasets if ranked.apart],
        "name_language": name_language,
        "aside": [ranked for ranked in ranking.table.datasets if ranked.set_aside],
        "title": MEASURES[ranking.by].phrase,
        "study": describe_study(ranking.by),
        "caution": CAUTION,
        "measures": MEASURES,
        "plot": plot_ranking(ranking),
        "most_others": MOST_OTHERS,
        "others": list(ranking.others),
        "tables": [
            {ranked.name: ranked for ranked in table.datasets} for table in (ranking.table, *ranking.others.values())
        ],
        "first_name": ranking.compared[0].first if ranking.compared else ranking.model,
        "most_changes": CHANGES,
        "pairs": [(pair, describe_needed(pair, ranking)) for pair in ranking.table.pairs],
        "orders": list_orders(ranking),
        "readings": plot_readings(ranking.readings),
        "reading_names": READINGS,
        "hardness": HARDNESS,
        "command": write_command(ranking),
        "settings": list_settings(ranking),
        "log": MEASURES[ranking.by].log_scale,
    }


def list_best(table: RankingTable) -> list[str]:
    """Return the names of the best dataset and of those that cannot be told apart from it."""
    datasets = [ranked for ranked in table.datasets if ranked.rank is not None and not ranked.apart]
    return [ranked.name for ranked in datasets if split_letters(ranked.group) & split_letters(datasets[0].group)]


def split_letters(group: str) -> set[str]:
    """Return the groups of a dataset: ``ab`` is a and b; from the 53rd on they are numbers, as ``(53)``."""
    return set(re.findall(r"\(\d+\)|\w", group))


def describe_study(by: str) -> str:
    """Return what a low number has gone with, and in which study."""
    measure = MEASURES[by]
    return f"{measure.study}." if measure.is_studied else f"{measure.study}. That study is about another measure."


def format_share(value: float) -> str:
    """Return a share of bootstrap draws in percent; a dash for NaN."""
    if math.isnan(value):
        return "–"
    text = "< 0.1 %" if 0 < value < 0.0005 else format_percent(value, 1 if 0 < value < 1 else 0)
    return text.replace(" %", "\u00a0%")


def describe_needed(pair: NeighbourPair, ranking: Ranking) -> str:
    """Return how many examples would tell two neighbours apart; the empty string where they are."""
    if pair.separated:
        return ""
    if any(map(math.isnan, pair.needed)):
        return "too few to say"
    if any(map(math.isinf, pair.needed)):
        return "no number: they are the same"
    numbers = " and ".join(f"{round_up(number):,}" for number in dict.fromkeys(pair.needed))
    names = (pair.better, pair.worse)
    short_of = [name for name, need in zip(names, pair.needed, strict=True) if need > ranking.dataset(name).available]
    lack = ("", f"; {fold_whitespace(short_of[0])} has fewer" if short_of else "", "; both have fewer")[len(short_of)]
    return f"about {numbers}{lack}"


def list_orders(ranking: Ranking) -> list[MeasureOrder]:
    """Return the ranks by the measure of the ranking, then by every other one; nothing where there is no other."""
    agreements = {agreement.second: agreement for agreement in ranking.definitions}
    names = [ranking.by, *(name for name in RANKABLE if name in agreements)]
    orders = []
    for name in names:
        agreement = agreements.get(name)
        tau = ""
        if agreement is not None:
            tau = "–" if math.isnan(agreement.tau) else f"{agreement.tau:.2f}".replace("-", "−")
        orders.append(MeasureOrder(name, rank_by(ranking.table, name), tau))
    return orders if len(orders) > 1 else []


def rank_by(table: RankingTable, measure: str) -> dict[str, int]:
    """Return ranks from 1 on; equal values rank in the order in which the datasets were given, NaN has no rank."""
    values = table.values[measure].tolist()
    known = [index for index, value in enumerate(values) if not math.isnan(value)]
    order = sorted(known, key=lambda index: values[index])
    return {table.names[index]: rank for rank, index in enumerate(order, 1)}


def choose_level(rank: int, count: int) -> int:
    """Return the shade of a rank among ``count``: 1 for the best … ``LEVELS`` for the last."""
    return 1 + (rank - 1) * LEVELS // max(count, 1)


def list_reasons(reason_to_count: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return reasons with their counts, the most frequent first; those beyond ``REASONS`` share one line."""
    ordered = sorted(reason_to_count.items(), key=lambda item: -item[1])
    rest = ordered[REASONS:]
    lines = [(_clip(fold_whitespace(reason), LONGEST), number) for reason, number in ordered[:REASONS]]
    return [*lines, (f"{len(rest):,} other reasons", sum(number for _, number in rest))] if rest else lines


def list_settings(ranking: Ranking) -> dict[str, Any]:
    """Return what the numbers depend on in addition to the model."""
    return {
        "template": ranking.template,
        "turns scored": ranking.turns,
        "end of turn": "scored" if ranking.end_of_turn else "not scored",
        "sample": "all examples" if ranking.sample is None else f"{ranking.sample:,} examples of a dataset",
        "seed": ranking.seed,
        "bootstrap draws": ranking.draws,
        "ranked by": ranking.by,
        "chat model": ranking.chat_model,
        "written to": ranking.out,
    }


def write_command(ranking: Ranking) -> str:
    """Return the command that repeats this ranking as far as it is recorded, without other models and templates."""
    identity = ranking.identity
    template = "auto" if ranking.template.startswith("chat template") else ranking.template
    options: list[tuple[str, Any]] = [("model", ranking.model), ("template", template)]
    options += [("by", ranking.by), ("turns", ranking.turns), ("sample-size", ranking.sample or 0)]
    options += [("seed", ranking.seed), ("draws", ranking.draws), ("chat-model", ranking.chat_model)]
    options += [(name, identity.get(name)) for name in ("window", "overlap", "revision")]
    options += [("dtype", None if identity.get("exact") else identity.get("dtype")), ("out", ranking.out)]
    options += list_field_options(ranking.datasets)
    flags = ["--no-apart"] * (not ranking.apart) + ["--no-set-aside"] * (not ranking.set_aside)
    flags += ["--no-end-of-turn"] * (not ranking.end_of_turn) + ["--exact"] * bool(identity.get("exact"))
    grown = ranking.sample is not None and any(dataset.drawn > ranking.sample for dataset in ranking.datasets)
    flags += ["--until-separated"] * grown
    given = [f"--{name} {quote_word(str(value))}" for name, value in options if value is not None]
    return " ".join(["curate rank-sft", *map(write_argument, ranking.datasets), *given, *flags])


def list_field_options(datasets: Sequence[Dataset]) -> list[tuple[str, str]]:
    """Return the options that name the columns and roles of datasets, each for the dataset that it is about."""
    names: dict[str, list[str]] = {}
    for dataset in datasets:
        for key, option in OPTIONS.items():
            found = dataset.fields.get(key, ())
            words = [f"{own}={found[own]}" for own in found] if key == "roles" else found
            names.setdefault(option, []).extend(f"{dataset.name}={word}" for word in words)
    return [(option.removeprefix("--"), ",".join(words)) for option, words in names.items() if words]


def write_argument(dataset: Dataset) -> str:
    """Return a dataset as an argument: its path, or ``NAME=PATH`` where the path alone would not give the name.

    A name that cannot stand before ``=``, such as ``folder/stem``, comes from the path.
    """
    derived = PurePath(dataset.data).name.split(".")[0] == dataset.name or not is_name(dataset.name)
    return quote_word(dataset.data if derived else f"{dataset.name}={dataset.data}")


def _clip(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, cut with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
