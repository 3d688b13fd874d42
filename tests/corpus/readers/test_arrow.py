"""Parquet and Arrow: damage costs the rows and columns that it touches, and no more."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.corpora import as_value, number_records, read, write_columns, write_records

from curate.corpus import open_corpus


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
    assert status == "unreadable" and "a column is inconsistent" in reason
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


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_what_is_no_table_at_all_is_named(tmp_path, name):
    for body, what in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n", "git lfs pull"),
        (b'{"text": "a"}\n', "rename it to .jsonl"),
        (b"PK\x03\x04" + b"x" * 99, "a ZIP archive"),
    ):
        (tmp_path / name).write_bytes(body)
        ((status, _, reason, _),) = read(open_corpus(tmp_path / name)).values()
        assert status == "unreadable" and what in reason
