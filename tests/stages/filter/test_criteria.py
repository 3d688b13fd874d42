"""``curate filter`` within groups, by token budgets and by chance; its sweeps, its ledger and its boundaries."""

import json
import math
import re

import numpy as np
import pytest
from helpers.runs import decisions_of, kept_of, make_run, widest, write_hits, write_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import carried, sieve
from curate.errors import GateError, UsageError
from curate.selection import filter as choose

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 2.0, 2.0, 3.0, 50.0, None, math.nan, math.inf]),
        st.sampled_from(["web", "code", None]),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=25,
)


def run_of(folder, documents, slice_bytes=400, **columns):
    """A run over documents of (perplexity, domain, tokens)."""
    rows, values = [], []
    for number, (perplexity, domain, tokens) in enumerate(documents):
        own = {name: function(number) for name, function in columns.items()}
        rows.append({"id": f"d{number}", "text": f"document {number} word", "domain": domain, **own})
        values.append({"perplexity": perplexity, "tokens": tokens})
    write_lines(folder / "corpus" / "a.jsonl", rows)
    numbers = values.__getitem__
    paths, places = [folder / "corpus"], lambda text: numbers(int(text.split()[1]))
    run = make_run(folder / "run", paths, places, slice_bytes=slice_bytes)
    carried.carry(run, ["domain"])  # as curate score does
    return run


def kept_by(run, **asked):
    """The rows that are kept; none where that is an error."""
    try:
        choose(str(run.path), **asked)
    except GateError:
        return []
    return kept_of(run)


def is_number(value):
    return value is not None and not math.isnan(value)


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
    whole = choose(str(run.path), **asked)
    table = run.filter.read_bytes()
    monkeypatch.setattr(sieve, "HELD_BYTES", 10)
    assert choose(str(run.path), **asked) == whole
    assert run.filter.read_bytes() == table


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
    rows = sieve.Rows(
        "00000-000000.parquet", "a", np.arange(many), np.zeros(many, np.int16), np.ones(many, np.int64), {},
        np.zeros(many, np.int64), np.zeros(many, np.int64), None,
    )  # fmt: skip
    noise = sieve.gumbel(3, rows)
    assert noise.mean() == pytest.approx(0.5772, abs=0.03) and noise.var() == pytest.approx(math.pi**2 / 6, abs=0.08)
    wins = np.mean(1.0 + noise[::2] > noise[1::2])
    assert wins == pytest.approx(math.e / (1 + math.e), abs=0.02)


# Sweeps and the ledger.


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


# Columns of the documents.


def test_a_column_of_the_documents_orders_and_answers_sql(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1)] * 6, quality=lambda n: n / 10, lang=lambda n: "de" if n < 2 else "en")
    assert kept_by(run, keep="high", rate=0.5, by="quality") == [3, 4, 5]
    assert set(decisions_of(run).values()) == {None, "quality below percentile 50"}
    assert kept_by(run, where="lang = 'de' and quality > 0") == [1]
    with pytest.raises(UsageError, match="holds text, not numbers"):
        choose(str(run.path), keep="high", by="lang")


@pytest.mark.parametrize(
    ("asked", "says", "hint"),
    [
        ({"keep": "low", "within": "domian"}, "no column 'domian'", "did you mean domain?"),
        ({"keep": "low", "by": "qualty"}, "no column of numbers 'qualty'", "there are"),
        ({"within": "domain"}, "--within domain says nothing without --keep", "--keep middle"),
        ({"tokens": "2B"}, "--tokens 2B says nothing without --keep", "--keep middle"),
        ({"temperature": 1.0}, "--temperature 1.0 says nothing without --keep", "--keep middle"),
        ({"keep": "low", "tokens": "2X"}, "no number of tokens", "2B"),
        ({"keep": "low", "tokens": "0"}, "keeps nothing", "2B"),
        ({"keep": "low", "tokens": "2B", "rate": 0.5}, "both say how much", "leave one"),
        ({"keep": "10:60", "tokens": "2B"}, "both say how much", "leave one"),
        ({"keep": "10:60", "temperature": 1.0}, "a draw has no percentiles", "--keep low, middle or high"),
        ({"keep": "low", "temperature": 0.0}, "no temperature", "above 0|softly"),
        ({"keep": "low", "temperature": math.nan}, "no temperature", "softly"),
        ({"max_ppl": 5, "seed": 7}, "--seed 7 says nothing without --temperature", "--temperature 1 --seed 7"),
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


# Boundaries.


def test_show_gives_the_nearest_documents_on_both_sides_of_a_bound(tmp_path):
    run = run_of(tmp_path, [(float(n), "web", 1) for n in range(40)])
    (bound,) = choose(str(run.path), max_ppl=19.5, show=True).boundaries
    assert [near.row for near in bound.kept] == list(range(19, 9, -1))
    assert [near.row for near in bound.rejected] == list(range(20, 30))
    assert bound.kept[0].text == "document 19 word" and bound.kept[0].id == "d19"


def test_show_gives_the_ends_of_a_band_in_each_group(tmp_path):
    run = run_of(tmp_path, [(float(n), "web" if n % 2 else "code", 1) for n in range(40)])
    found = choose(str(run.path), keep="middle", rate=0.5, within="domain", show=True)
    assert [(one.group, one.column) for one in found.boundaries].count(("web", "perplexity")) == 2
    for one in found.boundaries:
        web = one.group == "web"
        assert {near.row % 2 for near in (*one.kept, *one.rejected)} == {int(web)}
        assert all("percentile" in one.reason for one in found.boundaries)
    shown = found.render()
    assert "in web: perplexity below percentile 25 of its domain" in shown
    assert widest(shown) <= 100


def test_a_draw_has_no_boundary_and_says_so(tmp_path):
    run = run_of(tmp_path, [(float(n), "web", 1) for n in range(1, 9)])
    found = choose(str(run.path), keep="low", rate=0.5, temperature=1.0, show=True)
    assert found.boundaries == () and "no boundary to show" in found.render()
    assert "no boundary to show" not in choose(str(run.path), max_ppl=5).render()


def test_a_text_beside_a_boundary_cannot_command_the_terminal(tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": f"\x1b[2J evil {n}\n\n" + "x" * 500} for n in range(2)])
    run = make_run(tmp_path / "run", [tmp_path / "corpus"], lambda text: {"perplexity": 1.0 + ("1\n" in text)})
    shown = choose(str(run.path), max_ppl=1.5, show=True).render()
    assert "\x1b" not in shown and "evil" in shown and widest(shown) <= 100


def test_the_selection_is_json(tmp_path):
    run = run_of(tmp_path, [(1.0, "web", 1), (9.0, "code", 2)])
    found = json.loads(json.dumps(choose(str(run.path), max_ppl=5, show=True).as_dict()))
    assert found["ledger"][0]["name"] == "code" and found["boundaries"][0]["kept"][0]["file"] == "a.jsonl"
    assert found["parameters"] == {"max_ppl": 5}
