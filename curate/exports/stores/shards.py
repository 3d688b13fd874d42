"""The shards of an export that is being built, in the object store before they have their names.

A shard is put below SHARDS beside the export as soon as it is complete, while the next one is written, and leaves this
machine. At the end the store copies each to its name in the export, which costs no transfer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from curate.exports.stores.failures import explain_errors
from curate.runtime.disk.object_store import ObjectStore
from curate.runtime.work.threads import BackgroundWriter

SHARDS = "shards"


@dataclass(slots=True, eq=False)
class StoredShards:
    """The shards that left the folder in which an export is built (``formats.depot.ShardDepot``)."""

    folder: Path
    store: ObjectStore
    """Of the folder beside the export."""
    uploads: BackgroundWriter
    """Has one task at a time."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The shards by their first names, with their bytes."""
    finals: dict[str, str] = field(default_factory=dict)
    """Their names in the export, where those are others."""

    def put(self, name: str) -> None:
        """Put a complete file into the store in the background, once the one before it is there."""
        self.sizes[name] = (self.folder / name).stat().st_size
        self.uploads.put(lambda: self._upload(name))

    def _upload(self, name: str) -> None:
        with explain_errors():
            self.store.upload(self.folder / name, locate_shard(name))
        (self.folder / name).unlink()

    def fetch(self, name: str) -> None:
        """Bring a file back, to be written again."""
        self.flush()
        with explain_errors():
            self.store.download(locate_shard(name), self.folder / name)
        del self.sizes[name]

    def rename(self, name: str, final: str) -> None:
        """Choose the name of a file in the export; it is not moved."""
        self.finals[name] = final

    def clear(self) -> None:
        """Discard all files."""
        self.flush()
        with explain_errors():
            self.store.remove(map(locate_shard, self.sizes))
        self.sizes, self.finals = {}, {}

    def flush(self) -> None:
        """Wait until all files are in the store. Raises what went wrong on the way."""
        self.uploads.put(lambda: None)  # which waits for the one before

    def list_finals(self) -> dict[str, str]:
        """Return the names in the export, each with the object beside it that is to be copied there."""
        return {self.finals.get(name, name): locate_shard(name) for name in self.sizes}

    def list_sizes(self) -> dict[str, int]:
        """Return the bytes of each by its name in the export."""
        return {self.finals.get(name, name): size for name, size in self.sizes.items()}


def locate_shard(name: str) -> str:
    """Return the name of the object of a shard."""
    return f"{SHARDS}/{name}"


@contextmanager
def open_depot(folder: Path, store: ObjectStore) -> Iterator[StoredShards]:
    """Give the depot of an export that is built in a folder; the block ends when the uploads have."""
    with BackgroundWriter(most=1) as uploads:
        yield StoredShards(folder, store, uploads)
