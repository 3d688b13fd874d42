"""A process with a model on one device: what the parent sees of it, and what runs inside.

Wire: pickles over stdin and stdout. In go the name and the config, then rounds of batches, each between a
``RoundBegin`` and a ``RoundEnd``; out come a ``WorkerOpened``, then in each round a ``WorkerAnswer`` for each batch and
a ``RoundReport``, or a ``CurateError`` in place of any.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from curate.errors import CurateError, ModelError
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.protocol import ReferenceModel, ScoringConfig
from curate.runtime import console
from curate.runtime.choices import TokenMeasure
from curate.runtime.work import profiler
from curate.runtime.work.interrupts import hold_signals, ignore_signals

MAX_PENDING = 3  # batches that a process has at most: one being scored, one tokenised, one on its way
STARTER = """
from curate.reference.device_worker import serve
from curate.runtime.streams import guard_streams
with guard_streams():
    serve()
"""


@dataclass(frozen=True, slots=True)
class WorkerOpened:
    """The first message of a process: its model is loaded and checked."""

    identity: dict[str, Any]
    parameters: int
    vocab_size: int
    check_line: str
    notes: tuple[str, ...]
    pack_tokens: int


def describe_opened(reference: ReferenceModel) -> WorkerOpened:
    """Return what another process needs to know of a model that is loaded here."""
    return WorkerOpened(
        reference.identity,
        reference.parameters,
        reference.vocab_size,
        reference.check_line,
        tuple(reference.notes),
        int(reference.identity["pack_tokens"]),
    )


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """The likelihoods of a batch, and the tokens scored and computed for it."""

    likelihoods: Likelihoods
    num_scored_tokens: int
    num_computed_tokens: int


@dataclass(frozen=True, slots=True)
class RoundBegin:
    """Batches follow."""

    measure: bool
    """Whether the process measures where the time goes, for the ``RoundReport``."""
    measures: tuple[TokenMeasure, ...] = ()
    """What is measured of tokens."""


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """No batch follows in this round."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """All batches of a round are answered."""

    profile: dict[str, Any] | None
    """Where the time went (``profiler.describe_profile``), if that was measured."""


class DeviceWorker:
    """A process with a model on one device, seen from outside. ``send`` and ``receive`` never wait for each other."""

    def __init__(self, name: str, config: ScoringConfig, threads: int | None, changed: threading.Condition):
        self.device = config.device
        self.num_pending = 0
        self.ended = False
        self._changed = changed
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = {**os.environ, "PYTHONPATH": path}
        words = [sys.executable, "-c", STARTER]
        with hold_signals():
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        works = (self._write, self._read)
        self._threads = [threading.Thread(target=work, name=f"curate-{self.device}", daemon=True) for work in works]
        for thread in self._threads:
            thread.start()
        self._outgoing.put((name, config, threads, console.is_enabled()))

    @property
    def free(self) -> bool:
        """Whether the process takes another batch. True once it has ended: then ``receive`` raises the reason."""
        return self.ended or self.num_pending < MAX_PENDING

    def has_message(self) -> bool:
        """Return whether ``receive`` would return at once."""
        return not self._incoming.empty()

    def send(self, batch: Sequence[Passage]) -> None:
        """Send a batch; its answer is one of the next messages."""
        with self._changed:
            self.num_pending += 1
        self._outgoing.put(list(batch))

    def send_marker(self, marker: RoundBegin | RoundEnd) -> None:
        """Send the begin or the end of a round."""
        self._outgoing.put(marker)

    def receive(self) -> Any:
        """Wait for the next message of the process and return it; raise what the process raised.

        Raises ModelError where the process has ended.
        """
        message = self._incoming.get()
        if message is None:
            code = self.process.wait()
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            hint = "if memory ran out, name fewer --devices; the same command goes on from the last complete slice"
            raise ModelError(f"the process of {self.device} {how}", hint)
        if isinstance(message, BaseException):
            raise message
        return message

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self._outgoing.put(None)
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _write(self) -> None:
        pipe = self.process.stdin
        while pipe is not None and (value := self._outgoing.get()) is not None:
            try:
                pickle.dump(value, pipe, pickle.HIGHEST_PROTOCOL)
                pipe.flush()
            except (BrokenPipeError, ValueError):
                return  # the process is gone; ``_read`` reports it

    def _read(self) -> None:
        pipe = self.process.stdout
        try:
            while pipe is not None:
                message = pickle.load(pipe)
                with self._changed:
                    self.num_pending -= isinstance(message, WorkerAnswer)
                    self._incoming.put(message)
                    self._changed.notify_all()
        except (EOFError, pickle.UnpicklingError, ValueError, OSError):
            with self._changed:
                self.ended = True
                self._incoming.put(None)
                self._changed.notify_all()


def serve() -> None:
    """Run a worker process: load the model, then score batches from stdin until the pipe ends. Never returns."""
    ignore_signals()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    name, config, threads, speaks = pickle.load(sys.stdin.buffer)
    console.enable(speaks)
    try:
        for message in _answer(name, config, threads):
            pickle.dump(message, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except BrokenPipeError:
        os._exit(1)
    except CurateError as error:
        pickle.dump(error, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except EOFError:
        pass  # the parent is done
    os._exit(0)


def _answer(
    name: str, config: ScoringConfig, threads: int | None
) -> Iterator[WorkerOpened | WorkerAnswer | RoundReport]:
    from curate.reference.loading import load_causal

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    reference = load_causal(name, config)
    yield describe_opened(reference)
    scored = computed = 0
    while True:
        begin: RoundBegin = pickle.load(sys.stdin.buffer)
        with profiler.measure_spans() if begin.measure else nullcontext() as watch:
            for likelihoods in reference.score(_batches(), measures=begin.measures):
                done = reference.num_scored_tokens - scored, reference.num_computed_tokens - computed
                yield WorkerAnswer(likelihoods, *done)
                scored, computed = reference.num_scored_tokens, reference.num_computed_tokens
        yield RoundReport(None if watch is None else profiler.describe_profile(watch))


def _batches() -> Iterator[list[Passage]]:
    """Yield the batches of one round."""
    while not isinstance(batch := pickle.load(sys.stdin.buffer), RoundEnd):
        yield batch
