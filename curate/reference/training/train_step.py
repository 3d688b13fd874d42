"""The learner: a model with its optimisers, and the step that it takes on a few packs.

Muon moves the matrices of the layers, AdamW the embeddings and gains.

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
    """A model with its optimisers, and where in the corpus and the budget it is."""

    model: LlamaForCausalLM
    muon: Muon
    adam: torch.optim.AdamW
    dtype: torch.dtype
    device: str
    workers: ThreadPoolExecutor
    step: int = 0
    tokens: int = 0
    places: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[tuple[float, int, float, float]] = field(default_factory=list)

    def counters(self) -> dict[str, Any]:
        names = ("step", "tokens", "places", "seconds", "losses", "history")
        return {name: getattr(self, name) for name in names}


def make_learner(recipe: TrainingConfig, device: str) -> Trainer:
    """A model at its beginning, in training."""
    model = build_model(recipe).to(device).train()
    matrices = [matrix for _, matrix in named_matrices(model)]
    mine = {id(matrix) for matrix in matrices}
    others = [value for value in model.parameters() if id(value) not in mine]
    adam = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=True)
    return Trainer(model, Muon(matrices), adam, compute_dtype(recipe, device), device, make_workers(recipe.packs))


def make_workers(count: int) -> ThreadPoolExecutor:
    """Threads that share the cores evenly; torch lets go of Python's lock while it computes."""
    cores = max(1, torch.get_num_threads() // count)
    return ThreadPoolExecutor(count, "curate-training", lambda: torch.set_num_threads(cores))


def learn_packs(learner: Trainer, packs: Sequence[TrainingPack], recipe: TrainingConfig, share: float) -> float:
    """One step on these packs; the mean nats per token before it."""
    tokens, parameters = sum(pack.tokens for pack in packs), list(learner.model.parameters())

    def read(pack: TrainingPack) -> tuple[float, Sequence[Tensor]]:
        hidden_TD = read_pack(learner.model, pack, learner.dtype)
        loss = HeadLoss.apply(hidden_TD, learner.model.lm_head.weight, pack.targets, tokens)
        return loss.item(), torch.autograd.grad(loss, parameters)

    losses, grads = zip(*learner.workers.map(read, packs), strict=True)
    if not math.isfinite(sum(losses)):
        raise ModelError(
            f"the loss became {sum(losses)} at step {learner.step}", "lower --matrix-rate and --vector-rate"
        )
    for parameter, parts in zip(parameters, zip(*grads, strict=True), strict=True):
        parameter.grad = sum(parts[1:], parts[0])
    rate = rate_at(share, recipe.warm_up)
    learner.muon.step(recipe.matrix_rate * rate, learner.dtype, learner.workers)
    for group in learner.adam.param_groups:
        group["lr"] = recipe.vector_rate * rate
    learner.adam.step()
    return float(sum(losses))


def recent_loss(learner: Trainer) -> float:
    recent = learner.losses[-max(1, len(learner.losses) // 20) :]
    return sum(recent) / len(recent) if recent else math.nan
