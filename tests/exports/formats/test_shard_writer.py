"""Shards: within their size, whole, in one schema; and the values that JSON has no word for."""

import base64
import datetime
import json
import math
import os

import pyarrow as pa
import pytest
from helpers.exports import FORMATS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.corpus.values.arrow_values import to_values
from curate.exports.formats.features import build_schema
from curate.exports.formats.json_types import NOT_FINITE, OVERSIZE
from curate.exports.formats.shard_writer import ShardWriter
from curate.exports.formats.shards import TABLE_FORMATS


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_stay_within_their_size_and_hold_every_row_once(tmp_path, kind):
    table = pa.table({"text": [os.urandom(300).hex() for _ in range(400)], "n": range(400)})
    writer = ShardWriter(tmp_path, kind, 40_000)
    for start in range(0, 400, 37):
        writer.add(table.slice(start, 37))
    files = writer.finish()
    assert len(files) > 4
    assert sum(file.rows for file in files) == 400
    for file in files:
        assert file.bytes == (tmp_path / file.path).stat().st_size
        assert file.bytes <= 42_000  # a little more than asked for, for the footer of a Parquet file
        assert f"of-{len(files):05d}" in file.path
    assert min(file.bytes for file in files[:-1]) > 20_000


@pytest.mark.parametrize("kind", FORMATS)
def test_a_schema_that_widens_within_a_shard_ends_in_one_schema(tmp_path, kind):
    writer = ShardWriter(tmp_path, kind, 100_000)
    pieces = [
        [{"text": "a" * 20_000, "x": None}],
        [{"text": "b" * 20_000, "x": 1, "y": [1]}],
        [{"text": "c" * 20_000, "x": 0.5, "y": [2**60], "z": {"p": 1}}],
        [{"text": "d" * 20_000, "z": {"q": "r"}}],
    ]
    for rows in pieces:
        writer.add(pa.Table.from_pylist(rows))
    files = writer.finish()
    found = []
    for file in files:
        path = tmp_path / file.path
        if kind == "jsonl":
            found += [json.loads(line) for line in path.read_text().splitlines()]
            continue
        for table in TABLE_FORMATS[kind].read_shard(path, None):
            assert table.schema.equals(build_schema(writer.shape))
            columns = [to_values(column) for column in table.columns]
            found += [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
    assert [(row["text"][0], row.get("x")) for row in found] == [("a", None), ("b", 1), ("c", 0.5), ("d", None)]
    assert found[2]["y"] == [2**60]
    assert [row.get("z") for row in found[2:]] == [{"p": 1}, {"q": "r"}]


def test_a_document_larger_than_a_shard_gets_one_of_its_own(tmp_path):
    writer = ShardWriter(tmp_path, "jsonl", 1000)
    writer.add(pa.table({"text": ["a", "b" * 5000, "c"]}))
    files = writer.finish()
    assert [file.rows for file in files] == [1, 1, 1]


def test_json_lines_spell_what_json_lacks(tmp_path):
    writer = ShardWriter(tmp_path, "jsonl", 10_000)
    at = datetime.datetime(2020, 1, 2, 3, 4, 5)
    writer.add(
        pa.table({"text": ["x"], "raw": [b"\xff\x00"], "nan": [math.nan], "at": [at], "d": [datetime.time(1, 2)]})
    )
    (file,) = writer.finish()
    row = json.loads((tmp_path / file.path).read_text())
    assert base64.b64decode(row["raw"]) == b"\xff\x00"
    assert (row["nan"], row["at"], row["d"]) == (None, "2020-01-02T03:04:05", "01:02:00")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_any_text_survives_every_format(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("shards")
    for kind in FORMATS:
        writer = ShardWriter(folder / kind, kind, 200)
        for text in texts:
            writer.add(pa.table({"text": pa.array([text], pa.large_string())}))
        found = []
        for file in writer.finish():
            path = folder / kind / file.path
            if kind == "jsonl":
                found += [json.loads(line)["text"] for line in path.read_bytes().splitlines()]
            else:
                tables = TABLE_FORMATS[kind].read_shard(path, ["text"])
                found += [text for table in tables for text in table.column("text").to_pylist()]
        assert found == texts


@pytest.mark.parametrize(("last", "rows"), [("ab", [8]), ("abc", [7, 1])])
def test_a_shard_of_lines_may_be_as_large_as_asked_for_and_no_byte_larger(tmp_path, last, rows):
    """A line of two letters has 11 bytes, so that eight are 88; with a third letter in the last one they are 89."""
    writer = ShardWriter(tmp_path, "jsonl", 88)
    writer.add(pa.table({"t": ["ab"] * 7}))
    writer.add(pa.table({"t": [last]}))
    files = writer.finish()
    assert [file.rows for file in files] == rows
    assert sum((tmp_path / file.path).stat().st_size for file in files) == 86 + len(last)


def test_lines_that_are_added_at_once_fill_their_shards(tmp_path):
    writer = ShardWriter(tmp_path, "jsonl", 88)
    writer.add(pa.table({"t": ["ab"] * 20}))
    assert [file.rows for file in writer.finish()] == [8, 8, 4] and writer.rows == 20


@pytest.mark.parametrize(("more", "groups"), [(0, [2, 2]), (8, [4])])
def test_rows_are_written_as_soon_as_they_are_an_eighth_of_a_shard(tmp_path, more, groups):
    """Two whole numbers have 16 bytes: an eighth of 128, and not yet one of 136."""
    writer = ShardWriter(tmp_path, "parquet", 128 + more)
    for start in (0, 2):
        table = pa.table({"n": [start, start + 1]})
        assert table.nbytes == 16
        writer.add(table)
    shards = [TABLE_FORMATS["parquet"].read_shard(tmp_path / file.path, None) for file in writer.finish()]
    assert [len(table) for shard in shards for table in shard] == groups


def test_what_json_lines_change_in_one_table_is_still_known_after_the_next(tmp_path):
    writer = ShardWriter(tmp_path, "jsonl", 1000)
    for value, big in ((math.nan, 1), (0.5, 2**63), (0.5, 1)):
        writer.add(pa.table({"real": [value], "big": pa.array([big], pa.uint64())}))
    writer.finish()
    assert writer.misread == {("real", NOT_FINITE), ("big", OVERSIZE)}
