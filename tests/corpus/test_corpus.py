"""Laws of reading a corpus: slices union to the whole, resuming is invisible, nothing is dropped unseen."""

import io
import json
import os
import pickle
import random
import shutil
import tempfile
import tracemalloc
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.corpora import (
    COMPRESS,
    FORMATS,
    ODD_LINES,
    build_toy,
    number_records,
    write_columns,
    write_lines,
    write_records,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import Corpus, SliceMark, columntypes, open_corpus, streams, values
from curate.corpus.elements import split_elements
from curate.corpus.formats import read_blocks
from curate.corpus.lines import split_lines
from curate.corpus.sources import natural_key
from curate.corpus.values import Reading, Source, Start
from curate.errors import CorpusError, CurateError, RowError, StorageError, UsageError


def read(corpus, **options):
    """Everything in a corpus by (file, row): status, text, reason, id."""
    found = {}
    for slice in corpus.slices(**options):
        rows = zip(slice.rows.tolist(), slice.statuses, slice.texts, slice.reasons, slice.ids, strict=True)
        for row, status, text, reason, identifier in rows:
            assert (slice.mark.file, row) not in found
            found[slice.mark.file, row] = (status, text, reason, identifier)
    return found


def texts_of(path, **options):
    return [text for _, text, _, _ in read(open_corpus([str(path)], **options)).values()]


def as_value(documents):
    """A slice as plain values, to compare."""
    table = None if documents.table is None else (documents.table.schema, repr(documents.table.to_pylist()))
    plain = (documents.ids, documents.texts, documents.statuses, documents.reasons, documents.read_bytes, table)
    return documents.mark, documents.rows.tolist(), *plain


def file_name(format):
    return format if format.partition(".")[2] in ("json", "arrow") else f"part.{format}"


# ------------------------------------------------------------------------------------------------------------- laws


each_format = pytest.mark.parametrize("format", FORMATS)
nasty = st.text(st.sampled_from("ab\\\"{}[],\n\r\t é🙂:'\u2028\x85"), max_size=30) | st.text(max_size=8)


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


@each_format
@settings(max_examples=6, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    slice_bytes=st.integers(1, 900),
    limit=st.none() | st.integers(1, 25),
    sample=st.none() | st.floats(0.05, 1),
)
def test_a_run_cut_anywhere_goes_on_with_the_same_slices(format, lengths, slice_bytes, limit, sample):
    records = [{"id": f"d{row}", "text": "x" * length, "n": row} for row, length in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder, file_name(format)), records)
        write_records(Path(folder, "z", file_name(format)), records[::-1])
        corpus = open_corpus([folder], slice_bytes=slice_bytes, limit=limit, sample=sample, text_field="text")
        whole = [as_value(documents) for documents in corpus.slices(columns="all")]
        assert [asdict(value[0]) for value in whole] == [asdict(d.mark) for d in corpus.slices()]
        for cut in range(len(whole) + 1):
            done = {}
            for value in whole[:cut]:
                done.setdefault(value[0].file, []).append(value[0])
            rest = [as_value(documents) for documents in corpus.slices(done, columns="all")]
            assert rest == whole[cut:]
    assert_tiled([value[0] for value in whole], [value[1] for value in whole], limit)


def assert_tiled(marks, rows, limit):
    """The slices of a file follow each other without a gap, and one of them, the last, says so."""
    for file in {mark.file for mark in marks}:
        own = [mark for mark in marks if mark.file == file]
        assert [mark.number for mark in own] == list(range(len(own)))
        assert [mark.last for mark in own] == [False] * (len(own) - 1) + [True]
        assert own[0].first_row == 0
        assert all(one.next_row == two.first_row for one, two in pairwise(own))
    for mark, held in zip(marks, rows, strict=True):
        assert mark.documents == len(held)
        assert all(mark.first_row <= row < mark.next_row for row in held)
    assert limit is None or sum(mark.documents for mark in marks) <= limit


