"""Which tokens of a conversation are scored, against masks made by hand for the common formats."""

import pickle

import numpy as np
import pytest
from helpers.chat_templates import (
    BY_HAND,
    CHATML,
    GEMMA,
    GENERATION,
    LLAMA2,
    LLAMA3,
    MISTRAL,
    THREE,
    byte_level,
    metaspace,
    owned,
    special,
    spelled,
    talk,
    template_of,
    tokens_of,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from curate.errors import ModelError
from curate.runtime.redaction import make_redactor
from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.loss_mask import ChatEncoder, audit_mask, mark_scored, require_scored
from curate.sft.chat_template.render import UNENDED, RenderError


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_scored_is_what_a_person_marked_by_hand(name):
    source, wanted = BY_HAND[name]
    tokenizer = metaspace() if name == "llama2" else byte_level()
    rendered = template_of(source, tokenizer).render(THREE, [2, 4])
    assert mark_scored(rendered, tokens_of(rendered, tokenizer)) == wanted


@pytest.mark.parametrize("name", BY_HAND)
def test_only_the_last_answer_is_scored_where_only_that_is_asked_for(name):
    source, wanted = BY_HAND[name]
    rendered = template_of(source).render(THREE, [4])
    before, _, last = wanted.rpartition("⟦")
    assert mark_scored(rendered, tokens_of(rendered)) == before.replace("⟦", "").replace("⟧", "") + "⟦" + last


def test_a_secret_across_the_edge_of_what_is_scored_is_hidden():
    rendered = template_of(CHATML).render(talk("my mail: jane.doe@", "corp.com, or 81.2.69.142"), [1])
    marked = mark_scored(rendered, tokens_of(rendered), make_redactor("default"))
    assert "[IP]" in marked and "81.2" not in marked and marked.count("⟦") == marked.count("⟧") == 1


def test_the_tokens_of_llama_2_are_these():
    rendered = template_of(LLAMA2, metaspace()).render(talk("Hello", "I am fine."), [1])
    assert rendered.text == "<s>[INST] Hello [/INST] I am fine. </s>"
    assert owned(rendered, metaspace()) == ["▁I", "▁am", "▁fine.", "▁", "</s>"]


def test_the_tokens_of_llama_3_and_gemma_are_these():
    turns = talk("Hello", "Hello there", "2 + 2", "I am fine.")
    for source, end in ((LLAMA3, "<|eot_id|>"), (GEMMA, "<end_of_turn>"), (CHATML, "<|im_end|>")):
        rendered = template_of(source).render(turns, [1, 3])
        assert owned(rendered, owner=0) == ["Hello", "Ġthere", end]
        assert owned(rendered, owner=1) == ["I", "Ġam", "Ġfine", ".", end]


def test_the_ids_are_those_of_transformers_and_no_bos_is_added():
    for source in (LLAMA3, CHATML, MISTRAL, GEMMA):
        template = template_of(source)
        turns = talk("Hé 🙂", "naïve 東京")
        rendered = template.render(turns, [1])
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        wanted = byte_level().apply_chat_template(messages, chat_template=source, return_dict=True)["input_ids"]
        assert tokens_of(rendered).ids.tolist() == wanted
        assert tokens_of(rendered).ids.dtype == np.int32


def test_a_token_that_begins_before_the_answer_is_not_scored():
    source = "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    rendered = template_of(source).render(talk("Hello", "there you are"), [1])
    assert rendered.text == "user: Hello\nassistant: there you are\n"
    assert [rendered.text[begin:end] for begin, end in rendered.spans] == ["there you are"]
    assert owned(rendered) == ["Ġyou", "Ġare"]  # Ġthere begins with the blank of the scaffold
    assert UNENDED in rendered.notes


def test_the_blank_after_a_generation_prompt_belongs_to_the_answer():
    source = (
        "{% for m in messages %}{{ m.role + ':' + ' ' + m.content + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    rendered = template_of(source).render(talk("Hello", "there you are"), [1])
    assert owned(rendered) == ["Ġthere", "Ġyou", "Ġare"]


@pytest.mark.parametrize("trim", [False, True])
def test_offsets_without_blanks_give_the_same_mask(trim):
    tokenizer = byte_level(trim=trim)
    rendered = template_of(MISTRAL, tokenizer).render(talk("how are you", "I am fine. "), [1])
    assert owned(rendered, tokenizer) == ["ĠI", "Ġam", "Ġfine", ".", "Ġ", "</s>"]
    source = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}"
    rendered = template_of(source, tokenizer).render(talk("Hello", "there you"), [1])
    assert owned(rendered, tokenizer) == ["Ġyou"]
    rendered = template_of(CHATML, tokenizer).render(talk("Hello", "Hello\n\nI am\n"), [1])
    assert "".join(owned(rendered, tokenizer)) == "HelloĊĊIĠamĊ<|im_end|>"
    assert mark_scored(rendered, tokens_of(rendered, tokenizer)).endswith("assistant\n⟦Hello\n\nI am\n<|im_end|>⟧\n")


def test_a_blank_that_belongs_to_the_token_before_does_not_make_the_first_word_straddle():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*alphabet, ":Ġ"])}
    backend = Tokenizer(models.BPE(vocabulary, [(":", "Ġ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    source = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}"
    rendered = template_of(source, tokenizer).render(talk("Hello", "yes"), [1])
    assert ":Ġ" in tokenizer.tokenize(rendered.text)
    assert owned(rendered, tokenizer) == ["y", "e", "s"]


def test_a_token_that_begins_in_the_answer_and_runs_out_of_it_is_scored():
    source = "{% for m in messages %}{{ '<|im_start|>' + m.content + 're you' }}{% endfor %}"
    rendered = template_of(source).render(talk("Hello", "Hello the"), [1])
    assert owned(rendered) == ["Hello", "Ġthere"]


def test_a_tokenizer_that_leaves_white_space_out_loses_no_first_word_after_a_line_end():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2, "</s>": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([special("</s>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
    rendered = choose_template(tokenizer, "plain").render(talk("b", "a b"), [1])
    assert owned(rendered, tokenizer) == ["a", "b", "</s>"]
    source = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}"
    rendered = template_of(source, tokenizer).render(talk("b", "a b"), [1])
    assert owned(rendered, tokenizer) == ["b"]


def test_emoji_and_accents_are_scored_whole_though_tokens_split_them():
    found, rendered = spelled(CHATML, talk("🙂 é", "🙂é 東京 👩‍👩‍👧"))
    assert found == ["🙂é 東京 👩‍👩‍👧<|im_end|>"]
    tokens = tokens_of(rendered)
    assert byte_level().decode(tokens.ids[tokens.owner == 0]) == found[0]
    assert mark_scored(rendered, tokens).endswith("assistant\n⟦🙂é 東京 👩‍👩‍👧<|im_end|>⟧\n")


def test_a_mask_without_a_token_is_an_error_that_names_the_template():
    template = template_of("{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}")
    rendered = template.render(talk("Hello", "there"), [1])
    with pytest.raises(RenderError, match="no token is scored under the template T"):
        require_scored(template, tokens_of(rendered))
    assert mark_scored(rendered, tokens_of(rendered)) == rendered.text
    require_scored(template, tokens_of(template.render(talk("Hello", "there you"), [1])))


def test_an_audit_agrees_where_the_template_marks_what_we_score():
    template = template_of(GENERATION)
    rendered = template.render(THREE, [2, 4])
    tokens = tokens_of(rendered)
    found = audit_mask(template, THREE, rendered, tokens)
    assert found.both == (tokens.owner >= 0).sum() > 6 and found.ours == found.theirs == 0
    assert found.ours_texts == found.theirs_texts == ()
    last = template.render(THREE, [4])
    assert audit_mask(template, THREE, last, tokens_of(last)) == found
    assert audit_mask(template_of(CHATML), THREE, rendered, tokens) is None


def test_an_audit_shows_where_the_template_marks_something_else():
    within = GENERATION.replace(
        "{{ message.content + '<|im_end|>' }}{% endgeneration %}", "{{ message.content }}{% endgeneration %}<|im_end|>"
    )
    assert within != GENERATION
    template = template_of(within)
    rendered = template.render(THREE, [2, 4])
    found = audit_mask(template, THREE, rendered, tokens_of(rendered))
    assert (found.ours, found.theirs, found.ours_texts) == (2, 0, ("<|im_end|>", "<|im_end|>"))
    wide = GENERATION.replace("{{ '\\n' }}{% endfor", "{{ '\\n' }}{% endfor").replace(
        "+ '<|im_end|>' }}{% endgen", "+ '<|im_end|>\\n' }}{% endgen"
    )
    template = template_of(wide, end_of_turn=False)
    rendered = template.render(THREE, [2, 4])
    found = audit_mask(template, THREE, rendered, tokens_of(rendered))
    assert found.ours == 0 and [text.strip() for text in found.theirs_texts] == ["<|im_end|>"] * 2


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="gives no character offsets"):
        ChatEncoder(object())


def test_truncation_and_padding_of_a_tokenizer_are_not_ours():
    tokenizer = pickle.loads(pickle.dumps(byte_level()))
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=4000)
    rendered = template_of(CHATML).render(THREE, [2, 4])
    assert np.array_equal(tokens_of(rendered, tokenizer).ids, tokens_of(rendered).ids)
