"""From a model in training to a reference: the same scorer, on the weights as they are now."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from curate.errors import ModelError
from curate.reference.causal import CausalReference
from curate.reference.checkpoints.checkpoint import DTYPES, Checkpoint, hash_weights_in_memory, require_rows
from curate.reference.checkpoints.live_names import spell_live_name
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.checks import self_check
from curate.reference.checks.self_check import SelfCheck
from curate.reference.conventions.readings import choose_reading
from curate.reference.forward_pass import packed_attention
from curate.reference.forward_pass.device_transfer import DeviceTransfer
from curate.reference.live.twin import share_weights
from curate.reference.live.unwrap import unwrap_model
from curate.reference.loading import build_identity, check_or_recall
from curate.reference.pack_tuning import CPU_PACK, CUDA_PACKS, SLOTS, fit_packs, make_runner
from curate.reference.protocol import ScoringConfig


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model in training, with what stays the same from one evaluation to the next."""

    model: Any
    """As the training has it, wrapped or not."""
    encoder: TextEncoder
    tokenizer: Any
    name: str
    config: ScoringConfig
    """``dtype`` auto means the dtype of the weights."""


def wrap_model(live: LiveModel, step: int, check: SelfCheck | None = None) -> tuple[CausalReference, SelfCheck]:
    """Return a reference on the weights that a model in training has now, and what its self-check found.

    The model is not changed, and its weights are not copied, unless ``config.dtype`` is another one. ``check`` is that
    of an earlier step, whose layout is used again; None measures it. Only the convention ``curate`` is read, nothing is
    compiled, and half precision is not compared with a float32 copy. Call it, and score, under ``keep_random_states``.

    Raises ModelError for a model that cannot be scored (``unwrap_model``), whose tokenizer does not belong to it, or
    that fails the self-check; UsageError for windows that do not fit it.
    """
    packed_attention.register_attention()
    config, name = live.config, spell_live_name(live.name, step)
    if config.convention != "curate":
        raise ModelError(f"a model in training is not read as {config.convention} does", "score a checkpoint of it")
    twin = share_weights(unwrap_model(live.model), DTYPES.get(config.dtype))
    require_rows(twin, live.encoder, live.name)
    weights = hash_weights_in_memory(twin)
    checkpoint = Checkpoint(twin, live.tokenizer, live.encoder, name, name, None, weights, False, live=True)
    reading = choose_reading(checkpoint, config)
    runner = make_runner(checkpoint, next(twin.parameters()).device)
    if check is None:
        check = check_or_recall(checkpoint, runner, reading.prefix, third=False)
        if type(twin.get_output_embeddings()) is not torch.nn.Linear:
            check = replace(check, own_head=False)  # adapters of the output layer are in no matrix of weights
    self_check.restore_check(runner, check)
    pack_tokens = config.pack_tokens or (CUDA_PACKS[-1] if runner.device.type == "cuda" else CPU_PACK)
    if runner.device.type == "cuda":
        pack_tokens = fit_packs(runner, pack_tokens)
        runner.transfer = DeviceTransfer(runner.device, SLOTS)
    identity = build_identity(checkpoint, runner, config, reading, pack_tokens) | {"live": {"step": step}}
    line = check.line(checkpoint.dtype)
    notes = list(check.notes)
    reference = CausalReference(
        runner, live.encoder, reading.policy, reading.prefix, pack_tokens, identity, checkpoint.parameters, line, notes
    )
    return reference, check
