"""What a file holds, by its first bytes: its compression and its encoding, whatever its suffix says.

A gzip archive under the suffix of JSON Lines is decompressed, a plain file under ``.gz`` is read as it is, and a text
with the byte order mark of UTF-16 or UTF-32 is decoded. What is no text at all (ZIP, tar, Parquet …) is named.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from curate.corpus.files.decompression import MAGIC
from curate.corpus.files.streams import is_url, read_chunks
from curate.corpus.types import BrokenSourceError, Source

HEAD_BYTES = 4096
UTF8_MARK = b"\xef\xbb\xbf"
# Longer marks first: that of UTF-32 begins with that of UTF-16.
MARKS = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"PAR1": "a Parquet file: rename it to .parquet",
    b"ARROW1": "an Arrow file: rename it to .arrow",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF-": "a PDF file",
    b"\x89HDF": "an HDF5 file",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"Obj\x01": "an Avro file",
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS, not the file itself: git lfs pull",
}
TAR_MAGIC, TAR_OFFSET = b"ustar", 257
# The share of NUL bytes from which on a file is taken for text of two or four bytes a character, without a mark.
NUL_SHARE = 0.2


def resolve_contents(source: Source) -> Source:
    """Return a source of a text format with the compression and the encoding that its first bytes show.

    Raises BrokenSourceError where it cannot be opened or holds no text, and StorageError where a server fails.
    """
    if is_url(source.path):
        return _resolve_once(source)
    return _resolve(source)


def _resolve(source: Source) -> Source:
    stored = replace(source, compression=None)
    head = read_head(stored)
    compression = find_compression(source, head)
    source = replace(source, compression=compression)
    if source != stored:
        head = read_head(source)
    check_text(head, source.compression)
    mark = next((mark for mark in MARKS if head.startswith(mark)), None)
    if mark is None:
        check_nuls(head)
        return source
    return replace(source, encoding=MARKS[mark])


# Each look at a URL is a request.
_resolve_once = functools.lru_cache(maxsize=4096)(_resolve)


def read_head(source: Source, length: int = HEAD_BYTES) -> bytes:
    """Return the first bytes of a source, decompressed and decoded; fewer of an archive that is damaged behind them.

    Raises BrokenSourceError where nothing can be read, and StorageError.
    """
    head = b""
    try:
        for chunk, _ in read_chunks(source, 0, length):
            head += chunk
            if len(head) >= length:
                break
    except BrokenSourceError:
        if not head:
            raise
    return head[:length]


def find_compression(source: Source, head: bytes) -> str | None:
    """Return the compression that the first bytes as stored show; that of the suffix where they show nothing."""
    for magic, compression in MAGIC.items():
        if head.startswith(magic):
            return compression
    return source.compression if source.compression and not _is_plain(source, head) else None


def _is_plain(source: Source, head: bytes) -> bool:
    """Return whether a file with the suffix of an archive begins like text of its format."""
    if any(map(head.startswith, MARKS)):
        return True
    if source.format in ("json", "jsonl"):
        return head.removeprefix(UTF8_MARK).lstrip().startswith((b"{", b"["))
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start > HEAD_BYTES - 4 else ""
    return bool(text) and all(char.isprintable() or char.isspace() for char in text)


def check_text(head: bytes, compression: str | None) -> None:
    """Raise BrokenSourceError for the first bytes of what is no text."""
    what = name_contents(head)
    if head[TAR_OFFSET : TAR_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC:
        what = "a tar archive"
    if compression and any(map(head.startswith, MAGIC)):
        what = "compressed twice"
    if what is not None:
        raise BrokenSourceError(f"the file is {what}")


def name_contents(head: bytes) -> str | None:
    """Return what a file is that begins with ``head`` and is no text, None where that is not known."""
    return next((name for magic, name in NO_TEXT.items() if head.startswith(magic)), None)


def check_nuls(head: bytes) -> None:
    """Raise BrokenSourceError where the first bytes are those of UTF-16 or UTF-32 without a mark, or of no text."""
    if head.count(0) <= NUL_SHARE * len(head):
        return
    shares = [head[first::4].count(0) / max(1, len(head[first::4])) for first in range(4)]
    is_set = [share > 0.5 for share in shares]
    names = {
        (False, True, False, True): "UTF-16LE",
        (True, False, True, False): "UTF-16BE",
        (False, True, True, True): "UTF-32LE",
        (True, True, True, False): "UTF-32BE",
    }
    encoding = names.get((is_set[0], is_set[1], is_set[2], is_set[3]))
    if encoding is None:
        raise BrokenSourceError("the file holds NUL bytes, not text")
    raise BrokenSourceError(
        f"the file looks like {encoding} without a byte order mark: iconv -f {encoding} -t UTF-8 converts it"
    )
