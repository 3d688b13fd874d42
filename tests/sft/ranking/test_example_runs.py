"""``rank-sft --examples``: each example's numbers as a run, a row of it for every row."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.example_runs import SAID, make_example_run, make_rows, read

import curate
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
