"""Claims and the lock of a run in an object store, which processes of all hosts see.

    URL/.claims/VERB-TOKEN.json      a claim, written again as a sign of life
    URL/.claims/lock-00000007        the lock as it was taken for the seventh time: by whom, or that it was given back

Whoever takes the lock creates the object behind the highest number, which one of several can do (``create``), and looks
again whether its number is the highest: a slow one may have found a number free that others had and removed. The
highest is never removed, only written again when it is given back; so no lock is broken by removing it. Times are those
of the store.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from curate.errors import BusyError, CurateError
from curate.runtime.disk.mirrors import CLAIMS, Mirror
from curate.runtime.disk.writers import Writer, this_writer

LOCK_SECONDS = 120.0
"""Time after which a lock that was not given back is dead; it is held for some requests."""
PATIENCE_SECONDS = 300.0
"""Time to wait for the lock before giving up."""
BRIEF = re.compile(r"(?:probe|clock)-(?P<host>[0-9a-f]{10})-(?P<pid>\d+)-(?P<start>\d*)-")
PAUSES = (0.05, 2.0)
"""Seconds between two looks at a lock, at first and at most."""


@dataclass(frozen=True, slots=True)
class StoreLock:
    """The lock of a folder in a store, as it is held."""

    mirror: Mirror
    name: str

    def give_back(self) -> None:
        """Let others take it."""
        self.mirror.store.write(self.name, b"{}")


@contextmanager
def lock_store(mirror: Mirror) -> Iterator[None]:
    """Hold the lock of a folder in a store for the block. Raises BusyError where it was not to be had, StorageError."""
    if not mirror.is_checked:
        mirror.store.check_conditional(_name_brief("probe"))
        mirror.is_checked = True
    lock = _take_lock(mirror)
    try:
        yield
    finally:
        with suppress(CurateError):  # it counts as dead after a while
            lock.give_back()


def _take_lock(mirror: Mirror) -> StoreLock:
    store, pause, until = mirror.store, PAUSES[0], time.monotonic() + PATIENCE_SECONDS
    writer = this_writer()
    text = json.dumps({"host": writer.host, "pid": writer.pid, "start": writer.start}).encode()
    while True:
        highest = max(_list_locks(mirror), default=0)
        if highest == 0 or _is_free(mirror, highest):
            name = _name_lock(highest + 1)
            if store.create(name, text):
                numbers = _list_locks(mirror)
                if max(numbers, default=0) == highest + 1:
                    store.remove(_name_lock(number) for number in numbers if number <= highest)
                    store.remove(name for name in mirror.store.list(CLAIMS) if _is_left(name))
                    return StoreLock(mirror, name)
                store.remove([name])
            continue
        if time.monotonic() > until:
            raise BusyError(f"{mirror.url} is locked by another process of curate", "run the same command again")
        time.sleep(pause)
        pause = min(2 * pause, PAUSES[1])


def _name_brief(what: str) -> str:
    """Return the name of an object that this process removes at once."""
    writer = this_writer()
    return f"{CLAIMS}/{what}-{writer.host}-{writer.pid}-{writer.start}-{time.monotonic_ns()}"


def _is_left(name: str) -> bool:
    """Return whether a process of this host that is gone has left such an object."""
    match = BRIEF.match(name.removeprefix(f"{CLAIMS}/"))
    return match is not None and Writer(match["host"], int(match["pid"]), match["start"]).is_gone()


def _list_locks(mirror: Mirror) -> list[int]:
    names = [name.rpartition("/")[2] for name in mirror.store.list(CLAIMS)]
    return [int(name.removeprefix("lock-")) for name in names if name.startswith("lock-") and name[5:].isdigit()]


def _name_lock(number: int) -> str:
    return f"{CLAIMS}/lock-{number:08d}"


def _is_free(mirror: Mirror, number: int) -> bool:
    """Return whether the lock of a number was given back, or its holder is gone."""
    try:
        holder = json.loads(mirror.store.read(_name_lock(number)))
        if not holder:
            return True
        writer = Writer(str(holder["host"]), int(holder["pid"]), str(holder["start"]))
        if writer.is_of_this_host():
            return writer.is_gone()
        return read_store_clock(mirror) - mirror.store.read_time(_name_lock(number)) > LOCK_SECONDS
    except FileNotFoundError:  # another has a higher one by now
        return False
    except (ValueError, KeyError, TypeError):  # nobody of curate wrote it
        return True


def read_store_clock(mirror: Mirror) -> float:
    """Return the time now by the clock of the store, by writing there."""
    name = _name_brief("clock")
    try:
        mirror.store.write(name, b"")
        return mirror.store.read_time(name)
    finally:
        with suppress(CurateError):
            mirror.store.remove([name])


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """The text of a claim in a store, and when its process last gave a sign of life, by the clock of the store."""

    name: str
    text: bytes
    touched: float


def list_stored_claims(mirror: Mirror) -> list[StoredClaim]:
    """Return the claims in a store by name; those that go meanwhile are left out."""
    found = []
    for name in sorted(mirror.store.list(CLAIMS)):
        if name.endswith(".json"):
            with suppress(FileNotFoundError):
                found.append(StoredClaim(name, mirror.store.read(name), mirror.store.read_time(name)))
    return found
