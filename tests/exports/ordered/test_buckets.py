"""Exports by bucket: a folder and a config for each, whose names are harmless."""

from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, plain_run, read_in_order, shards_of, shuffled
from helpers.runs import write_buckets
from hypothesis import given
from hypothesis import strategies as st

from curate.exports.ordered.write import folder_names
from curate.verbs.export import export


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("ordered", [True, False])
def test_each_bucket_is_a_config_with_its_order_kept(tmp_path, kind, ordered):
    run, _ = plain_run(tmp_path, 90)
    names = ["head" if n % 3 else "tail" for n in range(90)]
    write_buckets(run, names)
    order = shuffled(run, list(range(90)), 90) if ordered else list(range(90))
    found = export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="3kB", by_bucket=True)
    assert found.buckets == ("head", "tail")
    for name in ("head", "tail"):
        rows = datasets.load_dataset(str(tmp_path / "out"), name, split="train").to_list()
        assert [row["curate_row"] for row in rows] == [row for row in order if names[row] == name]
        assert {row["curate_bucket"] for row in rows} == {name}
        if kind == "hf":
            assert len(datasets.load_from_disk(str(tmp_path / "out" / "data" / name))) == len(rows)
    assert len(datasets.load_dataset(str(tmp_path / "out"), "default", split="train")) == 90
    assert (tmp_path / "out" / "order.parquet").exists() is ordered
    if ordered:
        shards = shards_of(tmp_path / "out")
        for told in pq.read_table(tmp_path / "out" / "order.parquet").to_pylist():
            assert shards[told["shard"]][told["shard_row"]]["curate_position"] == told["position"]


def test_buckets_are_a_column_and_one_bucket_makes_one_folder(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    write_buckets(run, ["only"] * 20)
    export(str(tmp_path / "plain"), str(run.path), format="jsonl")
    assert {row["curate_bucket"] for row in read_in_order(tmp_path / "plain")} == {"only"}
    export(str(tmp_path / "none"), str(run.path), format="jsonl", no_buckets=True)
    assert "curate_bucket" not in read_in_order(tmp_path / "none")[0]
    export(str(tmp_path / "out"), str(run.path), format="jsonl", by_bucket=True)
    assert list(shards_of(tmp_path / "out")) == ["data/only/train-00000-of-00001.jsonl"]


@given(st.lists(st.text(max_size=12), unique=True))
def test_names_of_folders_are_harmless_and_apart(buckets):
    names = list(folder_names(buckets).values())
    assert len({name.lower() for name in names}) == len(buckets)
    for name in names:
        assert name and not name.startswith((".", "-")) and Path(name).name == name
        assert name.isascii() and not set(name) & set('/\\:*?"<>|\n ')


def test_hostile_buckets_do_not_leave_the_folder(tmp_path):
    run, _ = plain_run(tmp_path, 4)
    names = ["../../evil", "/etc/passwd", "a\n---\nb: *", "default"]
    write_buckets(run, names)
    found = export(str(tmp_path / "out"), str(run.path), format="jsonl", by_bucket=True)
    assert sorted(path.name for path in tmp_path.iterdir() if "cache" not in path.name) == ["c", "out", "run"]
    for bucket, folder in zip(sorted(names), found.buckets, strict=True):
        (row,) = datasets.load_dataset(str(tmp_path / "out"), folder, split="train").to_list()
        assert row["curate_bucket"] == bucket
