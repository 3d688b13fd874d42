"""Workers in actors of Ray, for functions of many items: those that die are replaced, and their items are done again.

    submit ──► queue ──► the first idle worker ──► Future
                 ▲                │ the worker dies: another one is started, the item goes to the front
                 └────────────────┘ the item raises: three times, then it is its Future's

One thread of the driver hands out the items and takes the answers. What all items share travels once to each worker,
pickled; items and results are small: no text goes through Ray's object store. Imported only for ``--engine ray``.
"""

import os
import pickle
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from curate.errors import CurateError, EngineError, StorageError, UsageError
from curate.runtime import console
from curate.runtime.version import __version__
from curate.runtime.work import profiler, threads
from curate.runtime.work.engines import ADDRESS, EngineOptions
from curate.runtime.work.processes import Work
from curate.runtime.work.ray_worker import ItemFunction, RayWorker, WorkDone, WorkerHello

MOST_FAILURES = 3
"""Times that an item may raise, and that a worker may fail to start, one after another."""
MOST_DEATHS = 8
"""Workers that may die, one after another, as they start, or over one item that does not get on.

Over an item those whose machine went do not count.
"""
IDLE_SECONDS, BUSY_SECONDS = 0.01, 0.5
"""How long the scheduler sleeps at most, where a worker has nothing to do, and where all have."""
PROGRESS_SECONDS = 1.0
"""Between two questions of how far a worker is; longer with many workers: 50 questions a second at most."""
WAITING_SECONDS = 30
"""After which it is said that no worker has started yet, and what the cluster lacks."""
CLOSE_SECONDS, CONNECT_SECONDS = 5, 10
OBJECT_STORE_BYTES = 1_000_000_000
"""Of a cluster that is started here, at most: what items share goes through it, such as the index of eval sets."""

Prepare = Callable[[], Any]


@dataclass(slots=True, eq=False)
class PoolItem:
    """An item that waits or is worked on."""

    function: ItemFunction
    key: str
    shared: Any
    """A reference in a list, so that Ray does not send its value with every call."""
    item: Any
    future: "Future[Any]"
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
    """The answer that is waited for: of preparing the worker, or of its item."""
    progress_call: Any = None
    asked: float = 0.0
    is_warm: bool = False
    """Whether it has imported what it needs."""
    held: WorkerHello | None = None
    """What it said of itself, where it is prepared before there is work."""
    hello: WorkerHello | None = None
    """None while the worker starts."""
    item: PoolItem | None = None
    advanced: tuple[int, int, int] = (0, 0, 0)
    """How far the item was when the worker was asked last."""
    failures: int = 0
    """Starts that failed, one after another."""


