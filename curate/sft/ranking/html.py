"""A ranking as one HTML page: places with their whiskers, every measure, what was read, and examples.

The page needs nothing but a browser and runs nothing. What strangers wrote is escaped, and spelled out where a browser
would hide or obey it. The same ranking gives the same bytes.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from curate.runtime.html import open_templates
from curate.runtime.text import fold
from curate.sft.ranking.chart import MOST_OTHERS, PERPLEXITIES, plot_places, plot_readings
from curate.sft.ranking.measures import MEASURES
from curate.sft.ranking.summary import (
    CAUTION,
    MEANING,
    TITLES,
    Dataset,
    Ranking,
    bracket,
    clip,
    round_up,
    short,
    spread,
)
from curate.sft.ranking.table import RANKABLE, NeighbourPair, RankingTable

HEADS = TITLES | {
    "unconditional_nats": "nats alone",
    "ifd_ppl": "IFD of ppl",
    "ifd_loss": "IFD of loss",
    "response_tokens": "tokens",
}
NAMED = 5  # datasets that a headline names
REASONS, LONGEST = 12, 400  # reasons that are listed of a dataset, and characters of one
CHANGES = 40  # pairs that are listed
LEVELS = 5  # shades of ranks
HARDNESS = ("easy", "ordinary", "hard")
READINGS = ("base, as raw text", "chat model, as raw text", "chat model, answers in its own template")


@dataclass(frozen=True, slots=True)
class MeasureOrder:
    """The places of all datasets by one measure."""

    name: str
    ranks: Mapping[str, int]
    tau: str
    """Kendall's τ with the ranking's own order."""


def draw_page(ranking: Ranking) -> str:
    """The page as text, whatever of the ranking is missing or infinite."""
    space = open_templates(Path(__file__).parent)
    space.filters |= {"fold": fold, "short": short, "bracket": bracket, "spread": spread, "share": say_share}
    space.filters |= {"reasons": list_reasons, "clip": clip, "levelled": shade}
    return space.get_template("ranking.html.j2").render(list_values(ranking))


def list_values(ranking: Ranking) -> dict[str, Any]:
    """What the template is given."""
    best = list_best(ranking.table)
    return {
        "ranking": ranking,
        "held": {one.name: one for one in ranking.datasets},
        "best": best[:NAMED] if len(best) <= NAMED else [],
        "equals": best,
        "total": sum(one.examples for one in ranking.table.places),
        "ranked": [one for one in ranking.table.places if not one.set_aside],
        "aside": [one for one in ranking.table.places if one.set_aside],
        "title": say_measure(ranking.by),
        "meaning": say_meaning(ranking.by),
        "caution": CAUTION,
        "measures": MEASURES,
        "heads": HEADS,
        "plot": plot_places(ranking),
        "most_others": MOST_OTHERS,
        "beside": list(ranking.others),
        "tables": [{one.name: one for one in table.places} for table in (ranking.table, *ranking.others.values())],
        "own_name": ranking.compared[0].first if ranking.compared else ranking.model,
        "most_changes": CHANGES,
        "pairs": [(one, say_needed(one, ranking)) for one in ranking.table.pairs],
        "orders": list_orders(ranking),
        "readings": plot_readings(ranking.readings),
        "reading_names": READINGS,
        "hardness": HARDNESS,
        "command": say_command(ranking),
        "settings": list_settings(ranking),
        "log": ranking.by in PERPLEXITIES,
    }


def list_best(table: RankingTable) -> list[str]:
    """The best dataset, and those that cannot be told apart from it."""
    ranked = [one for one in table.places if one.rank is not None]
    return [one.name for one in ranked if split_letters(one.group) & split_letters(ranked[0].group)]


def split_letters(group: str) -> set[str]:
    """The groups of a dataset: ``ab`` is a and b; from the 53rd on they are numbers, as ``(53)``."""
    return set(re.findall(r"\(\d+\)|\w", group))


def say_measure(by: str) -> str:
    """A measure within a sentence."""
    names = {
        "perplexity": "response perplexity",
        "mean_perplexity": "mean perplexity",
        "bits_per_byte": "bits per byte",
    }
    names |= {"rsr": "rank-surprisal ratio", "token_rsr": "rank-surprisal ratio of all tokens"}
    names |= {"first_64": "nats a token over the first 64", "residual": "perplexity at equal lengths"}
    return (names | {"full_perplexity": "perplexity of the full text"})[by]


def say_meaning(by: str) -> str:
    """What a low number has gone with, and in which studies."""
    if by in MEANING:
        return f"{MEANING[by]}."
    known = "rsr" if "rsr" in by else "perplexity"
    return f"{MEANING[known]}. This ranking is by another measure, of which that study does not speak."


def say_share(value: float) -> str:
    """A share of bootstrap draws."""
    if math.isnan(value):
        return "–"
    said = "< 0.1%" if 0 < value < 0.0005 else f"{value:.1%}" if 0 < value < 1 else f"{value:.0%}"
    return said.replace("%", "\u00a0%")


def say_needed(pair: NeighbourPair, ranking: Ranking) -> str:
    """How many examples would tell two neighbours apart."""
    if pair.separated:
        return ""
    if any(map(math.isnan, pair.needed)):
        return "too few to say"
    if any(map(math.isinf, pair.needed)):
        return "no number: they are the same"
    numbers = " and ".join(f"{round_up(number):,}" for number in dict.fromkeys(pair.needed))
    names = (pair.better, pair.worse)
    short_of = [name for name, need in zip(names, pair.needed, strict=True) if need > ranking.dataset(name).available]
    lack = ("", f"; {fold(short_of[0])} has fewer" if short_of else "", "; both have fewer")[len(short_of)]
    return f"about {numbers}{lack}"


def list_orders(ranking: Ranking) -> list[MeasureOrder]:
    """The ranking by its own measure, then by every other one that ranks."""
    agreements = {one.second: one for one in ranking.definitions}
    names = [ranking.by, *(name for name in RANKABLE if name in agreements)]
    found = []
    for name in names:
        agreement = agreements.get(name)
        tau = (
            "" if agreement is None else "–" if math.isnan(agreement.tau) else f"{agreement.tau:.2f}".replace("-", "−")
        )
        found.append(MeasureOrder(name, rank_by(ranking.table, name), tau))
    return found if len(found) > 1 else []


def rank_by(table: RankingTable, measure: str) -> dict[str, int]:
    """Places from 1 on; equal values go by the order in which the datasets were given. NaN has none."""
    values = table.values[measure].tolist()
    order = sorted((at for at, value in enumerate(values) if not math.isnan(value)), key=lambda at: values[at])
    return {table.names[at]: place for place, at in enumerate(order, 1)}


def shade(rank: int, count: int) -> int:
    """1 for the best places … ``LEVELS`` for the last."""
    return 1 + (rank - 1) * LEVELS // max(count, 1)


def list_reasons(found: Mapping[str, int]) -> list[tuple[str, int]]:
    """The commonest first; what is over the bound is one line."""
    ordered = sorted(found.items(), key=lambda one: -one[1])
    rest = ordered[REASONS:]
    lines = [(clip(fold(reason), LONGEST), number) for reason, number in ordered[:REASONS]]
    return [*lines, (f"{len(rest):,} other reasons", sum(number for _, number in rest))] if rest else lines


def list_settings(ranking: Ranking) -> dict[str, Any]:
    """What the numbers depend on, beside the model's own identity."""
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


