"""Folders that curate writes, next to or inside a corpus: known by their marks, and left out of it.

The mark of a folder lists the names at its top that curate made (``curate.rundir.guards.ownership`` writes it).
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
from collections.abc import Sequence

from curate.errors import StorageError

MARK = ".curate-run.jsonl"
RUN_FILE = "run.json"
LEFT_OUT = "a run directory of curate"
SAME_PROTOCOLS = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs"}
"""Names of protocols that lead to the same objects as another."""


def read_mark(folder: str | os.PathLike[str]) -> set[str]:
    """Return the names at the top of a folder that curate made; none where it has no mark.

    A line that a kill or a full disk cut short is passed over: what it names was not made yet. Raises StorageError
    where the mark cannot be read.
    """
    path = os.path.join(folder, MARK)
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    return {name for line in lines if (name := _read_line(line)) is not None}


def _read_line(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    name = entry.get("made") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def is_run(folder: str, names: Sequence[str]) -> bool:
    """Return whether a folder with these names in it is one that curate writes, whose tables are not documents."""
    if MARK in names:
        return True
    tables = any(os.path.isdir(os.path.join(folder, name)) for name in ("scores", "hits", "dedup"))
    return RUN_FILE in names and (tables or "duplicates.parquet" in names)


def is_run_folder(folder: str) -> bool:
    """Return whether there is a folder that curate writes."""
    names = [name for name in (MARK, RUN_FILE, "duplicates.parquet") if os.path.lexists(os.path.join(folder, name))]
    return is_run(folder, names)


def find_made(path: str, root: str, known: dict[str, bool]) -> str | None:
    """Return what curate made, of which ``path`` is or is in: a run below ``root``, or something in a run at ``root``.

    None for a file of somebody else. Both paths are absolute. ``known`` keeps for the next call which folders are runs.
    """
    folder = root
    for part in os.path.relpath(path, root).split(os.sep):
        if folder not in known:
            known[folder] = is_run_folder(folder)
        if known[folder]:
            if folder != root:
                return folder
            if part in read_mark(root):
                return os.path.join(root, part)
        folder = os.path.join(folder, part)
    return None


def find_covering(paths: Sequence[str], target: str | os.PathLike[str]) -> str | None:
    """Return the first path of a corpus in whose folder, or under whose pattern, something at ``target`` would be read.

    None where nothing of the corpus would see it. URLs and names of the Hub see no local file.
    """
    whole = os.path.realpath(os.path.expanduser(target))
    for path in paths:
        local = os.path.expanduser(path)
        if os.path.isdir(local):
            if whole == (folder := os.path.realpath(local)) or whole.startswith(folder.rstrip(os.sep) + os.sep):
                return path
        elif glob.has_magic(local) and "://" not in local and _may_match(os.path.abspath(local), whole):
            return path
    return None


def find_covering_url(paths: Sequence[str], url: str) -> str | None:
    """Return the first path of a corpus that is a URL, and in whose folder or under whose pattern another one is."""
    whole = _split_url(url)
    for path in paths:
        if "://" not in path:
            continue
        parts = _split_url(path)
        if glob.has_magic(path):
            if _may_match(os.sep.join(parts), os.sep.join(whole)):
                return path
        elif whole[: len(parts)] == parts:
            return path
    return None


def _split_url(url: str) -> list[str]:
    """Return what a URL consists of, the same for the names that one protocol has."""
    protocol, _, path = url.partition("://")
    return [SAME_PROTOCOLS.get(protocol.lower(), protocol.lower()), *path.rstrip("/").split("/")]


def _may_match(pattern: str, path: str) -> bool:
    """Return whether a pattern may match a path, or something in it, or a folder above it."""
    for wanted, part in zip(pattern.split(os.sep), path.split(os.sep), strict=False):
        if wanted == "**":
            return True
        if not fnmatch.fnmatchcase(part, wanted):
            return False
    return True
