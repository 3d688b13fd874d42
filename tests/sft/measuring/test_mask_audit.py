"""Our loss mask beside that of a template: counts over several examples, and the line that sums them up."""

import pytest
from helpers import sft_datasets as sft

from curate.reference.protocol import ScoringConfig
from curate.sft.chat_template.loss_mask import MaskAudit
from curate.sft.datasets import draw_sample, open_set
from curate.sft.measuring.mask_audit import audit_examples, describe_audit
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader
from curate.sft.measuring.responses import render_examples

MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{{ eos_token }}"
    "{% endgeneration %}{% else %}Q:{{ m.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)


@pytest.mark.parametrize("end_of_turn", [True, False])
def test_an_audit_adds_up_the_tokens_of_its_examples(tmp_path, maths, end_of_turn):
    """Premise: the template marks the end of turn, and nothing else that an answer does not have."""
    model = sft.tiny(tmp_path / "model", chat_template=MARKED)
    reader = open_reader(ModelVariant(model, "auto"), ScoringConfig(), RankingOptions(end_of_turn=end_of_turn))
    drawn = draw_sample(open_set(maths), 5, 0).examples
    scored = sum(int((one.tokens.owner >= 0).sum()) for one in render_examples(reader, drawn))
    ends = () if end_of_turn else ("<|endoftext|>",) * 5
    assert audit_examples(reader, drawn) == MaskAudit(scored, 0, len(ends), (), ends)


def test_a_template_that_marks_nothing_and_no_examples_give_no_audit(llama, tmp_path, maths):
    reader = open_reader(ModelVariant(llama, "plain"), ScoringConfig(), RankingOptions())
    assert audit_examples(reader, draw_sample(open_set(maths), 2, 0).examples) is None
    marked = open_reader(
        ModelVariant(sft.tiny(tmp_path / "model", chat_template=MARKED), "auto"), ScoringConfig(), RankingOptions()
    )
    assert audit_examples(marked, []) is None


def test_a_line_names_what_either_mask_alone_scores():
    agreed = "the template's own {% generation %} mask agrees on 1,234 tokens"
    assert describe_audit(MaskAudit(1234, 0, 0, (), ())) == agreed
    audit = MaskAudit(1234, 2, 1, ("<end>", "<end>"), ("x" * 30,))
    assert describe_audit(audit) == f"{agreed}; 2 are only ours ('<end>'); 1 are only its ('{'x' * 20}')"
