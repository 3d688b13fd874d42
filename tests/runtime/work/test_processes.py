"""Workers answer in order, and their errors and deaths reach the caller."""

import os
import signal

import pytest

from curate.errors import StorageError, TableError
from curate.runtime import console
from curate.runtime.work import processes, threads


def fail_or_die(shared, item):
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(3)
    if item == "fail":
        raise TableError("what", "how")
    print("noise on stdout")
    return shared + item


def tell_process(_, item):
    return os.getpid(), console.is_enabled(), os.environ["OMP_NUM_THREADS"] if item else None


def test_workers_answer_in_order_and_their_errors_and_deaths_are_told():
    with processes.start_workers(fail_or_die, 10, 2) as work:
        assert list(threads.map_in_order(work, range(9), 2)) == list(range(10, 19))
        with pytest.raises(TableError) as caught:
            work("fail")
        assert (caught.value.message, caught.value.hint) == ("what", "how")
        with pytest.raises(StorageError, match="signal 9"):
            work("die")


def test_the_code_of_a_worker_that_ended_is_named():
    with (
        processes.start_workers(fail_or_die, 0, 2) as work,
        pytest.raises(StorageError, match="ended with code 3") as caught,
    ):
        work("exit")
    assert "--workers 1" in caught.value.hint


def test_with_one_worker_the_work_is_done_in_this_process():
    with processes.start_workers(tell_process, None, 1) as work:
        assert work(None)[0] == os.getpid()


def test_workers_are_other_processes_of_one_thread_and_gone_when_the_block_ends():
    with processes.start_workers(tell_process, None, 2) as work:
        found = {work(True) for _ in range(4)}
    pids = {pid for pid, _, _ in found}
    assert len(pids) == 2 and os.getpid() not in pids
    assert {(speaks, cores) for _, speaks, cores in found} == {(False, "1")}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
