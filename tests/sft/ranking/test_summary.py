"""The ranking on a terminal: numbers of three digits, what neighbours still need, and the command that goes on."""

import dataclasses
import math

import pytest
from helpers.rankings import make_dataset, make_place, make_ranking, make_table

from curate.sft.ranking.intervals import Interval
from curate.sft.ranking.summary import describe_changes, format_interval, format_number, round_up
from curate.sft.ranking.table import NeighbourPair, RankAgreement


def make_small(names, pairs=(), **changes):
    """A ranking of these datasets, the first the best."""
    places = tuple(make_place(name, rank, 4.0 + rank) for rank, name in enumerate(names, 1))
    table = dataclasses.replace(make_table(), datasets=places, pairs=pairs, names=tuple(names))
    datasets = tuple(make_dataset(name) for name in names)
    small = {"table": table, "datasets": datasets, "others": {}, "compared": (), "definitions": (), "readings": ()}
    return make_ranking(**{**small, **changes})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.1, "4.10"), (9.996, "10.0"), (99.96, "100"), (412.6, "413"), (9999.6, "10000"), (90_210.0, "90200"),
        (-0.5, "-0.50"), (math.nan, "–"), (math.inf, "∞"),
    ],
)  # fmt: skip
def test_a_number_has_three_digits(value, text):
    assert format_number(value) == text


def test_an_interval_is_empty_where_there_is_none():
    assert format_interval(Interval(4.0, 3.5, 85.0)) == "[3.50, 85.0]"
    assert format_interval(Interval(4.0, math.nan, math.nan)) == ""


@pytest.mark.parametrize(("number", "rounded"), [(7, 7), (41.2, 42), (4037, 4100), (4100, 4100), (99_001, 100_000)])
def test_examples_that_are_needed_are_rounded_up_to_two_digits(number, rounded):
    assert round_up(number) == rounded


@pytest.mark.parametrize(
    ("needed", "text"),
    [
        ((math.inf, math.inf), "they are the same"),
        ((math.nan, math.nan), "they are too few to say more"),
        ((2e7, 2e7), "the difference is next to nothing"),
        ((4037.0, 90.0), "about 4,100 and 90 would do"),
        ((40_000.0, 90.0), "about 40,000 and 90 would do; a has 9,005 in all"),
    ],
)
def test_neighbours_that_are_not_separated_show_how_many_examples_they_need(needed, text):
    """Premise: each dataset has 9,005 examples."""
    pair = NeighbourPair("a", "b", False, 0.3, (1000, 1000), needed)
    lines = " ".join(make_small("ab", (pair,)).render().split())
    assert f"a and b cannot be told apart with 1,000 examples; {text} " in lines
    assert "with 1,000 examples" not in make_small("ab", (dataclasses.replace(pair, separated=True),)).render()


@pytest.mark.parametrize(
    ("changes", "reversals", "text"),
    [
        ((), 0, "the same order"),
        ((), 1, "1 pair is in the opposite order, not beyond chance"),
        ((), 4, "4 pairs are in the opposite order, none of them beyond chance"),
        ((("a", "b"),) * 4, 9, "and 1 more pairs"),
    ],
)
def test_two_orders_are_compared_in_words(changes, reversals, text):
    assert describe_changes(RankAgreement("x", "y", 0.5, 0.1, 0.9, reversals, changes)).endswith(text)


def test_the_next_step_names_the_run_of_the_best_dataset():
    """Premise: the run of another dataset ends with the same name."""
    best = make_small(["x", "b/x"])
    shuffled = dataclasses.replace(best, datasets=best.datasets[::-1], runs=("runs/b/x", "runs/x"))
    assert shuffled.render().endswith("\nnext: curate select-sft --run runs/x --by ifd --rate 0.1")
    assert "next:" not in dataclasses.replace(best, runs=()).render()


@pytest.mark.parametrize(
    "without_rank", [{"apart": True, "language": "ru"}, {"set_aside": True, "flags": ("repeats",)}]
)
def test_no_next_step_is_named_where_no_dataset_is_ranked(without_rank):
    ranking = make_small("a", runs=("runs/a",))
    places = tuple(dataclasses.replace(one, **without_rank) for one in ranking.table.datasets)
    alone = dataclasses.replace(ranking, table=dataclasses.replace(ranking.table, datasets=places))
    assert "next:" in ranking.render() and "next:" not in alone.render()


def test_letters_are_explained_where_two_datasets_share_one():
    ranking = make_small("ab")
    first, second = (dataclasses.replace(one, group="a") for one in ranking.table.datasets)
    table = dataclasses.replace(ranking.table, datasets=(first, second))
    assert "    datasets that share a letter" in dataclasses.replace(ranking, table=table).render()
    apart = dataclasses.replace(table, datasets=(first, dataclasses.replace(second, group="b")))
    assert "share a letter" not in dataclasses.replace(ranking, table=apart).render()


def test_rows_that_cannot_be_read_make_the_exit_code_3():
    ranking = make_small("a")
    assert ranking.exit_code == 3
    clean = tuple(dataclasses.replace(dataset, unreadable={}) for dataset in ranking.datasets)
    assert dataclasses.replace(ranking, datasets=clean).exit_code == 0
