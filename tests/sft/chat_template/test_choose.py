"""Which template is taken: plain, ChatML, the tokenizer's own or a file, and what cannot be one."""

import pickle

import pytest
from helpers.chat_templates import (
    CHATML,
    LLAMA3,
    QWEN25,
    THREE,
    ZEPHYR,
    byte_level,
    owned,
    spelled,
    talk,
    template_of,
    tokens_of,
)

from curate.corpus.chat.types import Turn
from curate.errors import UsageError
from curate.runtime.calls import VerbCall, under_way
from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.loss_mask import mark_scored


def test_the_plain_template_writes_this():
    template = choose_template(byte_level(), "plain")
    turns = [*THREE[:3], Turn("tool", "T"), Turn("assistant", "ok")]
    rendered = template.render(turns, [2, 4], tools='[{"name": "é"}]')
    assert mark_scored(rendered, tokens_of(rendered)) == (
        '### System:\n[{"name": "é"}]\n\n### System:\nBe short.\n\n### Question:\nHello\n\n'
        "### Answer:\n⟦I am fine.</s>⟧\n\n### Tool:\nT\n\n### Answer:\n⟦ok</s>⟧\n\n"
    )
    assert rendered.notes == ()
    assert choose_template(byte_level()).source == template.source  # a tokenizer without a template of its own
    inner = choose_template(byte_level(), "plain", end_of_turn=False).render(talk("Hello", "yes"), [1])
    assert mark_scored(inner, tokens_of(inner)).endswith("### Answer:\n⟦yes⟧</s>\n\n")


def test_chatml_ends_a_turn_also_where_its_marks_are_plain_text():
    known = choose_template(byte_level(), "chatml").render(THREE, [2, 4])
    assert known == template_of(CHATML).render(THREE, [2, 4])
    unknowing = byte_level(controls=("</s>",))
    rendered = choose_template(unknowing, "chatml").render(THREE, [2, 4])
    assert rendered.text == known.text and rendered.spans == known.spans
    assert (
        "".join(owned(rendered, unknowing, owner=1)) == "4<|im_end|>" and len(owned(rendered, unknowing, owner=1)) > 3
    )


def test_auto_takes_the_tokenizers_own_template():
    tokenizer = pickle.loads(pickle.dumps(byte_level()))
    tokenizer.chat_template = LLAMA3
    template = choose_template(tokenizer, model="some/model")
    assert template.name == "chat template of some/model" and template.source == LLAMA3
    tokenizer.chat_template = {"default": CHATML, "tool_use": QWEN25}
    template = choose_template(tokenizer)
    assert template.render(talk("a", "b"), [1]).text.startswith("<|im_start|>user")
    assert "<tools>" in template.render(talk("a", "b"), [1], tools='[{"name": "x"}]').text
    tokenizer.chat_template = {"rag": CHATML}
    with pytest.raises(UsageError, match="none by default"):
        choose_template(tokenizer)


def test_a_file_is_a_template(tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text(LLAMA3)
    template = choose_template(byte_level(), str(path))
    assert template.name == str(path) and spelled(template.source, THREE)[0][1] == "4<|eot_id|>"


def test_what_cannot_be_a_template_is_said(tmp_path):
    with pytest.raises(UsageError, match="template file alpaca does not exist"):
        choose_template(byte_level(), "alpaca")
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% for m in messages %}\n{{ m.content }}\n{% endfro %}")
    with pytest.raises(UsageError, match=r"broken\.jinja, line 3: .*endfro"):
        choose_template(byte_level(), str(broken))
    broken.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        choose_template(byte_level(), str(broken))
    endless = byte_level(controls=("<|im_end|>",), eos=None)
    with pytest.raises(UsageError, match="ends an answer with EOS, which the tokenizer of M does not have"):
        choose_template(endless, "plain", model="M")
    assert choose_template(endless, "plain", end_of_turn=False).render(talk("a", "b"), [1]).text.endswith("b\n\n")
    broken.write_text(ZEPHYR)
    with pytest.raises(UsageError, match="writes eos_token, which the tokenizer of M does not have"):
        choose_template(endless, str(broken), model="M")


@pytest.mark.parametrize(
    ("own", "ends", "typed", "followed"),
    [
        ("", "</s>", "trl", "curate rank-sft a --template plain"),
        ("", None, "plain", "curate rank-sft a --template chatml"),
        ("", None, "auto", "curate rank-sft a --template chatml"),
        ("{{ broken", "</s>", "auto", "curate rank-sft a --template plain"),
        (CHATML, "</s>", "none.jinja", "curate rank-sft a"),
        ("{{ broken", None, "none.jinja", "curate rank-sft a --template chatml"),
        (CHATML, "</s>", "trl,plain", "curate rank-sft a --template plain"),
    ],
)
def test_the_hint_of_a_template_that_cannot_be_used_names_one_that_can(own, ends, typed, followed):
    """Premise: TRL has no training variant of these templates."""
    tokenizer = pickle.loads(pickle.dumps(byte_level()))
    tokenizer.chat_template, tokenizer.eos_token = own or None, ends
    refused = typed.split(",")[0]
    call = VerbCall("rank_sft", {"data": ["a"], "template": typed}, ("data",), {"template": "auto"})
    with under_way(call), pytest.raises(UsageError) as raised:
        choose_template(tokenizer, refused)
    assert raised.value.hint == followed
    words = raised.value.hint.split()
    choose_template(tokenizer, words[-1] if "--template" in words else "auto")
