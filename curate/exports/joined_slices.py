"""What an export reads: the corpus slice by slice, joined with its scores, its decisions and its leaks.

A document is joined with its decision by its row. Its bytes and hash are checked before anything is cut out of it, so
that a corpus that changed is refused and not mislabelled.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from curate.corpus import Corpus, Documents, SliceMark
from curate.errors import CorpusError, TableError
from curate.exports import leaked_passages
from curate.exports.leaked_passages import LeakedPassages, LeakTreatment
from curate.rundir import decision_table, parquet, reasons, schemas, scores_view
from curate.rundir.rejections import Rejections
from curate.rundir.run import Run
from curate.rundir.signals import SIGNALS
from curate.rundir.tally import Tally, stream_decisions, sum_tally
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.exports.tokens.tokenizer import TokenizerOnly

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
class PlacedTable:
    """The tables of ``bucket`` and ``order`` that an export follows."""

    order: Mapping[str, Any] | None = None
    """The record of ``order``; None where there is none, or it is to be ignored."""
    bucket: Mapping[str, Any] | None = None
    """The record of ``bucket``, likewise."""
    by_bucket: bool = False
    """Whether each bucket has its folder."""

    def columns(self) -> list[str]:
        """Return the names of the columns that they add."""
        return ["position"] * (self.order is not None) + ["bucket"] * (self.bucket is not None)

    def paths(self, run: Run) -> dict[str, Path]:
        """Return the path of each table, by the column that it adds."""
        known = {"position": run.order, "bucket": run.buckets}
        return {name: known[name] for name in self.columns()}

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
    placed: PlacedTable = field(default_factory=PlacedTable)
    spelling: TokenSpelling | None = None
    """How ids are written instead of text; None for text."""

    @property
    def score_columns(self) -> list[str]:
        """The columns of the scores that are added, by their names in the tables."""
        return [name for name in self.names if name in ADDED or name in SIGNALS]

    @property
    def names(self) -> dict[str, str]:
        """The columns that are added, in their order: from the name in the tables to the name in the dataset."""
        signals = self.run.finished_scores()["made_from"]["parameters"].get("signals", ())
        added = ["reason"] * self.rejected + [*ADDED, *(name for name in SIGNALS if name in signals)]
        added += self.placed.columns()
        added += ["eval_sets"] * self.treatment.marks + ["cut_characters"] * self.treatment.cuts
        return {name: self.prefix + name for name in added}


@dataclass(slots=True)
class ExportCounts:
    """Running totals of one export."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    unreadable: int = 0
    tokens: int = 0
    """Of the documents that are written, by the tokenizer that scored them."""

    def add(self, other: "ExportCounts") -> None:
        """Add the totals of another part of the corpus."""
        self.read += other.read
        self.kept += other.kept
        self.rejected += other.rejected
        self.unreadable += other.unreadable
        self.tokens += other.tokens


@dataclass(frozen=True, slots=True, eq=False)
class JoinedSlice:
    """A slice of the corpus with what is known about its documents, row by row."""

    documents: Documents
    scores: pa.Table
    choice: pa.Table
    """keep, reason and, where the export follows them, position and bucket."""
    hits: Mapping[int, Any]
    """The leaks by row, where the export does something about them."""


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
        path.unlink(missing_ok=True)


def read_pieces(job: ExportJob) -> Iterator[JoinedSlice]:
    """Yield each slice of the corpus with its part of the tables.

    Raises CorpusError where a document is not the one that was scored, TableError where a table has other rows than the
    scores.
    """
    score = job.run.finished_scores()
    decided = decision_table.DecisionReader(job.choice.path)
    leaks = LeakedPassages(job.run) if job.treatment else None
    placed = {
        name: decision_table.DecisionReader(path, schemas.ORDER if name == "position" else schemas.BUCKETS)
        for name, path in job.placed.paths(job.run).items()
    }
    parts = iter(parquet.list_parts(job.run.scores))
    for documents in job.corpus.slices(columns="all"):
        path = next(parts, None)
        if path is None:
            raise changed_error(documents.mark.file, documents.mark.first_row, "it has more documents than were scored")
        note = parquet.read_metadata(path)
        if note.get("made_from") != score["fingerprint"]:
            raise TableError(f"{path} belongs to other scores", command("score CORPUS --restart", job.run.path))
        scores = pq.read_table(path, partitioning=None)
        if SliceMark(**note["slice"]) != documents.mark:
            raise changed_error(documents.mark.file, documents.mark.first_row, "the documents lie elsewhere")
        check_same(documents, scores)
        choice = take_choice(scores, decided, job.run)
        for name, rows in placed.items():
            choice = choice.append_column(name, take_placement(scores, rows, name, job.run))
        yield JoinedSlice(documents, scores, choice, leaks.take(documents) if leaks else {})
    rest = next(parts, None)
    if rest is not None:
        mark = SliceMark(**parquet.read_metadata(rest)["slice"])
        raise changed_error(mark.file, mark.first_row, "it has fewer documents than were scored")
    if leaks:
        leaks.check_end()


def changed_error(file: str, row: int, what: str) -> CorpusError:
    """Return the error for a corpus that is not the one that was scored; ``what`` is wrong with that row."""
    hint = "curate score … --restart, or bring the old files back"
    return CorpusError(f"the corpus has changed since it was scored: {file}, row {row}: {what}", hint)


