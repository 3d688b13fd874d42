"""``curate filter`` asks its criteria of the documents that hits and duplicates leave."""

import pytest
from helpers.runs import kept_of, numbered_run, ppl, widest, write_duplicates, write_hits

from curate.errors import UsageError
from curate.rundir import parquet
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose


def test_percentiles_medians_and_shares_are_of_the_documents_that_are_left(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 13))))
    write_hits(run, [{"row": 0}, {"row": 1}])
    write_duplicates(run, [{2: "near", 3: "exact", 4: "keeper"}])
    found = choose(str(run.path), keep="low", rate=0.5)
    assert kept_of(run) == [4, 5, 6, 7]  # the lower half of the perplexities 5 to 12
    assert (found.scored.documents, found.scored.median_perplexity) == (8, 8.5)
    with pytest.raises(UsageError, match=r"Perplexity of this one: min 5, .*50 % 8\.5"):
        choose(str(run.path))


def test_a_sweep_is_of_the_documents_that_are_left_and_says_how_many_went(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 104))))
    write_hits(run, [{"row": 101}, {"row": 102, "eval_set": "mbpp"}])
    write_duplicates(run, [{0: "near", 1: "keeper"}])
    found = choose(str(run.path), dry_run=True)
    assert found.scored.documents == 100
    assert {trial.criterion: trial.kept.documents for trial in found.sweep}["--keep middle --rate 0.5"] == 50
    shown = found.render()
    assert "after decontaminate, dedup" in shown
    assert "rejected before: contaminated 2, near duplicates 1" in shown
    assert widest(shown) <= 100
    assert not run.filter.exists()


def test_a_dry_run_counts_as_the_decision_does(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, 30.0, 20.0))
    write_hits(run, [{"row": 0}])
    tried = choose(str(run.path), max_ppl=50, dry_run=True)
    decided = choose(str(run.path), max_ppl=50)
    assert (tried.kept, tried.rejected, tried.scored, tried.verbs) == (
        decided.kept, decided.rejected, decided.scored, decided.verbs,
    )  # fmt: skip


def test_sql_sees_what_is_marked_and_which_sets(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 4))
    hits = [{"row": 0}, {"row": 0, "eval_set": "arc"}, {"row": 1, "eval_set": "arc"}]
    write_hits(run, [*hits, {"row": 2, "verdict": "review", "action": "none"}], action="mark")
    write_duplicates(run, [{2: "keeper"}])
    for where, kept in {
        "not contaminated": [2, 3],
        "scores.contaminated": [0, 1],
        "eval_sets = 'arc, gsm8k'": [0],
        "eval_sets is null": [2, 3],
        "not duplicate": [0, 1, 2, 3],
        "(select count(*) from scores where contaminated) = 2": [0, 1, 2, 3],
    }.items():
        choose(str(run.path), where=where)
        assert kept_of(run) == kept, where


def test_the_scores_that_sql_asks_are_those_of_the_documents_that_are_left(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 10.0, 20.0, 900.0))
    write_hits(run, [{"row": 3}])
    choose(str(run.path), where="perplexity < (select avg(perplexity) from scores)")
    assert kept_of(run) == [0, 1]


def test_a_column_that_a_verb_would_bring_is_answered_with_the_verb(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    for where, verb in {"not contaminated": "curate decontaminate", "duplicate": "curate dedup"}.items():
        with pytest.raises(UsageError) as caught:
            choose(str(run.path), where=where)
        assert verb in caught.value.hint


def test_sql_reaches_neither_the_files_of_the_tables_nor_our_own_columns(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    write_hits(run, [{"row": 0}], action="mark")
    (part,) = parquet.list_parts(run.hits)
    for where in (f"0 < (select count(*) from read_parquet('{part}'))", "rejection is null", "place = 0"):
        with pytest.raises(UsageError):
            choose(str(run.path), where=where)


def test_a_small_memory_limit_is_kept_to(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, 20.0))
    write_hits(run, [{"row": 0}])
    choose(str(run.path), max_ppl=50, memory_limit="50MB")
    assert kept_of(run) == [2]
    assert not (run.path / ".spill").exists()


def test_tables_without_rows_reject_nothing_and_are_recorded(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 20.0))
    write_hits(run, [])
    write_duplicates(run, [])
    found = choose(str(run.path), max_ppl=50)
    assert (found.kept.documents, found.verbs) == (2, ("curate decontaminate", "curate dedup"))
    record = open_run(run.path).stage("filter")
    assert record["hits"] == open_run(run.path).stage("decontaminate")["fingerprint"]
    assert record["duplicates"] == open_run(run.path).stage("dedup")["fingerprint"]


def test_without_the_tables_the_record_says_null(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    choose(str(run.path), max_ppl=50)
    record = open_run(run.path).stage("filter")
    assert (record["hits"], record["duplicates"]) == (None, None)
