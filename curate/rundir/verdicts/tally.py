"""Documents and tokens by reason: the counts of ``filter``, ``status`` and ``export``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import UsageError
from curate.rundir.verdicts import reasons

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Share:
    """The size of a set of documents."""

    documents: int = 0
    tokens: int = 0
    median_perplexity: float | None = None
    """Of the documents that have one; None where none has, or it was not computed."""


@dataclass(frozen=True, slots=True)
class DomainChange:
    """One line of the ledger, which shows a domain before and after the criteria."""

    name: str
    before: Share
    """The documents that the criteria are about: scored, and rejected by no table."""
    after: Share
    """Those of them that are kept."""


Tally = dict[str | None, Share]
"""Documents by reason; None is the key of those that are kept."""


@dataclass(frozen=True, slots=True)
class TallySums:
    """The sums of a tally: read = kept + rejected + unreadable."""

    kept: Share
    rejected: Mapping[str, Share]
    """By reason, the most documents first, those of one size by reason."""
    unreadable: int
    """Rows that could not be read."""


def sum_tally(stage: str, tally: Tally, read: int) -> TallySums:
    """Return the sums of a tally. Raises TableError, naming ``stage``, where it does not count ``read`` documents."""
    unreadable = tally.get(reasons.UNREADABLE, Share()).documents
    shares = [(str(reason), share) for reason, share in tally.items() if reason not in (None, reasons.UNREADABLE)]
    rejected = dict(sorted(shares, key=lambda pair: (-pair[1].documents, pair[0])))
    sums = TallySums(tally.get(None, Share()), rejected, unreadable)
    num_rejected = sum(share.documents for share in rejected.values())
    reasons.check_documents_add_up(stage, read, sums.kept.documents, num_rejected, unreadable)
    return sums


def stream_decisions(connection: "duckdb.DuckDBPyConnection", reason: str, tally: Tally) -> Iterator["pa.RecordBatch"]:
    """Yield the decision on each document, in batches in the order of the scores, and add each batch to ``tally``.

    ``reason`` is SQL over ``documents``, as in ``decision_query``.
    """
    from curate.rundir import decision_table, sql

    for batch in sql.stream_batches(connection, decision_table.decision_query(connection, reason)):
        add_batch(tally, batch)
        yield batch


def count_by_reason(connection: "duckdb.DuckDBPyConnection", reason: str) -> Tally:
    """Return the tally of a decision without making it; ``reason`` is SQL over ``documents``."""
    from curate.rundir import decision_table

    decided = decision_table.decision_query(connection, reason)
    rows = connection.execute(f"SELECT reason, count(*), sum(tokens) FROM ({decided}) GROUP BY reason").fetchall()
    return {given: Share(int(documents), int(tokens)) for given, documents, tokens in rows}


def add_batch(tally: Tally, batch: "pa.RecordBatch") -> None:
    """Add the documents and tokens of a batch of decisions to a tally; its columns are reason and tokens."""
    import pyarrow as pa

    table = pa.table({"reason": batch.column("reason"), "tokens": batch.column("tokens")})
    for row in table.group_by("reason").aggregate([("tokens", "sum"), ([], "count_all")]).to_pylist():
        before = tally.get(row["reason"], Share())
        documents, tokens = before.documents + row["count_all"], before.tokens + int(row["tokens_sum"] or 0)
        tally[row["reason"]] = Share(documents, tokens)


@contextmanager
def blaming_sql() -> Iterator[None]:
    """Turn an error of DuckDB within the block, such as a failed cast in the user's SQL, into a UsageError.

    ``scores_view.open_scores`` goes inside the block, since it knows whether a damaged part is the cause.
    """
    import duckdb

    from curate.rundir import sql

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        raise
    except duckdb.Error as error:
        raise UsageError(f"--where: {sql.first_line(error)}", "try_cast(… as …) gives null instead") from error
