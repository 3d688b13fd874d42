"""Standard output and standard error as a shell may leave them: closed, full, or of few characters.

curate status >&-             nothing is printed, and no data file gets the number of the stream
curate status > /dev/full     one error, exit code 1
curate status | head -0       quiet, exit code 1
LANG=C curate explain ID      what the terminal cannot print is escaped
"""

import os
import sys
from contextlib import suppress
from typing import Any

from curate.errors import StorageError

STANDARD = (0, 1, 2)


def open_streams() -> None:
    """Open what is closed among the standard streams on the null device, and escape what they cannot encode.

    A closed stream would give its number to the next file that is opened, into which libraries would then print.
    """
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def print_result(text: str) -> None:
    """Print text on standard output. Raises StorageError where it cannot be written, BrokenPipeError without reader."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stream(sys.stdout)
        raise StorageError(f"standard output could not be written: {error.strerror or error}") from error


def print_message(text: str) -> None:
    """Print a line on standard error; one that cannot be written is lost, as nothing depends on it.

    Raises BrokenPipeError where the reader has gone.
    """
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        drop_stream(sys.stderr)


def is_encodable(text: str) -> bool:
    """Return whether standard output can print a text without escapes."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def drop_stream(stream: Any) -> None:
    """Send what is left of a stream, and all that follows, to the null device, so that the exit is quiet."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
