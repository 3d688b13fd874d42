"""Mirrors: what is written here is in the store first, what others wrote is here after a pull, and nothing else is."""

import errno
import os
import random
import time

import pytest

from curate.errors import StorageError, UsageError
from curate.runtime import streams
from curate.runtime.disk import files, mirrors
from curate.runtime.disk.mirrors import Mirror, find_mirror, locate_file, locate_folder, open_mirror, spell_place
from curate.runtime.disk.object_store import ObjectStore


@pytest.fixture
def mirror(memory_store):
    return open_mirror(f"{memory_store}/runs/one", ("work",))


def write(path, text):
    with files.replace_atomically(path) as beside:
        beside.write_text(text)


def list_files(root):
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def list_store(mirror):
    return {name: mirror.store.read(name).decode() for name in mirror.store.list()}


def make_other(mirror, folder):
    """The mirror of the same folder on another host, which shares nothing but the store."""
    return Mirror(mirror.url, folder / "other/one", ObjectStore(mirror.url), mirror.kept_here)


def test_files_of_a_mirror_are_in_the_store_with_the_same_names(mirror):
    root = mirror.root
    write(root / "scores/1", "one")
    write(root / "scores/2", "two")
    write(root / "work/pairs", "stays here")
    files.move_file(root / "scores/1", root / "scores/3")
    assert list_store(mirror) == {"scores/2": "two", "scores/3": "one"}
    assert list_files(root) == {"scores/2": "two", "scores/3": "one", "work/pairs": "stays here"}
    files.remove_file(root / "scores/3")
    files.remove_file(root / "scores/3")
    assert list_store(mirror) == {"scores/2": "two"}
    write(root / "aside/a/b", "x")
    files.remove_tree(root / "aside")
    assert list_store(mirror) == {"scores/2": "two"} and not (root / "aside").exists()


def test_a_pull_makes_the_files_here_those_of_the_store(mirror, tmp_path):
    other, choice = make_other(mirror, tmp_path), random.Random(5)
    for _ in range(60):
        name = choice.choice(["a", "t/1", "t/2", "t/u/3", "s/4"])
        path = mirror.root / name
        if choice.random() < 0.3:
            files.remove_file(path)
        else:
            write(path, str(choice.random())[: choice.randint(1, 4)])
        if choice.random() < 0.3:
            other.pull()
            assert list_files(other.root) == list_files(mirror.root) == list_store(mirror)


def test_what_is_here_is_not_fetched_again_and_what_was_changed_here_is(mirror, tmp_path, monkeypatch):
    other, fetched = make_other(mirror, tmp_path), []
    real = ObjectStore.download
    monkeypatch.setattr(
        ObjectStore, "download", lambda store, name, path: fetched.append(name) or real(store, name, path)
    )
    write(mirror.root / "a", "1")
    write(mirror.root / "b", "2")
    for _ in range(2):
        other.pull()
        mirror.pull()
    assert sorted(fetched) == ["a", "b"], "once there, and never where they were written"
    other = make_other(mirror, tmp_path)  # another process of that host, which reads what this one noted
    other.pull()
    assert len(fetched) == 2
    (other.root / "a").write_text("9")
    os.utime(other.root / "a", (1, 1))
    other.pull()
    assert fetched[2:] == ["a"] and (other.root / "a").read_text() == "1"


def test_what_is_known_of_files_is_read_once_and_kept_short(mirror, monkeypatch):
    monkeypatch.setattr(mirrors, "MOST_LINES", 8)
    for number in range(6):
        for name in "ab":
            write(mirror.root / name, str(number))
    again = Mirror(mirror.url, mirror.root, mirror.store, ())
    again.pull()
    assert again.states == mirror.states and set(again.states) == {"a", "b"}
    assert len(mirror._states_path.read_text().splitlines()) == 2
    mirror.pull()
    write(mirror.root / "c", "1")
    again.pull()
    assert again.states == mirror.states and again.read_bytes == mirror._states_path.stat().st_size


def test_a_pull_takes_only_the_folder_and_the_names_that_are_asked_for(mirror, tmp_path):
    other = make_other(mirror, tmp_path)
    for name in ("top", "big.parquet", "t/1", "t/2", "t/deep/3", "u/1"):
        write(mirror.root / name, name)
    other.pull(wants=lambda name: not name.endswith(".parquet"), deep=False)
    assert sorted(list_files(other.root)) == ["top"]
    other.pull("t", lambda name: name.endswith(("1", "3")))
    assert sorted(list_files(other.root)) == ["t/1", "t/deep/3", "top"]
    other.fetch("u")
    other.fetch("big.parquet")
    other.fetch("nothing.parquet")
    assert sorted(list_files(other.root)) == ["big.parquet", "t/1", "t/deep/3", "top", "u/1"]
    files.remove_file(mirror.root / "big.parquet")
    other.refresh("big.parquet")
    assert "big.parquet" not in list_files(other.root)


