"""``curate status``: the funnel adds up, and what is stale is told."""

import pytest
from helpers.mixed_runs import make_mixed_run
from helpers.runs import make_run, write_duplicates, write_hits, write_lines

from curate.errors import TableError
from curate.reports.funnel import list_sets
from curate.rundir import parquet
from curate.rundir.run import open_run
from curate.verbs.bucket import bucket
from curate.verbs.explain import explain
from curate.verbs.filter import filter as choose
from curate.verbs.score import score
from curate.verbs.status import status


@pytest.fixture
def run(tmp_path):
    return make_mixed_run(tmp_path)


def adds_up(found):
    return found.read == found.kept + sum(found.rejected.values()) + found.unreadable


def test_the_funnel_before_a_filter_shows_what_was_scored(run):
    found = status(str(run.path))
    assert (found.read, found.unreadable, found.rejected, found.kept) == (12, 1, {"unscored: empty": 1}, 10)
    assert adds_up(found)
    assert found.complete
    assert not found.filtered
    assert not found.stale
    assert "next: curate filter --dry-run" in found.render()


def test_the_funnel_after_a_filter_has_every_reason_and_adds_up(run):
    choose(str(run.path), max_ppl=70, min_tokens=3)
    found = status(str(run.path))
    assert found.rejected == {"perplexity > 70": 3, "tokens < 3": 1, "unscored: empty": 1}
    assert (found.kept, found.tokens) == (6, 3 + 4 + 5 + 6 + 7 + 8)
    assert adds_up(found)
    shown = found.render()
    for line in ("read", "unreadable", "perplexity > 70", "tokens < 3", "unscored: empty", "kept"):
        assert line in shown
    assert "unreadable.jsonl" in shown
    assert "50.0 %" in shown
    assert "next: curate export" in shown


def test_a_run_in_progress_shows_the_documents_so_far(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"line {n}"} for n in range(40)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800, complete=False, only_slices=2)
    found = status(str(run.path))
    assert 0 < found.read < 40
    assert not found.complete
    assert "command continues" in found.render()


def test_a_run_that_has_just_begun_reads_as_nothing_yet(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "line"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], complete=False, only_slices=0)
    assert status(str(run.path)).read == 0


def test_a_filter_of_other_scores_is_stale_and_not_counted(run):
    choose(str(run.path), max_ppl=70)
    opened = open_run(run.path)
    opened.save("score", {**opened.stage("score"), "fingerprint": "other"})
    found = status(str(run.path))
    assert not found.filtered
    assert "stale" in found.render()
    assert found.kept == 10


def test_a_corpus_that_changed_makes_the_scores_stale(run, tmp_path):
    write_lines(tmp_path / "c" / "b.jsonl", [{"id": "web-3", "text": "something else"}])
    assert "has changed" in status(str(run.path)).render()
    (tmp_path / "c" / "a.jsonl").unlink()
    (tmp_path / "c" / "b.jsonl").unlink()
    assert "cannot be opened" in status(str(run.path)).render()


def test_documents_that_vanish_from_the_table_are_an_error(run):
    parquet.list_parts(run.scores)[0].unlink()
    with pytest.raises(TableError, match="documents read"):
        status(str(run.path))


def test_the_funnel_shows_what_is_contaminated_and_what_are_duplicates_without_a_filter(run):
    write_hits(run, [{"row": 0}, {"row": 1, "eval_set": "mbpp"}, {"row": 2, "eval_set": "mbpp"}])
    write_duplicates(run, [{3: "near", 4: "exact", 5: "keeper"}], keep="longest")
    found = status(str(run.path))
    assert found.rejected == {
        "contaminated: mbpp": 2,
        "contaminated: gsm8k": 1,
        "exact duplicate": 1,
        "near duplicate": 1,
        "unscored: empty": 1,
    }
    assert (found.read, found.kept, found.keeper) == (12, 5, "longest")
    assert adds_up(found)
    lines = found.render().splitlines()
    assert lines[2].split() == ["contaminated", "3", "mbpp", "2,", "gsm8k", "1"]
    assert lines[3].split() == ["exact", "duplicates", "1", "keeper:", "longest"]
    assert lines[4].split() == ["near", "duplicates", "1", "keeper:", "longest"]
    assert lines[5].split() == ["unscored:", "empty", "1"]
    assert lines[6].startswith("kept ")
    assert "next: curate filter --dry-run" in found.render()


