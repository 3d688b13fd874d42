"""A path at which nothing can be written is one line that names it and the cause, before the work, in every verb."""

import errno
import os
from pathlib import Path

import pytest
from helpers.runs import numbered_run, write_lines
from typer.testing import CliRunner

from curate import cli
from curate.runtime.disk import files

TEXTS = [{"id": str(n), "text": f"the harbour master counted {n} boats in the rain"} for n in range(6)]
PAIRS = [{"instruction": f"count {n} boats", "output": f"{n} boats were counted"} for n in range(6)]
ITEMS = [{"question": "how many boats does the harbour master count in the rain?", "answer": "6"}]

OUTPUTS = {
    "score --run": "score c.jsonl --model none --run {}",
    "dedup --run": "dedup --corpus c.jsonl --run {}",
    "decontaminate --run": "decontaminate ev.jsonl --corpus c.jsonl --run {}",
    "decontaminate --report": "decontaminate ev.jsonl --run run --report {}",
    "decontaminate --lock": "decontaminate ev.jsonl --run run --lock {}",
    "report --out": "report --run run --out {}",
    "export": "export {} --run run",
    "export jsonl": "export {} --run run --format jsonl --overwrite",
    "filter --probe": "filter --run run --where true --probe {}",
    "rank-sft --out": "rank-sft sft.jsonl --out {}",
    "rank-sft --examples": "rank-sft sft.jsonl --out ranked --examples {}",
    "train-reference --out": "train-reference c.jsonl --out {} --minutes 0.01",
    "bucket --save-cutoffs": "bucket --run run --save-cutoffs {}",
}
LONG = "n" * 300


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, rows in {"c": TEXTS, "sft": PAIRS, "ev": ITEMS}.items():
        write_lines(tmp_path / f"{name}.jsonl", rows)
    numbered_run(tmp_path, [{}, {}, {}])
    (tmp_path / "afile").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nothing").symlink_to("nowhere")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "afile").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def list_entries(folder):
    """All paths with what the files hold, but for what a run may record of its own."""
    paths = sorted(path for path in folder.rglob("*") if "run" not in path.relative_to(folder).parts)
    return {str(path): path.read_bytes() if path.is_file() else path.is_symlink() for path in paths}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("afile/x", "could not be written: Not a directory"),
        ("afile/x/y", "could not be written: Not a directory"),
        ("pipe/x", "could not be written: Not a directory"),
        ("nothing/x", "could not be written: Not a directory"),
        ("loop/x", "could not be written: Too many levels of symbolic links"),
        (LONG, "could not be written: File name too long"),
        (f"new/{LONG}/x", "could not be written: File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_named_with_the_cause_and_nothing_is_left(folder, output, path, cause):
    before = list_entries(folder)
    found = CliRunner().invoke(cli.app, OUTPUTS[output].format(path).split())
    assert (found.exit_code, found.stdout) == (1, "")
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("error:")]
    assert error == f"error: {path} {cause}"
    assert list_entries(folder) == before


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("path", ["taken", "pipe", "loop"])
def test_a_folder_where_a_file_is_written_and_a_file_where_a_folder_is_are_refused(folder, output, path):
    before = list_entries(folder)
    if path == "taken" and output in ("score --run", "dedup --run", "decontaminate --run", "rank-sft --examples"):
        pytest.skip("a run may be in a folder with other files")
    found = CliRunner().invoke(cli.app, OUTPUTS[output].format(path).split())
    assert found.exit_code in (1, 2) and found.stdout == ""
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("error:")]
    assert path in error and list_entries(folder) == before


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_that_may_not_be_written_is_refused_before_the_work(folder, monkeypatch, output):
    (folder / "locked").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and real(path, mode))
    for path in ("locked/x", "locked/y/x"):
        found = CliRunner().invoke(cli.app, OUTPUTS[output].format(path).split())
        assert found.exit_code == 1 and f"error: {path} may not be written: Permission denied" in found.stderr
    assert not any((folder / "locked").iterdir())


@pytest.mark.parametrize("path", ["afile", "c.jsonl"])
@pytest.mark.parametrize("output", ["report --out", "decontaminate --report"])
def test_a_page_does_not_replace_a_file_that_is_none(folder, output, path):
    before = list_entries(folder)
    found = CliRunner().invoke(cli.app, OUTPUTS[output].format(path).split())
    assert found.exit_code == 2 and "it would be replaced" in found.stderr and list_entries(folder) == before


def test_the_numbers_of_a_report_do_not_replace_a_corpus_of_the_same_name(folder):
    (folder / "c.json").write_text("[]")
    found = CliRunner().invoke(cli.app, ["report", "--run", "run", "--out", "c.html"])
    assert found.exit_code == 2 and "c.json is not the numbers of a report" in found.stderr
    assert (folder / "c.json").read_text() == "[]" and not (folder / "c.html").exists()
    assert [CliRunner().invoke(cli.app, ["report", "--run", "run", "--out", "d.html"]).exit_code for _ in "ab"] == [
        0,
        0,
    ]


def test_an_export_through_a_link_replaces_the_folder_behind_it(folder):
    (folder / "disk").mkdir()
    (folder / "link").symlink_to("disk")
    for _ in "ab":
        assert CliRunner().invoke(cli.app, ["export", "link", "--run", "run", "--overwrite"]).exit_code == 0
        assert (folder / "link").is_symlink() and (folder / "disk" / "manifest.json").exists()
        assert not [name for name in os.listdir(folder) if name.startswith((".link", ".disk"))]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "/data/x: Permission denied"),
        (OSError("the server says\nno"), "the server says"),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_what_the_system_refuses_anywhere_is_one_line(folder, monkeypatch, error, shown):
    def refuse(path):
        raise error

    monkeypatch.setattr("curate.rundir.guards.claims.open_unclaimed", refuse)
    found = CliRunner().invoke(cli.app, ["status", "--run", "run"])
    assert found.exit_code == 1 and f"error: {shown}" in found.stderr and "Traceback" not in found.stderr


def test_a_path_with_bytes_that_are_no_text_is_refused(folder):
    for words in (["score", "c.jsonl", "--run", "b\udcffd"], ["score", "\udcff.jsonl"], ["export", "\udcff"]):
        found = CliRunner().invoke(cli.app, words)
        assert found.exit_code == 2 and "must be UTF-8, not" in found.stderr


def test_a_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "device")
    with pytest.raises(files.StorageError, match="a device or a pipe"), files.replace_atomically(tmp_path / "device"):
        pytest.fail("the block must not begin")
    assert (tmp_path / "device").is_fifo()


def test_what_may_not_be_read_is_not_taken_for_what_is_not_there(folder, monkeypatch):
    assert CliRunner().invoke(cli.app, ["export", "out", "--run", "run"]).exit_code == 0
    real_read, real_list = Path.read_bytes, os.listdir

    def read(path):
        if path.name == "manifest.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_read(path)

    def list_names(path="."):
        if "out" not in words and str(path).endswith("scores"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_list(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(os, "listdir", list_names)
    for words in (
        "verify out",
        "export out --run run --overwrite",
        "status --run run",
        "filter --run run --where true",
    ):
        found = CliRunner().invoke(cli.app, words.split())
        name = "run/scores" if "out" not in words else "out/manifest.json"
        assert found.exit_code == 1 and found.stderr == f"error: {name}: Permission denied\n"
