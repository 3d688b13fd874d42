"""Claims: who excludes whom, who is alive, what is taken over; and the lock under which they are compared."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest
from helpers.stopped_verbs import list_hidden

from curate.errors import BusyError, TableError
from curate.runtime import console
from curate.runtime.disk import claims
from curate.runtime.disk.writers import Writer, this_writer

FOREIGN = Writer("0123456789", 12, "99")


def write_claim(folder, writer, seconds=0, **changes):
    """The claim of another process in a folder, touched so many seconds ago."""
    claim = replace(claims.make_claim("score", ("scores",)), writer=writer, **changes)
    path = folder / claims.FOLDER / f"score-{claim.token}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(claim)))
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def hold(folder, writes, reads=()):
    with claims.scope():
        claims.hold_claim(folder, "filter", writes, reads)


@pytest.mark.parametrize(
    ("mine", "theirs", "word"),
    [
        ((["a"], []), (["a"], []), "writing"),
        ((["a"], []), ([], ["a"]), "reading"),
        (([], ["a"]), (["a"], []), "writing"),
        (([], ["a"]), ([], ["a"]), None),
        ((["a"], []), (["ab"], []), None),
        ((["a"], []), (["a/1-of-2"], []), "writing"),
        ((["a/1-of-2"], []), (["a"], []), "writing"),
        ((["a/1-of-2"], []), (["a/2-of-2"], []), None),
        ((["a/1-of-2"], []), (["a/1-of-20"], []), None),
    ],
)
def test_what_one_writes_no_other_reads_or_writes(mine, theirs, word):
    one, other = (claims.make_claim("x", *map(tuple, each)) for each in (mine, theirs))
    assert (one.find_conflict(other) or (None,))[0] == word


@pytest.mark.parametrize(
    ("writer", "seconds", "alive"),
    [
        (FOREIGN, 0, True),
        (FOREIGN, 590, True),
        (FOREIGN, 610, False),
        (this_writer(), 9000, True),
        (replace(this_writer(), start="1"), 0, False),
        (replace(this_writer(), pid=2**22 + 1), 0, False),
    ],
)
def test_a_claim_lives_as_long_as_its_process_or_on_another_host_its_beat(tmp_path, capsys, writer, seconds, alive):
    console.enable()
    path = write_claim(tmp_path, writer, seconds)
    if alive:
        with pytest.raises(BusyError, match=f"curate score is writing {tmp_path}/scores: pid {writer.pid} on "):
            hold(tmp_path, ["scores"])
        assert path.exists()
    else:
        hold(tmp_path, ["scores"])
        assert not path.exists() and "taken over  from curate score" in capsys.readouterr().err
        assert list_hidden(tmp_path) == []


def test_of_many_processes_that_are_gone_three_are_named_and_the_others_counted(tmp_path, capsys):
    console.enable()
    paths = [write_claim(tmp_path, replace(this_writer(), start="1"), 0, writes=(f"scores/{i}",)) for i in range(40)]
    hold(tmp_path, ["scores"])
    told = capsys.readouterr().err
    assert told.count("from curate score, pid") == 3 and "from 37 more processes that are gone" in told
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("hours", [-3, 3])
def test_the_clock_of_this_host_decides_nothing(tmp_path, monkeypatch, hours):
    write_claim(tmp_path, FOREIGN, 20)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    with pytest.raises(BusyError, match=r"last sign of life 2\d s ago; it counts as gone after 10 minutes"):
        hold(tmp_path, ["scores"])


def test_a_claim_is_there_until_the_call_returns_and_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)
    with claims.scope():
        held = claims.hold_claim(tmp_path / "a" / "b", "filter", ["x"])
        os.utime(held.path, (1000, 1000))
        until = time.monotonic() + 30
        while held.path.stat().st_mtime < 2000:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert os.listdir(tmp_path) == []  # with the folders that were made for it


def test_a_holder_whose_claim_was_taken_over_may_not_go_on(tmp_path):
    with claims.scope():
        held = claims.hold_claim(tmp_path, "filter", ["x"])
        held.check_held()
        held.path.unlink()
        with pytest.raises(TableError, match="was taken over"):
            held.check_held()


def test_calls_within_a_call_share_its_claims_and_other_threads_do_not(tmp_path):
    def attempt():
        try:
            hold(tmp_path, ["a"])
        except BusyError:
            return "refused"

    with claims.scope():
        claims.hold_claim(tmp_path, "run", ["a"])
        assert attempt() is None
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(attempt).result() == "refused"
    assert attempt() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_does_not_release_the_claims_of_its_parent(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from curate.runtime.disk import claims\n"
        "with claims.scope():\n"
        "    held = claims.hold_claim(Path(sys.argv[1]), 'score', ['a'])\n"
        "    if (child := os.fork()) == 0:\n"
        "        held.release(); held.check_held(); sys.exit()\n"
        "    os.waitpid(child, 0)\n"
        "    held.check_held()\n"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path], timeout=60).returncode == 0
    assert os.listdir(tmp_path) == []


def test_a_claim_that_waits_goes_on_when_the_other_ends_and_says_for_whom(tmp_path, capsys):
    console.enable()
    path = write_claim(tmp_path, FOREIGN)
    threading.Timer(0.5, path.unlink).start()
    with claims.scope():
        assert claims.hold_claim(tmp_path, "order", ["scores"], waits=True)
    said = capsys.readouterr().err
    assert said.count("waiting") == 1 and "curate score is writing" in said


def test_files_that_are_no_claims_exclude_nobody_and_stay(tmp_path):
    (tmp_path / claims.FOLDER).mkdir()
    for name, text in {"a.json": "{}", "b.json": "nonsense", "c.json": "[1]", "d": "x"}.items():
        (tmp_path / claims.FOLDER / name).write_text(text)
    hold(tmp_path, ["scores"])
    assert len(os.listdir(tmp_path / claims.FOLDER)) == 4


@pytest.mark.parametrize("links", [True, False])
def test_fifty_threads_have_the_lock_one_after_the_other(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links here")))
    total, inside = [0], []

    def add(_):
        with claims.lock_folder(tmp_path):
            inside.append(1)
            before = total[0]
            time.sleep(0.001)
            total[0] = before + 1
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(add, range(50)))
    assert total == [50] and list_hidden(tmp_path) == []


def test_the_lock_of_a_process_that_is_gone_is_broken_and_that_of_one_that_is_stopped_is_not(tmp_path, monkeypatch):
    script = (
        "import os, sys, time; from pathlib import Path; from curate.runtime.disk import claims\n"
        "with claims.lock_folder(Path(sys.argv[1])):\n    print(flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(claims, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(BusyError, match="is locked by another process"), claims.lock_folder(tmp_path):
        pass
    process.kill()
    with process:
        process.wait()
        with claims.lock_folder(tmp_path):
            pass
    assert list_hidden(tmp_path) == []


@pytest.mark.parametrize(("seconds", "broken"), [(10, False), (70, True)])
def test_the_lock_of_another_host_is_broken_after_a_minute(tmp_path, monkeypatch, seconds, broken):
    path = write_claim(tmp_path, FOREIGN, seconds)
    path.rename(path.with_name(claims.LOCK))
    monkeypatch.setattr(claims, "PATIENCE_SECONDS", 0.3)
    if broken:
        with claims.lock_folder(tmp_path):
            pass
        assert list_hidden(tmp_path) == []
    else:
        with pytest.raises(BusyError), claims.lock_folder(tmp_path):
            pass


def test_the_claim_of_a_part_whose_process_is_gone_ends_when_the_part_is_worked_on_again(tmp_path):
    gone = replace(this_writer(), start="1")
    same, other = (write_claim(tmp_path, gone, writes=(f"scores/{part}-of-4.0a1b2c3d",)) for part in (2, 3))
    alive = write_claim(tmp_path, this_writer(), writes=("scores/2-of-4.99999999",))
    with claims.scope():
        claims.hold_claim(tmp_path, "score", ("scores/2-of-4.ffffffff",))
        assert not same.exists() and other.exists() and alive.exists()
