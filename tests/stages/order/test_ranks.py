"""Documents by rank: the same order in memory and out of it, ties by the order of the corpus."""

import math

import pytest
from helpers.orders import domain_run, positions_of
from helpers.runs import numbered_run, ppl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.stages.order import ranks, schedules
from curate.verbs.order import order


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_ties_go_by_the_order_of_the_corpus_in_both_directions(tmp_path, direction):
    run = numbered_run(tmp_path, ppl(*[5.0] * 9))
    order(str(run.path), direction=direction)
    assert positions_of(run) == list(range(9))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, -0.0, 0.0, math.inf, None, math.nan]), min_size=1, max_size=30),
    schedule=st.sampled_from(list(schedules.SCHEDULES)),
    direction=st.sampled_from(["ascending", "descending"]),
)
def test_out_of_core_gives_the_order_of_memory(tmp_path_factory, values, schedule, direction):
    run = numbered_run(tmp_path_factory.mktemp("run"), ppl(*values))
    asked = {"run": str(run.path), "by": "zlib_ratio" if all(v is None or v != v for v in values) else "ppl"}
    asked |= {"schedule": schedule, "direction": direction, "jitter": 3}
    found = []
    for limit in ("1GB", "1B"):
        order(**asked, memory_limit=limit)
        found.append(run.order.read_bytes())
    assert found[0] == found[1]
    assert not (run.path / ".scratch").exists()


def test_out_of_core_gives_the_order_of_memory_with_strata_and_whole_numbers(tmp_path):
    run = domain_run(tmp_path)
    for by in ("year", "ppl"):
        found = []
        for limit in ("1GB", "1B"):
            order(str(run.path), by=by, schedule="warmup", stratify="domain", memory_limit=limit)
            found.append(positions_of(run))
        assert found[0] == found[1]
        assert sorted(found[0]) == list(range(120))


def test_too_many_strata_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "MOST_STRATA", 3)
    with pytest.raises(UsageError, match="more than 3 values"):
        order(str(domain_run(tmp_path).path), stratify="year")
