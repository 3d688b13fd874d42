"""The rows of the scores table for one slice: what the texts give without a model, and what the model gives."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.corpus import Documents
from curate.reference.likelihood import Likelihoods, bits_per_byte, perplexity
from curate.rundir.schemas import scores_schema
from curate.rundir.signals import SIGNALS
from curate.runtime.work import threads


def measure_texts(documents: Documents, signals: Sequence[str], workers: int = 1) -> dict[str, list[Any]]:
    """Return what the texts of a slice give without a model: hash, bytes, characters, and the named signals.

    One entry for each document in every column; None where there is no text, and for signals that the model gives. The
    texts are shared out over ``workers`` threads: hashing and compressing let other threads run.
    """
    texts = [
        None if status == "unreadable" else text
        for text, status in zip(documents.texts, documents.statuses, strict=True)
    ]
    share = max(1, -(-len(texts) // (4 * workers)))
    shares = [texts[first : first + share] for first in range(0, len(texts), share)]
    parts = list(threads.map_in_order(partial(_measure_some, signals=signals), shares, workers))
    return {name: [value for part in parts for value in part[name]] for name in ("hash", "bytes", "chars", *signals)}


def _measure_some(texts: list[str | None], signals: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("hash", "bytes", "chars", *signals)}
    functions = [(columns[name], SIGNALS[name].measure) for name in signals]
    for text in texts:
        if text is None:
            for column in columns.values():
                column.append(None)
            continue
        octets = text.encode()
        columns["hash"].append(xxhash.xxh3_64_intdigest(octets))
        columns["bytes"].append(len(octets))
        columns["chars"].append(len(text))
        for column, measure in functions:
            column.append(None if measure is None else measure(text, octets))
    return columns


def assemble_part(
    documents: Documents,
    scored: Sequence[int],
    likelihoods: Likelihoods,
    text_columns: Mapping[str, list[Any]],
    signals: Sequence[str],
) -> pa.Table:
    """Return the rows of one slice in the scores table, in the order of the corpus.

    ``scored`` are the indices of the documents that ``likelihoods`` are of; ``text_columns`` are those of
    ``measure_texts``. Null stands where nothing was measured.
    """
    count, at, schema = len(documents.rows), np.array(scored, dtype=np.int64), scores_schema(list(signals))
    status, reason = list(documents.statuses), list(documents.reasons)
    for index, row in enumerate(scored):
        status[row], reason[row] = likelihoods.status[index], likelihoods.reason[index]
    has = np.zeros(count, dtype=bool)
    has[at] = np.array([each == "ok" for each in likelihoods.status], dtype=bool) & ~np.isnan(likelihoods.nats)

    def spread(values: Any, kind: pa.DataType) -> pa.Array:
        """Return values of the scored rows as a column of all rows, null elsewhere and where NaN."""
        column = np.zeros(count, dtype=np.asarray(values).dtype)
        column[at] = values
        empty = ~has | (np.isnan(column) if column.dtype.kind == "f" else False)
        return pa.array(column, mask=empty).cast(kind)

    numbers = {
        "nats": likelihoods.nats,
        "tokens": likelihoods.text_tokens,
        "scored_tokens": likelihoods.tokens,
        "scored_bytes": likelihoods.scored_bytes,
        "windows": likelihoods.windows,
        "truncated": likelihoods.truncated,
        "first_nats": likelihoods.first_nats,
        "perplexity": perplexity(likelihoods.nats, likelihoods.tokens),
        "bits_per_byte": bits_per_byte(likelihoods.nats, likelihoods.scored_bytes),
        "max_nats": likelihoods.max_nats,
    }
    plain = {
        "file": pa.array(documents.files, pa.large_string()),
        "row": pa.array(documents.rows, pa.int64()),
        "id": documents.ids,
        "status": status,
        "reason": reason,
        **text_columns,
    }
    columns = []
    for column in schema:
        if column.name in numbers:
            columns.append(spread(numbers[column.name], column.type))
        else:
            values = plain[column.name]
            is_array = isinstance(values, pa.Array)
            columns.append(values if is_array else pa.array(values, column.type, from_pandas=True))
    return pa.table(columns, schema=schema)
