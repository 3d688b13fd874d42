"""Paths to files: order and names, globs, links, what is data, and what is said of files that cannot be read."""

import contextlib
import errno
import io
import os
import shutil
import socket

import datasets
import pyarrow as pa
import pytest
from helpers.corpora import each_format, file_name, number_records, read, texts_of, write_records

from curate.corpus import open_corpus
from curate.corpus.files import streams
from curate.corpus.files.sources import natural_key
from curate.errors import CorpusError, StorageError

# --------------------------------------------------------------------------------------------------- files and names


def test_files_come_in_natural_order_under_unique_names(tmp_path):
    for name in ("part-10.jsonl", "part-2.jsonl", "sub/part-1.jsonl", "Part-3.jsonl"):
        write_records(tmp_path / name, number_records(1))
    names = [source.name for source in open_corpus([str(tmp_path)]).sources]
    assert names == ["Part-3.jsonl", "part-2.jsonl", "part-10.jsonl", "sub/part-1.jsonl"]
    assert sorted(["a²", "a10", "a9", "a"], key=natural_key) == ["a", "a9", "a10", "a²"]


def test_the_same_name_below_two_roots_takes_in_as_much_of_the_roots_as_needed(tmp_path):
    for folder in ("one/data", "two/data", "two/other"):
        write_records(tmp_path / folder / "x.jsonl", [{"text": folder}])

    def names(*paths):
        corpus = open_corpus([str(tmp_path / path) for path in paths])
        assert len(read(corpus)) == len(corpus.sources)
        return [source.name for source in corpus.sources]

    assert names("one/data", "two/other") == ["data/x.jsonl", "other/x.jsonl"]
    assert names("one/data", "two/data") == ["one/data/x.jsonl", "two/data/x.jsonl"]
    assert names("one/data/x.jsonl", "two/data/x.jsonl") == ["one/data/x.jsonl", "two/data/x.jsonl"]
    assert names("one") == ["data/x.jsonl"]
    assert names("one", "one/data/x.jsonl", "one") == ["data/x.jsonl"]


def test_a_glob_names_files_from_its_fixed_part(tmp_path):
    for name in ("a/1.jsonl", "a/2.txt", "b/1.jsonl", "b/.hidden.jsonl"):
        write_records(tmp_path / name, number_records(1))
    assert [s.name for s in open_corpus([f"{tmp_path}/*/*.jsonl"]).sources] == ["a/1.jsonl", "b/1.jsonl"]
    assert [s.name for s in open_corpus([f"{tmp_path}/**/*.jsonl"]).sources] == ["a/1.jsonl", "b/1.jsonl"]
    assert [s.name for s in open_corpus([f"{tmp_path}/[b]"]).sources] == ["b/1.jsonl"]
    with pytest.raises(CorpusError, match="matches no file"):
        open_corpus([f"{tmp_path}/*.parquet"])


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path):
    write_records(tmp_path / "a[1].jsonl", number_records(2))
    assert len(texts_of(tmp_path / "a[1].jsonl")) == 2


def test_loops_of_links_end_and_linked_files_are_read(tmp_path):
    write_records(tmp_path / "corpus" / "a.jsonl", number_records(1))
    write_records(tmp_path / "outside" / "b.jsonl", number_records(1))
    os.symlink(tmp_path / "corpus", tmp_path / "corpus" / "loop")
    os.symlink(tmp_path / "outside", tmp_path / "corpus" / "linked")
    names = [source.name for source in open_corpus([str(tmp_path / "corpus")]).sources]
    assert names == ["a.jsonl", "linked/b.jsonl"]


