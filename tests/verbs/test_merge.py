"""``curate merge``: the scores of several runs are those of scoring all their files in one go."""

import json
import os
import shutil

import pytest
from helpers import models
from helpers.growing import (
    assert_same_scores,
    lines,
    list_bytes,
    loads,
    make_row,
    read,
    read_carried,
    score_again,
    texts,
    tiny_model,
)
from helpers.runs import write_lines
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import CorpusError, TableError, UsageError
from curate.rundir import parquet
from curate.rundir.run import open_run

__all__ = ["loads", "tiny_model"]


@pytest.fixture
def corpora(tmp_path):
    """Two corpora with a file of the same name, and one with a bad row."""
    for folder, files in {
        "one": {"a": (0, 20), "b": (20, 25)},
        "two": {"a": (30, 45)},
        "three": {"z": (50, 60)},
    }.items():
        (tmp_path / folder).mkdir()
        for name, (first, stop) in files.items():
            (tmp_path / folder / f"{name}.jsonl").write_text(lines(first, stop))
    with open(tmp_path / "three" / "z.jsonl", "a") as file:
        file.write('{"oops"\n{"id": "void", "text": " "}\n')
    return [tmp_path / folder for folder in ("one", "two", "three")]


def score_each(corpora, model, tmp_path, **options):
    runs = [tmp_path / f"run {corpus.name}" for corpus in corpora]
    for corpus, run in zip(corpora, runs, strict=True):
        score_again(corpus, run, model, **options)
    return [str(run) for run in runs]


def test_a_merged_run_is_that_of_scoring_all_files_in_one_go(corpora, tiny_model, tmp_path, loads):
    runs = score_each(corpora, tiny_model, tmp_path)
    before = {run: list_bytes(run) for run in runs}
    loads.clear()
    done = curate.merge(runs, into=str(tmp_path / "all"))
    assert loads == [] and {run: list_bytes(run) for run in runs} == before
    score_again(corpora, tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "all", tmp_path / "fresh")
    assert read_carried(tmp_path / "all") == read_carried(tmp_path / "fresh")
    assert (done.files, done.read, done.statuses["ok"], done.shared) == (4, 52, 50, ())
    assert done.statuses["unreadable"] == done.statuses["empty"] == 1
    merged, fresh = (open_run(tmp_path / name).stage("score") for name in ("all", "fresh"))
    assert merged["counts"] == fresh["counts"] and merged["fingerprint"] == fresh["fingerprint"]
    assert (tmp_path / "all" / "unreadable.jsonl").read_bytes() == (
        tmp_path / "fresh" / "unreadable.jsonl"
    ).read_bytes()
    assert {"one/a.jsonl", "two/a.jsonl"} < set(read(tmp_path / "all")["file"].to_pylist())
    score_again(corpora, tmp_path / "all", tiny_model)
    assert len(loads) == 1, "of the fresh run alone"


def test_a_merged_run_works_with_every_verb(corpora, tmp_path):
    write_lines(tmp_path / "evals.jsonl", [{"question": make_row(31)["text"]}])
    run = str(tmp_path / "all")
    curate.merge(score_each(corpora, "builtin", tmp_path, exact=False), into=run)
    curate.decontaminate(str(tmp_path / "evals.jsonl"), run=run, canaries=1)
    curate.dedup(run=run)
    curate.filter(run=run, keep="0:100", within="domain")
    curate.order(run=run)
    done = curate.export(str(tmp_path / "out"), run=run, format="parquet")
    assert curate.status(run).read == 52 and done.documents == curate.status(run).as_dict()["kept"]
    assert curate.explain("d52", run=run).as_dict()["documents"][0]["text"] == make_row(52)["text"]
    assert curate.verify(str(tmp_path / "out"), loader="dataloader").exit_code in (0, 4)
    with open(corpora[1] / "a.jsonl", "a") as file:
        file.write(lines(70, 75))
    score_again(corpora, run, "builtin", exact=False)
    assert read(run).num_rows == 57


