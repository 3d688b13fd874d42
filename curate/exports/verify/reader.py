"""An export, read back: its manifest, its shards, and its order.

``order.parquet`` has a row for each document, sorted by position: position, shard (the path below the export),
shard_row, file, row, tokens, cumulative_tokens (this document included).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import TableError, UsageError
from curate.exports import dataset_folder
from curate.exports.formats.shards import FORMATS, TABLE_FORMATS, list_shards
from curate.exports.verify.order_check import UNKNOWN, Positions
from curate.runtime.arrays import Int64Array
from curate.runtime.disk.filenames import expand_home
from curate.runtime.text import command, quote_word

ORDER_COLUMNS = ("position", "shard", "shard_row", "file", "row", "tokens", "cumulative_tokens")
ROW_BITS = 40
"""Bits of the row in a key of the index of a file and a row: up to a million million rows."""


@dataclass(frozen=True, slots=True)
class Export:
    """A folder that ``curate export`` wrote."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def format(self) -> str:
        """A name in ``shards.FORMATS``."""
        return str(self.manifest["format"])

    @property
    def holds_text(self) -> bool:
        """Whether the shards have the columns of the documents; else they have token ids."""
        return FORMATS[self.format].holds_text

    @property
    def rows(self) -> int:
        """Documents."""
        return int(self.manifest["rows"])

    @property
    def ordered(self) -> bool:
        """Whether the manifest says that the export is in an order of ``curate order``."""
        return bool(self.manifest.get("ordered"))

    @property
    def by_bucket(self) -> bool:
        """Whether each bucket has its folder, and in it its order."""
        return bool((self.manifest.get("buckets") or {}).get("folders"))

    @property
    def order(self) -> Path:
        """The path of ``order.parquet``, which may be missing."""
        return self.folder / "order.parquet"

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """All files of the manifest: path, rows, bytes, sha256."""
        return list(self.manifest["files"])

    @property
    def shards(self) -> list[Mapping[str, Any]]:
        """The files that hold documents, sorted by path."""
        return list_shards(self.files, self.format)

    def column(self, name: str) -> str:
        """Return the name that an added column (``file``, ``row`` …) has in this export.

        Raises TableError where it has none.
        """
        for added in self.manifest.get("added", ()):
            if re.fullmatch(rf"curate\d*_{name}", added):
                return str(added)
        raise TableError(f"{self.folder} has no column curate_{name}", make_export_hint(self.folder))


def make_export_hint(folder: Path) -> str:
    """Return the command that writes an export again; its run and its options are not known here."""
    return command(f"export {quote_word(str(folder))} --overwrite")


def open_export(out: str | Path) -> Export:
    """Open an export. Raises UsageError where there is none, TableError where its manifest is incomplete."""
    folder = expand_home(out)
    if not folder.is_dir():
        raise UsageError(f"there is no export {folder}", command(f"export {quote_word(str(folder))}"))
    if not dataset_folder.is_export(folder):
        message = f"{folder} is not an export of curate: its manifest.json is missing or of another program"
        raise UsageError(message, "curate export OUT")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    missing = {"format", "rows", "files", "tokens"} - manifest.keys()
    if missing or manifest["format"] not in FORMATS:
        raise TableError(f"{folder / 'manifest.json'} is incomplete", make_export_hint(folder))
    return Export(folder, manifest)


def read_order(export: Export) -> pa.Table:
    """Return the order of an export, sorted by position, with ``shard`` and ``file`` as dictionaries.

    The rows of an export by bucket stay as they are in the file, bucket by bucket. Raises TableError where there is no
    order, or the file is no table of an order.
    """
    if not export.order.exists():
        again = make_export_hint(export.folder)
        hint = again if export.ordered else f"{command('order --by ppl')}, then {again}"
        raise TableError(f"{export.folder} has no order: order.parquet is not there", hint)
    try:
        table = pq.read_table(export.order, read_dictionary=["shard", "file"], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        message = f"{export.order} cannot be read: {str(error).splitlines()[0]}"
        raise TableError(message, make_export_hint(export.folder)) from error
    missing = [name for name in ORDER_COLUMNS if name not in table.column_names]
    if missing:
        raise TableError(f"{export.order} has no column {', '.join(missing)}", make_export_hint(export.folder))
    positions = table.column("position").to_numpy()
    return table if export.by_bucket or bool(np.all(np.diff(positions) >= 0)) else table.sort_by("position")


def read_sequence(export: Export) -> pa.Table:
    """Return the order in which a reader of all shards reads: of an export by bucket, one bucket after the other.

    Positions and cumulative tokens are those of that order. Raises TableError as ``read_order`` does.
    """
    order = read_order(export)
    if not export.by_bucket:
        return order
    sums = pa.array(np.cumsum(order.column("tokens").to_numpy()), pa.int64())
    names = order.column_names
    order = order.set_column(names.index("position"), "position", pa.array(np.arange(len(order)), pa.int64()))
    return order.set_column(names.index("cumulative_tokens"), "cumulative_tokens", sums)


def find_folders(order: pa.Table) -> Int64Array:
    """Return the rows of an order with which its F folders begin and, last, its length: F + 1 row indices."""
    column = order.column("shard").combine_chunks()
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    tops = pa.array([str(Path(name).parent) for name in column.dictionary.to_pylist()]).dictionary_encode()
    codes = tops.indices.to_numpy()[column.indices.to_numpy()]
    return np.append(np.flatnonzero(np.diff(codes, prepend=-1)), len(codes))


@dataclass(frozen=True, slots=True, eq=False)
class PositionIndex:
    """The positions of N documents by file and row. Memory: 16 bytes a document."""

    files: pa.Array
    """The names of the files, large_string; a key has the index of one."""
    keys: Int64Array
    """N keys of a file and a row, sorted."""
    positions: Positions
    """Of the N documents, in the order of their keys."""

    def find(self, files: Sequence[str] | pa.Array | pa.ChunkedArray, rows: Any) -> Positions:
        """Return the position of each document, ``UNKNOWN`` where the order has no such document."""
        column = files.combine_chunks() if isinstance(files, pa.ChunkedArray) else files
        column = column if isinstance(column, pa.Array) else pa.array(column, pa.large_string())
        codes = pc.index_in(column.cast(pa.large_string()), self.files).fill_null(-1).to_numpy(zero_copy_only=False)
        keys = _pack_keys(codes.astype(np.int64), np.asarray(rows, dtype=np.int64))
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.positions[at], UNKNOWN)


def _pack_keys(codes: Int64Array, rows: Int64Array) -> Int64Array:
    return (codes << ROW_BITS) | rows


def index_positions(order: pa.Table) -> PositionIndex:
    """Return the index of an order with at least one document."""
    column = order.column("file").combine_chunks()
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    keys = _pack_keys(column.indices.to_numpy().astype(np.int64), order.column("row").to_numpy())
    ranks = np.argsort(keys, kind="stable")
    return PositionIndex(
        column.dictionary.cast(pa.large_string()), keys[ranks], order.column("position").to_numpy()[ranks]
    )


def read_columns(export: Export, path: str, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a shard of text, a bounded number of rows at a time.

    Raises ValueError or OSError where the file is no such shard.
    """
    return TABLE_FORMATS[export.format].read_shard(export.folder / path, names)
