"""Whatever a corpus holds, its export holds: any JSON, any Arrow types, any features, in every format."""

import datetime
import json
import math
import tempfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, original
from helpers.runs import make_run, write_lines, write_order
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.values.arrow_values import to_values
from curate.exports.formats.shards import TABLE_FORMATS
from curate.verbs.bucket import bucket
from curate.verbs.export import export
from curate.verbs.score import score

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["1", "null", "{}", '"', "a\nb"]
)
numbers = st.integers(-(2**70), 2**70) | st.sampled_from([0, 1, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 10**30])
fractions = st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0, 0.1, 5e-324, 1e300])
keys = st.sampled_from(["a", "b", "c", "_type", "a.b", "é", "dtype"])


def nest(leaves, most=12):
    def wrap(inner):
        return (
            st.lists(inner, max_size=3)
            | st.dictionaries(keys, inner, max_size=3)
            | st.fixed_dictionaries({"x": inner, "y": inner})
        )

    return st.recursive(st.none() | leaves, wrap, max_leaves=most)


eighths = st.integers(-(2**20), 2**20).map(lambda number: number / 8)
anything = nest(st.booleans() | numbers | fractions | words)
plain = nest(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | eighths | st.sampled_from(["", "é", "a\nb", '"', "{", "x"])
)
deep = st.integers(60, 246).map(lambda depth: json.loads("[" * depth + "1" + "]" * depth))
words_of_json = st.sampled_from(["x", "é", 'a"b'])
feature_kinds = st.sampled_from(
    [
        (datasets.ClassLabel(names=["neg", "pos"]), st.integers(0, 1)),
        (datasets.List(datasets.ClassLabel(names=["a", "b", "c"])), st.lists(st.integers(0, 2), max_size=2)),
        (datasets.Translation(languages=["de", "en"]), st.fixed_dictionaries({"de": words, "en": words})),
        (datasets.Array2D((2, 2), "int32"), st.just([[1, 2], [3, 4]])),
        (datasets.List(datasets.Array2D((1, 2), "int8")), st.just([[[1, 2]], [[3, 4]]])),
        (
            {"q": datasets.Array3D((1, 1, 1), "int16"), "w": datasets.Value("large_string")},
            st.just({"q": [[[1]]], "w": "x"}),
        ),
        (datasets.LargeList(datasets.Value("int32")), st.lists(st.integers(0, 9), max_size=2)),
        (datasets.List(datasets.Value("uint8"), length=2), st.just([1, 2])),
        (datasets.Json(), st.dictionaries(keys, words_of_json | st.integers(-9, 9), max_size=2)),
        (datasets.List(datasets.Json()), st.lists(st.dictionaries(keys, st.booleans(), max_size=2), max_size=2)),
        (datasets.Value("decimal128(9, 2)"), st.decimals(-999, 999, places=2)),
        (datasets.Value("timestamp[us]"), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))),
    ]
)


@st.composite
def json_rows(draw, *kinds):
    """Rows of some columns, each of a kind, of which a row may leave one out; strings, numbers and objects too."""
    inner = kinds[0]
    columns = [
        *kinds,
        nest(st.booleans() | st.integers(-9, 9)),
        st.integers(0, 2**64 - 1),
        eighths | st.integers(-9, 9),
        st.sampled_from(["", "x", "é"]) | st.none(),
        st.dictionaries(keys, st.booleans(), max_size=2),
        st.lists(st.fixed_dictionaries({"role": st.just("user")}, optional={"call": inner}), max_size=3),
    ]
    names = draw(st.sets(st.sampled_from("abcd"), min_size=1))
    name_to_kind = {name: draw(st.sampled_from(columns)) for name in sorted(names)}
    rows = draw(st.lists(st.fixed_dictionaries({}, optional=name_to_kind), min_size=1, max_size=6))
    return [{"text": f"document {number}", **row} for number, row in enumerate(rows)]