@each_format
def test_a_slice_holds_no_more_than_its_bytes_unless_one_document_does(tmp_path, format):
    path = write_records(tmp_path / file_name(format), number_records(60, words=50))
    for documents in open_corpus([str(path)], slice_bytes=700).slices():
        size = sum(len(text.encode()) for text in documents.texts)
        assert size <= 700 or len(documents) == 1
    assert documents.mark.number > 5


@each_format
def test_the_bytes_read_add_up_to_the_file(tmp_path, format):
    path = write_records(tmp_path / file_name(format), number_records(40))
    corpus = open_corpus([str(path)], slice_bytes=500)
    assert sum(documents.read_bytes for documents in corpus.slices()) == corpus.size == path.stat().st_size


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(nasty, min_size=1, max_size=6), chunk=st.integers(1, 40), indent=st.none() | st.integers(0, 3))
def test_the_size_of_the_chunks_is_invisible(texts, chunk, indent):
    records = [{"text": text, "more": {"a": [text, 1, [2]]}} for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        for name, body in {
            "a.json": json.dumps(records, indent=indent),
            "b.json": "\n".join(json.dumps(record, indent=indent, ensure_ascii=False) for record in records),
            "c.jsonl": "\n\n".join(json.dumps(record) for record in records),
        }.items():
            path = Path(folder, name)
            path.write_text(body, encoding="utf-8")
            source = Source(str(path), name, "jsonl" if name == "c.jsonl" else "json", None, path.stat().st_size)
            blocks = read_blocks(source, Start(), Reading("text", None, chunk_bytes=chunk))
            assert [text for block in blocks for text in block.texts] == texts


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


def test_marks_behind_a_gap_are_read_again(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(30))
    corpus = open_corpus([str(tmp_path)], slice_bytes=300)
    marks = [documents.mark for documents in corpus.slices()]
    assert [d.mark for d in corpus.slices({"a.jsonl": [marks[3], marks[0]]})] == marks[1:]


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
    assert found["odd.jsonl", 15][2] == "line 16, byte 601: invalid UTF-8 (invalid continuation byte)"
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


def test_text_behind_the_end_of_an_array_is_a_row(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"}, {"text": broken}, {"text": "b"},] {"text": "c"}')
    found = list(read(open_corpus([str(path)])).values())
    assert [text for _, text, _, _ in found] == ["a", None, "b", None]
    assert "element 2, byte 25: not valid JSON" in found[1][2] and "ends after element 3" in found[3][2]


def test_a_json_file_is_taken_for_what_it_holds(tmp_path):
    for body, texts in {
        b"": [],
        b" \n": [],
        b"[]\n": [],
        b'\xef\xbb\xbf\n [{"text": "]"}]\n': ["]"],
        b'{\n"text": "a"}\n\n{\n"text": "b"}\n': ["a", "b"],
        b'{"text": "broken\n{"text": "a"}\n\n{"text": "b"}\n': [None, "a", "b"],
        b'{"text": "one object"}': ["one object"],
        b'[{"text": "a"}': ["a", None],
        b'[{"text": "a"}, {"text"': ["a", None],
    }.items():
        (tmp_path / "a.json").write_bytes(body)
        write_records(tmp_path / "a.json.gz", []).write_bytes(COMPRESS[".gz"](body))
        assert texts_of(tmp_path / "a.json") == texts_of(tmp_path / "a.json.gz") == texts


def test_a_corrupt_row_group_costs_its_own_rows(tmp_path):
    path = tmp_path / "a.parquet"
    write_records(path, number_records(30), rows_per_group=10)
    group = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    middle = group.data_page_offset + group.total_compressed_size // 2
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)
    for slice_bytes in (200, 10_000):
        found = read(open_corpus([str(path)], slice_bytes=slice_bytes))
        bad = [row for (_, row), (status, *_) in found.items() if status == "unreadable"]
        assert bad == list(range(10, 20)) and len(found) == 30
        assert "row group 1 cannot be decoded" in found["a.parquet", 10][2]


def test_a_flipped_byte_of_a_text_is_noticed_where_the_pages_have_checksums(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist(number_records(20))
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    path.write_bytes(path.read_bytes().replace(b"Document 7", b"Dokument 7"))
    assert {status for status, *_ in read(open_corpus([str(path)])).values()} == {"unreadable"}


def test_a_damaged_column_beside_the_text_costs_that_column_alone(tmp_path, capsys):
    path = tmp_path / "a.parquet"
    write_records(path, number_records(30), rows_per_group=10)
    group = pq.ParquetFile(path).metadata.row_group(1).column(3)
    data = bytearray(path.read_bytes())
    first, length = group.dictionary_page_offset, group.total_compressed_size
    data[first : first + length] = bytes(length)
    path.write_bytes(data)
    corpus = open_corpus([str(path)])
    (text,), (whole,) = list(corpus.slices()), list(corpus.slices(columns="all"))
    assert as_value(text)[:-1] == as_value(whole)[:-1] and set(whole.statuses) == {"ok"}
    tags = whole.table.column("tag").to_pylist()
    assert tags[:10] == ["a", "b"] * 5 == tags[20:] and tags[10:20] == [None] * 10
    assert whole.table.column("text").to_pylist() == whole.texts


def test_a_damaged_arrow_file_gives_its_rows_and_one_that_says_so(tmp_path):
    path = tmp_path / "stream.arrow"
    write_records(path, number_records(30))
    path.write_bytes(path.read_bytes()[:-700])
    found = list(read(open_corpus([str(path)])).values())
    assert len(found) > 10 and found[-1][0] == "unreadable" and "damaged" in found[-1][2]
    assert f"after row {len(found) - 2}" in found[-1][2]
    other = tmp_path / "file.arrow"
    other.write_bytes(b"ARROW1" + b"?" * 100)
    ((status, _, reason, _),) = read(open_corpus([str(other)])).values()
    assert status == "unreadable" and "damaged" in reason


@pytest.mark.parametrize("name", ["stream.arrow", "file.arrow", "a.parquet"])
@pytest.mark.parametrize("record", [{"text": "a", "column": 1}, {"text": "a", "outer": {"column": 1}}])
def test_a_column_name_that_is_no_utf8_is_damage(tmp_path, name, record):
    path = write_records(tmp_path / name, [record])
    path.write_bytes(path.read_bytes().replace(b"column", b"colum\xff"))
    found = list(read(open_corpus([str(path)], text_field="text")).values())
    assert found[-1][0] == "unreadable" and "damaged" in found[-1][2]


@pytest.mark.parametrize("name", ["stream.arrow", "file.arrow"])
def test_offsets_that_point_nowhere_do_not_end_the_process(tmp_path, name):
    offsets = pa.array([0, 4, 2_000_000_000, 12], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"good" * 3)])
    good = pa.array(["one", "two", "three"])
    write_columns(tmp_path / "text" / name, pa.table({"text": bad, "id": good}), 100)
    ((status, _, reason, _),) = read(open_corpus([str(tmp_path / "text")])).values()
    assert status == "unreadable" and "does not hold together" in reason
    write_columns(tmp_path / "other" / name, pa.table({"text": good, "other": bad}), 100)
    corpus = open_corpus([str(tmp_path / "other")], text_field="text")
    (text,), (whole,) = list(corpus.slices()), list(corpus.slices(columns="all"))
    assert as_value(text)[:-1] == as_value(whole)[:-1]
    assert whole.table.to_pydict() == {"text": ["one", "two", "three"], "other": [None] * 3}