def foreign_rows_error(verb: str, run: Run) -> TableError:
    """Return the error for a table of a verb that has other rows than the scores."""
    return TableError(f"the table of curate {verb} does not follow the scores", command(f"{verb} …", run.path))


def check_texts(file: str, scores: pa.Table, texts: Sequence[str]) -> None:
    """Do as ``check_same`` does for rows that all have a text, at once. Raises CorpusError, naming the first row."""
    encoded = list(map(str.encode, texts))
    num_bytes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    digests = np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(encoded))
    if len(scores) == len(texts):
        lengths, hashes = scores.column("bytes"), scores.column("hash")
        if lengths.null_count == hashes.null_count == 0:
            same = (lengths.to_numpy() == num_bytes) & (hashes.to_numpy() == digests)
            if bool(same.all()):
                return
            raise changed_error(file, scores.column("row")[int(np.argmin(same))].as_py(), "its text is another one")
    raise changed_error(file, scores.column("row")[0].as_py() if len(scores) else 0, "another document stands there")


def check_same(documents: Documents, scores: pa.Table) -> None:
    """Raise CorpusError, naming the first row, where a text is not the one that was scored."""
    columns = (scores.column(name).to_pylist() for name in ("row", "bytes", "hash", "status"))
    rows = zip(documents.rows.tolist(), documents.texts, *columns, strict=True)
    for row, text, scored_row, num_bytes, digest, status in rows:
        encoded = None if text is None else text.encode()
        if row != scored_row or (encoded is None) != (status == "unreadable"):
            raise changed_error(documents.mark.file, row, "another document stands there")
        if encoded is not None and (len(encoded) != num_bytes or xxhash.xxh3_64_intdigest(encoded) != digest):
            raise changed_error(documents.mark.file, row, "its text is another one")


def take_choice(scores: pa.Table, decided: decision_table.DecisionReader, run: Run) -> pa.Table:
    """Return keep and reason of each row of a part. Raises TableError where the decision table has other rows."""
    choice = decided.take(len(scores))
    if not (choice.column("file").equals(scores.column("file")) and choice.column("row").equals(scores.column("row"))):
        raise foreign_rows_error("filter", run)
    return choice.select(["keep", "reason"])


def take_placement(scores: pa.Table, placed: decision_table.DecisionReader, name: str, run: Run) -> pa.ChunkedArray:
    """Return the bucket or the position of each row of a part; ``name`` is the column.

    Raises TableError where the table has other rows.
    """
    rows, verb = placed.take(len(scores)), "order" if name == "position" else name
    if not (rows.column("file").equals(scores.column("file")) and rows.column("row").equals(scores.column("row"))):
        raise foreign_rows_error(verb, run)
    return rows.column(name)


def count_piece(counts: ExportCounts, piece: JoinedSlice, rejected: bool) -> pa.ChunkedArray:
    """Count the rows of a slice, and return the mask of those to write."""
    return count_rows(counts, piece.scores, piece.choice.column("keep"), rejected)


def count_rows(counts: ExportCounts, scores: pa.Table, keep: pa.ChunkedArray, rejected: bool) -> pa.ChunkedArray:
    """Count the rows of a part, and return the mask of those to write."""
    unreadable = pc.equal(scores.column("status"), "unreadable")
    refused = pc.and_(pc.invert(keep), pc.invert(unreadable))
    written = refused if rejected else keep
    counts.read += len(scores)
    counts.kept += pc.sum(keep).as_py() or 0
    counts.rejected += pc.sum(refused).as_py() or 0
    counts.unreadable += pc.sum(unreadable).as_py() or 0
    counts.tokens += pc.sum(scores.column("tokens").filter(written)).as_py() or 0
    return written


def check_counts(job: ExportJob, counts: ExportCounts) -> None:
    """Raise TableError where documents were lost or doubled on the way."""
    record = job.run.finished_scores()["counts"]
    reasons.check_documents_add_up("export", record["read"], counts.kept, counts.rejected, counts.unreadable)
    if counts.kept != job.choice.kept:
        message = f"the decisions keep {job.choice.kept:,} documents, but {counts.kept:,} were kept"
        raise TableError(message, command("filter …", job.run.path))


class NameTakenError(Exception):
    """A column of the corpus has the name of one that is added; its argument is the name."""


def check_names(names: Sequence[str], job: ExportJob) -> None:
    """Raise NameTakenError where a column of the corpus has the name of one that is added."""
    taken = set(names) & set(job.names.values())
    if taken:
        raise NameTakenError(min(taken))


def add_columns(table: pa.Table, piece: JoinedSlice, job: ExportJob) -> pa.Table:
    """Return the table of a slice with the columns that are added, and without the passages that are cut out."""
    made: dict[str, Any] = {
        name: piece.choice.column(name)
        for name in ("reason", *job.placed.columns())
        if name in piece.choice.column_names
    }
    if job.treatment.marks:
        made["eval_sets"] = leaked_passages.name_sets(piece.documents.rows.tolist(), piece.hits)
    if job.treatment.cuts:
        field = job.corpus.text_field
        table, made["cut_characters"] = leaked_passages.cut_passages(piece.documents, table, field, piece.hits)
    for name, new in job.names.items():
        table = table.append_column(new, made[name] if name in made else piece.scores.column(name))
    return table
