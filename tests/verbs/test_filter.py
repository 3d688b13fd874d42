"""``curate filter``: bounds, percentiles and SQL, one reason for each document, nothing lost."""

import math

import pyarrow.parquet as pq
import pytest
from helpers.runs import decisions_of, kept_of, make_run, numbered_run, ppl, reasons_of, widest, write_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import GateError, TableError, UsageError
from curate.rundir import decision_table, parquet, scores_view
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose


def test_bounds_are_included_and_the_next_number_is_not(tmp_path):
    above = math.nextafter(50.0, 100)
    below = math.nextafter(10.0, 0)
    run = numbered_run(tmp_path, ppl(50.0, above, 10.0, below, 30.0))
    choose(str(run.path), max_ppl=50, min_ppl=10)
    assert reasons_of(run) == [None, "perplexity > 50", None, "perplexity < 10", None]


def test_each_bound_judges_its_own_column(tmp_path):
    run = numbered_run(
        tmp_path,
        [
            {"tokens": 4, "bits_per_byte": 1.0},
            {"tokens": 5, "bits_per_byte": 1.0},
            {"tokens": 9, "bits_per_byte": 1.0},
            {"tokens": 8, "bits_per_byte": 2.5},
            {"tokens": 8, "bits_per_byte": 0.4},
            {"tokens": 8, "bits_per_byte": 1.0, "zlib_ratio": 0.1},
        ],
    )
    choose(str(run.path), min_tokens=5, max_tokens=8, max_bpb=2, min_bpb=0.5, min_zlib=0.2)
    expected = ["tokens < 5", None, "tokens > 8", "bits_per_byte > 2", "bits_per_byte < 0.5", "zlib_ratio < 0.2"]
    assert reasons_of(run) == expected


def test_a_bound_on_a_single_precision_column_includes_its_own_value(tmp_path):
    run = numbered_run(tmp_path, [{"zlib_ratio": 0.7}, {"zlib_ratio": 0.3}, {"zlib_ratio": 0.6999}])
    choose(str(run.path), min_zlib=0.7)
    assert kept_of(run) == [0]
    choose(str(run.path), min_zlib=0.3)
    assert kept_of(run) == [0, 1, 2]


def test_a_null_or_nan_is_never_kept_by_any_criterion(tmp_path):
    run = numbered_run(tmp_path, ppl(None, math.nan, 20.0))
    for asked in ({"max_ppl": 1e9}, {"min_ppl": 0}, {"keep": "low", "rate": 1.0}, {"keep": "high", "rate": 1.0}):
        choose(str(run.path), **asked)
        assert reasons_of(run) == ["perplexity is null", "perplexity is null", None], asked
    choose(str(run.path), where="perplexity < 1e9")
    assert reasons_of(run) == ["where is null", "where is null", None]


def test_an_unscored_document_has_its_status_for_a_reason_whatever_is_asked(tmp_path):
    statuses = ["too_long", "unscorable", "not_finite"]
    run = numbered_run(tmp_path, [*({"status": status} for status in statuses), {}])
    for asked in ({"where": "true"}, {"min_ppl": 0}, {"keep": "middle", "rate": 1.0}):
        choose(str(run.path), **asked)
        assert reasons_of(run) == [*(f"unscored: {status}" for status in statuses), None], asked


def test_empty_and_unreadable_rows_are_counted_apart_and_nothing_is_lost(tmp_path):
    write_lines(
        tmp_path / "c" / "a.jsonl", [{"text": "one"}, {"text": " "}, b"{broken", {"text": None}, {"text": "two"}]
    )
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = choose(str(run.path), min_tokens=1)
    assert reasons_of(run) == [None, "unscored: empty", "unreadable", "unreadable", None]
    assert (found.read.documents, found.kept.documents, found.unreadable) == (5, 2, 2)
    assert {reason: share.documents for reason, share in found.rejected.items()} == {"unscored: empty": 1}


def test_the_first_criterion_that_fails_is_the_only_reason(tmp_path):
    run = numbered_run(tmp_path, [*ppl(90.0, tokens=1), *ppl(1.0)])
    choose(str(run.path), max_ppl=50, min_tokens=5, where="id = 'd1'", keep="low", rate=0.5)
    assert reasons_of(run) == ["perplexity > 50", None]
    choose(str(run.path), min_tokens=5, where="id = 'd1'")
    assert reasons_of(run) == ["tokens < 5", None]


