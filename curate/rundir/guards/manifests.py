"""Manifests: which files a table of a run has and what each holds, so that damage is noticed before a table is read.

    RUN/manifests/scores.json          {"table": "scores", "files": [{"name", "rows", "bytes", "xxh3_128"}, …]}
    RUN/manifests/carried/domain.json

A manifest is written when its table is complete, and the record of the verb in ``run.json`` has its fingerprint. Every
reader checks the table first: a file that is missing, of another size or of other bytes, and one that does not belong
there, is a ``DamageError`` with the command that mends it. A check reads all bytes, in threads, once in a process.
Records of earlier versions have no fingerprint: their tables are read unchecked.

``run.json`` has the hash of its records in itself (``checksum``), so that a copy of an earlier state is as good. That
tables belong to it, their own fingerprints tell.
"""

import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.errors import DamageError
from curate.rundir import parquet
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


def record_table(root: Path, table: str) -> str:
    """Write the manifest of a table as it lies on the disk, and return its fingerprint. Raises StorageError."""
    paths = [root / table] if is_file_table(table) else parquet.list_parts(root / table)
    entries = list(threads.map_in_order(_describe_file, paths, threads.count_cores()))
    value = {"table": table, "files": entries}
    files.write_json(locate_manifest(root, table), value)
    return _fingerprint(value)


def forget_table(root: Path, table: str) -> None:
    """Remove the manifest of a table that is gone."""
    files.remove_file(locate_manifest(root, table))


def _fingerprint(value: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace"))


def _describe_file(path: Path) -> dict[str, Any]:
    try:
        digest, size = hash_file(path)
        rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    except (OSError, pa.ArrowException) as error:
        raise parquet.explain_damage(path, error) from error
    return {"name": path.name, "rows": rows, "bytes": size, "xxh3_128": digest}


def hash_file(path: Path) -> tuple[str, int]:
    """Return the 128-bit xxh3 of the bytes of a file, in hex digits, and their number. Raises OSError."""
    digest, size, buffer = xxhash.xxh3_128(), 0, bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])  # without the interpreter lock
            size += count
    return digest.hexdigest(), size


def read_manifest(root: Path, table: str, fingerprint: str) -> Mapping[str, Mapping[str, Any]] | FileDamage:
    """Return the entries of a manifest by the names of the files, or what is wrong with it.

    ``fingerprint`` is that of the record in ``run.json``.
    """
    path = locate_manifest(root, table)
    try:
        value = json.loads(path.read_bytes())
        entries = {entry["name"]: entry for entry in value["files"]}
    except FileNotFoundError:
        return FileDamage(path, "is missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return FileDamage(path, f"cannot be read: {_spell_cause(error)}", is_stray=isinstance(error, OSError))
    if _fingerprint(value) != fingerprint:
        return FileDamage(path, "and run.json do not belong together")
    return entries


def _spell_cause(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is damaged"


def find_damage(root: Path, table: str, fingerprint: str) -> list[FileDamage]:
    """Return what is wrong with the files of a table, by name; with a damaged manifest that alone."""
    entries = read_manifest(root, table, fingerprint)
    if isinstance(entries, FileDamage):
        return [entries]
    folder = root if is_file_table(table) else root / table
    check = partial(_check_file, folder)
    found = list(threads.map_in_order(check, entries.values(), threads.count_cores()))
    damage = [one for one in found if one is not None]
    if not is_file_table(table):
        strays = [path for path in parquet.list_parts(folder) if path.name not in entries]
        damage += [FileDamage(path, "is no part of this table", is_stray=True) for path in strays]
    return damage


def _check_file(folder: Path, entry: Mapping[str, Any]) -> FileDamage | None:
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
    return None


def discard_damaged_parts(root: Path, table: str, record: Mapping[str, Any]) -> None:
    """Remove the damaged parts of a table, so that its verb makes them, and no others, again.

    ``record`` is that of the verb. Where it has no manifest, or that is damaged itself, the parts are read instead.
    Raises what ``parquet.discard_part`` raises.
    """
    fingerprint = record.get(KEY)
    entries = None if fingerprint is None else read_manifest(root, table, fingerprint)
    if fingerprint is None or entries is None or isinstance(entries, FileDamage):
        parquet.discard_damaged(parquet.list_parts(root / table))
        return
    for one in find_damage(root, table, fingerprint):
        if one.is_stray and one.path.name in entries and not one.path.is_dir():
            raise explain([one], "")  # it cannot be read now, and may be sound
        if one.path.name in entries:
            parquet.discard_part(one.path, f"{one.path} {one.what}")


def explain(damage: Sequence[FileDamage], mend: str) -> DamageError:
    """Return the error for a damaged table; ``mend`` is the command that makes it, or what is damaged, again."""
    first = damage[0]
    more = f" (and {len(damage) - 1:,} more)" if len(damage) > 1 else ""
    if first.is_stray:
        mend = f"mv {quote_path(first.path)} {quote_path(first.path.with_name(first.path.name + parquet.STRAY))}"
    return DamageError(f"{first.path} {first.what}{more}", mend)


def check_table(root: Path, table: str, record: Mapping[str, Any], mend: str, checked: dict[str, str]) -> None:
    """Raise DamageError where the files of a table are not those that were written.

    ``record`` is that of its verb; where it has no fingerprint (an earlier version) nothing is checked. ``checked`` has
    the fingerprints of the tables that this process has checked, by their names, and gets one more.
    """
    fingerprint = record.get(KEY)
    if fingerprint is None or checked.get(table) == fingerprint:
        return
    if damage := find_damage(root, table, fingerprint):
        raise explain(damage, mend)
    checked[table] = fingerprint


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
