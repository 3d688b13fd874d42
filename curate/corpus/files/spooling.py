"""Streams as files: what can be read only once is kept in the run directory, where later verbs find it again.

    standard input, ``<(…)``, named pipe → RUN/streams/HASH/NAME.SUFFIX → a file of the corpus

The folder is named by the content, so that the same command with the same content reads the same file and resumes.
The suffix is that of the pipe, or it is found in the first bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import xxhash

from curate.corpus import readers
from curate.corpus.files.contents import resolve_contents
from curate.corpus.files.sources import format_of, is_stream
from curate.corpus.files.streams import is_url
from curate.corpus.readers.csv_dialect import find_suffix
from curate.corpus.readers.json_layout import find_layout, holds_json
from curate.corpus.types import BrokenSourceError, Source
from curate.errors import CorpusError, UsageError
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.disk.mirrors import find_mirror
from curate.runtime.disk.writers import name_temporary
from curate.runtime.text import quote_path

FOLDER = "streams"
CHUNK_BYTES = 1 << 20
STANDARD_INPUT = re.compile(r"-|/dev/stdin|/dev/fd/0|/proc/self/fd/0")


def spool_streams(paths: Sequence[str], run: Path, enter: Callable[[], None] | None = None) -> list[str]:
    """Return the paths of a corpus with each stream replaced by the file in the run directory to which it is copied.

    ``enter`` is called before anything is written: it marks the run directory.
    Raises UsageError for a stream that is given twice, CorpusError for one that is empty or a terminal, and
    StorageError where it cannot be written. A copy that is interrupted leaves nothing behind.
    """
    streams = [path for path in map(str, paths) if not is_url(path) and is_stream(os.path.expanduser(path))]
    names = ["-" if STANDARD_INPUT.fullmatch(path) else path for path in streams]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is given twice, and a stream can be read only once", f"give {name} once")
    if streams and find_mirror(run) is not None:
        message = f"{names[0]} is a stream, which is kept in the run directory, and {run} is in an object store"
        raise UsageError(message, f"cat{'' if names[0] == '-' else ' ' + quote_path(names[0])} > corpus.jsonl")
    kept: dict[str, str] = {}
    if streams and enter is not None:
        enter()
    for path, name in zip(streams, names, strict=True):
        kept[path] = _spool(os.path.expanduser(path), name, run / FOLDER, len(kept) + 1)
    return [kept.get(path, path) for path in map(str, paths)]


def _spool(path: str, name: str, folder: Path, number: int) -> str:
    """Copy a stream to a file, and return its path."""
    part = name_temporary(folder / "stream")
    title = "standard input" if name == "-" else name
    had_run = folder.parent.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digest, size, holds_anything = _copy(path, name, part)
        if not holds_anything:
            what = "holds nothing but white space" if size else "is empty"
            raise CorpusError(f"{title} {what}: no document was read", "see that the command before the pipe succeeds")
        target = folder / digest[:16] / _name_copy(name, part, number)
        if target.exists():
            part.unlink()
        else:
            target.parent.mkdir(exist_ok=True)
            os.replace(part, target)
    except OSError as error:
        raise files.make_storage_error(error, folder) from error
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            part.unlink(missing_ok=True)
        for made in (folder, *([] if had_run else [folder.parent])):
            _remove_empty(made)
    console.say("kept", f"{title} as {target}, {console.format_size(size)}")
    return str(target)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # Something is in it.
        folder.rmdir()


def _copy(path: str, name: str, part: Path) -> tuple[str, int, bool]:
    """Copy a stream to ``part``, and return the hash of its content, its size, and whether it is more than white space.

    Raises CorpusError for a terminal and for a stream that cannot be read.
    """
    digest, size, holds_anything = xxhash.xxh3_128(), 0, False
    try:
        source = open(0 if name == "-" else path, "rb", buffering=0, closefd=name != "-")  # noqa: SIM115
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}", "see that the stream is open") from error
    with source, open(part, "wb") as target:
        if stat.S_ISCHR(os.fstat(source.fileno()).st_mode) and source.isatty():
            raise CorpusError(f"{path} is a terminal, not a stream", "cat data.jsonl | curate score -")
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            holds_anything = holds_anything or not chunk.isspace()
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest(), size, holds_anything


def _name_copy(name: str, part: Path, number: int) -> str:
    """Return the name of the copy of a stream: that of a pipe with a known suffix, else one with the suffix found."""
    own = PurePosixPath(name).name
    if format_of(own)[0] is not None:
        return own
    stem = "stdin" if name == "-" else "stream" if own.isdecimal() else own
    return f"{stem}{'' if number == 1 else f'-{number}'}{find_content_suffix(str(part))}"


def find_content_suffix(path: str) -> str:
    """Return the suffix under which a file is read rightly, by its content; ``.txt`` where it is text of no format."""
    with open(path, "rb") as file:
        head = file.read(4096)
    for file_format in readers.FORMATS.values():
        if head.startswith(file_format.magic):
            return file_format.suffixes[0]
    source = Source(path, "stream", "text", None, None)
    try:
        source = resolve_contents(source)
    except BrokenSourceError as broken:
        raise CorpusError(f"the stream cannot be read: {broken}", "unpack or convert it before the pipe") from broken
    packed = f".{source.compression}" if source.compression else ""
    return find_text_suffix(source) + packed


def find_text_suffix(source: Source) -> str:
    """Return the suffix of a text by its content: that of JSON, of CSV or TSV, or ``.txt``."""
    if holds_json(source):
        return ".jsonl" if find_layout(replace(source, format="json")).kind == "lines" else ".json"
    return find_suffix(source) or ".txt"
