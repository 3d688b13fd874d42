"""Signals that ask a command to stop: Ctrl-C, ``kill``, and a terminal that closes, which all do the same.

    SIGINT, SIGTERM, SIGHUP    ──► KeyboardInterrupt in the main thread: what is complete is kept, the exit code is 130
    the second of them         ──► the process ends at once, also where it waits for a library that does not listen

Where it strikes in a finaliser, whose exceptions Python prints and drops, it strikes again.

A signal that is ignored when the command starts stays ignored, as under ``nohup``. Only the command line listens: a
program that calls curate as a library keeps its own handlers. Worker processes leave signals to their parent, which
ends them; one that a signal reached alone would look as if it had failed.
"""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
ONE_REQUEST_SECONDS = 0.2
"""Signals within this time are one request: ``timeout`` and shells send one to a process and to its group."""
AGAIN = b"\0"
"""What is written among the numbers of signals where one was dropped: no signal has it."""
AGAIN_SECONDS = 0.02
"""The time in which the finaliser ends; if it does not, the signal is dropped, and sent, once more."""
EXIT_CODE = 130
"""That of a command that was stopped, by whichever signal: the same command goes on."""


def list_signals() -> list[signal.Signals]:
    """Return the signals that ask to stop and that this system has."""
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class SignalListener:
    """The handler of signals that ask to stop, and the thread that ends the process where one is sent again."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.stopping = False
        """Whether KeyboardInterrupt was raised: another one would end the clean-up of the first."""
        self.is_deferring, self._deferred = False, False
        handlers = {each: signal.getsignal(each) for each in list_signals()}
        self.before = {each: handler for each, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
        self._reading, self._writing = os.pipe()
        self._wakeup = -1
        self._unraisable = sys.unraisablehook

    def begin(self) -> None:
        """Set the handlers and start the thread."""
        os.set_blocking(self._writing, False)
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._end_in_child)
        threading.Thread(target=self._exit_at_second, name="curate-signals", daemon=True).start()
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._interrupt_again
        for each in self.before:
            signal.signal(each, self._interrupt)

    def end(self) -> None:
        """Put the handlers back that were there before; a process that is stopping keeps them until it has ended."""
        if self.stopping:
            return
        for each, handler in self.before.items():
            signal.signal(each, handler)
        sys.unraisablehook = self._unraisable
        atexit.unregister(ignore_signals)
        atexit.register(ignore_signals)  # runs first: what libraries do last would print tracebacks, and all is done
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writing)
        self.before = {}

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Let a signal that comes inside the block strike at its end."""
        self.is_deferring = True
        try:
            yield
        finally:
            self.is_deferring = False
        if self._deferred:
            self._interrupt(0, None)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_deferring:
            self._deferred = True
        elif not self.stopping:
            self.stopping = True
            raise KeyboardInterrupt

    def _interrupt_again(self, dropped: "sys.UnraisableHookArgs") -> None:
        """Where Python drops our KeyboardInterrupt, since a finaliser was running, have the thread send it again."""
        if not (self.stopping and isinstance(dropped.exc_value, KeyboardInterrupt)):
            self._unraisable(dropped)
            return
        self.stopping = False
        os.write(self._writing, AGAIN)  # not from here, where it would be dropped too

    def _exit_at_second(self) -> None:
        """Wait for the numbers of signals, which arrive here also while the main thread is in a library."""
        numbers = {int(each) for each in self.before}
        first = None
        while received := os.read(self._reading, 64):
            if AGAIN in received:
                first = None
                time.sleep(AGAIN_SECONDS)
                os.kill(self.process, min(numbers))
                continue
            if not numbers & set(received):
                continue
            now = time.monotonic()
            if first is not None and now - first >= ONE_REQUEST_SECONDS:
                with suppress(OSError):
                    os.write(2, b"stopped at once.\n")
                os._exit(EXIT_CODE)
            first = now if first is None else first
        os.close(self._reading)

    def _end_in_child(self) -> None:
        """In a process that a library forks, leave the pipe to the parent and let signals end the process."""
        if not self.before:
            return
        signal.set_wakeup_fd(-1)
        for each in self.before:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Inside the block, raise KeyboardInterrupt in the main thread at the first signal, and exit at the second.

    Does nothing in other threads, where no handler can be set, and on Windows, which has Ctrl-C alone.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    listener = SignalListener()
    _listeners.append(listener)
    listener.begin()
    try:
        yield
    finally:
        _listeners.remove(listener)
        listener.end()


_listeners: list[SignalListener] = []


def is_stopping() -> bool:
    """Return whether a signal has asked this process to stop: what fails then, in a library, fails of that."""
    return any(listener.stopping for listener in _listeners)


def ignore_signals() -> None:
    """In a worker process, leave all signals that ask to stop to the parent, which ends this process."""
    for each in list_signals():
        signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, list_signals())


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Inside the block, which is short, something is made and its name kept: a signal strikes at the block's end.

    Blocking the signal would not do: another thread would receive it, and Python tells the main one.
    """
    listener = _listeners[-1] if _listeners else None
    if listener is None or listener.is_deferring or threading.current_thread() is not threading.main_thread():
        yield
        return
    with listener.defer():
        yield


@contextmanager
def hold_signals() -> Iterator[None]:
    """Inside the block, start processes that signals do not end before they call ``ignore_signals``.

    A process starts with the signals blocked that its parent blocks; the parent gets its own when the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, list_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
