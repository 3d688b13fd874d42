"""Opening eval sets: files, folders, patterns and names become sets, each with a name of its own."""

import datasets
import pytest
from helpers.corpora import write_records

from curate.errors import CorpusError, UsageError
from curate.runtime import console
from curate.stages.decontaminate.evalsets import known_names, open_evals


def test_a_folder_and_a_pattern_give_a_set_for_each_file(tmp_path, capsys):
    for name in ("part-10.jsonl", "part-2.csv", "deep/other.jsonl.gz"):
        write_records(tmp_path / name, [{"question": name}])
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "notes.txt").write_text("about")
    console.enable()
    try:
        found = open_evals([str(tmp_path)])
    finally:
        console.enable(False)
    assert [one.name for one in found] == ["other", "part-2", "part-10"]
    assert "2 other files passed over" in capsys.readouterr().err
    assert [one.name for one in open_evals([f"{tmp_path}/*.jsonl"])] == ["part-10"]
    twice = open_evals([str(tmp_path / "part-2.csv"), f"{tmp_path}/part*"])
    assert [one.name for one in twice] == ["part-2", "part-10"]


def test_sets_of_one_stem_are_told_apart_by_their_paths(tmp_path):
    for name in ("a/test.jsonl", "b/test.jsonl", "b/test.csv", "b/sum.jsonl"):
        write_records(tmp_path / name, [{"question": name}])
    found = {one.name: one.items[0].questions[0] for one in open_evals([str(tmp_path)])}
    assert found == {
        "a/test": "a/test.jsonl",
        "b/test.csv": "b/test.csv",
        "b/test.jsonl": "b/test.jsonl",
        "sum": "b/sum.jsonl",
    }


def test_plain_text_alone_is_no_eval_set(tmp_path):
    (tmp_path / "notes.txt").write_text("What is this?")
    with pytest.raises(CorpusError, match="plain text has no columns"):
        open_evals([str(tmp_path / "notes.txt")])


def test_shards_of_one_file_are_one_set(tmp_path):
    for shard in range(2):
        rows = [{"question": f"Q{shard}{row}"} for row in range(3)]
        write_records(tmp_path / f"test-{shard:05d}-of-00002.parquet", rows)
    (found,) = open_evals([str(tmp_path)])
    assert found.name == "test" and found.source.endswith("test-*.parquet")
    assert [(item.id, item.row) for item in found.items] == [(str(place), place % 3) for place in range(6)]
    assert found.items[3].file == "test-00001-of-00002.parquet"


def test_a_saved_dataset_is_a_set_of_the_name_of_its_folder(tmp_path):
    saved = datasets.DatasetDict({"test": datasets.Dataset.from_list([{"question": "Q", "answer": "yes"}])})
    saved.save_to_disk(tmp_path / "sums")
    (found,) = open_evals([str(tmp_path / "sums")])
    assert found.name == "test" and found.source.endswith("sums/test") and found.items[0].answer == "yes"


def test_a_local_path_wins_over_a_known_name(tmp_path, monkeypatch):
    write_records(tmp_path / "gsm8k" / "mine.jsonl", [{"question": "Q"}])
    monkeypatch.chdir(tmp_path)
    (found,) = open_evals(["gsm8k"])
    assert found.name == "mine" and found.source == "gsm8k/mine.jsonl" and found.revision is None


def test_an_unknown_name_is_an_error_that_lists_the_nearest(tmp_path, monkeypatch):
    write_records(tmp_path / "my_evals.jsonl", [{"question": "Q"}])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="gsm8 is not a file, a folder or a well-known eval set") as caught:
        open_evals(["gsm8"])
    assert "did you mean gsm8k" in caught.value.hint and "name a file" in caught.value.hint
    assert all(name in caught.value.hint for name in known_names())
    with pytest.raises(UsageError, match=r"my_eval\.jsonl does not exist") as caught:
        open_evals(["my_eval.jsonl"])
    assert "did you mean my_evals.jsonl" in caught.value.hint
    for nothing in ([], "gsm8k"):
        with pytest.raises(UsageError, match="no eval set is named"):
            open_evals(nothing)
