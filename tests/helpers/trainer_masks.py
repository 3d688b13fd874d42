"""Loss masks as trainers compute them: TRL's, over the chat templates of real models that TRL brings.

The Jinja texts are read from the installed package (trl/chat_templates; Apache-2.0), so that they are those that TRL
trains with. The tokenizers are small ones with the control tokens that a template writes.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from curate.sft.chat_template.loss_mask import ChatEncoder
from curate.sft.chat_template.render import ChatTemplate
from curate.sft.examples import read_examples, scored_turns

from .chat_templates import TEXT, special

FOLDER = Path(trl.__file__).parent / "chat_templates"
CONTROL = re.compile(
    r"<\|[^<>|\s{}']+\|>|</?s>|<[|｜][^<>\s{}']+[|｜]>|<(?:start|end)_of_turn>|<(?:bos|eos)>|\[/?[A-Z_]{3,}\]"
    r"|</?(?:think|tool_call|tool_response|tools)>|<end_of_utterance>"
    r"|<(?:turn|channel|tool_call|tool_response|tool)\|>|<\|(?:turn|channel|tool_call|tool_response|tool)>"
)
PLAIN = re.compile(r"</?(?:think|tool_call|tool_response|tools)>")
"""Tokens that are in a vocabulary without being control tokens, as Qwen has them."""
ENDS = {  # the beginning of the names of a family: BOS and EOS
    "cohere": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "deepseek": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "gemma": ("<bos>", "<eos>"),
    "glm": ("<|bos|>", "<|endoftext|>"),
    "gptoss": ("<|startoftext|>", "<|return|>"),
    "idefics": ("<|begin_of_text|>", "<|end_of_text|>"),
    "lfm": ("<|startoftext|>", "<|im_end|>"),
    "llama": ("<|begin_of_text|>", "<|eot_id|>"),
    "llava": ("<s>", "</s>"),
    "muse": ("<s>", "<|end|>"),
    "nemotron": ("<s>", "<|im_end|>"),
    "phi": ("<s>", "<|endoftext|>"),
    "qwen": ("<|endoftext|>", "<|im_end|>"),
    "smolvlm": ("<|im_start|>", "<end_of_utterance>"),
}
PICTURED = ("idefics3", "llava_next", "smolvlm")
"""Models that see pictures: their templates write contents that are lists of parts only."""


def list_templates(ending: str = "") -> list[str]:
    """The names of TRL's templates of the families, without ``ending``."""
    names = [path.stem for path in FOLDER.glob(f"*{ending}.jinja") if path.stem.startswith(tuple(ENDS))]
    return sorted(name.removesuffix(ending) for name in names)


def read_template(name: str) -> str:
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


@cache
def make_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE with the control tokens of a template, and that template."""
    source = read_template(name)
    bos, eos = next(ends for family, ends in ENDS.items() if name.startswith(family))
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([TEXT], trainer)
    found = sorted({*CONTROL.findall(source), bos, eos})
    backend.add_special_tokens([special(text) for text in found if not PLAIN.fullmatch(text)])
    backend.add_tokens([AddedToken(text, normalized=False) for text in found if PLAIN.fullmatch(text)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, eos_token=eos)
    tokenizer.chat_template = source
    return tokenizer


@dataclass(frozen=True)
class OurMask:
    """What curate scores of a row."""

    text: str
    ids: list[int]
    mask: np.ndarray
    token_spans: np.ndarray
    spans: tuple[tuple[int, int], ...]
    scored: tuple[int, ...]
    """Indices of messages."""
    notes: tuple[str, ...]


def compute_ours(name: str, row: dict) -> OurMask:
    """Read, render and tokenise a row as rank-sft does. Raises what these raise."""
    tokenizer = make_tokenizer(name)
    (example,) = read_examples(row, "messages")
    scored = scored_turns(example, "all")
    template = ChatTemplate(name, read_template(name), tokenizer)
    rendered = template.render(example.conversation, scored, example.tools)
    (tokens,) = ChatEncoder(tokenizer).encode([rendered])
    mask = tokens.owner >= 0
    return OurMask(rendered.text, tokens.ids.tolist(), mask, tokens.spans, rendered.spans, scored, rendered.notes)


def prepare(name: str, row: dict) -> tuple[list[dict], list[dict] | None]:
    """The messages and tools of a row as a trainer has them: lists of parts for models that see pictures."""
    messages, tools = row["messages"], row.get("tools")
    if name.removesuffix("_training") in PICTURED:
        messages = [{**each, "content": _as_parts(each["content"])} for each in messages]
    return messages, json.loads(tools) if isinstance(tools, str) else tools


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def apply(name: str, messages: list[dict], tools: list[dict] | None, **options):
    """TRL's rendering: it calls transformers' ``apply_chat_template`` with the messages of the row."""
    return make_tokenizer(name).apply_chat_template(messages, tools=tools, **options)


def list_runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of each run of true."""
    runs = [list(group) for value, group in groupby(range(len(mask)), key=lambda at: bool(mask[at])) if value]
    return [(run[0], run[-1] + 1) for run in runs]
