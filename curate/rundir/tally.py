"""What was decided, counted by reason: documents and tokens. The sums of ``filter``, ``status`` and ``export``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Share:
    """Some documents: how many, their tokens, and the median of their perplexities (None for none)."""

    documents: int = 0
    tokens: int = 0
    median_perplexity: float | None = None


@dataclass(frozen=True, slots=True)
class DomainChange:
    """One line of the ledger: what the criteria are about in a domain, and what is kept of it."""

    name: str
    before: Share
    after: Share


Tally = dict[str | None, Share]
"""By reason; None for what is kept."""


@dataclass(frozen=True, slots=True)
class TallySums:
    """A tally apart: read = kept + rejected + unreadable."""

    kept: Share
    rejected: Mapping[str, Share]
    """By reason, the most frequent first."""
    unreadable: int


def sum_up(stage: str, tally: Tally, read: int) -> TallySums:
    """The tally as sums; TableError where it is not of ``read`` documents."""
    from curate.rundir import reasons

    unreadable = tally.get(reasons.UNREADABLE, Share()).documents
    found = [(str(why), one) for why, one in tally.items() if why not in (None, reasons.UNREADABLE)]
    rejected = dict(sorted(found, key=lambda pair: (-pair[1].documents, pair[0])))
    sums = TallySums(tally.get(None, Share()), rejected, unreadable)
    reasons.conserve(stage, read, sums.kept.documents, sum(one.documents for one in rejected.values()), unreadable)
    return sums


def decide(connection: "duckdb.DuckDBPyConnection", reason: str, tally: Tally) -> Iterator["pa.RecordBatch"]:
    """The decision on each document, in order; ``tally`` grows by each batch that is given out."""
    from curate.rundir import decision_table, sql

    with blaming_sql():
        for batch in sql.stream(connection, decision_table.decision_query(connection, reason)):
            add_batch(tally, batch)
            yield batch


def count(connection: "duckdb.DuckDBPyConnection", reason: str) -> Tally:
    """The tally alone."""
    from curate.rundir import decision_table

    decided = decision_table.decision_query(connection, reason)
    with blaming_sql():
        rows = connection.execute(f"SELECT reason, count(*), sum(tokens) FROM ({decided}) GROUP BY reason").fetchall()
    return {why: Share(int(documents), int(tokens)) for why, documents, tokens in rows}


def add_batch(tally: Tally, batch: "pa.RecordBatch") -> None:
    """Add the documents and tokens of a batch of decisions, by reason."""
    import pyarrow as pa

    table = pa.table({"reason": batch.column("reason"), "tokens": batch.column("tokens")})
    for row in table.group_by("reason").aggregate([("tokens", "sum"), ([], "count_all")]).to_pylist():
        before = tally.get(row["reason"], Share())
        documents, tokens = before.documents + row["count_all"], before.tokens + int(row["tokens_sum"] or 0)
        tally[row["reason"]] = Share(documents, tokens)


@contextmanager
def blaming_sql() -> Iterator[None]:
    """What the user's SQL meets in a row (a failed cast) is a mistake of usage."""
    import duckdb

    from curate.rundir import sql

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        raise
    except duckdb.Error as error:
        raise UsageError(f"--where: {sql.first_line(error)}", "try_cast(… as …) gives null instead") from error
