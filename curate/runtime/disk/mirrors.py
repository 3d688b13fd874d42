"""Folders in object stores, worked on in a folder of this machine: the mirror.

    s3://bucket/runs/one/scores/00000-000000.parquet        what counts; every writer puts whole objects there
             ▲ one PUT, then the renaming    │ what a verb uses, where it is not here yet
             │                               ▼
    <cache>/curate/mirrors/HASH/one/scores/00000-000000.parquet

Everything that reads works on files, at the speed of the disk; what was here before is not fetched again. A file is put
into the store before it gets its name in the mirror, and goes from the store before it goes from there, so that the
store never lacks what is in the mirror for longer than a kill takes: what a kill leaves is removed by the next pull.

``files.replace_atomically`` puts, ``remove_file``, ``move_file`` and ``remove_tree`` follow; claims are in
``store_claims``. What is below one of the names ``kept_here`` stays on this machine.
"""

import hashlib
import json
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from curate.errors import StorageError, UsageError
from curate.runtime import console, streams
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.object_store import ObjectStore, StoredObject, check_slashes, is_plain_name, is_store_url
from curate.runtime.disk.writers import name_temporary, read_clock

CLAIMS = ".claims"
"""The folder of claims, which is no part of what is mirrored."""
THREADS = 8
"""Objects that are fetched at once."""
FILE_SUFFIXES = (".parquet", ".html", ".yaml", ".json", ".jsonl")
"""Of resources that are one file; any other is a folder."""
OTHER_FOLDER = "CURATE_MIRRORS=FOLDER names another folder for what is worked on of runs in object stores"
MOST_LINES = 100_000
"""Lines of the file of states from which on those that later ones replace are left out."""
PROTECTED = (".curate-run.jsonl",)
"""Names with a dot that are mirrored; others of this kind are temporary."""

FileState = tuple[str, int, int]
"""The tag of the object that a file of the mirror is, and its size and time of writing then."""


