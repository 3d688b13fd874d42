"""Any causal language model of transformers as a reference: passages in, likelihoods out.

    tokenise and window (a thread ahead) → pack → forward → head in chunks → nats per token → float64 sums

The manner in which windows share a forward pass is a rung of a ladder, the highest that the self-check trusts:
``packed`` (end to end in one row, our attention), ``padded`` (neighbours in length, padded right, which a causal
model cannot see), ``equal`` (only windows of one length together), ``alone``. Nothing of a result depends on the rung
but the last bits.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from curate import console, stopwatch
from curate.errors import ModelError
from curate.likelihood import Likelihoods, Passage
from curate.packing import WindowPolicy
from curate.reference import attention, batches
from curate.reference.batches import Pack, Prepared
from curate.reference.head import Head, full_nats
from curate.reference.precision import matmul_precision
from curate.reference.tokenisation import TextEncoder

LONGEST = 100_000_000  # bytes of one text; a longer one is refused as too_long
AHEAD = 2  # batches that are read and tokenised before they are needed
Found = TypeVar("Found")
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(slots=True)
class CausalModel:
    """A model on its device with the manner in which it is run; the self-check chooses ``rung`` and ``head``."""

    model: Any
    device: torch.device
    head: Head | None  # None: take the model's own table of logits
    rung: str
    own_attention: str | None = None  # the implementation that the checkpoint came with
    takes_positions: bool = True

    def nats(self, pack: Pack) -> NDArray[np.float32]:
        """-ln p of each scored token of a pack, float32.  → N"""
        return self._read(pack, None)

    def nats_and_ranks(self, pack: Pack) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same, and the rank of each scored token in the vocabulary, from 1.  → N, N"""
        ranks_N = torch.zeros(pack.tokens, dtype=torch.int64, device=self.device)
        nats_N = self._read(pack, ranks_N)
        return nats_N, np.asarray(ranks_N.cpu().numpy())

    def _read(self, pack: Pack, ranks_N: torch.Tensor | None) -> NDArray[np.float32]:
        with torch.inference_mode():
            ids_BL = torch.from_numpy(pack.ids_BL).to(self.device)
            rows_N = torch.from_numpy(pack.rows_N).to(self.device)
            targets_N = torch.from_numpy(pack.targets_N).to(self.device)
            options: dict[str, Any] = {"use_cache": False}
            if self.takes_positions:
                options["position_ids"] = torch.from_numpy(pack.positions_BL).to(self.device)
            with attention.within(self._bounds(pack)), matmul_precision(bfloat16=False):
                if self.head is None:
                    with stopwatch.span("forward", self.device):
                        logits = self.model(input_ids=ids_BL, **options).logits
                    with stopwatch.span("head", self.device):
                        return np.asarray(full_nats(logits, rows_N, targets_N, ranks_N).cpu().numpy())
                with stopwatch.span("forward", self.device):
                    hidden = self.model.base_model(input_ids=ids_BL, **options)[0]
                with stopwatch.span("head", self.device):
                    hidden_ND = hidden.reshape(-1, hidden.shape[-1])[rows_N]
                    return np.asarray(self.head.nats(hidden_ND, targets_N, ranks_N).cpu().numpy())

    def _bounds(self, pack: Pack) -> attention.Bounds | None:
        if pack.edges is None:
            return None
        edges = pack.edges.tolist()
        on_device = None
        if self.device.type == "cuda":
            on_device = torch.tensor(edges, dtype=torch.int32, device=self.device)
        return attention.Bounds(attention.find_runs(edges), int(np.diff(pack.edges).max()), on_device)


