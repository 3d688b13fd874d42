"""Names of temporary files say who writes; only what a writer that is gone has left is swept."""

import os
import subprocess
import sys
import time

import pytest

from curate.runtime.disk import files, writers
from curate.runtime.disk.writers import Writer, list_leftovers, name_temporary, sweep_leftovers, this_writer

OTHER_HOST = "0123456789"


def name_of(writer, stem="a.parquet"):
    return f".{stem}.{writer.host}-{writer.pid}-{writer.start}-0123abcd.tmp"


@pytest.fixture
def dead():
    """A process of this host that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    writer = Writer(this_writer().host, process.pid, writers.read_process(process.pid)[1])
    process.communicate(b"\n")
    return writer


def test_a_temporary_is_hidden_beside_its_path_and_no_two_are_the_same(tmp_path):
    names = {name_temporary(tmp_path / "a.parquet").name for _ in range(1000)}
    assert len(names) == 1000
    here = this_writer()
    assert all(name.startswith(f".a.parquet.{here.host}-{os.getpid()}-{here.start}-") for name in names)
    assert all(name.endswith(".tmp") for name in names)


@pytest.mark.parametrize("stem", ["a" * 255, "語" * 85, "é" * 127, "🦆" * 63, "a" * 251 + "語"])
def test_a_temporary_is_never_longer_than_the_file_system_allows(tmp_path, stem):
    path = tmp_path / stem
    files.write_json(path, {"a": 1})
    assert os.listdir(tmp_path) == [stem]
    name = name_temporary(path).name
    assert len(os.fsencode(name)) <= 255 and name.encode("utf-8")
    other = name_temporary(tmp_path / (stem[:-1] + "b")).name
    assert name.split("~")[1].split(".")[0] != other.split("~")[1].split(".")[0]


def test_a_name_that_is_no_utf_8_has_a_temporary(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    files.write_json(path, {})
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]


def test_a_process_that_has_ended_is_gone_and_one_that_runs_is_not(dead):
    assert dead.is_gone() and not this_writer().is_gone()
    assert not Writer(this_writer().host, os.getppid(), writers.read_process(os.getppid())[1]).is_gone()


def test_a_process_that_nobody_has_waited_for_is_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    writer = Writer(this_writer().host, process.pid, writers.read_process(process.pid)[1])
    until = time.monotonic() + 30
    while not writer.is_gone() and time.monotonic() < until:
        time.sleep(0.01)
    assert process.returncode is None and writer.is_gone()
    process.wait()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the system does not say when a process began")
def test_a_number_that_was_given_out_again_is_not_the_process_that_had_it():
    here = this_writer()
    assert Writer(here.host, here.pid, str(int(here.start) - 1)).is_gone()
    assert not Writer(OTHER_HOST, here.pid, str(int(here.start) - 1)).is_gone()


def test_files_and_folders_of_dead_writers_go_and_all_else_stays(tmp_path, dead):
    left = [tmp_path / name_of(dead), tmp_path / name_of(dead, "out")]
    left[0].write_text("half")
    (left[1] / "train").mkdir(parents=True)
    kept = [name_of(this_writer()), "a.parquet", ".hidden.tmp", ".b.123.swp", "notes.tmp", name_of(dead)[1:]]
    for name in kept:
        (tmp_path / name).write_text("kept")
    sweep_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    sweep_leftovers(tmp_path / "none")


def test_of_one_output_only_its_own_leftovers_go(tmp_path, dead):
    for stem in ("page.html", "page.json", "page.html.page.html"):
        (tmp_path / name_of(dead, stem)).write_text("half")
    files.check_output_file(tmp_path / "page.html")
    assert sorted(os.listdir(tmp_path)) == sorted(name_of(dead, stem) for stem in ("page.json", "page.html.page.html"))


@pytest.mark.parametrize(
    "name", [name_of(Writer(OTHER_HOST, 12, "99")), ".a.parquet.99999999.tmp", ".out.4711.old", ".77.1.part"]
)
def test_what_another_host_or_an_earlier_version_wrote_goes_after_an_hour_without_a_write(tmp_path, name):
    path = tmp_path / name
    (path / "data").mkdir(parents=True)
    shard = path / "data" / "shard"
    shard.touch()
    now = time.time()
    for each in (path / "data", path):
        os.utime(each, (now - 9000, now - 9000))
    os.utime(shard, (now - 3500, now - 3500))  # written after the folders were made
    sweep_leftovers(tmp_path)
    assert shard.exists()
    os.utime(shard, (now - 3700, now - 3700))
    sweep_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_clock_is_that_of_the_file_system(tmp_path, monkeypatch, hours):
    """The clock of this host may be hours ahead or behind."""
    fresh, old = tmp_path / name_of(Writer(OTHER_HOST, 12, "99")), tmp_path / name_of(Writer(OTHER_HOST, 13, "99"))
    fresh.touch()
    old.touch()
    os.utime(old, (time.time() - 3700,) * 2)
    monkeypatch.setattr(time, "time", lambda: 1.0e9 + 3600 * hours)
    sweep_leftovers(tmp_path)
    assert os.listdir(tmp_path) == [fresh.name]


def test_where_nothing_may_be_written_nothing_is_swept(tmp_path, monkeypatch):
    (tmp_path / name_of(Writer(OTHER_HOST, 12, "99"))).touch()
    monkeypatch.setattr(writers, "read_clock", lambda folder: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert list_leftovers(tmp_path) == []
