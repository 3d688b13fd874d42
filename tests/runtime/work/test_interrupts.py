"""Signals that ask to stop: all of them say the same, the second ends at once, ignored ones stay ignored."""

import signal
import subprocess
import sys
import time

import pytest

WAIT = """
import sys, time
from curate.runtime.work import interrupts
with interrupts.stop_on_signals():
    try:
        print("ready", flush=True)
        {work}
    except KeyboardInterrupt:
        print("stopped", flush=True)
        {after}
        sys.exit(interrupts.EXIT_CODE)
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


WORK = "[time.sleep(0.05) for _ in range(600)]"
"""Short sleeps: a signal that comes between Python's look for signals and a long sleep would wait for its end."""


def start(work=WORK, after="pass", ignored=()):
    def prepare():
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN if each in ignored else signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    words = [sys.executable, "-c", WAIT.format(work=work, after=after)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare, start_new_session=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_that_asks_to_stop_does_the_same(number):
    process = start()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "stopped\n", "")


def test_a_signal_that_is_sent_twice_at_once_is_one_request():
    process = start(after="time.sleep(1)")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "stopped\n")


@pytest.mark.parametrize("work", ["time.sleep(30)", "import threading; threading.Lock().acquire(); time.sleep(30)"])
def test_the_second_ends_the_process_at_once(work):
    process = start(work, after="time.sleep(30)")
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 5


def test_what_nohup_ignores_stays_ignored():
    process = start(work="time.sleep(1.5)", ignored=[signal.SIGHUP])
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_worker_process_leaves_signals_to_its_parent():
    code = """
import operator, os, signal
from curate.runtime.work.processes import start_workers
with start_workers(operator.call, eval, 2) as call:
    pids = {call("__import__('os').getpid()")}
    for pid in pids:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    print([call("2 ** 3") for _ in range(4)])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[8, 8, 8, 8]\n", found.stderr


def test_a_process_that_is_forked_does_not_speak_for_its_parent():
    work = "import os; pid = os.fork() or time.sleep(9); time.sleep(1); os.kill(pid, 15); os.waitpid(pid, 0)"
    process = start(work=work)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


FINALISER = """class Last:
            def __del__(self):
                import os, signal
                os.kill(os.getpid(), {number:d})
                time.sleep(5)
        Last()
        time.sleep(30)"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_strikes_in_a_finaliser_is_not_lost_there(number):
    process = start(FINALISER.format(number=number))
    out = process.stdout.read()  # communicate() would miss what was read with the line "ready"
    _, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "stopped\n", "")


def test_what_else_a_finaliser_raises_is_printed_as_python_prints_it():
    process = start("class Last:\n            def __del__(self): 1 / 0\n        Last()")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Exception ignored" in err and "ZeroDivisionError" in err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_end_changes_nothing(number):
    late = f"import atexit, os; atexit.register(lambda: (os.kill(os.getpid(), {number:d}), time.sleep(1)))"
    process = start(late)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
