"""Datasets that are ranked apart are treated as the others: letters of their own, neighbours, and samples that grow."""

import numpy as np
from helpers.simulated_rankings import SimulatedSession, in_language, read_population, shift_nats

from curate.sft.ranking.rank import measure_and_rank
from curate.sft.ranking.summary import describe_pair
from curate.sft.ranking.table import as_record

POPULATION = read_population("gsm8k_train")
ENGLISH, GERMAN, RUSSIAN = in_language("en"), in_language("de", 2.4, 0.4), in_language("ru", 3.0, 0.9)
LANGUAGES = {"a": ENGLISH, "b": ENGLISH, "c": GERMAN, "d": GERMAN, "e": RUSSIAN, "f": RUSSIAN}


def open_session(shifts, seed=5, **options):
    populations = {name: shift_nats(POPULATION, nats) for name, nats in shifts.items()}
    return SimulatedSession(populations, np.random.default_rng(seed), languages=LANGUAGES, **options)


def look_once(shifts, **options):
    session = open_session(shifts, **options)
    return session.rank(session.measure(None))


def test_no_letter_is_shared_across_rankings():
    table = look_once(dict.fromkeys("abcdef", 0.0))
    groups = {one.name: one.group for one in table.datasets}
    assert groups == {"a": "a", "b": "a", "c": "b", "d": "b", "e": "c", "f": "c"}
    assert [one.rank for one in table.datasets] == [1, 2] * 3
    assert [one["rank_apart_interval"] for one in map(as_record, table.datasets)] == [None, None, *[[1, 2]] * 4]


def test_neighbours_are_compared_within_each_ranking_alone():
    pairs = look_once(dict.fromkeys("abcdef", 0.0)).pairs
    assert [({pair.better, pair.worse}, pair.language) for pair in pairs] == [
        *(({"a", "b"}, ""), ({"c", "d"}, "de"), ({"e", "f"}, "ru")),
    ]
    assert [describe_pair(pair)["apart_in"] for pair in pairs] == [None, "de", "ru"]


def test_samples_grow_for_neighbours_that_are_ranked_apart():
    """Premise: forty examples do not tell these two apart, and the samples of the others are large enough."""
    session = open_session({"a": 0.0, "b": 5.0, "c": 0.0, "d": 0.3})
    first = session.rank(session.measure(None))
    assert [pair.separated for pair in first.pairs] == [True, False]
    _, table = measure_and_rank(session, None, until_separated=True)
    assert [pair.separated for pair in table.pairs] == [True, True]
    drawn = {name: len(sample.examples) for name, sample in session.samples.items()}
    assert drawn["a"] == drawn["b"] == 40 and drawn["c"] == drawn["d"] > 40
    assert table.looks == 5


def test_all_rankings_together_make_a_false_claim_once_in_twenty_times():
    """A difference that is just told apart alone is not when other pairs are tested beside it."""
    for nats in np.arange(0.05, 1.0, 0.02).tolist():
        if look_once({"a": 0.0, "b": nats}).pairs[0].separated:
            break
    assert not look_once({"a": 0.0, "b": nats, "c": 0.0, "d": 0.0, "e": 0.0, "f": 0.0}).pairs[0].separated
    assert look_once({"a": 0.0, "b": nats, "c": 0.0}).pairs[0].separated, "one dataset alone has no pair"
