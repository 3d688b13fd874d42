"""Which column is the text and which the id: found where obvious, else asked for by name."""

import pytest
from helpers.corpora import read, texts_of, write_records

from curate.corpus import open_corpus
from curate.errors import CorpusError


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
    assert caught.value.hint == "--text-field prose"
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
