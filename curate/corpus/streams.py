"""The bytes of a source, local or remote, decompressed, in chunks of bounded size.

A source that breaks off or cannot be opened raises ``BrokenSourceError`` after all chunks before the damage. A server
that does not answer raises ``StorageError``: that is not a property of the data and must not be recorded as one.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
from collections.abc import Callable, Iterator
from typing import IO, Any

import zstandard
from isal import isal_zlib

from curate.corpus.types import BrokenSourceError, Source
from curate.errors import CorpusError, StorageError

# A piece of an archive is decompressed at once, and repetitive text expands a thousandfold: pieces begin small, then
# grow and shrink with their expansion.
FIRST_PIECE, LARGEST_PIECE = 1 << 6, 1 << 15
UNFOLDED_BYTES = 1 << 18
# zstd --long=31 declares windows of up to 2 GiB; the default limit refuses them.
ZSTD_WINDOW = 1 << 31

ISAL_ERROR: Any = isal_zlib.error
DECODE_ERRORS = (ISAL_ERROR, zstandard.ZstdError, lzma.LZMAError, EOFError, OSError, ValueError)


def is_url(path: str) -> bool:
    """Return whether a path is a URL."""
    return "://" in path


def filesystem_of(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it. Raises CorpusError for an unknown protocol."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        protocol = url.split("://")[0]
        extra = {
            "s3": "s3",
            "s3a": "s3",
            "gs": "gcs",
            "gcs": "gcs",
            "az": "azure",
            "abfs": "azure",
            "http": "http",
            "https": "http",
        }.get(protocol)
        hint = f"pip install 'curate[{extra}]'" if extra else f"pip install the fsspec driver of {protocol}://"
        raise CorpusError(f"{url}: {error}", hint) from error
    except ValueError as error:
        raise CorpusError(
            f"{url}: {error}", "URLs begin with s3://, gs://, https://, hf:// or another protocol of fsspec"
        ) from error


def open_binary(path: str) -> IO[bytes]:
    """Open a path or URL for reading. Raises BrokenSourceError for a missing or refused file, and StorageError."""
    try:
        if is_url(path):
            filesystem, inner = filesystem_of(path)
            return RemoteFile(path, filesystem.open(inner, "rb"))  # type: ignore[return-value]
        return open(path, "rb", buffering=0)
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
    """Return an exception of open or read as BrokenSourceError (the file's fault) or StorageError (the server's)."""
    if isinstance(error, (CorpusError, StorageError, BrokenSourceError)):
        return error
    if isinstance(error, FileNotFoundError):
        return BrokenSourceError("the file is gone")
    if isinstance(error, PermissionError):
        return BrokenSourceError("permission denied")
    if is_url(path):
        return StorageError(f"{path}: {one_line(error)}", "the same command goes on from here")
    if isinstance(error, OSError):
        return BrokenSourceError(f"cannot be read: {error.strerror or one_line(error)}")
    return error


def one_line(error: BaseException) -> str:
    """Return the first line of the message of an exception, or its type without a message."""
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(" .:") if lines else "") or type(error).__name__


def read_chunks(source: Source, offset: int = 0, size: int = 1 << 20) -> Iterator[tuple[bytes, int]]:
    """Yield decompressed chunks, each with the number of stored bytes read so far.

    ``offset`` counts decompressed bytes: reading of a plain file seeks there, of others it discards what comes before.
    Raises BrokenSourceError and StorageError.
    """
    with open_binary(source.path) as file:
        if source.compression is None:
            yield from _read_plain(source, file, offset, size)
        else:
            yield from _drop_bytes(_decompress(source, file), offset)


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


def _decompress(source: Source, file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Decompress every member of the archive; zero bytes between members are padding, as gzip and xz allow."""
    decoder = make_decoder(source.compression)
    position, started, size = 0, False, FIRST_PIECE
    while piece := _read_some(source, file, size):
        position += len(piece)
        size = min(2 * size, LARGEST_PIECE)
        while piece:
            if decoder.eof:
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                decoder = make_decoder(source.compression)
            started = True
            try:
                unfolded = decoder.decompress(piece)
            except DECODE_ERRORS as error:
                raise BrokenSourceError(f"the .{source.compression} archive is damaged ({one_line(error)})") from error
            size = max(1, min(size, size * UNFOLDED_BYTES // max(1, len(unfolded))))
            piece = decoder.unused_data if decoder.eof else b""
            if unfolded:
                yield unfolded, position
    if started and not decoder.eof:
        raise BrokenSourceError(f"the .{source.compression} archive breaks off")


def make_decoder(compression: str | None) -> Any:
    """Return a decompression object with ``decompress``, ``eof`` and ``unused_data``."""
    if compression == "gz":
        return isal_zlib.decompressobj(wbits=31)
    if compression == "zst":
        return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "xz":
        return lzma.LZMADecompressor()
    raise ValueError(f"unknown compression {compression!r}")


def read_edges(path: str, size: int | None, length: int = 1 << 16) -> tuple[bytes, bytes]:
    """Return the first and the last ``length`` bytes as stored, without overlap.

    Raises BrokenSourceError and StorageError.
    """
    with open_binary(path) as file:
        try:
            first = file.read(length)
            if size is None or size <= length:
                return first, b""
            file.seek(max(length, size - length), os.SEEK_SET)
            return first, file.read(length)
        except Exception as error:
            raise as_failure(path, error) from error
