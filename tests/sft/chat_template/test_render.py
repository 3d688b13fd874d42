"""Which characters and tokens of a conversation are scored, against masks made by hand for the common formats."""

import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from curate.conversation import Turn
from curate.errors import ModelError, UsageError
from curate.masking import ChatEncoder, audit, mark, require_scored
from curate.rendering import CHANGED, MOVED, TOOLLESS, UNENDED, UNREASONED, RenderError, Template
from curate.scaffolds import marked, place, place_between, read_scaffold
from curate.templates import choose_template

LLAMA2 = """\
{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}\
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}\
{% for message in rest %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if loop.index0 == 0 and system != false %}\
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

LLAMA3 = """\
{% for message in messages %}\
{% set header = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' %}\
{% set content = header + message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

CHATML = """\
{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

MISTRAL = """\
{{ bos_token }}{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}\
{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""

# As Mistral's later templates do, the system text stands in the last question.
MISTRAL3 = """\
{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}\
{% else %}{% set rest = messages %}{% endif %}{{ bos_token }}{% for message in rest %}\
{% if message['role'] == 'user' %}{% if loop.index0 >= rest | length - 2 and system is defined %}\
{{ '[INST] ' + system + '\\n\\n' + message['content'] + '[/INST]' }}\
{% else %}{{ '[INST] ' + message['content'] + '[/INST]' }}{% endif %}\
{% else %}{{ ' ' + message['content'] | trim + eos_token }}{% endif %}{% endfor %}"""

GEMMA = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

QWEN25 = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content }}{% else %}{{- 'You are helpful.' }}{% endif %}
    {{- '\\n\\n# Tools\\n\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{% endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Reasoning of earlier answers is left out, that of the last one is written anew, and an empty one where there is none.
QWEN3 = """\
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.last %}{{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}{% endif %}
        {{- content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

GENERATION = """\
{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}\
{% if message.role == 'assistant' %}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}\
{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

CONTROLS = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
)
TEXT = "Question Answer: Hello\nHello there, how are you today? I am fine. 2 + 2 = 4 assistant user model [INST] " * 20


def special(text):
    return AddedToken(text, special=True, normalized=False)


@cache
def byte_level(controls=CONTROLS, eos="</s>", trim=False):
    """A byte-level BPE whose control tokens are known."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=trim)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([TEXT], trainer)
    backend.add_special_tokens([special(text) for text in controls])
    bos = "<s>" if "<s>" in controls else None
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, eos_token=eos)


@cache
def metaspace():
    """As Llama 2's: blanks become ▁, one is put before a text, unknown characters fall to bytes."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    octets = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", *octets], show_progress=False)
    # Merges within words only: the blank is the beginning of a word, as SentencePiece has it.
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    backend.train_from_iterator([TEXT], trainer)
    backend.pre_tokenizer = None
    backend.add_special_tokens([special("<s>"), special("</s>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def template_of(source, tokenizer=None, end_of_turn=True, **options):
    return Template("T", source, tokenizer or byte_level(), end_of_turn, **options)


def talk(*texts, system=None):
    turns = [Turn(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]
    return turns if system is None else [Turn("system", system), *turns]


def answers(turns):
    return [number for number, turn in enumerate(turns) if turn.role == "assistant"]


def spelled(source, turns, tokenizer=None, scored=None, tools=None, **options):
    """What the spans hold, and the rendering."""
    found = template_of(source, tokenizer, **options).render(turns, answers(turns) if scored is None else scored, tools)
    return [found.text[begin:end] for begin, end in found.spans], found


def tokens_of(rendered, tokenizer=None):
    return ChatEncoder(tokenizer or byte_level()).encode([rendered])[0]


def owned(rendered, tokenizer=None, owner=None):
    """The scored tokens as the vocabulary spells them."""
    tokenizer = tokenizer or byte_level()
    found = tokens_of(rendered, tokenizer)
    chosen = found.owner >= 0 if owner is None else found.owner == owner
    return tokenizer.convert_ids_to_tokens(found.ids[chosen].tolist())


THREE = talk("Hello", "I am fine.", "2 + 2 = ?", "4", system="Be short.")

BY_HAND = {
    "llama2": (
        LLAMA2,
        "<s>[INST] <<SYS>>\nBe short.\n<</SYS>>\n\nHello [/INST]⟦ I am fine. </s>⟧<s>[INST] 2 + 2 = ? [/INST]⟦ 4 </s>⟧",
    ),
    "llama3": (
        LLAMA3,
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦I am fine.<|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\n2 + 2 = ?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦4<|eot_id|>⟧",
    ),
    "chatml": (
        CHATML,
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n⟦I am fine.<|im_end|>⟧\n<|im_start|>user\n2 + 2 = ?<|im_end|>\n"
        "<|im_start|>assistant\n⟦4<|im_end|>⟧\n",
    ),
    "mistral": (
        MISTRAL,
        "<s>[INST] Be short.\n\nHello [/INST]⟦ I am fine.</s>⟧[INST] 2 + 2 = ? [/INST]⟦ 4</s>⟧",
    ),
    "mistral3": (
        MISTRAL3,
        "<s>[INST] Hello[/INST]⟦ I am fine.</s>⟧[INST] Be short.\n\n2 + 2 = ?[/INST]⟦ 4</s>⟧",
    ),
    "gemma": (
        GEMMA,
        "<s><start_of_turn>user\nBe short.\n\nHello<end_of_turn>\n<start_of_turn>model\n⟦I am fine.<end_of_turn>⟧\n"
        "<start_of_turn>user\n2 + 2 = ?<end_of_turn>\n<start_of_turn>model\n⟦4<end_of_turn>⟧\n",
    ),
    "zephyr": (
        ZEPHYR,
        "<|system|>\nBe short.</s>\n<|user|>\nHello</s>\n<|assistant|>\n⟦I am fine.</s>⟧\n"
        "<|user|>\n2 + 2 = ?</s>\n<|assistant|>\n⟦4</s>⟧\n",
    ),
    "qwen2.5": (
        QWEN25,
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n⟦I am fine.<|im_end|>⟧\n<|im_start|>user\n2 + 2 = ?<|im_end|>\n"
        "<|im_start|>assistant\n⟦4<|im_end|>⟧\n",
    ),
    "qwen3": (
        QWEN3,
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n⟦I am fine.<|im_end|>⟧\n<|im_start|>user\n2 + 2 = ?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n⟦4<|im_end|>⟧\n",
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_scored_is_what_a_person_marked_by_hand(name):
    source, wanted = BY_HAND[name]
    tokenizer = metaspace() if name == "llama2" else byte_level()
    rendered = template_of(source, tokenizer).render(THREE, [2, 4])
    assert mark(rendered, tokens_of(rendered, tokenizer)) == wanted


@pytest.mark.parametrize("name", BY_HAND)
def test_only_the_last_answer_is_scored_where_only_that_is_asked_for(name):
    source, wanted = BY_HAND[name]
    rendered = template_of(source).render(THREE, [4])
    before, _, last = wanted.rpartition("⟦")
    assert mark(rendered, tokens_of(rendered)) == before.replace("⟦", "").replace("⟧", "") + "⟦" + last


@pytest.mark.parametrize("name", BY_HAND)
def test_without_the_end_of_turn_a_span_ends_with_the_text(name):
    found, rendered = spelled(BY_HAND[name][0], THREE, end_of_turn=False)
    assert [text.strip(" ") for text in found] == ["I am fine.", "4"]
    assert not any(text.endswith(" ") for text in found)
    assert UNENDED not in rendered.notes


@pytest.mark.parametrize("name", BY_HAND)
def test_a_single_answer_is_one_span_with_its_end_of_turn(name):
    turns = talk("Hello", "I am fine.")
    found, rendered = spelled(BY_HAND[name][0], turns)
    ends = ("</s>", "<|eot_id|>", "<|im_end|>", "<end_of_turn>")
    assert len(found) == 1 and found[0].strip(" ").startswith("I am fine.") and found[0].endswith(ends)
    assert rendered.notes == ()


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


def test_line_ends_before_an_answer_are_the_templates():
    source = CHATML.replace("<|im_start|>assistant\\n' }}{% endif", "<|im_start|>assistant' }}{% endif")
    assert source != CHATML and spelled(source, talk("Hello", "there"))[0] == ["there<|im_end|>"]


def test_an_end_of_text_ends_a_turn_also_on_a_line_of_its_own():
    source = "{% for m in messages %}{{ '### ' + m.role + '\\n' + m.content + '\\n' }}"
    assert spelled(source + "{{ eos_token }}{% endfor %}", talk("Hello", "yes"))[0] == ["yes\n</s>"]
    other = spelled(source + "<|im_start|>{% endfor %}", talk("Hello", "yes"))  # may as well begin the next turn
    assert other[0] == ["yes"] and other[1].notes == (UNENDED,)
    assert spelled("{% for m in messages %}<s>{{ m.content }}{% endfor %}<s>", talk("a", "yes"))[0] == ["yes"]


NASTY = (
    "4",
    " ",
    "\n",
    "a",
    "é",
    "🙂",
    "[INST]",
    " [/INST]",
    "</s>",
    "<|im_end|>\n",
    "<|im_start|>assistant\n",
    "model",
)
texts = st.lists(st.sampled_from(NASTY), max_size=5).map(lambda parts: "".join(parts) + "b")
PREFIXED = {"llama2", "llama3", "chatml", "mistral", "gemma", "zephyr", "qwen2.5"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=2, max_size=6).filter(lambda said: len(said) % 2 == 0), st.sampled_from(sorted(PREFIXED))
)
def test_a_span_begins_where_a_generation_prompt_ends_whatever_the_texts_are(said, name):
    template = template_of(BY_HAND[name][0])
    turns = talk(*said)
    rendered = template.render(turns, answers(turns))
    for turn, (begin, end) in zip(answers(turns), rendered.spans, strict=True):
        assert rendered.text[:begin] == template.apply(turns[:turn], None, add_generation_prompt=True)
        rest = "\n" if name in ("chatml", "gemma", "zephyr", "qwen2.5") else ""
        assert rendered.text[:end] + rest == template.apply(turns[: turn + 1], None)
    assert CHANGED not in rendered.notes


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
    assert mark(rendered, tokens_of(rendered, tokenizer)).endswith("assistant\n⟦Hello\n\nI am\n<|im_end|>⟧\n")


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


@pytest.mark.parametrize("name", BY_HAND)
def test_words_that_stand_in_the_prompt_too_are_scored_only_in_the_answer(name):
    source, _ = BY_HAND[name]
    turns = talk("4", "4", "4 4 assistant\n4", "4")
    rendered = template_of(source).render(turns, [1, 3])
    other = template_of(source).render(talk("5", "4", "6 6 assistant\n6", "4"), [1, 3])
    assert rendered.spans == other.spans
    text = rendered.text
    assert [text[begin:end].lstrip(" ")[0] for begin, end in rendered.spans] == ["4", "4"]


def test_an_answer_that_spells_what_the_template_writes_is_scored_whole():
    said = "<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nyes"
    turns = talk("Hello", said, "Hello", said)
    found, rendered = spelled(CHATML, turns)
    assert found == [said + "<|im_end|>"] * 2
    assert rendered.notes == ()
    asked = talk(said, "yes")
    found, rendered = spelled(CHATML, asked)
    assert found == ["yes<|im_end|>"] and rendered.text.endswith("yes<|im_end|>\n")
    assert owned(rendered)[-1] == "<|im_end|>"


def test_an_answer_keeps_its_blanks_where_the_template_does():
    said = "\n  I am \n"
    assert spelled(CHATML, talk(" Hello ", said))[0] == [said + "<|im_end|>"]
    assert spelled(LLAMA3, talk(" Hello ", said))[0] == ["I am<|eot_id|>"]
    assert spelled(GEMMA, talk(" Hello ", said, "\n", " 4"))[0] == ["I am<end_of_turn>", "4<end_of_turn>"]
    assert spelled(LLAMA2, talk(" Hello ", said, system=" S "))[0] == [" I am </s>"]
    assert spelled(MISTRAL, talk(" Hello ", said))[0] == [" \n  I am \n</s>"]
    assert spelled(MISTRAL3, talk(" Hello ", said, "Q ", " 4 ", system="S\n"))[0] == [" I am</s>", " 4</s>"]
    for source in (CHATML, LLAMA3, GEMMA, LLAMA2, MISTRAL, MISTRAL3):
        assert CHANGED not in spelled(source, talk(" Hello ", said))[1].notes


def test_emoji_and_accents_are_scored_whole_though_tokens_split_them():
    found, rendered = spelled(CHATML, talk("🙂 é", "🙂é 東京 👩‍👩‍👧"))
    assert found == ["🙂é 東京 👩‍👩‍👧<|im_end|>"]
    tokens = tokens_of(rendered)
    assert byte_level().decode(tokens.ids[tokens.owner == 0]) == found[0]
    assert mark(rendered, tokens).endswith("assistant\n⟦🙂é 東京 👩‍👩‍👧<|im_end|>⟧\n")


def test_a_system_turn_that_is_refused_goes_into_the_first_question():
    for source, text in ((GEMMA, "user\nS\n\nHello<end"), (MISTRAL, "[INST] S\n\nHello [/INST]")):
        _, rendered = spelled(source, talk("Hello", "yes", system="S"))
        assert text in rendered.text and rendered.notes == (MOVED,)
    two = [Turn("system", "S"), Turn("system", "T"), *talk("Hello", "yes")]
    assert "S\n\nT\n\nHello" in spelled(GEMMA, two)[1].text


def test_what_a_template_drops_is_said():
    source = "{% for m in messages if m.role in ('user', 'assistant') %}{{ m.content + eos_token }}{% endfor %}"
    turns = [*talk("Hello", "yes", system="S"), Turn("tool", "T"), Turn("assistant", "no")]
    found, rendered = spelled(source, turns)
    assert found == ["yes</s>", "no</s>"]
    assert rendered.notes == ("system turn dropped by the template", "tool turn dropped by the template")
    last = (
        "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content + '</s>' }}{% endif %}{% endfor %}"
    )
    assert spelled(last, THREE, scored=[4])[1].notes[1] == "assistant turn dropped by the template"
    with pytest.raises(RenderError, match=r"^assistant turn dropped by the template$"):
        spelled(last, THREE)


def test_an_answer_that_is_written_twice_is_refused():
    source = "{% for m in messages %}{{ m.content + eos_token + m.content }}{% endfor %}"
    with pytest.raises(RenderError, match="twice"):
        spelled(source, talk("Hello", "yes"))


def test_the_reason_of_a_refusal_is_the_templates_own():
    double = [Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c")]
    for source in (LLAMA2, MISTRAL, GEMMA):
        for turns in (double, [Turn("assistant", "c"), *talk("a", "b")], [Turn("system", "S"), *double]):
            with pytest.raises(
                RenderError, match=r"^Conversation roles must alternate user/assistant/user/assistant/\.\.\.$"
            ):
                spelled(source, turns)
    with pytest.raises(RenderError, match=r"^System role not supported$"):
        spelled(GEMMA, [Turn("system", "S"), Turn("assistant", "c")])
    with pytest.raises(RenderError, match=r"^'dict object' has no attribute 'nothing'$"):
        spelled("{{ messages[0].nothing.here }}", talk("a", "b"))


def test_a_refusal_is_remembered_and_refused_again():
    template = template_of(GEMMA)
    for _ in range(2):
        with pytest.raises(RenderError, match="alternate"):
            template.render([Turn("assistant", "a")], [0])
        assert template.render(talk("a", "b", system="S"), [2]).notes == (MOVED,)


def test_a_conversation_may_begin_with_the_assistant():
    turns = [Turn("assistant", "Hello"), *talk("Hello", "Hello")]
    found, rendered = spelled(CHATML, turns)
    assert found == ["Hello<|im_end|>"] * 2
    assert rendered.text.startswith("<|im_start|>assistant\nHello<|im_end|>") and rendered.spans[0][0] == 22


@pytest.mark.parametrize("said", ["", " \n "])
@pytest.mark.parametrize("source", [CHATML, LLAMA3, LLAMA2])
def test_an_empty_response_is_an_error(source, said):
    with pytest.raises(RenderError, match=r"^empty response$"):
        spelled(source, talk("Hello", said))


def test_only_assistant_turns_are_scored():
    with pytest.raises(ValueError, match="only assistant turns"):
        template_of(CHATML).render(talk("Hello", "yes"), [0])


def test_a_mask_without_a_token_is_an_error_that_names_the_template():
    template = template_of("{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}")
    rendered = template.render(talk("Hello", "there"), [1])
    with pytest.raises(RenderError, match="no token is scored under the template T"):
        require_scored(template, tokens_of(rendered))
    assert mark(rendered, tokens_of(rendered)) == rendered.text
    require_scored(template, tokens_of(template.render(talk("Hello", "there you"), [1])))


def test_reasoning_is_scored_where_it_is_written_and_said_where_it_is_not():
    thought = "<think>\n2 + 2\n</think>\n\n4"
    found, rendered = spelled(QWEN3, talk("Hello", thought, "Q", thought))
    assert found == ["4<|im_end|>", thought + "<|im_end|>"]
    assert rendered.notes == (UNREASONED,)
    for text in ("<think>2 + 2</think>4", "<think>\n\n2 + 2</think>\n4"):  # the template writes the tags anew
        assert spelled(QWEN3, talk("Q", text))[0] == [thought + "<|im_end|>"]
    assert spelled(CHATML, talk("Q", "<think>a</think>b", "Q", thought))[0][0] == "<think>a</think>b<|im_end|>"


def test_a_think_tag_of_the_generation_prompt_is_not_scored():
    source = CHATML.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
    assert source != CHATML
    assert spelled(source, talk("Q", "<think>\na\n</think>\n\nb"))[0] == ["a\n</think>\n\nb<|im_end|>"]
    assert spelled(source, talk("Q", "b"))[0] == ["b<|im_end|>"]
    thinking = QWEN3.replace("assistant\\n' }}{% endif %}", "assistant\\n<think>\\n' }}{% endif %}")
    assert thinking != QWEN3
    assert spelled(thinking, talk("Q", "<think>a</think>b"))[0] == ["a\n</think>\n\nb<|im_end|>"]


def test_a_think_tag_is_scored_where_the_template_has_no_generation_prompt():
    mute = QWEN3[: QWEN3.index("{%- if add_generation_prompt")]
    assert spelled(mute, talk("Q", "<think>a</think>b"))[0] == ["<think>\na\n</think>\n\nb<|im_end|>"]
    first = [Turn("assistant", "<think>a</think>b")]
    assert spelled(QWEN3, first)[0] == ["<think>\na\n</think>\n\nb<|im_end|>"]


def test_texts_that_a_template_changes_are_found_by_what_stands_around_them():
    source = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | upper + '<|im_end|>\\n' }}{% endfor %}"
    )
    found, rendered = spelled(source, talk("Hello", "yes"))
    assert found == ["YES<|im_end|>"] and rendered.notes == (CHANGED,)
    with pytest.raises(RenderError, match="cannot be found"):  # where does the question end?
        spelled("{% for m in messages %}{{ m.content | upper + '\\n' }}{% endfor %}", talk("a\nb", "c"))


def test_a_tool_result_that_a_template_writes_as_json_is_placed_exactly():
    source = (
        "{% for m in messages %}{{ '[' + (m.content | tojson if m.role == 'tool' else m.content) + ']' }}{% endfor %}"
    )
    found, rendered = spelled(source, [*talk("Hello", "a]"), Turn("tool", '["]\n"]'), Turn("assistant", "b")])
    assert found == ["a]", "b"] and CHANGED not in rendered.notes


def test_a_template_that_writes_the_time_is_read_again_when_it_has_changed():
    import transformers.utils.chat_template_utils as utils

    source = "{{ strftime_now('%Y') }}" + CHATML
    template = template_of(source)
    before = template.render(talk("Hello", "yes"), [1])
    assert before.text[:2] == "20"

    class Later(utils.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(3000, 1, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "datetime", Later)
        after = template.render(talk("Hello", "yes"), [1])
    assert after.text[:4] == "3000" and after.spans == before.spans and after.notes == ()


def test_tools_reach_the_template_and_are_missed_where_they_do_not():
    tools = '[{"name": "add", "parameters": {}}]'
    turns = [*talk("Hello", "call"), Turn("tool", "4"), Turn("assistant", "It is 4")]
    found, rendered = spelled(QWEN25, turns, tools=tools)
    assert found == ["call<|im_end|>", "It is 4<|im_end|>"] and rendered.notes == ()
    assert '<tools>\n{"name": "add", "parameters": {}}\n</tools>' in rendered.text
    assert spelled(CHATML, turns, tools=tools)[1].notes == (TOOLLESS,)
    for none in (None, "", "[]", "null", "{}"):
        assert spelled(CHATML, turns, tools=none)[1].notes == ()
    assert spelled(QWEN25, turns, tools='{"name": "add", "parameters": {}}')[1].text == rendered.text
    for bad, why in (("{", "no JSON"), ("[1]", "no list of objects"), ('["a"]', "no JSON")):
        with pytest.raises(RenderError, match=why):
            spelled(QWEN25, turns, tools=bad)


def test_a_default_system_text_is_not_in_the_way():
    found, rendered = spelled(QWEN25, talk("Hello", "yes"))
    assert rendered.text.startswith("<|im_start|>system\nYou are helpful.<|im_end|>\n") and found == ["yes<|im_end|>"]
    assert rendered.notes == ()


def test_the_plain_template_writes_this():
    template = choose_template(byte_level(), "plain")
    turns = [*THREE[:3], Turn("tool", "T"), Turn("assistant", "ok")]
    rendered = template.render(turns, [2, 4], tools='[{"name": "é"}]')
    assert mark(rendered, tokens_of(rendered)) == (
        '### System:\n[{"name": "é"}]\n\n### System:\nBe short.\n\n### Question:\nHello\n\n'
        "### Answer:\n⟦I am fine.</s>⟧\n\n### Tool:\nT\n\n### Answer:\n⟦ok</s>⟧\n\n"
    )
    assert rendered.notes == ()
    assert choose_template(byte_level()).source == template.source  # a tokenizer without a template of its own
    inner = choose_template(byte_level(), "plain", end_of_turn=False).render(talk("Hello", "yes"), [1])
    assert mark(inner, tokens_of(inner)).endswith("### Answer:\n⟦yes⟧</s>\n\n")


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
    with pytest.raises(UsageError, match="there is no template file alpaca"):
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


def test_an_audit_agrees_where_the_template_marks_what_we_score():
    template = template_of(GENERATION)
    rendered = template.render(THREE, [2, 4])
    tokens = tokens_of(rendered)
    found = audit(template, THREE, rendered, tokens)
    assert found.both == (tokens.owner >= 0).sum() > 6 and found.ours == found.theirs == 0
    assert found.ours_texts == found.theirs_texts == ()
    last = template.render(THREE, [4])
    assert audit(template, THREE, last, tokens_of(last)) == found
    assert audit(template_of(CHATML), THREE, rendered, tokens) is None


def test_an_audit_shows_where_the_template_marks_something_else():
    within = GENERATION.replace(
        "{{ message.content + '<|im_end|>' }}{% endgeneration %}", "{{ message.content }}{% endgeneration %}<|im_end|>"
    )
    assert within != GENERATION
    template = template_of(within)
    rendered = template.render(THREE, [2, 4])
    found = audit(template, THREE, rendered, tokens_of(rendered))
    assert (found.ours, found.theirs, found.ours_texts) == (2, 0, ("<|im_end|>", "<|im_end|>"))
    wide = GENERATION.replace("{{ '\\n' }}{% endfor", "{{ '\\n' }}{% endfor").replace(
        "+ '<|im_end|>' }}{% endgen", "+ '<|im_end|>\\n' }}{% endgen"
    )
    template = template_of(wide, end_of_turn=False)
    rendered = template.render(THREE, [2, 4])
    found = audit(template, THREE, rendered, tokens_of(rendered))
    assert found.ours == 0 and [text.strip() for text in found.theirs_texts] == ["<|im_end|>"] * 2


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="does not say which characters"):
        ChatEncoder(object())


def test_truncation_and_padding_of_a_tokenizer_are_not_ours():
    tokenizer = pickle.loads(pickle.dumps(byte_level()))
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=4000)
    rendered = template_of(CHATML).render(THREE, [2, 4])
    assert np.array_equal(tokens_of(rendered, tokenizer).ids, tokens_of(rendered).ids)


def test_a_fingerprint_knows_the_source_the_end_of_turn_and_the_control_tokens():
    prints = {
        template_of(CHATML).fingerprint(),
        template_of(LLAMA3).fingerprint(),
        template_of(CHATML, end_of_turn=False).fingerprint(),
        template_of(CHATML, byte_level(eos="<|im_end|>")).fingerprint(),
        template_of(CHATML, tool_source=QWEN25).fingerprint(),
    }
    assert len(prints) == 5
    assert template_of(CHATML).fingerprint() == Template("other", CHATML, byte_level()).fingerprint()


def test_a_rendering_does_not_depend_on_what_was_rendered_before():
    template = template_of(QWEN3)
    rows = [
        talk("a", "<think>\nb\n</think>\n\nc"),
        talk("a", "c"),
        talk("a", "<think>c"),
        THREE,
        talk("a", "</think>\nc"),
    ]
    once = [template.render(turns, answers(turns)) for turns in rows]
    assert once[::-1] == [template.render(turns, answers(turns)) for turns in rows[::-1]]
    assert once == [template_of(QWEN3).render(turns, answers(turns)) for turns in rows]


def test_a_place_between_pieces_is_none_where_it_could_be_another():
    scaffold = read_scaffold("<{}|{}>".format(*(turn.text for turn in marked(talk("a", "b")))))
    assert place_between(scaffold, "<ab|c>") == [(1, 3), (4, 5)]
    assert place_between(scaffold, "<a|b|c>") is None
    assert place_between(scaffold, "<abc>") is None and place_between(scaffold, "a|b>") is None
    assert place(scaffold, "<a|b|c>", [Turn("user", "a|b"), Turn("assistant", "c")]) == [(1, 4), (5, 6)]
    assert place(scaffold, "<a|b|c>", [Turn("user", "a"), Turn("assistant", "b|c")]) == [(1, 2), (3, 6)]
    assert place(scaffold, "<a|b>c>", [Turn("user", "a"), Turn("assistant", "b")]) is None