@dataclass(slots=True)
class CausalReference:
    """The one seam to reference models: an ``identity``, and ``score``."""

    runner: CausalModel
    encoder: TextEncoder
    policy: WindowPolicy
    prefix: int | None
    pack_tokens: int
    identity: dict[str, Any]
    parameters: int
    check_line: str = ""
    notes: list[str] = field(default_factory=list)
    places: int = 0  # places computed so far, padding included
    tokens: int = 0  # tokens scored so far

    def score(
        self, passages: Iterable[Sequence[Passage]], advance: Callable[[int, float], None] | None = None
    ) -> Iterator[Likelihoods]:
        """Score batches of passages, in order; each batch is packed by itself, so that it can be made again alone.

        Batches are read and tokenised a little ahead in a thread. ``advance(tokens, share)`` is called after each
        forward pass with the tokens scored and their share of the batch.
        """
        for prepared in _ahead(passages, self.prepare):
            yield self._run(prepared, advance)

    def prepare(self, passages: Sequence[Passage]) -> Prepared:
        return batches.prepare(passages, self.encoder, self.policy, self.prefix, LONGEST)

    def _run(self, prepared: Prepared, advance: Callable[[int, float], None] | None) -> Likelihoods:
        whole = max(int(prepared.scored.sum()), 1)
        for pack, nats in self.read(prepared):
            batches.record(prepared, pack, nats)
            self.places += pack.places
            self.tokens += pack.tokens
            if advance is not None:
                advance(pack.tokens, pack.tokens / whole)
        return batches.finish(prepared)

    def read(self, prepared: Prepared) -> Iterator[tuple[Pack, NDArray[np.float32]]]:
        """The nats of each scored token, pack by pack."""
        return self.passes(prepared, self.runner.nats)

    def passes(self, prepared: Prepared, run: Callable[[Pack], Found]) -> Iterator[tuple[Pack, Found]]:
        """What ``run`` finds in each pack; where memory runs out, in smaller ones."""
        waiting = batches.split(prepared, self.runner.rung, self.pack_tokens)
        waiting.reverse()
        while waiting:
            windows = waiting.pop()
            with stopwatch.span("pack"):
                pack = batches.build(prepared, windows, self.runner.rung, self.prefix)
            try:
                found = run(pack)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                waiting += self._smaller(windows, prepared, error)
                continue
            yield pack, found

    def _smaller(self, windows: NDArray[np.int64], prepared: Prepared, error: BaseException) -> list[NDArray[np.int64]]:
        """Halve what is run at a time: the pack, or for a single window the rows of the head; and say so."""
        if self.runner.device.type == "cuda":
            torch.cuda.empty_cache()
        head = self.runner.head
        if len(windows) > 1:
            self.pack_tokens = max(1, self.pack_tokens // 2)
            console.warn(f"out of memory: packs of {self.pack_tokens:,} tokens from here on")
            half = len(windows) // 2
            return [windows[half:], windows[:half]]
        if head is not None and head.rows > 16:
            head.rows //= 2
            head._buffer = None
            console.warn(f"out of memory: {head.rows} rows of logits at a time from here on")
            return [windows]
        length = int(prepared.lengths[windows[0]])
        message = f"out of memory on {self.runner.device} with a single window of {length:,} tokens"
        raise ModelError(message, f"read less at a time: --window {max(1, length // 2)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure is want of memory, on CUDA or on the host."""
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def _ahead(
    passages: Iterable[Sequence[Passage]], prepare: Callable[[Sequence[Passage]], Prepared]
) -> Iterator[Prepared]:
    """Read and prepare in a thread, at most ``AHEAD`` batches before they are asked for; failures arrive in place."""
    ready: queue.Queue[Prepared | BaseException | None] = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()

    def put(item: Prepared | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            each = iter(passages)
            while True:
                with stopwatch.span("read"):
                    batch = next(each, None)
                if batch is None:
                    break
                with stopwatch.span("tokenise"):
                    prepared = prepare(batch)
                if not put(prepared):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="curate-prepare", daemon=True)
    thread.start()
    try:
        while True:
            with stopwatch.span("wait"):
                item = ready.get()
            if item is None:
                break
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)
