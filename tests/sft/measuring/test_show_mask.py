"""``--show-mask`` marks what is scored, audits a template's own marks, and measures nothing."""

import pytest
from helpers import sft_datasets as sft

import curate

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def test_show_mask_marks_what_is_scored_and_measures_nothing(tmp_path, llama, maths):
    found = curate.rank_sft([maths], model=llama, show_mask=2, template="chatml", out=str(tmp_path / "ranked"))
    assert not (tmp_path / "ranked").exists() and len(found.examples) == 2
    for one in found.examples:
        answer = next(row["answer"] for row in sft.MATHS if row["question"] in one.text)
        assert f"⟦{answer}<|im_end|>⟧" in one.text and one.text.count("⟦") == 1
    assert "tokens are scored" in found.render()


def test_a_template_with_generation_marks_is_audited(tmp_path, maths):
    marked = (
        "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{{ eos_token }}"
        "{% endgeneration %}{% else %}Q:{{ m.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}A:{% endif %}"
    )
    place = sft.tiny(tmp_path / "model", chat_template=marked)
    found = curate.rank_sft([maths], model=place, show_mask=1)
    assert "own {% generation %} mask agrees on" in found.examples[0].audit and "only" not in found.examples[0].audit
    other = curate.rank_sft([maths], model=place, show_mask=1, end_of_turn=False)
    assert "1 are only its ('<|endoftext|>')" in other.examples[0].audit
