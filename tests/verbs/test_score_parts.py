"""``score --part``: shares scored by any number of processes, in any order, come to the bytes of the plain command."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers import models, small_files
from helpers.runs import read_files
from helpers.stopped_verbs import waiting_verb

import curate
from curate.corpus import open_corpus, shares
from curate.errors import BusyError, TableError, UsageError
from curate.reference import loading
from curate.rundir import parquet
from curate.rundir.run import Run, name_part
from curate.stages.score import resume


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus of files of all kinds, small ones and one of several slices, cut so that there are many units."""
    folder = tmp_path_factory.mktemp("parts") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("parts-model") / "model", "llama"))


def score(corpus, run, **options):
    return curate.score(str(corpus), run=str(run), **{"model": "none", "slice_bytes": 700, **options})


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shares_in_any_order_and_the_plain_command_come_to_its_own_bytes(corpus, tmp_path, count):
    score(corpus, tmp_path / "plain", carry="domain")
    order = list(range(count))
    random.Random(count).shuffle(order)
    read = 0
    for index in [*order, order[0]]:
        done = score(corpus, tmp_path / "dealt", carry="domain", part=f"{index}/{count}")
        read += done.documents - done.resumed
        assert json.loads((tmp_path / "dealt/run.json").read_text())["score"]["complete"] is False
    assert done.resumed == done.documents
    whole = score(corpus, tmp_path / "dealt", carry="domain")
    assert read == whole.documents + sum(whole.not_scored.values())
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def test_what_is_done_is_not_scored_again_and_needs_no_model(corpus, model, tmp_path, monkeypatch):
    score(corpus, tmp_path / "plain", model=model)
    for index in range(3):
        score(corpus, tmp_path / "dealt", model=model, part=f"{index}/3")
    monkeypatch.setattr(resume, "load", lambda *_: pytest.fail("a model is loaded"))
    score(corpus, tmp_path / "dealt", model=model, part="1/3")
    score(corpus, tmp_path / "dealt", model=model)
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def test_the_plain_command_scores_what_no_share_did(corpus, tmp_path):
    score(corpus, tmp_path / "plain")
    score(corpus, tmp_path / "dealt", part="1/3")
    with pytest.raises(TableError, match="not complete"):
        curate.filter(max_tokens=9, run=str(tmp_path / "dealt"))
    score(corpus, tmp_path / "dealt")
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def start(corpus, run, model, part):
    words = ["score", str(corpus), "--run", str(run), "--model", model, "--slice-bytes", "700", "--part", part]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "curate", *words], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_processes_at_once_one_share_twice_and_one_killed_come_to_the_same_bytes(corpus, model, tmp_path):
    score(corpus, tmp_path / "plain", model=model)
    run = tmp_path / "dealt"
    working = [start(corpus, run, model, part) for part in ("0/3", "1/3", "1/3", "2/3")]
    while not list((run / "scores").glob("0*.parquet")) and any(each.poll() is None for each in working):
        time.sleep(0.02)
    working[3].send_signal(signal.SIGKILL)
    for each in working:
        _, told = each.communicate(timeout=120)
        assert each.returncode == (-signal.SIGKILL if each is working[3] else 0), told
    again = start(corpus, run, model, "2/3")
    _, told = again.communicate(timeout=120)
    assert again.returncode == 0, told
    score(corpus, run, model=model)
    assert read_files(run) == read_files(tmp_path / "plain")


def test_parts_work_beside_one_another_and_the_plain_command_waits_for_them(corpus, tmp_path):
    words = ["score", str(corpus), "--model", "none", "--carry", "none", "--slice-bytes", "700"]
    (first, *_), _ = shares.deal_units(open_corpus([str(corpus)], slice_bytes=700).sources, 700, 2)
    with waiting_verb(
        [*words, "--run", str(tmp_path / "run"), "--part", "0/2"], name_part(first.first, 0), tmp_path / "waiting"
    ):
        score(corpus, tmp_path / "run", part="1/2")
        assert (
            f"{tmp_path}/run/scores, part 0 of 2: 1 process on" in curate.status(run=str(tmp_path / "run")).writing[0]
        )
        with pytest.raises(BusyError, match=r"curate score is writing .*scores/0-of-2"):
            score(corpus, tmp_path / "run")
        with pytest.raises(BusyError, match=r"curate score is writing"):
            curate.filter(max_tokens=9, run=str(tmp_path / "run"))


