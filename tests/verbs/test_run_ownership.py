"""In a run directory verbs remove and replace only what curate made: anything else is refused by name, and stays."""

import os
import shlex
import shutil
import subprocess

import pytest
from helpers.owned_runs import list_files, start, write_corpus

import curate
from curate.corpus.files.run_marks import MARK, read_mark
from curate.errors import TableError, UsageError

CALLS = {
    "hits": lambda run, corpus, evals: curate.decontaminate([evals], run=run),
    "canaries.jsonl": lambda run, corpus, evals: curate.decontaminate([evals], run=run),
    "evals.lock": lambda run, corpus, evals: curate.decontaminate([evals], run=run),
    "contamination.html": lambda run, corpus, evals: curate.decontaminate([evals], run=run),
    "dedup": lambda run, corpus, evals: curate.dedup(run=run),
    "duplicates.parquet": lambda run, corpus, evals: curate.dedup(run=run),
    "filter.parquet": lambda run, corpus, evals: curate.filter(run=run, where="bytes > 0"),
    "buckets.parquet": lambda run, corpus, evals: curate.bucket(run=run, by="bytes", quantiles=2),
    "cutoffs.json": lambda run, corpus, evals: curate.bucket(run=run, by="bytes", quantiles=2),
    "order.parquet": lambda run, corpus, evals: curate.order(run=run, by="bytes"),
    "report.html": lambda run, corpus, evals: curate.report(run=run),
    "report.json": lambda run, corpus, evals: curate.report(run=run),
}
FOLDERS = ("hits", "dedup")


@pytest.mark.parametrize("name", CALLS)
def test_what_somebody_else_put_where_a_verb_writes_is_refused_by_name_and_stays(tmp_path, name):
    run, corpus, evals = start(tmp_path)
    if name in FOLDERS:
        (run / name).mkdir()
        (run / name / "notes.txt").write_text("mine")
    else:
        (run / name).write_text("<!doctype html><title>mine</title>" if name.endswith("html") else "mine")
    before = list_files(run)
    with pytest.raises((UsageError, TableError), match=name) as caught:
        CALLS[name](str(run), corpus, evals)
    assert "did not" in caught.value.message
    assert list_files(run) == before


@pytest.mark.parametrize("name", ["scores", "carried", "aside", "unreadable.jsonl"])
def test_score_begins_no_run_over_things_of_others(tmp_path, name):
    corpus, run = write_corpus(tmp_path / "corpus"), tmp_path / "p"
    run.mkdir()
    if name.endswith("jsonl"):
        (run / name).write_text("mine")
    else:
        (run / name).mkdir()
        (run / name / "thesis.tex").write_text("mine")
    before = list_files(run)
    for restart in (False, True):
        with pytest.raises((UsageError, TableError), match=name):
            curate.score([str(corpus)], model="none", run=str(run), restart=restart)
    assert list_files(run) == before


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("scores/notes.txt", lambda run, corpus, evals: curate.score([str(corpus)], "none", run, restart=True)),
        ("scores/.notes.tmp", lambda run, corpus, evals: curate.score([str(corpus)], "none", run, restart=True)),
        ("hits/.mine.part", lambda run, corpus, evals: curate.decontaminate([evals], run=run, restart=True)),
        ("carried/a/b.csv", lambda run, corpus, evals: curate.score([str(corpus)], "none", run, restart=True)),
        ("aside/x.parquet", lambda run, corpus, evals: curate.score([str(corpus)], "none", run, restart=True)),
        ("hits/mine.txt", lambda run, corpus, evals: curate.decontaminate([evals], run=run, restart=True)),
        ("dedup/data/a.jsonl", lambda run, corpus, evals: curate.dedup(run=run)),
        ("dedup/sketches/000/a.jsonl", lambda run, corpus, evals: curate.dedup(run=run, restart=True)),
    ],
)  # fmt: skip
def test_a_file_of_somebody_else_in_a_folder_of_ours_keeps_all_of_it(tmp_path, place, call):
    run, corpus, evals = start(tmp_path)
    curate.decontaminate([evals], run=str(run))
    curate.dedup(run=str(run))
    (run / place).parent.mkdir(parents=True, exist_ok=True)
    (run / place).write_text("mine")
    before = list_files(run)
    with pytest.raises(TableError, match=place):
        call(str(run), corpus, evals)
    assert list_files(run) == before


