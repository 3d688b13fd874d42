"""Criteria applied to rows: within groups, by token budgets, by chance, and by columns of the documents."""

import math

import numpy as np
import pytest
from helpers.document_blocks import count_readings
from helpers.domain_runs import DOCUMENTS, QUICK, is_number, kept_by, run_of
from helpers.runs import decisions_of, kept_of, make_run, write_lines
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.rundir import document_blocks
from curate.rundir.aligned_parts import SliceRows
from curate.rundir.document_blocks import DocumentBlock
from curate.stages.filter import apply
from curate.verbs.filter import filter as choose

# Groups.


@QUICK
@given(documents=DOCUMENTS, low=st.integers(0, 99), width=st.integers(1, 100))
def test_percentiles_within_a_domain_are_those_of_each_domain_alone(tmp_path_factory, documents, low, width):
    run, high = run_of(tmp_path_factory.mktemp("run"), documents), min(100, low + width)
    expected = []
    for domain in ("web", "code", None):
        own = [(value, n) for n, (value, of, _) in enumerate(documents) if of == domain and is_number(value)]
        own.sort(key=lambda pair: pair[0])  # stable: ties stay in the order of the corpus
        first, last = (math.floor(share * len(own) / 100 + 0.5) for share in (low, high))
        expected += [n for _, n in own[first:last]]
    assert kept_by(run, keep=f"{low}:{high}", within="domain") == sorted(expected)


@QUICK
@given(documents=DOCUMENTS, memory=st.sampled_from([None, "1MB"]))
def test_nan_and_null_are_never_kept_whatever_the_memory(tmp_path_factory, documents, memory):
    run = run_of(tmp_path_factory.mktemp("run"), documents)
    kept = kept_by(run, keep="0:100", within="domain", memory_limit=memory)
    assert kept == [n for n, (value, _, _) in enumerate(documents) if is_number(value)]


def test_a_domain_with_one_document_keeps_it_or_not_by_the_same_rounding_as_any(tmp_path):
    run = run_of(tmp_path, [(5.0, "alone", 3), *((float(n), "web", 1) for n in range(4))])
    assert kept_by(run, keep="low", rate=0.5, within="domain") == [0, 1, 2]
    assert kept_by(run, keep="high", rate=0.5, within="domain") == [3, 4]
    assert "of its domain" in next(iter(choose(str(run.path), keep="low", rate=0.5, within="domain").rejected))


def test_the_same_decision_is_made_when_rows_do_not_fit_into_memory(tmp_path, monkeypatch):
    drawn = np.random.default_rng(0)
    documents = [(float(value), "abc"[n % 3], n % 7 + 1) for n, value in enumerate(drawn.integers(1, 9, 80))]
    run = run_of(tmp_path, documents)
    asked = {"keep": "middle", "tokens": "150", "within": "domain", "where": "tokens > 1", "max_ppl": 8}
    readings = count_readings(monkeypatch)
    whole = choose(str(run.path), **asked)
    table = run.filter.read_bytes()
    assert readings() == 1  # and with 10 bytes of memory once a pass
    monkeypatch.setattr(document_blocks, "HELD_BYTES", 10)
    assert choose(str(run.path), **asked) == whole
    assert run.filter.read_bytes() == table and readings() > 5


# Budgets of tokens.


@QUICK
@given(documents=DOCUMENTS, budget=st.integers(1, 120), keep=st.sampled_from(["low", "middle", "high"]))
def test_a_budget_is_kept_and_spent_as_far_as_whole_documents_allow(tmp_path_factory, documents, budget, keep):
    run = run_of(tmp_path_factory.mktemp("run"), documents)
    kept = kept_by(run, keep=keep, tokens=str(budget))
    scored = sorted((value, n) for n, (value, _, _) in enumerate(documents) if is_number(value))
    order = [n for _, n in scored]
    spent = sum(documents[n][2] for n in kept)
    assert spent <= budget
    places = sorted(order.index(n) for n in kept)
    assert places == list(range(places[0], places[0] + len(places))) if places else True
    if keep == "low" and len(kept) < len(order):
        assert places[:1] in ([], [0]) and spent + documents[order[len(kept)]][2] > budget
    if keep == "high" and len(kept) < len(order):
        assert places[-1:] in ([], [len(order) - 1]) and spent + documents[order[-len(kept) - 1]][2] > budget
    if sum(documents[n][2] for n in order) <= budget:
        assert kept == sorted(order)