def test_a_folder_of_text_files_is_a_corpus_and_a_readme_beside_data_is_none(tmp_path):
    for name, text in {"README.md": "read me", "b.txt": "\ufeffbee", "c.text": "", "d.md": "Dee\r\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    (tmp_path / "e.txt").write_bytes(b"caf\xe9")
    corpus = open_corpus([str(tmp_path)])
    found = {file: value[:2] for (file, _), value in read(corpus).items()}
    assert found["README.md"] == ("ok", "read me") and found["b.txt"] == ("ok", "bee") and found["d.md"][1] == "Dee\r\n"
    assert found["c.text"] == ("empty", "") and found["e.txt"] == ("unreadable", None)
    assert corpus.text_field == "text" and corpus.passed_over == ()
    write_records(tmp_path / "data.jsonl", number_records(1))
    corpus = open_corpus([str(tmp_path)])
    assert corpus.passed_over == ("README.md",) and len(corpus.sources) == 5


def test_text_files_join_a_corpus_whose_text_has_another_name(tmp_path):
    write_records(tmp_path / "a.jsonl", [{"content": "in a", "n": 1}])
    (tmp_path / "b.txt").write_text("in b")
    for field in (None, "content"):
        corpus = open_corpus([str(tmp_path)], text_field=field)
        assert corpus.text_field == "content" and corpus.columns == ("content", "n")
        tables = [documents.table for documents in corpus.slices(columns="all")]
        assert pa.concat_tables(tables).to_pylist() == [{"content": "in a", "n": 1}, {"content": "in b", "n": None}]


def test_a_file_name_that_is_no_utf8_has_a_name_that_is(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"text": "a"}')
    ((file, _),) = read(open_corpus([str(tmp_path)]))
    assert file == "caf\\xe9.jsonl"


def test_an_unknown_suffix_is_sniffed_when_named_and_refused_when_it_says_nothing(tmp_path):
    records = number_records(3)
    for suffix in ("jsonl", "json", "parquet", "jsonl.gz", "jsonl.zst"):
        write_records(tmp_path / f"x.{suffix}", records).rename(tmp_path / "data.bin")
        assert texts_of(tmp_path / "data.bin") == [record["text"] for record in records]
    (tmp_path / "data.bin").write_text("just words")
    with pytest.raises(CorpusError, match="suffix") as caught:
        open_corpus([str(tmp_path / "data.bin")])
    assert ".jsonl" in caught.value.hint and ".parquet" in caught.value.hint


def test_a_saved_dataset_is_read_by_its_state_and_its_caches_are_not(tmp_path):
    records = number_records(20)
    dataset = datasets.Dataset.from_list(records)
    dataset.save_to_disk(tmp_path / "saved", num_shards=2)
    shutil.copy(next((tmp_path / "saved").glob("data-*.arrow")), tmp_path / "saved" / "cache-1234.arrow")
    assert texts_of(tmp_path / "saved") == [record["text"] for record in records]
    both = datasets.DatasetDict({"train": dataset, "test": dataset.select(range(2))})
    both.save_to_disk(tmp_path / "both")
    corpus = open_corpus([str(tmp_path / "both")])
    assert len(read(corpus)) == 22 and corpus.passed_over == ("dataset_dict.json",)
    assert {source.name.split("/")[0] for source in corpus.sources} == {"train", "test"}


def test_a_run_directory_below_the_corpus_is_no_corpus(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(2))
    write_records(tmp_path / "curated" / "scores" / "part.parquet", number_records(2))
    (tmp_path / "curated" / "run.json").write_text("{}")
    assert [source.name for source in open_corpus([str(tmp_path)]).sources] == ["a.jsonl"]


# ------------------------------------------------------------------------------------------------ errors of the user


def test_a_missing_path_is_told_with_the_nearest_names(tmp_path):
    write_records(tmp_path / "corpus.jsonl", number_records(1))
    with pytest.raises(CorpusError, match="does not exist") as caught:
        open_corpus([str(tmp_path / "corpse.jsonl")])
    assert "corpus.jsonl?" in caught.value.hint
    with pytest.raises(CorpusError) as caught:
        open_corpus(["HuggingFaceFW/fineweb"])
    assert "HuggingFaceFW/fineweb:train" in caught.value.hint
    with pytest.raises(CorpusError, match="no corpus"):
        open_corpus([])


def test_a_folder_without_data_says_what_it_holds(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"picture\.png") as caught:
        open_corpus([str(tmp_path)])
    assert ".jsonl" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="empty"):
        open_corpus([str(tmp_path / "empty")])


def refuse_to_open(monkeypatch, path, error):
    """Opening that path fails, as it would for a user who is not root."""
    opened = open

    def refuse(file, *rest, **options):
        if str(file) == str(path):
            raise error
        return opened(file, *rest, **options)

    monkeypatch.setattr(streams, "open", refuse, raising=False)


@pytest.mark.parametrize("name", ["b.jsonl", "b.parquet", "b.json", "b.csv", "b.txt", "b.jsonl.gz", "file.arrow"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE, errno.EPERM])
def test_a_file_that_the_system_refuses_to_open_is_an_error_and_no_row(tmp_path, monkeypatch, name, number):
    write_records(tmp_path / "a.jsonl", number_records(1))
    write_records(tmp_path / name, number_records(1))
    refuse_to_open(monkeypatch, tmp_path / name, OSError(number, os.strerror(number)))
    for paths in ([tmp_path], [tmp_path / name]):
        with pytest.raises(StorageError, match=rf"{name} .*{os.strerror(number)}"):
            read(open_corpus([str(path) for path in paths]))


class FailingFile(io.FileIO):
    """A file of which every read fails, as on a disk with a bad sector."""

    def readinto(self, buffer):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, size=-1):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ["b.jsonl", "b.parquet", "b.json", "b.csv", "b.txt", "b.jsonl.gz", "file.arrow"])
def test_a_disk_that_fails_while_a_file_is_read_is_an_error_and_no_row(tmp_path, monkeypatch, name):
    write_records(tmp_path / name, number_records(3))
    corpus, sound = open_corpus([str(tmp_path)]), read(open_corpus([str(tmp_path)]))
    with monkeypatch.context() as patched:
        patched.setattr(streams, "open", lambda path, _: FailingFile(path), raising=False)
        with pytest.raises(StorageError, match=f"{name} cannot be read: {os.strerror(errno.EIO)}"):
            read(corpus)
    assert read(corpus) == sound and all(row[0] == "ok" for row in sound.values())


@each_format
def test_a_file_that_vanishes_after_opening_the_corpus_is_a_row(tmp_path, format):
    write_records(tmp_path / "a.jsonl", number_records(1))
    path = write_records(tmp_path / file_name(format), number_records(1))
    corpus = open_corpus([str(tmp_path)])
    path.unlink()
    assert read(corpus)[path.name, 0][0] == "unreadable"
    assert "the file is gone" in read(corpus)[path.name, 0][2]


def test_pipes_sockets_and_devices_in_a_folder_are_listed_and_not_read(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(2))
    os.mkfifo(tmp_path / "p.jsonl")
    os.symlink("/dev/zero", tmp_path / "z.jsonl")
    with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.jsonl")
        for paths in (["."], ["*.jsonl"]):
            corpus = open_corpus(paths)
            assert [source.name for source in corpus.sources] == ["a.jsonl"]
            assert sorted(corpus.passed_over) == ["p.jsonl", "s.jsonl", "z.jsonl"]
        with pytest.raises(CorpusError, match="a socket"):
            open_corpus("s.jsonl")


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_named(path):
    with pytest.raises(CorpusError, match="path of the corpus is empty"):
        open_corpus(path)


def test_a_sentence_in_place_of_a_path_is_told_how_it_is_scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError) as caught:
        open_corpus(["It's a cat."])
    assert caught.value.hint == """to score the text itself: curate score --text 'It'"'"'s a cat.'"""