def is_same(value, found, as_text):
    """Equal, a number a number and a truth value one; with ``as_text`` also where its JSON was found."""
    if isinstance(value, dict) and isinstance(found, dict):
        return value.keys() == found.keys() and all(is_same(value[name], found[name], as_text) for name in value)
    if isinstance(value, list) and isinstance(found, list):
        return len(value) == len(found) and all(map(is_same, value, found, [as_text] * len(value)))
    if as_text and isinstance(found, str):
        return value == found or json.loads(found) == value
    if isinstance(value, float) and math.isnan(value):
        return isinstance(found, float) and math.isnan(found)
    return value == found and isinstance(value, bool) == isinstance(found, bool)


def read_export(out, kind):
    """The rows of an export with the columns of its corpus, as its files hold them."""
    rows = []
    for shard in sorted(out.rglob("*-of-*")):
        if kind == "jsonl":
            rows += [original(json.loads(line)) for line in shard.read_bytes().split(b"\n") if line]
            continue
        for table in TABLE_FORMATS[kind].read_shard(shard, None):
            values = zip(*map(to_values, table.columns), strict=True)
            rows += [original(dict(zip(table.column_names, row, strict=True))) for row in values]
    return rows


def check_rows(rows, found, out, absent=True):
    """Every row is there; ``absent``: with the columns that it has, and no other."""
    as_text = json.loads((out / "manifest.json").read_text())["turned_to_text"]
    assert len(found) == len(rows)
    for row, other in zip(rows, found, strict=True):
        if absent:
            assert other.keys() == row.keys()
        for name in row.keys() | other.keys():
            assert is_same(row.get(name), other.get(name), name in as_text), name


def load(out):
    """The rows of an export with the columns of its corpus, as datasets loads them, and its features."""
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=f"{out}.cache")
    return [original(row) for row in loaded.to_list()], loaded.features


def fill(rows):
    """The rows with null for a column that one leaves out."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def write_corpus(folder, rows):
    """Two files of JSON lines, of which the second has the last half."""
    for name, half in {"a": rows[: len(rows) // 2], "b": rows[len(rows) // 2 :]}.items():
        write_lines(folder / "c" / f"{name}.jsonl", half)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(json_rows(anything, deep), st.integers(20, 400))
def test_any_json_is_in_the_files_of_an_export_as_it_was_read(rows, slice_bytes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder, rows)
        run = make_run(folder / "run", [folder / "c"], slice_bytes=slice_bytes)
        for kind in FORMATS:
            export(str(folder / kind), str(run.path), format=kind, shard_size="500B")
            check_rows(rows, read_export(folder / kind, kind), folder / kind, absent=kind == "jsonl")
        write_order(run, range(len(rows))[::-1])
        for kind in FORMATS:
            export(str(folder / kind), str(run.path), format=kind, overwrite=True, shard_size="500B")
            check_rows(rows[::-1], read_export(folder / kind, kind), folder / kind, absent=kind == "jsonl")


@settings(max_examples=6, deadline=None, derandomize=True)
@given(json_rows(plain, deep))
def test_any_json_is_loaded_by_datasets_as_it_was_read(rows):
    """Of numbers that datasets' reader of Json and JSON lines gives back exactly."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder, rows)
        score(str(folder / "c"), model="none", run=str(folder / "run"))
        for kind in FORMATS:
            export(str(folder / kind), str(folder / "run"), format=kind)
            found, _ = load(folder / kind)
            check_rows(fill(rows), found, folder / kind)


def make_table(draw, count):
    """A table of random features and of values for them."""
    chosen = {name: draw(feature_kinds) for name in draw(st.sets(st.sampled_from("abcde"), min_size=1))}
    features = datasets.Features({"text": datasets.Value("string"), **{name: of for name, (of, _) in chosen.items()}})
    columns = {name: [draw(st.none() | values) for _ in range(count)] for name, (_, values) in chosen.items()}
    texts = [f"document {number}" for number in range(count)]
    return datasets.Dataset.from_dict({"text": texts, **columns}, features=features)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.data())