@pytest.mark.parametrize("theirs", [700, 900])
def test_a_share_that_begins_beside_another_agrees_with_what_that_recorded_first(corpus, tmp_path, theirs, monkeypatch):
    real = Run.record_first

    def beaten(self, name, record):
        monkeypatch.setattr(Run, "record_first", real)
        score(corpus, tmp_path / "run", part="1/2", slice_bytes=theirs)
        return real(self, name, record)

    monkeypatch.setattr(Run, "record_first", beaten)
    if theirs != 700:
        with pytest.raises(TableError, match="scoring began in slices of 900"):
            score(corpus, tmp_path / "run", part="0/2")
        return
    score(corpus, tmp_path / "run", part="0/2")
    score(corpus, tmp_path / "run")
    score(corpus, tmp_path / "plain")
    assert read_files(tmp_path / "run") == read_files(tmp_path / "plain")


def test_another_chip_scores_a_share_only_where_that_is_allowed_and_is_named(corpus, model, tmp_path, monkeypatch):
    score(corpus, tmp_path / "run", model=model, part="0/2")
    monkeypatch.setattr(loading, "describe_chip", lambda *_: "another chip")
    with pytest.raises(TableError, match="now another chip"):
        score(corpus, tmp_path / "run", model=model, part="1/2")
    score(corpus, tmp_path / "run", model=model, part="1/2", allow_mixed=True)
    score(corpus, tmp_path / "run", model=model)
    record = json.loads((tmp_path / "run/run.json").read_text())["score"]
    assert record["complete"] and record["mixed"] == [{"chip": "another chip"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 3}, "--part and --limit"),
        ({"restart": True}, "--part and --restart"),
        ({"part": "2/2"}, "parts count from 0"),
    ],
)
def test_options_that_cannot_hold_for_a_share_are_refused(corpus, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        score(corpus, tmp_path / "run", **{"part": "0/2", **options})
    assert not (tmp_path / "run").exists()


def test_shares_that_would_not_fit_together_are_refused_by_name(corpus, model, tmp_path):
    score(corpus, tmp_path / "run", part="0/2", model=model)
    for options, message in (
        ({"slice_bytes": 900}, "scoring began in slices of 700"),
        ({"exact": True}, "--exact: these scores were made"),
        ({"model": "builtin"}, "these scores were made with"),
    ):
        with pytest.raises(TableError, match=message):
            score(corpus, tmp_path / "run", **{"part": "1/2", "model": model, **options})


def test_a_corpus_that_changed_since_is_taken_up_by_the_plain_command_alone(tmp_path):
    folder = tmp_path / "corpus"
    small_files.write_texts(folder, 0, 8)
    score(folder, tmp_path / "run", part="0/2")
    small_files.write_texts(folder, 8, 9)
    with pytest.raises(TableError, match="has changed since its scoring began") as caught:
        score(folder, tmp_path / "run", part="1/2")
    assert caught.value.hint.startswith("curate score")
    score(folder, tmp_path / "run")
    score(folder, tmp_path / "plain")
    rows = [[row["hash"] for row in small_files.read_scores(tmp_path / name)] for name in ("run", "plain")]
    assert rows[0] == rows[1] and len(rows[0]) == 9


def test_a_share_without_files_is_done_at_once(tmp_path):
    small_files.write_texts(tmp_path / "corpus", 0, 1)
    done = [score(tmp_path / "corpus", tmp_path / "run", part=f"{index}/3") for index in range(3)]
    assert [each.documents for each in done] == [1, 0, 0]
    assert "0 documents of 0 files scored" in done[2].render()
    told = score(tmp_path / "corpus", tmp_path / "told", part="0/3", profile=True).render()
    assert "start-up " in told and "\nprofile " in told
    assert "1 of 3 parts get any: small files that share a slice are scored by one process" in done[0].render()
    score(tmp_path / "corpus", tmp_path / "other", part="0/1")
    assert "get any" not in score(tmp_path / "corpus", tmp_path / "other", part="0/1").render()
    assert shares.deal_units([], 700, 2) == [[], []]


def test_a_share_writes_its_own_parts_alone_and_opens_no_others(corpus, tmp_path, monkeypatch):
    score(corpus, tmp_path / "run", part="0/3")
    theirs = {path.name for path in (tmp_path / "run/scores").iterdir()}
    score(corpus, tmp_path / "plain")
    every = {path.name for path in (tmp_path / "plain/scores").iterdir()}
    opened = []
    real = parquet.read_metadata
    monkeypatch.setattr(parquet, "read_metadata", lambda path: opened.append(path.name) or real(path))
    score(corpus, tmp_path / "run", part="1/3")
    mine = {path.name for path in (tmp_path / "run/scores").iterdir()} - theirs
    assert mine and mine < every - theirs, "a third share is left"
    units = shares.deal_units(open_corpus([str(corpus)], slice_bytes=700).sources, 700, 3)[1]
    own = {name_part(index, 0)[:6] for unit in units for index in range(unit.first, unit.stop)}
    assert {name[:6] for name in mine} <= own and {name[:6] for name in opened} <= own