def test_what_a_kill_left_here_goes_and_what_is_being_written_stays(mirror):
    write(mirror.root / "t/whole", "1")
    (mirror.root / "t/left").write_text("not in the store")
    os.utime(mirror.root / "t/left", (time.time() - 5,) * 2)
    (mirror.root / "t/.x.0123456789-1-1-01234567.tmp").write_text("half")
    (mirror.root / ".claims").mkdir()
    (mirror.root / ".claims/score-1.json").write_text("{}")
    (mirror.root / "work").mkdir()
    (mirror.root / "work/here").write_text("1")
    later = mirror.root / "t/renamed-after-the-store-was-asked"
    later.write_text("2")
    os.utime(later, (time.time() + 5,) * 2)
    mirror.pull()
    assert sorted(list_files(mirror.root)) == [
        ".claims/score-1.json",
        "t/.x.0123456789-1-1-01234567.tmp",
        "t/renamed-after-the-store-was-asked",
        "t/whole",
        "work/here",
    ]


def test_a_store_that_refuses_leaves_no_file_here(mirror, monkeypatch):
    write(mirror.root / "a", "old")

    def refuse(*_):
        raise StorageError("the network is gone")

    monkeypatch.setattr(ObjectStore, "upload", refuse)
    with pytest.raises(StorageError, match="the network is gone"):
        write(mirror.root / "a", "new")
    with pytest.raises(StorageError, match="the network is gone"):
        write(mirror.root / "b", "new")
    assert list_files(mirror.root) == {"a": "old"}


def test_names_that_lead_out_of_the_mirror_are_never_written(mirror):
    for name in ("../up", "a/../../up", ".hidden/x", ".claims/lock-1"):
        mirror.store.write(name, b"1")
    mirror.pull()
    assert list_files(mirror.root) == {} and not (mirror.root.parent / "up").exists()


def test_a_path_belongs_to_the_mirror_that_it_is_in(mirror, memory_store, tmp_path, capsys):
    again = locate_folder(f"{memory_store}/runs/one/")
    assert again == mirror.root and find_mirror(again / "x/y") is mirror and find_mirror(again) is mirror
    assert find_mirror(tmp_path) is None and find_mirror(f"{mirror.root}-2/x") is None
    assert spell_place(mirror.root / "scores/1") == f"{mirror.url}/scores/1" and spell_place(tmp_path) == str(tmp_path)
    streams.print_message(f"error: {mirror.root}/scores is damaged")
    assert capsys.readouterr().err == f"error: {mirror.url}/scores is damaged\n"
    assert locate_folder("~/x").is_absolute() and locate_folder("plain/x").as_posix() == "plain/x"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("memory://", "memory://bucket/curated"),
        ("s3://", "s3://bucket/curated"),
        ("s3:///x", "s3://bucket/curated"),
        ("s3://mine", "s3://mine/curated"),
        ("s3://mine/", "s3://mine/curated"),
        ("s3://mine/a/../b", "s3://mine/curated"),
    ],
)
def test_what_names_no_folder_in_a_bucket_is_refused_with_one_that_does(url, named, memory_store):
    with pytest.raises(UsageError, match="names no folder in a bucket") as found:
        open_mirror(url)
    assert found.value.hint == f"name one: {named}"


def test_other_urls_are_spelled_alike_or_refused(mirror, memory_store):
    assert locate_folder(f"{memory_store}/runs/one".replace("memory", "MEMORY")) == mirror.root
    with pytest.raises(UsageError, match="can only be read"):
        locate_folder("https://host/runs/one")
    with pytest.raises(UsageError, match="is on this machine") as found:
        locate_folder("file:///tmp/my run")
    assert found.value.hint == "name the folder itself: '/tmp/my run'"


def test_one_file_at_a_url_is_fetched(mirror, memory_store):
    mirror.store.write("cuts/c.json", b"{}")
    assert locate_file(f"{memory_store}/runs/one/cuts/c.json").read_bytes() == b"{}"
    assert not locate_file(f"{memory_store}/runs/one/cuts/none.json").exists()
    assert locate_file("cuts/c.json").as_posix() == "cuts/c.json"


def test_what_stays_here_of_a_folder_is_known_though_one_of_its_files_was_read_first(memory_store):
    locate_file(f"{memory_store}/runs/two/cutoffs.json")
    root = locate_folder(f"{memory_store}/runs/two", ("work",))
    write(root / "work/pairs", "stays here")
    assert list_store(find_mirror(root)) == {}


def test_a_full_disk_names_the_variable(mirror, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    mirror.store.write("t/1", b"1")
    monkeypatch.setattr(type(mirror.store._filesystem), "get_file", fill)
    with pytest.raises(StorageError, match="the disk is full: ") as found:
        mirror.pull()
    assert "CURATE_MIRRORS" in found.value.hint
    monkeypatch.setattr(files.os, "fsync", fill)
    with pytest.raises(StorageError, match="the disk is full") as found:
        write(mirror.root / "a", "1")
    assert "CURATE_MIRRORS" in found.value.hint


def test_a_mirror_that_cannot_be_made_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CURATE_MIRRORS", str(tmp_path / "file"))
    monkeypatch.setattr(mirrors, "_mirrors", {})
    with pytest.raises(StorageError) as found:
        open_mirror("memory://a/b")
    assert "CURATE_MIRRORS" in found.value.hint
