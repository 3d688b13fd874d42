"""Any causal language model of transformers as a reference: passages in, likelihoods out.

    tokenise and window (a thread ahead) → pack → forward → head in chunks → nats per token → float64 sums

The manner in which windows share a forward pass is a rung of a ladder, the highest that the self-check trusts:
``packed`` (end to end in one row, our attention), ``padded`` (neighbours in length, padded right, which a causal
model cannot see), ``equal`` (only windows of one length together), ``alone``. Nothing of a result depends on the rung
but the last bits.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.reference.forward_pass import batches
from curate.reference.forward_pass.batches import PreparedBatch, ScoringPack
from curate.reference.forward_pass.device_transfer import PendingResult
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.prefetch import prepare_ahead
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.reference.tokenizer import TextEncoder
from curate.runtime import console, profiler

__all__ = ["LONGEST", "CausalModel", "CausalReference", "ReadPack", "is_out_of_memory"]

LONGEST = 100_000_000  # bytes of one text; a longer one is refused as too_long
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ReadPack(Generic[Found]):
    """What was found in one pack of a batch; ``last`` when all of the batch is read (``pack`` None: nothing was)."""

    batch: PreparedBatch
    pack: ScoringPack | None
    found: Found | None
    last: bool


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
        flying: deque[Any] = deque()
        ready = prepare_ahead(passages, self.prepare, lambda: bool(flying))
        for read in self.flow(ready, self.runner.start, flying):
            if read.pack is not None and read.found is not None:
                batches.record(read.batch, read.pack, read.found)
                self.places += read.pack.places
                self.tokens += read.pack.tokens
                if advance is not None:
                    advance(read.pack.tokens, read.pack.tokens / max(int(read.batch.scored.sum()), 1))
            if read.last:
                yield batches.finish(read.batch)

    def prepare(self, passages: Sequence[Passage]) -> PreparedBatch:
        return batches.prepare(passages, self.encoder, self.policy, self.prefix, LONGEST)

    def read(self, prepared: PreparedBatch) -> Iterator[tuple[ScoringPack, NDArray[np.float32]]]:
        """The nats of each scored token, pack by pack."""
        return self.passes(prepared, self.runner.start)

    def passes(
        self, prepared: PreparedBatch, start: Callable[[ScoringPack], PendingResult[Found]]
    ) -> Iterator[tuple[ScoringPack, Found]]:
        """What is found in each pack of one batch; where memory runs out, in smaller ones."""
        for read in self.flow([prepared], start, deque()):
            if read.pack is not None and read.found is not None:
                yield read.pack, read.found

    def flow(
        self,
        feed: Iterable[PreparedBatch | None],
        start: Callable[[ScoringPack], PendingResult[Found]],
        flying: deque[tuple[PreparedBatch, ScoringPack | None, PendingResult[Found] | None, bool]],
    ) -> Iterator[ReadPack[Found]]:
        """What is found in each pack of each batch, in order, with up to ``depth`` packs started before it is taken.

        Packs of the next batch are started while those of the last are under way. A None in the feed says that nothing
        more is ready yet: what is flying is landed meanwhile. Where memory runs out, the packs become smaller.
        """

        def land() -> ReadPack[Found]:
            batch, pack, pending, last = flying.popleft()
            with profiler.span("land"):
                return ReadPack(batch, pack, None if pending is None else pending.land(), last)

        try:
            for prepared in feed:
                if prepared is None:
                    if flying:
                        yield land()
                    continue
                waiting = self._split(prepared, np.arange(len(prepared.lengths)))
                if not waiting:
                    flying.append((prepared, None, None, True))
                while waiting:
                    windows = waiting.pop()
                    with profiler.span("pack"):
                        runner = self.runner
                        pack = batches.build(prepared, windows, runner.rung, self.prefix, runner.sizes, runner.least)
                    try:
                        pending = start(pack)
                    except (RuntimeError, MemoryError) as error:
                        if not is_out_of_memory(error):
                            raise
                        while flying:
                            yield land()
                        waiting = self._smaller(pack, waiting, prepared, error)
                        continue
                    flying.append((prepared, pack, pending, not waiting))
                    while len(flying) > self.depth:
                        yield land()
            while flying:
                yield land()
        finally:
            while flying:  # given up half way: what is in flight is landed, so that its place is free again
                land()

    @property
    def depth(self) -> int:
        """How many packs may be under way when the next is started: one less than the lane has slots."""
        return 0 if self.runner.lane is None else len(self.runner.lane.slots) - 1

    def _split(self, prepared: PreparedBatch, windows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """These windows in packs, the first pack last."""
        lengths = prepared.lengths[windows]
        found = batches.split(lengths, self.runner.rung, self.pack_tokens, self.runner.sizes)
        return [windows[part] for part in reversed(found)]

    def _smaller(
        self, pack: ScoringPack, waiting: list[NDArray[np.int64]], prepared: PreparedBatch, error: BaseException
    ) -> list[NDArray[np.int64]]:
        """Halve what is run at a time, and say so.  → what of the batch is to be run, in packs of the new size

        That is the tokens of a pack, or, where a single window is too much, the rows of the head.
        """
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize(self.runner.device)  # what the failed pack had begun to copy
            torch.cuda.empty_cache()
        head = self.runner.head
        windows = pack.windows
        if len(windows) > 1:
            self.pack_tokens = max(1, min(self.pack_tokens, pack.places) // 2)
            while self.runner.sizes and self.runner.sizes[0] > self.pack_tokens:
                self.runner.sizes, self.runner.least = halve(self.runner.sizes), self.runner.least // 2
            console.warn(f"out of memory: packs of {self.pack_tokens:,} tokens from here on")
            return self._split(prepared, np.concatenate([windows, *reversed(waiting)]))
        if head is not None and head.rows > 16:
            head.rows //= 2
            head._buffer = None
            console.warn(f"out of memory: {head.rows} rows of logits at a time from here on")
            return [*waiting, windows]
        length = int(prepared.lengths[windows[0]])
        message = f"out of memory on {self.runner.device} with a single window of {length:,} tokens"
        raise ModelError(message, f"read less at a time: --window {max(1, length // 2)}") from error


def halve(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of packs, each half as large; a size that came down to another's is that size."""
    return tuple(sorted({max(1, size // 2) for size in sizes}, reverse=True))
