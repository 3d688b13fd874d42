"""``curate filter``: its sweeps over several bounds, and its ledger by domain."""

import numpy as np
import pytest
from helpers.domain_runs import DOCUMENTS, QUICK, is_number, run_of
from helpers.runs import widest, write_hits
from hypothesis import given

from curate.errors import GateError, UsageError
from curate.verbs.filter import filter as choose


def test_several_bounds_are_tried_in_a_dry_run_and_nothing_is_written(tmp_path):
    run = run_of(tmp_path, [(float(n), "web" if n % 2 else "code", 10) for n in range(10)])
    found = choose(str(run.path), max_ppl=(2, 5), min_tokens=(1, 11), dry_run=True)
    assert [(one.criterion, one.kept.documents) for one in found.sweep] == [
        ("--max-ppl 2 --min-tokens 1", 3),
        ("--max-ppl 2 --min-tokens 11", 0),
        ("--max-ppl 5 --min-tokens 1", 6),
        ("--max-ppl 5 --min-tokens 11", 0),
    ]
    assert not run.filter.exists()
    assert found.sweep[0].changes["code"] == pytest.approx((20 / 30) / 0.5 - 1)
    assert "33 %" in found.render() and widest(found.render()) <= 100
    with pytest.raises(UsageError, match="a decision has one bound") as caught:
        choose(str(run.path), max_ppl=(2, 5))
    assert "--dry-run --max-ppl 2,5" in caught.value.hint


def test_a_sweep_of_its_own_tries_the_middle_of_each_domain_too(tmp_path):
    run = run_of(tmp_path, [(float(n + 1), "web" if n % 2 else "code", 10) for n in range(10)])
    found = choose(str(run.path), dry_run=True)
    assert [one.criterion for one in found.sweep][-2:] == [
        "--keep middle --rate 0.5",
        "--keep middle --rate 0.5 --within domain",
    ]


@QUICK
@given(documents=DOCUMENTS)
def test_the_ledger_adds_up_to_what_was_scored_and_kept(tmp_path_factory, documents):
    run = run_of(tmp_path_factory.mktemp("run"), documents)
    try:
        found = choose(str(run.path), max_ppl=2, ledger="domain")
    except GateError:
        return
    assert sum(line.before.documents for line in found.ledger) == found.scored.documents == len(documents)
    assert sum(line.after.documents for line in found.ledger) == found.kept.documents
    assert sum(line.before.tokens for line in found.ledger) == sum(tokens for _, _, tokens in documents)
    for line in found.ledger:
        own = [value for value, of, _ in documents if (of or "(none)") == line.name and is_number(value)]
        kept = [value for value in own if value <= 2]
        assert line.before.median_perplexity == (float(np.median(own)) if own else None)
        assert line.after.median_perplexity == (float(np.median(kept)) if kept else None)
        assert line.after.documents == len(kept)
    everything = [value for value, _, _ in documents if is_number(value)]
    assert found.scored.median_perplexity == float(np.median(everything))


def test_what_the_tables_reject_is_in_no_ledger(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1), (1.0, "web", 1), (1.0, "code", 1)])
    write_hits(run, [{"row": 0}])
    found = choose(str(run.path), max_ppl=5)
    assert {line.name: line.before.documents for line in found.ledger} == {"web": 1, "code": 1}


def test_many_and_hostile_domains_stay_within_the_line(tmp_path):
    documents = [(float(n), f"domain \x1b[31m {n} of very many names", 1) for n in range(40)]
    shown = choose(str(run_of(tmp_path, documents).path), max_ppl=30, ledger="domain").render()
    assert "\x1b" not in shown and "20 others" in shown and widest(shown) <= 100


def test_a_ledger_is_kept_by_any_column_or_by_none(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1), (2.0, "web", 1)], year=lambda n: 2000 + n)
    assert [line.name for line in choose(str(run.path), max_ppl=5, ledger="year").ledger] == ["2000", "2001"]
    assert choose(str(run.path), max_ppl=5, ledger="none").ledger == ()
