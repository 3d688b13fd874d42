"""What ``filter`` can be asked: a mistake is answered with what to do."""

import dataclasses
import inspect
import math
import re

import pytest
from helpers.domain_runs import run_of

from curate.errors import UsageError
from curate.stages.filter import criteria, decide
from curate.stages.filter.criteria import FilterOptions
from curate.verbs.filter import filter as choose


@pytest.mark.parametrize(
    ("asked", "says", "hint"),
    [
        ({"keep": "low", "within": "domian"}, "no column 'domian'", "did you mean domain?"),
        ({"keep": "low", "by": "qualty"}, "no column of numbers 'qualty'", "there are"),
        ({"within": "domain"}, "--within domain has no effect without --keep", "--keep middle"),
        ({"tokens": "2B"}, "--tokens 2B has no effect without --keep", "--keep middle"),
        ({"temperature": 1.0}, "--temperature 1.0 has no effect without --keep", "--keep middle"),
        ({"keep": "low", "tokens": "2X"}, "must be a number of tokens", "2B"),
        ({"keep": "low", "tokens": "0"}, "must be at least 1", "2B"),
        ({"keep": "low", "tokens": "2B", "rate": 0.5}, "both set how much", "leave one"),
        ({"keep": "10:60", "tokens": "2B"}, "both set how much", "leave one"),
        ({"keep": "10:60", "temperature": 1.0}, "a draw has no percentiles", "--keep low, middle or high"),
        ({"keep": "low", "temperature": 0.0}, "--temperature must be greater than 0, not 0.0", "softly"),
        ({"keep": "low", "temperature": math.nan}, "--temperature must be greater than 0, not nan", "softly"),
        ({"max_ppl": 5, "seed": 7}, "--seed 7 has no effect without --temperature", "--temperature 1 --seed 7"),
        ({"max_ppl": (2, 5), "dry_run": True, "show": True}, "--show is about the boundaries", "one value"),
        ({"dry_run": True, "show": True}, "--show is about the boundaries", "name one criterion"),
        ({"keep": "110:120"}, "percentiles go from 0 to 100", "low, middle or high"),
        ({"max_repeated_5grams": 0.3}, "the scores have no repeated_5grams", "--signals repeated_5grams"),
        ({"max_ppl": 5, "ledger": "domian"}, "no column 'domian'", "did you mean domain?"),
        ({"where": "domian = 'web'"}, "domian", "columns are"),
        ({"where": "tokens > 1 and perplexty < 5"}, "not found.*, at: perplexty < 5", "did you mean perplexity"),
        ({"where": "tokens > 1 3"}, 'at or near "3"', "columns"),
        ({"max_ppl": 5, "memory_limit": "lots"}, "lots", "GB|2GiB"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(tmp_path, asked, says, hint):
    run = run_of(tmp_path, [(1.0, "web", 1), (2.0, "code", 1)])
    with pytest.raises(UsageError, match=says) as caught:
        choose(str(run.path), **asked)
    assert re.search(hint, caught.value.hint or "")
    assert not run.filter.exists()


BOUNDS = criteria.list_bound_specs(FilterOptions())


def test_every_option_of_a_criterion_reaches_the_criteria_and_every_bound_its_column(monkeypatch):
    """``filter`` names each field of FilterOptions, in the order of its parameters."""
    parameters = list(inspect.signature(choose).parameters)
    names = [field.name for field in dataclasses.fields(FilterOptions)]
    assert [name for name in parameters if name in names] == names
    given = dict(zip(names, range(1, 100), strict=False))
    monkeypatch.setattr(decide, "decide_documents", lambda run, options, *_, **__: options)
    assert choose("run", **given) == FilterOptions(**given)
    specs = criteria.list_bound_specs(FilterOptions(**given))
    assert [f"--{name.replace('_', '-')}" for name in names[: len(specs)]] == [spec.option for spec in specs]
    assert [spec.values for spec in specs] == list(range(1, len(specs) + 1))


@pytest.mark.parametrize("spec", BOUNDS, ids=lambda spec: spec.option)
def test_a_bound_is_recorded_by_its_option_and_read_again(spec):
    name = spec.option.removeprefix("--").replace("-", "_")
    asked = criteria.build_criteria(FilterOptions(**{name: 7.5}))
    assert [(bound.column, bound.sign, bound.value) for bound in asked.bounds] == [(spec.column, spec.sign, 7.5)]
    assert spec.sign == (">" if name.startswith("max_") else "<")
    assert criteria.parameters_of(asked) == {name: 7.5}
    assert criteria.build_recorded_criteria({name: 7.5, "of_another_version": 1}) == asked


def test_a_dry_run_tries_every_combination_the_last_bound_fastest():
    trials = criteria.split_trials(FilterOptions(max_ppl=(20.0, 30.0), min_tokens=[5.0, 9.0], keep="low"))
    assert [(one.max_ppl, one.min_tokens) for one in trials] == [(20, 5), (20, 9), (30, 5), (30, 9)]
    assert {one.keep for one in trials} == {"low"}
