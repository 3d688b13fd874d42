"""An export checked against itself: its files, and that each document is where the order says."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.errors import TableError
from curate.exports.tokens import formats
from curate.exports.verify.reader import Export, find_folders, read_columns, read_order

CACHE_PREFIX = "cache-"
"""Begins the names of what ``Dataset.map`` writes next to the shards; no reader takes it for one."""
SHOWN = 5
"""Problems of one kind that are listed."""


@dataclass(frozen=True, slots=True)
class IntegrityFinding:
    """One check and its result."""

    check: str
    """What was checked: files, order, shards, tokens, documents, token files."""
    detail: str
    """A sentence: what is right, or what is wrong."""
    ok: bool = True


def check_files(export: Export) -> list[IntegrityFinding]:
    """Check that the files of the manifest exist with their sizes and checksums, and have as many rows as it counts.

    A file with a suffix of theirs that the manifest does not list is a problem, too.
    """
    problems = [problem for file in export.files if (problem := _find_problem(export.folder, file))]
    listed = {file["path"] for file in export.files}
    ends = tuple({Path(path).suffix for path in listed})
    unlisted = sorted(_list_files(export) - listed)
    problems += [f"{name} is not in the manifest" for name in unlisted if name.endswith(ends)]
    rows = sum(int(shard["rows"]) for shard in export.shards)
    if rows != export.rows:
        problems.append(f"the shards have {rows:,} documents, the manifest counts {export.rows:,}")
    if problems:
        return [IntegrityFinding("files", problem, False) for problem in _shorten(problems)]
    what = "1 file is" if len(listed) == 1 else f"all {len(listed):,} files are"
    return [IntegrityFinding("files", f"{what} there; sizes and checksums are those of the manifest")]


def _list_files(export: Export) -> set[str]:
    """Return the paths of all files in the folders of the manifest's files, but for what ``datasets`` caches there."""
    tops = {path.split("/")[0] for path in (file["path"] for file in export.files) if "/" in path}
    paths = (path for top in tops for path in (export.folder / top).rglob("*") if path.is_file())
    return {path.relative_to(export.folder).as_posix() for path in paths if not path.name.startswith(CACHE_PREFIX)}


