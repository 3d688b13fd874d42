"""``curate export``: the columns of the corpus come back unchanged, in one schema."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import BIG, FORMATS, load, original, rich_table
from helpers.runs import kept_of, make_run, write_lines

from curate.runtime import console
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

pytestmark = pytest.mark.usefixtures("own_cache")


def spoken(monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    return said


@pytest.mark.parametrize("kind", FORMATS)
def test_original_columns_come_back_unchanged(tmp_path, kind):
    table = rich_table(30)
    (tmp_path / "c").mkdir()
    pq.write_table(table, tmp_path / "c" / "a.parquet", row_group_size=7)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=900)
    assert len(list(run.scores.iterdir())) > 2
    choose(str(run.path), max_ppl=60)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB")
    expected = [row for place, row in enumerate(table.to_pylist()) if place in set(kept_of(run))]
    assert 0 < len(expected) < 30
    assert [original(row) for row in load(tmp_path / "out")] == expected
    if kind == "hf":
        loaded = datasets.load_from_disk(str(tmp_path / "out"))
        assert [original(row) for row in loaded["train"].to_list()] == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_json_lines_come_back_unchanged_though_their_slices_differ(tmp_path, kind):
    """Columns that come and go, whole numbers that become fractions, structs that grow, over slices and files."""
    early = [{"id": n, "text": f"document {n} early", "score": n, "meta": {"a": n}} for n in range(40)]
    late = [
        {"text": f"document {n} late", "score": n / 2, "meta": {"b": ["x"], "a": n}, "url": "http://x"}
        for n in range(40, 80)
    ]
    write_lines(tmp_path / "c" / "a.jsonl", early)
    write_lines(tmp_path / "c" / "b.jsonl", late)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=1000)
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="4kB")
    nothing = dict.fromkeys(("id", "text", "score", "meta", "url"))
    expected = [{**nothing, **row} for row in [*early, *late]]
    assert [original(row) for row in load(tmp_path / "out")] == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_values_of_different_kinds_come_back_unchanged_and_it_is_said(tmp_path, kind):
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table({"text": ["document 0", "document 1"], "mixed": [7, None]}), tmp_path / "c" / "a.parquet")
    pq.write_table(pa.table({"text": ["document 2"], "mixed": ["seven"]}), tmp_path / "c" / "b.parquet")
    pq.write_table(pa.table({"text": ["document 3"], "mixed": [[{"x": 1}]]}), tmp_path / "c" / "d.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="500B")
    assert [row["mixed"] for row in load(tmp_path / "out")] == [7, None, "seven", [{"x": 1}]]
    assert (
        "as datasets' Json, which reads fractions to 15 digits: `mixed`" in (tmp_path / "out" / "README.md").read_text()
    )
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["json"] == ["mixed"]


def test_whole_numbers_that_float64_cannot_hold_are_never_rounded(tmp_path):
    (tmp_path / "c").mkdir()
    for name, values in {"a": [BIG], "b": [0.5]}.items():
        pq.write_table(pa.table({"text": [f"document {name}"], "number": values}), tmp_path / "c" / f"{name}.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path))
    assert [row["number"] for row in load(tmp_path / "out")] == [BIG, 0.5]


def test_dates_spelled_as_strings_stay_as_they_are_and_json_lines_warn(tmp_path, monkeypatch):
    said = spoken(monkeypatch)
    rows = [
        {"text": f"document {n}", "date": "2020-01-01", "at": "2020-01-01T03:04:05Z", "no": "2020"} for n in range(3)
    ]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    for kind in ("hf", "parquet"):
        export(str(tmp_path / kind), str(run.path), format=kind)
        assert [original(row) for row in load(tmp_path / kind)] == rows
    assert not said
    export(str(tmp_path / "jsonl"), str(run.path), format="jsonl")
    lines = (tmp_path / "jsonl" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert [original(json.loads(line)) for line in lines] == rows
    assert "`at`, `date`" in said[0]
