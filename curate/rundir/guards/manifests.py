"""Manifests: which files a table of a run has and what each holds, so that damage is noticed before a table is read.

    RUN/manifests/scores.json          {"table": "scores", "files": [{"name", "rows", "bytes", "xxh3_128"}, …],
    RUN/manifests/carried/domain.json   "notes": the metadata of the parts (``packed_notes``)}

A manifest is written when its table is complete, and the record of the verb in ``run.json`` has its fingerprint. Every
reader checks the table first: a file that is missing, of another size or of other bytes, and one that does not belong
there, is a ``DamageError`` with the command that mends it. A check reads all bytes, in threads, once in a process.
Records of earlier versions have no fingerprint: their tables are read unchecked.

What a check has found sound (``CheckedTable``) also says what its parts say in their metadata, without opening them, as
long as a part is the file that was read. Manifests of earlier versions have no ``notes``: then parts are opened.

``run.json`` has the hash of its records in itself (``checksum``), so that a copy of an earlier state is as good. That
tables belong to it, their own fingerprints tell.
"""

import errno
import json
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.errors import DamageError
from curate.rundir import parquet
from curate.rundir.guards.packed_notes import PackedNotes, pack_notes
from curate.runtime.disk import files
from curate.runtime.disk.filenames import fit_name
from curate.runtime.text import quote_path
from curate.runtime.work import threads

FOLDER = "manifests"
KEY = "manifest"
"""The fingerprint of the manifest in the record of a verb."""
CHECKSUM = "checksum"
"""The key in ``run.json`` of the hash of all its records."""
MOST_NAME_BYTES = 200
"""Bytes of the name of a manifest: it is written under a longer one first."""
CHUNK_BYTES = 1 << 22
"""Bytes that are hashed at once. Chunks are read, not mapped: a disk that fails under a map kills the process."""
SUFFIXES = (".parquet", ".json", ".jsonl")
"""Of tables that are one file; any other is a folder of parts."""


@dataclass(frozen=True, slots=True)
class FileDamage:
    """What is wrong with one file of a table."""

    path: Path
    what: str
    """As it ends a sentence: ``is missing``."""
    is_stray: bool = False
    """Whether it is in the way: curate did not write it, or it cannot be opened, nor be written over."""


def locate_manifest(root: Path, table: str) -> Path:
    """Return the path of the manifest of a table in the run directory ``root``."""
    path = root / FOLDER / f"{table}.json"
    return path.with_name(fit_name(path.name, MOST_NAME_BYTES))


def is_file_table(table: str) -> bool:
    """Return whether a table is one file (``filter.parquet``), not a folder of parts (``scores``)."""
    return "/" not in table and table.endswith(SUFFIXES)


def record_table(root: Path, table: str, before: "CheckedTable | None" = None) -> str:
    """Write the manifest of a table as it lies on the disk, and return its fingerprint. Raises StorageError.

    ``before`` is what the table was when it was checked: parts of the same bytes are not opened again.
    """
    paths = [root / table] if is_file_table(table) else parquet.list_parts(root / table)
    described = list(threads.map_in_order(partial(_describe_file, before), paths, threads.count_cores()))
    value: dict[str, Any] = {"table": table, "files": [entry for entry, _ in described]}
    if not is_file_table(table):
        value["notes"] = pack_notes([note for _, note in described])
    files.write_json(locate_manifest(root, table), value)
    return _fingerprint(value)


def forget_table(root: Path, table: str) -> None:
    """Remove the manifest of a table that is gone."""
    files.remove_file(locate_manifest(root, table))


