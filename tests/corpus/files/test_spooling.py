"""Streams: kept in the run directory under a name of their content, read from there, or refused; never half."""

import gzip
import os
import subprocess
import sys
import threading

import pytest

from curate.corpus import open_corpus, spool_streams
from curate.errors import CorpusError, UsageError

LINES = b'{"text": "one two"}\n{"text": "three"}\n'


@pytest.fixture
def pipe(tmp_path):
    """A function that makes a named pipe with some content in it."""

    def make(name, data):
        os.mkfifo(tmp_path / name)
        threading.Thread(target=(tmp_path / name).write_bytes, args=(data,), daemon=True).start()
        return str(tmp_path / name)

    return make


@pytest.mark.parametrize(
    ("data", "suffix", "texts"),
    [
        (LINES, ".jsonl", ["one two", "three"]),
        (b'[{"text": "one"},\n{"text": "two"}]', ".json", ["one", "two"]),
        (b'{"version": "1", "data": [{"text": "one"}, {"text": "two"}]}', ".json", ["one", "two"]),
        (gzip.compress(LINES, mtime=0), ".jsonl.gz", ["one two", "three"]),
        (b"id\ttext\n1\tfoo\n2\tbar\n", ".tsv", ["foo", "bar"]),
        (b"id;text\n1;foo\n2;bar\n", ".csv", ["foo", "bar"]),
        (b"A book, of course,\nwith lines, many.\n", ".txt", ["A book, of course,\nwith lines, many.\n"]),
        ('{"text": "é"}\n{"text": "b"}\n'.encode("utf-16"), ".jsonl", ["é", "b"]),
    ],
)
def test_a_stream_becomes_a_file_of_its_format(tmp_path, pipe, data, suffix, texts):
    (kept,) = spool_streams([pipe("p", data)], tmp_path / "run")
    assert kept.startswith(str(tmp_path / "run" / "streams")) and os.path.basename(kept) == f"p{suffix}"
    assert [text for one in open_corpus(kept).slices() for text in one.texts] == texts


def test_the_same_content_is_the_same_file_and_other_content_another(tmp_path, pipe):
    first, second, other = (
        spool_streams([pipe(f"{number}/p.jsonl".replace("/", "-"), data)], tmp_path / "run")[0]
        for number, data in enumerate((LINES, LINES, LINES * 2))
    )
    assert os.path.dirname(first) == os.path.dirname(second) != os.path.dirname(other)
    assert sorted(os.listdir(tmp_path / "run" / "streams")) == sorted(
        {os.path.basename(os.path.dirname(path)) for path in (first, other)}
    )


def test_files_stay_where_they_are_and_nothing_is_made(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    assert spool_streams([str(tmp_path / "a.jsonl"), "s3://x/y"], tmp_path / "run")[1] == "s3://x/y"
    assert not (tmp_path / "run").exists()


def test_an_empty_stream_and_one_given_twice_are_errors_that_leave_nothing(tmp_path, pipe):
    with pytest.raises(CorpusError, match="is empty: no document"):
        spool_streams([pipe("p", b"")], tmp_path / "run")
    with pytest.raises(CorpusError, match="nothing but white space"):
        spool_streams([pipe("w", b"\n \n")], tmp_path / "run")
    with pytest.raises(UsageError, match="given twice"):
        spool_streams(["-", "/dev/stdin"], tmp_path / "run")
    with pytest.raises(CorpusError, match="ZIP"):
        spool_streams([pipe("q", b"PK\x03\x04...")], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_copy_that_is_stopped_leaves_no_file(tmp_path, pipe, monkeypatch):
    def stop(digest):
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.corpus.files.spooling.os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        spool_streams([pipe("p", LINES)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_standard_input_is_scored_and_found_again_by_later_verbs(tmp_path, path):
    def curate(*words, stdin=b""):
        command = [sys.executable, "-m", "curate", *words, "--run", "run"]
        return subprocess.run(command, cwd=tmp_path, input=stdin, capture_output=True)

    first = curate("score", path, "--model", "none", stdin=LINES)
    assert first.returncode == 0 and b"2 documents" in first.stdout and b"run/streams/" in first.stderr
    parts = {one.name: one.stat().st_mtime_ns for one in (tmp_path / "run" / "scores").iterdir()}
    assert curate("score", path, "--model", "none", stdin=LINES).returncode == 0
    assert {one.name: one.stat().st_mtime_ns for one in (tmp_path / "run" / "scores").iterdir()} == parts
    assert curate("dedup").returncode == 0
    empty = curate("score", path, "--model", "none")
    assert empty.returncode == 1 and b"empty" in empty.stderr


def test_other_verbs_refuse_a_stream(tmp_path, pipe):
    for path in ("-", "/dev/stdin", pipe("p", LINES)):
        with pytest.raises(CorpusError, match="read only once"):
            open_corpus(path)
    for path in ("/dev/null", "/dev/zero"):
        with pytest.raises(CorpusError, match="a device"):
            open_corpus(path)
