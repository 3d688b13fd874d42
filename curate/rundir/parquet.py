"""Parquet parts of the tables of a run, with JSON metadata. A part that exists is complete."""

import base64
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DamageError, StorageError, TableError
from curate.runtime import console
from curate.runtime.disk.files import describe_os_error, is_of_system, remove_file, replace_atomically
from curate.runtime.text import quote_path
from curate.runtime.work import threads

_META = b"curate"
_COMPRESSED = b"zlib:"
LONG_NOTE = 4096
"""Bytes of JSON from which on metadata are compressed. They are stored twice: by themselves and with the schema."""
PART_NAME = re.compile(r"([0-9a-z][0-9]{4,}-[0-9a-z][0-9]{5,}|[0-9a-f]{32})\.parquet")
"""How the parts of the tables of a run, and those that were put aside, are called."""
STRAY = ".stray"
"""What a hint appends to the name of a file that does not belong into a table, so that it is none of its parts."""


def write_part(path: Path, table: pa.Table, metadata: Mapping[str, Any]) -> None:
    """Write one Parquet file with JSON ``metadata``: under a temporary name, flushed to the disk, then renamed.

    The bytes depend on the table and the metadata alone. Raises StorageError where the disk refuses; a file that was
    there before then remains.
    """
    note = dump_note(metadata)
    with replace_atomically(path) as temporary:
        noted = table.replace_schema_metadata({_META: note})
        pq.write_table(noted, temporary, compression="zstd", write_page_checksum=True)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata of a part; empty where that is no JSON object.

    Raises TableError where the file is not a complete Parquet file, or curate did not write it.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise explain_damage(path, error, "is not a complete Parquet file") from error
    if _META not in (schema.metadata or {}):
        raise TableError(f"{path} was not written by curate", "move it away, or name another run with --run")
    try:
        return load_note(schema)
    except (ValueError, zlib.error) as error:
        raise DamageError(f"{path} is altered: its metadata are no JSON", suggest_mending(path)) from error


def dump_note(metadata: Mapping[str, Any]) -> bytes:
    """Return metadata as they are stored: JSON, compressed where it is long, as that of many small files is."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    return note if len(note) < LONG_NOTE else _COMPRESSED + base64.b85encode(zlib.compress(note, 9))


def load_note(read: pa.Schema | pq.FileMetaData) -> dict[str, Any]:
    """Return the metadata of a part by the schema, or the footer, that was read from it.

    Empty where that is no JSON object. Raises KeyError where curate did not write it.
    """
    note = (read.metadata or {})[_META]
    if note.startswith(_COMPRESSED):
        note = zlib.decompress(base64.b85decode(note.removeprefix(_COMPRESSED)))
    value = json.loads(note)
    return value if isinstance(value, dict) else {}


def is_complete(path: Path) -> bool:
    """Return whether there is a Parquet file, with its end. Raises StorageError where the disk refuses to read it."""
    try:
        read_schema(path)
    except DamageError:
        return False
    return True


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
    """Turn an error of reading a part within the block into what ``explain_damage`` makes of it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise explain_damage(path, error) from error


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    filters: Sequence[tuple[str, str, Any]] | None = None,
    use_threads: bool = True,
    read_dictionary: Sequence[str] = (),
) -> pa.Table:
    """Return rows of one Parquet file as ``pq.read_table`` does, the columns ``read_dictionary`` as dictionaries.

    That is called for ``filters`` alone: its code for data sets of many files loads pandas, which takes as long as a
    small run. Raises DamageError, and StorageError where the disk refuses, both naming the file.
    """
    with naming(path):
        if filters is not None:
            return pq.read_table(path, columns=columns, partitioning=None, filters=filters)
        metadata = pq.read_metadata(path)
        flat = {metadata.schema.column(index).path for index in range(metadata.num_columns)}
        coded = [name for name in read_dictionary if name in flat]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=coded) as file:
            table = file.read(None if columns is None else list(columns), use_threads=use_threads)
        absent = [name for name in columns or () if name not in table.column_names]
        if absent:
            raise pa.ArrowInvalid(f"it has no column {absent[0]}")
        return table if columns is None else table.select(list(columns))


def stream_batches(path: Path, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield some columns of one Parquet file, ``rows`` at a time. Raises what ``read_table`` raises."""
    with naming(path), pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=list(columns))


def read_schema(path: Path) -> pa.Schema:
    """Return the schema of one Parquet file. Raises what ``read_table`` raises."""
    with naming(path):
        return pq.read_schema(path)


def explain_damage(path: Path, error: BaseException, what: str = "cannot be read") -> DamageError | StorageError:
    """Return the error for a file of a table that cannot be read: damaged, or refused by the disk for now."""
    if is_of_system(error):
        assert isinstance(error, OSError) and error.errno is not None
        return StorageError(f"{path} cannot be read: {os.strerror(error.errno)}", "run the same command again")
    cause = (getattr(error, "strerror", None) or str(error)).strip().split("\n", 1)[0]
    return DamageError(f"{path} {what}: {cause}", suggest_mending(path))


def suggest_mending(path: Path) -> str:
    """Return how a damaged part is made again: without it, the verb that wrote it does so."""
    again = "start over with --restart"
    if path.parent.name == "scores":
        again = "then the same curate score command again: it scores what is missing"
    if path.parent.parent.name == "carried":
        again = "then the same command again: it reads the column from the corpus"
    return f"rm {quote_path(path)}, {again}" if again.startswith("then") else again


def discard_damaged(paths: Iterable[Path]) -> list[Path]:
    """Remove those of some parts that are damaged, saying so, and return them.

    Raises what ``discard_part`` raises, and StorageError where the disk refuses to read one: it may be sound.
    """
    paths = list(paths)
    errors = threads.map_in_order(check_part, paths, threads.count_cores())
    damaged = [(path, error) for path, error in zip(paths, errors, strict=True) if error is not None]
    for path, error in damaged:
        discard_part(path, error.message)
    return [path for path, _ in damaged]


def discard_part(path: Path, message: str) -> None:
    """Remove a damaged part of a table, which its verb makes again, and say so with ``message``.

    Raises DamageError for what has not the name of a part, or is a folder: curate did not write it.
    """
    is_folder = path.is_dir() and not path.is_symlink()
    if is_folder or not PART_NAME.fullmatch(path.name):
        what = "is a folder, not a part of this table" if is_folder else "is no part of this table"
        stray = path.with_name(f"{path.name}{STRAY}")
        raise DamageError(f"{path} {what}", f"mv {quote_path(path)} {quote_path(stray)}")
    console.say("damaged", f"{message}; it is made again")
    remove_file(path)


def find_damage(paths: Iterable[Path]) -> DamageError | None:
    """Return the error for the first of some parts that cannot be read to its end; None where all can."""
    return next((error for error in map(check_part, paths) if error is not None), None)


def check_part(path: Path) -> DamageError | None:
    """Return the error for a part that is damaged, by the checksums of its pages; None where it is sound.

    Raises StorageError where the disk refuses to read it.
    """
    try:
        with naming(path), pq.ParquetFile(path, page_checksum_verification=True) as part:
            for _ in part.iter_batches(use_threads=False):
                pass
    except DamageError as error:
        return error
    return None
