"""Files of a corpus by their content, whatever their names: which is the one of before, and which has grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xxhash

from curate.corpus.files.hub import find_revision
from curate.corpus.files.streams import filesystem_of, is_url, open_binary, read_edges
from curate.corpus.types import BrokenSourceError, Source

APPENDABLE = ("jsonl", "csv", "tsv")
"""Formats of which a longer file has the rows of a shorter one that it begins with, uncompressed."""


def fingerprint_source(source: Source) -> list[Any]:
    """Return size, start and end of a source as stored, or the version that its server states."""
    if source.format == "hub":
        return [find_revision(source.path)]
    if is_url(source.path):
        filesystem, inner = filesystem_of(source.path)
        info = filesystem.info(inner)
        tag = info.get("ETag") or info.get("etag") or info.get("checksum")
        if tag:
            return [source.size, str(tag)]
    try:
        return [source.size, *map(xxhash.xxh3_64_hexdigest, read_edges(source.path, source.size))]
    except BrokenSourceError as broken:
        return [source.size, str(broken)]


def identify_source(source: Source) -> list[Any]:
    """Return the identity of the content of a file, JSON-able: format, compression, size, and a hash of both ends.

    Where a server states a version, and of a file that cannot be read, it has that and the name of the file in the
    place of hashes: the splits of a dataset on the Hub have one version.
    """
    fingerprint = fingerprint_source(source)
    is_hashed = len(fingerprint) == 3
    return [source.format, source.compression, *fingerprint, *([] if is_hashed else ["name", source.name])]


def find_continuation(source: Source, identity: Sequence[Any]) -> int | None:
    """Return the byte behind the rows of a shorter file where a file is that one with rows added, else None.

    ``identity`` is that of the shorter file. Its last row must be complete: the byte behind it ends a line, or begins
    with the end of one.
    """
    if len(identity) != 5 or source.format not in APPENDABLE or source.compression is not None:
        return None
    kind, compression, size, *hashes = identity
    is_longer = isinstance(size, int) and source.size is not None and 0 < size < source.size
    if (kind, compression) != (source.format, None) or not is_longer:
        return None
    try:
        first, last = read_edges(source.path, size)
        with open_binary(source.path) as file:
            file.seek(size)
            behind = file.read(2)
    except BrokenSourceError:
        return None
    if [xxhash.xxh3_64_hexdigest(first), xxhash.xxh3_64_hexdigest(last)] != hashes:
        return None
    if (last or first).endswith(b"\n"):
        return int(size)
    ends = (len(end) for end in (b"\n", b"\r\n") if behind.startswith(end))
    return next((int(size) + length for length in ends), None)
