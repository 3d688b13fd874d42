"""``rank-sft --examples`` and ``select-sft``: each example's numbers as a run, and what is kept by them."""

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft

import curate
from curate import carried, runs
from curate.errors import TableError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SAID = ["Because the sky is wide and blue.", "It depends on what you ask me today.", "Nobody knows, and that is fine."]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return sft.tiny(tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def rows():
    """Twenty questions of one answer each, two that are asked three times, and rows without anything to learn."""
    asked = [{"question": row["question"], "answer": row["answer"]} for row in sft.MATHS[:20]]
    again = [{"question": f"Why, {who}?", "answer": said} for who in ("Ada", "Bob") for said in SAID]
    return [*asked, *again, {"question": "And?", "answer": ""}, {"question": "So?", "answer": True}]


@pytest.fixture
def run(tmp_path, llama, rows):
    data = sft.write(tmp_path / "asked.jsonl", rows)
    options = {"model": llama, "exact": True, "draws": 100, "sample": 0}
    found = curate.rank_sft([data], out=str(tmp_path / "ranked"), examples=str(tmp_path / "runs"), **options)
    return found.runs[0]


def read(run, name):
    """A column beside the scores, row by row."""
    opened = runs.open_run(run)
    return pq.read_table(carried.folder(opened, name), partitioning=None)["value"].to_pylist()


def kept(run):
    return np.array(pq.read_table(runs.open_run(run).filter)["keep"].to_pylist())


def reasons(run):
    return pq.read_table(runs.open_run(run).filter)["reason"].to_pylist()


def test_the_run_of_a_dataset_has_every_row_and_the_numbers_of_its_examples(run, tmp_path, rows):
    scores = pq.read_table(runs.open_run(run).scores, partitioning=None)
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


def test_ifd_keeps_the_highest_share_of_those_below_one(run):
    found = curate.select_sft(run=run, by="ifd", rate=0.25)
    values = np.array(read(run, "ifd_ppl"), dtype=float)
    below = np.flatnonzero(values < 1)
    wanted = below[np.argsort(values[below])][len(below) - round(len(below) / 4) :]
    assert abs(kept(run).sum() - len(below) / 4) <= 1 and len(below) < 26
    assert set(np.flatnonzero(kept(run))) <= set(below) and values[kept(run)].min() >= values[wanted].min() - 1e-12
    assert found.kept.documents == kept(run).sum()
    assert (
        found.read.documents
        == 28
        == found.kept.documents + sum(share.documents for share in found.rejected.values()) + (found.unreadable)
    )
    above = np.flatnonzero(values >= 1)
    assert {reasons(run)[at] for at in above} == {"ifd_below_1 is null"}
    assert reasons(run)[26] == "unscored: unscorable"


def test_per_prompt_keeps_the_likeliest_answer_of_each_prompt(run):
    curate.select_sft(run=run, by="per-prompt")
    nats = pq.read_table(runs.open_run(run).scores, partitioning=None).select(["nats", "tokens"]).to_pylist()
    means = [one["nats"] / one["tokens"] for one in nats[:26]]
    wanted = [True] * 20
    for begin in (20, 23):
        best = begin + int(np.argmin(means[begin : begin + 3]))
        wanted += [at == best for at in range(begin, begin + 3)]
    assert kept(run)[:26].tolist() == wanted and not kept(run)[26:].any()
    assert len(set(read(run, "asked")[:26])) == 22


@pytest.mark.parametrize(("by", "middle"), [("ppl", 0.25), ("middle", 0.5)])
def test_lowest_and_middle_keep_half_by_the_perplexity_of_the_answers(run, by, middle):
    curate.select_sft(run=run, by=by)
    perplexity = np.array(
        pq.read_table(runs.open_run(run).scores, partitioning=None)["perplexity"].to_pylist()[:26], float
    )
    ranks = np.argsort(np.argsort(perplexity)) / 25
    assert kept(run).sum() == 13 and np.mean(ranks[kept(run)[:26]]) == pytest.approx(middle, abs=0.03)


def test_what_is_kept_is_exported_with_its_own_columns_and_can_be_explained(run, tmp_path, rows):
    curate.select_sft(run=run, by="ppl", rate=0.5)
    curate.export(str(tmp_path / "out"), run=run)
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    wanted = [row["question"] for row, keep in zip(rows, kept(run), strict=True) if keep]
    assert loaded["question"][:] == wanted and "answer" in loaded.column_names
    dropped = int(np.flatnonzero(~kept(run)[:26])[0])
    assert "perplexity above percentile 50" in curate.explain(f"asked.jsonl:{dropped}", run=run).render()
    assert curate.status(run=run).as_dict()["kept"] == 13


def test_filter_may_ask_for_the_same_numbers(run):
    found = curate.filter(run=run, where="ifd_ppl < 1 and prompt_tokens > 3")
    values = np.array(read(run, "ifd_ppl"), dtype=float)
    assert found.kept.documents == int((values < 1).sum())


def test_rows_that_were_not_drawn_say_so_and_are_never_kept(tmp_path, llama, rows):
    data = sft.write(tmp_path / "some.jsonl", rows[:20])
    options = {"model": llama, "exact": True, "draws": 100, "out": str(tmp_path / "ranked")}
    found = curate.rank_sft([data], sample=8, examples=str(tmp_path / "runs"), **options)
    table = pq.read_table(runs.open_run(found.runs[0]).scores, partitioning=None)
    assert table["status"].to_pylist().count("not_sampled") == 12
    chosen = curate.select_sft(run=found.runs[0], by="ppl", rate=0.5)
    assert chosen.kept.documents == 4 and chosen.rejected["unscored: not_sampled"].documents == 12


def test_every_answer_of_a_tree_counts_to_its_row(tmp_path, llama):
    def say(text, role, *replies):
        return {"text": text, "role": role, "replies": list(replies)}

    tree = say("Why?", "prompter", say(SAID[0], "assistant"), say(SAID[1], "assistant"))
    data = sft.write(tmp_path / "trees.jsonl", [{"message_tree_id": "1", "prompt": tree}])
    options = {"model": llama, "exact": True, "draws": 100, "sample": 0, "out": str(tmp_path / "ranked")}
    found = curate.rank_sft([data], examples=str(tmp_path / "runs"), **options)
    parts = pq.read_table(next((tmp_path / "ranked" / "responses").rglob("trees.parquet"))).to_pylist()
    scores = pq.read_table(runs.open_run(found.runs[0]).scores, partitioning=None).to_pylist()
    assert len(parts) == 2 and len(scores) == 1
    assert scores[0]["tokens"] == sum(one["tokens"] for one in parts)
    assert scores[0]["nats"] == pytest.approx(sum(one["nats"] for one in parts))


def test_mistakes_are_said(run, tmp_path):
    with pytest.raises(UsageError, match="--by best is no criterion"):
        curate.select_sft(run=run, by="best")
    with pytest.raises(UsageError, match="both say how much"):
        curate.select_sft(run=run, by="ppl", rate=0.5, tokens="1k")
    with pytest.raises(UsageError, match="one answer for each prompt"):
        curate.select_sft(run=run, by="per-prompt", rate=0.5)
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "one"}\n')
    curate.score([str(texts)], model="none", run=str(tmp_path / "plain"))
    with pytest.raises(TableError, match="has no numbers of answers"):
        curate.select_sft(run=str(tmp_path / "plain"))
