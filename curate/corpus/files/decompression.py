"""Archives, decompressed in pieces of bounded size, whatever they expand to.

A few bytes of bz2, xz, gzip or zstd can stand for gigabytes. The decoders of the first three stop at a number of bytes
and go on from there; zstd is given few bytes at a time, and fewer where they expand much.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from typing import Any

import zstandard
from isal import igzip_lib

from curate.corpus.types import BrokenSourceError

COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".zstd": "zst", ".bz2": "bz2", ".xz": "xz"}
MAGIC = {b"\x1f\x8b\x08": "gz", b"\x28\xb5\x2f\xfd": "zst", b"\xfd7zXZ\x00": "xz"} | {
    b"BZh%d" % level + block: "bz2" for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")
}

# Bytes that a decoder returns at once, at most.
UNFOLDED_BYTES = 1 << 18
# A block of zstd has 4 bytes or more and expands to 128 KiB or less: so many bytes are never more than 128 MiB.
FIRST_ZSTD_PIECE, ZSTD_PIECE = 1 << 6, 1 << 12
# zstd --long=31 declares windows of up to 2 GiB; the default limit refuses them.
ZSTD_WINDOW = 1 << 31

ISAL_ERROR: Any = igzip_lib.IsalError
DECODE_ERRORS = (ISAL_ERROR, zstandard.ZstdError, lzma.LZMAError, EOFError, OSError, ValueError)


def decompress_pieces(pieces: Iterator[tuple[bytes, int]], compression: str) -> Iterator[tuple[bytes, int]]:
    """Yield the contents of an archive in chunks of bounded size, each with the stored bytes read so far.

    ``pieces`` are those of the archive with their positions. Every member of the archive is read; zero bytes between
    members are padding, as gzip and xz allow. Raises BrokenSourceError where the archive is damaged or breaks off.
    """
    decoder, started = make_decoder(compression), False
    for piece, position in pieces:
        rest = piece
        while rest:
            if decoder.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                decoder = make_decoder(compression)
            started = True
            try:
                for unfolded in _unfold(decoder, rest):
                    if unfolded:
                        yield unfolded, position
            except DECODE_ERRORS as error:
                raise BrokenSourceError(
                    f"the .{compression} archive is damaged ({str(error).strip(' .') or type(error).__name__})"
                ) from error
            rest = decoder.unused_data if decoder.eof else b""
    if started and not decoder.eof:
        raise BrokenSourceError(f"the .{compression} archive breaks off")


def _unfold(decoder: Any, piece: bytes) -> Iterator[bytes]:
    """Yield what a decoder makes of a piece, in chunks, up to the end of the member."""
    yield decoder.decompress(piece, UNFOLDED_BYTES)
    while not decoder.eof and not decoder.needs_input:
        yield decoder.decompress(b"", UNFOLDED_BYTES)


class ZstdDecoder:
    """A decoder of zstd with the methods of those of bz2 and xz."""

    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._ahead = b""
        self._size = FIRST_ZSTD_PIECE

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        """Whether all bytes that were given are decompressed."""
        return not self._ahead

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the member."""
        return self._decoder.unused_data + self._ahead

    def decompress(self, data: bytes, most: int) -> bytes:
        """Return the contents of the next bytes: about ``most``, or more by one piece of ``ZSTD_PIECE`` bytes."""
        ahead = self._ahead + data if self._ahead else data
        parts, length, at = [], 0, 0
        while at < len(ahead) and length < most and not self._decoder.eof:
            parts.append(self._decoder.decompress(ahead[at : at + self._size]))
            length += len(parts[-1])
            at += self._size
            self._size = min(2 * self._size, ZSTD_PIECE, max(1, self._size * most // max(1, len(parts[-1]))))
        self._ahead = ahead[at:]
        return b"".join(parts)


def make_decoder(compression: str) -> Any:
    """Return a decoder with ``decompress(data, most)``, ``needs_input``, ``eof`` and ``unused_data``."""
    if compression == "gz":
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if compression == "zst":
        return ZstdDecoder()
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "xz":
        return lzma.LZMADecompressor()
    raise ValueError(f"unknown compression {compression!r}")
