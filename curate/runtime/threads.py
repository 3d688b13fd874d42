"""The same work on many things at once, in threads, with results in the order of what came in.

NumPy, numba and the codecs let other threads run while they compute, so threads keep several cores busy without
copying texts between processes. ``BackgroundWriter`` does one thing after another while its caller goes on.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Item], Result], feed: Iterable[Item], workers: int) -> Iterator[Result]:
    """``work`` applied to each item, results in the order of the items; at most 2 · workers + 1 items are held.

    With one worker nothing runs beside the caller. An exception of ``work`` or of the feed is raised in its place.
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
    """Work done in a thread behind the caller, in order, at most ``most`` pieces waiting.

    What a piece raises is raised by the next ``put``, or when the block ends; pieces after it are not begun. When the
    block ends, whatever ended it, what was put is finished first.
    """

    def __init__(self, most: int = 2):
        self._pool = ThreadPoolExecutor(1)
        self._room = BoundedSemaphore(most)
        self._failure: BaseException | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Do this too, once there is room; raises what an earlier piece raised."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        self._pool.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
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
