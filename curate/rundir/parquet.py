"""Parquet parts of the tables of a run, with JSON metadata. A part that exists is complete."""

import base64
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError
from curate.runtime.files import describe_os_error, replace_atomically
from curate.runtime.text import quote_word

_META = b"curate"
_COMPRESSED = b"zlib:"
LONG_NOTE = 4096
"""Bytes of JSON from which on metadata are compressed. They are stored twice: by themselves and with the schema."""


def write_part(path: Path, table: pa.Table, metadata: Mapping[str, Any]) -> None:
    """Write one Parquet file with JSON ``metadata``: under a temporary name, flushed to the disk, then renamed.

    The bytes depend on the table and the metadata alone. Raises StorageError where the disk refuses; a file that was
    there before then remains.
    """
    note = dump_note(metadata)
    with replace_atomically(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_META: note}), temporary, compression="zstd")


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata of a part; empty where that is no JSON object.

    Raises TableError where the file is not a complete Parquet file, or curate did not write it.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is not a complete Parquet file: {error}", suggest_mending(path)) from error
    if _META not in (schema.metadata or {}):
        raise TableError(f"{path} was not written by curate", "move it away, or name another run with --run")
    return load_note(schema)


def dump_note(metadata: Mapping[str, Any]) -> bytes:
    """Return metadata as they are stored: JSON, compressed where it is long, as that of many small files is."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    return note if len(note) < LONG_NOTE else _COMPRESSED + base64.b85encode(zlib.compress(note, 9))


def load_note(schema: pa.Schema) -> dict[str, Any]:
    """Return the metadata of a part by the schema that was read from it; empty where that is no JSON object."""
    note = (schema.metadata or {})[_META]
    if note.startswith(_COMPRESSED):
        note = zlib.decompress(base64.b85decode(note.removeprefix(_COMPRESSED)))
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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an error of reading a part within the block into a TableError that names it and says how to mend it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise explain_damage(path, error) from error


def explain_damage(path: Path, error: BaseException) -> TableError:
    """Return the error for a part of the scores or of a carried column that cannot be read."""
    cause = str(error).strip().split("\n", 1)[0]
    return TableError(f"{path} cannot be read: {cause}", suggest_mending(path))


def suggest_mending(path: Path) -> str:
    """Return how a damaged part is made again: without it, the verb that wrote it does so."""
    again = "start over with --restart"
    if path.parent.name == "scores":
        again = "then the same curate score command again: it scores what is missing"
    if path.parent.parent.name == "carried":
        again = "then the same command again: it reads the column from the corpus"
    return f"rm {quote_word(str(path))}, {again}" if again.startswith("then") else again


def find_damage(paths: Iterable[Path]) -> TableError | None:
    """Return the error for the first of some parts that cannot be read to its end; None where all can."""
    for path in paths:
        try:
            with naming(path), pq.ParquetFile(path) as part:
                for _ in part.iter_batches():
                    pass
        except TableError as error:
            return error
    return None
