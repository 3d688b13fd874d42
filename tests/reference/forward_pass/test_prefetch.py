"""The reader ahead says to one who is busy that nothing is ready."""

import threading

from curate.reference.forward_pass import prefetch


def test_the_reader_says_that_nothing_is_ready_to_one_who_is_busy():
    may_go_on, prepared = threading.Event(), object()

    def slow():
        yield ["a"]
        assert may_go_on.wait(20)
        yield ["b"]

    busy = False
    feed = prefetch.prepare_ahead(slow(), lambda _: prepared, lambda: busy)
    assert next(feed) is prepared, "one who is not busy waits"
    busy = True
    assert next(feed) is None, "the second batch cannot be there"
    may_go_on.set()
    busy = False
    assert list(feed) == [prepared]
