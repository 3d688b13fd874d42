"""``dedup --part``: sketches made by any number of processes, in any order, come to the bytes of the plain command."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers.near_copies import random_documents, rows_of, run_on
from helpers.runs import read_files, write_lines
from helpers.stopped_verbs import waiting_verb

import curate
from curate.errors import BusyError, Interrupted, RowError, UsageError
from curate.rundir import parquet
from curate.runtime import console
from curate.stages.dedup import sketch_table
from curate.stages.dedup.pairs import near_copies


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(sketch_table, "SLICE_BYTES", 3000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files of several sizes, so that some share slices and some have several, with a row that cannot be read."""
    folder = tmp_path_factory.mktemp("parts") / "corpus"
    texts = random_documents(31, 120)
    for number, count in enumerate((1, 2, 40, 3, 1, 1, 50, 2, 20)):
        rows = [{"text": texts.pop()} for _ in range(count)]
        write_lines(folder / f"{number}.jsonl", [*rows, *([b"{"] if number == 2 else [])])
    return folder


def dedup(corpus, run, **options):
    return curate.dedup(corpus=str(corpus), run=str(run), **options)


@pytest.fixture
def forbid_sketching(monkeypatch):
    def forbid():
        monkeypatch.setattr(sketch_table, "write_part", lambda *_: pytest.fail("something is sketched"))

    return forbid


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shares_in_any_order_and_the_plain_command_come_to_its_own_bytes(corpus, tmp_path, count, forbid_sketching):
    whole = dedup(corpus, tmp_path / "plain", workers=1 + count % 3)
    order = list(range(count))
    random.Random(count).shuffle(order)
    read = 0
    for index in [*order, order[0]]:
        done = dedup(corpus, tmp_path / "dealt", part=f"{index}/{count}")
        read += done.documents - done.resumed
        assert not (tmp_path / "dealt" / "duplicates.parquet").exists()
    assert read == whole.read and whole.near > 10
    assert done.resumed == done.documents
    assert "sketched" in done.render() and f"--run {tmp_path}/dealt" in done.render()
    forbid_sketching()
    dedup(corpus, tmp_path / "dealt")
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def test_the_plain_command_sketches_what_no_share_did(corpus, tmp_path):
    dedup(corpus, tmp_path / "plain")
    dedup(corpus, tmp_path / "dealt", part="1/3")
    dedup(corpus, tmp_path / "dealt")
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def test_the_corpora_of_against_are_sketched_in_shares_too(corpus, tmp_path, forbid_sketching):
    write_lines(tmp_path / "other.jsonl", [{"text": text} for text in random_documents(31, 30)])
    against = {"against": [str(tmp_path / "other.jsonl")]}
    plain = dedup(corpus, tmp_path / "plain", **against)
    done = [dedup(corpus, tmp_path / "dealt", part=f"{index}/2", **against) for index in range(2)]
    assert sum(each.documents for each in done) == plain.read + plain.against[0].read
    forbid_sketching()
    dedup(corpus, tmp_path / "dealt", **against)
    assert plain.against[0].dropped > 0
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")


def start(corpus, run, part):
    words = ["dedup", "--corpus", str(corpus), "--run", str(run), "--part", part]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "curate", *words], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_processes_at_once_one_share_twice_and_one_killed_come_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.undo()
    texts = random_documents(32, 600)
    for number in range(6):
        write_lines(tmp_path / "corpus" / f"{number}.jsonl", [{"text": text} for text in texts[number::6]])
    dedup(tmp_path / "corpus", tmp_path / "plain")
    run = tmp_path / "dealt"
    working = [start(tmp_path / "corpus", run, part) for part in ("0/3", "1/3", "1/3", "2/3")]
    while not list((run / "dedup").glob("sketches/*/*")) and any(each.poll() is None for each in working):
        time.sleep(0.01)
    working[3].send_signal(signal.SIGKILL)
    for each in working:
        _, told = each.communicate(timeout=120)
        assert each.returncode in ((-signal.SIGKILL, 0) if each is working[3] else (0,)), told
    again = start(tmp_path / "corpus", run, "2/3")
    _, told = again.communicate(timeout=120)
    assert again.returncode == 0, told
    dedup(tmp_path / "corpus", run)
    assert read_files(run) == read_files(tmp_path / "plain")