def test_a_budget_is_spent_on_what_the_other_criteria_keep(tmp_path):
    run = run_of(tmp_path, [(float(n), "web", 10) for n in range(10)])
    assert kept_by(run, keep="low", tokens="30", min_ppl=4, where="id <> 'd5'") == [4, 6, 7]


def test_each_group_gets_its_share_of_a_budget(tmp_path):
    run = run_of(tmp_path, [(float(n), "web" if n < 9 else "code", 10) for n in range(12)])
    found = choose(str(run.path), keep="low", tokens="80", within="domain")
    assert {line.name: line.after.tokens for line in found.ledger} == {"web": 60, "code": 20}
    assert "above the budget of 80 tokens" in next(iter(found.rejected))


# Chance.


def test_a_seed_fixes_what_is_drawn_and_another_draws_otherwise(tmp_path):
    run = run_of(tmp_path, [(float(n + 1), "web", 1) for n in range(60)])
    asked = {"keep": "low", "rate": 0.5, "temperature": 2.0}
    first = kept_by(run, **asked, seed=7)
    assert first == kept_by(run, **asked, seed=7) and len(first) == 30
    assert first != kept_by(run, **asked, seed=8)


def test_a_low_temperature_keeps_the_best_and_a_high_one_draws_evenly(tmp_path):
    run = run_of(tmp_path, [(float(n + 1), "web", 1) for n in range(200)])
    cold = kept_by(run, keep="low", rate=0.25, temperature=1e-9)
    assert cold == list(range(50))
    assert kept_by(run, keep="high", rate=0.25, temperature=1e-9) == list(range(150, 200))
    middle = kept_by(run, keep="middle", rate=0.25, temperature=1e-9)
    assert len(middle) == 50 and max(middle) - min(middle) == 49
    hot = kept_by(run, keep="low", rate=0.25, temperature=1e9)
    assert len(hot) == 50 and 60 < np.mean(hot) < 140  # 99.5 ± 4 standard errors of 50 drawn of 200


def test_drawn_odds_go_with_the_temperature():
    """Of two documents the nearer is drawn first with odds exp(z/T): a known answer for Gumbel noise."""
    many = 20_000
    zeros = np.zeros(many, np.int64)
    block = DocumentBlock(
        name="00000-000000.parquet", slices=[SliceRows("00000-000000.parquet", "a", many)],
        codes=zeros.astype(np.int16), eligible=zeros == 0, tokens=zeros + 1, columns={}, domain=zeros, within=zeros,
    )  # fmt: skip
    noise = apply.draw_gumbel_noise(3, block)
    assert noise.mean() == pytest.approx(0.5772, abs=0.03) and noise.var() == pytest.approx(math.pi**2 / 6, abs=0.08)
    wins = np.mean(1.0 + noise[::2] > noise[1::2])
    assert wins == pytest.approx(math.e / (1 + math.e), abs=0.02)


# Columns of the documents.


def test_a_column_of_the_documents_orders_and_answers_sql(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1)] * 6, quality=lambda n: n / 10, lang=lambda n: "de" if n < 2 else "en")
    assert kept_by(run, keep="high", rate=0.5, by="quality") == [3, 4, 5]
    assert set(decisions_of(run).values()) == {None, "quality below percentile 50"}
    assert kept_by(run, where="lang = 'de' and quality > 0") == [1]
    with pytest.raises(UsageError, match="holds text, not numbers"):
        choose(str(run.path), keep="high", by="lang")


def test_repetition_guards_reject_by_their_own_signal(tmp_path):
    rows = [{"id": f"d{n}", "text": f"document {n} word"} for n in range(3)]
    write_lines(tmp_path / "corpus" / "a.jsonl", rows)
    signals = ("zlib_ratio", "repeated_5grams", "repeated_lines")

    def numbers(text):
        n = int(text.split()[1])
        return {"repeated_5grams": [0.1, 0.7, 0.2][n], "repeated_lines": [0.9, 0.0, 0.3][n]}

    run = make_run(tmp_path / "run", [tmp_path / "corpus"], numbers, signals=signals)
    found = choose(str(run.path), max_repeated_5grams=0.7, max_repeated_lines=0.3)
    assert dict(found.rejected).keys() == {"repeated_lines > 0.3"} and kept_of(run) == [1, 2]
    choose(str(run.path), max_repeated_5grams=0.2)
    assert kept_of(run) == [0, 2]  # 0.2 in single precision is its own bound
