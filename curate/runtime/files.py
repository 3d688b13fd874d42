"""Atomic replacement of files, and errors of the operating system as StorageError."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from curate.errors import StorageError


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success flush it and rename it to ``path``, else remove it.

    The folder is created. Raises StorageError where the operating system refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise make_storage_error(error, path) from error
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            temporary.unlink(missing_ok=True)


def share_files(folder: Path) -> None:
    """Give the files of a folder the permissions that new files get, by the umask, where a library gave them fewer.

    Libraries that write a temporary file first may leave files that only their owner can read.
    """
    probe = folder / f".mode.{os.getpid()}.tmp"
    try:
        probe.touch()
        usual = probe.stat().st_mode & 0o777
        for path in folder.iterdir():
            mode = path.stat().st_mode & 0o777
            if path.is_file() and mode | usual != mode:
                path.chmod(mode | usual)
    except OSError as error:
        raise make_storage_error(error, folder) from error
    finally:
        probe.unlink(missing_ok=True)


def make_storage_error(error: OSError, path: Path) -> StorageError:
    """Return the error for a path that the operating system refused to write, with a hint where one helps."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space and run the same command again; complete parts are kept"
        return StorageError(f"the disk is full: {path} could not be written", hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{path} may not be written: {error.strerror}", "choose a directory that you may write to")
    return StorageError(f"{path} could not be written: {error.strerror or error}")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, keys in the order given, UTF-8, two spaces of indent. Raises StorageError."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
