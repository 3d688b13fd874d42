"""Answers, measured: a prefix that the template writes itself stands once, as in training."""

import numpy as np
import pytest
from helpers import sft_datasets as sft

from curate.reference.protocol import ScoringConfig
from curate.sft.datasets import draw_sample, open_set
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

WITH_BOS = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


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
