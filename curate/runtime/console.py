"""Messages to the user on stderr: labelled lines, warnings and one progress bar.

Silent by default, so that a library call prints nothing; the command line turns it on with ``enable()``. On a
terminal the bar moves; elsewhere a plain line appears every 30 seconds, so that a log file stays readable.

Names, texts and messages of others may be given as they are: what a terminal would act on is printed as an escape, and
a line end within a line or a warning too.
"""

import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from curate.runtime.streams import escape_line, guard_streams, open_behind, print_message

_enabled = False
LABEL_WIDTH = 11
WIDTH = 100
LOG_SECONDS = 30.0


def enable(on: bool = True) -> None:
    """Turn messages on, or off again."""
    global _enabled
    _enabled = on


def is_enabled() -> bool:
    """Return whether messages are printed."""
    return _enabled


def say(label: str, text: str) -> None:
    """Print a labelled line: ``reading     corpus/   3 files …``; what does not fit goes below, indented."""
    if _enabled:
        wide = textwrap.TextWrapper(WIDTH, f"{label:<{LABEL_WIDTH}} ", " " * (LABEL_WIDTH + 1), break_long_words=False)
        wide.break_on_hyphens = wide.replace_whitespace = wide.drop_whitespace = False
        lines = wide.wrap(escape_line(text)) or [f"{label:<{LABEL_WIDTH}}"]
        print_message("\n".join(line.rstrip() for line in lines))


def show(text: str) -> None:
    """Print a block of text with its lines."""
    if _enabled:
        print_message(text)


@contextmanager
def silence() -> Iterator[None]:
    """Turn messages off within the block."""
    before = _enabled
    enable(False)
    try:
        yield
    finally:
        enable(before)


def warn(text: str) -> None:
    """Print a warning: something the user should see and that does not stop the run."""
    if _enabled:
        print_message(escape_line(f"warning: {text}"))


def format_count(number: float) -> str:
    """Return a count as people read it: 412,118 below a million, then 1.9 M, 2.4 B."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if number >= size:
            value = number / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{number:,.0f}"


def format_size(octets: float) -> str:
    """Return a size in bytes as people read it, in powers of ten: 4.2 kB, 1.93 GB."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= factor:
            return f"{octets / factor:.3g} {unit}"
    return f"{octets:.0f} bytes"


def format_clock(seconds: float) -> str:
    """Return seconds as h:mm:ss, rounded down."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@dataclass(slots=True)
class Progress:
    """Running totals of one long piece of work; ``advance`` adds to them and updates the bar or the log."""

    description: str
    total_bytes: int | None
    resumed_bytes: int = 0
    documents: int = 0
    tokens: int = 0
    done_bytes: int = 0
    started: float = field(default_factory=time.monotonic)
    _spoken: float = field(default_factory=time.monotonic)
    _update: object = None

    def advance(self, documents: int = 0, tokens: int = 0, done_bytes: int = 0) -> None:
        """Add finished work: complete documents, their tokens, bytes of the source files as stored."""
        self.documents += documents
        self.tokens += tokens
        self.done_bytes += done_bytes
        if callable(self._update):
            self._update(self)
        elif _enabled and time.monotonic() - self._spoken >= LOG_SECONDS:
            self._spoken = time.monotonic()
            say(self.description, f"{self.share()}{self.line()}")

    @property
    def seconds(self) -> float:
        """Seconds since the start of this run, always above 0."""
        return max(time.monotonic() - self.started, 1e-9)

    def share(self) -> str:
        """Return the finished share of the bytes, earlier runs included; an empty string for an unknown size."""
        if not self.total_bytes:
            return ""
        return f"{min(1.0, (self.resumed_bytes + self.done_bytes) / self.total_bytes):.0%}   "

    def line(self) -> str:
        """Return ``12,345 docs   210 docs/s   1.9 M tok/s   0:04:11 left``, or the time taken for an unknown size."""
        text = f"{self.documents:,} docs   {format_count(self.documents / self.seconds)} docs/s"
        if self.tokens:
            text += f"   {format_count(self.tokens / self.seconds)} tok/s"
        left = self.seconds_left()
        return text + (f"   {format_clock(left)} left" if left is not None else f"   {format_clock(self.seconds)}")

    def seconds_left(self) -> float | None:
        """Return the seconds left at the rate of this run; None for an unknown size or before any byte is finished."""
        if not self.total_bytes or self.done_bytes <= 0:
            return None
        rest = max(self.total_bytes - self.resumed_bytes - self.done_bytes, 0)
        return rest * self.seconds / self.done_bytes


@contextmanager
def progress(description: str, total_bytes: int | None = None, resumed_bytes: int = 0) -> Iterator[Progress]:
    """Show the progress of the block. ``total_bytes`` is None when the size of the work is unknown."""
    state = Progress(description, total_bytes, resumed_bytes)
    if not (_enabled and sys.stderr.isatty()):
        yield state
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[line]}", markup=False),
    )
    screen = Console(file=open_behind(sys.stderr))
    with Bar(*columns, console=screen, transient=True, refresh_per_second=4) as bar, guard_streams():
        label = f"{escape_line(description):<{LABEL_WIDTH}}"
        task = bar.add_task(label, total=total_bytes or None, completed=resumed_bytes, line="starting")
        state._update = lambda now: bar.update(task, completed=now.resumed_bytes + now.done_bytes, line=now.line())
        yield state
