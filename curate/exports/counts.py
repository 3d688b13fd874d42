"""The documents of an export, counted on the way: read = kept + rejected + unreadable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import TableError
from curate.exports.job import ExportJob
from curate.rundir.verdicts import reasons
from curate.runtime.text import command


@dataclass(slots=True)
class ExportCounts:
    """Running totals of one export."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    unreadable: int = 0
    tokens: int = 0
    """Of the documents that are written, by the tokenizer that scored them."""
    redacted_documents: int = 0
    """Documents that are written in which something was replaced."""
    redacted: dict[str, int] = field(default_factory=dict)
    """Replacements in the documents that are written, by kind."""

    def add(self, other: "ExportCounts") -> None:
        """Add the totals of another part of the corpus."""
        self.read += other.read
        self.kept += other.kept
        self.rejected += other.rejected
        self.unreadable += other.unreadable
        self.tokens += other.tokens
        self.redacted_documents += other.redacted_documents
        self.add_redacted(other.redacted)

    def add_redacted(self, kinds: Mapping[str, int]) -> None:
        """Add replacements by kind."""
        for kind, number in kinds.items():
            self.redacted[kind] = self.redacted.get(kind, 0) + number


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
