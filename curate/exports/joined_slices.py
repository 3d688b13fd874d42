"""What an export reads: the corpus slice by slice, beside its scores, its decisions and its leaks.

A document meets its decision by its place, and its bytes and hash are checked before anything is cut out of it, so that
a corpus that changed is refused and not mislabelled.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from curate.rundir.tally import Tally, decide, sum_up

ADDED = ("file", "row", "perplexity", "bits_per_byte", "nats", "tokens", "bytes", "first_nats", "truncated")


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What was decided: by ``filter``, or without it by the hits and the duplicates alone."""

    path: Path
    """A decision table."""
    filter: Mapping[str, Any] | None
    """The record of ``filter``, None where it was not run."""
    found: Rejections
    kept: int
    rejected: Mapping[str, int]
    """By reason, the most frequent first."""


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """What ``bucket`` and ``order`` said, where the export follows them."""

    order: Mapping[str, Any] | None = None
    """The record of ``order``; None where there is none, or it is to be ignored."""
    bucket: Mapping[str, Any] | None = None
    by_bucket: bool = False

    def columns(self) -> list[str]:
        """The columns that are added for them."""
        return ["position"] * (self.order is not None) + ["bucket"] * (self.bucket is not None)

    def paths(self, run: Run) -> dict[str, Path]:
        """Their tables by the name of the column."""
        known = {"position": run.order, "bucket": run.buckets}
        return {name: known[name] for name in self.columns()}

    @property
    def buckets(self) -> list[str]:
        """The names of the buckets, in their order."""
        return [] if self.bucket is None else list(self.bucket["parameters"]["names"])

    @property
    def moves(self) -> bool:
        """Whether rows stand elsewhere in the export than in the corpus."""
        return self.order is not None or self.by_bucket


@dataclass(frozen=True, slots=True)
class TokenSpelling:
    """How ``--format tokens`` writes documents."""

    vocabulary: Any
    """A ``curate.reference.tokenizer_only.TokenizerOnly``."""
    layout: str
    append: str


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One export: what is read, what is written and how."""

    run: Run
    corpus: Corpus
    choice: ExportChoice
    treatment: LeakTreatment
    rejected: bool
    format: str
    shard_bytes: int
    prefix: str
    placed: "PlacedTable" = field(default_factory=lambda: PlacedTable())
    spelling: "TokenSpelling | None" = None
    """How ids are written instead of text; None for text."""

    @property
    def score_columns(self) -> list[str]:
        """The columns of the scores that are added."""
        return [name for name in self.names if name in ADDED or name in schemas.SIGNALS]

    @property
    def names(self) -> dict[str, str]:
        """The columns that are added: from the name in the tables to the name in the dataset."""
        signals = self.run.finished_scores()["made_from"]["parameters"].get("signals", ())
        own = [*(("reason",) if self.rejected else ()), *ADDED, *(name for name in schemas.SIGNALS if name in signals)]
        own += self.placed.columns()
        own += ["eval_sets"] * self.treatment.marks + ["cut_characters"] * self.treatment.cuts
        return {name: self.prefix + name for name in own}


@dataclass(slots=True)
class ExportCounts:
    """Running totals of one export."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    unreadable: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class JoinedSlice:
    """A slice of the corpus with what is known about its documents, row by row."""

    documents: Documents
    scores: pa.Table
    choice: pa.Table
    """keep, reason."""
    hits: Mapping[int, Any]
    """The leaks by row, where the export does something about them."""


@contextmanager
def open_choice(run: Run, found: Rejections, folder: Path) -> Iterator[ExportChoice]:
    """The decisions on all documents; without a filter they lie in ``folder`` as long as the block lasts."""
    record = decision_table.open_filter(run)
    if record is not None:
        yield ExportChoice(run.filter, record, found, record["counts"]["kept"], record["counts"]["rejected"])
        return
    path, tally = folder / "decisions.parquet", Tally()
    with scores_view.open_scores(run, rejections=found) as connection:
        scores_view.check_met(connection, run, found)
        reason = reasons.status_reason_sql()
        decision_table.write_decisions(path, decide(connection, reason, tally), {})
    try:
        sums = sum_up("export", tally, run.finished_scores()["counts"]["read"])
        rejected = {why: share.documents for why, share in sums.rejected.items()}
        yield ExportChoice(path, None, found, sums.kept.documents, rejected)
    finally:
        path.unlink(missing_ok=True)


