"""The trainer: a model with its optimisers, and the step that it takes on a few packs.

Muon updates the matrices of the layers, AdamW the embeddings and gains.

Shapes: T tokens of a pack, D width.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from curate.errors import ModelError
from curate.reference.training.config import TrainingConfig, rate_at
from curate.reference.training.loss import HeadLoss
from curate.reference.training.model import build_model, compute_dtype, named_matrices, read_pack
from curate.reference.training.muon import Muon
from curate.reference.training.packs import TrainingPack


@dataclass(slots=True)
class Trainer:
    """A model with its optimisers, and the counters of its progress. A checkpoint stores the counters by name."""

    model: LlamaForCausalLM
    muon: Muon
    adam: torch.optim.AdamW
    dtype: torch.dtype
    """Dtype of the matrix products."""
    device: str
    workers: ThreadPoolExecutor
    """A thread for each pack of a step."""
    step: int = 0
    """Steps taken."""
    tokens: int = 0
    """Tokens learned from."""
    places: int = 0
    """Positions read, padding included; the position in the corpus follows from it."""
    seconds: float = 0.0
    """Seconds of training, those before a stop included."""
    losses: list[float] = field(default_factory=list)
    """Nats per token of each step."""
    history: list[tuple[float, int, float, float]] = field(default_factory=list)
    """As in ``TrainingRun``."""

    def counters(self) -> dict[str, Any]:
        """Return the fields that a checkpoint stores next to the weights."""
        names = ("step", "tokens", "places", "seconds", "losses", "history")
        return {name: getattr(self, name) for name in names}


def make_trainer(config: TrainingConfig, device: str) -> Trainer:
    """Return a trainer with a new model, before its first step."""
    model = build_model(config).to(device).train()
    matrices = [matrix for _, matrix in named_matrices(model)]
    matrix_ids = {id(matrix) for matrix in matrices}
    others = [value for value in model.parameters() if id(value) not in matrix_ids]
    adam = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
    return Trainer(model, Muon(matrices), adam, compute_dtype(config, device), device, make_workers(config.packs))


def make_workers(count: int) -> ThreadPoolExecutor:
    """Return ``count`` threads that share the cores evenly; torch releases Python's lock while it computes."""
    cores = max(1, torch.get_num_threads() // count)
    return ThreadPoolExecutor(count, "curate-training", lambda: torch.set_num_threads(cores))


def learn_packs(trainer: Trainer, packs: Sequence[TrainingPack], config: TrainingConfig, share: float) -> float:
    """Take one step on these packs; return the mean nats per token before it.

    ``share`` of the budget is spent; the learning rate follows from it. Raises ModelError where the loss is not finite.
    """
    tokens, parameters = sum(pack.tokens for pack in packs), list(trainer.model.parameters())

    def read(pack: TrainingPack) -> tuple[float, Sequence[Tensor]]:
        hidden_TD = read_pack(trainer.model, pack, trainer.dtype)
        loss = HeadLoss.apply(hidden_TD, trainer.model.lm_head.weight, pack.targets, tokens)
        return loss.item(), torch.autograd.grad(loss, parameters)

    losses, grads = zip(*trainer.workers.map(read, packs), strict=True)
    if not math.isfinite(sum(losses)):
        raise ModelError(
            f"the loss became {sum(losses)} at step {trainer.step}", "lower --matrix-rate and --vector-rate"
        )
    for parameter, parts in zip(parameters, zip(*grads, strict=True), strict=True):
        parameter.grad = sum(parts[1:], parts[0])
    rate = rate_at(share, config.warm_up)
    trainer.muon.step(config.matrix_rate * rate, trainer.dtype, trainer.workers)
    for group in trainer.adam.param_groups:
        group["lr"] = config.vector_rate * rate
    trainer.adam.step()
    return float(sum(losses))


def recent_loss(trainer: Trainer) -> float:
    """Return the mean loss of the last twentieth of the steps, at least of one; NaN before the first."""
    recent = trainer.losses[-max(1, len(trainer.losses) // 20) :]
    return sum(recent) / len(recent) if recent else math.nan
