"""What a command costs together with the processes that it starts: seconds, processor, memory, disk."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.05  # seconds between two looks at the memory
MEMORY_FIELDS = ("VmHWM", "VmRSS", "RssAnon")  # of /proc/PID/status
BLOCK = 512  # bytes of a block in ``st_blocks``


@dataclass(frozen=True, slots=True)
class TreeCost:
    """What one command took."""

    seconds: float
    cpu_seconds: float  # user and system, of the command and of every process below it that was waited for
    peak_bytes: int  # resident, summed over the processes; pages that they share count for each
    anonymous_bytes: int  # the part of the peak that is no file's: without mapped files and the libraries' code
    load: float  # of the machine, before


@dataclass(slots=True)
class Memory:
    resident: int = 0
    anonymous: int = 0


def measure_command(
    words: Sequence[str], env: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)
) -> TreeCost:
    """Run a command and return what it took.

    The peak is the largest sum seen, twenty times a second, or the high-water mark of a single process where that is
    larger, so that a peak between two looks is not lost.

    Raises:
        SystemExit: It ended with a code that is none of ``allowed``; with the end of what it said.
    """
    load, began = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, env=env)
        with watch_memory(process.pid) as memory:
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in allowed:
            said.seek(0)
            raise SystemExit(f"error: {' '.join(words)} ended with {process.returncode}\n{said.read()[-3000:]}")
    return TreeCost(seconds, usage.ru_utime + usage.ru_stime, memory.resident, memory.anonymous, load)


@contextmanager
def watch_memory(pid: int) -> Iterator[Memory]:
    """Watch the memory of a process and all below it; the peaks are in what is given."""
    memory, done = Memory(), threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            found = [read_memory(each) for each in list_family(pid)]
            memory.resident = max(memory.resident, sum(one[1] for one in found), *(one[0] for one in found), 0)
            memory.anonymous = max(memory.anonymous, sum(one[2] for one in found))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def list_family(pid: int) -> list[int]:
    """Return a process and all below it; none where it has ended, or where there is no /proc."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        below = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in below for each in list_family(child))]


def read_memory(pid: int) -> tuple[int, int, int]:
    """Return the bytes of a process that were resident at most, that are now, and that of these belong to no file.

    The high-water mark of ``getrusage`` would not do: a process inherits it from the one that starts it.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0, 0
    fields = dict(line.split(":", 1) for line in lines if line.endswith(" kB"))
    most, resident, anonymous = (1024 * int(fields.get(name, "0 kB").split()[0]) for name in MEMORY_FIELDS)
    return most, resident, anonymous


def measure_written(folder: Path, since: float) -> int:
    """Return the bytes that the files below a folder take on the disk which were written at ``since`` or later."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(one.st_blocks * BLOCK for one in found if one.st_mtime >= since)
