"""Prefetch: a thread reads and tokenises batches before the model needs them, through a bounded queue.

The tokenizer, the parsers and the codecs are compiled code that releases Python's lock, so that one thread keeps ahead
of a model.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from curate.reference.forward_pass.batches import PreparedBatch
from curate.reference.likelihood import Passage
from curate.runtime.work import profiler

AHEAD = 2  # batches that are ready before they are needed, at most


def prepare_ahead(
    passages: Iterable[Sequence[Passage]],
    prepare: Callable[[Sequence[Passage]], PreparedBatch],
    busy: Callable[[], bool] = lambda: False,
) -> Iterator[PreparedBatch | None]:
    """Yield each batch, prepared, in order. An error is raised where its batch would be yielded.

    Where no batch is ready and the caller is ``busy``, yield None, so that it can go on with the work that it has.
    """
    ready: queue.Queue[PreparedBatch | BaseException | None] = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()

    def put(item: PreparedBatch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            each = iter(passages)
            while True:
                with profiler.span("read"):
                    batch = next(each, None)
                if batch is None:
                    break
                with profiler.span("tokenise"):
                    prepared = prepare(batch)
                if not put(prepared):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="curate-prepare", daemon=True)
    thread.start()
    try:
        while True:
            while busy() and ready.empty():
                yield None
            with profiler.span("wait"):
                item = ready.get()
            if item is None:
                break
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)
