"""Bytes from archives and servers: compression, damage of archives, URLs, and servers that fail."""

import io
import random

import fsspec
import pytest
from helpers.corpora import as_value, number_records, read, texts_of, write_records

from curate.corpus import Corpus, open_corpus
from curate.corpus.files import streams
from curate.errors import CorpusError, StorageError


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl.zst", "jsonl.bz2", "jsonl.xz", "json.gz", "csv.zst"])
def test_the_size_of_compressed_pieces_is_invisible(tmp_path, monkeypatch, suffix):
    records = number_records(50)
    path = write_records(tmp_path / f"a.{suffix}", records)
    path.write_bytes(path.read_bytes() + b"\0" * 8 * (not suffix.endswith("zst")))  # Padding, as gzip and xz allow.
    monkeypatch.setattr(streams, "LARGEST_PIECE", 7)
    assert texts_of(path) == [record["text"] for record in records]


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2", "xz"])
def test_archives_of_many_members_are_read_to_their_end(tmp_path, suffix):
    parts = [write_records(tmp_path / f"{number}.jsonl.{suffix}", number_records(3)) for number in range(3)]
    joined = tmp_path / f"joined.jsonl.{suffix}"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert texts_of(joined) == [record["text"] for record in number_records(3)] * 3


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2", "xz"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_a_truncated_archive_gives_its_rows_and_one_that_says_so(tmp_path, kind, suffix):
    random.seed(0)
    noise = [{"id": "x", "text": random.randbytes(20_000).hex()} for _ in range(30)]
    path = write_records(tmp_path / f"a.{kind}.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    found = list(read(open_corpus([str(path)], text_field="text")).values())
    *before, last = found
    assert [text for _, text, _, _ in before] == [record["text"] for record in noise][: len(before)]
    assert (len(before) >= 10 or suffix in ("bz2", "xz")) and last[0] == "unreadable" and "breaks off" in last[2]
    unit = {"jsonl": "line", "json": "element", "csv": "record"}[kind]
    assert not before or f"breaks off after {unit} {len(before)}" in last[2]


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2", "xz"])
def test_a_damaged_archive_is_one_unreadable_row(tmp_path, suffix):
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(b"this is no archive at all, whatever its suffix says")
    ((status, _, reason, _),) = read(open_corpus([str(path)])).values()
    assert status == "unreadable" and "damaged" in reason


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.zst", "a.json", "a.parquet", "file.arrow", "stream.arrow", "a.csv"]
)
def test_a_url_is_read_like_a_folder_and_resumes(tmp_path, memory, name):
    records = number_records(30)
    memory.pipe(f"/bucket/corpus/sub/{name}", write_records(tmp_path / name, records).read_bytes())
    memory.pipe("/bucket/corpus/README.md", b"no document")
    memory.pipe("/bucket/corpus/.git/x.jsonl", b"no document")
    for url in ("memory://bucket/corpus", f"memory://bucket/corpus/sub/{name}", "memory://bucket/corpus/*/*[wlnetv]"):
        corpus = open_corpus([url], slice_bytes=400)
        whole = list(map(as_value, corpus.slices()))
        assert [text for value in whole for text in value[3]] == [record["text"] for record in records]
        done = {whole[0][0].file: [value[0] for value in whole[:3]]}
        assert list(map(as_value, corpus.slices(done))) == whole[3:]
        assert Corpus.from_spec(corpus.spec()).fingerprint() == corpus.fingerprint()
    assert open_corpus(["memory://bucket/corpus"]).passed_over == ("README.md",)


def test_a_url_that_is_missing_or_of_no_known_kind_is_told_in_one_line(memory):
    with pytest.raises(CorpusError, match="does not exist"):
        open_corpus(["memory://bucket/nothing"])
    with pytest.raises(CorpusError, match="nokind://"):
        open_corpus(["nokind://bucket/nothing"])


def test_a_server_that_fails_midway_is_an_error_and_no_bad_row(memory, monkeypatch):
    memory.pipe("/bucket/a.jsonl", b'{"text": "a"}\n' * 50)
    memory.pipe("/bucket/b.parquet", b"PAR1")
    corpus = open_corpus(["memory://bucket/"], text_field="text")

    def fail(*rest, **options):
        raise TimeoutError("the server sleeps")

    monkeypatch.setattr(type(memory), "_open", fail)
    with pytest.raises(StorageError, match="the server sleeps"):
        read(corpus)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "stream.arrow", "file.arrow", "a.csv", "a.jsonl.gz"])
@pytest.mark.parametrize("error", [RuntimeError("payload cut"), TimeoutError("payload cut"), ValueError("payload cut")])
def test_a_server_that_fails_while_a_file_is_read_is_an_error_and_no_bad_row(
    tmp_path, memory, monkeypatch, name, error
):
    memory.pipe(f"/bucket/{name}", write_records(tmp_path / name, number_records(3)).read_bytes())
    corpus = open_corpus(["memory://bucket/"])

    def fail(*rest):
        raise error

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.read", fail, raising=False)
    with pytest.raises(StorageError, match="payload cut"):
        read(corpus)


def test_a_server_without_ranges_is_read_up_to_the_slice(tmp_path, memory, monkeypatch):
    memory.pipe("/bucket/a.jsonl", write_records(tmp_path / "a.jsonl", number_records(30)).read_bytes())
    corpus = open_corpus(["memory://bucket/"], slice_bytes=400)
    whole = list(map(as_value, corpus.slices()))

    def seek(file, offset, *rest):
        if offset:
            raise ValueError("Cannot seek streaming HTTP file")
        return io.BytesIO.seek(file, offset, *rest)

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.seek", seek, raising=False)
    assert list(map(as_value, corpus.slices({"a.jsonl": [value[0] for value in whole[:3]]}))) == whole[3:]