def test_running_it_again_replaces_what_was_decided(tmp_path):
    run = numbered_run(tmp_path, ppl(40.0, 55.0, 70.0))
    choose(str(run.path), max_ppl=50)
    assert kept_of(run) == [0]
    choose(str(run.path), max_ppl=60)
    assert kept_of(run) == [0, 1]
    assert open_run(run.path).stage("filter")["parameters"] == {"max_ppl": 60}


def test_the_same_criteria_give_the_same_bytes(tmp_path):
    run = numbered_run(tmp_path, ppl(*(float(number % 7) for number in range(50))))
    taken = []
    for _ in range(2):
        choose(str(run.path), max_ppl=5, keep="middle", rate=0.5)
        taken.append((run.filter.read_bytes(), (run.path / "run.json").read_bytes()))
    assert taken[0] == taken[1]


# Percentiles.


def test_low_middle_and_high_keep_the_documents_that_they_say(tmp_path):
    run = numbered_run(tmp_path, ppl(8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0))
    for keep, expected in {"low": {1, 2, 3, 4}, "middle": {3, 4, 5, 6}, "high": {5, 6, 7, 8}, "25:50": {3, 4}}.items():
        choose(str(run.path), keep=keep, rate=None if ":" in keep else 0.5)
        perplexities = [8, 1, 7, 2, 6, 3, 5, 4]
        assert {perplexities[row] for row in kept_of(run)} == expected


def test_ties_go_by_key_so_that_the_share_is_exact(tmp_path):
    run = numbered_run(tmp_path, ppl(*[5.0] * 10))
    choose(str(run.path), keep="low", rate=0.3)
    assert kept_of(run) == [0, 1, 2]
    choose(str(run.path), keep="high", rate=0.3)
    assert kept_of(run) == [7, 8, 9]


def test_ties_over_several_files_go_by_file_then_row(tmp_path):
    hostile = ["b'; DROP TABLE scores; --.jsonl", "a.jsonl", "ü [1]*.jsonl"]
    for name in hostile:
        write_lines(tmp_path / "c" / name, [{"text": f"{name} {row}"} for row in range(4)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], lambda text: {"perplexity": 3.0})
    choose(str(run.path), keep="low", rate=0.5)
    kept = {key for key, reason in decisions_of(run).items() if reason is None}
    assert kept == set(sorted(decisions_of(run), key=lambda key: (key[0].encode(), key[1]))[:6])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.inf, None]), min_size=1, max_size=12),
    percent=st.integers(1, 99),
)
def test_low_and_high_of_rates_that_add_up_part_the_scored_documents(tmp_path_factory, values, percent):
    run = numbered_run(tmp_path_factory.mktemp("run"), ppl(*values))

    def kept(keep, rate):
        try:
            choose(str(run.path), keep=keep, rate=rate)
        except GateError:  # so small a share of so few is none
            return set()
        return set(kept_of(run))

    low, high = kept("low", percent / 100), kept("high", round(1 - percent / 100, 2))
    scored = [row for row, value in enumerate(values) if value is not None]
    assert not low & high
    assert low | high == set(scored)
    assert len(low) == math.floor(percent * len(scored) / 100 + 0.5)
    assert max((values[row] for row in low), default=0) <= min((values[row] for row in high), default=math.inf)


def test_percentiles_are_of_all_scored_documents_whatever_else_rejects(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 11))))
    choose(str(run.path), min_ppl=6, keep="low", rate=0.8)
    assert kept_of(run) == [5, 6, 7]


def test_any_column_of_numbers_can_order(tmp_path):
    run = numbered_run(tmp_path, [{"tokens": tokens} for tokens in (30, 10, 20, 40)])
    choose(str(run.path), keep="high", rate=0.25, by="tokens")
    assert kept_of(run) == [3]
    assert reasons_of(run)[0] == "tokens below percentile 75"


# SQL.


