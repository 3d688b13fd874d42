"""What an export is asked for: the decisions that it follows, what it does about leaks, the format that it writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.corpus import Corpus
from curate.exports.leaked_passages import LeakTreatment
from curate.rundir import decision_table, schemas, scores_view
from curate.rundir.decision_table import DecisionReader
from curate.rundir.run import Run
from curate.rundir.signals import list_numbers
from curate.rundir.verdicts import reasons
from curate.rundir.verdicts.rejections import Rejections
from curate.rundir.verdicts.tally import Tally, stream_decisions, sum_tally

if TYPE_CHECKING:
    from curate.exports.tokens.tokenizer import TokenizerOnly

COLUMN_TO_VERB = {"keep": "filter", "position": "order", "bucket": "bucket"}
"""The verb that makes the table with a column."""
ADDED = ("file", "row", "perplexity", "bits_per_byte", "nats", "tokens", "bytes", "first_nats", "truncated")
"""Columns of the scores that every export adds."""


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """The decisions on all documents: of ``filter``, or without it of the hits and the duplicates alone."""

    path: Path
    """The decision table."""
    filter: Mapping[str, Any] | None
    """The record of ``filter``, None where it was not run."""
    rejections: Rejections
    """The other tables that reject documents."""
    kept: int
    """Documents."""
    rejected: Mapping[str, int]
    """Documents by reason, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Placements:
    """The order and the buckets that an export follows."""

    order: Mapping[str, Any] | None = None
    """The record of ``order``; None where there is none, or it is to be ignored."""
    bucket: Mapping[str, Any] | None = None
    """The record of ``bucket``, likewise."""
    by_bucket: bool = False
    """Whether each bucket has its folder."""

    def columns(self) -> list[str]:
        """Return the names of the columns that they add."""
        return ["position"] * (self.order is not None) + ["bucket"] * (self.bucket is not None)

    def open_tables(self, run: Run) -> dict[str, DecisionReader]:
        """Return a reader of each table from its start, by the column that it adds."""
        known = {"position": (run.order, schemas.ORDER), "bucket": (run.buckets, schemas.BUCKETS)}
        return {name: DecisionReader(*known[name]) for name in self.columns()}

    @property
    def buckets(self) -> list[str]:
        """The names of the buckets, in the order of their folders; empty without ``bucket``."""
        return [] if self.bucket is None else list(self.bucket["parameters"]["names"])

    @property
    def moves(self) -> bool:
        """Whether the export has another order than the corpus."""
        return self.order is not None or self.by_bucket


@dataclass(frozen=True, slots=True)
class TokenSpelling:
    """How ``--format tokens`` writes documents."""

    vocabulary: "TokenizerOnly"
    layout: str
    """A name in ``tokens.formats.LAYOUTS``."""
    append: str
    """eos or none: what ends each document."""


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One export: what is read, what is written and how."""

    run: Run
    corpus: Corpus
    choice: ExportChoice
    treatment: LeakTreatment
    rejected: bool
    """Write what was rejected, and not what was kept."""
    format: str
    """A name in ``shards.FORMATS``."""
    shard_bytes: int
    """Largest size of a shard."""
    prefix: str
    """Begins the names of the columns that are added."""
    placed: Placements = field(default_factory=Placements)
    spelling: TokenSpelling | None = None
    """How ids are written instead of text; None for text."""

    @property
    def score_columns(self) -> list[str]:
        """The columns of the scores that are added, by their names in the tables."""
        return [name for name in self.names if name in ADDED or name in list_numbers()]

    @property
    def names(self) -> dict[str, str]:
        """The columns that are added, in their order: from the name in the tables to the name in the dataset."""
        signals = self.run.finished_scores()["made_from"]["parameters"].get("signals", ())
        added = ["reason"] * self.rejected + [*ADDED, *(name for name in list_numbers() if name in signals)]
        added += self.placed.columns()
        added += ["eval_sets"] * self.treatment.marks + ["cut_characters"] * self.treatment.cuts
        return {name: self.prefix + name for name in added}


@contextmanager
def open_choice(run: Run, rejections: Rejections, folder: Path) -> Iterator[ExportChoice]:
    """Give the decisions on all documents; without a filter they are a file in ``folder`` until the block ends.

    Raises TableError where a table is stale, or names a document that the scores do not have.
    """
    record = decision_table.open_filter(run)
    if record is not None:
        yield ExportChoice(run.filter, record, rejections, record["counts"]["kept"], record["counts"]["rejected"])
        return
    path, tally = folder / "decisions.parquet", Tally()
    with scores_view.open_scores(run, None, rejections) as connection:
        scores_view.check_rejections_are_scored(connection, run, rejections)
        reason = reasons.status_reason_sql()
        decision_table.write_decisions(path, stream_decisions(connection, reason, tally), {})
    try:
        sums = sum_tally("export", tally, run.finished_scores()["counts"]["read"])
        rejected = {why: share.documents for why, share in sums.rejected.items()}
        yield ExportChoice(path, None, rejections, sums.kept.documents, rejected)
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            path.unlink(missing_ok=True)
