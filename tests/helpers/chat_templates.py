"""The common chat templates, tokenizers for them, and conversations marked by hand."""

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.loss_mask import ChatEncoder
from curate.sft.chat_template.render import ChatTemplate

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
    return ChatTemplate("T", source, tokenizer or byte_level(), end_of_turn, **options)


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
        "<|im_start|>assistant\n⟦<think>\n\n</think>\n\n4<|im_end|>⟧\n",
    ),
}
