"""From hidden states to nats, a few rows at a time: the full table of logits never exists.

Log-sum-exp is float32 whatever the model runs in. On CUDA the product of half-precision operands is accumulated and
written in float32; a device whose ``mm`` cannot do that has a float32 copy of the weights. PyTorch's ``mm`` on a CPU
writes what it reads: a bf16 product would round logits of 20 to .06, and a float32 product takes two to three times as
long. So the product of a CPU gives logits *less the target's*, which a column of ones in the weights subtracts inside
the sum, in float32: what is rounded is near 0 where a logit counts, and the nats of a token are right to about a
thousandth of themselves.

Shapes: N scored rows, D hidden width, V vocabulary, C rows of a chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from curate.reference.forward_pass.likely_tokens import find_likely

CPU_CHUNK_BYTES = 25_200_000  # of products; 256 rows of a 49 k vocabulary in bf16, 128 in float32
CPU_LOSS_BYTES = 1_600_000  # of float32 logits whose losses are computed at a time: 8 rows, which stay in the cache
CUDA_CHUNK_BYTES = 500_000_000
"""Of float32 logits; intermediate results may take as much again. On an H200, a vocabulary of 49 k: 3.2 M rows a second
(compiled 4.8 M) from 2,048 rows at a time on; 8,192 rows give 4 % more for four times the memory."""
CUDA_ROWS = 128  # a multiple of the rows of one block of a matrix product


@dataclass(slots=True)
class Head:
    """The last linear layer of a model, with what the model does to its logits (``scale``, then a soft ``cap``)."""

    weight_VD: torch.Tensor
    """Float32 on a CPU, but for weights in bf16."""
    bias_V: torch.Tensor | None
    scale: float
    """Factor of the logits; 1.0 leaves them."""
    cap: float | None
    """Logits become ``cap * tanh(logits / cap)``; None leaves them."""
    rows: int
    """Rows of logits that are computed at a time; halved where memory runs out."""
    losses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    """A compiled form of ``spelled_losses``, for chunks of ``rows``; None: use PyTorch's kernel."""
    fused: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    """A kernel from hidden states, weights and targets to losses, without logits; None: logits are computed."""
    _buffer: torch.Tensor | None = None
    """The products of a chunk on the CPU, reused."""
    _wide: torch.Tensor | None = None
    """The same of a few rows in float32, reused."""
    _logs: torch.Tensor | None = None
    """The log-probabilities of a few rows on the CPU, reused."""
    _shifting_VE: torch.Tensor | None = None
    """On a CPU in bf16: the weights, a column of ones and the bias, E = D + 1 (D + 3); made at first use."""
    _writes_wide: bool = False
    """Whether this device has written a half-precision product in float32 before."""

    def nats(
        self,
        hidden_ND: torch.Tensor,
        targets_N: torch.Tensor,
        ranks_N: torch.Tensor | None = None,
        likely_NK: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return -ln p(target) of each row, N in float32.

        ``ranks_N`` (int64), if given, takes the targets' ranks, and ``likely_NK`` (float32, zeros) what
        ``likely_tokens.find_likely`` writes; either needs logits, so that no fused kernel is used.
        """
        if self.fused is not None and ranks_N is None and likely_NK is None:
            return self.fused(hidden_ND, self.weight_VD, targets_N)
        out_N = torch.empty(len(targets_N), dtype=torch.float32, device=hidden_ND.device)
        for at in range(0, len(targets_N), self.rows):
            product_CV, shift_C1 = self._product(hidden_ND[at : at + self.rows], targets_N[at : at + self.rows])
            step = self._count_together(product_CV)
            for first in range(0, len(product_CV), step):
                part, cut = slice(first, first + step), slice(at + first, at + min(first + step, len(product_CV)))
                logits_CV = self._finish(product_CV[part], None if shift_C1 is None else shift_C1[part])
                out_N[cut] = self._losses(logits_CV, targets_N[cut])
                if ranks_N is not None:
                    ranks_N[cut] = rank_targets(logits_CV, targets_N[cut])
                if likely_NK is not None:
                    find_likely(logits_CV, out_N[cut], targets_N[cut], likely_NK[cut])
        return out_N

    def _count_together(self, product_CV: torch.Tensor) -> int:
        """Return of how many rows the losses are computed at a time: on a CPU as many as its cache holds."""
        if product_CV.device.type != "cpu" or self.losses is not None:
            return len(product_CV)
        return max(1, CPU_LOSS_BYTES // (4 * product_CV.shape[1]))

    def _product(self, hidden_CD: torch.Tensor, targets_C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return hidden states times weights plus bias, C×V, and the shift of each row, C×1, that it lacks, if any."""
        on_cpu = hidden_CD.device.type == "cpu"
        if on_cpu and hidden_CD.dtype == self.weight_VD.dtype == torch.bfloat16:
            return self._shifted_product(hidden_CD, targets_C)
        product_CV = self._cpu_product(hidden_CD) if on_cpu else self._wide_product(hidden_CD)
        if self.bias_V is not None:
            product_CV += self.bias_V
        return product_CV, None

    def _finish(self, product_CV: torch.Tensor, shift_C1: torch.Tensor | None) -> torch.Tensor:
        """Return the model's logits, C×V in float32; with a shift and without a cap, but for a constant in each row."""
        logits = product_CV
        if product_CV.dtype != torch.float32:
            logits = self._take_buffer("_wide", len(product_CV), torch.float32).copy_(product_CV)
        if self.cap is not None and shift_C1 is not None:
            logits += shift_C1
        if self.scale != 1.0:
            logits *= self.scale
        if self.cap is not None:
            logits.div_(self.cap).tanh_().mul_(self.cap)
        return logits

    def _losses(self, logits_CV: torch.Tensor, targets_C: torch.Tensor) -> torch.Tensor:
        """Return -ln softmax(logits)[target] of each row, C."""
        if logits_CV.device.type == "cpu" and self.losses is None:
            logs_CV = self._take_buffer("_logs", len(logits_CV), torch.float32)
            torch.log_softmax(logits_CV, 1, out=logs_CV)
            return -logs_CV.gather(1, targets_C[:, None])[:, 0]
        full = len(logits_CV) == self.rows  # compiled code is for chunks of that size
        losses = self.losses if self.losses is not None and full else own_losses
        return losses(logits_CV, targets_C)

    def _shifted_product(self, hidden_CD: torch.Tensor, targets_C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden states times weights plus bias, less a shift, C×V in bf16, and the shift, C×1 in float32.

        The shift is the target's own value, rounded to bf16, so that it is subtracted exactly.
        """
        if self._shifting_VE is None:
            self._shifting_VE = self._widen_weights()
        shift_C = (hidden_CD.float() * self.weight_VD[targets_C].float()).sum(1)
        if self.bias_V is not None:
            shift_C += self.bias_V[targets_C]
        columns = [hidden_CD, -shift_C.to(torch.bfloat16)[:, None]]
        if self.bias_V is not None:
            columns.append(hidden_CD.new_ones(len(hidden_CD), 2))
        out_CV = self._take_buffer("_buffer", len(hidden_CD), torch.bfloat16)
        torch.mm(torch.cat(columns, 1), self._shifting_VE.t(), out=out_CV)
        return out_CV, -columns[1].float()

    def _widen_weights(self) -> torch.Tensor:
        """Return the weights with a column of ones and two of the bias, which bf16 holds as a sum of two."""
        columns = [self.weight_VD, self.weight_VD.new_ones(len(self.weight_VD), 1)]
        if self.bias_V is not None:
            high_V = self.bias_V.to(torch.bfloat16)
            columns += [high_V[:, None], (self.bias_V - high_V.float()).to(torch.bfloat16)[:, None]]
        return torch.cat(columns, 1)

    def _take_buffer(self, name: str, rows: int, dtype: torch.dtype) -> torch.Tensor:
        """Return rows of a buffer of the CPU, rows×V, which is kept: memory that is new for each chunk costs time."""
        kept: torch.Tensor | None = getattr(self, name)
        if kept is None or len(kept) < rows or kept.dtype != dtype:
            kept = torch.empty(rows, self.weight_VD.shape[0], dtype=dtype)
            setattr(self, name, kept)
        return kept[:rows]

    def _wide_product(self, hidden_CD: torch.Tensor) -> torch.Tensor:
        if self.weight_VD.dtype != torch.float32:
            try:
                logits_CV = torch.mm(hidden_CD, self.weight_VD.t(), out_dtype=torch.float32)
                self._writes_wide = True
                return logits_CV
            except (RuntimeError, NotImplementedError, TypeError) as error:
                if self._writes_wide or isinstance(error, torch.OutOfMemoryError):
                    raise
        self.weight_VD = self.weight_VD.float()  # once: afterwards it is float32 already
        return hidden_CD.float() @ self.weight_VD.t()

    def _cpu_product(self, hidden_CD: torch.Tensor) -> torch.Tensor:
        self.weight_VD = self.weight_VD.float()  # once: afterwards it is float32 already
        out = self._take_buffer("_buffer", len(hidden_CD), torch.float32)
        return torch.mm(hidden_CD.float(), self.weight_VD.t(), out=out)


def own_losses(logits_CV: torch.Tensor, targets_C: torch.Tensor) -> torch.Tensor:
    """Return -ln softmax(logits)[target] of each row, C, by PyTorch's kernel, which writes all log-probabilities."""
    return F.cross_entropy(logits_CV, targets_C, reduction="none")


def spelled_losses(logits_CV: torch.Tensor, targets_C: torch.Tensor) -> torch.Tensor:
    """Return the same as ``own_losses``, C, in operations that a compiler fuses into one pass over the logits."""
    return torch.logsumexp(logits_CV, dim=1) - logits_CV.gather(1, targets_C[:, None])[:, 0]


def find_head(model: Any) -> Head | None:
    """Return the head of a transformers causal language model, or None where its output layer is not a linear one.

    Gemma 2 and 3 cap their logits, Cohere multiplies and Granite divides them. The self-check finds out whether the
    model does more to them.
    """
    layer = model.get_output_embeddings()
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        return None
    config = model.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    bias = getattr(layer, "bias", None)
    on_cpu = weight.device.type == "cpu"
    widens = on_cpu and weight.dtype != torch.bfloat16
    return Head(
        weight_VD=weight.detach().float() if widens else weight.detach(),
        bias_V=None if bias is None else bias.detach().float(),
        scale=scale,
        cap=None if cap is None else float(cap),
        rows=chunk_rows(weight.shape[0], on_cpu, 4 if widens else weight.element_size()),
    )


def chunk_rows(vocabulary: int, on_cpu: bool, size: int = 4) -> int:
    """Return how many rows of products, of ``size`` bytes an entry, to compute at a time for this vocabulary."""
    if on_cpu:
        return max(16, min(384, CPU_CHUNK_BYTES // (size * vocabulary)))
    return max(CUDA_ROWS, min(8192, CUDA_CHUNK_BYTES // (4 * vocabulary) // CUDA_ROWS * CUDA_ROWS))


def full_nats(
    logits_BTV: torch.Tensor,
    rows_N: torch.Tensor,
    targets_N: torch.Tensor,
    ranks_N: torch.Tensor | None = None,
    likely_NK: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return -ln p(target) of each row, N in float32, from the logits of all positions.

    For models whose head we do not know. ``rows_N`` index the flattened positions B·T. ``ranks_N`` (int64), if given,
    takes the targets' ranks, ``likely_NK`` what ``find_likely`` writes.
    """
    logits_NV = logits_BTV.reshape(-1, logits_BTV.shape[-1])[rows_N].float()
    if ranks_N is not None:
        ranks_N.copy_(rank_targets(logits_NV, targets_N))
    losses_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
    if likely_NK is not None:
        find_likely(logits_NV, losses_N, targets_N, likely_NK)
    return losses_N


def rank_targets(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Return the rank of each target among all tokens, N in int64: 1 is the likeliest, ties share the best rank."""
    likelier_NV = logits_NV > logits_NV.gather(1, targets_N[:, None])
    if likelier_NV.device.type != "cpu":
        return likelier_NV.sum(dim=1) + 1
    # On the CPU a sum writes eight bytes for each byte of the comparison; NumPy counts ten times as fast.
    return torch.tensor([np.count_nonzero(row) for row in likelier_NV.numpy()], dtype=torch.int64) + 1
