"""One reference model on several devices: a process on each, batches sent as they finish, answers in order.

    passages ──► the process with the fewest pending batches ──► tokenise ahead, forward, head ──► likelihoods, in order

Each process loads and checks the model as a single one would. The first chooses how many tokens a pack has and whether
the model is compiled; the others use the same. A batch is packed on its own in whichever process scores it, so its
numbers are those that one device gives. Processes tokenise the next batch while they score one: each has up to
``MAX_PENDING`` batches at a time.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from curate.errors import ModelError, UsageError
from curate.reference.device_worker import (
    MAX_PENDING,
    DeviceWorker,
    RoundBegin,
    RoundEnd,
    RoundReport,
    WorkerAnswer,
    WorkerOpened,
)
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.runtime.choices import Compile, TokenMeasure
from curate.runtime.work import profiler
from curate.runtime.work.threads import count_cores

DEVICES_EXAMPLES = "0,1 or all (CUDA), or cpu,cpu"


@dataclass(slots=True)
class MultiDeviceReference:
    """A ``ReferenceModel`` on several devices, each in a process; ``close`` ends them."""

    workers: list[DeviceWorker]
    changed: threading.Condition
    """Notified whenever a worker has a new message or ends."""
    identity: dict[str, Any]
    parameters: int
    vocab_size: int
    check_line: str
    notes: list[str] = field(default_factory=list)
    num_scored_tokens: int = 0
    num_computed_tokens: int = 0

    @property
    def policy(self) -> WindowPolicy:
        """How the processes cut a text that is longer than the model reads."""
        return WindowPolicy.from_identity(self.identity)

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each process."""
        return tuple(worker.device for worker in self.workers)

    def score(
        self,
        passages: Iterable[Sequence[Passage]],
        advance: Callable[[int, float], None] | None = None,
        measures: Collection[TokenMeasure] = (),
    ) -> Iterator[Likelihoods]:
        """Yield the likelihoods of each batch, in order; ``advance(tokens, 1.0)`` is called once for each batch.

        Raises ModelError where a process ends, and whatever a process raises.
        """
        for worker in self.workers:
            worker.send_marker(RoundBegin(profiler.is_measuring(), tuple(measures)))
        given: deque[DeviceWorker] = deque()
        most = 2 * MAX_PENDING * len(self.workers)  # batches sent or answered, and not yet yielded
        for batch in passages:
            while given and (given[0].has_message() or len(given) >= most):
                yield self._take(given.popleft(), advance)
            with profiler.span("wait"), self.changed:
                self.changed.wait_for(lambda: any(worker.free for worker in self.workers))
                worker = min(self.workers, key=lambda each: (not each.ended, each.num_pending))
            worker.send(batch)
            given.append(worker)
        while given:
            yield self._take(given.popleft(), advance)
        for worker in self.workers:
            worker.send_marker(RoundEnd())
        for worker in self.workers:
            report: RoundReport = worker.receive()
            if report.profile is not None:
                profiler.add_process_profile(worker.device, report.profile)

    def _take(self, worker: DeviceWorker, advance: Callable[[int, float], None] | None) -> Likelihoods:
        with profiler.span("wait"):  # for the devices; the processes measure what they do meanwhile
            answer: WorkerAnswer = worker.receive()
        self.num_scored_tokens += answer.num_scored_tokens
        self.num_computed_tokens += answer.num_computed_tokens
        if advance is not None:
            advance(answer.num_scored_tokens, 1.0)
        return answer.likelihoods

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.close()


def parse_devices(text: str) -> list[str]:
    """Return the devices of ``--devices``: ``all`` CUDA devices, their numbers (``0,1``), or names (``cuda:0,cpu``).

    Raises UsageError for no device, a device that torch does not know or that this machine lacks, devices of several
    kinds, and a device other than ``cpu`` that is named twice.
    """
    available = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if text.strip() == "all":
        if not available:
            raise UsageError("--devices all: no CUDA device is available", "--devices cpu,cpu")
        return available
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--devices must name at least one device, as in {DEVICES_EXAMPLES}", "--devices all")
    devices = [f"cuda:{name}" if name.isdigit() else "cuda:0" if name == "cuda" else name for name in names]
    for device in devices:
        try:
            torch.device(device)
        except RuntimeError:
            raise UsageError(f"--devices must be {DEVICES_EXAMPLES}, not {text}", "--devices all") from None
        if device.startswith("cuda") and device not in available:
            there = ", ".join(available) or "no CUDA device is available"
            raise UsageError(f"--devices {text}: there is no {device} here ({there})", "--devices all")
    kinds = {name.split(":")[0] for name in devices}
    if len(kinds) > 1:
        raise UsageError(
            f"--devices {text} mixes {' and '.join(sorted(kinds))}; all devices must be of one kind",
            "name devices of one kind",
        )
    twice = sorted({name for name in devices if devices.count(name) > 1 and name != "cpu"})
    if twice:
        raise UsageError(f"--devices names {twice[0]} twice, and two models would share it", "name each device once")
    return devices


def load_on_devices(name: str, config: ScoringConfig, devices: Sequence[str]) -> MultiDeviceReference:
    """Load the model in a process on each device, and return all of them as one reference.

    ``devices`` is not empty. Raises what loading raises, and ModelError where a process ends or the devices do not
    score alike.
    """
    threads = max(1, count_cores() // len(devices)) if devices[0].startswith("cpu") else None
    changed = threading.Condition()
    workers = [DeviceWorker(name, replace(config, device=devices[0]), threads, changed)]
    try:
        first: WorkerOpened = workers[0].receive()
        compiled: Compile = "on" if first.identity["compiled"] else "off"
        same = replace(config, pack_tokens=first.pack_tokens, compiled=compiled)
        workers += [DeviceWorker(name, replace(same, device=device), threads, changed) for device in devices[1:]]
        for worker in workers[1:]:
            other: WorkerOpened = worker.receive()
            if other.identity != first.identity:
                key = next(key for key in first.identity if other.identity.get(key) != first.identity[key])
                raise ModelError(
                    f"the devices do not score alike: {key} is {other.identity.get(key)} on {worker.device} and "
                    f"{first.identity[key]} on {devices[0]}",
                    "name devices that are alike",
                )
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return MultiDeviceReference(
        workers, changed, first.identity, first.parameters, first.vocab_size, first.check_line, list(first.notes)
    )
