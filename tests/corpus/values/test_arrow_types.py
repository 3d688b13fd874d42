"""Columns beside the text: their types are kept, and values without a common type become JSON."""

import json
import time

import pyarrow as pa
import pytest
from helpers.corpora import write_columns, write_lines, write_records
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus
from curate.corpus.values import arrow_types
from curate.corpus.values.arrow_values import list_inner_types, to_values


def read(table):
    """The rows as dicts, JSON parsed."""
    columns = map(to_values, table.columns)
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


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
        rows = read(pa.concat_tables(tables))
        kinds = {column.name: str(column.type) for column in tables[0].schema}
    assert kinds["n"] == "int64" and kinds["x"] == "double"
    assert kinds["tags"] == "large_list<item: large_string>" and kinds["late"] == "bool"
    assert kinds["mixed"] == kinds["meta"] == kinds["map"] == kinds["y"] == str(arrow_types.JSON_TEXT)
    for name in ("mixed", "meta", "x", "map", "big", "y"):
        assert [row[name] for row in rows] == [record.get(name) for record in records]
    assert [row["late"] for row in rows] == [None, None, True]


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"k":', "}")])
def test_values_within_many_others_become_json_and_an_arrow_file_holds_them(tmp_path, opens, closes):
    text = f"{opens * 200}1{closes * 200}"
    table = arrow_types.tabulate([{"x": json.loads(text)}], None)
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    (row,) = read(pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all())
    assert row["x"] == json.loads(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@example(first=[], second=[{"a": [None] * 5, "b": {}}, None, {"a": None, "b": {"c": 1}}])
@given(first=st.lists(json_values, max_size=3), second=st.lists(json_values, max_size=4))
def test_any_values_make_a_column_and_none_is_lost(first, second):
    known = arrow_types.tabulate([{"x": value} for value in first], None).schema
    table = arrow_types.tabulate([{"x": value} for value in second], known)
    held = to_values(table.column("x")) if second or first else []
    assert held == second
    spelled = [[json.dumps(value, sort_keys=True) for value in values] for values in (held, second)]
    assert spelled[0] == spelled[1] or pa.float64() in list_leaves(table.schema.field("x").type)


def list_leaves(kind):
    inner = list_inner_types(kind)
    return [leaf for of in inner for leaf in list_leaves(of)] if inner else [kind]


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


def test_the_time_for_many_columns_is_in_proportion_to_them():
    """A look-up of each name in a list of all took a minute for so many."""
    names = [f"c{number}" for number in range(6000)]
    table = pa.table([pa.array([1])] * len(names), names)
    begin = time.monotonic()
    found = arrow_types.conform_table(table, pa.schema([(name, pa.int64()) for name in [*reversed(names), "more"]]))
    assert time.monotonic() - begin < 10
    assert found.column_names == [*reversed(names), "more"] and found.column("more").null_count == 1