def test_parts_work_beside_one_another_and_the_plain_command_waits_for_them(tmp_path, monkeypatch):
    monkeypatch.undo()
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": text} for text in random_documents(34, 20)])
    curate.score(str(tmp_path / "corpus"), run=str(tmp_path / "run"), model="none")
    words = ["dedup", "--corpus", str(tmp_path / "corpus"), "--run", str(tmp_path / "run"), "--part", "0/2"]
    with waiting_verb(words, "00000-000000.parquet", tmp_path / "waiting"):
        dedup(tmp_path / "corpus", tmp_path / "run", part="1/2")
        (writing,) = curate.status(run=str(tmp_path / "run")).writing
        assert f"curate dedup is writing {tmp_path}/run/dedup/sketches, part 0 of 2: 1 process on" in writing
        with pytest.raises(BusyError, match=r"curate dedup is writing .*dedup/sketches/0-of-2"):
            dedup(tmp_path / "corpus", tmp_path / "run")


def test_a_share_reads_no_hits_and_leaves_the_table_of_before(corpus, tmp_path):
    dedup(corpus, tmp_path / "run")
    before = (tmp_path / "run" / "duplicates.parquet").read_bytes()
    dedup(corpus, tmp_path / "run", threshold=0.7, part="0/2")
    assert (tmp_path / "run" / "duplicates.parquet").read_bytes() == before


def test_sketches_of_other_options_lie_apart_and_are_said_not_to_be_used(corpus, tmp_path, monkeypatch):
    for threshold in (0.7, 0.8, 0.7):
        dedup(corpus, tmp_path / "run", threshold=threshold, part="0/1")
    folders = sorted((tmp_path / "run" / "dedup" / "sketches").iterdir())
    assert len(folders) == 2 and all(parquet.list_parts(folder) for folder in folders)
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    dedup(corpus, tmp_path / "run", threshold=0.7)
    assert len(said) == 1 and "were made with other options" in said[0]
    dedup(corpus, tmp_path / "run", threshold=0.7)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restart": True}, "--part and --restart"),
        ({"part": "2/2"}, "parts count from 0"),
        ({"part": "half"}, "expected i/n"),
        ({"corpus": "-"}, "--part needs a corpus of files"),
        ({"against": "-"}, "--part needs a corpus of files"),
        ({"threshold": 3.0}, "--threshold"),
    ],
)
def test_options_that_cannot_hold_for_a_share_are_refused(corpus, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        curate.dedup(run=str(tmp_path / "run"), **{"corpus": str(corpus), "part": "0/2", **options})
    assert not (tmp_path / "run").exists()


def test_a_corpus_that_was_scored_with_a_limit_has_no_shares(corpus, tmp_path):
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none", limit=5)
    with pytest.raises(UsageError, match="was scored with --limit 5"):
        curate.dedup(run=str(tmp_path / "run"), part="0/2")
    curate.dedup(run=str(tmp_path / "run"))


def test_the_corpus_of_a_scored_run_is_dealt_without_being_named_and_held_to_its_scores(corpus, tmp_path):
    for name in ("plain", "dealt"):
        curate.score(str(corpus), run=str(tmp_path / name), model="none")
    curate.dedup(run=str(tmp_path / "plain"))
    for index in (1, 0, 2):
        curate.dedup(run=str(tmp_path / "dealt"), part=f"{index}/3")
    curate.dedup(run=str(tmp_path / "dealt"))
    found = [read_files(tmp_path / name) for name in ("plain", "dealt")]
    assert found[0]["duplicates.parquet"] == found[1]["duplicates.parquet"]


def test_a_bad_row_ends_a_share_only_where_it_is_asked_to(corpus, tmp_path):
    with pytest.raises(RowError, match="row 40"):
        dedup(corpus, tmp_path / "run", part="0/1", on_error="stop")


def test_sketches_by_the_folders_of_earlier_versions_are_made_again(tmp_path, monkeypatch):
    documents = random_documents(33, 20)
    with monkeypatch.context() as stopped:
        stopped.setattr(near_copies, "find_near_copies", stop)
        with pytest.raises(Interrupted):
            run_on(tmp_path, documents)
    (folder,) = (tmp_path / "run" / "dedup" / "sketches").iterdir()
    folder.rename(folder.with_name("000"))
    run_on(tmp_path, documents)
    assert rows_of(tmp_path) and not (tmp_path / "run" / "dedup").exists()


def stop(*_):
    raise KeyboardInterrupt
