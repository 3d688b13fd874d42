"""What lies in a folder, byte by byte, and how two such pictures differ."""

import hashlib
import os
import re
import shutil
from pathlib import Path

DIRECTORY = "directory"
PROBE = re.compile(r"tmp/[a-z0-9_]{8}")
"""How Python's ``tempfile`` calls a file by which it tries whether a folder takes files, and which it then removes."""
Snapshot = dict[str, str]


def take_snapshot(folder: Path) -> Snapshot:
    """Return the digest of each file below ``folder`` by its relative path, and ``DIRECTORY`` for each directory."""
    found: Snapshot = {}
    for root, directories, files in os.walk(folder):
        for name in directories:
            found[os.path.relpath(os.path.join(root, name), folder)] = DIRECTORY
        for name in files:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.blake2b(file.read(), digest_size=12).hexdigest()
    return found


def compare_snapshots(found: Snapshot, truth: Snapshot, loose: frozenset[str] = frozenset()) -> list[str]:
    """Return what is missing, left over or different in ``found``; of files in ``loose`` only that they are there."""
    differences = []
    for path in sorted({*found, *truth}):
        if path not in found:
            differences.append(f"{path} is missing")
        elif path not in truth and not PROBE.fullmatch(path):
            differences.append(f"{path} is left over")
        elif path in truth and found[path] != truth[path] and path not in loose:
            differences.append(f"{path} differs")
    return differences


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with the times of its files."""
    shutil.copytree(source, target, symlinks=True)


def clear_folder(folder: Path) -> None:
    """Remove a folder, whatever the permissions in it."""
    shutil.rmtree(folder, ignore_errors=True)
