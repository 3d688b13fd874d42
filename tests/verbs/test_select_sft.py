"""``curate select-sft``: what is kept of a dataset by the numbers of its examples."""

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.example_runs import make_example_run, make_rows, read

import curate
from curate.errors import TableError, UsageError
from curate.rundir.run import open_run

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture
def run(tmp_path, llama, rows):
    return make_example_run(tmp_path, llama, rows)


def kept(run):
    return np.array(pq.read_table(open_run(run).filter)["keep"].to_pylist())


def reasons(run):
    return pq.read_table(open_run(run).filter)["reason"].to_pylist()


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


def test_a_run_in_a_store_is_selected_from_on_a_host_that_has_nothing_of_it(run, bucket, change_host):
    url = bucket.upload(run, "examples/one")
    change_host("other")
    assert curate.select_sft(run=url, by="ifd", rate=0.25).kept == curate.select_sft(run=run, by="ifd", rate=0.25).kept


def test_per_prompt_keeps_the_likeliest_answer_of_each_prompt(run):
    curate.select_sft(run=run, by="per-prompt")
    nats = pq.read_table(open_run(run).scores, partitioning=None).select(["nats", "tokens"]).to_pylist()
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
    perplexity = np.array(pq.read_table(open_run(run).scores, partitioning=None)["perplexity"].to_pylist()[:26], float)
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "best"}, "--by must be one of ifd, ppl, middle, per-prompt, not best"),
        ({"by": "ppl", "rate": 0.5, "tokens": "1k"}, "both set how much"),
        ({"by": "per-prompt", "rate": 0.5}, "one answer for each prompt"),
        ({"rate": 0.0}, "--rate must be greater than 0 and at most 1, not 0.0"),
    ],
)
def test_options_that_contradict_one_another_or_are_out_of_range_are_refused(run, options, message):
    with pytest.raises(UsageError, match=message) as raised:
        curate.select_sft(run=run, **options)
    assert not open_run(run).filter.exists()
    if "by" in options and "rate" in options:
        kept_rate = "" if options["by"] == "per-prompt" else " --rate 0.5"
        assert raised.value.hint == f"curate select-sft --run {run} --by {options['by']}{kept_rate}"


def test_a_run_without_numbers_of_examples_is_refused_with_the_command_that_makes_one(run, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "one"}\n')
    curate.score([str(texts)], model="none", run=str(tmp_path / "plain"))
    unfinished = open_run(run)
    unfinished.save("score", {**unfinished.stage("score"), "complete": False})
    for path in (str(tmp_path / "plain"), str(tmp_path / "missing"), run):
        with pytest.raises(TableError, match=f"{path} is not the run of a dataset") as raised:
            curate.select_sft(run=path)
        assert raised.value.hint == "curate rank-sft DATA --sample-size 0 --examples OUT"
    assert not (tmp_path / "missing").exists()
