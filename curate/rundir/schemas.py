"""The Arrow schemas of the tables of a run.

The metadata of a part name the slices that it covers and the fingerprint of what it was made from. ``nats``, the counts
of tokens and of bytes are sums, so that windows, documents and slices add up; only ``curate.reference.likelihood``
derives ``perplexity`` and ``bits_per_byte`` from them. A number that was not measured is null, never 0 or infinity;
``status`` says why.
"""

from collections.abc import Sequence

import pyarrow as pa

from curate.corpus.types import EMPTY, OK, UNREADABLE
from curate.rundir.signals import list_columns

KEY = (("file", pa.large_string()), ("row", pa.int64()))

ALIASES = {"ppl": "perplexity", "bpb": "bits_per_byte", "zlib": "zlib_ratio"}
"""Short names of columns in options."""

STATUSES = (OK, EMPTY, "unscorable", "too_long", "not_finite", UNREADABLE)
"""The values of ``status`` in the scores: ``ok`` for a row with numbers, else why it has none."""

SCORES = pa.schema(
    [
        *KEY,
        ("id", pa.large_string()),
        ("hash", pa.uint64()),  # xxh3_64 of the UTF-8 text
        ("status", pa.string()),  # one of STATUSES
        ("reason", pa.large_string()),
        ("nats", pa.float64()),
        ("tokens", pa.int64()),  # tokens of the complete text
        ("scored_tokens", pa.int64()),  # those of them that were scored: fewer with --truncate or without a prefix
        ("bytes", pa.int64()),  # UTF-8 length of the complete text
        ("scored_bytes", pa.int64()),  # UTF-8 length of the text that the scored tokens spell
        ("chars", pa.int64()),
        ("windows", pa.int32()),
        ("truncated", pa.bool_()),
        ("first_nats", pa.float64()),
        ("perplexity", pa.float64()),
        ("bits_per_byte", pa.float64()),
    ]
)

FILTER = pa.schema([*KEY, ("keep", pa.bool_()), ("reason", pa.large_string())])

# One row for each eval item found in a document: the evidence, and what it amounts to.
HITS = pa.schema(
    [
        *KEY,
        ("id", pa.large_string()),  # the document's own
        ("turn", pa.int32()),  # which turn of a conversation, from 0; null in plain text
        ("role", pa.string()),  # whose turn it is
        ("eval_set", pa.large_string()),
        ("eval_id", pa.large_string()),
        ("part", pa.string()),  # question, answered, choices, in_context, context, answer; solution: code
        ("verdict", pa.string()),  # contaminated, variant or review
        ("action", pa.string()),  # drop (the document is rejected), mark, cut (the span goes), none (it stays)
        ("rule", pa.string()),
        ("containment", pa.float64()),  # share of the item's distinct word 3-grams that lie in the matched span
        ("coverage", pa.float64()),  # share of the item's words that were matched, in order
        ("bits", pa.float64()),  # how unlikely the matched words are in ordinary English
        ("longest_match", pa.int32()),  # words in the longest run
        ("answer_found", pa.bool_()),  # null where the item has no answer to look for
        ("start", pa.int64()),  # characters of the text (of the turn), from the first matched word
        ("end", pa.int64()),
        ("before", pa.large_string()),  # some characters around the match
        ("matched_text", pa.large_string()),
        ("after", pa.large_string()),
        ("eval_text", pa.large_string()),
    ]
)

# One row for each document that has copies; a document without copies has none.
DUPLICATES = pa.schema(
    [
        *KEY,
        ("id", pa.large_string()),
        ("cluster", pa.int64()),  # numbered from 0 in the order of their first documents
        ("keeper", pa.bool_()),  # the one of its cluster that stays
        ("kind", pa.string()),  # keeper, exact (the same words) or near
        ("keeper_source", pa.large_string()),  # null: this corpus; else the name of the --against corpus
        ("keeper_file", pa.large_string()),
        ("keeper_row", pa.int64()),
        ("jaccard", pa.float64()),  # with the keeper, exact; 1 for the keeper
        ("link", pa.float64()),  # the highest verified Jaccard with any document of the cluster
    ]
)

# One row for each row of the scores, in the same order; null for what is not kept.
BUCKETS = pa.schema([*KEY, ("bucket", pa.string())])
ORDER = pa.schema([*KEY, ("position", pa.int64())])  # 0, 1, 2 … over the documents that are kept


def scores_schema(signals: Sequence[str]) -> pa.Schema:
    """Return the schema of the scores with the named signals appended, in the order of ``SIGNALS``."""
    return pa.schema([*SCORES, *(pa.field(name, parse_type(kind)) for name, kind in list_columns(signals).items())])


def parse_type(alias: str) -> pa.DataType:
    """Return the Arrow type of a name such as ``float64``, or ``float64[]`` for lists of it."""
    return pa.list_(parse_type(alias[:-2])) if alias.endswith("[]") else pa.type_for_alias(alias)