def test_the_funnel_of_a_filter_has_the_same_lines_and_its_own(run):
    write_hits(run, [{"row": 0}])
    write_duplicates(run, [{3: "near", 5: "keeper"}])
    choose(str(run.path), max_ppl=70)
    found = status(str(run.path))
    expected = {"contaminated: gsm8k": 1, "near duplicate": 1, "perplexity > 70": 3, "unscored: empty": 1}
    assert found.rejected == expected
    assert (found.kept, found.filtered, found.stale) == (5, True, ())
    assert adds_up(found)
    labels = [line[:22].strip() for line in found.render().splitlines()[:7]]
    assert labels == [
        "read", "unreadable", "contaminated", "near duplicates", "perplexity > 70", "unscored: empty", "kept",
    ]  # fmt: skip


def test_a_run_in_progress_is_counted_without_what_its_tables_reject(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"line {n}"} for n in range(40)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800, complete=False, only_slices=2)
    write_hits(run, [{"row": row} for row in (0, 1, 39)])
    found = status(str(run.path))
    assert found.rejected == {"contaminated: gsm8k": 2}
    assert (found.stale, found.complete) == ((), False)
    assert adds_up(found)


def test_what_is_for_review_marked_or_to_be_cut_is_told_below_the_counts(run):
    review = [{"row": row, "verdict": "review", "action": "none"} for row in (0, 1, 2)]
    cut = [{"row": 3, "action": "cut"}, {"row": 3, "action": "cut", "eval_set": "mbpp"}]
    write_hits(run, [*review, *cut, {"row": 4, "action": "mark"}])
    shown = status(str(run.path)).render()
    assert "3 documents for review: curate explain ID shows the evidence" in shown
    assert "1 document with eval items marked, not rejected" in shown
    assert "2 passages of 1 document with eval items to be cut out by curate export" in shown
    (run.path / "contamination.html").write_text("page")
    assert f"3 documents for review: {run.path}/contamination.html" in status(str(run.path)).render()


def test_nothing_is_said_below_the_counts_where_everything_is_dropped(run):
    write_hits(run, [{"row": 0}])
    assert status(str(run.path)).aside.lines() == []


def test_many_eval_sets_and_hostile_names_stay_within_the_line(run):
    names = [f"benchmark \x1b[31m number {n} of many" for n in range(8)]
    write_hits(run, [{"row": n, "eval_set": name} for n, name in enumerate(names)])
    for found in (status(str(run.path)), choose(str(run.path), max_ppl=92), status(str(run.path))):
        shown = found.render()
        assert "\x1b" not in shown
        assert max(len(line) for line in shown.splitlines() if str(run.path) not in line) <= 100
    assert "and 7 more" in shown


def test_sets_are_listed_as_far_as_they_fit():
    sets = {"gsm8k": 210, "humaneval": 12, "mbpp": 3}
    assert list_sets(sets, 40) == "gsm8k 210, humaneval 12, mbpp 3"
    assert list_sets(sets, 30) == "gsm8k 210, and 2 more"
    assert list_sets(sets, 5) == "3 eval sets"


def test_no_run_and_no_scores_name_the_command(tmp_path):
    for verb in (lambda: status(str(tmp_path / "none")), lambda: explain("x", str(tmp_path / "none"))):
        with pytest.raises(TableError) as caught:
            verb()
        assert "curate score CORPUS" in caught.value.hint


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_part_of_the_scores_is_named_with_the_command_that_mends_it(tmp_path, damage):
    rows = [{"text": f"some words {number}", "domain": "ab"[number % 2]} for number in range(40)]
    write_lines(tmp_path / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], slice_bytes=900)
    first, second, *_ = parquet.list_parts(run.scores)
    path = str(run.path)
    asks = (
        lambda: status(path),
        lambda: choose(path, max_ppl=70),
        lambda: choose(path, where="domain = 'a'"),
        lambda: explain("a.jsonl:3", path),
        lambda: bucket(path, within="domain"),
    )
    for part in (first, second):
        whole = part.read_bytes()
        part.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "foreign": b"x" * 99}[damage])
        for ask in asks:
            with pytest.raises(TableError) as caught:
                ask()
            assert str(part) in caught.value.message and "--where" not in caught.value.message
            assert (caught.value.hint or "").startswith(f"rm {part}, then the same curate score")
        part.write_bytes(whole)
    assert status(path).read == 40


def test_a_damaged_part_is_scored_again_by_the_command_of_the_hint(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": f"some words {number}"} for number in range(40)])
    ask = {"model": "none", "run": str(tmp_path / "run"), "slice_bytes": 900}
    score(str(tmp_path / "a.jsonl"), **ask)
    part = parquet.list_parts(tmp_path / "run" / "scores")[1]
    whole = part.read_bytes()
    part.write_bytes(whole[:50])
    part.unlink()
    score(str(tmp_path / "a.jsonl"), **ask)
    assert part.read_bytes() == whole and status(str(tmp_path / "run")).read == 40