def test_strings_that_are_no_utf8_and_nulls_are_unreadable_in_columns_too(tmp_path):
    raw = pa.array([b"fine", b"caf\xe9", None, b""], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 4, raw.buffers(), null_count=1)
    for name in ("a.parquet", "stream.arrow", "file.arrow"):
        write_columns(tmp_path / name, pa.table({"text": text, "id": ["a", "b", "c", "d"]}), 100)
        found = read(open_corpus([str(tmp_path / name)]))
        assert [status for status, *_ in found.values()] == ["ok", "unreadable", "unreadable", "empty"]
        assert found[name, 1][2] == "row 1: invalid UTF-8 at byte 3 of the text (unexpected end of data)"
        assert found[name, 2][2] == 'row 2: "text" is null'


def test_csv_rows_that_are_none_are_counted_and_the_others_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,text,text\r\n1,one,x\r\n2\r\n\r\n3,"three\nlines, and a ""quote""",x\r\n'
        b'4,"bad"quote,x\r\n5,caf\xe9,x\r\n6,six,x\r\n7,"never closed,x\r\n'
    )
    found = read(open_corpus([str(path)]))
    assert [(row, status) for (_, row), (status, *_) in found.items()] == [
        (0, "ok"), (1, "unreadable"), (3, "ok"), (4, "unreadable"), (5, "unreadable"), (6, "ok"), (7, "unreadable"),
    ]  # fmt: skip
    assert found["a.csv", 3][1] == 'three\nlines, and a "quote"'
    assert "1 fields, but the header names 3" in found["a.csv", 1][2] and "record 2, byte 26" in found["a.csv", 1][2]
    (documents,) = open_corpus([str(path)]).slices(columns="all")
    assert documents.table.column_names == ["id", "text", "text_2"]
    assert documents.table.column("id").to_pylist()[0] == "1"