def test_where_keeps_what_is_true_alone(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, None))
    choose(str(run.path), where="perplexity < 50 -- a remark")
    assert reasons_of(run) == [None, "where is false", "where is null"]
    choose(str(run.path), where="id IN ('d1') or perplexity < (select avg(perplexity) from scores)")
    assert kept_of(run) == [0, 1]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("perplexity <", "Parser Error"),
        ("1) OR (1", "Parser Error"),
        ("perplexity < 5; drop view scores", "Parser Error"),
        ("a, b", "single expression"),
        ("", "Parser Error"),
        ("perplexty < 50", "perplexty"),
        ("perplexity", "gives DOUBLE"),
        ("perplexity < avg(perplexity)", "aggregate"),
        ("rank() over () < 3", "window"),
        ("random() < 0.5", "random"),
        ("perplexity < (select count(*) from read_text('/etc/hostname'))", "read_text() reads what is not of the run"),
        ("perplexity < (select count(*) from '/etc/hostname')", "does not exist"),
        ("perplexity < (select count(*) from glob('/*'))", "glob() reads what is not of the run"),
    ],
)
def test_sql_that_is_no_condition_over_the_columns_is_refused(tmp_path, where, says):
    run = numbered_run(tmp_path, ppl(10.0))
    with pytest.raises(UsageError) as caught:
        choose(str(run.path), where=where)
    assert says.lower() in caught.value.message.lower()
    assert "\n" not in caught.value.message
    assert "columns" in caught.value.hint or "reproducible" in caught.value.hint
    assert not run.filter.exists()


def test_sql_cannot_see_the_variables_of_the_program(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    with scores_view.open_scores(run) as connection:
        secret = pq.read_table(run.scores / "00000-000000.parquet")
        assert len(secret) == 1
        with pytest.raises(Exception, match="secret"):
            connection.execute("SELECT * FROM secret")


def test_sql_that_fails_in_a_row_is_an_error_and_leaves_the_old_decision(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    choose(str(run.path), max_ppl=50)
    with pytest.raises(UsageError, match="Conversion Error"):
        choose(str(run.path), where="cast(id as int) > 3")
    assert kept_of(run) == [0]
    assert decision_table.open_filter(open_run(run.path)) is not None


# What means nothing.


@pytest.mark.parametrize(
    "asked",
    [
        {"max_ppl": 10, "min_ppl": 11},
        {"max_bpb": 1, "min_bpb": 1.5},
        {"max_tokens": 3, "min_tokens": 4},
        {"max_ppl": -1},
        {"min_ppl": math.nan},
        {"max_ppl": math.inf},
        {"keep": "middle", "rate": 0},
        {"keep": "middle", "rate": 1.01},
        {"keep": "middle", "rate": math.nan},
        {"keep": "most"},
        {"keep": "60:10"},
        {"keep": "10:101"},
        {"keep": "10:10"},
        {"keep": "10:60", "rate": 0.5},
        {"keep": "low", "by": "nonsense"},
        {"keep": "low", "by": "id"},
        {"keep": "low", "by": "perplexity; drop"},
        {"rate": 0.3},
        {"by": "tokens"},
        {"max_ppl": 50, "memory_limit": "much"},
        {"max_ppl": 50, "memory_limit": "-1GB"},
    ],
)
def test_an_option_that_means_nothing_is_refused_with_a_hint(tmp_path, asked):
    run = numbered_run(tmp_path, ppl(10.0))
    with pytest.raises(UsageError) as caught:
        choose(str(run.path), **asked)
    assert caught.value.hint
    assert not run.filter.exists()


def test_equal_bounds_keep_the_one_value(tmp_path):
    run = numbered_run(tmp_path, ppl(9.0, 10.0, 11.0))
    choose(str(run.path), max_ppl=10, min_ppl=10)
    assert kept_of(run) == [1]


def test_a_mistyped_column_is_answered_with_the_nearest(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    with pytest.raises(UsageError) as caught:
        choose(str(run.path), keep="low", by="bits_per_bite")
    assert "did you mean bits_per_byte?" in caught.value.hint


def test_a_zlib_bound_without_the_signal_says_how_to_get_it(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0), signals=())
    with pytest.raises(UsageError) as caught:
        choose(str(run.path), min_zlib=0.2)
    assert "--signals zlib_ratio" in caught.value.hint


def test_without_a_criterion_it_explains_with_the_quantiles_of_this_corpus(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 102))))
    with pytest.raises(UsageError) as caught:
        choose(str(run.path))
    assert "min 1, 5 % 6, 25 % 26, 50 % 51, 75 % 76, 95 % 96" in caught.value.message
    assert "--max-ppl 76" in caught.value.hint


# What is shown, and what is written.


