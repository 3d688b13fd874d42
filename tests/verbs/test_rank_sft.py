"""``curate rank-sft``: known orders under the builtin, and the ranking on disk and on the screen."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import names

import curate

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def read_responses(ranking, name):
    """The measured examples of a dataset by the hash of their answers."""
    table = pq.read_table(next((Path(ranking.out) / "responses").rglob(f"{name}.parquet")))
    return {row["answered"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """One ranking of a dataset, its copy in another schema, two spoilt copies, and one that says one thing only."""
    folder = tmp_path_factory.mktemp("orders")
    rows = sft.MATHS[:60]
    data = [
        sft.write(folder / "shuffled_words.jsonl", sft.with_shuffled_words(rows)),
        sft.write(folder / "one_answer.jsonl", [{"question": row["question"], "answer": "Yes."} for row in rows]),
        sft.write(folder / "others_answers.jsonl", sft.with_others_answers(rows)),
        sft.write(folder / "maths.jsonl", rows),
        sft.write(folder / "as_messages.jsonl", sft.as_messages(list(reversed(rows)))),
    ]
    return curate.rank_sft(data, out=str(folder / "ranked"), examples=str(folder / "runs"))


def test_a_dataset_ranks_above_its_answers_given_to_other_prompts_and_above_its_words_shuffled(orders):
    found = names(orders)
    assert max(found.index("maths"), found.index("as_messages")) < found.index("others_answers")
    ranks = {one.name: one for one in orders.table.datasets}
    assert ranks["others_answers"].rank_high < ranks["shuffled_words"].rank_low
    for one in ("rsr", "residual", "first_64", "ifd_ppl", "bits_per_byte"):
        own, others = (ranks[name].scores[one] for name in ("maths", "others_answers"))
        assert own.value < others.value, one


def test_the_same_answers_are_likelier_after_their_own_prompts_and_as_likely_without_any(orders):
    """Premise: the same answers, so that each has its twin: the difference is taken answer by answer."""
    own, others = (read_responses(orders, name) for name in ("maths", "others_answers"))
    assert own.keys() == others.keys() and len(own) == 60
    gains = np.array([(others[at]["nats"] - own[at]["nats"]) / own[at]["tokens"] for at in own])
    assert gains.mean() > 4 * gains.std(ddof=1) / np.sqrt(len(gains))
    for at in own:
        assert own[at]["unconditional_nats"] == pytest.approx(others[at]["unconditional_nats"], rel=0.01)


def test_a_copy_in_another_schema_and_order_is_equal_and_not_told_apart(orders):
    own, copy = ({one.name: one for one in orders.table.datasets}[name] for name in ("maths", "as_messages"))
    assert copy.scores["perplexity"].value == pytest.approx(own.scores["perplexity"].value, rel=1e-4)
    assert set(own.group) & set(copy.group)
    pair = next(one for one in orders.table.pairs if {one.better, one.worse} == {"maths", "as_messages"})
    assert not pair.separated


def test_a_dataset_that_repeats_one_answer_is_set_aside_and_not_crowned(orders):
    last = orders.table.datasets[-1]
    assert last.name == "one_answer" and last.set_aside and last.rank is None
    assert last.scores["perplexity"].value < 1000 and orders.table.datasets[0].name in ("maths", "as_messages")
    assert "set aside   one_answer: repeats its answers: 1 different among 60" in orders.render()


def test_the_ranking_on_disk_is_the_ranking(orders):
    out = Path(orders.out)
    record = json.loads((out / "ranking.json").read_text())
    assert [one["name"] for one in record["datasets"]] == names(orders)
    assert record["datasets"][0]["perplexity"] == pytest.approx(orders.table.datasets[0].scores["perplexity"].value)
    low, high = record["datasets"][0]["intervals"]["perplexity"]
    assert low < record["datasets"][0]["perplexity"] < high
    assert record["datasets"][-1]["rank"] is None
    table = pq.read_table(out / "ranking.parquet").to_pylist()
    assert [one["name"] for one in table] == names(orders)
    assert table[0]["perplexity_low"] == pytest.approx(low)
    assert (out / "ranking.html").stat().st_size > 1000


def test_the_screen_says_what_the_ranking_means_and_fits_in_100_columns(orders):
    text = orders.render().replace(orders.out, "ranked").replace(str(Path(orders.out).parent), "out")
    assert max(map(len, text.splitlines())) <= 100
    assert "arXiv 2506.14681" in text and "not whether they are right" in text
    told = re.search(r"(maths|as_messages) and (maths|as_messages) cannot be told apart with 60 examples; (.*)", text)
    assert told and told[3] in ("they are the same", "the difference is next to nothing"), "bf16 rounds by the pack"
