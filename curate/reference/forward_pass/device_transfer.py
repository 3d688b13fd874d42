"""Copies of packs to a CUDA device and of their nats back, so that neither side waits for the other.

    pack → pinned memory ═ a stream ═► device → forward, head → nats ═ another stream ═► pinned memory → NumPy

A ring of slots, each with pinned memory, memory on the device, and an event at each hand-over. A slot is written again
only after its result was taken, so that the host never overwrites what is still being copied. The device's stream
waits for a copy by an event, and the host waits only for the event of the nats that it takes. Nothing else
synchronises the two in the steady state.

All CUDA calls go through one object (``torch.cuda`` itself), so that a test can watch the order of events.

Shapes: B rows, L positions, N scored tokens, M rows of the head (the scored tokens and a filling).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from curate.reference.forward_pass.batches import ScoringPack
from curate.runtime.arrays import Array, Float32Array

Landed = tuple[Float32Array, Array | None]
"""Nats N and, where it was computed, something further of each scored token, N or N×K."""
Kind = TypeVar("Kind", covariant=True)


class PendingResult(Protocol[Kind]):
    """A result that a device may still be computing."""

    def land(self) -> Kind:
        """Wait for the result and return it. Call it once."""


@dataclass(frozen=True, slots=True)
class HostResult:
    """A result that is there at once, as on a CPU."""

    value: Any

    def land(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class DevicePack:
    """The arrays of a pack on its device, int64 but for ``edges``."""

    ids_BL: torch.Tensor
    positions_BL: torch.Tensor
    rows_M: torch.Tensor
    targets_M: torch.Tensor
    edges: torch.Tensor | None
    """Bounds of the documents, int32; None where no kernel needs them."""


def copy_pack(pack: ScoringPack, device: torch.device, edges: bool) -> DevicePack:
    """Copy the arrays of a pack to a device, the bounds of its documents only where ``edges`` is set; wait for it."""
    bounds = pack.edges if edges else None
    return DevicePack(
        torch.from_numpy(pack.ids_BL).to(device),
        torch.from_numpy(pack.positions_BL).to(device),
        torch.from_numpy(pack.rows_N).to(device),
        torch.from_numpy(pack.targets_N).to(device),
        None if bounds is None else torch.from_numpy(bounds.astype(np.int32)).to(device),
    )


class TransferSlot:
    """An entry of the ring: memory on both sides, which grows where a pack needs more."""

    def __init__(self, cuda: Any, device: torch.device, pinned: bool):
        self.free = True
        self.copied, self.computed = cuda.Event(), cuda.Event()
        self.landed = cuda.Event(blocking=True)  # the host sleeps while it waits, and does not spin
        self.device, self._pinned = device, pinned
        self.staged = self.on_device = torch.empty(0, dtype=torch.int32)
        self.nats, self.further = torch.empty(0), torch.empty(0)
        self.in_use: Any = None  # tensors that the device still works with; released when the result has landed

    def make_room(self, numbers: int, scored: int) -> bool:
        """Grow to ``numbers`` int32 there and ``scored`` results back.  → whether the memory on the device is new"""
        grows = len(self.staged) < numbers
        if grows:
            self.staged = torch.empty(numbers, dtype=torch.int32, pin_memory=self._pinned)
            self.on_device = torch.empty(numbers, dtype=torch.int32, device=self.device)
        if len(self.nats) < scored:
            self.nats = torch.empty(scored, dtype=torch.float32, pin_memory=self._pinned)
        return grows

    def make_room_further(self, further_M: torch.Tensor, scored: int) -> None:
        """Grow to ``scored`` results back of what is computed beside the nats."""
        kept, shape = self.further, further_M.shape[1:]
        if len(kept) < scored or kept.shape[1:] != shape or kept.dtype != further_M.dtype:
            self.further = torch.empty((scored, *shape), dtype=further_M.dtype, pin_memory=self._pinned)


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """The nats of one pack, being copied to the host."""

    slot: TransferSlot
    tokens: int
    has_further: bool

    def land(self) -> Landed:
        """Wait for the nats and what is beside them, return copies, and free the slot."""
        slot = self.slot
        slot.landed.synchronize()
        nats = slot.nats[: self.tokens].numpy().copy()
        further = slot.further[: self.tokens].numpy().copy() if self.has_further else None
        slot.in_use, slot.free = None, True
        return nats, further


class DeviceTransfer:
    """A ring of ``slots`` between the host and one CUDA device; at most so many packs are in flight."""

    def __init__(self, device: torch.device, slots: int, cuda: Any = torch.cuda, pinned: bool = True):
        self.device, self._cuda = device, cuda
        self._there, self._back = cuda.Stream(device), cuda.Stream(device)
        self.slots = [TransferSlot(cuda, device, pinned) for _ in range(slots)]

    def send(
        self,
        pack: ScoringPack,
        compute: Callable[[DevicePack], tuple[torch.Tensor, torch.Tensor | None]],
        rows: int,
        edges: bool,
    ) -> DeviceResult:
        """Start a pack: queue the copy to the device, ``compute``, and the copy of its result back.

        ``compute`` returns nats M and something further of each, M or M×K, or None. The rows of the head are filled
        up to a multiple of ``rows``. Raises RuntimeError where all slots are in flight.
        """
        slot = next((slot for slot in self.slots if slot.free), None)
        if slot is None:
            raise RuntimeError(f"all {len(self.slots)} slots are in flight; land one first")
        arrays = self._copy_there(slot, pack, rows, edges)
        nats_M, further_M = compute(arrays)
        if further_M is not None:
            slot.make_room_further(further_M, pack.tokens)
        main = self._cuda.current_stream(self.device)
        slot.computed.record(main)
        slot.in_use = (arrays, nats_M, further_M)
        with self._cuda.stream(self._back):
            self._back.wait_event(slot.computed)
            slot.nats[: pack.tokens].copy_(nats_M[: pack.tokens], non_blocking=True)
            if further_M is not None:
                slot.further[: pack.tokens].copy_(further_M[: pack.tokens], non_blocking=True)
            slot.landed.record(self._back)
        slot.free = False
        return DeviceResult(slot, pack.tokens, further_M is not None)

    def _copy_there(self, slot: TransferSlot, pack: ScoringPack, rows: int, edges: bool) -> DevicePack:
        """Copy ids, positions, rows, targets and edges as one block of 32-bit numbers."""
        filled = -(-pack.tokens // rows) * rows
        bounds = np.zeros(0, np.int64) if pack.edges is None or not edges else pack.edges
        sizes = [pack.num_positions, pack.num_positions, filled, filled, len(bounds)]
        ends = np.cumsum(sizes).tolist()
        main = self._cuda.current_stream(self.device)
        if slot.make_room(ends[-1], pack.tokens):  # the last user of that memory may not be done with it
            slot.computed.record(main)
            self._there.wait_event(slot.computed)
        staged = slot.staged.numpy()
        staged[: ends[1]].reshape(2, -1)[:] = pack.ids_BL.reshape(-1), pack.positions_BL.reshape(-1)
        staged[ends[1] : ends[3]] = 0
        staged[ends[1] : ends[1] + pack.tokens] = pack.rows_N
        staged[ends[2] : ends[2] + pack.tokens] = pack.targets_N
        staged[ends[3] : ends[4]] = bounds
        with self._cuda.stream(self._there):
            slot.on_device[: ends[4]].copy_(slot.staged[: ends[4]], non_blocking=True)
            slot.copied.record(self._there)
        main.wait_event(slot.copied)
        block = slot.on_device[: ends[3]].long()
        ids, positions, at, targets = torch.split(block, sizes[:4])
        shape = pack.ids_BL.shape
        device_edges = slot.on_device[ends[3] : ends[4]] if len(bounds) else None
        return DevicePack(ids.view(shape), positions.view(shape), at, targets, device_edges)