def _fingerprint(value: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace"))


def _describe_file(before: "CheckedTable | None", path: Path) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Return the entry of a file, and its metadata."""
    try:
        digest, size = hash_file(path)
        known = None if before is None else before.find_same(path.name, size, digest)
        if known is not None:
            return known
        rows, note = _read_footer(path) if path.suffix == ".parquet" else (None, None)
    except (OSError, pa.ArrowException) as error:
        raise parquet.explain_damage(path, error) from error
    return {"name": path.name, "rows": rows, "bytes": size, "xxh3_128": digest}, note


def _read_footer(path: Path) -> tuple[int, Mapping[str, Any] | None]:
    """Return the rows of a part and its metadata, None where these are not what curate writes."""
    footer = pq.read_metadata(path)
    try:
        return footer.num_rows, parquet.load_note(footer)
    except (KeyError, ValueError, zlib.error):
        return footer.num_rows, None


def hash_file(path: Path) -> tuple[str, int]:
    """Return the 128-bit xxh3 of the bytes of a file, in hex digits, and their number. Raises OSError."""
    digest, size, buffer = xxhash.xxh3_128(), 0, bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])  # without the interpreter lock
            size += count
    return digest.hexdigest(), size


FileState = tuple[int, int, int, int]
"""What tells that a file is no longer the one that was read: inode, bytes, and the times of its bytes and of itself."""


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A manifest whose files were compared with it, and what was found."""

    folder: Path
    fingerprint: str
    entries: Mapping[str, Mapping[str, Any]]
    """By the names of the files, in their order."""
    notes: PackedNotes | None
    """The metadata of the parts in the order of the entries; None in manifests of earlier versions."""
    numbers: Mapping[str, int]
    """The index of each file by its name."""
    damage: Sequence[FileDamage] = ()
    states: Mapping[str, FileState] = field(default_factory=dict)
    """Of the files that are sound, as they were before they were read."""

    def find_note(self, path: Path) -> dict[str, Any] | None:
        """Return the metadata of a part; None where it is not the file that was found sound, or nothing is known."""
        if self.notes is None or not self.is_sound(path):
            return None
        return self.notes.get(self.numbers[path.name])

    def is_sound(self, path: Path) -> bool:
        """Return whether a part is the file that was found sound."""
        known = self.states.get(path.name)
        return known is not None and path.parent == self.folder and known == find_state(path)

    def is_empty(self, path: Path) -> bool:
        """Return whether a part is known to have no rows."""
        return self.is_sound(path) and self.entries[path.name]["rows"] == 0

    def find_same(self, name: str, size: int, digest: str) -> tuple[dict[str, Any], Mapping[str, Any]] | None:
        """Return the entry and the metadata of a part if it has the same bytes now; None where they are not known."""
        entry = self.entries.get(name)
        if entry is None or self.notes is None or (entry["bytes"], entry["xxh3_128"]) != (size, digest):
            return None
        note = self.notes.get(self.numbers[name])
        return None if note is None else (dict(entry), note)

    def is_unchanged(self) -> bool:
        """Return whether all files are there, are those that were found sound, and no part is more."""
        there = [path.name for path in parquet.list_parts(self.folder)]
        is_same = there == sorted(self.entries) == sorted(self.states)
        return is_same and all(self.states[name] == find_state(self.folder / name) for name in there)


def find_state(path: Path) -> FileState | None:
    """Return what tells whether a file is the same later; None where there is none, or it cannot be looked at."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def read_manifest(root: Path, table: str, fingerprint: str) -> CheckedTable | FileDamage:
    """Return a manifest, whose files nobody has compared with it yet, or what is wrong with it.

    ``fingerprint`` is that of the record in ``run.json``.
    """
    path = locate_manifest(root, table)
    try:
        value = json.loads(path.read_bytes())
        entries = {entry["name"]: entry for entry in value["files"]}
        notes = PackedNotes(value["notes"]) if "notes" in value else None
    except FileNotFoundError:
        return FileDamage(path, "is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return FileDamage(path, f"cannot be read: {_spell_cause(error)}", is_stray=isinstance(error, OSError))
    if _fingerprint(value) != fingerprint:
        return FileDamage(path, "and run.json do not belong together")
    folder = root if is_file_table(table) else root / table
    return CheckedTable(folder, fingerprint, entries, notes, {name: number for number, name in enumerate(entries)})


def _spell_cause(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is damaged"


def compare_table(root: Path, table: str, fingerprint: str) -> CheckedTable | FileDamage:
    """Return a table with what is wrong with its files, by name; with a damaged manifest that alone."""
    manifest = read_manifest(root, table, fingerprint)
    if isinstance(manifest, FileDamage):
        return manifest
    check = partial(_check_file, manifest.folder)
    found = list(threads.map_in_order(check, manifest.entries.values(), threads.count_cores()))
    damage = [one for one in found if isinstance(one, FileDamage)]
    states = {name: one for name, one in zip(manifest.entries, found, strict=True) if not isinstance(one, FileDamage)}
    if not is_file_table(table):
        strays = [path for path in parquet.list_parts(manifest.folder) if path.name not in manifest.entries]
        damage += [FileDamage(path, "is no part of this table", is_stray=True) for path in strays]
    return replace(manifest, damage=damage, states=states)


def _check_file(folder: Path, entry: Mapping[str, Any]) -> FileDamage | FileState:
    """Return what is wrong with a file, or, where it is sound, its state."""
    path = folder / entry["name"]
    try:
        about = os.stat(path)
        size = about.st_size
        if not stat.S_ISREG(about.st_mode):
            return FileDamage(path, f"is {'a folder' if stat.S_ISDIR(about.st_mode) else 'no file'}", is_stray=True)
        if size != entry["bytes"]:
            what = "truncated" if size < entry["bytes"] else "altered"
            return FileDamage(path, f"is {what}: it has {size:,} bytes, not {entry['bytes']:,}")
        digest, _ = hash_file(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return FileDamage(path, "is missing")
        return FileDamage(path, f"cannot be read: {_spell_cause(error)}", is_stray=True)
    if digest != entry["xxh3_128"]:
        return FileDamage(path, "is altered: it has other bytes than were written")
    return about.st_ino, size, about.st_mtime_ns, about.st_ctime_ns


def discard_damaged_parts(root: Path, table: str, record: Mapping[str, Any]) -> CheckedTable | None:
    """Remove the damaged parts of a table, so that its verb makes them, and no others, again.

    ``record`` is that of the verb. Where it has no manifest, or that is damaged itself, the parts are read instead, and
    None is returned; else the table as it was compared. Raises what ``parquet.discard_part`` raises.
    """
    fingerprint = record.get(KEY)
    compared = None if fingerprint is None else compare_table(root, table, fingerprint)
    if compared is None or isinstance(compared, FileDamage):
        parquet.discard_damaged(parquet.list_parts(root / table))
        return None
    for one in compared.damage:
        if one.is_stray and one.path.name in compared.entries and not one.path.is_dir():
            raise explain([one], "")  # it cannot be read now, and may be sound
        if one.path.name in compared.entries:
            parquet.discard_part(one.path, f"{one.path} {one.what}")
    return compared


def explain(damage: Sequence[FileDamage], mend: str) -> DamageError:
    """Return the error for a damaged table; ``mend`` is the command that makes it, or what is damaged, again."""
    first = damage[0]
    more = f" (and {len(damage) - 1:,} more)" if len(damage) > 1 else ""
    if first.is_stray:
        mend = f"mv {quote_path(first.path)} {quote_path(first.path.with_name(first.path.name + parquet.STRAY))}"
    return DamageError(f"{first.path} {first.what}{more}", mend)


def check_table(root: Path, table: str, fingerprint: str, mend: str) -> CheckedTable:
    """Return a table whose files are those that were written. Raises DamageError where they are not.

    ``fingerprint`` is that of the record of its verb.
    """
    compared = compare_table(root, table, fingerprint)
    if isinstance(compared, FileDamage):
        raise explain([compared], mend)
    if compared.damage:
        raise explain(compared.damage, mend)
    return compared


def sign_run_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``run.json``: records with the hash of them all, in the order of their names."""
    unsigned = {name: value for name, value in record.items() if name != CHECKSUM}
    return dict(sorted({**unsigned, CHECKSUM: _fingerprint(unsigned)}.items()))


def check_run_file(path: Path, content: bytes, value: Any) -> None:
    """Raise DamageError where ``run.json`` has other bytes than were written; ``value`` is what it holds.

    Only a file that is spelled as curate spells it can be damaged: one that another program wrote was meant so.
    """
    if not isinstance(value, dict) or CHECKSUM not in value:
        return
    if sign_run_record(value) != value and files.spell_json(value) == content:
        hint = f"restore it from a copy; or, where the change was meant, remove its {CHECKSUM}"
        raise DamageError(f"{path} is altered: it has other bytes than were written", hint)


def has_manifests(root: Path) -> bool:
    """Return whether a table was completed in a run directory."""
    return any((root / FOLDER).rglob("*.json"))
