"""Claims: which process works on what in a folder, so that no other one writes there at the same time.

    FOLDER/.claims/VERB-RANDOM.json      one claim: who, since when, what is written and what is only read
    FOLDER/.claims/lock                  held for the moment in which claims are compared, or a file is changed

A resource is a name, and the names below it with slashes: ``scores`` and ``scores/3-of-64``. What one process writes no
other may read or write. A claim is alive while its process is: on another host while it touches its file, every
``BEAT_SECONDS``. One that is dead is taken over. The times are those of the file system, not of a host's clock.

Claims last until the call in which they were made returns (``scope``). Those of calls within one another are one
holder's; those of two threads are two holders'.
"""

import errno
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from curate.errors import BusyError, CurateError, TableError
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.disk.mirrors import Mirror, find_mirror
from curate.runtime.disk.store_claims import list_stored_claims, lock_store, read_store_clock
from curate.runtime.disk.writers import Writer, name_temporary, read_clock, sweep_leftovers, this_writer
from curate.runtime.text import fold_whitespace

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

FOLDER = ".claims"
LOCK = "lock"
SHARED = ("run.json", ".curate-run.jsonl")
"""What several processes change, each under the lock."""
BEAT_SECONDS = 10.0
STORE_BEAT_SECONDS = 30.0
"""Time between two signs of life in an object store, at least."""
DEAD_SECONDS = 600.0
"""Time without a sign of life after which the claim of another host is dead."""
PART_TOKEN = re.compile(r"(?<=\d)\.[0-9a-f]+$")
"""What tells two processes apart that work on the same part of a table: ``scores/3-of-64.1a2b3c4d``."""
LOCK_SECONDS = 60.0
"""Time after which the lock of another host is dead; it is held for milliseconds."""
NAMED = 3
"""Processes that are gone and are named, where something is taken over from many."""
PATIENCE_SECONDS = 120.0
"""Time to wait for the lock before giving up."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call of a verb reads and writes in a folder, and who it is."""

    verb: str
    """As it is typed: ``rank-sft``."""
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    writer: Writer
    host: str
    """The name of the host, for people."""
    began: str
    """When, by the host's clock, for people: ``2026-11-29 12:03:11``."""
    token: str
    """Unique."""

    def find_conflict(self, other: "Claim") -> tuple[str, str] | None:
        """Return what ``other`` does, ``writing`` or ``reading``, and the resource, that excludes this claim."""
        for mine, theirs, word in (
            ((*self.writes, *self.reads), other.writes, "writing"),
            (self.writes, other.reads, "reading"),
        ):
            for resource in theirs:
                if any(overlaps(resource, name) for name in mine):
                    return word, resource
        return None

    def describe_holder(self) -> str:
        """Return who holds the claim: ``pid 123 on HOST since 12:03:11``."""
        day, _, clock = self.began.partition(" ")
        since = clock if day == time.strftime("%Y-%m-%d") else self.began
        return f"pid {self.writer.pid} on {self.host} since {since}"


