"""Threads: one function of many items with results in order, and a writer in the background.

NumPy, numba and the codecs release the interpreter lock while they compute, so threads keep several cores busy without
copying texts between processes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(work: Callable[[Item], Result], feed: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``work`` of each item, in the order of the items; at most 2 · workers + 1 of them are taken ahead.

    With one worker no thread is started. An exception of ``work`` or of the feed is raised in the order of the items.
    """
    if workers <= 1:
        yield from map(work, feed)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in feed:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class BackgroundWriter:
    """A thread that runs tasks in the order in which they are put, while the caller continues.

    At most ``most`` tasks are unfinished, counting the one that runs. An exception of a task is raised by the next
    ``put`` or at the end of the block, and later tasks are not started. The end of the block waits for the tasks, also
    after an exception.
    """

    def __init__(self, most: int = 2):
        self._pool = ThreadPoolExecutor(1)
        self._room = BoundedSemaphore(most)
        self._failure: BaseException | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Queue a task once fewer than ``most`` are unfinished. Raises what an earlier task raised."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        self._pool.submit(self._run, work)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            if self._failure is None:
                work()
        except BaseException as error:
            self._failure = error
        finally:
            self._room.release()

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        self._pool.shutdown(wait=True)
        if self._failure is not None and kind is None:
            raise self._failure