def test_any_features_and_their_values_are_loaded_as_they_were(data):
    count = data.draw(st.integers(1, 5))
    made = make_table(data.draw, count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c").mkdir()
        pq.write_table(made.data.table, folder / "c" / "a.parquet", row_group_size=2)
        score(str(folder / "c"), model="none", run=str(folder / "run"))
        for kind in FORMATS:
            export(str(folder / kind), str(folder / "run"), format=kind)
            found, features = load(folder / kind)
            assert found == made.to_list()
            assert {name: features[name] for name in made.features} == dict(made.features)


arrow_kinds = st.recursive(
    st.sampled_from([pa.int8(), pa.uint16(), pa.int64(), pa.float32(), pa.bool_(), pa.string(), pa.large_string()]),
    lambda inner: inner.map(pa.list_) | inner.map(pa.large_list) | inner.map(lambda kind: pa.struct([("x", kind)])),
    max_leaves=3,
)


def values_of(kind):
    """Values of an Arrow type, and nulls."""
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({"x": values_of(kind.field(0).type)})
    if pa.types.is_nested(kind):
        return st.none() | st.lists(values_of(kind.value_type), max_size=2)
    if pa.types.is_integer(kind):
        return st.none() | st.integers(0, 127)
    if pa.types.is_floating(kind):
        return st.none() | eighths
    return st.none() | (st.booleans() if pa.types.is_boolean(kind) else words)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.data())
def test_files_of_any_arrow_types_come_back_under_one_schema(data):
    """Two files, in which a column may have two types: then it is Json, or a wider type."""
    rows, name_to_table = [], {}
    for file in "ab":
        kinds = {name: data.draw(arrow_kinds) for name in data.draw(st.sets(st.sampled_from("uvw"), min_size=1))}
        part = [
            {"text": f"document {file}{number}", **{name: data.draw(values_of(kind)) for name, kind in kinds.items()}}
            for number in range(2)
        ]
        rows += part
        schema = pa.schema([("text", pa.string()), *kinds.items()])
        name_to_table[file] = pa.Table.from_pylist(part, schema=schema)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c").mkdir()
        for file, table in name_to_table.items():
            pq.write_table(table, folder / "c" / f"{file}.parquet")
        run = make_run(folder / "run", [folder / "c"])
        for kind in FORMATS:
            export(str(folder / kind), str(run.path), format=kind, shard_size="500B")
            check_rows(fill(rows), [fill_row(row, rows) for row in read_export(folder / kind, kind)], folder / kind)


def fill_row(row, rows):
    return {**dict.fromkeys(name for other in rows for name in other), **row}


@pytest.mark.parametrize("kind", FORMATS)
def test_buckets_have_their_rows_as_they_were_read(tmp_path, kind):
    rows = [
        {"text": f"document {number}", "call": {"ab"[number % 2]: number}, "n": [number, str(number), {}][number % 3]}
        for number in range(30)
    ]
    write_corpus(tmp_path, rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=200)
    bucket(run=str(run.path), quantiles=3)
    export(str(tmp_path / "out"), str(run.path), format=kind, by_bucket=True)
    found = sorted(read_export(tmp_path / "out", kind), key=lambda row: int(row["text"].split()[1]))
    check_rows(rows, found, tmp_path / "out")
    texts = {}
    for config in datasets.get_dataset_config_names(str(tmp_path / "out")):
        loaded = datasets.load_dataset(str(tmp_path / "out"), config, split="train", cache_dir=str(tmp_path / "cache"))
        for row in loaded.to_list():
            texts.setdefault(config, []).append(row["text"])
            assert row["call"] == rows[int(row["text"].split()[1])]["call"]
    assert sorted(texts.pop("default")) == sorted(text for many in texts.values() for text in many)
