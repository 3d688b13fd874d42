"""``curate status --watch``: looks at the work on a run again and again, until it ends.

On a terminal the lines are drawn anew in their place; elsewhere, as in a log, each look is a line for each table.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, strftime

from curate.errors import CurateError, Interrupted
from curate.reports.progress.part_facts import PartReader
from curate.reports.progress.tables import RunProgress, TableProgress, read_progress
from curate.runtime import console
from curate.runtime.console import format_clock, format_size
from curate.runtime.disk import claims
from curate.runtime.streams import escape_line, guard_streams, open_behind

TERMINAL_SECONDS, LOG_SECONDS = 2.0, 30.0
LOOK_TIMES = 5
"""How many times longer a pause is than the look before it, where nobody says how long: a look lists folders."""
QUIET_SECONDS = 60.0
"""Time for which nobody has worked after which the work counts as ended, though it is not done."""
RATE_SECONDS = 120.0
"""Time over which a rate is measured."""


@dataclass(slots=True)
class Rate:
    """Bytes a second over the last while."""

    looks: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, num_bytes: int) -> float | None:
        """Add a look, and return the rate since the earliest that counts; None where nothing can be said yet."""
        self.looks.append((now, num_bytes))
        while len(self.looks) > 2 and now - self.looks[1][0] > RATE_SECONDS:
            self.looks.popleft()
        before, then = self.looks[0]
        return (num_bytes - then) / (now - before) if now > before and num_bytes > then else None


@dataclass(slots=True)
class RunWatch:
    """What is remembered between two looks at a run."""

    path: Path
    reader: PartReader = field(default_factory=PartReader)
    rates: dict[str, Rate] = field(default_factory=dict)
    worked: float = field(default_factory=lambda: monotonic())
    """When somebody was last seen to work."""
    has_ended: bool = False

    def look(self) -> RunProgress | CurateError:
        """Return how far the work is, or the error for why that cannot be told now."""
        now = monotonic()
        try:
            claims.fetch_resources(self.path, (".",))
            progress = read_progress(self.path, self.reader, remote=True)
        except CurateError as error:  # run.json, or a folder, which whoever works may be about to write
            self._judge(now, any(each.is_alive for each in claims.list_writers(self.path)), False)
            return error
        is_done = self.has_run and all(table.is_done for table in progress.tables)
        self._judge(now, progress.is_worked_on or bool(claims.list_writing(self.path)), is_done)
        return progress

    @property
    def has_run(self) -> bool:
        """Whether a process has begun the run by now: those of an array may still be queued."""
        return (self.path / "run.json").exists()

    def _judge(self, now: float, is_worked_on: bool, is_done: bool) -> None:
        self.worked = now if is_worked_on else self.worked
        self.has_ended = not is_worked_on and (is_done or now - self.worked >= QUIET_SECONDS)

    def describe_rate(self, table: TableProgress) -> str:
        """Return the rate at which a table grows, and the time that is left; empty where nothing can be said yet."""
        if table.num_bytes is None or table.total_bytes is None or table.is_done or not table.working:
            return ""
        rate = self.rates.setdefault(table.verb, Rate()).add(monotonic(), table.num_bytes)
        if rate is None:
            return ""
        left = format_clock(max(0, table.total_bytes - table.num_bytes) / rate)
        return f"{format_size(rate)}/s, {left} left"


def watch_run(path: Path, every: float | None = None) -> None:
    """Show how far the work on a run is, every so many seconds, until it ends: done, or nobody works for a minute.

    Raises Interrupted by Ctrl-C. What cannot be read for now is said, and looked at again.
    """
    watch = RunWatch(path)
    is_terminal = console.is_enabled() and sys.stderr.isatty()
    pause = TERMINAL_SECONDS if is_terminal else LOG_SECONDS
    try:
        with draw_lines() if is_terminal else print_lines() as show:
            while True:
                began = monotonic()
                show(list_lines(watch, watch.look(), is_terminal))
                if watch.has_ended:
                    return
                sleep(every or max(pause, LOOK_TIMES * (monotonic() - began)))
    except KeyboardInterrupt:
        raise Interrupted("stopped watching; whoever works goes on", None) from None


def list_lines(watch: RunWatch, look: RunProgress | CurateError, in_full: bool) -> list[str]:
    """Return the lines of one look; without ``in_full`` one a table, with the time of day."""
    if isinstance(look, CurateError):
        return [f"cannot be told now: {look.message}"]
    lines: list[str] = []
    for table in look.tables:
        rate = watch.describe_rate(table)
        if in_full:
            first, *others = table.lines()
            lines += [first, *([f"{'':14}{rate}"] if rate else []), *others]
        else:
            stopped = sum(part.state == "stopped" for part in table.parts)
            ends = [rate, f"{table.working} working", f"{stopped} stopped" if stopped else ""]
            words = "; ".join([table.summary(), *(end for end in ends if end)])
            lines.append(f"{strftime('%H:%M:%S')}  {table.verb}  {words}")
    return [*lines, *([f"note: {look.note}"] if look.note else [])] or [
        "nothing is in the making" if watch.has_run else f"there is no run in {watch.path} yet"
    ]


@contextmanager
def print_lines() -> Iterator[Callable[[list[str]], None]]:
    """Give a function that prints the lines of a look below those of the last one."""
    yield lambda lines: console.show("\n".join(map(escape_line, lines)))


@contextmanager
def draw_lines() -> Iterator[Callable[[list[str]], None]]:
    """Give a function that draws the lines of a look in the place of those of the last one."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    screen = Console(file=open_behind(sys.stderr))
    with Live(console=screen, transient=True, auto_refresh=False) as live, guard_streams():
        yield lambda lines: live.update(Text("\n".join(map(escape_line, lines)), overflow="ellipsis"), refresh=True)