def test_a_line_longer_than_a_document_may_be_is_a_row_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "MAX_DOCUMENT_BYTES", 1000)
    long = b'{"text": "' + b"x" * 5000 + b'"}'
    path = write_lines(tmp_path / "a.jsonl", [b'{"text": "a"}', long, b'{"text": "b"}', long])
    array = tmp_path / "a.json"
    array.write_bytes(b'[{"text": "a"},' + long + b',{"text": "b"},' + long + b"]")
    for name in (path, array):
        kind = name.suffix[1:]
        source = Source(str(name), "a", kind, None, name.stat().st_size)
        for chunk in (64, 1 << 20):
            blocks = list(read_blocks(source, Start(), Reading("text", None, chunk_bytes=chunk)))
            assert [text for block in blocks for text in block.texts] == ["a", None, "b", None]
            assert all("more than a document may have" in r for block in blocks for r in block.reasons if r)


def test_a_document_of_fifty_megabytes_on_one_line_is_read_in_linear_time(tmp_path):
    text = "word " * 10_000_000
    path = write_lines(tmp_path / "a.jsonl", [json.dumps({"text": text}).encode(), b'{"text": "next"}'])
    array = tmp_path / "b.json"
    array.write_text(json.dumps([{"text": text}, {"text": "next"}]))
    for name in (path, array):
        slices = list(open_corpus([str(name)]).slices())
        assert [documents.texts for documents in slices] == [[text], ["next"]]


def test_a_line_is_not_copied_for_each_of_its_chunks(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [b"x" * 400_000])
    source = Source(str(path), "a", "jsonl", None, None)
    items, _ = split_lines(source, 0, 16)
    assert items.items[0][2] == 400_001
    array = tmp_path / "a.json"
    array.write_bytes(b'["' + b'\\"' * 200_000 + b'"]')
    (items,) = [items for items in split_elements(replace(source, path=str(array)), 1, 0, 16) if items.items]
    assert len(items.items[0][0]) == 400_002


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
def test_a_file_that_may_not_be_read_is_a_row_in_a_folder_and_an_error_when_named(tmp_path, monkeypatch, name):
    write_records(tmp_path / "a.jsonl", number_records(1))
    write_records(tmp_path / name, number_records(1))
    refuse_to_open(monkeypatch, tmp_path / name, PermissionError(13, "Permission denied"))
    corpus = open_corpus([str(tmp_path)])
    assert read(corpus)[name, 0][::2] == ("unreadable", "permission denied")
    assert corpus.fingerprint()
    with pytest.raises(CorpusError, match="permission denied"):
        open_corpus([str(tmp_path / name)])


