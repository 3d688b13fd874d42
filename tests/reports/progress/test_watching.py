"""``status --watch``: it follows the work of others to its end, and Ctrl-C ends the watch alone."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from helpers import small_files
from helpers.stopped_verbs import kill_verb, waiting_verb

import curate
from curate.corpus import open_corpus, shares
from curate.errors import DamageError, Interrupted, TableError, UsageError
from curate.reports.progress import watching
from curate.reports.progress.tables import TableProgress
from curate.rundir.run import name_part
from curate.runtime import console


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("followed") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    return folder


def words_of(corpus, run, part):
    words = ["score", str(corpus), "--model", "none", "--carry", "none", "--slice-bytes", "700"]
    return [*words, "--run", str(run), "--part", part]


def first_part(corpus, count, index):
    sources = open_corpus([str(corpus)], slice_bytes=700).sources
    return name_part(shares.deal_units(sources, 700, count)[index][0].first, 0)


@pytest.fixture
def looks(monkeypatch):
    """The lines of each look, and what to do between two of them instead of waiting."""
    seen, between = [], []
    monkeypatch.setattr(console, "show", lambda text: seen.append(text.splitlines()))
    monkeypatch.setattr(watching, "sleep", lambda seconds: between.pop(0)() if between else time.sleep(0.05))
    return seen, between


def press_ctrl_c():
    """Raise what Ctrl-C raises; a signal might be the second one for handlers that another test left."""
    raise KeyboardInterrupt


def test_it_looks_until_the_work_is_done_and_then_shows_the_funnel(corpus, tmp_path, looks):
    seen, between = looks
    run, mark = tmp_path / "run", tmp_path / "mark"
    with waiting_verb(words_of(corpus, run, "0/1"), first_part(corpus, 1, 0), mark) as holder:

        def let_go():
            mark.unlink()
            holder.wait(60)
            mark.touch()

        between += [lambda: None, let_go]
        found = curate.status(run=str(run), watch=True)
    assert "0 of 23 files, 0 documents" in seen[0][0] and seen[0][0].endswith("1 working") and "0 %" in seen[0][0]
    assert "23 of 23 files, 82 documents" in seen[-1][0] and len(seen) == 3
    assert found.read == 82 and not found.complete


def test_a_table_whose_files_are_done_is_followed_until_whoever_completes_it_has_ended(corpus, tmp_path, looks):
    seen, between = looks
    run, mark = tmp_path / "run", tmp_path / "mark"
    curate.score(str(corpus), run=str(run), model="none", slice_bytes=700, carry="none", part="0/1")
    with waiting_verb(words_of(corpus, run, "0/1")[:-2], "scores.json", mark) as holder:
        between += [lambda: None, lambda: (mark.unlink(), holder.wait(60), mark.touch())]
        assert curate.status(run=str(run), watch=True).complete
    assert len(seen) == 3 and all("23 of 23 files" in lines[0] for lines in seen[:2])


def test_work_that_nobody_goes_on_with_is_waited_for_a_minute(corpus, tmp_path, looks, monkeypatch):
    seen, between = looks
    run = tmp_path / "run"
    kill_verb(words_of(corpus, run, "0/2"), first_part(corpus, 2, 0))
    clock = [1000.0]
    monkeypatch.setattr(watching, "monotonic", lambda: clock[0])
    between += [lambda: clock.__setitem__(0, clock[0] + 25)] * 9
    found = curate.status(run=str(run), watch=True, every=25)
    assert len(seen) == 4 and all("1 stopped" in lines[0] and "0 working" in lines[0] for lines in seen)
    assert found.read == 0


def test_nothing_to_follow_is_the_funnel_at_once(corpus, tmp_path, looks):
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none")
    assert curate.status(run=str(tmp_path / "run"), watch=True).complete and looks[0] == [["nothing is in the making"]]


def test_a_run_that_cannot_be_read_for_now_is_said_and_looked_at_again(corpus, tmp_path, looks):
    seen, between = looks
    run, mark = tmp_path / "run", tmp_path / "mark"
    with waiting_verb(words_of(corpus, run, "0/1"), first_part(corpus, 1, 0), mark):
        whole = (run / "run.json").read_bytes()
        (run / "run.json").write_text("{")
        between += [lambda: (run / "run.json").write_bytes(whole), press_ctrl_c]
        with pytest.raises(Interrupted, match="whoever works goes on"):
            curate.status(run=str(run), watch=True)
    assert seen[0][0].startswith("cannot be told now: ") and "23 files" in seen[1][0]


def test_a_run_that_is_damaged_and_that_nobody_works_on_is_an_error_in_the_end(corpus, tmp_path, looks, monkeypatch):
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none")
    (tmp_path / "run/run.json").write_text("{")
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.0)
    with pytest.raises(DamageError):
        curate.status(run=str(tmp_path / "run"), watch=True)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_ctrl_c_ends_the_watch_with_130_and_disturbs_nobody(corpus, tmp_path, is_terminal):
    run, mark = tmp_path / "run", tmp_path / "mark"
    with waiting_verb(words_of(corpus, run, "0/1"), first_part(corpus, 1, 0), mark) as holder:
        command = [sys.executable, "-m", "curate", "status", "--watch", "--every", "0.1", "--run", str(run)]
        reading, writing = pty.openpty() if is_terminal else os.pipe()
        process = subprocess.Popen(command, stderr=writing, stdout=subprocess.PIPE, text=True)
        os.close(writing)
        shown = b""
        while shown.count(b"0 of 23 files") < 3:
            shown += os.read(reading, 4096)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "" and process.returncode == 130
        os.close(reading)
        assert (b"1 part: 1 working" in shown) == is_terminal and (b"\x1b[" in shown) == is_terminal
        before = sorted(path.name for path in run.rglob("*"))
        assert holder.poll() is None and not [name for name in before if ".status" in name]
    assert holder.returncode == 0, holder.messages
    assert curate.status(run=str(run)).read == 82


def test_a_rate_tells_the_time_that_is_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(watching, "monotonic", lambda: clock[0])
    watch = watching.RunWatch(None)

    def describe(seconds, num_bytes):
        clock[0] = seconds
        return watch.describe_rate(TableProgress("score", "scores", False, 1, 0, 2, num_bytes, 10**9, False, 1))

    assert describe(0, 0) == "" and describe(10, 0) == ""
    assert describe(20, 2 * 10**8) == "10 MB/s, 0:01:20 left"
    assert describe(1000, 3 * 10**8) == "102 kB/s, 1:54:20 left"


@pytest.mark.parametrize(("options", "message"), [({"every": 5}, "no effect"), ({"every": 0, "watch": True}, "than 0")])
def test_seconds_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        curate.status(run=str(tmp_path), **options)


def test_a_run_that_nobody_has_begun_is_waited_for(corpus, tmp_path, looks):
    """The tasks of an array may be queued yet."""
    seen, between = looks
    run = tmp_path / "run"
    between += [lambda: None, lambda: curate.score(str(corpus), run=str(run), model="none", carry="none")]
    assert curate.status(run=str(run), watch=True).complete
    assert [lines[0] for lines in seen[:2]] == [f"there is no run in {run} yet"] * 2 and len(seen) == 3


def test_a_run_that_nobody_begins_is_an_error_after_a_minute(tmp_path, looks, monkeypatch):
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.2)
    with pytest.raises(TableError, match="there is no run in"):
        curate.status(run=str(tmp_path / "run"), watch=True)
    assert len(looks[0]) > 1