@dataclass(slots=True)
class RayPool:
    """A pool of workers; it connects to Ray when it is needed first. ``close`` ends it."""

    options: EngineOptions
    uses_gpu: bool = False
    """Whether a worker takes a GPU where the user does not say."""
    on_progress: Callable[..., None] | None = None
    """Called with ``documents``, ``tokens`` and ``done_bytes`` as workers get on."""
    accept: Callable[[Any], None] | None = None
    """Called with what preparing a worker returned; it raises a CurateError to refuse the worker."""
    prepare: Prepare | None = None
    """Called in each worker before its first item, such as to load a model."""
    modules: tuple[str, ...] = ()
    """What workers import while the first one is prepared."""
    count: int = 0
    """Workers that are wished for; 0 before it is connected."""
    replaced: int = 0
    """Workers that died and were replaced."""
    tokens: int = 0
    """Tokens that workers have scored."""
    _ray: Any = None
    _is_ours: bool = False
    _slots: list[PoolSlot] = field(default_factory=list)
    _queue: "deque[PoolItem]" = field(default_factory=deque)
    _lock: Any = field(default_factory=threading.RLock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _closing: bool = False
    _failure: Exception | None = None
    """Why no worker is left; later items fail with it."""
    _first: "Future[Any]" = field(default_factory=Future)
    """What preparing the first worker returned."""
    _leads: bool = False
    """Whether the others wait for what the first one chooses."""
    _leader: PoolSlot | None = None
    _has_work: bool = False
    _waiting_since: float = 0.0
    """When a worker was there last."""
    _has_said: bool = False
    """Whether it was said that none is there."""

    # What follows is called by the threads of the verb.

    def connect(self) -> None:
        """Connect to the cluster, or start one on this machine. Raises EngineError where that fails."""
        if self._ray is not None:
            return
        self._ray, self._is_ours = connect_ray(self.options)
        total = self._ray.cluster_resources()
        if self._is_local and self._gpus > total.get("GPU", 0):
            raise UsageError("--gpus-per-worker: Ray sees no GPU on this machine", "--gpus-per-worker 0")
        self.count = count_workers(self.options, total, self.uses_gpu)
        console.say("engine", self.describe())
        self._waiting_since = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="curate-ray", daemon=True)
        self._thread.start()

    def describe(self) -> str:
        """Return in words which cluster this is, and its workers."""
        total = self._ray.cluster_resources()
        nodes = sum(1 for node in self._ray.nodes() if node["Alive"])
        kinds = ", ".join(
            f"{total[name]:g} {name}{'s' if total[name] != 1 else ''}" for name in ("CPU", "GPU") if name in total
        )
        each = ", ".join(
            f"{amount:g} {name}{'s' if amount != 1 else ''}"
            for name, amount in (("CPU", self._cpus), ("GPU", self._gpus))
            if amount
        )
        where = "on this machine" if self._is_local else f"of {nodes} node{'s' if nodes != 1 else ''}"
        workers = f"{self.count} worker{'s' if self.count != 1 else ''}"
        fitting = count_workers(replace(self.options, workers=None), total, self.uses_gpu)
        now = f", {fitting} at a time as it is now" if fitting < self.count and not self._is_local else ""
        return f"Ray {where}{'' if self._is_local else f' ({kinds})'}: {workers} of {each} each{now}"

    @property
    def _is_local(self) -> bool:
        """Whether the cluster was started here, for this pool."""
        return self._is_ours and self.options.address is None and "RAY_ADDRESS" not in os.environ

    @property
    def _cpus(self) -> float:
        return self.options.cpus_per_worker or 1

    @property
    def _gpus(self) -> float:
        if self.options.gpus_per_worker is not None:
            return self.options.gpus_per_worker
        return float(self.uses_gpu and self._ray.cluster_resources().get("GPU", 0) >= 1)

    def open_first(self, prepare: Prepare) -> Any:
        """Start the workers, prepare one, and return what that returned; the others wait for ``open_others``.

        Raises what preparing raises.
        """
        self.connect()
        self.prepare, self._leads = prepare, True
        self._hire(self.count)
        return self._first.result()

    def open_others(self, prepare: Prepare, accept: Callable[[Any], None] | None = None) -> None:
        """Let the other workers be prepared. ``accept`` sees what each returned, once there is work for it."""
        self.accept, self.prepare, self._leads = accept, prepare, False
        self._wake.set()

    def keep(self, shared: Any) -> tuple[str, list[Any]]:
        """Send what all items of a kind share to the cluster, once, and return what ``submit`` takes for it."""
        self.connect()
        packed = pickle.dumps(shared, pickle.HIGHEST_PROTOCOL)
        return f"{len(packed)}.{os.urandom(8).hex()}", [self._ray.put(packed)]

    def submit(self, function: ItemFunction, kept: tuple[str, list[Any]], item: Any) -> "Future[Any]":
        """Let a worker call ``function(shared, item)``. The Future raises what the function raises three times."""
        key, shared = kept
        future: Future[Any] = Future()
        with self._lock:
            if self._failure is not None:
                future.set_exception(self._failure)
                return future
            self._queue.append(PoolItem(function, key, shared, item, future))
        self._has_work = True
        self._hire(self.count)
        return future

    @contextmanager
    def start_workers(self, function: ItemFunction, shared: Any, count: int) -> Iterator[Work]:
        """Yield a function of one item, as ``processes.start_workers`` does; ``count`` is that of the pool here."""
        kept = self.keep(shared)
        yield lambda item: self.submit(function, kept, item).result()

    def cancel(self) -> None:
        """Forget the items that wait."""
        with self._lock:
            waiting, self._queue = self._queue, deque()
        for each in waiting:
            each.future.cancel()

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        self.cancel()
        for slot in self._slots:
            self._kill(slot)
        if self._ray is not None and self._is_ours:
            self._ray.shutdown()
        self._ray = None

    def _hire(self, count: int) -> None:
        with self._lock:
            for number in range(len(self._slots), count):
                self._slots.append(PoolSlot(number))
        self._wake.set()

    # What follows runs in the thread of the pool.

    def _serve(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except Exception as error:  # Ray itself is gone
                if not self._closing:
                    self._fail(
                        EngineError(
                            f"Ray: {type(error).__name__}: {error}".splitlines()[0], "run the same command again"
                        )
                    )
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
        calls = {call: slot for slot in self._slots for call in (slot.call, slot.progress_call) if call is not None}
        idle = any(slot.hello is not None and slot.call is None for slot in self._slots)
        if not calls:
            self._wake.wait(IDLE_SECONDS if idle else BUSY_SECONDS)
            self._wake.clear()
            return
        ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=IDLE_SECONDS if idle else BUSY_SECONDS)
        if ready:
            ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
        for call in ready:
            slot = calls[call]
            if call == slot.progress_call:  # equal, and not the same object where the address is ray://
                self._take_progress(slot)
            elif call == slot.call:
                self._take(slot)
        self._check_waiting()

    def _start(self, slot: PoolSlot) -> None:
        """Start the actor of a slot; Ray waits for a machine that has room."""
        kind = self._ray.remote(RayWorker)
        environment = {name: value for name, value in os.environ.items() if is_passed_on(name)}
        slot.actor = kind.options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0, max_concurrency=2,
            scheduling_strategy="SPREAD",
        ).remote(os.getcwd(), environment)  # fmt: skip
        slot.call = slot.actor.warm.remote(self.modules)

    def _go_on_starting(self, slot: PoolSlot) -> None:
        """Prepare a worker that has imported what it needs, or take one that is prepared, if it is time for that."""
        if slot.held is not None:
            if self._has_work:
                self._greet(slot, slot.held)
        elif not self._leads or self._leader in (None, slot):
            self._leader = slot if self._leads else None
            slot.call = slot.actor.prepare.remote(self.prepare)

    def _hand_out(self, slot: PoolSlot) -> None:
        with self._lock:
            slot.item = next_item = self._queue.popleft() if self._queue else None
        if next_item is None:
            return
        if not next_item.is_running and not next_item.future.set_running_or_notify_cancel():
            slot.item = None
            return
        next_item.is_running = True
        slot.advanced, slot.asked = (0, 0, 0), time.monotonic()
        slot.call = slot.actor.run.remote(
            next_item.function, next_item.key, next_item.shared, next_item.item, profiler.is_measuring()
        )

    def _take(self, slot: PoolSlot) -> None:
        """Take the answer of a worker: of its start, or of its item."""
        try:
            answer = self._ray.get(slot.call)
        except self._ray.exceptions.RayTaskError as error:  # raised where no function of ours could catch it
            answer = WorkDone(None, EngineError(describe_death(error)), str(error), slot.advanced, None)
        except self._ray.exceptions.RayError as error:
            self._bury(slot, error)
            return
        slot.call = None
        if not slot.is_warm and not isinstance(answer, WorkDone):
            slot.is_warm = True
        elif slot.hello is None and self.accept is not None and not self._has_work and self._first.done():
            slot.held = answer
        elif slot.hello is None:
            self._greet(slot, answer)
        else:
            self._take_result(slot, answer)

    def _take_result(self, slot: PoolSlot, answer: WorkDone) -> None:
        """Take what an item came to."""
        item, slot.item = slot.item, None
        assert item is not None and slot.hello is not None
        self._advance(slot, answer.advanced)
        if answer.profile is not None:
            profiler.add_process_profile(f"worker {slot.number} on {slot.hello.host}", answer.profile)
        if answer.error is None:
            item.future.set_result(answer.result)
            return
        item.failures += 1
        if is_final(answer.error) or item.failures >= MOST_FAILURES:
            answer.error.add_note(answer.trace)
            item.future.set_exception(answer.error)
            return
        self._put_back(item)

    def _greet(self, slot: PoolSlot, answer: WorkerHello | WorkDone) -> None:
        """Take a worker that has started, or refuse it."""
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
            left = bool(self._slots) and not (self._leads and is_final(error))
        if left:
            self.count -= 1
            console.warn(f"{who} is left out: {error}")
        else:
            self._fail(error)

    def _bury(self, slot: PoolSlot, error: Exception) -> None:
        """Let a worker that died be replaced, and its item be done again."""
        item, hello = slot.item, slot.hello
        got_on = any(slot.advanced)
        self._kill(slot)
        self.replaced += 1
        if hello is None:
            slot.failures += 1
            if slot.failures >= MOST_DEATHS:
                message = f"{slot.failures} workers died as they started, one after another: {describe_death(error)}"
                self._refuse(slot, EngineError(message, "it may need more memory: fewer --workers"), "a worker")
            else:
                console.warn("a worker died as it started, and is replaced")
            return
        if item is None:
            return
        is_lost = hello.node not in {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        item.deaths = 0 if got_on or is_lost else item.deaths + 1
        reason = "its machine is gone" if is_lost else f"process {hello.process} has died"
        console.warn(f"a worker on {hello.host} is replaced: {reason}; what it worked on is done again")
        if item.deaths < MOST_DEATHS:
            self._put_back(item)
            return
        message = f"{item.deaths} workers died over it, one after another: {describe_death(error)}"
        item.future.set_exception(
            EngineError(message, "it may need more memory: --cpus-per-worker 2, or fewer workers")
        )

    def _put_back(self, item: PoolItem) -> None:
        with self._lock:
            self._queue.appendleft(item)

    def _kill(self, slot: PoolSlot) -> None:
        """End the worker of a slot, which is as before its start then."""
        actor, slot.actor, slot.call, slot.progress_call = slot.actor, None, None, None
        slot.item = slot.hello = slot.held = None
        slot.is_warm, slot.advanced = False, (0, 0, 0)
        self._leader = None if self._leader is slot else self._leader
        if actor is not None and self._ray is not None:
            with suppress(Exception):
                self._ray.kill(actor, no_restart=True)

    def _ask_progress(self) -> None:
        now, interval = time.monotonic(), max(PROGRESS_SECONDS, len(self._slots) / 50)
        for slot in self._slots:
            if slot.item is not None and slot.progress_call is None and now - slot.asked > interval:
                slot.asked, slot.progress_call = now, slot.actor.read_progress.remote()

    def _take_progress(self, slot: PoolSlot) -> None:
        call, slot.progress_call = slot.progress_call, None
        with suppress(self._ray.exceptions.RayError):
            if slot.item is not None:
                self._advance(slot, self._ray.get(call))

    def _advance(self, slot: PoolSlot, done: tuple[int, int, int]) -> None:
        """Move the bar by what a worker did since it was asked last."""
        new = [max(0, now - before) for now, before in zip(done, slot.advanced, strict=True)]
        slot.advanced = done
        self.tokens += new[1]
        if self.on_progress is not None and any(new):
            self.on_progress(documents=new[0], tokens=new[1], done_bytes=new[2])

    def _check_waiting(self) -> None:
        """Say, once, that no worker is there for the items that wait, and what is missing."""
        now = time.monotonic()
        if any(slot.hello is not None for slot in self._slots) or not self._slots:
            self._waiting_since, self._has_said = now, False
        if self._has_said or now - self._waiting_since < WAITING_SECONDS:
            return
        self._has_said = True
        free = self._ray.available_resources()
        has = f"CPU {free.get('CPU', 0):g}, GPU {free.get('GPU', 0):g}"
        wants = f"CPU {self._cpus:g}" + (f", GPU {self._gpus:g}" if self._gpus else "")
        what = f"no worker is there: each needs {wants}; free in the cluster: {has}"
        console.say("waiting", f"{what}. It goes on when a machine has room; Ctrl-C ends it, and nothing is lost")

    def _fail(self, error: Exception) -> None:
        """Give up: every item fails with this error."""
        with self._lock:
            self._failure = error
            items = [*self._queue, *(slot.item for slot in self._slots if slot.item is not None)]
            self._queue.clear()
        if not self._first.done():
            self._first.set_exception(error)
        for each in items:
            if not each.future.done():
                each.future.set_exception(error)


def connect_ray(options: EngineOptions) -> tuple[Any, bool]:
    """Return Ray, connected, and whether the connection is to be closed in the end.

    Raises EngineError where Ray is not installed, or the cluster is not to be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = options.address or os.environ.get("RAY_ADDRESS")
    check_reachable(address)
    if address is not None and has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # which Ray does by itself for address auto alone, if at all
    try:
        import ray
    except ImportError as error:
        raise EngineError(f"--engine ray: {error}", "pip install 'curate[ray]'") from None
    if ray.is_initialized():
        return ray, False
    known: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = max(threads.count_cores(), round((options.workers or 1) * (options.cpus_per_worker or 1)))
        known |= {"include_dashboard": False, "num_cpus": cores, "object_store_memory": OBJECT_STORE_BYTES}
    handlers = list_handlers()
    try:
        ray.init(address=address or "local", **known)  # with None, Ray would take a cluster that runs here
    except Exception as error:
        if address is None:
            raise EngineError(f"Ray does not start here: {describe_death(error)}", "ray stop") from error
        hint = "ray start --head on one machine, ray start --address=HEAD:6379 on the others"
        raise EngineError(f"no cluster of Ray at {address}: {describe_death(error)}", hint) from error
    finally:
        restore_handlers(handlers)
    silence_ray()
    return ray, True


def check_reachable(address: str | None) -> None:
    """Raise EngineError where nobody listens at an address: Ray tries for minutes, and ends in a message of its own."""
    found = ADDRESS.fullmatch(address or "auto")
    if found is None or found["host"] is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        hint = "ray start --head on one machine, ray start --address=HEAD:6379 on the others; see RAY_ADDRESS too"
        raise EngineError(f"no cluster of Ray at {address}: {error}", hint) from None


def has_token() -> bool:
    """Return whether there is a token for clusters of Ray that ask for one, as those that it starts do.

    A cluster that asks for none takes no notice of it.
    """
    if "RAY_AUTH_TOKEN" in os.environ:
        return True
    path = os.environ.get("RAY_AUTH_TOKEN_PATH", os.path.join(os.path.expanduser("~"), ".ray", "auth_token"))
    return os.path.exists(path)


def list_handlers() -> dict[Any, Any]:
    """Return the handlers of the signals that ask to stop: Ray sets one of its own."""
    import signal

    from curate.runtime.work.interrupts import list_signals

    return {each: signal.getsignal(each) for each in list_signals()}


def restore_handlers(handlers: dict[Any, Any]) -> None:
    """Set the handlers of signals as they were, where this thread may."""
    import signal

    for each, handler in handlers.items():
        if handler is not None:
            with suppress(ValueError):
                signal.signal(each, handler)


def silence_ray() -> None:
    """Keep Ray from printing the deaths of workers and machines to stdout, where the summary goes: the pool says them.

    Ray has no option for it.
    """
    with suppress(Exception):
        from ray._private import worker

        printing = worker.print_to_stdstream
        if not hasattr(printing, "is_of_curate"):

            def print_others(batch: dict[str, Any], *options: Any, **named: Any) -> None:
                if batch.get("pid") != "raylet":
                    printing(batch, *options, **named)

            print_others.is_of_curate = True  # type: ignore[attr-defined]
            worker.print_to_stdstream = print_others


def count_workers(options: EngineOptions, total: dict[str, float], uses_gpu: bool) -> int:
    """Return the workers that are wished for, else those that fit into what a cluster has by the kind; at least 1."""
    if options.workers is not None:
        return options.workers
    gpus = options.gpus_per_worker
    gpus = float(uses_gpu and total.get("GPU", 0) >= 1) if gpus is None else gpus
    fitting = total.get("CPU", 0) / (options.cpus_per_worker or 1)
    if gpus:
        fitting = min(fitting, total.get("GPU", 0) / gpus)
    return max(1, int(fitting))


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


def describe_death(error: Exception) -> str:
    """Return what Ray says of a worker or a cluster, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    missing = next((line for line in lines if "ModuleNotFoundError" in line), None)
    return missing or (lines[0] if lines else type(error).__name__)