@each_format
def test_a_file_that_vanishes_after_opening_the_corpus_is_a_row(tmp_path, format):
    write_records(tmp_path / "a.jsonl", number_records(1))
    path = write_records(tmp_path / file_name(format), number_records(1))
    corpus = open_corpus([str(tmp_path)])
    path.unlink()
    assert read(corpus)[path.name, 0][0] == "unreadable"
    assert "the file is gone" in read(corpus)[path.name, 0][2]


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


# ----------------------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"title": "t", "text": "x", "content": "y"}, "text"),
        ({"title": "t", "content": "y", "raw_content": "z"}, "content"),
        ({"url": "u", "body": "y", "n": 1}, "body"),
        ({"n": 1, "story": "only strings here", "ok": True}, "story"),
        ({"id": "a", "story": "an id beside it", "n": 1}, "story"),
        ({"text": 5, "story": "text is a number here"}, "story"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.json.zst"])
def test_the_text_column_is_found_where_it_is_obvious(tmp_path, record, field, name):
    write_records(tmp_path / name, [record] * 3)
    assert open_corpus([str(tmp_path)]).text_field == field


def test_where_it_is_not_obvious_the_columns_are_listed_and_one_is_proposed(tmp_path):
    write_records(tmp_path / "a.jsonl", [{"title": "short", "prose": "a much longer text", "lang": "en"}])
    with pytest.raises(CorpusError, match="it has: title, prose, lang") as caught:
        open_corpus([str(tmp_path)])
    assert caught.value.hint == "curate score … --text-field prose"
    assert texts_of(tmp_path, text_field="prose") == ["a much longer text"]


@pytest.mark.parametrize("name", ["b.jsonl", "b.json", "b.csv", "b.parquet", "file.arrow", "b.jsonl.gz"])
def test_a_field_that_no_row_has_stops_at_once_and_lists_the_columns(tmp_path, name):
    write_records(tmp_path / "a.jsonl", [{"text": "a"}])
    write_records(tmp_path / name, [{"body": "b", "lang": "en"}] * 3)
    with pytest.raises(CorpusError, match=r'no column "text"; it has: body, lang') as caught:
        open_corpus([str(tmp_path)], text_field="text")
    assert name in caught.value.message and "--text-field" in caught.value.hint


def test_files_not_looked_at_ahead_are_checked_when_their_turn_comes(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.corpus.corpus.FILES_AHEAD", 1)
    write_records(tmp_path / "a.jsonl", [{"text": "a"}])
    write_records(tmp_path / "b.jsonl", [{"body": "b"}])
    slices = open_corpus([str(tmp_path)]).slices()
    assert next(slices).texts == ["a"]
    with pytest.raises(CorpusError, match=r"b\.jsonl has no column"):
        next(slices)


def test_a_column_that_is_no_text_is_refused(tmp_path):
    write_records(tmp_path / "a.parquet", [{"text": 5, "body": "b"}])
    with pytest.raises(CorpusError, match='"text" holds int64, not text'):
        open_corpus([str(tmp_path)], text_field="text")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "stream.arrow"])
def test_a_field_within_a_field_is_named_by_dots(tmp_path, name):
    records = [{"data": {"text": "inner", "lang": "en"}, "meta": {"key": 5}}, {"data": None, "meta": {"key": 6}}]
    write_records(tmp_path / name, records)
    corpus = open_corpus([str(tmp_path)], text_field="data.text", id_field="meta.key")
    assert [(status, text, key) for status, text, _, key in read(corpus).values()] == [
        ("ok", "inner", "5"),
        ("unreadable", None, "6"),
    ]
    (documents,) = corpus.slices(columns="all")
    assert documents.table.to_pylist() == [records[0], {"data": None, "meta": None}]
    with pytest.raises(CorpusError, match=r'no column "data\.body"'):
        open_corpus([str(tmp_path)], text_field="data.body")


