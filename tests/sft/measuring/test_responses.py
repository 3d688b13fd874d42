"""Measured answers: the nats of the literature's loop in exact mode, and sums counted by hand."""

import json

import numpy as np
import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

from curate.reference.protocol import ScoringConfig
from curate.sft.datasets import draw_sample, open_set
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

WITH_BOS = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.mark.parametrize("turns", ["all", "last"])
def test_exact_mode_gives_the_nats_of_the_loop_with_full_logits_and_masked_labels(tmp_path, llama, turns):
    rows = [json.loads(line) for line in (sft.SAMPLE / "oasst.jsonl").read_text().splitlines()]
    short = [row for row in rows if sum(len(one["content"]) for one in row["messages"]) < 500]
    data = sft.write(tmp_path / "talk.jsonl", short[:6])
    options = RankingOptions(turns, True, None, 0, 100, "perplexity", None)
    reader = open_reader(ModelVariant(llama, "auto"), ScoringConfig(exact=True), options)
    drawn = draw_sample(open_set(data), None, 0, turns)
    (table,) = responses.measure_examples(reader, drawn.examples)
    assert set(table["status"].to_pylist()) == {"ok"} and max(table["answers"].to_pylist()) == (
        2 if turns == "all" else 1
    )
    for row, one in zip(table.to_pylist(), responses.render_examples(reader, drawn.examples), strict=True):
        scored = one.tokens.owner >= 0
        assert row["tokens"] == scored.sum()
        assert row["nats"] == pytest.approx(sft.loop(llama, one.tokens.ids.tolist(), scored), abs=1e-5 * row["tokens"])
        alone = 0.0
        for span in range(row["answers"]):
            ids = one.tokens.ids[one.tokens.owner == span]
            alone += sft.loop(llama, ids.tolist(), np.ones(len(ids), bool))
        assert row["unconditional_nats"] == pytest.approx(alone, abs=1e-5 * row["tokens"])
        last = int(np.flatnonzero(scored)[-1]) + 1
        whole = sft.loop(llama, one.tokens.ids[:last].tolist(), np.ones(last, bool))
        assert row["full_nats"] == pytest.approx(whole, abs=1e-5 * last)
        assert row["full_tokens"] == last and row["prompt_tokens"] == last - scored.sum()


def test_the_sums_of_an_example_are_those_of_its_tokens(tmp_path, llama, maths):
    """First tokens, bytes and control tokens, counted by hand."""
    options = RankingOptions("all", True, None, 0, 100, "perplexity", None)
    reader = open_reader(ModelVariant(llama, "plain"), ScoringConfig(exact=True), options)
    drawn = draw_sample(open_set(maths), None, 0)
    (table,) = responses.measure_examples(reader, drawn.examples)
    for row, one in zip(table.to_pylist(), drawn.examples, strict=True):
        answer = one.example.turns[-1].text
        assert row["bytes"] == len(answer.encode())
        assert row["first_tokens"] == min(row["tokens"], responses.FIRST)
        assert row["content_nats"] < row["nats"] and row["first_nats"] <= row["nats"]
        assert row["tokens"] <= row["ranks"] <= responses.RANK_CLIP * row["tokens"]


def test_without_the_end_of_turn_one_token_less_is_scored(tmp_path, llama, maths):
    one = rank(maths, model=llama, out=str(tmp_path / "a"))
    other = rank(maths, model=llama, out=str(tmp_path / "b"), end_of_turn=False)
    tokens = [each.table.datasets[0].scores["response_tokens"].value for each in (one, other)]
    assert tokens[0] - tokens[1] == pytest.approx(1)


def test_a_prefix_that_the_template_writes_is_read_once(tmp_path):
    """Premise: the rendering begins with the id that the model takes as its prefix, and fits into one window."""
    llama = sft.tiny(tmp_path / "llama", chat_template=WITH_BOS)
    short = [row for row in sft.MATHS if len(row["question"] + row["answer"]) < 400]
    data = sft.write(tmp_path / "maths.jsonl", short[:3])
    options = RankingOptions("all", True, None, 0, 100, "perplexity", None)
    reader = open_reader(ModelVariant(llama, "auto"), ScoringConfig(exact=True), options)
    drawn = draw_sample(open_set(data), None, 0).examples
    (table,) = responses.measure_examples(reader, drawn)
    for row, one in zip(table.to_pylist(), responses.render_examples(reader, drawn), strict=True):
        assert one.tokens.ids[0] == reader.reference.prefix and row["windows"] == 1
        ids, scored = one.tokens.ids[1:], one.tokens.owner[1:] >= 0
        nats = sft.loop(llama, ids.tolist(), scored)
        assert row["nats"] == pytest.approx(nats, abs=1e-5 * row["tokens"])
        last = int(np.flatnonzero(scored)[-1]) + 1
        whole = sft.loop(llama, ids[:last].tolist(), np.ones(last, bool))
        assert row["full_nats"] == pytest.approx(whole, abs=1e-5 * last) and row["full_tokens"] == last
