"""Worker processes for one function of many items.

For work that holds the interpreter lock, such as parsing rows of JSON. The processes run this module and not the
calling program, so that a script needs no ``if __name__ == "__main__"``. They end with the block, also after an
exception.
"""

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Protocol

from curate.errors import StorageError
from curate.runtime import console
from curate.runtime.work.interrupts import hold_signals, ignore_signals

STARTER = """
from curate.runtime.work.processes import serve
from curate.runtime.streams import guard_streams
with guard_streams():
    serve()
"""
ENVIRONMENT = {
    # Arrow would start a thread a core in each process.
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    # The next buffer reuses the memory of the last one: returning pages to the system and requesting them again costs
    # more than filling them.
    "MIMALLOC_PURGE_DELAY": "100000",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "268435456",
}

Work = Callable[[Any], Any]
"""Runs the function of some workers on one item and returns its result; several threads may call it at once."""


class StartWorkers(Protocol):
    """Starts workers, as ``start_workers`` does in processes of this machine; an engine may in those of others.

    A call whose worker dies may be made again, also while the first one ends: functions write files at once, under
    names that depend on the item alone, so that a second call leaves the same.
    """

    def __call__(self, function: Callable[[Any, Any], Any], shared: Any, count: int) -> AbstractContextManager[Work]:
        """Give a function of one item that runs ``function(shared, item)`` in one of ``count`` workers."""
        ...


@contextmanager
def start_workers(function: Callable[[Any, Any], Any], shared: Any, count: int) -> Iterator[Work]:
    """Yield a function of one item that runs ``function(shared, item)`` in one of ``count`` processes.

    With one process the work runs in this one. Several threads may call it at once, as ``threads.map_in_order`` does.
    ``function`` must be defined at the top of a module, and all arguments and results must be picklable. The function
    that is yielded raises the exceptions of ``function``, and StorageError where a process died.
    """
    if count <= 1:
        yield partial(function, shared)
        return
    idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(_start(function, shared))
            idle.put(started[-1])
        yield partial(_run_in_idle, idle)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _start(function: Callable[[Any, Any], Any], shared: Any) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    words = [sys.executable, "-c", STARTER]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
    with hold_signals():
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    _send(process, (function.__module__, function.__qualname__, shared, console.is_enabled()))
    return process


def _send(process: "subprocess.Popen[bytes]", value: Any) -> None:
    if process.stdin is None:
        raise ValueError("the process was started without a pipe")
    try:
        pickle.dump(value, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
    except BrokenPipeError:
        raise _make_death_error(process) from None


def _run_in_idle(idle: "SimpleQueue[subprocess.Popen[bytes]]", item: Any) -> Any:
    process = idle.get()
    try:
        _send(process, item)
        try:
            done, result = pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, pickle.UnpicklingError):
            raise _make_death_error(process) from None
    finally:
        idle.put(process)
    if not done:
        raise result
    return result


def _make_death_error(process: "subprocess.Popen[bytes]") -> StorageError:
    code = process.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return StorageError(f"a worker process {how}; it may have run out of memory", "--workers 1")


def serve() -> None:
    """Run a worker process: read items from stdin and write results to stdout, until stdin ends."""
    ignore_signals()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What libraries print must not mix with the results.
    module, name, shared, is_enabled = pickle.load(sys.stdin.buffer)
    function = getattr(import_module(module), name)
    console.enable(is_enabled)
    gc.freeze()
    gc.disable()  # Looking for cycles among parsed rows would take a quarter of the time; once an item is enough.
    while True:
        try:
            item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            result = (True, function(shared, item))
        except Exception as error:
            result = (False, error)
        pickle.dump(result, results, pickle.HIGHEST_PROTOCOL)
        results.flush()
        del item, result
        gc.collect()
