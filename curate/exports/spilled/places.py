"""The folder of a spill, and what is complete in it: nothing is ever seen there by halves.

    SPILL/curate_000012/record.json, 0.rows …     what task 12 spilled (``records``), under the names ``curate_…``
    SPILL/shards/data+train-00000-of-00002.jsonl  a shard on its way to its place, and beside it .json, what it is

A task or a shard may be written twice, also at once, on several hosts: each is written under a temporary name and then
renamed. Of two folders of one task the first stays, which is complete; two shards have the same bytes.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curate.exports.formats.shard_writer import WrittenShard
from curate.runtime.disk.writers import name_temporary

RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class SpillFolder:
    """A folder in which tasks and shards of one export are put."""

    path: Path
    prefix: str
    """Begins the names of the columns that are added, which are in the rows: those of another prefix are others."""
    keeps: bool = False
    """Whether it outlasts the process, so that what is complete is recorded for others."""

    def find_task(self, number: int) -> Path:
        """Return the folder of a task."""
        return self.path / f"{self.prefix}{number:06d}"

    def has_task(self, number: int) -> bool:
        """Return whether a task is complete."""
        return (self.find_task(number) / RECORD).exists()

    @contextmanager
    def build_task(self, number: int) -> Iterator[Path]:
        """Give an empty folder, which becomes that of a task unless another process was faster."""
        final = self.find_task(number)
        temporary = name_temporary(final)
        temporary.mkdir()
        try:
            yield temporary
            try:
                os.rename(temporary, final)
            except OSError:
                if not self.has_task(number):
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @property
    def shards(self) -> Path:
        """The folder of the shards."""
        return self.path / "shards"

    def name_shard(self, name: str, suffix: str = "") -> Path:
        """Return the path of a shard that lies at ``name`` (POSIX) in the export; with a suffix, of what goes with it.

        It is that of the prefix: the shards of another one have other columns.
        """
        return self.shards / self.prefix / (name.replace("/", "+") + suffix)

    @contextmanager
    def build_shard(self, name: str, suffix: str = "") -> Iterator[Path]:
        """Give a path to write, which is then that of a shard, or of what goes with it."""
        final = self.name_shard(name, suffix)
        with suppress(FileExistsError):
            self.shards.mkdir()
        with suppress(FileExistsError):
            final.parent.mkdir()
        temporary = name_temporary(final)
        try:
            yield temporary
            os.replace(temporary, final)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def record_shard(self, written: WrittenShard) -> None:
        """Say that a shard is complete, with what goes with it."""
        if self.keeps:
            self._record(self.name_shard(written.path, ".json"), asdict(written))

    def read_shard(self, name: str) -> WrittenShard | None:
        """Return what a shard is; None where it is not complete."""
        try:
            written = WrittenShard(**json.loads(self.name_shard(name, ".json").read_bytes()))
            return written if self.name_shard(name).stat().st_size == written.bytes else None
        except FileNotFoundError:
            return None

    def move_shard(self, name: str, folder: Path) -> None:
        """Move a complete shard to its place below the top of the export; a spill that lasts keeps it if it can."""
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if self.keeps:
            with suppress(OSError):  # The file system has no links.
                os.link(self.name_shard(name), folder / name)
                return
        os.replace(self.name_shard(name), folder / name)

    def record_sizes(self, number: int, sizes: list[int]) -> None:
        """Say how large the rows of a step of measuring are in a shard."""
        if self.keeps:
            with suppress(FileExistsError):
                self._name_sizes(number).parent.mkdir()
            self._record(self._name_sizes(number), sizes)

    def read_sizes(self, number: int) -> list[int] | None:
        """Return what a step of measuring found; None where it was not taken."""
        try:
            sizes: list[int] = json.loads(self._name_sizes(number).read_bytes())
            return sizes
        except FileNotFoundError:
            return None

    def _record(self, path: Path, value: Any) -> None:
        """Write a file of JSON at once; not where the folders above are gone, since the export is complete."""
        temporary = name_temporary(path)
        try:
            temporary.write_text(json.dumps(value) + "\n", encoding="utf-8")
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _name_sizes(self, number: int) -> Path:
        return self.path / "sizes" / f"{self.prefix}{number:06d}.json"