def test_runs_whose_files_keep_their_names_share_the_disk(tiny_model, tmp_path):
    for name, first in (("a", 0), ("b", 10)):
        (tmp_path / f"{name}.jsonl").write_text(lines(first, first + 10))
    runs = score_each([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tiny_model, tmp_path)
    curate.merge(runs, into=str(tmp_path / "all"))
    parts = parquet.list_parts(tmp_path / "all" / "scores")
    assert parts and all(path.stat().st_nlink == 2 for path in parts)
    curate.merge(runs, into=str(tmp_path / "all"))  # where the links are there already
    names = os.listdir(tmp_path / "all" / "scores")
    assert sorted(names) == sorted(path.name for path in parts), "no temporary name is left"
    score_again([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "all", tiny_model, signals="all")
    assert "repeated_lines" not in read(runs[0]).column_names, "a run that was merged stays as it is"


def test_merging_again_leaves_the_same_files_and_no_second_link_to_a_part(tmp_path):
    for name, first in (("a", 0), ("b", 10)):
        (tmp_path / f"{name}.jsonl").write_text(lines(first, first + 10))
    runs = score_each([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], "builtin", tmp_path, exact=False)
    for links in (2, 2):  # of each part: that of its run, and that of the merged run
        curate.merge(runs, into=str(tmp_path / "all"))
        names = sorted(path.name for path in (tmp_path / "all" / "scores").iterdir())
        assert names == [path.name for path in parquet.list_parts(tmp_path / "all" / "scores")]
        assert {path.stat().st_nlink for path in parquet.list_parts(tmp_path / "all" / "scores")} == {links}


def test_a_file_that_two_runs_have_is_taken_once_and_two_copies_are_two_files(tiny_model, tmp_path):
    for name, first in (("a", 0), ("b", 10), ("c", 20)):
        (tmp_path / f"{name}.jsonl").write_text(lines(first, first + 10))
    (tmp_path / "more").mkdir()
    shutil.copy(tmp_path / "b.jsonl", tmp_path / "more" / "copy.jsonl")
    a, b, c, copy = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl", "more"))
    for number, corpus in enumerate(([a, b], [b, c], [copy])):
        score_again(corpus, tmp_path / f"run{number}", tiny_model)
    runs = [str(tmp_path / f"run{number}") for number in range(3)]
    done = curate.merge(runs, into=str(tmp_path / "all"))
    assert done.shared == ("b.jsonl",) and done.read == 40 and "b.jsonl" in done.render()
    score_again([a, b, c, copy], tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "all", tmp_path / "fresh")


def test_signals_of_one_run_are_added_to_the_others_and_columns_are_those_of_all(corpora, tiny_model, tmp_path, loads):
    one, two, _ = corpora
    score_again(one, tmp_path / "a", tiny_model, signals="repeated_lines", carry="domain,id")
    score_again(two, tmp_path / "b", tiny_model, signals="max_nats", carry="domain", slice_bytes=500)
    loads.clear()
    curate.merge([str(tmp_path / "a"), str(tmp_path / "b")], into=str(tmp_path / "all"))
    score_again([one, two], tmp_path / "fresh", tiny_model, signals="max_nats,repeated_lines", carry="domain")
    assert_same_scores(tmp_path / "all", tmp_path / "fresh")
    assert set(open_run(tmp_path / "all").stage("carried")["columns"]) == {"domain"} and len(loads) == 1
    curate.filter(run=str(tmp_path / "all"), max_ppl=1e9)
    assert curate.export(str(tmp_path / "out"), run=str(tmp_path / "all")).documents == 40


def test_runs_that_were_scored_otherwise_are_refused_by_name(corpora, tiny_model, tmp_path):
    one, two, _ = corpora
    score_again(one, tmp_path / "a", tiny_model)
    other = models.save(tmp_path / "gpt2", "gpt2", seed=1)
    ways = {
        f"--model {other}: these scores were made with {tiny_model}": {"model": str(other)},
        "window: 64, now 32": {"window": 32},
        "dtype: fp32, now bf16": {"exact": False, "dtype": "bf16"},
        "--text-field: text, now id": {"text_field": "id"},
        "--sample: none, now 0.5": {"sample": 0.5},
        "--id-field: id, now domain": {"id_field": "domain"},
        f"--model none: these scores were made with {tiny_model}": {"model": "none"},
    }
    for number, (says, options) in enumerate(ways.items()):
        run = tmp_path / f"b{number}"
        score_again(two, run, **{"model": tiny_model, **options})
        with pytest.raises(TableError) as caught:
            curate.merge([str(tmp_path / "a"), str(run)], into=str(tmp_path / "all"))
        assert says in caught.value.message and "curate score" in caught.value.hint, says
        hint = caught.value.hint
        assert ("--restart" in hint) == (number != 5) and ("--id-field id " in hint) == (number == 5)
        assert ("--text-field text " in hint) == (number == 3)
        assert not (tmp_path / "all").exists()


def test_what_cannot_be_merged_says_why(corpora, tmp_path):
    runs = score_each(corpora, "none", tmp_path)
    into = str(tmp_path / "all")
    for named, match in (([runs[0]], "two or more"), ([runs[0], runs[0] + "/"], "two or more")):
        with pytest.raises(UsageError, match=match):
            curate.merge(named, into=into)
    with pytest.raises(UsageError, match="is one of the runs"):
        curate.merge(runs, into=runs[0])
    with pytest.raises(TableError, match="there is no run"):
        curate.merge([runs[0], str(tmp_path / "nothing")], into=into)
    score_again(corpora[1], tmp_path / "few", "none", limit=3)
    with pytest.raises(TableError, match="end at --limit 3"):
        curate.merge([runs[0], str(tmp_path / "few")], into=into)
    curate.merge(runs[:2], into=into)
    with pytest.raises(TableError, match="holds other scores"):
        curate.merge(runs[1:], into=into)
    (corpora[0] / "a.jsonl").write_text(lines(0, 3))
    with pytest.raises(TableError, match="has changed since it was scored"):
        curate.merge(runs, into=str(tmp_path / "more"))
    corpora[0].rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="is not where it was"):
        curate.merge(runs, into=str(tmp_path / "more"))


def test_a_merge_that_was_killed_is_done_by_the_same_command(corpora, tmp_path, monkeypatch):
    from curate.stages.score import merge

    runs, into, real, left = score_each(corpora, "none", tmp_path), str(tmp_path / "all"), merge.copy_part, [5]

    def killed(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(merge, "copy_part", killed)
        with pytest.raises(KeyboardInterrupt):
            curate.merge(runs, into=into)
    with pytest.raises(TableError, match="not complete"):
        curate.filter(run=into, max_ppl=9)
    curate.merge(runs, into=into)
    once = list_bytes(into)
    curate.merge(runs, into=into)
    assert list_bytes(into) == once
    score_again(corpora, tmp_path / "fresh", "none")
    assert_same_scores(into, tmp_path / "fresh")


def test_a_sample_is_merged_unless_the_names_change(corpora, tiny_model, tmp_path):
    one, two, three = corpora
    runs = score_each(corpora, "none", tmp_path, sample=0.5)
    with pytest.raises(TableError, match=r"in a sample, the draw depends on the name"):
        curate.merge(runs[:2], into=str(tmp_path / "all"))
    curate.merge([runs[0], runs[2]], into=str(tmp_path / "all"))
    score_again([one, three], tmp_path / "fresh", "none", sample=0.5)
    assert_same_scores(tmp_path / "all", tmp_path / "fresh")
    assert two.exists() and texts(0, 1)


def test_the_command_line_prints_a_summary_or_one_object(corpora, tmp_path):
    runs = score_each(corpora, "none", tmp_path)
    shown = CliRunner().invoke(app, ["merge", *runs, "--into", str(tmp_path / "all")])
    assert shown.exit_code == 3 and "3 runs, 4 files, 52 documents" in shown.stdout
    assert "50 ok, 1 empty, 1 unreadable" in shown.stdout and "next: curate dedup" in shown.stdout
    found = CliRunner().invoke(app, ["merge", *runs, "--into", str(tmp_path / "all"), "--json"])
    assert json.loads(found.stdout)["read"] == 52
    curate.merge(runs[:2], into=str(tmp_path / "good"))
    assert curate.merge(runs[:2], into=str(tmp_path / "good")).exit_code == 0


def test_a_recipe_may_begin_with_a_merge_and_skips_it_while_its_runs_stay(corpora, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    score_each(corpora[:2], "none", tmp_path)
    step = '- merge: {runs: ["run one", "run two"], into: all}'
    (tmp_path / "r.yaml").write_text(f"run: all\nsteps:\n  {step}\n  - dedup\n")
    assert [one.state for one in curate.run("r.yaml").steps] == ["done", "done"]
    assert [one.state for one in curate.run("r.yaml").steps] == ["skipped", "skipped"]
    with open("one/a.jsonl", "a") as file:
        file.write(lines(90, 95))
    score_each(corpora[:1], "none", tmp_path)
    with pytest.raises(TableError, match=r"step 1 of 2, merge: all holds other scores") as refused:
        curate.run("r.yaml")
    assert "curate merge 'run one' 'run two' --into all-2" in str(refused.value.hint)
