"""What ``datasets`` makes of JSON lines: the values that Arrow takes for times, and the types that the card states."""

import json

import datasets
import pyarrow as pa
import pyarrow.json
import pytest
from helpers.exports import load, original
from helpers.runs import make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.values.arrow_types import JSON_TEXT
from curate.corpus.values.arrow_values import JSON_TYPE, encode_json
from curate.exports.formats.json_types import NOT_FINITE, OVERSIZE, QUOTED, TIMES, find_json_type, inspect_table
from curate.runtime import console
from curate.verbs.export import export

DATES = st.tuples(
    st.sampled_from(["2020-01-01", "1999-12-31", "2020-1-1", "20200101", "2020"]),
    st.sampled_from(["", " ", "T", "t", "  "]),
    st.sampled_from(["", "03", "03:04", "03:04:05", "0304", "030405", "03:0405", "03:04:05.678", "3:04"]),
    st.sampled_from(["", "Z", "z", "+01", "-0130", "+01:30", " Z", "+1"]),
    st.sampled_from(["", "", " ", "\n"]),
).map("".join)


def read_type(values):
    """The type that Arrow's reader of JSON, which ``datasets`` uses, gives a column."""
    lines = b"".join(json.dumps({"x": value}).encode() + b"\n" for value in values)
    return pyarrow.json.read_json(pa.BufferReader(lines)).schema.field("x").type


def inspect(values):
    """What is found in one column."""
    return {what for _, what in inspect_table(pa.table({"x": values}))}


@settings(max_examples=400)
@given(st.lists(DATES, min_size=1, max_size=2))
def test_a_column_is_misread_where_arrow_takes_it_for_times(values):
    assert bool(inspect(pa.array(values, pa.large_string()))) == pa.types.is_timestamp(read_type(values))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([2**63 - 1], pa.uint64(), set()),
        ([2**63, None], pa.uint64(), {OVERSIZE}),
        ([], pa.uint64(), set()),
        ([None], pa.large_string(), set()),
        (["2020-01-01", "soon"], pa.string(), set()),
        ([{"a": [["2020-01-01"]]}, None], pa.struct([("a", pa.list_(pa.list_(pa.string())))]), {TIMES}),
        ([["2020-01-01 10:00", None], []], pa.large_list(pa.large_string()), {TIMES}),
        (["2020-01-01"], pa.dictionary(pa.int8(), pa.string()), set()),
        ([1.5, None], pa.float64(), set()),
        ([[1.5], [float("nan")]], pa.list_(pa.float32()), {NOT_FINITE}),
    ],
)
def test_nested_values_and_numbers_beyond_int64_are_seen(values, kind, expected):
    assert inspect(pa.array(values, kind)) == expected


def test_a_string_of_json_among_json_values_is_seen():
    assert inspect(encode_json(["abc", 1, {"a": "1"}, None])) == set()
    assert inspect(encode_json(["abc", 1, "1"])) == {QUOTED}
    assert inspect(encode_json(["{}"])) == {QUOTED}


def test_what_arrow_cannot_read_back_is_a_string_at_any_depth():
    inner = pa.struct([("b", pa.binary()), ("n", pa.int8()), ("d", pa.time32("s"))])
    found = find_json_type(pa.large_list(inner))
    assert found == pa.large_list(pa.struct([("b", pa.large_string()), ("n", pa.int8()), ("d", pa.large_string())]))
    assert find_json_type(pa.uint64()) == pa.uint64() and find_json_type(pa.uint64(), oversize=True) == JSON_TYPE
    assert find_json_type(JSON_TEXT) == pa.large_string() and find_json_type(JSON_TEXT, as_text=False) == pa.float64()


OPTIONS = [
    ({}, [pa.uint64(), pa.large_string(), pa.date32()]),
    ({"oversize": True}, [JSON_TYPE, pa.large_string(), pa.date32()]),
    ({"as_text": False}, [pa.uint64(), pa.float64(), pa.date32()]),
    ({"far": True}, [pa.uint64(), pa.large_string(), pa.large_string()]),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=str)
@pytest.mark.parametrize(
    "hold",
    [
        lambda kind: pa.struct([("x", kind)]),
        pa.list_,
        pa.large_list,
        lambda kind: pa.list_(kind, 3),
        lambda kind: pa.list_(pa.struct([("x", pa.large_list(kind))])),
    ],
)
def test_what_was_found_in_a_column_decides_of_the_types_inside_it_too(options, expected, hold):
    for kind, found in zip([pa.uint64(), JSON_TEXT, pa.date32()], expected, strict=True):
        assert find_json_type(kind, **options) == found
        assert find_json_type(hold(kind), **options) == hold(found)


def test_whole_numbers_beyond_int64_are_loaded_and_what_is_changed_is_said(tmp_path, monkeypatch, own_cache):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    import pyarrow.parquet as pq

    rows = [
        {"text": "document 0", "n": 2**64 - 1, "day": "2020-01-01"},
        {"text": "document 1", "n": 7, "day": "2020-01-02"},
    ]
    schema = pa.schema([("text", pa.string()), ("n", pa.uint64()), ("day", pa.string())])
    (tmp_path / "c").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "c" / "a.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert [original(row) for row in load(tmp_path / "out")] == rows
    assert [line.split(";")[0] for line in said] == [
        "load_dataset rounds fractions of JSON lines to 10 digits where a column is Json",
    ]
    lines = (tmp_path / "out" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert [original(json.loads(line)) for line in lines] == rows
    assert datasets.load_dataset(str(tmp_path / "out"), split="train").features["day"] == datasets.Json()
    assert (
        "datasets' Json, which keeps strings of dates or of JSON: `day`" in (tmp_path / "out" / "README.md").read_text()
    )
