"""``rank-sft --examples``: each example's numbers as a run, a row of it for every row."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.example_runs import SAID, make_example_run, make_rows, read
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import CorpusError
from curate.rundir.run import open_run

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture
def run(tmp_path, llama, rows):
    return make_example_run(tmp_path, llama, rows)


def test_the_run_of_a_dataset_has_every_row_and_the_numbers_of_its_examples(run, tmp_path, rows):
    scores = pq.read_table(open_run(run).scores, partitioning=None)
    measured = pq.read_table(next((tmp_path / "ranked" / "responses").rglob("asked.parquet"))).to_pylist()
    assert scores.num_rows == len(rows) == 28 and len(measured) == 26
    assert scores["status"].to_pylist() == ["ok"] * 26 + ["unscorable", "unreadable"]
    for at, one in enumerate(measured):
        assert scores["nats"][at].as_py() == one["nats"] and scores["tokens"][at].as_py() == one["tokens"]
        assert scores["scored_bytes"][at].as_py() == one["bytes"]
        given, alone = one["nats"] / one["tokens"], one["unconditional_nats"] / one["tokens"]
        assert read(run, "ifd_ppl")[at] == pytest.approx(np.exp(given) / np.exp(alone))
        assert read(run, "ifd_loss")[at] == pytest.approx(given / alone)
        assert read(run, "rsr")[at] == pytest.approx(one["ranks"] / one["nats"])
    assert read(run, "ifd_ppl")[26:] == [None, None]
    assert "the response is empty" in scores["reason"][26].as_py()


def test_rows_that_were_not_drawn_say_so_and_are_never_kept(tmp_path, llama, rows):
    data = sft.write(tmp_path / "some.jsonl", rows[:20])
    options = {"model": llama, "exact": True, "draws": 100, "out": str(tmp_path / "ranked")}
    found = curate.rank_sft([data], sample_size=8, examples=str(tmp_path / "runs"), **options)
    table = pq.read_table(open_run(found.runs[0]).scores, partitioning=None)
    assert table["status"].to_pylist().count("not_sampled") == 12
    chosen = curate.select_sft(run=found.runs[0], by="ppl", rate=0.5)
    assert chosen.kept.documents == 4 and chosen.rejected["unscored: not_sampled"].documents == 12


def test_every_answer_of_a_tree_counts_to_its_row(tmp_path, llama):
    def say(text, role, *replies):
        return {"text": text, "role": role, "replies": list(replies)}

    tree = say("Why?", "prompter", say(SAID[0], "assistant"), say(SAID[1], "assistant"))
    data = sft.write(tmp_path / "trees.jsonl", [{"message_tree_id": "1", "prompt": tree}])
    options = {"model": llama, "exact": True, "draws": 100, "sample_size": 0, "out": str(tmp_path / "ranked")}
    found = curate.rank_sft([data], examples=str(tmp_path / "runs"), **options)
    parts = pq.read_table(next((tmp_path / "ranked" / "responses").rglob("trees.parquet"))).to_pylist()
    scores = pq.read_table(open_run(found.runs[0]).scores, partitioning=None).to_pylist()
    assert len(parts) == 2 and len(scores) == 1
    assert scores[0]["tokens"] == sum(one["tokens"] for one in parts)
    assert scores[0]["nats"] == pytest.approx(sum(one["nats"] for one in parts))


def test_files_of_different_schemas_are_refused_before_a_model_is_loaded(tmp_path):
    """Premise: the model does not exist, which would be the error otherwise."""
    (tmp_path / "folder").mkdir()
    sft.write(tmp_path / "folder" / "a.jsonl", sft.MATHS[:3])
    sft.write(tmp_path / "folder" / "b.jsonl", sft.as_messages(sft.MATHS[3:5]))
    options = {"model": str(tmp_path / "missing"), "out": str(tmp_path / "ranked"), "examples": str(tmp_path / "runs")}
    with pytest.raises(CorpusError, match=r"one schema in all files of a dataset, here folder: b\.jsonl has no column"):
        curate.rank_sft(str(tmp_path / "folder"), **options)
    assert not (tmp_path / "ranked").exists() and not (tmp_path / "runs").exists()


def test_rows_of_another_schema_are_ranked_and_warned_of_since_they_get_no_numbers(tmp_path, llama, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sft.write(tmp_path / "mixed.jsonl", [*sft.MATHS[:4], *sft.as_messages(sft.MATHS[4:7])])
    options = ["--model", llama, "--exact", "--draws", "100", "--sample-size", "0", "--examples", "runs"]
    found = CliRunner().invoke(app, ["rank-sft", "mixed.jsonl", *options])
    assert found.exit_code == 0
    assert "mixed: rows of other schemas than question get no numbers: messages 3" in found.output
    (ranked,) = pq.read_table("ranked/ranking.parquet").to_pylist()
    assert ranked["examples"] == 7
    scores = pq.read_table(open_run("runs/mixed").scores, partitioning=None)
    assert scores["status"].to_pylist() == ["ok"] * 4 + ["unreadable"] * 3
