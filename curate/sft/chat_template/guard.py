"""Templates of others are programs: they run in a process of their own, with limits of time, memory and output.

    ChatTemplate.apply ──► GuardedRenderer.call ──► a forked process ──► a text, or what the template raised

A loop over a billion numbers, a text a billion characters long or a macro that calls itself ends that process, not this
one. The process is forked once a template and has what this one has loaded; a rendering takes some fifty microseconds
more than here. Where the system cannot fork, templates run in this process, without limits.
"""

import os
import pickle
import signal
import struct
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from jinja2.sandbox import MAX_RANGE

from curate.errors import UsageError
from curate.runtime.calls import repeat_command
from curate.runtime.work.interrupts import ignore_signals

SECONDS = 5
"""Processor time of one rendering. Templates of models take less than a millisecond."""
MEMORY = 1 << 30
"""Bytes that a rendering may take beyond what the process had when it began."""
CHARACTERS = 1 << 26
"""The longest output."""
LENGTH = struct.Struct("<Q")


class GuardedRenderer:
    """Calls one function in a process that is forked at the first call, and that ends with this object."""

    def __init__(self, name: str, function: Callable[..., Any]):
        self.name = name
        self._function = function
        self._process: tuple[int, IO[bytes], IO[bytes]] | None = None

    def call(self, *args: Any, **options: Any) -> Any:
        """Return what the function returns, or raise what it raises, for arguments that can be pickled.

        Raises UsageError, naming the template and the limit, where it takes more than it may.
        """
        if not hasattr(os, "fork"):
            return self._function(*args, **options)
        if self._process is None:
            self._process = _fork(self._function)
            weakref.finalize(self, _end, *self._process)
        process, asking, answering = self._process
        try:
            _send(asking, (args, options))
            is_done, value = _receive(answering)
        except (EOFError, BrokenPipeError):
            self._process = None
            _, status = os.waitpid(process, 0)
            raise self._make_error(_describe_end(status)) from None
        if isinstance(value, LimitReached):
            raise self._make_error(value.limit)
        if not is_done:
            raise value
        return value

    def _make_error(self, limit: str) -> UsageError:
        hint = repeat_command("rank_sft", template="plain")
        return UsageError(f"{self.name}: rendering a conversation {limit}", hint)


class LimitReached(Exception):
    """A rendering took more than it may; ``limit`` says of what."""

    def __init__(self, limit: str):
        super().__init__(limit)
        self.limit = limit


def _describe_end(status: int) -> str:
    """Return in words why the process ended, by its status."""
    number = os.waitstatus_to_exitcode(status)
    if number == -signal.SIGPROF:
        return f"takes more than {SECONDS} seconds, the limit for templates"
    if number == -signal.SIGKILL:
        return f"takes more memory than there is; the limit for templates is {MEMORY >> 30} GiB"
    return f"ended its process ({'signal' if number < 0 else 'code'} {abs(number)}): it calls itself without an end"


def _fork(function: Callable[..., Any]) -> tuple[int, IO[bytes], IO[bytes]]:
    """Start the process; return its number and the pipes to it and from it."""
    questions, answers = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: the process uses nothing of theirs
        process = os.fork()
    if process == 0:
        try:
            os.close(questions[1])
            os.close(answers[0])
            _serve(function, os.fdopen(questions[0], "rb"), os.fdopen(answers[1], "wb"))
        finally:
            os._exit(0)
    os.close(questions[0])
    os.close(answers[1])
    return process, os.fdopen(questions[1], "wb"), os.fdopen(answers[0], "rb")


def _end(process: int, asking: IO[bytes], answering: IO[bytes]) -> None:
    """End the process, if it has not ended."""
    for pipe in (asking, answering):
        with suppress(OSError):
            pipe.close()
    with suppress(OSError):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _serve(function: Callable[..., Any], asking: IO[bytes], answering: IO[bytes]) -> None:
    """Answer until the pipe ends. The limit of time is the kernel's, which ends the process wherever it is."""
    ignore_signals()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _limit_memory()
    while True:
        try:
            args, options = _receive(asking)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        answer = _answer(function, args, options)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(answering, answer)


def _answer(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> tuple[bool, Any]:
    """Return whether the function returned, with what it returned or raised."""
    try:
        value = function(*args, **options)
    except MemoryError:
        return False, LimitReached(f"takes more than {MEMORY >> 30} GiB of memory, the limit for templates")
    except RecursionError:
        return False, LimitReached("calls itself without an end")
    except Exception as error:
        is_range = isinstance(error, OverflowError) and "MAX_RANGE" in str(error)
        limit = LimitReached(f"loops over more than {MAX_RANGE:,} numbers, the limit for templates")
        return False, limit if is_range else _make_portable(error)
    if isinstance(value, str) and len(value) > CHARACTERS:
        return False, LimitReached(f"gives more than {CHARACTERS:,} characters, the limit for templates")
    return True, value


def _make_portable(error: Exception) -> Exception:
    """Return an exception that can be pickled: the same, or one with its message."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        return ValueError(str(error))
    is_same = type(copy) is type(error) and str(copy).splitlines()[:1] == str(error).splitlines()[:1]
    return error if is_same else ValueError(str(error))


def _limit_memory() -> None:
    """Limit the address space of this process to what it has, and ``MEMORY``; where the system tells what it has."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(pipe: IO[bytes], value: Any) -> None:
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    pipe.write(LENGTH.pack(len(content)) + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """Return the next value of a pipe. Raises EOFError where it ends."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    content = pipe.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)
