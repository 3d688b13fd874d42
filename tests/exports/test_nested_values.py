"""Nested values of JSON: their keys, kinds and numbers are those that were read, in every format."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, original, shards_of
from helpers.runs import make_run, write_lines, write_order

from curate.runtime import console
from curate.verbs.export import export

CALLS = [{"port": "Bergen"}, {"a": 1, "b": 2}, {"a": "x", "on": True}, {}, {"a": None}, {"a": [1, "1", 1.5]}]
NESTED = {
    "tool calls": [[{"role": "user", "calls": [{"arguments": call}]}] for call in CALLS],
    "objects of different keys": CALLS,
    "a key that is absent, and one that is null": [{"a": 1, "b": None}, {"a": 1}, {"a": 1, "b": None}],
    "texts of JSON next to lists": [[{"content": text}] for text in ('{"t": 3}', "7", [{"type": "text"}], '"q"')],
    "texts of JSON next to objects": [[{"arguments": '{"a": 1}'}], [{"arguments": {"b": 2}}], []],
    "texts of JSON in a list of kinds": [["1", 2, None], [{"a": "{}"}]],
    "dates next to objects of different keys": [{"when": f"2024-01-0{day}", "of": {f"k{day}": 1}} for day in (1, 2)],
    "no keys": [{}, {}, None],
    "kinds": [1, "one", True, {"a": "1"}, [1]],
    "kinds within a list": [[1, "one"], [None, {"a": 1}], []],
    "kinds within an object": [{"a": 1}, {"a": "one"}, {"a": None}],
    "whole numbers and fractions among others": [{"a": [1, 2.5]}, {"b": 1}, "one"],
    "from 2^63 on": [2**64 - 1, 5, None],
    "from 2^63 on, within": [{"hash": [2**63]}, {"hash": []}, None],
    "from 2^63 on, and below 0": [2**64 - 1, -1],
    "beyond float64, and a fraction": [2**53 + 1, 0.5],
    "many keys": [{f"k{number}": number for number in range(300)}, None],
    "a name that datasets reserves": [{"_type": "x", "dtype": 1}, {"_type": "y", "dtype": 2}],
    "names of other kinds": [{"": 1, "a.b": 2, "a/b": 3, "é": 4, "list": 5, "struct": {"name": 6}}] * 2,
    "64 deep": [json.loads("[" * 64 + "1" + "]" * 64), json.loads('{"k":' * 64 + "1" + "}" * 64)],
    "64 deep, alike": [json.loads('{"k":[' * 32 + "1" + "]}" * 32)] * 2,
    "245 deep": [json.loads("[" * 245 + "]" * 245), json.loads("[" * 245 + "]" * 245)],
    "all alike": [{"a": {"b": [{"c": 1, "d": "x"}]}}, {"a": {"b": []}}, None],
}
"""Values that datasets gives back equal from every format."""


def repr_all(values):
    return [json.dumps(value, sort_keys=True) for value in values]


def load(out):
    return datasets.load_dataset(str(out), split="train", cache_dir=f"{out}.cache")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NESTED)
def test_nested_values_are_loaded_as_they_were_read(tmp_path, kind, name):
    rows = [{"text": f"document {number}", "x": value} for number, value in enumerate(NESTED[name])]
    write_lines(tmp_path / "c" / "a.jsonl", rows[:1])
    write_lines(tmp_path / "c" / "b.jsonl", rows[1:])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=50)
    export(str(tmp_path / "out"), str(run.path), format=kind)
    assert repr_all(load(tmp_path / "out")["x"][:]) == repr_all(NESTED[name])
    if kind == "jsonl":
        (lines,) = shards_of(tmp_path / "out").values()
        assert repr_all(map(original, lines)) == repr_all(rows)


@pytest.mark.parametrize("order", [False, True])
def test_json_lines_of_json_lines_need_no_types(tmp_path, order):
    """Keys that are absent, 1 next to 0.5, whole numbers of any size, at the top too."""
    rows = [
        {"text": "document 0", "a": 1, "b": 10**30},
        {"text": "document 1", "a": 0.5, "b": 7},
        {"text": "document 2", "b": None},
    ]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    if order:
        write_order(run, [2, 1, 0])
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    (lines,) = shards_of(tmp_path / "out").values()
    assert repr_all(map(original, lines)) == repr_all(rows[::-1] if order else rows)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("value", [10**30, -(2**63) - 1, float("nan"), float("inf")])
def test_what_datasets_cannot_read_as_json_is_json_text_and_it_is_said(tmp_path, monkeypatch, kind, value):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    values = [value, "x", {"a": 1}, None, "1"]
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n}", "x": x} for n, x in enumerate(values)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=60)
    export(str(tmp_path / "out"), str(run.path), format=kind)
    found = [None if text is None else json.loads(text) for text in load(tmp_path / "out")["x"][:]]
    lost = kind == "jsonl" and isinstance(value, float)
    assert repr_all(found) == repr_all([None, *values[1:]] if lost else values)
    assert said[0] == "written as JSON text (json.loads reads it), which datasets cannot read as Json: `x`"
    assert any("NaN and infinities of `x`" in line for line in said) is lost
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["turned_to_text"] == ["x"]
    assert said[0] in (tmp_path / "out" / "README.md").read_text()


def test_numbers_of_any_size_alone_stay_numbers_in_json_lines_and_are_rounded_when_they_are_loaded(
    tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0", "x": 10**30}, {"text": "document 1", "x": 5}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert load(tmp_path / "out")["x"][:] == [1e30, 5.0]
    assert said == ["load_dataset takes `x` of JSON lines for fractions and rounds them"]


def test_strings_of_json_among_json_are_taken_for_values_and_it_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    values = ["1", {"a": "2"}]
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n}", "x": x} for n, x in enumerate(values)])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "parquet"), str(run.path), format="parquet")
    assert load(tmp_path / "parquet")["x"][:] == values and said == []
    export(str(tmp_path / "jsonl"), str(run.path), format="jsonl")
    assert load(tmp_path / "jsonl")["x"][:] == [1, {"a": "2"}]
    assert said[0].startswith("load_dataset takes strings of JSON in `x` of JSON lines for their values")


@pytest.mark.parametrize("kind", FORMATS)
def test_fields_that_only_some_arrow_files_have_are_no_nulls_in_the_others(tmp_path, monkeypatch, kind):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    (tmp_path / "c").mkdir()
    for name, meta in {"a": {"a": 1, "when": None}, "b": {"b": "x"}, "d": {"a": 2, "when": b"\xff"}}.items():
        rows = pa.table({"text": [f"document {name}"], "meta": [meta]})
        pq.write_table(rows, tmp_path / "c" / f"{name}.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="300B")
    assert load(tmp_path / "out")["meta"][:] == [{"a": 1, "when": None}, {"b": "x"}, {"a": 2, "when": "/w=="}]
    assert "bytes, times and decimals among other values were written as strings: `meta`" in said
