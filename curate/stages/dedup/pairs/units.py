"""Units of the search for near copies, run in threads of this process or in workers elsewhere.

A unit is a function at the top of a module over two small values that pickle: what all units of a kind share, and an
item. It writes files whose names and bytes depend on these alone, so that it may run anywhere, twice, or at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from curate.runtime.work import threads
from curate.runtime.work.processes import StartWorkers, Work

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def start_threads(function: Callable[[Any, Any], Any], shared: Any, count: int) -> Iterator[Work]:
    """Yield ``function`` of one item for threads of this process: ``processes.start_workers`` without processes.

    Sorting, reading and comparing let go of Python's lock, and a process costs 100 MB.
    """
    yield partial(function, shared)


def run_units(
    start: StartWorkers,
    workers: int,
    function: Callable[[Shared, Item], Result],
    shared: Shared,
    items: Sequence[Item],
    report: Callable[[str], None],
) -> list[Result]:
    """Return ``function(shared, item)`` of each item, in their order, from so many workers at a time."""
    results: list[Result] = []
    if not items:
        return results
    count = min(workers, len(items))
    with start(function, shared, count) as work:
        for result in threads.map_in_order(work, items, count):
            results.append(result)
            report(f"{len(results):,} of {len(items):,}")
    return results