@dataclass(slots=True, eq=False)
class Mirror:
    """A folder in an object store, and the folder on this machine in which it is worked on."""

    url: str
    root: Path
    store: ObjectStore
    kept_here: tuple[str, ...]
    """Names of what is not put into the store, such as ``dedup/work``."""
    states: dict[str, FileState] = field(default_factory=dict)
    """What the files here are, by their names below the root."""
    read_bytes: int = 0
    """How much was read of the file of states."""
    exchanged: tuple[str, ...] = ()
    """Folders in which processes on several machines work on what the others have written there."""
    needed: tuple[str, ...] = ()
    """What such a process reads besides."""
    is_checked: bool = False
    """Whether the store was found to have conditional writes."""

    def find_name(self, path: Path) -> str:
        """Return the name below the root of a path in the mirror."""
        return path.absolute().relative_to(self.root).as_posix()

    def is_mirrored(self, name: str) -> bool:
        """Return whether a name is one of what is in the store too."""
        parts = name.split("/")
        if any(part.startswith(".") and part not in PROTECTED for part in parts):
            return False
        return not any(name == one or name.startswith(f"{one}/") for one in self.kept_here)

    def put(self, path: Path, target: Path) -> None:
        """Put a file that is going to be renamed to ``target`` into the store under that name. Raises StorageError."""
        name = self.find_name(target)
        if self.is_mirrored(name):
            tag = self.store.upload(path, name)
            os.utime(path)  # later than the store has it: no pull that began before takes it for one that went
            self._note(name, tag, path)

    def push(self) -> None:
        """Put the files of exchanged folders that are here alone into the store. Raises StorageError."""
        for path in (path for folder in self.exchanged for path in self._list_here(folder, deep=True)):
            name = self.find_name(path)
            if self.is_mirrored(name) and not self._is_known(name):
                self._note(name, self.store.upload(path, name), path)

    def _is_known(self, name: str) -> bool:
        """Return whether a file is what was put or fetched under its name."""
        state = self.states.get(name)
        try:
            found = os.stat(self.root / name)
        except OSError:
            return False
        return state is not None and (found.st_size, found.st_mtime_ns) == state[1:]

    def remove(self, path: Path) -> None:
        """Remove a file from the store. Raises StorageError."""
        if self.is_mirrored(name := self.find_name(path)):
            self.store.remove([name])

    def remove_tree(self, folder: Path) -> None:
        """Remove a folder with all that is in it from the store. Raises StorageError."""
        self.store.remove(self.store.list(self.find_name(folder)))

    def pull(self, below: str = "", wants: Callable[[str], bool] = lambda _: True, deep: bool = True) -> None:
        """Make the files in one folder here what the store has, and with ``deep`` those in the folders in it.

        ``wants`` chooses by name below the root. Raises StorageError.
        """
        began = self._read_clock()
        listed = self.store.list(below, deep)
        here = {self.find_name(path) for path in self._list_here(below, deep)}
        names = [name for name in {*listed, *here} if self._is_of_us(name) and wants(name)]
        self._match(began, names, {name: listed[name] for name in names if name in listed})

    def refresh(self, *names: str) -> None:
        """Make some files here what the store has, which may be nothing. Raises StorageError."""
        began = self._read_clock()
        found = {name: self.store.look(name) for name in names}
        self._match(began, names, {name: each for name, each in found.items() if each is not None})

    def fetch(self, resource: str) -> None:
        """Make what a claim names, a file or a folder, here what the store has. Raises StorageError."""
        if resource == ".":
            self.pull()
        elif posixpath.splitext(resource)[1] in FILE_SUFFIXES:
            self.refresh(resource)
        else:
            self.pull(resource)

    def _match(self, began: float, names: Sequence[str], stored: Mapping[str, StoredObject]) -> None:
        """Remove the files with these names that the store, asked at ``began`` or later, has not; fetch the others."""
        self._read_states()
        for name in names:
            if name not in stored:
                with suppress(OSError):
                    if os.stat(self.root / name).st_mtime < began:
                        os.unlink(self.root / name)
        missing = {name: each for name, each in stored.items() if not self._has(name, each)}
        if sum(each.size for each in missing.values()) > 1 << 24:
            size = console.format_size(sum(each.size for each in missing.values()))
            console.say("fetching", f"{len(missing):,} files, {size}, of {self.url}")
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._fetch, missing, missing.values()))

    def _read_clock(self) -> float:
        """Return the time by the clock of the file system of the mirror, which several hosts may share."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return read_clock(self.root)
        except OSError as error:
            raise StorageError(f"{self.root} could not be written: {error.strerror or error}", OTHER_FOLDER) from error

    def _is_of_us(self, name: str) -> bool:
        """Return whether a name in the store is one of a file; those of claims are not, nor can others be written."""
        return self.is_mirrored(name) and is_plain_name(name)

    def _list_here(self, below: str, deep: bool) -> list[Path]:
        """Return the files of the mirror in one folder, with ``deep`` those in the folders in it too."""
        found = []
        for folder, folders, names in os.walk(self.root / below):
            found += [Path(folder) / name for name in names]
            if not deep:
                folders.clear()
        return found

    def _has(self, name: str, stored: StoredObject) -> bool:
        """Return whether the file of a name is the object that the store has."""
        return self._is_known(name) and bool(stored.tag) and self.states[name][0] == stored.tag

    def _fetch(self, name: str, stored: StoredObject) -> None:
        """Fetch one object; one that has gone meanwhile is passed over."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = name_temporary(path)
        try:
            self.store.download(name, temporary)
            self._note(name, stored.tag, temporary)
            os.replace(temporary, path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{path} could not be fetched: {error.strerror or error}", OTHER_FOLDER) from error
        finally:
            with suppress(OSError):
                os.unlink(temporary)

    @property
    def _states_path(self) -> Path:
        return self.root.parent / "states.jsonl"

    def _note(self, name: str, tag: str, path: Path) -> None:
        """Note what a file that is about to get its name is; other processes of this machine see it too."""
        found = os.stat(path)
        self.states[name] = (tag, found.st_size, found.st_mtime_ns)
        line = json.dumps([name, *self.states[name]]) + "\n"
        handle = os.open(self._states_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def _read_states(self) -> None:
        """Read what processes noted since the last time; a line that is cut short makes a file be fetched again."""
        with suppress(OSError), open(self._states_path, "rb") as file:
            if os.fstat(file.fileno()).st_size < self.read_bytes:  # it was written anew
                self.read_bytes = 0
            file.seek(self.read_bytes)
            lines = file.readlines()
            self.read_bytes = file.tell()
            for line in lines:
                with suppress(ValueError, TypeError):
                    name, tag, size, changed = json.loads(line)
                    self.states[name] = (tag, size, changed)
            if len(lines) > MOST_LINES and len(lines) > 2 * len(self.states):
                self._write_states()

    def _write_states(self) -> None:
        """Write the states anew, one line a file; what others note meanwhile is lost, and fetched again."""
        temporary = name_temporary(self._states_path)
        temporary.write_text("".join(json.dumps([name, *state]) + "\n" for name, state in self.states.items()))
        os.replace(temporary, self._states_path)
        self.read_bytes = 0


_mirrors: dict[str, Mirror] = {}
"""The mirrors of this process by their roots."""


def find_cache() -> Path:
    """Return the folder of mirrors: ``$CURATE_MIRRORS``, else one in the user's cache folder."""
    if named := os.environ.get("CURATE_MIRRORS"):
        return Path(named).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "curate" / "mirrors"


def open_mirror(url: str, kept_here: Sequence[str] = (), root: Path | None = None) -> Mirror:
    """Return the mirror of a folder in a store, which is known from now on; nothing is fetched yet.

    ``root`` is its folder where another process has chosen that. Raises UsageError for a URL that has no driver, or no
    folder; StorageError where the mirror cannot be made.
    """
    protocol, _, path = url.rstrip("/").partition("://")
    parts = path.split("/")
    if protocol.lower() in ("http", "https"):
        raise UsageError(f"{url}: {protocol}:// can only be read", "name a folder, or a URL such as s3://bucket/run")
    if len(parts) < 2 or not parts[0] or {".", ".."} & set(parts):
        example = f"{protocol.rstrip(':/')}://{parts[0] or 'bucket'}/curated"
        raise UsageError(f"{url} names no folder in a bucket", f"name one: {example}")
    store = ObjectStore(url)
    name = store.url.rpartition("/")[2]
    digest = hashlib.sha256(store.url.encode()).hexdigest()[:16]
    root = find_cache() / digest / name if root is None else root
    if (known := _mirrors.get(str(root))) is not None:
        known.kept_here = known.kept_here or tuple(kept_here)  # a look at one of its files may have opened it first
        return known
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{root} could not be made: {error.strerror or error}", OTHER_FOLDER) from error
    mirror = _mirrors[str(root)] = Mirror(store.url, root, store, tuple(kept_here))
    streams.show_as(str(root), store.url)
    return mirror


def find_mirror(path: str | os.PathLike[str]) -> Mirror | None:
    """Return the mirror in which a path lies, or whose root it is; None for a path of this machine alone."""
    if not _mirrors:
        return None
    whole = os.path.abspath(path)
    return next((each for root, each in _mirrors.items() if whole == root or whole.startswith(root + os.sep)), None)


@dataclass(frozen=True, slots=True)
class MirrorCopy:
    """What another process needs to work in the same mirror, on this machine or on one that has nothing of it."""

    url: str
    root: Path
    kept_here: tuple[str, ...]
    exchanged: tuple[str, ...]
    tables: tuple[str, ...]
    """What it reads from the beginning."""

    def open(self) -> None:
        """Open the mirror in this process, and fetch the tables. Raises StorageError."""
        mirror = open_mirror(self.url, self.kept_here, self.root)
        mirror.kept_here, mirror.exchanged = self.kept_here, self.exchanged
        for table in self.tables:
            mirror.fetch(table)


def list_copies(list_read: Callable[[Path], Sequence[str]]) -> list[MirrorCopy]:
    """Return the mirrors of this process for another one; ``list_read`` returns what is read of a folder."""
    return [
        MirrorCopy(each.url, each.root, each.kept_here, each.exchanged, each.needed or tuple(list_read(each.root)))
        for each in _mirrors.values()
    ]


@contextmanager
def exchange(path: Path, folder: str, needed: Sequence[str]) -> Iterator[None]:
    """Let a folder that is kept here go to other machines within the block, which need some others as well.

    Does nothing where ``path`` is in no mirror.
    """
    mirror = find_mirror(path)
    if mirror is None:
        yield
        return
    before = mirror.kept_here
    mirror.kept_here = tuple(name for name in before if name != folder)
    mirror.exchanged, mirror.needed = (folder,), tuple(needed)
    try:
        yield
    finally:
        mirror.kept_here, mirror.exchanged, mirror.needed = before, (), ()


def push_exchanged() -> None:
    """Put what this machine alone has in exchanged folders into their stores. Raises StorageError."""
    for mirror in _mirrors.values():
        mirror.push()


def pull_exchanged() -> None:
    """Fetch what other machines have put into exchanged folders. Raises StorageError."""
    for mirror in _mirrors.values():
        for folder in mirror.exchanged:
            mirror.pull(folder)


def spell_place(path: str | os.PathLike[str]) -> str:
    """Return a path as the user named it: of one in a mirror the URL."""
    mirror = find_mirror(path)
    if mirror is None:
        return os.fspath(path)
    below = mirror.find_name(Path(path))
    return mirror.url if below == "." else f"{mirror.url}/{below}"


def locate_file(path: str | os.PathLike[str]) -> Path:
    """Return a file that is only read; one at a URL is fetched. It need not be there."""
    if not is_store_url(path):
        return expand_home(path)
    folder, _, name = os.fspath(path).rpartition("/")
    mirror = open_mirror(folder)
    mirror.refresh(name)
    return mirror.root / name


def locate_folder(path: str | os.PathLike[str], kept_here: Sequence[str] = ()) -> Path:
    """Return the folder of this machine in which one that the user named is worked on."""
    check_slashes(path)
    if is_store_url(path):
        return open_mirror(os.fspath(path), kept_here).root
    return expand_home(path)
