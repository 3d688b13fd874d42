"""A model on its device: packs in, nats of their scored tokens out.

On a CPU a pack is done when ``start`` returns. On CUDA ``start`` only queues it on the device; ``land`` of the result
waits for it, and other packs may be started in between.

Shapes: B rows, L positions, N scored tokens, M rows of the head (the scored tokens and a filling), D width.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from curate.reference.forward_pass import device_transfer, packed_attention
from curate.reference.forward_pass.batches import Layout, ScoringPack
from curate.reference.forward_pass.device_transfer import (
    DevicePack,
    DeviceTransfer,
    HostResult,
    Landed,
    PendingResult,
)
from curate.reference.forward_pass.lm_head import Head, full_nats
from curate.reference.forward_pass.precision import matmul_precision
from curate.reference.measures import calibration
from curate.runtime.arrays import Float32Array, Int64Array
from curate.runtime.work import profiler

Ranked = tuple[Float32Array, Int64Array]
"""Nats and ranks of the scored tokens of a pack, N each."""
Likely = tuple[Float32Array, Float32Array]
"""Nats of the scored tokens of a pack, N, and what calibration needs of each, N×K (``likely_tokens``)."""
Further = Literal["ranks", "likely"]
"""What is computed beside the nats."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")


@dataclass(slots=True)
class CausalModel:
    """A model on its device, and how it is run. The self-check chooses ``layout`` and ``head``."""

    model: Any
    """A causal language model of transformers."""
    device: torch.device
    head: Head | None
    """None: use the logits that the model returns."""
    layout: Layout
    """How windows share a forward pass."""
    own_attention: str | None = None
    """The attention implementation that the checkpoint came with."""
    takes_positions: bool = True
    """Whether the model's forward takes ``position_ids``."""
    varlen: bool = False
    """Packed only: run one kernel for all documents of a pack, where the device has one."""
    fused_attention: bool = False
    """With ``varlen``: that kernel is ours (``document_attention``), where it fits."""
    sizes: tuple[int, ...] = ()
    """Packed only: the positions that a pack is filled up to, falling; empty: packs are not filled up."""
    fill_from: int = 0
    """Packed only: a pack with fewer inputs is not filled up; 0: all packs are."""
    compiled: bool = False
    """Whether its layers are compiled, for packs of the largest size."""
    transfer: DeviceTransfer | None = None
    """The copies to the device and back; None: a pack is done when ``start`` returns."""
    num_logits: int = 0
    """Tokens that have a logit at each position; known after the first pack."""

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model can read: the rows of its input embedding."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def start(self, pack: ScoringPack) -> PendingResult[Float32Array]:
        """Start a pack. The result lands -ln p of each scored token, N, in nats."""
        if self.transfer is None:
            return HostResult(self.nats(pack))
        return _Nats(self._send(pack, None))

    def start_ranks(self, pack: ScoringPack) -> PendingResult[Ranked]:
        """Start a pack. The result lands nats, N, and ranks, N, as ``nats_and_ranks`` returns them."""
        return HostResult(self.nats_and_ranks(pack)) if self.transfer is None else self._send(pack, "ranks")

    def start_likely(self, pack: ScoringPack) -> PendingResult[Likely]:
        """Start a pack. The result lands nats, N, and what calibration needs, N×K."""
        return HostResult(self._read(pack, "likely")) if self.transfer is None else self._send(pack, "likely")

    def nats(self, pack: ScoringPack) -> Float32Array:
        """Return -ln p of each scored token of a pack, N, in nats; wait for it."""
        return self._read(pack, None)[0]

    def nats_and_ranks(self, pack: ScoringPack) -> Ranked:
        """Return the nats of each scored token, N, and its rank in the vocabulary, N; the likeliest has rank 1."""
        nats_N, ranks_N = self._read(pack, "ranks")
        return nats_N, np.asarray(ranks_N)

    def _read(self, pack: ScoringPack, further: Further | None) -> Landed:
        nats_N, further_N = self._compute(device_transfer.copy_pack(pack, self.device, self.varlen), pack, further)
        return np.asarray(nats_N.cpu().numpy()), None if further_N is None else np.asarray(further_N.cpu().numpy())

    def _send(self, pack: ScoringPack, further: Further | None) -> Any:
        assert self.transfer is not None
        full = self.compiled and pack.num_positions == self.sizes[0]
        in_chunks = self.head is not None and (further is not None or self.head.fused is None)
        rows = self.head.rows if self.head is not None and in_chunks and full else 1
        return self.transfer.send(pack, lambda arrays: self._compute(arrays, pack, further), rows, self.varlen)

    def _compute(
        self, arrays: DevicePack, pack: ScoringPack, further: Further | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Run forward pass and head.  → nats M, and ranks M or what calibration needs M×K, on the device"""
        count = len(arrays.targets_M)
        ranks_M = torch.zeros(count, dtype=torch.int64, device=self.device) if further == "ranks" else None
        likely_MK = torch.zeros(count, calibration.WIDTH, device=self.device) if further == "likely" else None
        further_M = ranks_M if likely_MK is None else likely_MK
        options: dict[str, Any] = {"use_cache": False}
        if pack.seen_BL is not None:  # padded as other tools do it: the model numbers the positions itself
            options["attention_mask"] = torch.from_numpy(pack.seen_BL).to(self.device)
        elif self.takes_positions:
            options["position_ids"] = arrays.positions_BL
        bounds = None
        if pack.edges is not None:
            edges = pack.edges.tolist()
            bounds = packed_attention.DocumentBounds(edges, arrays.edges, self.fused_attention)
            if pack.spread is not None:
                bounds.spread = torch.from_numpy(pack.spread.spread_E).to(self.device)
                bounds.kept = torch.from_numpy(pack.spread.kept_T).to(self.device)
        with (
            torch.inference_mode(),
            packed_attention.attend_within(bounds),
            matmul_precision(bfloat16=False),
            self._stance(pack),
        ):
            if self.head is None:
                with profiler.span("forward", self.device):
                    logits = self.model(input_ids=arrays.ids_BL, **options).logits
                self.num_logits = logits.shape[-1]
                with profiler.span("head", self.device):
                    return full_nats(logits, arrays.rows_M, arrays.targets_M, ranks_M, likely_MK), further_M
            with profiler.span("forward", self.device):
                hidden = self.model.base_model(input_ids=arrays.ids_BL, **options)[0]
            with profiler.span("head", self.device):
                hidden_MD = hidden.reshape(-1, hidden.shape[-1])[arrays.rows_M]
                self.num_logits = self.head.weight_VD.shape[0]
                return self.head.nats(hidden_MD, arrays.targets_M, ranks_M, likely_MK), further_M

    def _stance(self, pack: ScoringPack) -> AbstractContextManager[Any]:
        """Return a context: compiled code is for one size, and a rare pack of another size runs uncompiled."""
        if not self.compiled or pack.num_positions == self.sizes[0]:
            return nullcontext()
        stance: Any = torch.compiler.set_stance("force_eager")
        return stance  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Nats:
    """A pending pair, of which only the nats are of interest."""

    pair: Any

    def land(self) -> Float32Array:
        nats_N: Float32Array = self.pair.land()[0]
        return nats_N


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on CUDA or on the host."""
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(sign in str(error).lower() for sign in OUT_OF_MEMORY)
