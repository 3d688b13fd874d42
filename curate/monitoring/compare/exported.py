"""The documents of an export as a side of a comparison: its added columns, and the hash of its texts."""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.corpus.values.arrow_types import is_string
from curate.errors import UsageError
from curate.exports.verify.reader import Export, read_columns
from curate.monitoring.compare.documents import DocumentBatch, Grouping
from curate.rundir.columns import kinds
from curate.runtime.arrays import Float64Array, Int64Array, UInt64Array

ADDED = ("file", "row", "nats", "tokens", "bytes", "perplexity", "bits_per_byte")


def find_added(export: Export) -> dict[str, str]:
    """Return the names of the added columns that a comparison reads. Raises TableError where the export has not all."""
    return {name: export.column(name) for name in ADDED}


def read_export(export: Export, grouping: Grouping) -> Iterator[DocumentBatch]:
    """Yield the documents of an export, a bounded number at a time.

    Raises UsageError where its documents have no column of the grouping.
    """
    added = find_added(export)
    columns = export.manifest.get("columns", {})
    text = export.manifest.get("text_field")
    text = text if text in columns else None
    for name in grouping.columns:
        if name.split(".")[0] not in columns and name not in columns:
            known = ", ".join(one for one in columns if one not in export.manifest.get("added", ()))
            raise UsageError(f'the documents of {export.folder} have no column "{name}"; they have {known}')
    tops = [name if name in columns else name.split(".")[0] for name in grouping.columns]
    wanted = list(dict.fromkeys([*added.values(), *([text] if text else []), *tops]))
    for shard in export.shards:
        for table in read_columns(export, shard["path"], wanted):
            yield grouping.make_batch(_make_table(table, added, text, grouping))


def _make_table(table: pa.Table, added: dict[str, str], text: str | None, grouping: Grouping) -> pa.Table:
    numbers = {name: _to_floats(table.column(column)) for name, column in added.items() if name not in ("file", "row")}
    tokens = _divide(numbers["nats"], np.log(numbers["perplexity"]), numbers["tokens"])
    octets = _divide(numbers["nats"], numbers["bits_per_byte"] * math.log(2), numbers["bytes"])
    made = {
        "hash": _hash_texts(table, added, text),
        "nats": pa.array(numbers["nats"], from_pandas=True),
        "scored_tokens": tokens,
        "scored_bytes": octets,
        "windows": np.zeros(len(table), np.int64),
        **{name: _find_column(table, name) for name in grouping.columns},
    }
    return pa.table(made)


def _divide(nats: Float64Array, rate: Float64Array, otherwise: Float64Array) -> Int64Array:
    """Return the count of which ``nats`` / count is ``rate``; ``otherwise`` where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = np.rint(nats / rate)
    return np.nan_to_num(np.where(np.isfinite(counts), counts, otherwise), nan=0.0).astype(np.int64)


def _to_floats(column: pa.ChunkedArray) -> Float64Array:
    return np.asarray(kinds.view_numbers(kinds.to_numbers(column.cast(pa.float64()), pa.float64())), np.float64)


def _hash_texts(table: pa.Table, added: dict[str, str], text: str | None) -> pa.Array:
    """Return the hash of each text; of file and row where the text is within another column."""
    if text is not None and is_string(table.column(text).type):
        values = table.column(text).to_pylist()
    else:
        places = zip(table.column(added["file"]).to_pylist(), table.column(added["row"]).to_pylist(), strict=True)
        values = [f"{file}:{row}" for file, row in places]
    return pa.array([xxhash.xxh3_64_intdigest((value or "").encode()) for value in values], pa.uint64())


def _find_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column, or a field of one that is named with dots; all null where a row has no such field."""
    if name in table.column_names:
        return table.column(name)
    first, *fields = name.split(".")
    column = table.column(first)
    for each in fields:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(each) < 0:
            return pa.chunked_array([pa.nulls(len(table), pa.large_string())])
        column = pc.struct_field(column, each)
    return column


def locate_texts(export: Export, text_hashes: UInt64Array) -> dict[int, tuple[str, int, str | None]]:
    """Return file and row of the first document with each of some texts, by their hashes."""
    added = find_added(export)
    columns = export.manifest.get("columns", {})
    text = export.manifest.get("text_field")
    text = text if text in columns else None
    found: dict[int, tuple[str, int, str | None]] = {}
    names = [added["file"], added["row"], *([text] if text else [])]
    for shard in export.shards:
        for table in read_columns(export, shard["path"], names):
            hashes = np.asarray(_hash_texts(table, added, text), np.uint64)
            for index in np.flatnonzero(np.isin(hashes, text_hashes)).tolist():
                file, row = (table.column(added[name])[index].as_py() for name in ("file", "row"))
                found.setdefault(int(hashes[index]), (file, row, None))
    return found
