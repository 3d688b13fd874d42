"""``--engine``: where the workers of a verb run, as it is typed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool

Engine = Literal["local", "ray"]


ADDRESS = re.compile(r"auto|(?:ray://)?(?P<host>\[[^\]]+\]|[^\s:/]+):(?P<port>\d{1,5})")
"""Addresses of a cluster."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a user says of the workers of ``--engine ray``. Raises UsageError for what is not allowed."""

    address: str | None = None
    """``auto`` or the address of a cluster of Ray; None starts one on this machine, or takes RAY_ADDRESS."""
    workers: int | None = None
    """None: as many as fit into the cluster as it is now."""
    gpus_per_worker: float | None = None
    """None: one where the cluster has any and the work uses one."""
    cpus_per_worker: float | None = None

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus_per_worker or 1))

    def __post_init__(self) -> None:
        if self.address is not None and not ADDRESS.fullmatch(self.address):
            raise UsageError(
                f"--address must be auto, HOST:PORT or ray://HOST:PORT, not {self.address}", "--address auto"
            )
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers must be at least 1, not {self.workers}", "leave it out for all that fit")
        if self.gpus_per_worker is not None and not 0 <= self.gpus_per_worker <= 1:
            message = f"--gpus-per-worker must be from 0 to 1 (a model is on one GPU), not {self.gpus_per_worker:g}"
            raise UsageError(message, "--gpus-per-worker 1")
        if self.cpus_per_worker is not None and self.cpus_per_worker < 1:
            message = f"--cpus-per-worker must be at least 1, not {self.cpus_per_worker:g}"
            raise UsageError(message, "--cpus-per-worker 1")


def choose_engine(
    engine: Engine,
    address: str | None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    cpus_per_worker: float | None = None,
    needed: bool = False,
) -> EngineOptions | None:
    """Return the options of ``--engine ray``, None for the engine of this machine.

    ``needed`` says that ``workers`` is an option of that engine alone. Raises UsageError for options that need another
    engine, and for those that are not allowed.
    """
    if engine == "ray":
        return EngineOptions(address, workers, gpus_per_worker, cpus_per_worker)
    given = {"address": address, "gpus-per-worker": gpus_per_worker, "cpus-per-worker": cpus_per_worker}
    given |= {"workers": workers} if needed else {}
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name} has no effect without --engine ray", f"--engine ray --{name} {value}")
    return None


REFUSED = {
    "part": ("deal out the same work in two ways", "leave one of them out"),
    "limit": ("do not go together: a limit counts over all files", "leave --limit out, or draw a --sample"),
    "devices": ("do not go together: a worker has a device by itself", "leave --devices out"),
    "tokenizer": ("do not go together: token formats are written on one machine", "leave --engine out"),
    "verify": ("do not go together: an export is searched on this machine", "leave --engine out"),
}
"""Options that cannot hold with an engine: why not, and the hint."""


def refuse_with_engine(options: EngineOptions | None, **given: object) -> None:
    """Raise UsageError for the first of some options in ``REFUSED`` that is given along with an engine."""
    for name, value in given.items():
        if options is not None and value is not None:
            why, hint = REFUSED[name]
            raise UsageError(f"--{name} and --engine ray {why}", hint)


@contextmanager
def open_pool(options: EngineOptions | None, uses_gpu: bool = False) -> "Iterator[RayPool | None]":
    """Yield the pool of workers of ``--engine ray``, None for the engine of this machine, and end it with the block.

    ``uses_gpu`` says that a worker takes a GPU where the cluster has any and the user does not say.
    """
    if options is None:
        yield None
        return
    from curate.runtime.work.ray_pool import RayPool

    pool = RayPool(options, uses_gpu)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def keep_connection(options: EngineOptions | None) -> Iterator[None]:
    """Stay connected to Ray for the block, so that several pools, one after another, use one cluster."""
    if options is None:
        yield
        return
    from curate.runtime.work.ray_cluster import connect_ray

    ray, is_ours = connect_ray(options)
    try:
        yield
    finally:
        if is_ours:
            ray.shutdown()
