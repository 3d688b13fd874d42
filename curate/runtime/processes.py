"""The same work on many things at once, in processes of their own, with results in the order of what came in.

For work that holds the interpreter, such as rows of JSON. The processes run this module and not the program that asked,
so that a script needs no ``if __name__ == "__main__"``; they are gone when the block ends, whatever ended it.
"""

import gc
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from typing import Any

from curate.errors import StorageError
from curate.runtime import console

STARTER = "from curate.runtime.processes import serve; serve()"
ENVIRONMENT = {
    # Arrow computes in so many threads; each process has a core.
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    # The next buffer takes the place of the last one: pages that are given back and asked for anew cost more than
    # what is written on them.
    "MIMALLOC_PURGE_DELAY": "100000",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "268435456",
}


@contextmanager
def hired(function: Callable[[Any, Any], Any], shared: Any, count: int) -> Iterator[Callable[[Any], Any]]:
    """A function of one item that runs ``function(shared, item)`` in one of ``count`` processes; with one, right here.

    Meant for ``crew.in_order``: calls of several threads run at once. Exceptions come back as they were raised;
    StorageError where a process died. ``function`` is one of a module, and all that is passed can be pickled.
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
        yield partial(_ask, idle)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def call(_: None, item: tuple[Callable[[Any, Any], Any], Any, Any]) -> Any:
    """For processes that do several kinds of work: an item is a function, what it shares with others, and its item."""
    function, shared, one = item
    return function(shared, one)


def _start(function: Callable[[Any, Any], Any], shared: Any) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    words = [sys.executable, "-c", STARTER]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
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
        raise _died(process) from None


def _ask(idle: "SimpleQueue[subprocess.Popen[bytes]]", item: Any) -> Any:
    process = idle.get()
    try:
        _send(process, item)
        try:
            done, answer = pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, pickle.UnpicklingError):
            raise _died(process) from None
    finally:
        idle.put(process)
    if not done:
        raise answer
    return answer


def _died(process: "subprocess.Popen[bytes]") -> StorageError:
    code = process.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return StorageError(f"a worker process {how}", "was there enough memory? try --workers 1 or a lower --memory-limit")


def serve() -> None:
    """What a process does: items from stdin, results to stdout, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The one that asked is interrupted, and ends this one.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    module, name, shared, speaks = pickle.load(sys.stdin.buffer)
    function = getattr(import_module(module), name)
    console.enable(speaks)
    gc.freeze()
    gc.disable()  # Else a quarter of the time goes into looking for cycles among parsed rows; once an item will do.
    while True:
        try:
            item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, function(shared, item))
        except Exception as error:
            answer = (False, error)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
        del item, answer
        gc.collect()