@dataclass(slots=True, eq=False)
class HeldClaim:
    """A claim of this process, until it is released."""

    claim: Claim
    path: Path
    holder: "ClaimScope | None"
    made_folders: tuple[Path, ...]
    """The folder and those above it that did not exist before, the innermost first."""
    mirror: Mirror | None = None
    """That of the folder, where the claim is in an object store too."""
    pid: int = field(default_factory=os.getpid)
    is_lost: bool = False
    beaten: float = field(default_factory=time.monotonic)
    """When the store was given a sign of life."""

    def beat(self) -> None:
        """Give a sign of life; a file that has vanished was taken over while this process slept."""
        try:
            os.utime(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self.is_lost = True
        except OSError:  # a server that does not answer now may answer the next time
            pass
        if self.mirror is not None and time.monotonic() - self.beaten > STORE_BEAT_SECONDS:
            with suppress(CurateError):
                if self._is_in_store():
                    self.put(self.mirror)

    def put(self, mirror: Mirror) -> None:
        """Write the claim to the store of a mirror, again as a sign of life. Raises StorageError."""
        mirror.store.write(name_stored(self.claim), spell_claim(self.claim))
        self.mirror, self.beaten = mirror, time.monotonic()

    def _is_in_store(self) -> bool:
        """Return whether the claim is still in the store. Raises StorageError."""
        if self.mirror is not None and self.mirror.store.look(name_stored(self.claim)) is None:
            self.is_lost = True
        return not self.is_lost

    def check_held(self) -> None:
        """Raise TableError where another process took the claim over, since this one gave no sign of life."""
        if self.pid != os.getpid():
            return
        if self.is_lost or not self.path.exists() or not self._is_in_store():
            self.is_lost = True
            what = f"the claim of curate {self.claim.verb} on {self.path.parent.parent}"
            message = f"{what} was taken over: it gave no sign of life for {DEAD_SECONDS / 60:.0f} minutes"
            raise TableError(message, "run the same command again: it goes on from what is there")

    def release(self) -> None:
        """Remove the claim; a process that was forked leaves that of its parent."""
        if self.pid != os.getpid():
            return
        with _registry:
            if self in _held:
                _held.remove(self)
        if self.mirror is not None:
            with suppress(CurateError):  # it counts as dead after a while
                self.mirror.store.remove([name_stored(self.claim)])
        with suppress(OSError):
            os.unlink(self.path)
        with suppress(OSError):  # There are other claims.
            self.path.parent.rmdir()
        for folder in self.made_folders:
            with suppress(OSError):  # Something was written.
                folder.rmdir()


@dataclass(slots=True, eq=False)
class ClaimScope:
    """One call and the claims that end with it."""

    outer: "ClaimScope | None"
    claims: list[HeldClaim] = field(default_factory=list)

    def is_within(self, other: "ClaimScope | None") -> bool:
        """Return whether this call is the other one, or was made by it."""
        scope: ClaimScope | None = self
        while scope is not None:
            if scope is other:
                return True
            scope = scope.outer
        return False


_scope: ContextVar[ClaimScope | None] = ContextVar("claims", default=None)
_held: list[HeldClaim] = []
_registry = threading.RLock()
_beating: list[threading.Thread] = []
_locks: dict[str, threading.RLock] = {}


def _forget_after_fork() -> None:
    """A child has none of the claims and no thread of its parent."""
    global _registry
    _registry = threading.RLock()
    _held.clear()
    _beating.clear()
    _locks.clear()
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def name_verb() -> str:
    """Return the verb of the innermost claim that this call or one around it has made, else ``run``."""
    scope: ClaimScope | None = _scope.get()
    while scope is not None:
        if scope.claims:
            return scope.claims[-1].claim.verb
        scope = scope.outer
    return "run"


def overlaps(one: str, other: str) -> bool:
    """Return whether two resources are the same, or one is below the other: ``scores`` and ``scores/3-of-64``."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


@contextmanager
def scope() -> Iterator[None]:
    """Release at the end of the block the claims that were made in it; ``hold_claim`` needs a block."""
    current = ClaimScope(_scope.get())
    mark = _scope.set(current)
    try:
        yield
    finally:
        _scope.reset(mark)
        for held in reversed(current.claims):
            held.release()


def hold_claim(
    folder: Path, verb: str, writes: Sequence[str], reads: Sequence[str] = (), waits: bool = False
) -> HeldClaim | None:
    """Claim resources in a folder until the call in which this happens returns (``scope``).

    The folder is created. With ``waits`` this waits for a claim that excludes this one, and says for whom. None outside
    of a scope, and where nothing is written and the folder cannot be: then nobody else writes there either.

    Raises BusyError where a process that lives works on the same, StorageError where the folder refuses.
    """
    if _scope.get() is None:
        return None
    claim = make_claim(verb, writes, reads)
    made_folders = tuple(each for each in (folder, *folder.absolute().parents) if not each.exists())
    said = None
    while True:
        try:
            with lock_folder(folder):
                sweep_leftovers(folder / FOLDER)
                excluding = _find_excluding(folder, claim)
                held = _write_claim(folder, claim, made_folders) if excluding is None else None
        except OSError as error:
            if not writes:
                return None
            raise files.make_storage_error(error, folder) from error
        if excluding is None:
            fetch_resources(folder, (*writes, *reads))
            return held
        if not waits:
            raise excluding
        if said != excluding.message:
            said = excluding.message
            console.say("waiting", f"{excluding.message}; this goes on when that is done")
        time.sleep(0.2 if find_mirror(folder) is None else 2.0)


def fetch_resources(folder: Path, names: Iterable[str]) -> None:
    """Make resources here what the store has where the folder is the mirror of one in a store. Raises StorageError."""
    if (mirror := find_mirror(folder)) is not None:
        for name in names:
            mirror.fetch(name)


def list_read(folder: Path) -> list[str]:
    """Return the resources in a folder that claims of this process read."""
    with _registry:
        held = [each for each in _held if each.path.parent.parent == folder]
    return sorted({name for each in held for name in each.claim.reads})


def make_claim(verb: str, writes: Sequence[str], reads: Sequence[str] = ()) -> Claim:
    """Return a claim of this process that begins now."""
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    return Claim(verb, tuple(writes), tuple(reads), this_writer(), socket.gethostname(), began, secrets.token_hex(8))


def _write_claim(folder: Path, claim: Claim, made_folders: tuple[Path, ...]) -> HeldClaim:
    """Write the file of a claim that nothing excludes, under the lock, and keep it alive from now on."""
    path = folder / FOLDER / _name_file(claim)
    temporary = name_temporary(path)
    try:
        temporary.write_bytes(spell_claim(claim))
        os.rename(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    current = _scope.get()
    held = HeldClaim(claim, path, current, made_folders)
    if (mirror := find_mirror(folder)) is not None:
        try:
            held.put(mirror)
        except CurateError:
            os.unlink(path)
            raise
    with _registry:
        _held.append(held)
        if not _beating or not _beating[0].is_alive():
            _beating[:] = [threading.Thread(target=_beat, name="curate-claims", daemon=True)]
            _beating[0].start()
    if current is not None:
        current.claims.append(held)
    return held


def _beat() -> None:
    """Touch the files of all claims of this process for as long as it has any."""
    while True:
        time.sleep(BEAT_SECONDS)
        with _registry:
            claims = list(_held)
            if not claims:
                _beating.clear()
                return
        for held in claims:
            held.beat()


def _find_excluding(folder: Path, claim: Claim) -> BusyError | None:
    """Return the error for the first living claim of another holder that excludes ``claim``; take over dead ones."""
    current, mirror = _scope.get(), find_mirror(folder)
    gone: list[Claim] = []
    with _registry:
        ours = {held.claim.token: held.holder for held in _held}
    for other, silent in _list_silences(folder):
        conflict = claim.find_conflict(other)
        is_own = other.token in ours and current is not None and current.is_within(ours[other.token])
        if is_own or (other.token in ours and conflict is None):
            continue
        path = folder / FOLDER / _name_file(other)
        was_released = other.writer == this_writer() and other.token not in ours and not path.exists()
        if not (was_released or is_dead(other, silent)):
            if conflict is not None:
                _say_taken_over(gone)
                return explain_conflict(folder, other, *conflict, silent)
        elif conflict is not None or _is_succeeded(other, claim):
            if mirror is not None:
                mirror.store.remove([name_stored(other)])
            path.unlink(missing_ok=True)
            gone += [other] if conflict is not None and other.writes and not was_released else []
    _say_taken_over(gone)
    return None


def _is_succeeded(gone: Claim, claim: Claim) -> bool:
    """Return whether a claim is for what one that is dead was for: the same part, or tables that both only read."""
    parts = [{PART_TOKEN.sub("", name) for name in each.writes} for each in (gone, claim)]
    return bool(parts[0] & parts[1]) or any(overlaps(one, name) for one in gone.reads for name in claim.reads)


def _list_silences(folder: Path, looks_only: bool = False) -> list[tuple[Claim, float]]:
    """Return the claims in a folder, in its store too, the earliest first, with the seconds since their last sign.

    The times are those of the file system and of the store, which are asked by writing there; with ``looks_only`` the
    host's clock will do where that may not be.
    """

    def read_time(ask: Callable[[], float]) -> float:
        try:
            return ask()
        except (OSError, CurateError):
            if not looks_only:
                raise
            return time.time()

    here = list_claims(folder)
    clock = read_time(lambda: read_clock(folder / FOLDER)) if here else 0.0
    found = {claim.token: (claim, _measure_silence(path, clock)) for path, claim in here}
    if (mirror := find_mirror(folder)) is not None:
        stored = [
            (each, claim) for each in list_stored_claims(mirror) if (claim := _parse_claim(each.text)) is not None
        ]
        others = [(each, claim) for each, claim in stored if claim.token not in found]
        clock = read_time(partial(read_store_clock, mirror)) if others else 0.0
        found |= {claim.token: (claim, max(0.0, clock - each.touched)) for each, claim in others}
    return sorted(found.values(), key=lambda each: (each[0].began, each[0].token))


def _say_taken_over(gone: Sequence[Claim]) -> None:
    """Say whose claims were removed: their processes are gone."""
    for other in gone[:NAMED]:
        holder = f"pid {other.writer.pid} on {other.host}"
        console.say("taken over", f"from curate {other.verb}, {holder}, which began {other.began} and is gone")
    if gone[NAMED:]:
        console.say("taken over", f"from {len(gone) - NAMED} more processes that are gone")


def list_claims(folder: Path) -> list[tuple[Path, Claim]]:
    """Return the claims in a folder with their files, the earliest first; of files that are no claims nothing."""
    found = []
    try:
        names = os.listdir(folder / FOLDER)
    except OSError:
        return []
    for name in names:
        path = folder / FOLDER / name
        claim = _read_claim(path) if name.endswith(".json") and not name.startswith(".") else None
        if claim is not None:
            found.append((path, claim))
    return sorted(found, key=lambda each: (each[1].began, each[1].token))


def _name_file(claim: Claim) -> str:
    return f"{claim.verb}-{claim.token}.json"


def name_stored(claim: Claim) -> str:
    """Return the name of the object of a claim in a store."""
    return f"{FOLDER}/{_name_file(claim)}"


def spell_claim(claim: Claim) -> bytes:
    """Return what is written of a claim."""
    return (json.dumps(asdict(claim)) + "\n").encode()


def _read_claim(path: Path) -> Claim | None:
    try:
        return _parse_claim(path.read_bytes())
    except OSError:
        return None


def _parse_claim(text: bytes) -> Claim | None:
    try:
        value: dict[str, Any] = json.loads(text)
        writes, reads = (tuple(map(str, value[name])) for name in ("writes", "reads"))
        writer = Writer(str(value["writer"]["host"]), int(value["writer"]["pid"]), str(value["writer"]["start"]))
        verb, host, began, token = (fold_whitespace(str(value[name])) for name in ("verb", "host", "began", "token"))
    except (ValueError, KeyError, TypeError):
        return None
    return Claim(verb, writes, reads, writer, host, began, token)


def is_dead(claim: Claim, silent: float) -> bool:
    """Return whether the process of a claim is gone; ``silent`` are the seconds since its last sign of life."""
    if claim.writer.is_of_this_host():
        return claim.writer.is_gone()
    return silent > DEAD_SECONDS


def _measure_silence(path: Path, clock: float) -> float:
    """Return the seconds since a file was touched, by the clock of its file system; 0 where that is unknown."""
    try:
        return max(0.0, clock - path.stat().st_mtime)
    except OSError:
        return 0.0


@dataclass(frozen=True, slots=True)
class ClaimState:
    """The claim of another holder as a look at it finds it."""

    claim: Claim
    silent: float
    """Seconds since its last sign of life."""
    is_alive: bool


def list_writing(folder: Path) -> list[tuple[Claim, float]]:
    """Return the claims of other holders that live and write in a folder, with the seconds since their last sign.

    Nothing is changed, so that this works in a folder that may not be written.
    """
    return [(each.claim, each.silent) for each in list_writers(folder) if each.is_alive]


def list_writers(folder: Path) -> list[ClaimState]:
    """Return the claims of other holders that write in a folder, those of the dead too. Nothing is changed."""
    current = _scope.get()
    claims = [each for each in _list_silences(folder, looks_only=True) if each[0].writes]
    with _registry:
        ours = {held.claim.token: held.holder for held in _held}
    states = []
    for claim, silent in claims:
        is_own = claim.token in ours and current is not None and current.is_within(ours[claim.token])
        if not is_own:
            states.append(ClaimState(claim, silent, not is_dead(claim, silent)))
    return states


def explain_conflict(folder: Path, other: Claim, word: str, resource: str, silent: float) -> BusyError:
    """Return the error for a resource that another process is reading or writing."""
    verb = f"curate {other.verb}"
    what = folder if resource == "." else folder / resource
    sign = f"last sign of life {silent:.0f} s ago"
    if not other.writer.is_of_this_host():
        sign += f"; it counts as gone after {DEAD_SECONDS / 60:.0f} minutes without one"
    message = f"{verb} is {word} {what}: {other.describe_holder()} ({sign})"
    return BusyError(message, "wait until it has ended, then run the same command again; or work in another directory")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created, for the block: no other thread, process or host is in one.

    Meant for milliseconds. A thread that holds it may take it again. Raises OSError where the folder refuses,
    BusyError where it was not to be had.
    """
    with _registry:
        inner = _locks.setdefault(os.path.realpath(folder), threading.RLock())
    with inner:
        if os.path.realpath(folder) in _locked:
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        with _lock_on_this_host(folder):
            path = _acquire(folder / FOLDER)
            _locked.add(os.path.realpath(folder))
            try:
                with _lock_in_store(folder):
                    yield
            finally:
                _locked.discard(os.path.realpath(folder))
                with suppress(OSError):
                    os.unlink(path)
                with suppress(OSError):  # There are claims.
                    path.parent.rmdir()


@contextmanager
def _lock_in_store(folder: Path) -> Iterator[None]:
    """Exclude other hosts where the folder is the mirror of one in a store, and fetch what changes under the lock."""
    mirror = find_mirror(folder)
    if mirror is None:
        yield
        return
    with lock_store(mirror):
        mirror.refresh(*SHARED)
        yield


_locked: set[str] = set()
"""The folders whose lock a thread of this process holds: the one that has the folder's lock within the process."""
UNLOCKABLE = (errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without locks say."""


@contextmanager
def _lock_on_this_host(folder: Path) -> Iterator[None]:
    """Exclude other processes of this host by the operating system's lock, which no process leaves when it dies.

    Where the file system has none, the file of the lock alone excludes them.
    """
    if fcntl is None:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        until, pause = time.monotonic() + PATIENCE_SECONDS, 0.001
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait_for_lock(folder, until, pause)
                pause = min(2 * pause, 0.02)
            except OSError as error:
                if error.errno not in UNLOCKABLE:
                    raise
                break
        yield
    finally:
        os.close(number)


def _wait_for_lock(folder: Path, until: float, pause: float) -> None:
    """Sleep for a moment. Raises BusyError once it is later than ``until``."""
    if time.monotonic() > until:
        raise BusyError(f"{folder} is locked by another process of curate", "run the same command again")
    time.sleep(pause)


def _acquire(claims: Path) -> Path:
    """Create the file of the lock and return its path, after waiting for whoever has it, or breaking a dead one."""
    path = claims / LOCK
    until, pause = time.monotonic() + PATIENCE_SECONDS, 0.001
    text = json.dumps(asdict(make_claim(LOCK, (LOCK,)))) + "\n"
    while True:
        claims.mkdir(parents=True, exist_ok=True)
        try:
            _create_exclusively(path, text)
            return path
        except FileNotFoundError:  # the folder was removed meanwhile by the last that had a claim
            continue
        except FileExistsError:
            _break_dead_lock(path)
        _wait_for_lock(claims.parent, until, pause)
        pause = min(2 * pause, 0.05)


def _create_exclusively(path: Path, text: str) -> None:
    """Create a file with a text at once. Raises FileExistsError where there is one.

    A link to a file that is complete: nobody ever sees the lock without its holder. Where the file system has no links
    the file is created and then written.
    """
    temporary = name_temporary(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        try:
            os.link(temporary, path)
            return
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:
            pass
        with open(path, "x", encoding="utf-8") as handle:
            handle.write(text)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _break_dead_lock(path: Path) -> None:
    """Remove a lock whose holder is gone. It is renamed first, so that of several that find it dead one removes it.

    What the new name turns out to hold is looked at again: a lock that was taken in between is put back.
    """
    before = _read_claim(path)
    if not _is_lock_dead(path, before):
        return
    aside = name_temporary(path)
    with suppress(OSError):
        os.rename(path, aside)
        if _read_claim(aside) != before:
            with suppress(OSError):
                os.link(aside, path)
        os.unlink(aside)


def _is_lock_dead(path: Path, holder: Claim | None) -> bool:
    if holder is not None and holder.writer.is_of_this_host():
        return holder.writer.is_gone()
    try:
        return _measure_silence(path, read_clock(path.parent)) > LOCK_SECONDS
    except OSError:
        return False
