"""The head and its loss: nats of the targets from hidden states, without all logits in memory at once.

Shapes: T tokens of a pack, C tokens of a chunk, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

HEAD_CHUNK = 1024
"""Rows of logits that are computed at a time."""


class HeadLoss(torch.autograd.Function):
    """Nats of the targets over ``tokens``; the forward pass computes the gradients of a tied head too, chunk by chunk.

    No ``[C, V]`` tensor lives longer than its chunk, and softmax is computed once: the idea of Liger-Kernel's fused
    linear cross entropy, arXiv 2410.10989. A target of -1 is left out.
    """

    @staticmethod
    def forward(context: Any, hidden_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, tokens: int) -> Tensor:
        low_VD = weight_VD.to(hidden_TD.dtype)
        grad_TD, grad_VD = torch.empty_like(hidden_TD), torch.zeros_like(weight_VD)
        total = torch.zeros((), dtype=torch.float64, device=hidden_TD.device)
        for begin in range(0, len(hidden_TD), HEAD_CHUNK):
            hidden_CD, real_C1 = hidden_TD[begin:][:HEAD_CHUNK], targets_T[begin:][:HEAD_CHUNK, None] >= 0
            targets_C1 = targets_T[begin:][:HEAD_CHUNK, None].clamp(min=0)
            logits_CV = (hidden_CD @ low_VD.T).float()
            logits_CV -= logits_CV.amax(1, keepdim=True)
            right_C1 = logits_CV.gather(1, targets_C1)
            sums_C1 = logits_CV.exp_().sum(1, keepdim=True)
            total += (sums_C1.log() - right_C1)[real_C1].sum()
            logits_CV *= real_C1 / sums_C1  # probabilities from here on, then the gradient of the logits
            logits_CV.scatter_add_(1, targets_C1, -real_C1.float())
            errors_CV = logits_CV.to(hidden_TD.dtype)
            grad_TD[begin:][:HEAD_CHUNK] = errors_CV @ low_VD
            grad_VD += errors_CV.T @ hidden_CD
        context.save_for_backward(grad_TD, grad_VD)
        context.tokens = tokens
        loss: Tensor = (total / tokens).float()
        return loss

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_TD, grad_VD = context.saved_tensors
        scale = grads[0] / context.tokens
        return grad_TD * scale.to(grad_TD.dtype), grad_VD * scale, None, None


def target_nats(hidden_TD: Tensor, weight_VD: Tensor, targets_T: Tensor) -> Tensor:
    """Return the nats of each target, T in float32; 0 where the target is -1."""
    chunks = zip(hidden_TD.split(HEAD_CHUNK), targets_T.split(HEAD_CHUNK), strict=True)
    low_VD = weight_VD.to(hidden_TD.dtype)
    nats = [
        functional.cross_entropy((hidden @ low_VD.T).float(), targets, ignore_index=-1, reduction="none")
        for hidden, targets in chunks
    ]
    return torch.cat(nats)
