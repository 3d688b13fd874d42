"""Standard output and standard error as a shell may leave them: closed, full, or of few characters.

curate status >&-             nothing is printed, and no data file gets the number of the stream
curate status > /dev/full     one error, exit code 1
curate status | head -0       quiet, exit code 1
LANG=C curate explain ID      what the terminal cannot print is escaped

They are the door of the terminal too: whatever is printed, by us or by a library, is text of documents, of files and of
others in part, so that control characters leave as escapes and only line ends act. The one exception is the bar of
``console.progress``, which writes to the stream behind the door.
"""

import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from curate.errors import StorageError

STANDARD = (0, 1, 2)
_shown_as: dict[str, str] = {}
"""Folders that the user knows under another name, with that name."""
NOT_PLAIN = re.compile(r"[^\n -~]")
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that are letters or signs to Unicode and that a terminal shows as nothing or as a gap."""
MOVE_UP = "\x1b[A"
"""What tqdm writes to go from a bar to the one above."""


def show_as(folder: str, name: str) -> None:
    """Print a folder, and all that is in it, under another name from now on: of a mirror the URL."""
    _shown_as[folder] = name


def _rename_folders(text: str) -> str:
    for folder, name in _shown_as.items():
        text = text.replace(folder, name)
    return text


def is_safe(char: str) -> bool:
    """Return whether a terminal shows a character and does nothing else. Spaces are safe, line ends and tabs not."""
    return (char.isprintable() or unicodedata.category(char) == "Zs") and char not in INVISIBLE


def spell_char(char: str) -> str:
    """Return a character as its Python escape."""
    return char.encode("unicode_escape").decode()


def escape_controls(text: str) -> str:
    """Return the text with what a terminal would act on, or not show, as Python escapes; line ends stay.

    These are control characters, C1 and DEL included, marks of direction and of joining, separators of lines,
    surrogates, and characters without an assigned meaning.
    """
    return NOT_PLAIN.sub(lambda match: match[0] if is_safe(match[0]) else spell_char(match[0]), text)


def escape_line(text: str) -> str:
    """Return the text as one line that is safe to print: line ends are escapes too."""
    return escape_controls(text).replace("\n", "\\n")


def escape_json(text: str) -> str:
    """Return JSON text with the characters of ``escape_controls`` as JSON escapes, so that it reads as it did."""
    return NOT_PLAIN.sub(lambda match: match[0] if is_safe(match[0]) else json.dumps(match[0])[1:-1], text)


class GuardedStream:
    """A text stream that escapes what is written to it, for what libraries print: warnings, logs, tracebacks.

    On a terminal the bars of tqdm work: a carriage return acts where it begins what is written and the line, if any,
    began with one, so that it can take back nothing but a bar.
    """

    def __init__(self, stream: Any):
        self.stream = stream
        self._at_start, self._in_bar, self._below = True, False, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text, escaped; return its length."""
        self.stream.write(self._spell(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, escaped."""
        for line in lines:
            self.write(line)

    def _spell(self, text: str) -> str:
        if not text:
            return text
        if self._in_bar and not text.strip("\n"):
            self._below += len(text)
            return text
        if self._in_bar and text == MOVE_UP * (len(text) // len(MOVE_UP)) and len(text) <= self._below * len(MOVE_UP):
            self._below -= len(text) // len(MOVE_UP)
            return text
        if text.startswith("\r") and (self._at_start or self._in_bar) and self.stream.isatty():
            rest = escape_controls(text[1:])
            self._in_bar = "\n" not in rest
            self._at_start = rest.endswith("\n")
            return "\r" + rest
        self._at_start, self._in_bar, self._below = text.endswith("\n"), False, 0
        return escape_controls(text)


@contextmanager
def guard_streams() -> Iterator[None]:
    """Put the door before standard output and standard error within the block.

    It stays after an exception that is a bug, whose traceback the interpreter prints later.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(GuardedStream, before)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        sys.stdout, sys.stderr = before
        raise
    sys.stdout, sys.stderr = before


def open_behind(stream: Any) -> Any:
    """Return the stream behind the door, for text that the console made itself and its movements of the cursor."""
    while isinstance(stream, GuardedStream):
        stream = stream.stream
    return stream


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
    """Print text on standard output, escaped by ``escape_controls``.

    Raises StorageError where it cannot be written, BrokenPipeError without reader.
    """
    try:
        print(escape_controls(_rename_folders(text)), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stream(sys.stdout)
        raise StorageError(f"standard output could not be written: {error.strerror or error}") from error


def print_message(text: str) -> None:
    """Print text on standard error, escaped by ``escape_controls``; what cannot be written is lost.

    Raises BrokenPipeError where the reader has gone.
    """
    try:
        print(escape_controls(_rename_folders(text)), file=sys.stderr, flush=True)
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
