"""One reference model on several devices: a process for each, batches handed out as they finish, answers in order.

    passages ──► the process with the least in hand ──► tokenise ahead, forward, head ──► likelihoods, in their order

Each process loads the model and checks it as a single one would, so that a fleet is a ``ReferenceModel`` like any
other; the first settles how many tokens a pack has and whether the model is compiled, and the rest take that. A batch
is packed by itself wherever it is read, so its numbers are those that one device gives. Processes tokenise the next
batch while they read one: each is given up to ``IN_HAND`` at a time.

Wire: pickles over stdin and stdout. What goes in is the name and the reading, then rounds of batches, each between a
``RoundBegin`` and an ``RoundEnd``; what comes out is an ``WorkerOpened``, then in each round an ``WorkerAnswer`` for
each batch and a ``RoundReport``, or a ``CurateError`` in place of any.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from curate.errors import CurateError, ModelError, UsageError
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.protocol import ScoringConfig
from curate.runtime import console, profiler
from curate.runtime.threads import cores

IN_HAND = 3  # batches that a process has at most: one being read, one tokenised, one on its way
STARTER = "from curate.reference.multi_device import serve; serve()"


@dataclass(frozen=True, slots=True)
class WorkerOpened:
    """What a process says when its model is loaded and checked."""

    identity: dict[str, Any]
    parameters: int
    check_line: str
    notes: tuple[str, ...]
    pack_tokens: int


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """A batch, read; and the tokens scored and places computed for it."""

    likelihoods: Likelihoods
    tokens: int
    places: int


@dataclass(frozen=True, slots=True)
class RoundBegin:
    """Batches follow."""

    measure: bool
    """Whether to say at the end where the time went."""


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """No batch follows in this round."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """All batches of a round are answered; what was measured meanwhile (``stopwatch.describe``)."""

    profile: dict[str, Any] | None


# ---- one process, seen from outside ----------------------------------------------------------------------------------


class DeviceWorker:
    """A process with a model on one device. ``send`` and ``receive`` never wait for each other."""

    def __init__(self, name: str, reading: ScoringConfig, threads: int | None, changed: threading.Condition):
        self.device = reading.device
        self.in_hand = 0
        self.ended = False
        self._changed = changed
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = {**os.environ, "PYTHONPATH": path}
        words = [sys.executable, "-c", STARTER]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        works = (self._write, self._read)
        self._threads = [threading.Thread(target=one, name=f"curate-{self.device}", daemon=True) for one in works]
        for thread in self._threads:
            thread.start()
        self._outgoing.put((name, reading, threads, console.is_enabled()))

    @property
    def free(self) -> bool:
        """Whether it can be given another batch; of one that has ended, that it did is told by ``receive``."""
        return self.ended or self.in_hand < IN_HAND

    def has_said(self) -> bool:
        return not self._incoming.empty()

    def send(self, batch: Sequence[Passage]) -> None:
        with self._changed:
            self.in_hand += 1
        self._outgoing.put(list(batch))

    def tell(self, what: RoundBegin | RoundEnd) -> None:
        self._outgoing.put(what)

    def receive(self) -> Any:
        """The next thing that the process says, once it does; what it raised is raised here."""
        said = self._incoming.get()
        if said is None:
            code = self.process.wait()
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            hint = "was there enough memory? name fewer --devices; the same command goes on from the last whole slice"
            raise ModelError(f"the process of {self.device} {how}", hint)
        if isinstance(said, BaseException):
            raise said
        return said

    def close(self) -> None:
        """End the process, whatever it is at."""
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
                return  # the process is gone; the reader says so

    def _read(self) -> None:
        pipe = self.process.stdout
        try:
            while pipe is not None:
                said = pickle.load(pipe)
                with self._changed:
                    self.in_hand -= isinstance(said, WorkerAnswer)
                    self._incoming.put(said)
                    self._changed.notify_all()
        except (EOFError, pickle.UnpicklingError, ValueError, OSError):
            with self._changed:
                self.ended = True
                self._incoming.put(None)
                self._changed.notify_all()


# ---- all of them -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class MultiDeviceReference:
    """Several processes as one reference model; ``close`` ends them."""

    workers: list[DeviceWorker]
    changed: threading.Condition
    identity: dict[str, Any]
    parameters: int
    check_line: str
    notes: list[str] = field(default_factory=list)
    tokens: int = 0
    places: int = 0

    def score(
        self, passages: Iterable[Sequence[Passage]], advance: Callable[[int, float], None] | None = None
    ) -> Iterator[Likelihoods]:
        """As ``CausalReference.score``; ``advance`` is called once for each batch."""
        for worker in self.workers:
            worker.tell(RoundBegin(profiler.is_measuring()))
        given: deque[DeviceWorker] = deque()
        most = 2 * IN_HAND * len(self.workers)  # given or answered, and not yet asked for
        for batch in passages:
            while given and (given[0].has_said() or len(given) >= most):
                yield self._take(given.popleft(), advance)
            with profiler.span("wait"), self.changed:
                self.changed.wait_for(lambda: any(worker.free for worker in self.workers))
                worker = min(self.workers, key=lambda one: (not one.ended, one.in_hand))
            worker.send(batch)
            given.append(worker)
        while given:
            yield self._take(given.popleft(), advance)
        for worker in self.workers:
            worker.tell(RoundEnd())
        for worker in self.workers:
            report: RoundReport = worker.receive()
            if report.profile is not None:
                profiler.add_apart(worker.device, report.profile)

    def _take(self, worker: DeviceWorker, advance: Callable[[int, float], None] | None) -> Likelihoods:
        with profiler.span("wait"):  # for the devices; what they do meanwhile is their processes' own
            answer: WorkerAnswer = worker.receive()
        self.tokens += answer.tokens
        self.places += answer.places
        if advance is not None:
            advance(answer.tokens, 1.0)
        return answer.likelihoods

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def name_devices(text: str) -> list[str]:
    """The devices of ``--devices``: ``all`` CUDA devices, their numbers (``0,1``), or names (``cuda:0,cpu``)."""
    import torch

    if text.strip() == "all":
        found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        if not found:
            raise UsageError("--devices all: there is no CUDA device here", "--device cpu, or --devices cpu,cpu")
        return found
    named = [name.strip() for name in text.split(",") if name.strip()]
    if not named:
        raise UsageError("--devices names no device", "--devices 0,1 or all")
    devices = [f"cuda:{name}" if name.isdigit() else name for name in named]
    kinds = {name.split(":")[0] for name in devices}
    if len(kinds) > 1:
        raise UsageError(
            f"--devices {text} mixes {' and '.join(sorted(kinds))}, and a table of scores is of one kind",
            "name devices of one kind",
        )
    twice = sorted({name for name in devices if devices.count(name) > 1 and name != "cpu"})
    if twice:
        raise UsageError(f"--devices names {twice[0]} twice, and two models would share it", "name each device once")
    return devices


def load_fleet(name: str, reading: ScoringConfig, devices: Sequence[str]) -> MultiDeviceReference:
    """Load the model in a process for each device. Raises what loading it raises; ModelError where a process dies."""
    threads = max(1, cores() // len(devices)) if devices[0].startswith("cpu") else None
    changed = threading.Condition()
    workers = [DeviceWorker(name, replace(reading, device=devices[0]), threads, changed)]
    try:
        first: WorkerOpened = workers[0].receive()
        compiled = "on" if first.identity["compiled"] else "off"
        settled = replace(reading, pack_tokens=first.pack_tokens, compiled=compiled)
        workers += [DeviceWorker(name, replace(settled, device=device), threads, changed) for device in devices[1:]]
        for worker in workers[1:]:
            other: WorkerOpened = worker.receive()
            if other.identity != first.identity:
                what = next(key for key in first.identity if other.identity.get(key) != first.identity[key])
                raise ModelError(
                    f"{worker.device} reads with {what} {other.identity.get(what)}, {devices[0]} with "
                    f"{first.identity[what]}: their numbers would not be of one kind",
                    "name the devices that are alike",
                )
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return MultiDeviceReference(workers, changed, first.identity, first.parameters, first.check_line, list(first.notes))


# ---- one process, from inside ----------------------------------------------------------------------------------------


def serve() -> None:
    """What a process does: load, then read batches from stdin until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The one that asked is interrupted, and ends this one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    name, reading, threads, speaks = pickle.load(sys.stdin.buffer)
    console.enable(speaks)
    try:
        for said in _answer(name, reading, threads):
            pickle.dump(said, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except BrokenPipeError:
        os._exit(1)
    except CurateError as error:
        pickle.dump(error, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except EOFError:
        pass  # the one that asked is done
    os._exit(0)


def _answer(
    name: str, reading: ScoringConfig, threads: int | None
) -> Iterator[WorkerOpened | WorkerAnswer | RoundReport]:
    from curate.reference.loading import load_causal

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    reference = load_causal(name, reading)
    notes = tuple(reference.notes)
    yield WorkerOpened(reference.identity, reference.parameters, reference.check_line, notes, reference.pack_tokens)
    tokens = places = 0
    while True:
        begin: RoundBegin = pickle.load(sys.stdin.buffer)
        with profiler.measuring() if begin.measure else nullcontext() as watch:
            for found in reference.score(_batches()):
                yield WorkerAnswer(found, reference.tokens - tokens, reference.places - places)
                tokens, places = reference.tokens, reference.places
        yield RoundReport(None if watch is None else profiler.describe(watch))


def _batches() -> Iterator[list[Passage]]:
    """The batches of one round."""
    while not isinstance(batch := pickle.load(sys.stdin.buffer), RoundEnd):
        yield batch
