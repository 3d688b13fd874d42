"""Workers in actors of Ray, for functions of many items: what the verbs use of ``--engine ray``.

    with open_pool(EngineOptions(workers=8)) as pool:
        kept = pool.keep(shared)                       # once to each worker
        futures = [pool.submit(function, kept, item) for item in items]

Items and results are small: no text goes through Ray's object store. Workers that die are replaced, and their items
done again (``ray_scheduler``). Imported only where the engine is asked for.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import UsageError
from curate.runtime import console
from curate.runtime.disk import claims
from curate.runtime.disk.mirrors import list_copies, pull_exchanged, push_exchanged
from curate.runtime.numbers import count_noun
from curate.runtime.work.engines import EngineOptions
from curate.runtime.work.processes import Work
from curate.runtime.work.ray_cluster import connect_ray, count_workers
from curate.runtime.work.ray_scheduler import PoolItem, Prepare, WorkerScheduler
from curate.runtime.work.ray_worker import ItemFunction

Kept = tuple[str, list[Any]]
"""What items share, in the cluster: a key, and a reference in a list."""


@dataclass(slots=True)
class RayPool:
    """A pool of workers; it connects to Ray when it is needed first. ``close`` ends it."""

    options: EngineOptions
    uses_gpu: bool = False
    """Whether a worker takes a GPU where the user does not say."""
    _ray: Any = None
    _is_ours: bool = False
    """Whether the connection ends with the pool."""
    _scheduler: WorkerScheduler | None = None
    _closed: bool = False

    def connect(self) -> WorkerScheduler:
        """Return the workers, after connecting to the cluster, or starting one, if that was not done.

        Raises EngineError where that fails, and UsageError for GPUs that are not there, where the cluster is started
        here: others may grow. Raises RuntimeError once the pool is closed.
        """
        if self._closed:
            raise RuntimeError("the pool is closed")
        if self._scheduler is None:
            self._ray, self._is_ours = connect_ray(self.options)
            total = self._ray.cluster_resources()
            gpus = self.options.gpus_per_worker
            gpus = float(self.uses_gpu and total.get("GPU", 0) >= 1) if gpus is None else gpus
            if self._is_local and gpus > total.get("GPU", 0):
                raise UsageError("--gpus-per-worker: Ray sees no GPU on this machine", "--gpus-per-worker 0")
            count = count_workers(self.options, total, self.uses_gpu)
            self._scheduler = WorkerScheduler(self._ray, self.options.cpus_per_worker or 1, gpus, count)
            console.say("engine", self._describe(self._scheduler, total))
            self._scheduler.start()
        return self._scheduler

    @property
    def count(self) -> int:
        """Workers that are wished for and not left out."""
        return self.connect().count

    @property
    def tokens(self) -> int:
        """Tokens that workers have scored, also once the pool is closed."""
        return 0 if self._scheduler is None else self._scheduler.tokens

    @property
    def _is_local(self) -> bool:
        """Whether the cluster was started here, for this pool."""
        return self._is_ours and self.options.address is None and "RAY_ADDRESS" not in os.environ

    def _describe(self, scheduler: WorkerScheduler, total: dict[str, float]) -> str:
        """Return in words which cluster this is, and its workers; ``total`` is what it has by the kind."""
        amounts = [(scheduler.cpus, "CPU"), (scheduler.gpus, "GPU")]
        each = ", ".join(f"{amount:g} {name}{'' if amount == 1 else 's'}" for amount, name in amounts if amount)
        workers = f"{count_noun(scheduler.count, 'worker')} of {each} each"
        if self._is_local:
            return f"Ray on this machine: {workers}"
        nodes = sum(1 for node in self._ray.nodes() if node["Alive"])
        kinds = ", ".join(count_noun(int(total[name]), name) for name in ("CPU", "GPU") if name in total)
        fitting = count_workers(replace(self.options, workers=None), total, self.uses_gpu)
        now = f", {fitting} at a time as it is now" if fitting < scheduler.count else ""
        return f"Ray of {count_noun(nodes, 'node')} ({kinds}): {workers}{now}"

    def open_first(self, prepare: Prepare, modules: tuple[str, ...] = ()) -> Any:
        """Start the workers, prepare one, and return what that returned; the others wait for ``open_others``.

        All import ``modules`` meanwhile. Raises what preparing raises.
        """
        scheduler = self.connect()
        scheduler.modules = modules
        return scheduler.lead(prepare)

    def open_others(self, prepare: Prepare, accept: Callable[[Any], None] | None = None) -> None:
        """Let the other workers be prepared. ``accept`` sees what each returned, once there is work for it."""
        self.connect().follow(prepare, accept)

    def keep(self, shared: Any) -> Kept:
        """Send what all items of a kind share to the cluster, once, and return what ``submit`` takes for it."""
        scheduler = self.connect()
        copies = list_copies(claims.list_read)
        packed = pickle.dumps((copies, pickle.dumps(shared, pickle.HIGHEST_PROTOCOL)))
        return os.urandom(8).hex(), [scheduler.ray.put(packed)]

    def submit(self, function: ItemFunction, kept: Kept, item: Any) -> "Future[Any]":
        """Let a worker call ``function(shared, item)``. The Future raises what the function raises three times."""
        waiting = PoolItem(function, *kept, item)
        self.connect().put(waiting)
        return waiting.future

    @contextmanager
    def start_workers(self, function: ItemFunction, shared: Any, count: int) -> Iterator[Work]:
        """Yield a function of one item, as ``processes.start_workers`` does; ``count`` is that of the pool here."""
        push_exchanged()
        kept = self.keep(shared)
        yield lambda item: self.submit(function, kept, item).result()
        pull_exchanged()

    def close(self) -> None:
        """End the workers, and the cluster if it was started here, for good."""
        if self._closed:
            return
        self._closed = True
        if self._scheduler is not None:
            self._scheduler.stop()
        if self._ray is not None and self._is_ours:
            self._ray.shutdown()
