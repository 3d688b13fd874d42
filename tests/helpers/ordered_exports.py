"""Ordered exports as the contract of ``curate export`` has them, made without a run: permuted documents in shards."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.corpus.values.schema_widening import SchemaShape
from curate.exports import dataset_folder
from curate.exports.formats.features import build_schema
from curate.exports.formats.shard_writer import ShardWriter
from curate.exports.formats.shards import FORMATS
from curate.exports.manifest import compute_identity

ADDED = ["curate_file", "curate_row", "curate_tokens"]


def make_documents(count, seed=0):
    """Documents of two files, in an order that is neither that of the files nor of the rows."""
    ranks = np.random.default_rng(seed).permutation(count)
    texts = [f"document {rank} " + "word " * int(rank % 11) for rank in ranks]
    tokens = [len(text.split()) for text in texts]
    files = ["b/second.jsonl" if rank % 3 == 0 else "a.jsonl" for rank in ranks]
    columns = {"text": texts, "curate_file": files, "curate_row": ranks, "curate_tokens": tokens}
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def write_ordered(folder, kind, documents, shard_bytes=2000, hashed=False, ordered=True):
    """Write documents in the order in which they stand."""
    folder.mkdir(parents=True)
    writer = ShardWriter(folder, kind, shard_bytes, SchemaShape(last=tuple(ADDED)))
    writer.add(documents)
    files = writer.finish()
    identity = compute_identity(kind, files)
    if FORMATS[kind].loads_from_disk:
        dataset_folder.write_state(folder, build_schema(writer.shape), files, identity)
    dataset_folder.write_text(folder / "README.md", dataset_folder.make_front_matter(writer, identity))
    if ordered:
        pq.write_table(order_table(documents, files, hashed), folder / "order.parquet")
    manifest = {
        "made_by": dataset_folder.MADE_BY,
        "fingerprint": identity,
        "format": kind,
        "rows": len(documents),
        "tokens": sum(documents.column("curate_tokens").to_pylist()),
        "columns": {column.name: str(column.type) for column in writer.shape.schema()},
        "added": ADDED,
        "text_field": "text",
        "files": [asdict(file) for file in files],
        **({"ordered": True, "order": {"by": "perplexity", "schedule": "sort"}} if ordered else {}),
    }
    dataset_folder.write_json(folder / "manifest.json", manifest)
    return folder


def order_table(documents, files, hashed=False):
    """The table of the order of some documents in some shards."""
    shards = [(file.path, row) for file in files for row in range(file.rows)]
    tokens = documents.column("curate_tokens").to_numpy()
    columns = {
        "position": pa.array(range(len(documents)), pa.int64()),
        "shard": pa.array([name for name, _row in shards], pa.large_string()),
        "shard_row": pa.array([row for _name, row in shards], pa.int64()),
        "file": documents.column("curate_file").cast(pa.large_string()),
        "row": documents.column("curate_row"),
        "tokens": pa.array(tokens, pa.int64()),
        "cumulative_tokens": pa.array(np.cumsum(tokens), pa.int64()),
    }
    if hashed:
        texts = documents.column("text").to_pylist()
        columns["hash"] = pa.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], pa.uint64())
    return pa.table(columns)


def an_export(folder, kind="parquet", count=60, **options):
    return write_ordered(folder / "out", kind, make_documents(count), **options)
