"""Files are replaced at once or not at all, and what the disk refuses is one line with a remedy."""

import errno
import io
import json
import os
import signal
import tempfile

import pytest

from curate.errors import StorageError
from curate.runtime.disk import files
from curate.runtime.work import interrupts


def test_a_file_is_replaced_when_the_block_ends_and_left_alone_when_it_fails(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with files.replace_atomically(path) as beside:
        beside.write_text("first")
        assert beside.parent == path.parent and not path.exists()
    assert path.read_text() == "first"
    with pytest.raises(UnicodeEncodeError), files.replace_atomically(path) as beside:
        beside.write_text("\ud800", encoding="utf-8")
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("kept")
    with pytest.raises(StorageError, match="could not be written"), files.replace_atomically(path):
        pass
    assert path.read_text() == "kept"


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="could not be written"),
        files.replace_atomically(tmp_path / "file" / "a.txt"),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "words", "has_hint"),
    [(errno.ENOSPC, "the disk is full", True), (errno.EDQUOT, "the disk is full", True),
     (errno.EACCES, "may not be written", True), (errno.EROFS, "may not be written", True),
     (errno.EIO, "could not be written", False)],
)  # fmt: skip
def test_what_the_disk_refuses_names_the_path_and_the_remedy(tmp_path, number, words, has_hint):
    error = files.make_storage_error(OSError(number, "refused"), tmp_path / "a.txt")
    assert words in error.message and str(tmp_path / "a.txt") in error.message and bool(error.hint) == has_hint


def test_json_keeps_the_order_of_its_keys_and_its_letters(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"b": object()})
    assert json.loads((tmp_path / "a.json").read_text())["b"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_of_a_library_get_the_permissions_that_the_umask_gives_and_keep_more(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        for name, given in (("private", 0o600), ("shared", 0o666), ("tool", 0o755)):
            (tmp_path / name).touch()
            (tmp_path / name).chmod(given)
        (tmp_path / "folder").mkdir()
        files.share_files(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == mode
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o666
    assert (tmp_path / "tool").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "private", "shared", "tool"]


def test_a_file_name_that_is_not_utf8_survives_in_json(tmp_path):
    value = {"path": os.fsdecode(b"caf\xe9 \xc3\xa9")}
    files.write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


class ShortFile(io.FileIO):
    """A raw file of which a read returns seven bytes at most."""

    def read(self, size=-1):
        return super().read(min(size, 7))


@pytest.mark.parametrize("size", [None, 0, 1, 30, files.EDGE_BYTES, files.EDGE_BYTES + 3, 3 * files.EDGE_BYTES])
def test_short_reads_give_the_same_edges(tmp_path, size):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 1024)
    with open(tmp_path / "a", "rb") as whole, ShortFile(tmp_path / "a") as short:
        assert files.read_edges(short, size) == files.read_edges(whole, size)


def test_a_scratch_folder_is_removed_whatever_ends_the_block(tmp_path, monkeypatch):
    with files.open_scratch_folder("curate-test-", tmp_path) as folder:
        (folder / "cache").mkdir()
        (folder / "cache" / "a").write_text("x")
    assert not folder.exists()
    scratch = files.open_scratch_folder("curate-test-", tmp_path)
    folder = scratch.__enter__()
    (folder / "a").write_text("x")
    assert not scratch.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not folder.exists()


@pytest.mark.parametrize("call", ["mkdir", "unlink"])
def test_a_scratch_folder_is_removed_where_a_signal_strikes_as_it_is_made(call, tmp_path, monkeypatch):
    real, folder, struck = getattr(os, call), tmp_path / "tmp", []
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def strike(path, *args, **options):
        done = real(path, *args, **options)
        if str(path).startswith(str(folder)) and not struck:
            struck.append(path)
            os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(os, call, strike)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupts.stop_on_signals(),
        files.open_scratch_folder("curate-test-", tmp_path),
    ):
        pytest.fail("the signal was to strike before")
    assert struck and not list(folder.iterdir())


@pytest.mark.parametrize("call", ["unlink", "rmdir", "scandir"])
def test_a_scratch_folder_is_removed_where_a_signal_strikes_as_it_is_removed(call, tmp_path, monkeypatch):
    real, struck = getattr(os, call), []

    def strike(*args, **options):
        if not struck:
            struck.append(args)
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args, **options)

    def work():
        with interrupts.stop_on_signals(), files.open_scratch_folder("curate-test-", tmp_path) as folder:
            made.append(folder)
            (folder / "cache").mkdir()
            (folder / "cache" / "a").write_text("x")
            monkeypatch.setattr(os, call, strike)

    made = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert struck and not made[0].exists()
