"""``curate order``: a position for each kept document, nothing lost, strata in their shares."""

import math

import numpy as np
import pytest
from helpers.orders import domain_run, positions_of
from helpers.runs import numbered_run, ppl, widest, write_duplicates, write_hits

from curate.errors import GateError, TableError, UsageError
from curate.rundir import placements
from curate.rundir.run import open_run
from curate.stages.order import schedules
from curate.verbs.explain import explain
from curate.verbs.filter import filter as choose
from curate.verbs.order import order
from curate.verbs.status import status


def test_positions_follow_the_key_and_what_is_not_kept_has_none(tmp_path):
    run = numbered_run(tmp_path, ppl(30.0, 90.0, 10.0, 20.0))
    choose(str(run.path), max_ppl=50)
    order(str(run.path))
    assert positions_of(run) == [2, None, 0, 1]
    order(str(run.path), direction="descending")
    assert positions_of(run) == [0, None, 2, 1]


def test_without_a_filter_leaks_and_copies_have_no_position(tmp_path):
    run = numbered_run(tmp_path, ppl(4.0, 3.0, 2.0, 1.0))
    write_hits(run, [{"row": 1}])
    write_duplicates(run, [{0: "keeper", 3: "near"}])
    order(str(run.path))
    assert positions_of(run) == [1, None, 0, None]


@pytest.mark.parametrize("schedule", list(schedules.SCHEDULES))
def test_a_document_without_a_key_is_last_and_counted(tmp_path, schedule):
    run = numbered_run(tmp_path, ppl(None, 3.0, math.nan, 1.0, math.inf))
    found = order(str(run.path), schedule=schedule)
    assert (found.documents, found.unmeasured) == (5, 2)
    assert positions_of(run)[0::2][:2] == [3, 4]
    assert sorted(positions_of(run)) == [0, 1, 2, 3, 4]
    assert "2 documents without perplexity" in found.render()


def test_strata_keep_their_shares_in_every_tenth(tmp_path):
    found = order(str(domain_run(tmp_path, 600).path), stratify="domain")
    assert [one.value for one in found.strata] == ["a", "b"]
    for one in found.strata:
        assert one.share - 0.03 < one.lowest <= one.highest < one.share + 0.03
    shown = found.render()
    assert "domain" in shown and widest(shown) <= 100


def test_a_carried_column_of_numbers_orders_and_one_of_text_is_refused(tmp_path):
    run = domain_run(tmp_path, 20)
    order(str(run.path), by="year")
    years = [2000 + n % 7 for n in range(20)]
    expected = sorted(range(20), key=lambda n: (years[n], n))
    assert positions_of(run) == [expected.index(n) for n in range(20)]
    with pytest.raises(UsageError, match="text, not numbers"):
        order(str(run.path), by="domain")
    with pytest.raises(UsageError) as caught:
        order(str(run.path), stratify="domian")
    assert "domain" in caught.value.hint


def test_the_same_command_gives_the_same_bytes_and_another_seed_other_positions(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(40))))
    taken = []
    for seed in (1, 1, 2):
        order(str(run.path), schedule="shuffle", seed=seed)
        taken.append((run.order.read_bytes(), (run.path / "run.json").read_bytes()))
    assert taken[0] == taken[1] and taken[0][0] != taken[2][0]


def test_an_order_that_is_no_permutation_is_not_written(tmp_path, monkeypatch):
    run = numbered_run(tmp_path, ppl(1.0, 2.0, 3.0))
    order(str(run.path))
    before = run.order.read_bytes()
    monkeypatch.setattr(schedules, "arrange", lambda *_: np.array([0, 0, 2]))
    with pytest.raises(TableError, match="not a permutation: 1 of 3"):
        order(str(run.path), schedule="shuffle")
    assert run.order.read_bytes() == before
    assert placements.open_order(open_run(run.path)) is not None


def test_a_dry_run_shows_the_same_and_writes_nothing(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 2.0, 3.0))
    tried = order(str(run.path), dry_run=True)
    assert not run.order.exists() and open_run(run.path).stage("order") is None
    done = order(str(run.path))
    assert (tried.tenths, tried.median, tried.parameters) == (done.tenths, done.median, done.parameters)
    assert "nothing was written" in tried.render() and "next: curate export" in done.render()


def test_the_tenths_are_of_tokens_with_their_medians_and_means(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n), "tokens": 10} for n in range(20)])
    found = order(str(run.path))
    assert [one.median for one in found.tenths] == [0.5 + 2 * n for n in range(10)]
    assert [(one.documents, one.tokens) for one in found.tenths] == [(2, 20)] * 10
    assert (found.median, found.tokens) == (9.5, 200)
    assert widest(found.render()) <= 100


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "perplexty"}, {"by": "id"}, {"by": "row"}, {"schedule": "sorted"}, {"direction": "up"}, {"jitter": 0},
        {"seed": -1}, {"memory_limit": "much"}, {"memory_limit": "-1GB"}, {"folds": 3}, {"stratify": "nothing"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_with_a_hint_and_writes_nothing(tmp_path, asked):
    run = numbered_run(tmp_path, ppl(1.0))
    with pytest.raises(UsageError) as caught:
        order(str(run.path), **asked)
    assert caught.value.hint
    assert not run.order.exists()


def test_nothing_kept_and_nothing_measured_are_errors(tmp_path):
    run = numbered_run(tmp_path, ppl(None, None))
    with pytest.raises(UsageError, match="no document that is kept has a perplexity"):
        order(str(run.path))
    write_hits(run, [{"row": 0}, {"row": 1}])
    with pytest.raises(GateError, match="nothing is kept"):
        order(str(run.path))


def test_status_and_explain_tell_the_order_and_a_stale_one_is_listed(tmp_path):
    run = numbered_run(tmp_path, ppl(30.0, 10.0, 20.0))
    order(str(run.path), schedule="fold")
    assert "fold by perplexity, ascending" in status(str(run.path)).render()
    assert f"{'position':<16}2 of 3" in explain("d2", str(run.path)).render()
    choose(str(run.path), max_ppl=25)
    shown = status(str(run.path)).render()
    assert "fold by perplexity" not in shown and "order.parquet is stale" in " ".join(shown.split())
    assert "position" not in explain("d2", str(run.path)).render()
