"""``export --format tokens`` of an ordered run: token files whose documents stand in the order of ``curate order``.

The texts are laid out in that order first, as Parquet (``curate.exports.ordered.write``), and then read shard by shard
by the writer of tokens. Disk for the texts is needed twice for a while, memory as for any ordered export.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import UsageError
from curate.exports import joined_slices
from curate.exports.joined_slices import ExportJob
from curate.exports.ordered import write
from curate.exports.ordered.write import ORDER, OrderedMeans
from curate.exports.tokens import options
from curate.exports.tokens.formats import LAYOUTS
from curate.exports.tokens.writer import BATCH_ROWS, DOCUMENTS_NAME, TokenWriter

ROWS = 1 << 16


def check(format: str, by_bucket: bool) -> None:
    """UsageError for token files in the folders of buckets, which nobody writes."""
    if by_bucket and format == "tokens":
        hint = "leave out --by-bucket, or --format parquet and tokenise each folder"
        raise UsageError("--by-bucket and --format tokens cannot go together", hint)


def lay_out(job: ExportJob, folder: Path, means: OrderedMeans) -> tuple[TokenWriter, joined_slices.ExportCounts]:
    """Write the token files and ``order.parquet``; the writer is finished by its caller."""
    beside = folder / ".texts"
    beside.mkdir()
    laid = write.lay_out(replace(job, format="parquet", spelling=None), beside, means)
    writer: TokenWriter = options.open_writer(job, folder)
    try:
        columns = list(dict.fromkeys([_column(job, laid.shape.schema()), *writer.key]))
        for shard in laid.files:
            for batch in pq.ParquetFile(beside / shard.path).iter_batches(BATCH_ROWS, columns=columns):
                writer.add(pa.Table.from_batches([batch]))
    except BaseException:
        writer.abandon()
        raise
    writer.shape, writer.misread = laid.shape, laid.misread
    shutil.rmtree(beside)
    return writer, laid.counts


def _column(job: ExportJob, schema: pa.Schema) -> str:
    """The column that holds the text."""
    name = job.corpus.text_field
    return name if name in schema.names else name.split(".")[0]


def write_order(writer: TokenWriter) -> None:
    """``order.parquet`` of token files: tokens are ids of this tokenizer, with what was appended to each document."""
    with pq.ParquetWriter(writer.folder / "order.parquet", ORDER, compression="zstd") as out:
        for table in _place_rows(writer):
            out.write_table(table)


def _place_rows(writer: TokenWriter) -> Iterator[pa.Table]:
    pattern, many = LAYOUTS[writer.layout], len(writer.counts)
    names = pa.array([pattern.format(place, many) for place in range(many)], pa.large_string())
    done, read = 0, 0
    for batch in pq.ParquetFile(writer.folder / DOCUMENTS_NAME).iter_batches(ROWS):
        tokens = batch.column("tokens").to_numpy()
        sums = np.cumsum(tokens) + read
        columns = {
            "position": pa.array(np.arange(done, done + len(tokens))),
            "shard": names.take(batch.column("shard")),
            "cumulative_tokens": pa.array(sums),
            **{name: batch.column(name) for name in ("shard_row", "file", "row", "tokens")},
        }
        done, read = done + len(tokens), int(sums[-1]) if len(sums) else read
        yield pa.table(columns).select(ORDER.names).cast(ORDER)
