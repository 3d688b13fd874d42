"""What runs in an actor of Ray: one item at a time, with what all items share kept between them.

This module imports no Ray but in a call: ``ray_pool`` makes an actor of ``RayWorker``.
"""

import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from curate.runtime import console
from curate.runtime.disk.mirrors import pull_exchanged
from curate.runtime.version import __version__
from curate.runtime.work import profiler

ItemFunction = Callable[[Any, Any], Any]
"""A function of what all items share, and of an item."""


@dataclass(frozen=True, slots=True)
class WorkerHello:
    """Where a worker is, and what preparing it returned."""

    host: str
    node: str
    """The id of its node in Ray."""
    process: int
    version: str
    """Of curate there."""
    prepared: Any


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What one item came to: its result or its failure, how far it advanced, and where the time went."""

    result: Any
    error: Exception | None
    trace: str
    """The traceback of the error."""
    advanced: tuple[int, int, int]
    """Documents, tokens and bytes of the files, as ``console.Progress.advance`` takes them."""
    profile: dict[str, Any] | None


class ItemProgress:
    """How far the item of this process is; another thread may ask meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = [0, 0, 0]

    def reset(self) -> None:
        """Begin with the next item."""
        with self._lock:
            self._done = [0, 0, 0]

    def advance(self, documents: int = 0, tokens: int = 0, done_bytes: int = 0) -> None:
        """Add finished work."""
        with self._lock:
            self._done = [old + new for old, new in zip(self._done, (documents, tokens, done_bytes), strict=True)]

    def read(self) -> tuple[int, int, int]:
        """Return documents, tokens and bytes of the item so far."""
        with self._lock:
            documents, tokens, done_bytes = self._done
            return documents, tokens, done_bytes


PROGRESS = ItemProgress()
"""That of the item which this process works on; functions of items advance it."""


class RayWorker:
    """An actor: it works in the folder of the command, with the environment that matters to curate."""

    def __init__(self, folder: str, environment: Mapping[str, str]):
        os.environ.update(environment)
        with suppress(OSError):  # where the folder is not to be seen, paths that are whole still are
            os.chdir(folder)
        console.enable(False)
        self._kept: dict[str, Any] = {}

    def warm(self, modules: Sequence[str]) -> None:
        """Import what the work will need; what is missing is said by preparing."""
        for name in modules:
            with suppress(ImportError):
                import_module(name)

    def prepare(self, function: Callable[[], Any] | None) -> WorkerHello | WorkDone:
        """Call what prepares a worker, such as loading a model, and say where this one is."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        try:
            prepared = function() if function is not None else None
        except Exception as error:
            return WorkDone(None, make_portable(error), traceback.format_exc(), (0, 0, 0), None)
        return WorkerHello(socket.gethostname(), node, os.getpid(), __version__, prepared)

    def run(self, function: ItemFunction, key: str, shared: list[Any], item: Any, measure: bool) -> WorkDone:
        """Return what ``function`` makes of an item; ``shared`` is a reference, fetched once for each ``key``."""
        PROGRESS.reset()
        try:
            if key not in self._kept:
                import ray

                self._kept = {key: unpack_shared(ray.get(shared[0]))}
            pull_exchanged()
            with profiler.measure_spans() if measure else nullcontext() as watch:
                result = function(self._kept[key], item)
        except Exception as error:
            return WorkDone(None, make_portable(error), traceback.format_exc(), PROGRESS.read(), None)
        profile = None if watch is None else profiler.describe_profile(watch)
        return WorkDone(result, None, "", PROGRESS.read(), profile)

    def read_progress(self) -> tuple[int, int, int]:
        """Return how far the item under way is (``ItemProgress.read``)."""
        return PROGRESS.read()


def unpack_shared(packed: bytes) -> Any:
    """Return what items share, after opening here the mirrors of the driver and fetching the tables that it reads."""
    copies, shared = pickle.loads(packed)
    for copy in copies:
        copy.open()
    return pickle.loads(shared)


def make_portable(error: Exception) -> Exception:
    """Return an error that another process can read: itself, or a RuntimeError that names it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
