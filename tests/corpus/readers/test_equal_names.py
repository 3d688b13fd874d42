"""Columns, and fields of an object, that share a name are read apart: value, value_2, as in CSV."""

import pyarrow as pa
import pytest
from helpers.corpora import read, write_columns, write_lines

from curate.corpus import open_corpus, open_records

FILES = ("a.parquet", "file.arrow", "stream.arrow")
each_file = pytest.mark.parametrize("name", FILES)


def make_table(**columns):
    """A table of three rows; a name ends before the first ``__``."""
    return pa.table(list(map(pa.array, columns.values())), [name.split("__")[0] for name in columns])


JOINED = make_table(
    value=[1, 2, 3], text=["a", "b", "c"], value__1=["x", "y", None], value_2=[7, 8, 9], text__1=["d", "e", None],
    id=["i", "j", "k"], id__1=[4, 5, 6],
)  # fmt: skip


@each_file
def test_every_column_is_read_under_a_name_of_its_own(tmp_path, name):
    write_columns(tmp_path / name, JOINED, 2)
    corpus = open_corpus(str(tmp_path))
    assert corpus.columns == ("value", "text", "value_3", "value_2", "text_2", "id", "id_2")
    assert corpus.text_field == "text" and corpus.id_field == "id"
    whole = pa.concat_tables([part.table for part in corpus.slices(columns="all")])
    assert whole.to_pydict() == dict(
        zip(corpus.columns, (column.to_pylist() for column in JOINED.columns), strict=True)
    )
    assert [(text, id) for _, text, _, id in read(corpus).values()] == [("a", "i"), ("b", "j"), ("c", "k")]
    records = [row.record for row in open_records([str(tmp_path)]).records()]
    assert records == whole.to_pylist()


@each_file
def test_the_second_of_a_name_may_be_the_text_the_id_and_carried(tmp_path, name):
    write_columns(tmp_path / name, JOINED, 2)
    corpus = open_corpus(str(tmp_path), text_field="text_2", id_field="id_2")
    found = read(corpus)
    assert [(status, text, id) for status, text, _, id in found.values()] == [
        ("ok", "d", "4"), ("ok", "e", "5"), ("unreadable", None, "6")
    ]  # fmt: skip
    carried = pa.concat_tables([part.table for part in corpus.slices(columns=("value_3", "value"))])
    assert carried.to_pydict() == {"value_3": ["x", "y", None], "value": [1, 2, None]}


@each_file
def test_paths_lead_into_the_right_one_of_two_objects(tmp_path, name):
    inner = pa.StructArray.from_arrays([pa.array(["a", "b"]), pa.array(["c", "d"])], ["x", "x"])
    other = pa.array([{"x": "e", "y": 1}, {"x": "f", "y": 2}])
    write_columns(tmp_path / name, pa.table([inner, other], ["meta", "meta"]), 2)
    paths = {"meta.x": ["a", "b"], "meta.x_2": ["c", "d"], "meta_2.x": ["e", "f"]}
    for field, expected in paths.items():
        assert [text for _, text, _, _ in read(open_corpus(str(tmp_path), text_field=field)).values()] == expected
    (documents,) = open_corpus(str(tmp_path), text_field="meta_2.x").slices(columns="all")
    assert documents.table.column("meta").to_pylist() == [{"x": "a", "x_2": "c"}, {"x": "b", "x_2": "d"}]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_number_that_a_header_has_itself_is_not_given_again(tmp_path, suffix):
    mark = b"," if suffix == "csv" else b"\t"
    header, row = mark.join([b"text", b"a", b"a", b"a_2", b"", b""]), mark.join([b"t", b"1", b"2", b"3", b"4", b"5"])
    write_lines(tmp_path / f"a.{suffix}", [header, row])
    (documents,) = open_corpus(str(tmp_path)).slices(columns="all")
    assert documents.table.to_pylist() == [{"text": "t", "a": "1", "a_3": "2", "a_2": "3", "": "4", "_2": "5"}]
