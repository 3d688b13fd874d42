"""Parquet parts of the tables of a run. A part that exists is complete."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError
from curate.runtime.files import replacing

_META = b"curate"


def write_part(path: Path, table: pa.Table, metadata: Mapping[str, Any]) -> None:
    """Write one whole Parquet file with JSON ``metadata``: beside its place, flushed to the disk, then renamed.

    The bytes depend on the table and the metadata alone. Raises StorageError when the disk refuses; what was
    there before is then still there.
    """
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    with replacing(path) as beside:
        pq.write_table(table.replace_schema_metadata({_META: note}), beside, compression="zstd")


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON metadata of a part. Raises TableError when the file is no whole part of ours."""
    try:
        note = (pq.read_schema(path).metadata or {}).get(_META)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is not a whole Parquet file: {error}", "start over with --restart") from error
    if note is None:
        raise TableError(f"{path} was not written by curate", "move it away, or name another run with --run")
    value = json.loads(note)
    return value if isinstance(value, dict) else {}


def parts(directory: Path) -> list[Path]:
    """The whole parts of a table, in order of their names, which is the order of the corpus."""
    return sorted(directory.glob("*.parquet"))


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed writer left beside the parts (``.name.pid.tmp``)."""
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)
