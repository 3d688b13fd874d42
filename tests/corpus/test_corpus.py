"""Laws of reading a corpus: formats agree, bad rows are told, nothing is dropped unseen, options make its identity."""

import json
import os
import pickle
import shutil
import tempfile
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.corpora import (
    ODD_LINES,
    as_value,
    build_toy,
    each_format,
    file_name,
    nasty,
    number_records,
    read,
    write_records,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import Corpus, SliceMark, open_corpus
from curate.errors import CorpusError, RowError, UsageError

# ------------------------------------------------------------------------------------------------------------- laws


@each_format
@settings(max_examples=8, deadline=None)
@given(texts=st.lists(nasty, min_size=1, max_size=14), slice_bytes=st.integers(1, 600))
def test_every_format_gives_back_what_was_written(format, texts, slice_bytes):
    texts = [text.replace("\r", "") for text in texts]  # Nothing says that a CSV reader keeps a lone CR.
    records = [{"id": f"d{row}", "text": text} for row, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_records(Path(folder, file_name(format)), records)
        found = read(open_corpus([str(path)], text_field="text", slice_bytes=slice_bytes))
    assert [text for _, text, _, _ in found.values()] == texts
    assert [row for _, row in found] == list(range(len(texts)))
    assert [identifier for *_, identifier in found.values()] == [record["id"] for record in records]
    assert {status for status, *_ in found.values()} <= {"ok", "empty"}


def test_marks_and_corpora_travel_as_json_and_pickle(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(30))
    corpus = open_corpus([str(tmp_path)], slice_bytes=300, limit=20, sample=0.9, seed=3)
    marks = [documents.mark for documents in corpus.slices()]
    assert [SliceMark(**json.loads(json.dumps(asdict(mark)))) for mark in marks] == marks
    again = Corpus.from_spec(json.loads(json.dumps(corpus.spec())))
    assert again.fingerprint() == corpus.fingerprint()
    assert read(again) == read(pickle.loads(pickle.dumps(corpus))) == read(corpus)


def test_a_spec_opens_the_corpus_from_another_folder(tmp_path, monkeypatch):
    write_records(tmp_path / "corpus" / "a.jsonl", number_records(3))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    spec = open_corpus(["corpus/"]).spec()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(read(Corpus.from_spec(spec))) == 3


# ---------------------------------------------------------------------------------------------------- the toy corpus


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return build_toy(tmp_path_factory.mktemp("toy"))


def test_the_toy_corpus_plants_every_rare_case(toy):
    lines = [line for line, _, _ in ODD_LINES]
    assert lines[0].startswith(b"\xef\xbb\xbf") and b"" in lines and any(line.endswith(b"\r") for line in lines)
    texts = set(toy.texts.values())
    assert {"", " \n\t ", "a", "a\0b", "<|endoftext|><s></s>[CLS]"} <= texts
    assert any("🙂" in text for text in texts) and any(len(text) >= 1_000_000 for text in texts)
    assert {"a/same.jsonl", "b/same.jsonl", "whole.jsonl.gz", "whole.jsonl.zst"} <= {file for file, _ in toy.texts}
    assert sum(b'"twice"' in line for line in lines) == 2 and any(b"NaN" in line for line in lines)
    reasons = " ".join(toy.unreadable.values())
    for word in ("not valid JSON", "UTF-8", "surrogate", "no field", "null", "a number", "breaks off", "damaged"):
        assert word in reasons


def test_the_toy_corpus_is_read_whole_and_bad_rows_say_where_and_why(toy):
    found = read(open_corpus([str(toy.path)]))
    assert set(found) == set(toy.texts) | set(toy.unreadable)
    for key, text in toy.texts.items():
        assert found[key][:3] == ("ok" if text.strip() else "empty", text, None)
    for key, reason in toy.unreadable.items():
        status, text, told, _ = found[key]
        assert (status, text) == ("unreadable", None) and reason in told
    assert found["odd.jsonl", 15][2].startswith("line 16, byte 601: invalid UTF-8 (invalid continuation byte; it looks")
    raw = (toy.path / "odd.jsonl").read_bytes()
    assert raw[601:602] == b"\xe9"


def test_bad_rows_do_not_disturb_resuming(toy, tmp_path):
    shutil.copytree(toy.path, tmp_path / "toy")
    (tmp_path / "toy" / "rest.json").write_text('[{"text": "a"}, {"text": broken}, {"text": "b"}] {"text": "c"}')
    (tmp_path / "toy" / "open.json").write_text('[{"text": "a"}, {"text": "b"}, {"text": "c')
    (tmp_path / "toy" / "odd.csv").write_bytes(b'text,n\n1\na,1\n\ncaf\xe9,3\nb,"open\n')
    corpus = open_corpus([str(tmp_path / "toy")], slice_bytes=300)
    marks = {}
    whole = {}
    for value in map(as_value, corpus.slices(columns="all")):
        marks.setdefault(value[0].file, []).append(value[0])
        whole.setdefault(value[0].file, []).append(value)
    for cut in range(12):
        done = {file: own[: cut % (len(own) + 1)] for file, own in marks.items()}
        rest = list(map(as_value, corpus.slices(done, columns="all")))
        assert rest == [value for file, own in whole.items() for value in own[len(done[file]) :]]


@each_format
@settings(max_examples=5, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_damage_anywhere_costs_rows_and_never_the_run(format, random):
    with tempfile.TemporaryDirectory() as folder:
        path = write_records(Path(folder, file_name(format)), number_records(30))
        data = bytearray(path.read_bytes())
        for _ in range(random.choice([1, 5, 20])):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data[: random.choice([len(data), random.randrange(len(data))])])
        try:
            corpus = open_corpus([folder], text_field="text", slice_bytes=700)
        except CorpusError:
            return  # The damage hit the names of the columns.
        whole = [as_value(documents)[:-1] for documents in corpus.slices()]
        assert [as_value(documents)[:-1] for documents in corpus.slices(columns="all")] == whole
        marks = [value[0] for value in whole]
        cut = random.randrange(len(marks))
        assert [as_value(documents)[:-1] for documents in corpus.slices({path.name: marks[:cut]})] == whole[cut:]


def test_ids_are_strings_and_may_be_absent_or_double(toy):
    ids = {row: found[3] for (file, row), found in read(open_corpus([str(toy.path)])).items() if file == "odd.jsonl"}
    assert ids[10] == ids[11] == "twice" and ids[12] == "7" and ids[13] is None and ids[17] == "missing"


def test_what_is_no_data_is_passed_over_and_named(toy):
    corpus = open_corpus([str(toy.path)])
    assert sorted(corpus.passed_over) == ["README.md", "picture.png"]
    assert "ignored: 2 other files (" in corpus.describe()


def test_on_error_stop_raises_at_the_first_bad_row(toy):
    corpus = open_corpus([str(toy.path / "odd.jsonl")], on_error="stop")
    with pytest.raises(RowError, match=r"odd.jsonl, row 14: line 15, byte 562: not valid JSON") as caught:
        list(corpus.slices())
    assert caught.value.hint
    assert not isinstance(caught.value, OSError)


def test_all_columns_travel_and_are_null_where_a_row_is_unreadable(toy):
    for documents in open_corpus([str(toy.path)]).slices(columns="all"):
        assert len(documents.table) == len(documents)
        assert "text" in documents.table.column_names
        for status, text, row in zip(documents.statuses, documents.texts, documents.table.to_pylist(), strict=True):
            assert row["text"] == text
            assert status != "unreadable" or not any(row.values())


# -------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.zst", "a.parquet", "file.arrow", "a.csv"])
def test_memory_goes_with_the_slice_and_not_with_the_file(tmp_path, name):
    peaks = []
    for count in (2500, 7500):
        rows = 300 if name.endswith("arrow") else count  # A record batch of Arrow is read as one.
        path = write_records(tmp_path / str(count) / name, [{"text": "x" * 1000}] * count, rows)
        corpus = open_corpus([str(path)], slice_bytes=50_000)
        next(corpus.slices())
        tracemalloc.start()
        arrow = max(pa.total_allocated_bytes() for _ in corpus.slices())
        peaks.append(tracemalloc.get_traced_memory()[1] + arrow)
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


# ------------------------------------------------------------------------------------------------ errors of the user


def test_a_dangling_link_is_a_row(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(1))
    os.symlink(tmp_path / "nowhere", tmp_path / "b.jsonl")
    assert read(open_corpus([str(tmp_path)]))["b.jsonl", 0][2] == "the file is gone"


@pytest.mark.parametrize(
    ("options", "word"),
    [({"limit": 0}, "limit"), ({"sample": 0.0}, "sample"), ({"sample": 1.5}, "sample"), ({"on_error": "x"}, "on-error"),
     ({"slice_bytes": 0}, "slices")],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(tmp_path, options, word):
    write_records(tmp_path / "a.jsonl", number_records(1))
    with pytest.raises(UsageError, match=word):
        open_corpus([str(tmp_path)], **options)


# ------------------------------------------------------------------------------------------------------- fingerprint


def test_the_fingerprint_follows_content_fields_and_cuts_and_nothing_else(tmp_path):
    path = write_records(tmp_path / "one" / "a.jsonl", number_records(2000))
    first = fingerprint(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    os.utime(tmp_path / "two" / "a.jsonl", (1, 1))
    assert fingerprint(tmp_path / "two") == first
    others = [fingerprint(tmp_path / "one", **options) for options in (
        {"limit": 5}, {"sample": 0.5}, {"sample": 0.5, "seed": 1}, {"slice_bytes": 5}, {"text_field": "tag"},
        {"id_field": "tag"},
    )]  # fmt: skip
    data = path.read_bytes()
    for changed in (b" " + data[1:], data[:-2] + b" \n", data + b"\n", data[:-1]):
        path.write_bytes(changed)
        others.append(fingerprint(tmp_path / "one"))
    (tmp_path / "two" / "a.jsonl").rename(tmp_path / "two" / "b.jsonl")
    others.append(fingerprint(tmp_path / "two"))
    assert len({first, *others}) == len(others) + 1
    assert fingerprint(tmp_path / "two", seed=5) == fingerprint(tmp_path / "two")


def fingerprint(path, **options):
    return open_corpus([str(path)], **options).fingerprint()


def test_describe_says_what_is_read(tmp_path, monkeypatch):
    write_records(tmp_path / "corpus" / "a.jsonl.gz", number_records(2))
    write_records(tmp_path / "corpus" / "b.jsonl.gz", number_records(2))
    monkeypatch.chdir(tmp_path)
    corpus = open_corpus(["corpus/"])
    said = corpus.describe()
    assert said == f'corpus/   2 files, {corpus.size} bytes jsonl.gz; text in column "text" (also: id, n, tag)'


def test_one_path_is_a_list_of_one(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    for paths in (tmp_path / "a.jsonl", str(tmp_path / "a.jsonl"), [tmp_path / "a.jsonl"]):
        assert next(open_corpus(paths).slices()).texts == ["one"]
