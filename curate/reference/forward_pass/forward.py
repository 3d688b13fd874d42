"""A model on its device: packs in, nats of their scored tokens out.

On a CPU a pack is done when ``start`` comes back. On CUDA it is only given to the device; ``land`` of what comes back
waits for it, and other packs may be started in between.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curate.reference.forward_pass import device_transfer, packed_attention
from curate.reference.forward_pass.batches import ScoringPack
from curate.reference.forward_pass.device_transfer import DevicePack, DeviceTransfer, HostResult, PendingResult
from curate.reference.forward_pass.lm_head import Head, full_nats
from curate.reference.forward_pass.precision import matmul_precision
from curate.runtime import profiler

Ranked = tuple[NDArray[np.float32], NDArray[np.int64]]
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")


@dataclass(slots=True)
class CausalModel:
    """A model on its device with the manner in which it is run; the self-check chooses ``rung`` and ``head``."""

    model: Any
    device: torch.device
    head: Head | None  # None: take the model's own table of logits
    rung: str
    own_attention: str | None = None  # the implementation that the checkpoint came with
    takes_positions: bool = True
    varlen: bool = False  # packed: one kernel for all documents of a pack, where the device has one
    sizes: tuple[int, ...] = ()  # packed: the places that a pack is filled up to, falling; none: as many as it needs
    least: int = 0  # packed: a pack with fewer inputs is not filled up (0: all are)
    compiled: bool = False  # its layers are compiled for packs of the largest size
    lane: DeviceTransfer | None = None  # None: a pack is done when it is started

    def start(self, pack: ScoringPack) -> PendingResult[NDArray[np.float32]]:
        """Begin a pack; what lands is -ln p of each scored token, float32.  → N"""
        if self.lane is None:
            return HostResult(self.nats(pack))
        return _Nats(self._send(pack, False))

    def start_ranks(self, pack: ScoringPack) -> PendingResult[Ranked]:
        """The same, and with it the rank of each scored token in the vocabulary, from 1.  → N, N"""
        return HostResult(self.nats_and_ranks(pack)) if self.lane is None else self._send(pack, True)

    def nats(self, pack: ScoringPack) -> NDArray[np.float32]:
        """-ln p of each scored token of a pack, float32, now.  → N"""
        return self._read(pack, False)[0]

    def nats_and_ranks(self, pack: ScoringPack) -> Ranked:
        """The same, and the rank of each scored token in the vocabulary, from 1.  → N, N"""
        nats_N, ranks_N = self._read(pack, True)
        return nats_N, np.asarray(ranks_N)

    def _read(self, pack: ScoringPack, ranked: bool) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        nats_N, ranks_N = self._compute(device_transfer.put(pack, self.device, self.varlen), pack, ranked)
        return np.asarray(nats_N.cpu().numpy()), None if ranks_N is None else np.asarray(ranks_N.cpu().numpy())

    def _send(self, pack: ScoringPack, ranked: bool) -> Any:
        assert self.lane is not None
        whole = self.compiled and pack.places == self.sizes[0]
        rows = self.head.rows if self.head is not None and whole else 1
        return self.lane.send(pack, lambda arrays: self._compute(arrays, pack, ranked), rows, self.varlen)

    def _compute(self, at: DevicePack, pack: ScoringPack, ranked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Forward pass and head.  → M, M on the device"""
        ranks_M = torch.zeros(len(at.targets_M), dtype=torch.int64, device=self.device) if ranked else None
        options: dict[str, Any] = {"use_cache": False}
        if self.takes_positions:
            options["position_ids"] = at.positions_BL
        bounds = None if pack.edges is None else packed_attention.DocumentBounds(pack.edges.tolist(), at.edges)
        with (
            torch.inference_mode(),
            packed_attention.within(bounds),
            matmul_precision(bfloat16=False),
            self._stance(pack),
        ):
            if self.head is None:
                with profiler.span("forward", self.device):
                    logits = self.model(input_ids=at.ids_BL, **options).logits
                with profiler.span("head", self.device):
                    return full_nats(logits, at.rows_M, at.targets_M, ranks_M), ranks_M
            with profiler.span("forward", self.device):
                hidden = self.model.base_model(input_ids=at.ids_BL, **options)[0]
            with profiler.span("head", self.device):
                hidden_MD = hidden.reshape(-1, hidden.shape[-1])[at.rows_M]
                return self.head.nats(hidden_MD, at.targets_M, ranks_M), ranks_M

    def _stance(self, pack: ScoringPack) -> AbstractContextManager[Any]:
        """What is compiled is compiled for one size; a rare pack of another runs as it was written."""
        if not self.compiled or pack.places == self.sizes[0]:
            return nullcontext()
        stance: Any = torch.compiler.set_stance("force_eager")
        return stance  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Nats:
    """Of nats and ranks on their way, the nats."""

    both: Any

    def land(self) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.both.land()[0]
        return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure is want of memory, on CUDA or on the host."""
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(sign in str(error).lower() for sign in OUT_OF_MEMORY)
