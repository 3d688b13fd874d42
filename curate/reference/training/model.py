"""The model: a small Llama that reads a pack of windows, with attention inside each window only.

Shapes: T tokens of a pack, D width.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

from curate.reference.training.config import TrainingConfig
from curate.reference.training.packs import TrainingPack
from curate.reference.training.tokenizer import END

ATTENTION = "curate_training"


def attend_within_windows(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, **options: Any
) -> tuple[Tensor, None]:
    """Return causal attention inside each window of a pack, 1×T×heads×size, by one exact call a window.

    The inputs are 1×heads×T×size; ``options["lengths"]`` are the lengths of the windows.
    """
    lengths, scale = options["lengths"], options.get("scaling")
    parts = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    attended = [functional.scaled_dot_product_attention(*part, is_causal=True, scale=scale) for part in parts]
    return torch.cat(attended, 2).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend_within_windows)


def build_model(config: TrainingConfig) -> LlamaForCausalLM:
    """Return a Llama with tied embeddings in float32; its layers begin as the identity (output matrices are zero)."""
    llama_config = LlamaConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        intermediate_size=math.ceil(config.width * 8 / 3 / 16) * 16,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        bos_token_id=END,
        eos_token_id=END,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation=ATTENTION,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(llama_config).float()
        for name, matrix in named_matrices(model):
            zero = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(matrix, std=0.0 if zero else 0.5 * matrix.shape[1] ** -0.5)
    return model


def named_matrices(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the matrices of the layers, which Muon trains. AdamW trains the embeddings and gains."""
    return [(name, value) for name, value in model.named_parameters() if ".layers." in name and value.ndim == 2]


def compute_dtype(config: TrainingConfig, device: str) -> torch.dtype:
    """Return the dtype of ``config.compute``; ``auto`` is bfloat16 where it is faster, else float32.

    bfloat16 is 2.8 times as fast on AVX512_BF16 cores.
    """
    if config.compute != "auto":
        return torch.bfloat16 if config.compute == "bfloat16" else torch.float32
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def read_pack(model: LlamaForCausalLM, pack: TrainingPack, dtype: torch.dtype) -> Tensor:
    """Return the hidden states of a pack, T×D in ``dtype``."""
    with torch.autocast(
        pack.inputs.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16, cache_enabled=False
    ):
        output = model.model(
            input_ids=pack.inputs[None],
            position_ids=pack.positions[None],
            lengths=pack.lengths,
            attention_mask=None,
            use_cache=False,
        )
    hidden_TD: Tensor = output.last_hidden_state[0].to(dtype)
    return hidden_TD