def say_command(ranking: Ranking) -> str:
    """The command that makes this ranking again, without what stands beside it, as far as the ranking records it."""
    identity = ranking.identity
    own = ranking.template.startswith("chat template")
    options: list[tuple[str, Any]] = [("model", ranking.model), ("template", "auto" if own else ranking.template)]
    options += [("by", ranking.by), ("turns", ranking.turns), ("sample-size", ranking.sample or 0)]
    options += [("seed", ranking.seed), ("draws", ranking.draws), ("chat-model", ranking.chat_model)]
    options += [(name, identity.get(name)) for name in ("window", "overlap", "revision")]
    options += [("dtype", None if identity.get("exact") else identity.get("dtype")), ("out", ranking.out)]
    flags = ["--no-end-of-turn"] * (not ranking.end_of_turn) + ["--exact"] * bool(identity.get("exact"))
    grown = ranking.sample is not None and any(one.drawn > ranking.sample for one in ranking.datasets)
    flags += ["--until-separated"] * grown
    said = [f"--{name} {shlex.quote(str(value))}" for name, value in options if value is not None]
    return " ".join(["curate rank-sft", *map(name_data, ranking.datasets), *said, *flags])


def name_data(one: Dataset) -> str:
    """A dataset as an argument: its path, with its name in front where the path does not say it."""
    says = PurePath(one.data).name.split(".")[0] == one.name
    return shlex.quote(one.data if says else f"{one.name}={one.data}")
