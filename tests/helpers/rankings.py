"""Rankings as they would come of measuring, made up: names from anywhere, one set aside, one of a single example."""

import math
from itertools import pairwise

import numpy as np

from curate.sft.ranking.intervals import Interval
from curate.sft.ranking.measures import MEASURES, RANKABLE
from curate.sft.ranking.summary import Dataset, Ranking, ThreeWayReading
from curate.sft.ranking.table import NeighbourPair, RankAgreement, RankedDataset, RankingTable

LONG = "a-very-long-name-of-a-dataset-that-somebody-downloaded-and-never-renamed-" * 3
NAMES = (
    "maths", "é", LONG, "<script>alert('name')</script>", "\u202egnp.exe", "שלום-עולם", "tab\tand\x1b[31mred\x00", "x",
    "Unbreakable" * 12, "{{ 7*7 }}", "a & b", "with  spaces", "指令数据集", "alpaca_cleaned", "dolly-15k", "oasst2",
    "lima", "flan-subset", "one-example", "identity",
)  # fmt: skip
"""20 of them; the last is set aside, the one before it has a single example."""
NOTHING = Interval(math.nan, math.nan, math.nan)


def make_scores(value, sure=True):
    """All measures of a dataset that has this perplexity."""

    def spread(middle):
        low, high = (middle * 0.9, middle * 1.12) if sure else (math.nan, math.nan)
        return Interval(middle, low, high)

    scores = {name: spread(1 + math.log(value) * number / 7) for number, name in enumerate(MEASURES, 1)}
    return scores | {"perplexity": spread(value), "response_tokens": spread(100 + value)}


def make_place(name, rank, value, examples=1000, **changes):
    given = {
        "scores": make_scores(value, examples > 1),
        "rank_low": rank and max(rank - 1, 1),
        "rank_high": rank and rank + 1,
        "best": math.nan if rank is None or examples < 2 else 0.5**rank,
        "group": "" if rank is None else "abcdefghijklmnopqrstuvwxyz"[(rank - 1) // 2],
        "flags": (),
        "set_aside": rank is None,
        "distinct": 0.02 if rank is None else 1.0,
    }
    return RankedDataset(name, examples, rank=rank, **(given | changes))


def make_table(names=NAMES, start=4.0, by="perplexity"):
    """The names in this order, the last set aside, the one before it of one example, which flags say."""
    ranked = names[:-1]
    places = [make_place(name, number, start * 1.17**number) for number, name in enumerate(ranked, 1)]
    lonely = "only 1 example: the intervals promise too much"
    places[-1] = make_place(ranked[-1], len(ranked), start * 1.17 ** len(ranked), examples=1, flags=(lonely,))
    aside = make_place(names[-1], None, 1.01, flags=("repeats its answers: 20 different among 1,000",))
    values = {name: np.array([one.scores[name].value for one in places]) for name in MEASURES}
    draws = {name: np.repeat(found[None], 2, axis=0) for name, found in values.items()}
    return RankingTable(by, (*places, aside), make_pairs(places), values, draws, tuple(ranked))


def make_pairs(places):
    """Of each neighbour: one that never would be told apart, one of which nothing can be said."""
    needed = {0: (math.inf, math.inf), 1: (1234.0, 1234.0), len(places) - 2: (math.nan, math.nan)}
    found = []
    for number, (better, worse) in enumerate(pairwise(places)):
        counts = (better.examples, worse.examples)
        found.append(
            NeighbourPair(better.name, worse.name, number not in needed, 0.01, counts, needed.get(number, (90.0, 90.0)))
        )
    return tuple(found)


def make_dataset(name, text="It is 4."):
    shown = {"tokens": 12, "perplexity": 4.5, "unconditional_perplexity": 40.0, "ifd_ppl": 0.1125, "id": name}
    shown |= {"place": f"{name}.jsonl, row 3", "asked": f"What is 2 + 2? {text}", "answered": text}
    return Dataset(
        name=name, data=f"/data/{name}.jsonl", schemas={"alpaca": 9000, "messages": 5}, rows=9100, available=9005,
        drawn=1000, refused={f"no answer {text}": 90}, unreadable={f"no object {text}": 5}, not_scored={},
        notes={f"the system turn is dropped {text}": 7}, long=3, prompt_tokens=51.25,
        lengths={"5%": 3.0, "50%": 80.0, "95%": 900.0}, examples=(shown, shown, shown | {"perplexity": math.inf}),
    )  # fmt: skip


def make_reading(name, number):
    three = [Interval(value, value - 0.1, value + 0.2) for value in (1.0 + 0.05 * number, 0.9, 0.7 + 0.01 * number)]
    advice = "continued pre-training on its domain first"
    return ThreeWayReading(name, *three, (9.0, 8.0, math.nan), "foreign", "ordinary", advice)


def make_ranking(names=NAMES, text="It is 4.", **changes):
    """A ranking with everything in it."""
    table = make_table(names)
    other = make_table((*reversed(names[:-1]), names[-1]), 9.0)
    changed = tuple((first, second) for first, second in zip(names, names[2:], strict=False))
    given = {
        "model": "acme/base-7B", "template": "plain", "by": "perplexity", "turns": "all", "end_of_turn": True,
        "sample": 1000, "seed": 7, "draws": 1000, "out": "ranked", "table": table,
        "datasets": tuple(make_dataset(name, text) for name in names),
        "others": {"other/base-1B": other},
        "compared": (RankAgreement("acme/base-7B", "other/base-1B", -1.0, -1.0, -0.8, 171, changed),),
        "definitions": tuple(
            RankAgreement("perplexity", name, math.nan if name == "rsr" else 0.5, 0.4, 0.6, 3, ())
            for name in RANKABLE if name != "perplexity"
        ),
        "chat_model": "acme/chat-7B",
        "readings": tuple(make_reading(name, number) for number, name in enumerate(names)),
        "identity": {"model": "acme/base-7B", "revision": "main", "dtype": "bf16", "window": 2048, "exact": False,
                     "overlap": 1024, "parameters": 7_000_000_000, "versions": {"curate": "0.1.0"}},
        "runs": ("runs/maths",),
    }  # fmt: skip
    return Ranking(**(given | changes))
