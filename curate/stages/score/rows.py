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
from curate.rundir.signals import SIGNALS, list_columns
from curate.runtime.arrays import BoolArray, Float64Array
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
    names = ("hash", "bytes", "chars", *list_columns(signals))
    return {name: [value for part in parts for value in part[name]] for name in names}


def _measure_some(texts: list[str | None], signals: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("hash", "bytes", "chars", *list_columns(signals))}
    functions = [(columns[column], SIGNALS[name].measure) for name in signals for column in SIGNALS[name].columns]
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
        column = np.zeros((count, *np.shape(values)[1:]), dtype=np.asarray(values).dtype)
        column[at] = values
        measured = column if column.ndim == 1 else column[:, 0]
        empty = ~has | (np.isnan(measured) if column.dtype.kind == "f" else False)
        if column.ndim == 1:
            return pa.array(column, mask=empty).cast(kind)
        return make_lists(column, empty, kind)

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
        **likelihoods.sums,
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


def make_lists(values_NB: Float64Array, is_null_N: BoolArray, kind: pa.DataType) -> pa.Array:
    """Return rows of numbers as a column of lists of a type, null where ``is_null_N``."""
    items = pa.array(values_NB[~is_null_N].ravel()).cast(kind.value_type)
    ends = np.cumsum(np.where(is_null_N, 0, values_NB.shape[1]))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32), mask=np.append(is_null_N, False))
    return pa.ListArray.from_arrays(offsets, items, type=kind)
