"""Workers answer in order, and their errors and deaths are told."""

import os
import signal

import pytest

from curate.errors import StorageError, TableError
from curate.runtime import processes, threads


def fail_or_die(shared, item):
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "fail":
        raise TableError("what", "how")
    print("noise on stdout")
    return shared + item


def test_workers_answer_in_order_and_their_errors_and_deaths_are_told():
    with processes.hired(fail_or_die, 10, 2) as work:
        assert list(threads.in_order(work, range(9), 2)) == list(range(10, 19))
        with pytest.raises(TableError) as caught:
            work("fail")
        assert (caught.value.message, caught.value.hint) == ("what", "how")
        with pytest.raises(StorageError, match="signal 9"):
            work("die")
