"""``--chat-model`` gives three readings of each dataset."""

import math

import pytest
from helpers import sft_datasets as sft
from helpers.sft_rankings import rank

import curate

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
