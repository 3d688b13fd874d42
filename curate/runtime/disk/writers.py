"""Who writes: processes known across hosts, and the names of temporary files, which say whose they are.

    .NAME.HOST-PID-START-RANDOM.tmp        a file or a folder on its way to NAME, hidden, beside it

HOST stands for a running system and a set of process numbers in it, START for when the process began, so that a number
that is given out again is not taken for the process that had it. A leftover is what a writer that is gone has left: of
this host where no such process runs, of another one where nothing was written for an hour by the file system's clock.
"""

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IDLE_SECONDS = 3600.0
"""Time without a write after which a temporary of another host counts as left."""
NAME_BYTES = 255
"""Longest name of a file, in bytes, where the system does not say."""
NAME = re.compile(r"\.(?P<stem>.*)\.(?P<host>[0-9a-f]{10})-(?P<pid>\d+)-(?P<start>\d*)-[0-9a-f]{8}\.tmp", re.DOTALL)
EARLIER = re.compile(r"\.(?P<stem>.*)\.\d+\.(?:tmp|old|part)", re.DOTALL)
"""Names that earlier versions gave, which do not say of which host their writer is."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A process, known on every host that sees its files."""

    host: str
    """Stands for a host since it was started, and for the numbers of processes in it; ten hex digits."""
    pid: int
    start: str
    """When the process began, in ticks since the host was started; "" where the system does not say."""

    def is_of_this_host(self) -> bool:
        """Return whether the process is one of those whose numbers this process can ask for, as on Windows none is."""
        return os.name == "posix" and self.host == identify_host()

    def is_gone(self) -> bool:
        """Return whether the process has ended. Of another host nothing is known: False."""
        if not self.is_of_this_host():
            return False
        try:
            os.kill(self.pid, 0)  # Signal 0 only asks.
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:  # of another user
            pass
        state, start = read_process(self.pid)
        return state in ("Z", "X") or bool(self.start and start and start != self.start)


def this_writer() -> Writer:
    """Return the process that runs now, which is another one after a fork."""
    return _make_writer(os.getpid())


@functools.lru_cache(maxsize=4)
def _make_writer(pid: int) -> Writer:
    return Writer(identify_host(), pid, read_process(pid)[1])


@functools.lru_cache(maxsize=1)
def identify_host() -> str:
    """Return ten hex digits for this host since it was started, and for the set of process numbers within it.

    Two containers of one machine, or two machines of one name, are different hosts.
    """
    known = [socket.gethostname()]
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\0".join(known).encode("utf-8", "replace")).hexdigest()[:10]


def read_process(pid: int) -> tuple[str, str]:
    """Return the state of a process of this host (``Z`` has ended) and when it began; "" for what is unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "", ""
    fields = text.rpartition(b")")[2].split()  # the name of the program, in brackets, may hold anything
    return (fields[0].decode(), fields[19].decode()) if len(fields) > 19 else ("", "")


def name_temporary(path: Path) -> Path:
    """Return a hidden path beside ``path`` that nobody has, for what is on its way there; nothing is created.

    No two processes of any host get the same one. It is never longer than the file system allows.
    """
    writer = this_writer()
    end = f".{writer.host}-{writer.pid}-{writer.start}-{secrets.token_hex(4)}.tmp"
    return path.with_name(f".{_shorten_stem(path)}{end}")


LONGEST_END = len(".0123456789-4194304-18446744073709551615-01234567.tmp") + 1
"""Bytes of a temporary name beside the stem, at most."""


def _shorten_stem(path: Path) -> str:
    """Return the name of a path in so few bytes that a temporary name has room; cut names are told apart by a hash."""
    most = _read_longest_name(path.parent) - LONGEST_END
    octets = os.fsencode(path.name)
    if len(octets) <= most:
        return path.name
    mark = f"~{hashlib.sha256(octets).hexdigest()[:8]}"
    kept = path.name
    while len(os.fsencode(kept)) > most - len(mark):
        kept = kept[:-1]
    return kept + mark


def _read_longest_name(folder: Path) -> int:
    """Return the most bytes that a name may have in a folder, which need not exist yet."""
    if not hasattr(os, "pathconf"):
        return NAME_BYTES
    for above in (folder, *folder.absolute().parents):
        try:
            return os.pathconf(above, "PC_NAME_MAX")
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            break
    return NAME_BYTES


def read_clock(folder: Path) -> float:
    """Return the time now by the clock of the file system of a folder, by writing there. Raises OSError."""
    probe = name_temporary(folder / "clock")
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime
    finally:
        with suppress(OSError):
            os.unlink(probe)


def list_leftovers(folder: Path, output: str | None = None) -> list[Path]:
    """Return the temporary files and folders in a folder whose writers are gone, by name.

    With ``output`` only those of this name. A folder that does not exist has none; nor has one in which the time
    cannot be told where this matters.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    stem = None if output is None else _shorten_stem(folder / output)
    found, clock = [], None
    for name in names:
        match = NAME.fullmatch(name) or EARLIER.fullmatch(name)
        if match is None or (stem is not None and match["stem"] != stem):
            continue
        if match.re is NAME:
            writer = Writer(match["host"], int(match["pid"]), match["start"])
            if writer.is_of_this_host():
                found += [folder / name] if writer.is_gone() else []
                continue
        try:
            clock = read_clock(folder) if clock is None else clock
        except OSError:
            return found
        if clock - _find_last_write(folder / name, clock) > IDLE_SECONDS:
            found.append(folder / name)
    return found


def sweep_leftovers(folder: Path, output: str | None = None) -> None:
    """Remove the temporary files and folders in a folder whose writers are gone, never those of one that may live.

    With ``output`` only those of this name. What cannot be removed stays: the next sweep tries again.
    """
    for path in list_leftovers(folder, output):
        remove_leftover(path)


def remove_leftover(path: Path) -> None:
    """Remove a file or a folder; what cannot be removed stays."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def _find_last_write(path: Path, clock: float) -> float:
    """Return when something was written last to a file, or anywhere in a folder; ``clock`` where that is unknown."""
    try:
        last = path.lstat().st_mtime
        if path.is_dir() and not path.is_symlink():
            for above, folders, files in os.walk(path):
                last = max([last, *(os.lstat(os.path.join(above, name)).st_mtime for name in (*folders, *files))])
    except OSError:
        return clock
    return last
