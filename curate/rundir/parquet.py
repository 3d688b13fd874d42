"""Parquet parts of the tables of a run, with JSON metadata. A part that exists is complete."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError
from curate.runtime.files import describe_os_error, replace_atomically
from curate.runtime.processes import is_running

_META = b"curate"


def write_part(path: Path, table: pa.Table, metadata: Mapping[str, Any]) -> None:
    """Write one Parquet file with JSON ``metadata``: under a temporary name, flushed to the disk, then renamed.

    The bytes depend on the table and the metadata alone. Raises StorageError where the disk refuses; a file that was
    there before then remains.
    """
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    with replace_atomically(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_META: note}), temporary, compression="zstd")


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata of a part; empty where that is no JSON object.

    Raises TableError where the file is not a complete Parquet file, or curate did not write it.
    """
    try:
        note = (pq.read_schema(path).metadata or {}).get(_META)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is not a complete Parquet file: {error}", "start over with --restart") from error
    if note is None:
        raise TableError(f"{path} was not written by curate", "move it away, or name another run with --run")
    value = json.loads(note)
    return value if isinstance(value, dict) else {}


def list_parts(directory: Path) -> list[Path]:
    """Return the parts of a table by name, which is the order of the corpus; none where the folder does not exist.

    Raises StorageError where the folder cannot be listed: its parts are not lost.
    """
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise describe_os_error(error) from error
    return sorted(directory / name for name in names if name.endswith(".parquet"))


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of writers that were killed (``.name.pid.tmp``), not those of running processes."""
    for path in directory.glob(".*.tmp"):
        if not is_running(path.name.split(".")[-2]):
            path.unlink(missing_ok=True)