def test_nothing_is_removed_behind_a_link(tmp_path):
    run, corpus, _ = start(tmp_path)
    shutil.move(run / "scores", tmp_path / "elsewhere")
    (run / "scores").symlink_to(tmp_path / "elsewhere")
    before = list_files(tmp_path / "elsewhere")
    curate.score([str(corpus)], model="none", run=str(run))  # reads through it
    with pytest.raises(TableError, match="is a link"):
        curate.score([str(corpus)], model="none", run=str(run), restart=True)
    assert list_files(tmp_path / "elsewhere") == before and (run / "scores").is_symlink()


def test_a_run_of_an_earlier_version_gets_its_mark_and_everything_goes_on(tmp_path):
    run, corpus, evals = start(tmp_path)
    for call in CALLS.values():
        call(str(run), corpus, evals)
    (run / MARK).unlink()
    for call in CALLS.values():
        call(str(run), corpus, evals)
    curate.score([str(corpus)], model="none", run=str(run), restart=True)
    assert {"scores", "hits", "duplicates.parquet", "report.html"} <= read_mark(run)


def test_a_mark_whose_last_line_was_cut_short_is_read_and_continued(tmp_path):
    run, _, evals = start(tmp_path)
    with open(run / MARK, "ab") as mark:
        mark.write(b'{"made": "hit')
    curate.decontaminate([evals], run=str(run))
    assert "hits" in read_mark(run) and "hit" not in read_mark(run)


@pytest.mark.parametrize("given", ["", " ", "/", "~"])
def test_a_run_directory_that_can_only_be_a_mistake_is_refused(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    corpus = write_corpus(tmp_path / "corpus")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"run: '{given}'\nsteps:\n  - score: {{corpus: corpus, model: none}}\n")
    for call in (
        lambda: curate.score([str(corpus)], model="none", run=given),
        lambda: curate.dedup(run=given, corpus=[str(corpus)]),
        lambda: curate.run(str(recipe)),
        lambda: curate.status(run=given),
    ):
        with pytest.raises((UsageError, TableError)):
            call()
    assert sorted(os.listdir(tmp_path)) == ["corpus", "home", "recipe.yaml"] and not os.listdir(tmp_path / "home")


def test_what_is_behind_a_link_of_ours_is_not_replaced(tmp_path):
    run, corpus, _ = start(tmp_path)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "scores.json").write_text('{"mine": 1}')
    shutil.rmtree(run / "manifests")
    (run / "manifests").symlink_to(foreign)
    for call in (lambda: curate.score([str(corpus)], "none", str(run)), lambda: curate.dedup(run=str(run))):
        with pytest.raises(UsageError, match="is a link to"):
            call()
    assert list_files(foreign) == {"scores.json": b'{"mine": 1}'}


def test_the_hint_moves_what_is_in_the_way_and_the_same_command_goes_on(tmp_path, monkeypatch):
    run, _, _ = start(tmp_path)
    monkeypatch.chdir(tmp_path)
    curate.dedup(run="p")
    for place in ("dedup/mine.txt", "duplicates.parquet", "dedup/mine.txt"):
        (run / place).parent.mkdir(exist_ok=True)
        (run / place).unlink(missing_ok=True)
        (run / place).write_text(place)
        lines = (run / MARK).read_text().splitlines(keepends=True)
        (run / MARK).write_text("".join(line for line in lines if "duplicates" not in line))
        with pytest.raises((UsageError, TableError)) as caught:
            curate.dedup(run="p")
        subprocess.run(shlex.split(caught.value.hint.split(" moves it")[0]), check=True, timeout=60)
        curate.dedup(run="p")
    moved = {path.name: path.read_text() for path in run.glob("*.moved*")}
    assert moved == {
        "dedup-mine.txt.moved": "dedup/mine.txt",
        "duplicates.parquet.moved": "duplicates.parquet",
        "dedup-mine.txt.moved-2": "dedup/mine.txt",
    }


def test_a_file_of_somebody_else_with_the_name_of_the_mark_stays(tmp_path):
    _, corpus, _ = start(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".curate-run.jsonl").write_text('{"mine": true}\n')
    with pytest.raises(UsageError, match="curate did not make it"):
        curate.score([str(corpus)], model="none", run=str(other))
    assert list_files(other) == {".curate-run.jsonl": b'{"mine": true}\n'}
