"""The same work on many things at once, in threads, with results in the order of what came in.

NumPy, numba and the codecs let other threads run while they compute, so threads keep several cores busy without
copying texts between processes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