def read_pieces(job: ExportJob) -> Iterator[JoinedSlice]:
    """Each slice of the corpus with its part of the tables, checked to belong together."""
    score = job.run.finished_scores()
    decided = decision_table.DecisionReader(job.choice.path)
    leaks = LeakedPassages(job.run) if job.treatment else None
    placed = {
        name: decision_table.DecisionReader(path, schemas.ORDER if name == "position" else schemas.BUCKETS)
        for name, path in job.placed.paths(job.run).items()
    }
    parts = iter(parquet.parts(job.run.scores))
    for documents in job.corpus.slices(columns="all"):
        path = next(parts, None)
        if path is None:
            raise changed(documents.mark.file, documents.mark.first_row, "it has more documents than were scored")
        note = parquet.read_metadata(path)
        if note.get("made_from") != score["fingerprint"]:
            raise TableError(f"{path} belongs to other scores", "score again with --restart")
        scores = pq.read_table(path, partitioning=None)
        if SliceMark(**note["slice"]) != documents.mark:
            raise changed(documents.mark.file, documents.mark.first_row, "the documents lie elsewhere")
        check_same(documents, scores)
        choice = take_choice(scores, decided)
        for name, rows in placed.items():
            choice = choice.append_column(name, take_places(scores, rows, name))
        yield JoinedSlice(documents, scores, choice, leaks.take(documents) if leaks else {})
    rest = next(parts, None)
    if rest is not None:
        raise changed(rest.name, 0, "it has fewer documents than were scored")
    if leaks:
        leaks.check_end()


def changed(file: str, row: int, what: str) -> CorpusError:
    """The error for a corpus that is not the one that was scored, with the place that shows it."""
    hint = "score it again (curate score … --restart), or bring the old files back"
    return CorpusError(f"the corpus has changed since it was scored: {file}, row {row}: {what}", hint)


def check_texts(file: str, scores: pa.Table, texts: Sequence[str]) -> None:
    """``check_same`` for rows of which each has a text, all at once."""
    encoded = list(map(str.encode, texts))
    octets = np.fromiter(map(len, encoded), np.int64, len(encoded))
    digests = np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(encoded))
    if len(scores) == len(texts):
        lengths, hashes = scores.column("bytes"), scores.column("hash")
        if lengths.null_count == hashes.null_count == 0:
            same = (lengths.to_numpy() == octets) & (hashes.to_numpy() == digests)
            if bool(same.all()):
                return
            raise changed(file, scores.column("row")[int(np.argmin(same))].as_py(), "its text is another one")
    raise changed(file, scores.column("row")[0].as_py() if len(scores) else 0, "another document stands there")


def check_same(documents: Documents, scores: pa.Table) -> None:
    """CorpusError, with the place, where a text is not the one that was scored."""
    columns = (scores.column(name).to_pylist() for name in ("row", "bytes", "hash", "status"))
    rows = zip(documents.rows.tolist(), documents.texts, *columns, strict=True)
    for row, text, scored_row, octets, digest, status in rows:
        encoded = None if text is None else text.encode()
        if row != scored_row or (encoded is None) != (status == "unreadable"):
            raise changed(documents.mark.file, row, "another document stands there")
        if encoded is not None and (len(encoded) != octets or xxhash.xxh3_64_intdigest(encoded) != digest):
            raise changed(documents.mark.file, row, "its text is another one")


def take_choice(scores: pa.Table, decided: decision_table.DecisionReader) -> pa.Table:
    """Whether each row of a part is kept, and why not."""
    choice = decided.take(len(scores))
    if not (choice.column("file").equals(scores.column("file")) and choice.column("row").equals(scores.column("row"))):
        raise TableError("the decision table does not follow the order of the scores", "run curate filter again")
    return choice.select(["keep", "reason"])


def take_places(scores: pa.Table, placed: decision_table.DecisionReader, name: str) -> pa.ChunkedArray:
    """The bucket or the position of each row of a part."""
    rows, verb = placed.take(len(scores)), "order" if name == "position" else name
    if not (rows.column("file").equals(scores.column("file")) and rows.column("row").equals(scores.column("row"))):
        raise TableError(f"the table of curate {verb} does not follow the scores", f"curate {verb} again")
    return rows.column(name)


def count_piece(counts: ExportCounts, piece: JoinedSlice, rejected: bool) -> pa.ChunkedArray:
    """Count a slice, and give the mask of the rows to write."""
    return count_rows(counts, piece.scores, piece.choice.column("keep"), rejected)


def count_rows(counts: ExportCounts, scores: pa.Table, keep: pa.ChunkedArray, rejected: bool) -> pa.ChunkedArray:
    """Count the rows of a part, and give the mask of those to write."""
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
    """TableError where documents were lost or found on the way."""
    record = job.run.finished_scores()["counts"]
    reasons.conserve("export", record["read"], counts.kept, counts.rejected, counts.unreadable)
    if counts.kept != job.choice.kept:
        raise TableError(f"{job.choice.kept:,} documents were to be kept, {counts.kept:,} were", "curate filter again")


class NameTakenError(Exception):
    """A column of the corpus, met on the way, has the name of one that is added."""


def check_names(names: Sequence[str], job: ExportJob) -> None:
    """NameTakenError where a column has the name of one that is added."""
    taken = set(names) & set(job.names.values())
    if taken:
        raise NameTakenError(min(taken))


def add_columns(table: pa.Table, piece: JoinedSlice, job: ExportJob) -> pa.Table:
    """The table of a slice with the columns that are added, and without the passages that are cut out."""
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
