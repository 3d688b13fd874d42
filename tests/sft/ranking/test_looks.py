"""Looking several times makes no false difference: equal sources stay together, and sources that differ come apart."""

import dataclasses

import numpy as np
import pytest
from helpers.simulated_rankings import SimulatedSession, read_population, shift_nats

from curate.sft.ranking.rank import measure_and_rank


def stop_looking(populations, generator, **options):
    session = SimulatedSession(populations, generator, **options)
    _, table = measure_and_rank(session, None, until_separated=True)
    return session, table


def count_false(population, sources, runs, **options):
    """In how many rankings of equal sources any neighbours, letters or ranks tell some apart at the stop."""
    generator, false = np.random.default_rng(sources), 0
    for _ in range(runs):
        _, table = stop_looking({f"source-{at}": population for at in range(sources)}, generator, **options)
        apart = any(pair.separated for pair in table.pairs)
        assert apart or all(one.rank_low == 1 or len(table.datasets) > 2 for one in table.datasets)
        false += apart or any(one.group != "a" for one in table.datasets)
    return false


@pytest.mark.parametrize(("name", "by"), [("gsm8k_train", "perplexity"), ("oasst_messages", "rsr")])
def test_two_equal_sources_are_told_apart_in_less_than_one_of_twenty_rankings(name, by):
    """Five looks; a percentile interval at each of them tells a quarter apart."""
    assert count_false(read_population(name), 2, 60, by=by) <= 3


def test_among_ten_equal_sources_none_is_told_apart_in_nineteen_of_twenty_rankings():
    assert count_false(read_population("dolly_3k"), 10, 20, most=160) <= 1


def test_sources_that_differ_are_told_apart_the_right_way_with_the_examples_that_it_takes():
    population = read_population("gsm8k_train")
    generator, drawn = np.random.default_rng(3), []
    for _ in range(20):
        session, table = stop_looking({"worse": shift_nats(population, 0.3), "better": population}, generator)
        assert table.pairs[0].separated and table.pairs[0].better == "better"
        assert [one.group for one in table.datasets] == ["a", "b"] and table.looks == 5
        drawn.append(len(session.samples["better"].examples))
    assert max(drawn) < 640 and min(drawn) == 40


def test_the_number_of_looks_follows_from_the_sizes_alone():
    """Premise: samples of 40 double, up to 640 examples."""
    session = SimulatedSession({"a": read_population("gsm8k_train")}, np.random.default_rng(0))
    session.plan_looks()
    assert session.looks == 5
    for most, looks in ((40, 1), (30, 1), (41, 2), (80, 2), (81, 3), (10_000, 7)):
        session.most = most
        session.draw("a", 40)
        session.plan_looks()
        assert session.looks == looks
    session.options = dataclasses.replace(session.options, sample=None)
    session.plan_looks()
    assert session.looks == 1


def test_a_dataset_that_was_passed_over_catches_up():
    session = SimulatedSession(dict.fromkeys("abc", read_population("gsm8k_train")), np.random.default_rng(0))
    session.plan_looks()
    first = session.rank(session.measure(None))
    apart = dataclasses.replace(first, pairs=tuple(dataclasses.replace(pair, separated=True) for pair in first.pairs))
    assert not session.grow(apart) and session.look == 1
    one, two = (dataclasses.replace(pair, separated=False, needed=(90, 90)) for pair in first.pairs)
    assert session.grow(dataclasses.replace(apart, pairs=(one, apart.pairs[1])))
    assert session.grow(dataclasses.replace(apart, pairs=(one, two)))
    assert {len(sample.examples) for sample in session.samples.values()} == {160} and session.look == 3