def test_the_id_column_is_found_or_named_or_refused(tmp_path):
    write_records(tmp_path / "a.jsonl", [{"uuid": "u", "doc_id": 3, "text": "x", "url": "w"}])
    assert [v[3] for v in read(open_corpus([str(tmp_path)])).values()] == ["3"]
    assert [v[3] for v in read(open_corpus([str(tmp_path)], id_field="url")).values()] == ["w"]
    with pytest.raises(CorpusError, match="there are: uuid, doc_id, text, url"):
        open_corpus([str(tmp_path)], id_field="key")


def test_columns_keep_their_types_and_values_without_a_common_type_become_json(tmp_path):
    records = [
        {
            "text": "a",
            "n": 1,
            "x": 1,
            "mixed": "s",
            "tags": ["a"],
            "meta": {"k": 1},
            "map": {},
            "big": 2**70,
            "y": 2**60,
        },
        {
            "text": "b",
            "n": 2,
            "x": 0.5,
            "mixed": 5,
            "tags": [],
            "meta": {"k": 2, "new": ["y"]},
            "map": {"z": 1},
            "big": 1,
            "y": 0.5,
        },
        {"text": "c", "n": None, "x": None, "mixed": {"k": "é"}, "tags": None, "meta": None, "late": True},
    ]
    write_records(tmp_path / "a.jsonl", records)
    for slice_bytes in (1, 10_000):
        tables = [d.table for d in open_corpus([str(tmp_path)], slice_bytes=slice_bytes).slices(columns="all")]
        assert len({str(table.schema) for table in tables}) == 1
        rows = pa.concat_tables(tables).to_pylist()
        kinds = {column.name: str(column.type) for column in tables[0].schema}
    assert kinds["n"] == "int64" and kinds["x"] == "double" and kinds["mixed"] == kinds["big"] == "large_string"
    assert kinds["tags"] == "large_list<item: large_string>" and kinds["late"] == "bool"
    assert [row["mixed"] for row in rows] == ["s", "5", '{"k": "é"}']
    assert [row["meta"] for row in rows] == [{"k": 1, "new": None}, {"k": 2, "new": ["y"]}, None]
    assert [row["x"] for row in rows] == [1.0, 0.5, None] and rows[1]["map"] == {"z": 1}
    assert [row["y"] for row in rows] == [str(2**60), "0.5", None] and rows[0]["big"] == str(2**70)
    assert [row["late"] for row in rows] == [None, None, True]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(first=st.lists(json_values, max_size=3), second=st.lists(json_values, max_size=4))
def test_any_values_make_a_column_and_none_is_lost(first, second):
    known = columntypes.tabulate([{"x": value} for value in first], None).schema
    table = columntypes.tabulate([{"x": value} for value in second], known)
    held = table.column("x").to_pylist() if second or first else []
    for value, kept in zip(second, held, strict=True):
        assert is_same(value, kept)


def is_same(value, kept):
    """Equal, or its JSON; fields that an object lacks are null."""
    if isinstance(kept, str) and not isinstance(value, str):
        return json.loads(kept) == value
    if isinstance(value, dict) and isinstance(kept, dict):
        return set(value) <= set(kept) and all(is_same(value.get(name), kept[name]) for name in kept)
    if isinstance(value, list) and isinstance(kept, list):
        return len(value) == len(kept) and all(map(is_same, value, kept))
    return value == kept


def test_lone_surrogates_beside_the_text_become_replacement_characters(tmp_path):
    write_lines(tmp_path / "a.jsonl", [b'{"text": "fine", "title": "a\\ud800b", "\\udc00": {"k": "\\udc01"}}'])
    (documents,) = open_corpus([str(tmp_path)]).slices(columns="all")
    assert documents.table.to_pylist() == [{"text": "fine", "title": "a\ufffdb", "\ufffd": {"k": "\ufffd"}}]


def test_columnar_types_travel_untouched(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", "b"]).dictionary_encode(),
            "when": pa.array([1, 2], pa.timestamp("us")),
            "vector": pa.array([[1.0], [2.0]], pa.list_(pa.float32())),
            "small": pa.array([1, None], pa.int8()),
        }
    )
    for name in ("a.parquet", "file.arrow"):
        write_columns(tmp_path / name, table, 100)
        (documents,) = open_corpus([str(tmp_path / name)]).slices(columns="all")
        assert documents.texts == ["a", "b"]
        assert documents.table.drop_columns("text").equals(table.drop_columns("text"))


