"""``--chat-model`` gives three readings of each dataset, and words that place it among the others."""

import math

import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

import curate
from curate.sft.ranking.chat_comparison import interpret_readings
from curate.sft.ranking.intervals import Interval

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_chat_model_gives_three_readings(tmp_path, llama):
    chat = sft.tiny(tmp_path / "chat", "llama", seed=3, chat_template=CHATML)
    data = [sft.write(tmp_path / f"d{at}.jsonl", sft.MATHS[8 * at : 8 * at + 8]) for at in range(3)]
    found = rank(*data, model=llama, chat_model=chat, out=str(tmp_path / "ranked"))
    assert len(found.readings) == 3
    one = found.readings[0].as_dict()
    assert one["base_raw"]["bits_per_byte"] != one["chat_raw"]["bits_per_byte"] != one["chat_template"]["bits_per_byte"]
    text = f"{sft.MATHS[0]['question']}\n\n{sft.MATHS[0]['answer']}"
    alone = sft.write(tmp_path / "one.jsonl", [{"text": text}])
    scored = curate.score([alone], model=llama, run=str(tmp_path / "run"), exact=True)
    single = rank(
        sft.write(tmp_path / "single.jsonl", sft.MATHS[:1]), model=llama, chat_model=chat, out=str(tmp_path / "r2")
    )
    assert single.readings[0].base_raw.value == pytest.approx(scored.bits_per_byte, rel=1e-5)
    assert "fewer than three" in single.readings[0].advice and math.isnan(single.readings[0].base_raw.low)


def read_around(base, chat=None, answers=1.0):
    """The three readings of a dataset in bits per byte, each with an interval of 1 % and a perplexity."""
    return tuple((Interval(value, value * 0.99, value * 1.01), 7.0) for value in (base, chat or base, answers))


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (read_around(2.0), ("foreign", "ordinary", "continued pre-training on its domain first")),
        (
            read_around(2.0, 1.5),
            ("foreign", "ordinary", "continued pre-training on its domain first, of which the chat model has had some"),
        ),
        (read_around(1.0, answers=2.0), ("ordinary", "foreign", "fine-tuning has something to teach")),
        (read_around(0.5, answers=0.5), ("familiar", "familiar", "little that the chat model would not say already")),
        (read_around(1.105), ("ordinary", "ordinary", "no need of continued pre-training")),
    ],
)
def test_words_place_a_dataset_beside_the_median_of_all(reading, words):
    """Premise: the other four datasets are alike, so that theirs is the median."""
    others = [(name, *read_around(1.0)) for name in "abcd"]
    found = interpret_readings([*others, ("e", *reading)])[-1]
    assert (found.domain, found.alignment, found.advice) == words
    assert (found.base_raw, found.chat_raw, found.chat_template) == tuple(interval for interval, _ in reading)
    (alone,) = interpret_readings([("e", *reading)])
    assert (alone.domain, alone.alignment) == ("–", "–") and "fewer than three" in alone.advice