def _find_problem(folder: Path, file: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a file of the manifest, or None."""
    path = folder / file["path"]
    if not path.is_file():
        return f"{file['path']} is missing"
    num_bytes = path.stat().st_size
    if num_bytes != file["bytes"]:
        return f"{file['path']} has {num_bytes:,} bytes, the manifest says {file['bytes']:,}"
    with open(path, "rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != file["sha256"]:
            return f"{file['path']} has changed: its sha256 is not that of the manifest"
    return None


def _shorten(problems: list[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = len(problems) - SHOWN
    return problems if more <= 0 else [*problems[:SHOWN], f"and {more:,} more"]


def check_order(export: Export) -> list[IntegrityFinding]:
    """Check that the order is one: a permutation that the shards follow, row by row, with tokens that add up."""
    try:
        order = read_order(export)
    except TableError as error:
        return [IntegrityFinding("order", error.message, False)]
    checks = (_check_permutation, _check_names, _check_tokens)
    findings = [check(export, order) for check in checks]
    if not all(finding.ok for finding in findings):
        return findings
    return [*findings, _check_documents(export, order)]


def _check_permutation(export: Export, order: pa.Table) -> IntegrityFinding:
    positions = order.column("position").to_numpy()
    if len(positions) != export.rows:
        return IntegrityFinding(
            "order", f"order.parquet has {len(positions):,} rows, the export {export.rows:,}", False
        )
    wrong = np.flatnonzero(np.sort(positions) != np.arange(len(positions)))
    if len(wrong):
        at = int(wrong[0])
        return IntegrityFinding(
            "order", f"not a permutation: position {at:,} is missing, or another comes twice", False
        )
    inside = ""
    if export.by_bucket:
        begins = find_folders(order)
        for first, last in itertools.pairwise(begins.tolist()):
            if np.any(np.diff(positions[first:last]) < 0):
                name = order.column("shard")[first].as_py()
                return IntegrityFinding("order", f"the bucket of {name} is not in order", False)
        inside = f", in order inside each of {len(begins) - 1:,} buckets"
    return IntegrityFinding("order", f"a permutation of {len(positions):,} documents{inside}")


def _check_names(export: Export, order: pa.Table) -> IntegrityFinding:
    """Check that the sorted names of the shards are the reading order, and that the rows of each are in file order."""
    column = order.column("shard").combine_chunks()
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes, rows = column.indices.to_numpy(), order.column("shard_row").to_numpy()
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    names = [column.dictionary[int(codes[at])].as_py() for at in begins]
    listed = [(str(shard["path"]), int(shard["rows"])) for shard in export.shards if shard["rows"]]
    lengths = np.diff(np.append(begins, len(codes))).tolist()
    for number, (name, length) in enumerate(zip(names, lengths, strict=True)):
        if number >= len(listed) or (name, length) != listed[number]:
            expected = f"{listed[number][0]} with {listed[number][1]:,}" if number < len(listed) else "none"
            detail = f"shard {number + 1} of the order is {name} with {length:,} documents; by its sorted names it is "
            return IntegrityFinding("shards", detail + expected, False)
    if len(names) != len(listed):
        return IntegrityFinding("shards", f"the order names {len(names):,} shards, the manifest {len(listed):,}", False)
    wrong = np.flatnonzero(rows != np.arange(len(rows)) - np.repeat(begins, lengths))
    if len(wrong):
        at = int(wrong[0])
        return IntegrityFinding(
            "shards", f"position {at:,} should be row {rows[at]:,} of its shard: not in reading order", False
        )
    return IntegrityFinding("shards", f"their sorted names are the reading order ({len(listed):,})")


def _check_tokens(export: Export, order: pa.Table) -> IntegrityFinding:
    """Check that cumulative tokens add up, within each folder of an export by bucket, and to the manifest's total."""
    tokens, sums = order.column("tokens").to_numpy(), order.column("cumulative_tokens").to_numpy()
    begins = find_folders(order) if export.by_bucket else np.array([0, len(tokens)])
    parts = [np.cumsum(tokens[first:last]) for first, last in itertools.pairwise(begins.tolist())]
    wrong = np.flatnonzero(np.concatenate([*parts, np.zeros(0, np.int64)]) != sums)
    if len(wrong):
        at = int(wrong[0])
        return IntegrityFinding("tokens", f"cumulative_tokens do not add up from position {at:,} on", False)
    total, manifest = int(tokens.sum()), export.manifest
    listed = int(manifest["tokens"] if export.holds_text else manifest["tokenised"]["tokens"])
    if total != listed:
        return IntegrityFinding("tokens", f"the order has {total:,} tokens, the manifest {listed:,}", False)
    return IntegrityFinding("tokens", f"cumulative tokens add up to {total:,}")


def _check_documents(export: Export, order: pa.Table) -> IntegrityFinding:
    """Check every row of every shard against the order: its file and row, and where the order has one, its hash."""
    hashed = "hash" in order.column_names and export.holds_text and _text_column(export) is not None
    done = 0
    try:
        for name, part in _document_parts(export, hashed):
            expected = order.slice(done, len(part))
            wrong = _first_difference(part, expected, hashed)
            if wrong is not None:
                return IntegrityFinding("documents", _describe_difference(part, expected, name, done, wrong), False)
            done += len(part)
    except (pa.ArrowException, orjson.JSONDecodeError, ValueError, OSError) as error:
        return IntegrityFinding("documents", f"a shard cannot be read: {str(error).splitlines()[0]}", False)
    if done != len(order):
        return IntegrityFinding("documents", f"the shards have {done:,} documents, the order {len(order):,}", False)
    with_hash = ", by file, row and the hash of its text" if hashed else ", by file and row"
    return IntegrityFinding("documents", "each stands where order.parquet says" + with_hash)


def _document_parts(export: Export, hashed: bool) -> Iterator[tuple[str, pa.Table]]:
    """Yield file, row and, with ``hashed``, text of the documents in the shards, which are sorted by name.

    Token files have no such columns: ``documents.parquet`` gives file, row and tokens.
    """
    if not export.holds_text:
        with pq.ParquetFile(export.folder / "documents.parquet") as file:
            for batch in file.iter_batches(columns=["file", "row", "tokens"]):
                yield "documents.parquet", pa.Table.from_batches([batch])
        return
    names = [export.column("file"), export.column("row"), *([_text_column(export)] if hashed else [])]
    for shard in export.shards:
        for part in read_columns(export, shard["path"], [name for name in names if name]):
            yield shard["path"], part.rename_columns(["file", "row", "text"][: part.num_columns])


def _text_column(export: Export) -> str | None:
    """Return the column with the text; None where the text is inside another column."""
    name = export.manifest.get("text_field")
    return name if name in export.manifest.get("columns", {}) else None


def _first_difference(part: pa.Table, expected: pa.Table, hashed: bool) -> int | None:
    """Return the first row of a part that is not the expected document, or None."""
    if len(expected) != len(part):
        return len(expected)
    rows = part.column("row").to_numpy() != expected.column("row").to_numpy()
    files = np.array(part.column("file").to_pylist(), object) != np.array(expected.column("file").to_pylist(), object)
    wrong = rows | files
    if "tokens" in part.column_names:
        wrong |= part.column("tokens").to_numpy() != expected.column("tokens").to_numpy()
    if hashed:
        digests = [xxhash.xxh3_64_intdigest(text.encode()) for text in part.column("text").to_pylist()]
        wrong |= np.array(digests, np.uint64) != expected.column("hash").to_numpy()
    differing = np.flatnonzero(wrong)
    return int(differing[0]) if len(differing) else None


def _describe_difference(part: pa.Table, expected: pa.Table, name: str, done: int, at: int) -> str:
    stands = f"{part.column('file')[at].as_py()}, row {part.column('row')[at].as_py()}"
    if at >= len(expected):
        return f"{name} goes on with {stands} after the last position of the order"
    should = f"{expected.column('file')[at].as_py()}, row {expected.column('row')[at].as_py()}"
    if stands == should:
        tokens = "tokens" in part.column_names
        return f"position {done + at:,} ({should}): its " + ("tokens are not so many" if tokens else "text has changed")
    return f"position {done + at:,} should be {should}; in {name} stands {stands}"


def check_tokens(export: Export) -> list[IntegrityFinding]:
    """Check that the token files are what their indexes and ``documents.parquet`` say."""
    try:
        problem = _find_token_problem(export)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        problem = str(error).splitlines()[0]
    if problem is not None:
        return [IntegrityFinding("token files", problem, False)]
    notes = export.manifest["tokenised"]
    total = f"{notes['tokens']:,} {notes['dtype']} ids of {export.rows:,} documents"
    return [IntegrityFinding("token files", f"{total}, as their indexes and documents.parquet say")]


def _find_token_problem(export: Export) -> str | None:
    """Return what is wrong with the token files, or None. Raises ValueError or OSError where one cannot be read."""
    notes, documents = export.manifest["tokenised"], pq.read_table(export.folder / "documents.parquet")
    shards, total, done = documents.column("shard").to_numpy(), 0, 0
    for number, shard in enumerate(export.shards):
        index = formats.read_index(export.folder / shard["path"])
        rows = documents.slice(done, int(shard["rows"]))
        if index.dtype != notes["dtype"] or len(index.offsets) - 1 != shard["rows"]:
            indexed = f"{len(index.offsets) - 1:,} documents of {index.dtype} ids"
            return f"{shard['path']} has {indexed}, the manifest says {shard['rows']:,} of {notes['dtype']}"
        starts, lengths = rows.column("start").to_numpy(), rows.column("tokens").to_numpy()
        if not (np.array_equal(starts, index.offsets[:-1]) and np.array_equal(lengths, np.diff(index.offsets))):
            return f"{shard['path']}: documents.parquet and the index differ in where documents begin and end"
        if np.any(shards[done : done + len(rows)] != number):
            return f"{shard['path']}: documents.parquet names another shard for some of its documents"
        done, total = done + len(rows), total + int(index.offsets[-1])
    if total != notes["tokens"] or done != len(documents):
        return f"the files have {total:,} ids of {done:,} documents, the manifest says {notes['tokens']:,}"
    return None
