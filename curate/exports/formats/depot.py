"""Where complete shards go before an export is complete, so that this machine needs no room for all of them."""

from typing import Protocol


class ShardDepot(Protocol):
    """Takes files out of the folder in which an export is built. Names are paths below that folder, POSIX."""

    def put(self, name: str) -> None:
        """Take a complete file away, now or soon: it is not read here any more. Raises StorageError."""

    def fetch(self, name: str) -> None:
        """Bring a file back to the folder. Raises StorageError."""

    def rename(self, name: str, final: str) -> None:
        """Choose the name that a file has in the export."""

    def clear(self) -> None:
        """Discard all files, because the export is written again. Raises StorageError."""
