"""Tiny models of many architectures with random weights, saved as folders that transformers loads.

Weights are drawn wide enough that attention matters: with a usual initialisation a leak between documents would move
the numbers by less than rounding does.
"""

from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

TEXT = Path(__file__).read_text() * 3 + " Größe 東京 🙂 naïve " * 20
VOCABULARY = 384
COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
SHAPES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.2},
    "llama": {**LLAMA, "tie_word_embeddings": True},
    "qwen2": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 8},
    "gemma2": {
        **LLAMA,
        "head_dim": 8,
        "sliding_window": 16,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 6.0,
        "query_pre_attn_scalar": 8,
    },
    "cohere": {**LLAMA, "logit_scale": 0.25},
    "granite": {**LLAMA, "logits_scaling": 3.0, "residual_multiplier": 0.7, "attention_multiplier": 0.5},
    "gpt_oss": {**LLAMA, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": 16,
        "init_std": 0.2,
        "do_layer_norm_before": True,
    },
    "gpt_neox": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "mamba": {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 2, "initializer_range": 0.2},
}


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 384 entries; id 0 is <|endoftext|>, beginning and end of text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def build(kind: str, seed: int = 0, **changes: object) -> torch.nn.Module:
    """A tiny random model of one architecture, in fp32."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**COMMON, **SHAPES[kind], **changes})
    model = AutoModelForCausalLM.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "sinks")):  # often born as zeros, which would hide a forgotten bias
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def save(folder: Path, kind: str, seed: int = 0, **changes: object) -> Path:
    """Write such a model with the tokenizer.  → the folder"""
    build(kind, seed, **changes).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
