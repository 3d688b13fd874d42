"""The bytes of a source, local or remote, decompressed and in UTF-8, in chunks of bounded size.

A source that breaks off or is gone raises ``BrokenSourceError`` after all chunks before the damage. A disk that fails
or refuses, and a server that does not answer, raise ``StorageError``: that is not a property of the data and must not
be recorded as one.
"""

from __future__ import annotations

import codecs
import io
import itertools
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

from curate.corpus.files.decompression import decompress_pieces
from curate.corpus.types import BrokenSourceError, Source
from curate.errors import CorpusError, StorageError, UsageError
from curate.runtime.disk import files
from curate.runtime.disk.object_store import find_filesystem

# Archives are read in pieces that begin small, so that the start of one is soon read.
FIRST_PIECE, LARGEST_PIECE = 1 << 6, 1 << 15
GO_ON = "the same command goes on from here"


def is_url(path: str) -> bool:
    """Return whether a path is a URL."""
    return "://" in path


def filesystem_of(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it. Raises CorpusError for an unknown protocol."""
    try:
        return find_filesystem(url)
    except UsageError as error:
        raise CorpusError(error.message, error.hint) from error


def open_binary(path: str) -> IO[bytes]:
    """Open a path or URL for reading; a read returns all bytes that were asked for, but at the end of the file.

    Raises BrokenSourceError for a missing file, and StorageError.
    """
    try:
        if is_url(path):
            filesystem, inner = filesystem_of(path)
            return RemoteFile(path, filesystem.open(inner, "rb"))  # type: ignore[return-value]
        return open(path, "rb")  # without its buffer a read may return fewer bytes
    except Exception as error:
        raise as_failure(path, error) from error


class RemoteFile(io.RawIOBase):
    """A file behind a URL whose driver's exceptions become our errors, also where Arrow reads it."""

    def __init__(self, url: str, file: Any):
        self._url = url
        self._file = file

    def _try(self, function: Callable[..., Any], *values: int) -> Any:
        try:
            return function(*values)
        except Exception as error:
            raise as_failure(self._url, error) from error

    def read(self, size: int = -1) -> bytes:
        return self._try(self._file.read, size)  # type: ignore[no-any-return]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(self._file.seek, offset, whence)  # type: ignore[no-any-return]

    def tell(self) -> int:
        return self._file.tell()  # type: ignore[no-any-return]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def as_failure(path: str, error: Exception) -> Exception:
    """Return an exception of open or read as BrokenSourceError (the file's fault) or StorageError.

    The latter is the fault of a server, a disk or a permission: the next run may read what this one cannot.
    """
    if isinstance(error, (CorpusError, StorageError, BrokenSourceError)):
        return error
    if isinstance(error, FileNotFoundError):
        return BrokenSourceError("the file is gone")
    if isinstance(error, PermissionError):
        return StorageError(f"{path} may not be read: {error.strerror or one_line(error)}", f"allow it, and {GO_ON}")
    if is_url(path):
        return StorageError(f"{path}: {one_line(error)}", GO_ON)
    if isinstance(error, OSError):
        if files.is_of_system(error):
            return StorageError(f"{path} cannot be read: {error.strerror or one_line(error)}", GO_ON)
        return BrokenSourceError(f"cannot be read: {error.strerror or one_line(error)}")
    return error


def one_line(error: BaseException) -> str:
    """Return the first line of the message of an exception, or its type without a message."""
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(" .:") if lines else "") or type(error).__name__


def read_chunks(source: Source, offset: int = 0, size: int = 1 << 20) -> Iterator[tuple[bytes, int]]:
    """Yield chunks, decompressed and in UTF-8, each with the number of stored bytes read so far.

    ``offset`` counts bytes of the chunks: reading of a plain file seeks there, of others it discards what comes before.
    Raises BrokenSourceError and StorageError.
    """
    with open_binary(source.path) as file:
        if source.is_plain:
            yield from _read_plain(source, file, offset, size)
            return
        chunks = _read_plain(source, file, 0, size)
        if source.compression is not None:
            chunks = decompress_pieces(_read_pieces(source, file), source.compression)
        if source.encoding is not None:
            chunks = _transcode(chunks, source.encoding)
        yield from _drop_bytes(chunks, offset)


def _read_plain(source: Source, file: IO[bytes], offset: int, size: int) -> Iterator[tuple[bytes, int]]:
    position = 0
    if offset:
        try:
            position = file.seek(offset)
        except StorageError:
            position = 0  # A server without ranges: read up to the offset instead.
    skip = offset - position
    while chunk := _read_some(source, file, size):
        position += len(chunk)
        if skip:
            chunk, skip = chunk[skip:], max(0, skip - len(chunk))
        if chunk:
            yield chunk, position


def _drop_bytes(chunks: Iterator[tuple[bytes, int]], count: int) -> Iterator[tuple[bytes, int]]:
    for chunk, position in chunks:
        kept = chunk[count:] if count else chunk
        count = max(0, count - len(chunk))
        if kept:
            yield kept, position


def _read_some(source: Source, file: IO[bytes], size: int) -> bytes:
    try:
        return file.read(size)
    except Exception as error:
        raise as_failure(source.path, error) from error


def _read_pieces(source: Source, file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of an archive as stored, each piece with the position after it; the first pieces are small."""
    position, size = 0, FIRST_PIECE
    while piece := _read_some(source, file, size):
        position += len(piece)
        yield piece, position
        size = min(2 * size, LARGEST_PIECE)


def _transcode(chunks: Iterator[tuple[bytes, int]], encoding: str) -> Iterator[tuple[bytes, int]]:
    """Yield the chunks of a text in UTF-8, without its byte order mark; lone surrogates stay, as invalid UTF-8.

    Raises BrokenSourceError at bytes that are no characters of the encoding, and where the last character is cut.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    position, is_start = 0, True
    try:
        for chunk, position in itertools.chain(chunks, [(b"", -1)]):
            text = decoder.decode(chunk, final=position < 0)
            if text:
                text = text.removeprefix("\ufeff") if is_start else text
                is_start = False
                yield text.encode("utf-8", "surrogatepass"), position
    except UnicodeDecodeError as error:
        raise BrokenSourceError(f"invalid {encoding.upper()} ({error.reason})") from error


def read_edges(path: str, size: int | None) -> tuple[bytes, bytes]:
    """Return both ends of the first ``size`` bytes as stored (``files.read_edges``).

    Raises BrokenSourceError and StorageError.
    """
    with open_binary(path) as file:
        try:
            return files.read_edges(file, size)
        except Exception as error:
            raise as_failure(path, error) from error