def test_a_dry_run_counts_the_same_and_writes_nothing(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, 30.0))
    before = sorted(path.name for path in run.path.iterdir())
    tried = choose(str(run.path), max_ppl=50, dry_run=True)
    assert sorted(path.name for path in run.path.iterdir()) == before
    decided = choose(str(run.path), max_ppl=50)
    assert (tried.kept, tried.rejected, tried.scored) == (decided.kept, decided.rejected, decided.scored)
    assert "nothing was written" in tried.render()


def test_a_dry_run_without_a_criterion_sweeps_thresholds(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 102))))
    found = choose(str(run.path), dry_run=True)
    kept = {trial.criterion: trial.kept.documents for trial in found.sweep}
    assert kept == {
        "--max-ppl 26": 26,
        "--max-ppl 51": 51,
        "--max-ppl 76": 76,
        "--max-ppl 96": 96,
        "--keep middle --rate 0.5": 51,
    }
    assert found.sweep[0].kept.median_perplexity == 13.5
    assert widest(found.render()) <= 100
    assert not run.filter.exists()


def test_the_summary_has_documents_tokens_and_medians(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n), "tokens": 10 * n} for n in range(1, 6)])
    found = choose(str(run.path), max_ppl=3)
    assert (found.kept.documents, found.kept.tokens, found.kept.median_perplexity) == (3, 60, 2.0)
    assert (found.scored.documents, found.scored.tokens, found.scored.median_perplexity) == (5, 150, 3.0)
    assert (found.rejected["perplexity > 3"].documents, found.rejected["perplexity > 3"].tokens) == (2, 90)
    shown = found.render()
    assert "median perplexity 3 before, 2 after" in shown
    assert "next: curate export out/" in shown
    assert widest(shown) <= 100


def test_criteria_that_keep_nothing_are_an_error_with_the_quantiles_and_leave_the_old_decision(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 30.0))
    choose(str(run.path), max_ppl=20)
    before = run.filter.read_bytes()
    with pytest.raises(GateError, match=r"perplexity > 5: 2.*min 10.*50 % 20.*95 %"):
        choose(str(run.path), max_ppl=5)
    assert run.filter.read_bytes() == before and kept_of(run) == [0]
    found = choose(str(run.path), max_ppl=5, dry_run=True)
    assert found.kept.documents == 0 and found.kept.median_perplexity is None


def test_the_table_follows_the_order_of_the_corpus_over_files_and_slices(tmp_path):
    for name in ("z.jsonl", "a.jsonl", "m.jsonl"):
        write_lines(tmp_path / "c" / name, [{"text": f"{name} line {row}"} for row in range(40)])
    paths = [tmp_path / "c" / name for name in ("z.jsonl", "a.jsonl", "m.jsonl")]
    run = make_run(tmp_path / "run", paths, slice_bytes=800)
    assert len(parquet.list_parts(run.scores)) > 6
    choose(str(run.path), keep="middle")
    scored = [
        (row["file"], row["row"]) for part in parquet.list_parts(run.scores) for row in pq.read_table(part).to_pylist()
    ]
    assert list(decisions_of(run)) == scored


def test_a_run_directory_with_a_hostile_name_works(tmp_path):
    run = numbered_run(tmp_path / "it's [a] *run? {1}", ppl(10.0, 60.0))
    choose(str(run.path), max_ppl=50, memory_limit="500MB")
    assert kept_of(run) == [0]
    assert not (run.path / ".spill").exists()


def test_a_missing_part_breaks_the_conservation_law_and_stops(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"line {row}"} for row in range(40)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800)
    parquet.list_parts(run.scores)[1].unlink()
    with pytest.raises(TableError, match="40 documents read"):
        choose(str(run.path), max_ppl=50)


def test_unfinished_scores_are_refused(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0), complete=False)
    with pytest.raises(TableError, match="not complete"):
        choose(str(run.path), max_ppl=50)


def test_a_damaged_part_is_an_error_that_names_it(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    part = parquet.list_parts(run.scores)[0]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(TableError, match=part.name):
        choose(str(run.path), max_ppl=50)


def test_a_filter_that_died_between_table_and_record_is_noticed(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0))
    choose(str(run.path), max_ppl=50)
    old = (run.path / "run.json").read_bytes()
    choose(str(run.path), max_ppl=70)
    (run.path / "run.json").write_bytes(old)
    with pytest.raises(TableError, match="do not belong together"):
        decision_table.open_filter(open_run(run.path))
