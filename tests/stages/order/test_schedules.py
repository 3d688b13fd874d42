"""Schedules by name: permutations all, fixed by a seed, whatever the pieces, and parameters checked."""

import inspect
import typing

import numpy as np
import pytest
from helpers.schedules import arranged, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.runtime.options import signature_of
from curate.stages.order import permutations, schedules
from curate.verbs.order import order

NAMES = list(schedules.SCHEDULES)
RANDOM = ["shuffle", "segment", "competence", "warmup"]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(tokens=weights, seed=st.integers(0, 2**40))
def test_every_schedule_is_a_permutation_of_every_size(name, tokens, seed):
    assert sorted(arranged(name, tokens, seed).tolist()) == list(range(len(tokens)))


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_of_many_documents_is_a_permutation(name):
    found = arranged(name, np.arange(1, 5_001) % 700)
    assert np.array_equal(np.sort(found), np.arange(5_000))


@pytest.mark.parametrize("name", ["fold", "zigzag", "stair", "saw"])
def test_more_folds_than_documents_still_order_them_all(name):
    assert sorted(arranged(name, [1] * 4, folds=9).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_the_order_and_another_seed_changes_what_is_random(name):
    tokens = np.full(300, 7)
    assert np.array_equal(arranged(name, tokens, 5), arranged(name, tokens, 5))
    assert np.array_equal(arranged(name, tokens, 5), arranged(name, tokens, 6)) == (name not in RANDOM)


def test_pieces_do_not_change_an_order(monkeypatch):
    tokens = np.arange(1, 400) % 13
    orders = [np.arange(0, 399, 2), np.arange(1, 399, 2)]
    whole = [arranged(name, tokens) for name in NAMES] + [permutations.merge(orders, tokens)]
    monkeypatch.setattr(permutations, "BLOCK", 32)
    pieces = [arranged(name, tokens) for name in NAMES] + [permutations.merge(orders, tokens)]
    assert all(np.array_equal(one, other) for one, other in zip(whole, pieces, strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sort", {"folds": 3}), ("fold", {"folds": 0}), ("fold", {"segments": "1:2"}), ("stair", {"band": 0.3}),
        ("segment", {"segments": "60:50"}), ("segment", {"segments": "x"}), ("segment", {"segments": "nan:1"}),
        ("warmup", {"warmup_share": 1.5}), ("competence", {"start": -0.1}), ("saw", {"sections": 0}), ("stairs", {}),
    ],
)  # fmt: skip
def test_a_parameter_that_means_nothing_is_refused_with_a_hint(name, options):
    with pytest.raises(UsageError) as caught:
        schedules.schedule_of(name, options)
    assert caught.value.hint


def test_the_table_names_the_schedules_and_parameters_of_the_command():
    signature = signature_of(order).parameters
    assert list(schedules.SCHEDULES) == list(typing.get_args(typing.get_args(signature["schedule"].annotation)[0]))
    assert set(schedules.PARAMETERS) <= set(signature)
    assert {key for rule in schedules.SCHEDULES.values() for key in rule.defaults} == set(schedules.PARAMETERS)
    for name, rule in schedules.SCHEDULES.items():
        for key, value in rule.defaults.items():
            help_text = typing.get_args(signature[key].annotation)[1].help
            assert f"{value}" in help_text.partition("[default: ")[2], f"--help names another default of {key}"
        assert list(inspect.signature(rule.arrange).parameters) == ["tokens", "bits", "empty", *rule.defaults]
        assert schedules.schedule_of(name, {}).describe().startswith(name)