# ------------------------------------------------------------------------------------------------- limit and sample


def test_a_limit_counts_documents_over_files_and_unreadable_ones_too(tmp_path):
    write_lines(tmp_path / "a.jsonl", [b'{"text": "1"}', b"bad", b"", b'{"text": "3"}'])
    write_records(tmp_path / "b.jsonl", [{"text": "4"}, {"text": "5"}])
    write_records(tmp_path / "c.jsonl", [{"text": "6"}])
    corpus = open_corpus([str(tmp_path)], limit=4)
    assert [text for _, text, _, _ in read(corpus).values()] == ["1", None, "3", "4"]
    assert {d.mark.file: d.mark.last for d in corpus.slices()} == {"a.jsonl": True, "b.jsonl": True, "c.jsonl": True}


def test_a_sample_is_a_share_chosen_by_place_and_seed(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(4000))
    write_records(tmp_path / "a.parquet", number_records(4000), rows_per_group=700)

    def sample(share, **options):
        return set(read(open_corpus([str(tmp_path)], sample=share, **options)))

    half = sample(0.5)
    assert abs(len(half) - 4000) < 4 * (8000 * 0.25) ** 0.5
    assert sample(0.5, slice_bytes=1000) == half and sample(0.5, seed=1) != half
    assert sample(0.2) < half and len(sample(1.0)) == 8000
    assert {row for file, row in half if file == "a.jsonl"} != {row for file, row in half if file == "a.parquet"}


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


# ----------------------------------------------------------------------------------------------------- far from here


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


@pytest.fixture
def hub(tmp_path):
    """A dataset repository on disk: what `datasets` streams is the same whether the Hub or a folder holds it."""
    write_records(tmp_path / "owner" / "set" / "data" / "train-0.parquet", number_records(40), rows_per_group=7)
    write_records(tmp_path / "owner" / "set" / "data" / "train-1.parquet", number_records(5))
    (tmp_path / "owner" / "set" / "README.md").write_text("# a card\n")
    return tmp_path


def test_a_dataset_of_the_hub_streams_and_resumes(hub, monkeypatch):
    monkeypatch.chdir(hub)
    corpus = open_corpus(["owner/set:train"], slice_bytes=500)
    assert corpus.describe() == 'owner/set:train   1 file hub; text in column "text" (also: id, n, tag)'
    whole = list(map(as_value, corpus.slices(columns="all")))
    assert [text for value in whole for text in value[3]] == [r["text"] for r in number_records(40) + number_records(5)]
    assert {value[0].file for value in whole} == {"set:train"} and whole[-1][0].last
    for cut in (1, 4, len(whole) - 1):
        done = {"set:train": [value[0] for value in whole[:cut]]}
        assert list(map(as_value, corpus.slices(done, columns="all"))) == whole[cut:]
    assert Corpus.from_spec(corpus.spec()).fingerprint() == corpus.fingerprint()


def test_a_configuration_is_named_with_an_at(hub, monkeypatch):
    asked = []

    def load(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        return datasets.Dataset.from_list(number_records(3)).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(read(open_corpus(["owner/name@sample-10BT:train"]))) == 3
    assert set(asked) == {("owner/name", "sample-10BT", "train", True)}


def test_a_stream_of_the_hub_that_breaks_off_is_an_error_and_no_bad_row(monkeypatch):
    def rows():
        yield from number_records(3)
        raise ConnectionError("gone")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.IterableDataset.from_generator(rows))
    with pytest.raises(StorageError, match=r"^owner/name:train: "):
        read(open_corpus(["owner/name:train"]))


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CurateError) as caught:
        open_corpus(["no-such/dataset:train"])
    assert "no-such/dataset:train" in caught.value.message and caught.value.hint
