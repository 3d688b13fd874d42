"""Any causal language model of transformers as a reference: passages in, likelihoods out.

    tokenise and window (a thread ahead) → pack → forward → head in chunks → nats per token → float64 sums

Windows share a forward pass in one of four layouts, the first of these that the self-check trusts: ``packed`` (end to
end in one row, our attention), ``padded`` (neighbours in length, padded on the right, which a causal model cannot see),
``equal`` (only windows of one length together), ``alone``. A result depends on the layout only in its last bits.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from curate.errors import ModelError
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.conventions.framing import UNFRAMED, TextFrame
from curate.reference.forward_pass import batches, shared_beginnings
from curate.reference.forward_pass.batches import PreparedBatch, ScoringPack
from curate.reference.forward_pass.device_transfer import PendingResult
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.prefetch import prepare_ahead
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.runtime import console
from curate.runtime.arrays import Float32Array, Int64Array
from curate.runtime.choices import TokenMeasure
from curate.runtime.work import profiler

LONGEST = 100_000_000  # bytes of one text; a longer one is refused as too_long
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PackResult(Generic[Result]):
    """What the model returned for one pack of a batch."""

    batch: PreparedBatch
    pack: ScoringPack | None
    """None for a batch in which nothing can be scored."""
    result: Result | None
    """None where ``pack`` is."""
    last: bool
    """Whether this is the last pack of the batch."""


@dataclass(slots=True)
class CausalReference:
    """A ``ReferenceModel`` on one device. It also scores any tokens of token sequences (``token_sequences``)."""

    runner: CausalModel
    encoder: TextEncoder
    policy: WindowPolicy
    prefix: int | None
    """The id of the token in front of every text, or None."""
    pack_tokens: int
    """Tokens of a pack at most; halved where memory runs out."""
    identity: dict[str, Any]
    parameters: int
    check_line: str = ""
    notes: list[str] = field(default_factory=list)
    frame: TextFrame = UNFRAMED
    """What stands around a text; nothing, but under a convention."""
    num_computed_tokens: int = 0
    """Positions that forward passes computed so far, padding included."""
    num_scored_tokens: int = 0

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model can read: the rows of its input embedding."""
        return self.runner.vocab_size

    @property
    def devices(self) -> tuple[str, ...]:
        """The name of the one device."""
        return (str(self.runner.device),)

    def close(self) -> None:
        """Do nothing: the model's memory is free when the reference is no longer used."""

    def score(
        self,
        passages: Iterable[Sequence[Passage]],
        advance: Callable[[int, float], None] | None = None,
        measures: Collection[TokenMeasure] = (),
    ) -> Iterator[Likelihoods]:
        """Yield the likelihoods of each batch, in order; a batch is packed on its own, so that it can be redone alone.

        A thread reads and tokenises batches a little ahead. ``advance(tokens, share)`` is called after each forward
        pass with the tokens scored and their share of the batch. ``measures`` are written into ``Likelihoods.sums``.
        Raises ModelError where a single window does not fit into memory.
        """
        flying: deque[Any] = deque()
        prepare = partial(self.prepare, measures=measures)
        ready = prepare_ahead(passages, prepare, lambda: bool(flying))
        for each in self.flow(ready, self.choose_start(measures), flying):
            if each.pack is not None:
                self._record(each)
                self.count(each.pack)
                if advance is not None:
                    advance(each.pack.tokens, each.pack.tokens / max(int(each.batch.scored.sum()), 1))
            if each.last:
                yield batches.finish_batch(each.batch)

    def choose_start(self, measures: Collection[TokenMeasure]) -> Callable[[ScoringPack], PendingResult[Any]]:
        """Return what starts a pack so that what is measured of its tokens can be had."""
        return self.runner.start_likely if "calibration" in measures else self.runner.start

    def _record(self, landed: PackResult[Any]) -> Float32Array:
        """Record what the model returned for a pack in its batch, and return the nats of its scored tokens."""
        assert landed.pack is not None
        nats_N, likely_NK = landed.result if isinstance(landed.result, tuple) else (landed.result, None)
        assert nats_N is not None
        if likely_NK is not None:
            batches.record_likely(landed.batch, landed.pack, likely_NK, self.runner.num_logits)
        batches.record_nats(landed.batch, landed.pack, nats_N)
        found: Float32Array = nats_N
        return found

    def count(self, pack: ScoringPack) -> None:
        """Add a pack to the counts of computed and scored tokens."""
        self.num_computed_tokens += pack.num_positions
        self.num_scored_tokens += pack.tokens

    def prepare(self, passages: Sequence[Passage], measures: Collection[TokenMeasure] = ()) -> PreparedBatch:
        """Return a batch of passages as ids and windows, with room for what is to be measured of its tokens."""
        return batches.prepare_batch(passages, self.encoder, self.policy, self.prefix, LONGEST, self.frame, measures)

    def read(self, prepared: PreparedBatch) -> Iterator[tuple[ScoringPack, Float32Array]]:
        """Yield each pack of a batch with the nats of its scored tokens, which are recorded in it.

        ``batches.finish_batch`` gives the likelihoods afterwards.
        """
        measures = () if prepared.measures is None else prepared.measures.names
        for each in self.flow([prepared], self.choose_start(measures), deque()):
            if each.pack is not None:
                yield each.pack, self._record(each)

    def passes(
        self, prepared: PreparedBatch, start: Callable[[ScoringPack], PendingResult[Result]]
    ) -> Iterator[tuple[ScoringPack, Result]]:
        """Yield each pack of one batch with what ``start`` returns for it; where memory runs out, in smaller packs."""
        for each in self.flow([prepared], start, deque()):
            if each.pack is not None and each.result is not None:
                yield each.pack, each.result

    def flow(
        self,
        feed: Iterable[PreparedBatch | None],
        start: Callable[[ScoringPack], PendingResult[Result]],
        flying: deque[tuple[PreparedBatch, ScoringPack | None, PendingResult[Result] | None, bool]],
    ) -> Iterator[PackResult[Result]]:
        """Yield the result of each pack of each batch, in order, with up to ``depth`` packs started ahead of it.

        Packs of the next batch are started while those of the last are under way. A None in the feed means that no
        batch is ready yet: the oldest pack in flight is landed meanwhile. Where memory runs out, the packs become
        smaller; raises ModelError where a single window is too much.
        """

        def land() -> PackResult[Result]:
            batch, pack, pending, last = flying.popleft()
            with profiler.span("land"):
                return PackResult(batch, pack, None if pending is None else pending.land(), last)

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
                        pack = self._build_pack(prepared, windows)
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
            while flying:  # the caller gave up half way: land what is in flight, which frees its slots
                land()

    @property
    def depth(self) -> int:
        """How many packs may be under way when the next is started: one less than there are transfer slots."""
        return 0 if self.runner.transfer is None else len(self.runner.transfer.slots) - 1

    def _split(self, prepared: PreparedBatch, windows: Int64Array) -> list[Int64Array]:
        """Return these windows in packs, the first pack last."""
        if self._shares_beginnings(prepared):
            return shared_beginnings.split_sharing(prepared, windows, self.prefix, self.pack_tokens)[::-1]
        lengths = prepared.lengths[windows]
        packs = batches.split_windows(lengths, self.runner.layout, self.pack_tokens, self.runner.sizes)
        return [windows[part] for part in reversed(packs)]

    def _build_pack(self, prepared: PreparedBatch, windows: Int64Array) -> ScoringPack:
        """Return the arrays of one forward pass over some windows."""
        if self._shares_beginnings(prepared):
            return shared_beginnings.build_sharing_pack(prepared, windows, self.prefix)
        runner = self.runner
        return batches.build_pack(prepared, windows, runner.layout, self.prefix, runner.sizes, runner.fill_from)

    def _shares_beginnings(self, prepared: PreparedBatch) -> bool:
        """Return whether packs read beginnings once: where they are not filled up to fixed sizes, as on a CPU."""
        return prepared.begins_alike and self.runner.layout == "packed" and not self.runner.sizes

    def _smaller(
        self, pack: ScoringPack, waiting: list[Int64Array], prepared: PreparedBatch, error: BaseException
    ) -> list[Int64Array]:
        """Halve what one pass runs, and warn. Return what of the batch is still to run, in packs of the new size.

        The tokens of a pack are halved, or, where a single window is too much, the rows of the head.
        """
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize(self.runner.device)  # the copies that the failed pack had begun
            torch.cuda.empty_cache()
        head = self.runner.head
        windows = pack.windows
        if len(windows) > 1:
            self.pack_tokens = max(1, min(self.pack_tokens, pack.num_positions) // 2)
            while self.runner.sizes and self.runner.sizes[0] > self.pack_tokens:
                self.runner.sizes, self.runner.fill_from = halve(self.runner.sizes), self.runner.fill_from // 2
            console.warn(f"out of memory: packs of {self.pack_tokens:,} tokens from here on")
            return self._split(prepared, np.concatenate([windows, *reversed(waiting)]))
        if head is not None and head.rows > 16:
            head.rows //= 2
            head._buffer = None
            console.warn(f"out of memory: {head.rows} rows of logits at a time from here on")
            return [*waiting, windows]
        length = int(prepared.lengths[windows[0]])
        message = f"out of memory on {self.runner.device} with a single window of {length:,} tokens"
        raise ModelError(message, f"use a smaller window: --window {max(1, length // 2)}") from error


def halve(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of packs, each half as large, falling and without doubles; none is below 1."""
    return tuple(sorted({max(1, size // 2) for size in sizes}, reverse=True))
