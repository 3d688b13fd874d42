"""An export in an object store, which has no renaming: it is complete once its manifest is there.

    s3://bucket/dataset/…                        the objects; manifest.json comes last, and goes first
    s3://bucket/.dataset.export/.claims/…        who writes there (``runtime.disk.store_claims``)
    s3://bucket/.dataset.export/shards/…         shards that are complete while others are written (``stores.shards``)
    s3://bucket/.dataset.export/placing.json     the names at which something is being put or removed

The export is built in a folder of this machine, which has one shard at a time, or two, and the small files. What a
killed one left in the store is known by ``placing.json``, and removed by the next. Nothing is replaced or removed that
neither this nor the manifest of an earlier export names.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from curate.errors import BusyError, CurateError, Interrupted, StorageError, UsageError
from curate.exports.dataset_folder import MADE_BY, NEW_FOLDER, OF_EXPORT
from curate.exports.stores.failures import AGAIN, explain_errors, make_local_error
from curate.exports.stores.names import check_folder_url, check_writable_url
from curate.exports.stores.shards import SHARDS, StoredShards, open_depot
from curate.runtime import streams
from curate.runtime.disk import claims
from curate.runtime.disk.claims import HeldClaim
from curate.runtime.disk.mirrors import Mirror, find_cache, open_mirror
from curate.runtime.disk.object_store import ObjectStore, StoredObject
from curate.runtime.disk.writers import name_temporary, sweep_leftovers
from curate.runtime.work import threads

MANIFEST = "manifest.json"
PLACING = "placing.json"
THREADS = 4
"""Objects that are written at once."""


@dataclass(slots=True, eq=False)
class StoredOutput:
    """An export at a URL, which need not exist."""

    url: str
    store: ObjectStore
    beside: Mirror
    """Of the folder with the claims and ``PLACING``."""
    held: HeldClaim | None = None
    depot: StoredShards | None = None
    """Takes shards while ``build`` is under way."""
    moved: dict[str, list[int]] = field(default_factory=dict)
    """What this or a killed export puts or removes: names, and the sizes of their objects before and after."""

    @property
    def name(self) -> str:
        """The last name of the URL."""
        return self.store.url.rpartition("/")[2]

    def claim(self, verb: str) -> None:
        """Claim the export until the verb returns. Raises BusyError, StorageError."""
        with explain_errors():
            try:
                self.held = claims.hold_claim(self.beside.root, verb, (self.name,))
            except BusyError as error:
                message = error.message.replace(str(self.beside.root / self.name), self.store.url)
                raise BusyError(message, error.hint) from error
            except StorageError as error:
                inside = rf"{re.escape(self.beside.url)}[^\s:]*"
                raise StorageError(re.sub(inside, self.store.url, error.message)) from error.__cause__

    def check(self, overwrite: bool) -> None:
        """Raise UsageError where something is there that an export may not replace, StorageError where it is unknown.

        Nothing passes, what a killed export left, and with ``overwrite`` an earlier export.
        """
        with explain_errors():
            self._check_above()
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                self.moved = dict(json.loads(self.beside.store.read(PLACING))["objects"])
            listed = self._list()
            manifest = self._read_manifest() if MANIFEST in listed else None
        if manifest is None:
            if foreign := sorted(name for name in listed if not self._is_leftover(name, listed[name])):
                message = f"{self.url} holds something that curate export did not write: {foreign[0]}"
                raise UsageError(message, NEW_FOLDER)
            return
        if not overwrite:
            raise UsageError(f"{self.url} holds an earlier export", "replace it with --overwrite, or name a new folder")
        known = list_names(manifest)
        others = [name for name in sorted(listed) if name not in known and not OF_EXPORT.fullmatch(name)]
        if foreign := [name for name in others if not self._is_leftover(name, listed[name])]:
            message = f"{self.store.url}/{foreign[0]} is there, and curate export did not write it"
            raise UsageError(message, "move it away, or name a new folder")

    def _is_leftover(self, name: str, stored: StoredObject) -> bool:
        """Return whether a killed export put an object, or was about to remove it."""
        return stored.size in self.moved.get(name, ())

    def _check_above(self) -> None:
        """Raise UsageError where an object has the name of the folder, or the folder above is a run."""
        above = ObjectStore(self.store.url.rpartition("/")[0])
        found = above.look(self.name)
        if found is not None and found.tag:
            raise UsageError(f"{self.url} is an object; an export is a folder", NEW_FOLDER)
        if above.look(".curate-run.jsonl") is not None:
            message = f"{self.url} is inside the run {above.url}: its tables and the export would mix"
            raise UsageError(message, NEW_FOLDER)

    def _list(self) -> dict[str, StoredObject]:
        """Return the objects of the export, without those that stand for folders."""
        return {name: found for name, found in self.store.list().items() if name and not name.endswith("/")}

    def _read_manifest(self) -> Mapping[str, object] | None:
        return parse_manifest(self.store.read(MANIFEST))

    @contextmanager
    def build(self, overwrite: bool) -> Iterator[Path]:
        """Give an empty folder of this machine: at the end it is put into the store; it is removed in any case.

        Until the end ``depot`` takes shards out of it. Raises what ``check`` raises, and StorageError where this
        machine or the store refuses to write.
        """
        self.check(overwrite)
        top = find_cache() / "exports"
        folder = name_temporary(top / self.name)
        streams.show_as(str(folder), self.store.url)
        try:
            folder.mkdir(parents=True)
            sweep_leftovers(top)
            with explain_errors():
                self._clear_leftovers()
            with open_depot(folder, self.beside.store) as self.depot:
                yield folder
                self.depot.flush()
            self.check(overwrite)  # again: somebody may have put something there since
            with explain_errors():
                self._place(folder, self.depot)
        except OSError as error:
            raise make_local_error(error, top) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(CurateError):  # the next export removes them
                self._clear_shards()

    def _clear_leftovers(self) -> None:
        """Remove what a killed export left, unless it was complete."""
        self._clear_shards()
        listed = self._list() if self.moved else {}
        if MANIFEST not in listed:
            self.store.remove(name for name in sorted(listed) if self._is_leftover(name, listed[name]))

    def _clear_shards(self) -> None:
        self._check_held()
        self.beside.store.remove(sorted(self.beside.store.list(SHARDS)))

    def _place(self, folder: Path, depot: StoredShards) -> None:
        """Put what is in a folder and in its depot in the place of what is there. Raises StorageError, Interrupted."""
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        sizes = {name: path.stat().st_size for name, path in files.items()} | depot.list_sizes()
        shards, earlier = depot.list_finals(), {name: found.size for name, found in self._list().items()}

        def put(name: str) -> None:
            if name in shards:
                self.beside.store.copy(shards[name], self.store, name)
            else:
                self.store.upload(files[name], name)

        self._note(earlier, sizes)
        self._check_held()
        self.store.remove([MANIFEST])  # from here on there is no export
        try:
            self.store.remove(sorted(earlier.keys() - sizes.keys()))
            for _ in threads.map_in_order(put, sorted(sizes.keys() - {MANIFEST}), THREADS):
                pass
            self._check_sizes({name: size for name, size in sizes.items() if name != MANIFEST})
            self._check_held()
            put(MANIFEST)
        except BaseException as error:
            self._clean(sizes)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(f"stopped; nothing half written is in {self.url}", AGAIN) from None
            raise
        with suppress(CurateError):  # the next export removes it
            self.beside.store.remove([PLACING])

    def _clean(self, names: Iterable[str]) -> None:
        """Remove what was put, manifest first, unless another process writes there; what stays the next one removes."""
        with suppress(CurateError):
            self._check_held()
            self.store.remove([MANIFEST, *sorted(names)])
            self.beside.store.remove([PLACING])

    def _note(self, *sizes: Mapping[str, int]) -> None:
        """Write down the names and sizes of objects that are going to be put or removed."""
        for each in sizes:
            for name, size in each.items():
                self.moved[name] = sorted({size, *self.moved.get(name, ())})
        text = json.dumps({"made_by": MADE_BY, "objects": self.moved}) + "\n"
        self.beside.store.write(PLACING, text.encode())

    def _check_held(self) -> None:
        if self.held is not None:
            self.held.check_held()

    def _check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Raise StorageError unless the store has these objects, of these sizes, and no others."""
        listed = {name: found.size for name, found in self._list().items()}
        for name in sorted({*listed, *sizes}):
            if listed.get(name) != sizes.get(name):
                had = "is not there" if name not in listed else f"has {listed[name]:,} bytes"
                wanted = f"not {sizes[name]:,}" if name in sizes else "and is not of this export"
                raise StorageError(f"{self.store.url}/{name} {had}, {wanted}: another program writes there", AGAIN)


def open_output(url: str) -> StoredOutput:
    """Return the export at a URL; nothing is read yet. Raises UsageError for a URL at which none can be."""
    check_writable_url(url)
    check_folder_url(url, "export")
    store = ObjectStore(url)
    above, _, name = store.url.rpartition("/")
    return StoredOutput(url, store, open_mirror(f"{above}/.{name}.export"))


def parse_manifest(data: bytes) -> Mapping[str, object] | None:
    """Return a manifest that ``curate export`` wrote, None for anything else."""
    try:
        manifest = json.loads(data)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY else None


def list_names(manifest: Mapping[str, object]) -> set[str]:
    """Return the names of the files that a manifest lists."""
    listed = manifest.get("files", ())
    files = listed if isinstance(listed, list) else ()
    return {str(file.get("path")) for file in files if isinstance(file, dict)}
