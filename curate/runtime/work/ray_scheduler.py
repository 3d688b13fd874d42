"""The thread of a driver that starts Ray's workers, hands out items, and takes the answers.

    waiting ──► the first idle worker ──► answer ──► the item's Future
       ▲               │ the worker dies: another one is started, the item goes to the front
       └───────────────┘ the item raises: three times, then it is its Future's

A worker imports what it needs, is prepared (a model is loaded, say), and may be refused for what that returned. Where
one leads, the others are prepared once it has been, by what it chose. What all items share travels once to each worker.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from curate.errors import CurateError, EngineError, StorageError
from curate.runtime import console
from curate.runtime.version import __version__
from curate.runtime.work import profiler
from curate.runtime.work.ray_cluster import describe_death
from curate.runtime.work.ray_worker import ItemFunction, RayWorker, WorkDone, WorkerHello

MOST_FAILURES = 3
"""Times that an item may raise, and that preparing a worker may fail, one after another."""
MOST_DEATHS = 8
"""Workers that may die, one after another, as they start, or over one item that does not get on.

Over an item those whose machine went do not count.
"""
IDLE_SECONDS, BUSY_SECONDS = 0.01, 0.5
"""How long the thread sleeps at most, where a worker has nothing to do, and where all have."""
PROGRESS_SECONDS = 1.0
"""Between two questions of how far a worker is; longer with many workers: 50 questions a second at most."""
WAITING_SECONDS = 30
"""After which it is said that no worker is there, and what the cluster lacks."""
STOP_SECONDS = 5

Prepare = Callable[[], Any]


@dataclass(slots=True, eq=False)
class PoolItem:
    """An item that waits or is worked on."""

    function: ItemFunction
    key: str
    shared: list[Any]
    """A reference in a list, so that Ray does not send its value with every call."""
    item: Any
    future: "Future[Any]" = field(default_factory=Future)
    is_running: bool = False
    """Whether a worker has had it: it cannot be cancelled any more."""
    failures: int = 0
    deaths: int = 0


@dataclass(slots=True, eq=False)
class PoolSlot:
    """One of the workers, or its replacement."""

    number: int
    actor: Any = None
    call: Any = None
    """The answer that is waited for: of starting the worker, or of its item."""
    progress_call: Any = None
    asked: float = 0.0
    is_warm: bool = False
    """Whether it has imported what it needs."""
    prepared: WorkerHello | WorkDone | None = None
    """What preparing it came to, where that is before there is work."""
    hello: WorkerHello | None = None
    """None while the worker starts."""
    item: PoolItem | None = None
    advanced: tuple[int, int, int] = (0, 0, 0)
    """How far the item was when the worker was asked last."""
    failures: int = 0
    """Starts that failed, one after another."""
    profile: dict[str, Any] | None = None
    """Where the time of its items went, added up."""


@dataclass(slots=True)
class WorkerScheduler:
    """The workers of a pool and the items that wait for them. Its methods may be called by any thread."""

    ray: Any
    """The module, connected."""
    cpus: float
    """Of a worker."""
    gpus: float
    count: int
    """Workers that are wished for."""
    modules: tuple[str, ...] = ()
    """What workers import first."""
    prepare: Prepare | None = None
    """Called in each worker before its first item."""
    accept: Callable[[Any], None] | None = None
    """Called with what preparing a worker returned; it raises a CurateError to refuse the worker."""
    on_progress: Callable[..., None] | None = None
    """Called with ``documents``, ``tokens`` and ``done_bytes`` as workers get on."""
    replaced: int = 0
    """Workers that died and were replaced."""
    tokens: int = 0
    """Tokens that workers have scored; those of what was lost with a worker count twice."""
    _slots: list[PoolSlot] = field(default_factory=list)
    _queue: "deque[PoolItem]" = field(default_factory=deque)
    _lock: Any = field(default_factory=threading.RLock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _is_stopping: bool = False
    _failure: BaseException | None = None
    """Why no worker is left; later items fail with it."""
    _first: "Future[Any]" = field(default_factory=Future)
    """What preparing the first worker returned."""
    _leads: bool = False
    """Whether the others wait for what the first one chooses."""
    _leader: PoolSlot | None = None
    _has_work: bool = False
    _waiting_since: float = field(default_factory=time.monotonic)
    """When a worker was there last."""
    _has_warned: bool = False
    """Whether it was said that none is there."""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._serve, name="curate-ray", daemon=True)
        self._thread.start()

    def lead(self, prepare: Prepare) -> Any:
        """Start the workers, prepare one, and return what that returned; the others wait for ``follow``.

        Raises what preparing raises.
        """
        self.prepare, self._leads = prepare, True
        self._hire()
        return self._first.result()

    def follow(self, prepare: Prepare, accept: Callable[[Any], None] | None) -> None:
        """Let the other workers be prepared. ``accept`` sees what each returned, once there is work for it."""
        self.accept, self.prepare, self._leads = accept, prepare, False
        self._wake.set()

    def put(self, item: PoolItem) -> None:
        """Let a worker do an item. Its Future raises what its function raises three times."""
        with self._lock:
            if self._failure is not None:
                item.future.set_exception(self._failure)
                return
            self._queue.append(item)
        self._has_work = True
        self._hire()

    def cancel(self) -> None:
        """Forget the items that wait."""
        with self._lock:
            waiting, self._queue = self._queue, deque()
        for each in waiting:
            each.future.cancel()

    def report_profiles(self) -> None:
        """Give what the workers measured since the last report to the profiler that is open, a profile for each."""
        for slot in list(self._slots):
            profile, slot.profile = slot.profile, None
            if profile is not None:
                host = f" on {slot.hello.host}" if slot.hello is not None else ""
                profiler.add_process_profile(f"worker {slot.number}{host}", profile)

    def stop(self) -> None:
        """End the thread and the workers."""
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        self.cancel()
        for slot in self._slots:
            self._kill(slot)

    def _hire(self) -> None:
        with self._lock:
            self._slots += [PoolSlot(number) for number in range(len(self._slots), self.count)]
        self._wake.set()

    def _serve(self) -> None:
        """Run the thread."""
        while not self._is_stopping:
            try:
                self._turn()
            except (self.ray.exceptions.RayError, ConnectionError) as error:
                message = f"Ray has gone: {describe_death(error)}"
                self._fail(EngineError(message, "the same command goes on, when the cluster is there again"))
                return
            except Exception as error:
                self._fail(error)
                return

    def _turn(self) -> None:
        """Start workers, hand out items, and take the answers that are there."""
        for slot in list(self._slots):
            if slot.actor is None:
                self._start(slot)
            elif slot.call is None and slot.hello is None:
                self._go_on_starting(slot)
            elif slot.call is None:
                self._hand_out(slot)
        self._ask_progress()
        self._check_waiting()
        calls = {call: slot for slot in self._slots for call in (slot.call, slot.progress_call) if call is not None}
        is_idle = any(slot.hello is not None and slot.call is None for slot in self._slots)
        patience = IDLE_SECONDS if is_idle else BUSY_SECONDS
        if not calls:
            self._wake.wait(patience)
            self._wake.clear()
            return
        ready, _ = self.ray.wait(list(calls), num_returns=1, timeout=patience)
        if ready:
            ready, _ = self.ray.wait(list(calls), num_returns=len(calls), timeout=0)
        for call in ready:
            slot = calls[call]
            if call == slot.progress_call:  # equal, and not the same object where the address is ray://
                self._take_progress(slot)
            elif call == slot.call:
                self._take(slot)

    def _start(self, slot: PoolSlot) -> None:
        """Start the actor of a slot; Ray waits for a machine that has room."""
        kind = self.ray.remote(RayWorker)
        environment = {name: value for name, value in os.environ.items() if is_passed_on(name)}
        slot.actor = kind.options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=0, max_task_retries=0, max_concurrency=2,
            scheduling_strategy="SPREAD",
        ).remote(os.getcwd(), environment)  # fmt: skip
        slot.call = slot.actor.warm.remote(self.modules)

    def _go_on_starting(self, slot: PoolSlot) -> None:
        """Prepare a worker that has imported what it needs, or take one that is prepared, if it is time for that."""
        if slot.prepared is not None:
            if self._has_work:
                self._admit(slot, slot.prepared)
        elif not self._leads or self._leader in (None, slot):
            self._leader = slot if self._leads else None
            slot.call = slot.actor.prepare.remote(self.prepare)

    def _hand_out(self, slot: PoolSlot) -> None:
        """Give the next item to an idle worker."""
        with self._lock:
            item = self._queue.popleft() if self._queue else None
        if item is None or not (item.is_running or item.future.set_running_or_notify_cancel()):
            return
        item.is_running, slot.item = True, item
        slot.advanced, slot.asked = (0, 0, 0), time.monotonic()
        slot.call = slot.actor.run.remote(item.function, item.key, item.shared, item.item, profiler.is_measuring())

    def _take(self, slot: PoolSlot) -> None:
        """Take the answer of a worker: of its start, or of its item."""
        try:
            answer = self.ray.get(slot.call)
        except self.ray.exceptions.RayTaskError as error:  # raised where no function of ours could catch it
            answer = WorkDone(None, EngineError(describe_death(error)), str(error), slot.advanced, None)
        except self.ray.exceptions.RayError as error:
            self._replace_dead(slot, error)
            return
        slot.call = None
        if slot.hello is not None:
            self._take_result(slot, answer)
        elif not slot.is_warm and not isinstance(answer, WorkDone):
            slot.is_warm = True
        elif self._first.done() and self.accept is not None and not self._has_work:
            slot.prepared = answer
        else:
            self._admit(slot, answer)

    def _take_result(self, slot: PoolSlot, answer: WorkDone) -> None:
        """Take what an item came to."""
        item, slot.item = slot.item, None
        assert item is not None
        self._advance(slot, answer.advanced)
        if answer.profile is not None:
            slot.profile = profiler.merge_profiles(slot.profile, answer.profile)
        if answer.error is None:
            item.future.set_result(answer.result)
            return
        item.failures += 1
        if is_final(answer.error) or item.failures >= MOST_FAILURES:
            answer.error.add_note(answer.trace)
            item.future.set_exception(answer.error)
        else:
            self._put_back(item)

    def _admit(self, slot: PoolSlot, answer: WorkerHello | WorkDone) -> None:
        """Take a worker that is prepared, or refuse it."""
        if isinstance(answer, WorkDone):
            self._refuse(slot, answer.error or EngineError("a worker did not start"), "a worker")
            return
        try:
            check_version(answer)
            if self.accept is not None:
                self.accept(answer.prepared)
        except CurateError as error:
            self._refuse(slot, error, f"the worker on {answer.host}")
            return
        slot.hello, slot.failures = answer, 0
        if not self._first.done():
            self._first.set_result(answer.prepared)

    def _refuse(self, slot: PoolSlot, error: Exception, who: str) -> None:
        """Leave a worker out that cannot do the work; the last one that is left out ends it."""
        self._kill(slot)
        slot.failures += 1
        if slot.failures < MOST_FAILURES and not is_final(error):
            return
        with self._lock:
            self._slots.remove(slot)
            self.count = len(self._slots)
        if self._slots and not (self._leads and is_final(error)):
            console.warn(f"{who} is left out: {error}")
        else:
            self._fail(error)

    def _replace_dead(self, slot: PoolSlot, error: Exception) -> None:
        """Let a worker that died be replaced, and its item be done again."""
        item, hello, got_on = slot.item, slot.hello, any(slot.advanced)
        self._kill(slot)
        self.replaced += 1
        if hello is None:
            self._replace_starting(slot, error)
            return
        is_lost = hello.node not in {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        reason = "its machine is gone" if is_lost else f"process {hello.process} has died"
        console.warn(f"a worker on {hello.host} is replaced: {reason}; what it worked on is done again")
        if item is None:
            return
        item.deaths = 0 if got_on or is_lost else item.deaths + 1
        if item.deaths < MOST_DEATHS:
            self._put_back(item)
            return
        message = f"{item.deaths} workers died over it, one after another: {describe_death(error)}"
        hint = "it may need more memory: fewer --workers, or --cpus-per-worker 2"
        item.future.set_exception(EngineError(message, hint))

    def _replace_starting(self, slot: PoolSlot, error: Exception) -> None:
        """Let a worker that died before it was ready be started again, or leave it out."""
        slot.failures += 1
        cause = describe_death(error)
        if "ModuleNotFoundError" in cause:
            hint = f"pip install 'curate[ray]=={__version__}' where Ray's workers run"
            self._refuse(slot, EngineError(f"a worker cannot import curate: {cause}", hint), "a worker")
        elif slot.failures >= MOST_DEATHS:
            message = f"{slot.failures} workers died as they started, one after another: {cause}"
            self._refuse(slot, EngineError(message, "it may need more memory: fewer --workers"), "a worker")
        else:
            console.warn("a worker died as it started, and is replaced")

    def _put_back(self, item: PoolItem) -> None:
        with self._lock:
            self._queue.appendleft(item)

    def _kill(self, slot: PoolSlot) -> None:
        """End the worker of a slot, which is as before its start then."""
        actor, slot.actor, slot.call, slot.progress_call = slot.actor, None, None, None
        slot.item = slot.hello = slot.prepared = None
        slot.is_warm, slot.advanced = False, (0, 0, 0)
        self._leader = None if self._leader is slot else self._leader
        if actor is not None:
            with suppress(Exception):  # it is gone, or Ray is
                self.ray.kill(actor, no_restart=True)

    def _ask_progress(self) -> None:
        """Ask workers how far their items are, where that was long ago."""
        now, interval = time.monotonic(), max(PROGRESS_SECONDS, len(self._slots) / 50)
        for slot in self._slots:
            if slot.item is not None and slot.progress_call is None and now - slot.asked > interval:
                slot.asked, slot.progress_call = now, slot.actor.read_progress.remote()

    def _take_progress(self, slot: PoolSlot) -> None:
        call, slot.progress_call = slot.progress_call, None
        with suppress(self.ray.exceptions.RayError):  # that the worker died, the answer of its item tells
            if slot.item is not None:
                self._advance(slot, self.ray.get(call))

    def _advance(self, slot: PoolSlot, done: tuple[int, int, int]) -> None:
        """Move the bar by what a worker did since it was asked last."""
        new = [max(0, now - before) for now, before in zip(done, slot.advanced, strict=True)]
        slot.advanced, move = done, self.on_progress
        self.tokens += new[1]
        if move is not None and any(new):
            move(documents=new[0], tokens=new[1], done_bytes=new[2])

    def _check_waiting(self) -> None:
        """Say, once, that no worker is there for the items that wait, and what is missing."""
        now = time.monotonic()
        if any(slot.hello is not None for slot in self._slots) or not self._slots:
            self._waiting_since, self._has_warned = now, False
        if self._has_warned or now - self._waiting_since < WAITING_SECONDS:
            return
        self._has_warned = True
        free = self.ray.available_resources()
        has = f"CPU {free.get('CPU', 0):g}, GPU {free.get('GPU', 0):g}"
        wants = f"CPU {self.cpus:g}" + (f", GPU {self.gpus:g}" if self.gpus else "")
        what = f"no worker is there: each needs {wants}; free in the cluster: {has}"
        console.say("waiting", f"{what}. It goes on when a machine has room; Ctrl-C ends it, and nothing is lost")

    def _fail(self, error: BaseException) -> None:
        """Give up: every item fails with this error."""
        with self._lock:
            self._failure = error
            items = [*self._queue, *(slot.item for slot in self._slots if slot.item is not None)]
            self._queue.clear()
        for slot in list(self._slots):
            slot.item = None
        if not self._first.done():
            self._first.set_exception(error)
        for each in items:
            if not each.future.done():
                each.future.set_exception(error)


def is_passed_on(name: str) -> bool:
    """Return whether a variable of the environment is given to workers: ours, and whether the Hub may be asked."""
    return name.startswith("CURATE_") or name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TOKENIZERS_PARALLELISM")


def is_final(error: Exception) -> bool:
    """Return whether an error would come again: what the user must mend, but not what a disk or a server refused."""
    return isinstance(error, CurateError) and not isinstance(error, StorageError)


def check_version(hello: WorkerHello) -> None:
    """Raise EngineError where another version of curate is installed for a worker."""
    if hello.version != __version__:
        message = f"curate {hello.version} is installed there, and {__version__} here"
        raise EngineError(message, f"pip install 'curate[ray]=={__version__}' there")
