"""Files that are replaced at once, and what the disk refuses, said in one line."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from curate.errors import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success flush it and rename it into place, on failure remove it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with open(beside, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            beside.unlink(missing_ok=True)


def storage_error(error: OSError, path: Path) -> StorageError:
    """What the operating system refused, as one line and the thing that mends it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or name another run directory with --run; whole parts are kept"
        return StorageError(f"the disk is full: {path} could not be written", hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{path} may not be written: {error.strerror}", "name a directory of yours, with --run")
    return StorageError(f"{path} could not be written: {error.strerror or error}")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all, keys in the order given."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
