"""Datasets are called by their stems, by their folders where stems are the same, and none twice."""

import pytest
from helpers.corpora import write_records
from helpers.instruction_rows import rows_of

from curate.errors import UsageError
from curate.sft.datasets import draw_sample, name_sets, open_set


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (["a/x.json", "b/y.jsonl.gz"], ["x", "y"]),
        (["a/x.json", "b/x.json", "mine=c/y.json", "d/z.json"], ["a/x", "b/x", "mine", "z"]),
        (["p/a/x.json", "q/a/x.json", "r/b/x.json"], ["p/a/x", "q/a/x", "b/x"]),
        (["a/x.json", "a/x.jsonl"], ["a/x.json", "a/x.jsonl"]),
        (["x=a/y.json", "b/x.json"], ["x", "b/x"]),
        (["some/folder/", "other"], ["folder", "other"]),
        (["tatsu-lab/alpaca:train", "yahma/alpaca:train"], ["tatsu-lab/alpaca", "yahma/alpaca"]),
        (["tatsu-lab/alpaca:train"], ["alpaca"]),
        (["o/set:train", "o/set:test"], ["set:train", "set:test"]),
        (["o/set@en:train", "o/set@de:train"], ["set@en:train", "set@de:train"]),
        (["data/*.json", "data/train-*.parquet"], ["data", "train"]),
        (["https://host/a/x.jsonl?download=true", "s3://bucket/b/x.jsonl"], ["a/x", "b/x"]),
        (["v1.5/x.json", "alpaca-v1.5.json"], ["x", "alpaca-v1.5"]),
    ],
)
def test_a_dataset_is_called_by_its_stem_and_by_its_folders_where_stems_are_the_same(data, names):
    found = name_sets(data)
    assert list(found) == names
    assert list(found.values()) == [one.partition("=")[2] if one[:5] in ("mine=", "x=a/y") else one for one in data]


def test_a_path_that_exists_is_a_path_whatever_is_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path / "lang=en" / "x.jsonl", rows_of("alpaca"))
    assert name_sets(["lang=en/x.jsonl"]) == {"x": "lang=en/x.jsonl"}
    assert name_sets(["lang=*/x.jsonl"]) == {"x": "lang=*/x.jsonl"}
    dataset = open_set("mine=lang=en/x.jsonl")
    assert dataset.name == "mine" and draw_sample(dataset, None, 0).rows == 12


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([], "no dataset is given"),
        (["a.json", "a.json"], "a.json is given twice"),
        (["m=o/set:train", "n=o/set:train"], "o/set:train is given twice"),
        (["m=a.json", "m=b.json"], "two datasets are named m"),
        (["data/a*.json", "data/a?.json"], "two datasets are named"),
    ],
)
def test_a_dataset_twice_and_a_name_twice_are_refused(data, found):
    with pytest.raises(UsageError, match=found):
        name_sets(data)


def test_one_file_by_two_paths_is_one_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_records(tmp_path / "a.jsonl", rows_of("alpaca"))
    (tmp_path / "link.jsonl").symlink_to(path)
    for other in ("./a.jsonl", str(path), "link.jsonl", "mine=a.jsonl"):
        with pytest.raises(UsageError, match="given twice"):
            name_sets(["a.jsonl", other])
