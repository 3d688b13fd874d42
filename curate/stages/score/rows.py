"""The rows of the scores table for one slice of a corpus: what its texts give by themselves, and what a model found."""

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.corpus import Documents
from curate.reference.likelihood import Likelihoods, bits_per_byte, perplexity
from curate.rundir.schemas import scores_schema
from curate.runtime import threads
from curate.stages.score.signals import repeated_5grams, repeated_lines, zlib_ratio


def text_columns(documents: Documents, signals: list[str], workers: int = 1) -> list[Any]:
    """What the text alone gives: hash, bytes, characters, and the named signals; null where there is no text.

    The texts are shared out over ``workers`` threads, which pays since hashing and compressing let others run.
    """
    texts = [
        None if status == "unreadable" else text
        for text, status in zip(documents.texts, documents.statuses, strict=True)
    ]
    share = max(1, -(-len(texts) // (4 * workers)))
    shares = [texts[at : at + share] for at in range(0, len(texts), share)]
    parts = list(threads.in_order(partial(measure_texts, signals=signals), shares, workers))
    return [{name: [value for part in parts for value in part[name]] for name in ("hash", "bytes", "chars", *signals)}]


def measure_texts(texts: list[str | None], signals: list[str]) -> dict[str, list[Any]]:
    """The columns of ``text_columns`` for some texts."""
    columns: dict[str, list[Any]] = {name: [] for name in ("hash", "bytes", "chars", *signals)}
    for text in texts:
        if text is None:
            for column in columns.values():
                column.append(None)
            continue
        octets = text.encode()
        columns["hash"].append(xxhash.xxh3_64_intdigest(octets))
        columns["bytes"].append(len(octets))
        columns["chars"].append(len(text))
        for name in signals:
            if name == "zlib_ratio":
                columns[name].append(zlib_ratio(octets))
            elif name == "repeated_5grams":
                columns[name].append(repeated_5grams(text))
            elif name == "repeated_lines":
                columns[name].append(repeated_lines(text))
            else:
                columns[name].append(None)  # from the model, filled when it has read the text
    return columns


def assemble(
    documents: Documents, scored: list[int], found: Likelihoods, extra: list[Any], signals: list[str]
) -> pa.Table:
    """One slice's rows of the scores table, in the order of the corpus; nulls where nothing was measured."""
    count, at, schema = len(documents.rows), np.array(scored, dtype=np.int64), scores_schema(signals)
    status, reason = list(documents.statuses), list(documents.reasons)
    for place, row in enumerate(scored):
        status[row], reason[row] = found.status[place], found.reason[place]
    has = np.zeros(count, dtype=bool)
    has[at] = np.array([one == "ok" for one in found.status], dtype=bool) & ~np.isnan(found.nats)

    def spread(values: Any, kind: pa.DataType) -> pa.Array:
        """Values of the scored rows in their places, null elsewhere and where NaN."""
        whole = np.zeros(count, dtype=np.asarray(values).dtype)
        whole[at] = values
        empty = ~has | (np.isnan(whole) if whole.dtype.kind == "f" else False)
        return pa.array(whole, mask=empty).cast(kind)

    numbers = {
        "nats": found.nats,
        "tokens": found.tokens,
        "scored_bytes": found.scored_bytes,
        "windows": found.windows,
        "truncated": found.truncated,
        "first_nats": found.first_nats,
        "perplexity": perplexity(found.nats, found.tokens),
        "bits_per_byte": bits_per_byte(found.nats, found.scored_bytes),
        "max_nats": found.max_nats,
    }
    plain = {
        "file": pa.array([documents.mark.file] * count, pa.large_string()),
        "row": pa.array(documents.rows, pa.int64()),
        "id": documents.ids,
        "status": status,
        "reason": reason,
        **extra[0],
    }
    columns = []
    for column in schema:
        if column.name in numbers:
            columns.append(spread(numbers[column.name], column.type))
        else:
            values = plain[column.name]
            whole = values if isinstance(values, pa.Array) else pa.array(values, column.type, from_pandas=True)
            columns.append(whole)
    return pa.table(columns, schema=schema)
