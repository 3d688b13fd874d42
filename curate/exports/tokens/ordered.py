"""``export --format tokens`` of an ordered run: token files whose documents stand in the order of ``curate order``.

The texts are first written in that order as Parquet (``curate.exports.ordered.write``), and then read shard by shard
by the writer of tokens. For a while this takes the disk of the texts twice; memory is that of any ordered export.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.values.schema_widening import SchemaShape
from curate.errors import UsageError
from curate.exports.counts import ExportCounts
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.features import restore_table
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportJob, TokenSpelling
from curate.exports.ordered import write
from curate.exports.ordered.write import ORDER, OrderedMeans
from curate.exports.tokens import options
from curate.exports.tokens.formats import LAYOUTS
from curate.exports.tokens.writer import BATCH_ROWS, DOCUMENTS_NAME, TokenWriter

ORDER_ROWS = 1 << 16
"""Rows of ``order.parquet`` that are written at once."""


def check_token_buckets(format: str, by_bucket: bool) -> None:
    """Raise UsageError for token files in the folders of buckets, which are not implemented."""
    if by_bucket and not FORMATS[format].holds_text:
        hint = "leave out --by-bucket, or --format parquet and tokenise each folder"
        raise UsageError(f"--by-bucket and --format {format} cannot go together", hint)


def write_ordered_tokens(
    job: ExportJob, spelling: TokenSpelling, folder: Path, means: OrderedMeans, depot: ShardDepot | None = None
) -> tuple[TokenWriter, ExportCounts]:
    """Write the token files of a job in order; the caller finishes the writer.

    Raises what ``ordered.write.write_ordered_shards`` raises, and TableError where a document has no text.
    """
    texts = folder / ".texts"
    texts.mkdir()
    texts_in_order = write.write_ordered_shards(replace(job, format="parquet", spelling=None), texts, means)
    writer = options.open_token_writer(job, spelling, folder, SchemaShape(last=tuple(job.names.values())), depot)
    try:
        schema = texts_in_order.shape.schema()
        columns = list(dict.fromkeys([_find_column(job, schema), *writer.key]))
        chosen = pa.schema([schema.field(name) for name in columns])
        for shard in texts_in_order.files:
            for batch in pq.ParquetFile(texts / shard.path).iter_batches(BATCH_ROWS, columns=columns):
                writer.add(restore_table(pa.Table.from_batches([batch]).select(columns), chosen))
    except BaseException:
        writer.abandon()
        raise
    writer.shape, writer.misread = texts_in_order.shape, texts_in_order.misread
    shutil.rmtree(texts)
    return writer, texts_in_order.counts


def _find_column(job: ExportJob, schema: pa.Schema) -> str:
    """Return the column that holds the text, or holds the struct with it."""
    name = job.corpus.text_field
    return name if name in schema.names else name.split(".")[0]


def write_token_order(writer: TokenWriter) -> None:
    """Write ``order.parquet`` of finished token files.

    Its tokens are ids of this tokenizer, with what was appended to each document.
    """
    with pq.ParquetWriter(writer.folder / "order.parquet", ORDER, compression="zstd") as out:
        for table in _make_order(writer):
            out.write_table(table)


def _make_order(writer: TokenWriter) -> Iterator[pa.Table]:
    """Yield the rows of ``order.parquet``."""
    pattern, num_shards = LAYOUTS[writer.layout], len(writer.counts)
    names = pa.array([pattern.format(number, num_shards) for number in range(num_shards)], pa.large_string())
    position, num_tokens = 0, 0
    for batch in pq.ParquetFile(writer.folder / DOCUMENTS_NAME).iter_batches(ORDER_ROWS):
        tokens = batch.column("tokens").to_numpy()
        sums = np.cumsum(tokens) + num_tokens
        columns = {
            "position": pa.array(np.arange(position, position + len(tokens))),
            "shard": names.take(batch.column("shard")),
            "cumulative_tokens": pa.array(sums),
            **{name: batch.column(name) for name in ("shard_row", "file", "row", "tokens")},
        }
        position, num_tokens = position + len(tokens), int(sums[-1]) if len(sums) else num_tokens
        yield pa.table(columns).select(ORDER.names).cast(ORDER)
