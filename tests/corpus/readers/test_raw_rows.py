"""Rows as they are: every column of every format, bad rows with their place and reason, and no text asked for."""

import json

import datasets
import pytest
from helpers.corpora import FORMATS, write_lines, write_records

from curate.corpus import Corpus, RawRow, open_corpus, open_records
from curate.errors import CorpusError, RowError, UsageError

RECORDS = [{"id": f"r{n}", "instruction": f"add {n}", "output": "é" * n, "text": "beside"} for n in range(1, 8)]
NESTED = [{"messages": [{"role": "user", "content": f"why {n}?"}], "tools": ["a"] * n, "n": n} for n in range(5)]


def rows_of(path, **options):
    return list(open_records([str(path)], **options).records())


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_its_records_with_place_and_id(tmp_path, suffix):
    write_records(tmp_path / f"a.{suffix}", RECORDS)
    expected = [RawRow(f"a.{suffix}", n, f"r{n + 1}", record, None) for n, record in enumerate(RECORDS)]
    assert rows_of(tmp_path) == expected


@pytest.mark.parametrize("suffix", [one for one in FORMATS if "sv" not in one])
def test_nested_values_are_those_of_python(tmp_path, suffix):
    write_records(tmp_path / f"a.{suffix}", NESTED)
    assert [row.record for row in rows_of(tmp_path)] == NESTED


def test_datasets_saved_to_disk_and_of_the_hub_are_read(tmp_path, monkeypatch):
    datasets.Dataset.from_list(NESTED).save_to_disk(tmp_path / "saved")
    assert [row.record for row in rows_of(tmp_path / "saved")] == NESTED
    write_records(tmp_path / "owner" / "set" / "data" / "train-0.parquet", NESTED)
    monkeypatch.chdir(tmp_path)
    assert [row.record for row in rows_of("owner/set:train")] == NESTED


def test_files_of_different_columns_lie_side_by_side_and_none_need_be_text(tmp_path):
    write_records(tmp_path / "a.jsonl", RECORDS[:1])
    write_records(tmp_path / "b.parquet", [{"n": 1}])
    corpus = open_records([str(tmp_path)])
    assert [(row.file, row.record) for row in corpus.records()] == [("a.jsonl", RECORDS[0]), ("b.parquet", {"n": 1})]
    assert corpus.columns == ("id", "instruction", "output", "text", "n")
    assert "2 files" in corpus.describe() and "rows of any columns" in corpus.describe()


def test_bad_rows_keep_their_place_and_say_why(tmp_path):
    write_lines(tmp_path / "a.jsonl", [b'{"n": 1}', b"{", b"", b"[1]", b'{"n": 2}'])
    rows = rows_of(tmp_path)
    assert [row.row for row in rows] == [0, 1, 3, 4]
    assert [row.record for row in rows] == [{"n": 1}, None, None, {"n": 2}]
    assert rows[1].reason.startswith("line 2, byte 1") and "a list, not an object" in rows[2].reason
    with pytest.raises(RowError, match=r"a\.jsonl, row 1: line 2"):
        rows_of(tmp_path, on_error="stop")


def test_a_damaged_column_makes_unreadable_rows_and_not_rows_of_nulls(tmp_path):
    """Nothing but the rows is wanted, so there is no text to be read without what lies beside it."""
    path = write_records(tmp_path / "a.parquet", RECORDS, rows_per_group=3)
    data = bytearray(path.read_bytes())
    begin = data.index(b"add 4")
    data[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(data)
    rows = rows_of(tmp_path)
    assert [row.record is None for row in rows] == [False] * 3 + [True] * 3 + [False]
    assert all("row group 1 cannot be decoded" in row.reason for row in rows[3:6])
    for name in ("b.arrow", "b.parquet"):
        (tmp_path / name).write_bytes(b"ARROW1 no" if "arrow" in name else b"PAR1 no PAR1")
        ((_, _, _, record, reason),) = rows_of(tmp_path / name)
        assert record is None and "damaged" in reason


def test_the_limit_counts_rows_over_all_files_bad_ones_too(tmp_path):
    write_lines(tmp_path / "a.jsonl", [b'{"n": 1}', b"{"])
    write_records(tmp_path / "b.jsonl", RECORDS)
    assert [(row.file, row.row) for row in rows_of(tmp_path, limit=3)] == [
        ("a.jsonl", 0),
        ("a.jsonl", 1),
        ("b.jsonl", 0),
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_sample_takes_the_rows_that_a_corpus_of_texts_takes(tmp_path, suffix):
    write_records(tmp_path / f"a.{suffix}", RECORDS * 5)
    sampled = [row.row for row in rows_of(tmp_path, sample=0.5, seed=3)]
    (documents,) = open_corpus([str(tmp_path)], sample=0.5, seed=3).slices()
    assert sampled == documents.rows.tolist() and 5 < len(sampled) < 30


def test_a_corpus_of_texts_gives_its_records_too(tmp_path):
    write_records(tmp_path / "a.jsonl", RECORDS)
    assert [row.record for row in open_corpus([str(tmp_path)]).records()] == RECORDS


def test_a_corpus_of_records_has_no_slices_and_comes_back_from_its_spec(tmp_path):
    write_records(tmp_path / "a.jsonl", RECORDS)
    corpus = open_records([str(tmp_path)], limit=2)
    with pytest.raises(ValueError, match="no text"):
        next(corpus.slices())
    again = Corpus.from_spec(json.loads(json.dumps(corpus.spec())))
    assert list(again.records()) == list(corpus.records()) and again.fingerprint() == corpus.fingerprint()


def test_what_cannot_be_opened_is_refused_as_ever(tmp_path):
    write_records(tmp_path / "a.jsonl", RECORDS)
    with pytest.raises(CorpusError, match="does not exist"):
        open_records([str(tmp_path / "b.jsonl")])
    with pytest.raises(CorpusError, match='no file has an id column "key"'):
        open_records([str(tmp_path)], id_field="key")
    with pytest.raises(UsageError, match="--limit must be at least 1, not 0"):
        open_records([str(tmp_path)], limit=0)
    with pytest.raises(UsageError, match="@rows"):
        open_corpus([str(tmp_path)], text_field="@rows")
