"""Whether anything of a corpus can be read, found before a model is loaded for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from curate.corpus.corpus import Corpus
from curate.corpus.types import EMPTY, OK, UNREADABLE, Documents
from curate.errors import CorpusError
from curate.runtime.text import quote_path

# Stored bytes without a text after which no more is read ahead.
LOOK_BYTES = 1 << 28
SLICE_BYTES = 1 << 16
SHOWN_REASONS = 3
ICONV = re.compile(r"iconv -f \S+ -t UTF-8")


@dataclass(slots=True)
class Findings:
    """What was read of a corpus without finding a text."""

    rows: int = 0
    """Rows, also blank ones and those outside the sample."""
    counts: dict[str, int] = field(default_factory=dict)
    """Documents by status."""
    reasons: list[str] = field(default_factory=list)
    """Where and why the first rows are unreadable."""
    files: list[str] = field(default_factory=list)
    """The files of ``reasons``."""

    def add(self, documents: Documents) -> None:
        """Count the documents of a slice."""
        self.rows += documents.mark.next_row - documents.mark.first_row
        for status, reason in zip(documents.statuses, documents.reasons, strict=True):
            self.counts[status] = self.counts.get(status, 0) + 1
            if status == UNREADABLE and len(self.reasons) < SHOWN_REASONS:
                self.reasons.append(f"{documents.mark.file}: {reason}")
                self.files.append(documents.mark.file)


def check_holds_text(corpus: Corpus) -> None:
    """Raise CorpusError where a corpus has no documents or none that can be read, after reading up to the first text.

    Documents of white space in files that are not empty are read: they are counted as empty. A corpus of which the
    first ``LOOK_BYTES`` have no text is read no further, and one on the Hub not at all. Raises RowError at the first
    unreadable row under ``on_error="stop"``, and StorageError where a server fails.
    """
    if any(source.format == "hub" for source in corpus.sources):
        return
    findings, read_bytes = Findings(), 0
    for documents in replace(corpus, slice_bytes=SLICE_BYTES).slices(columns=()):
        if OK in documents.statuses:
            return
        findings.add(documents)
        read_bytes += documents.read_bytes
        if read_bytes > LOOK_BYTES:
            return
    if findings.counts.get(UNREADABLE) or not findings.counts or corpus.size == 0:
        raise make_empty_error(corpus, findings)


def make_empty_error(corpus: Corpus, findings: Findings) -> CorpusError:
    """Return the error for a corpus without a text: nothing in it, nothing but white space, or nothing readable."""
    where = " ".join(corpus.paths)
    unreadable, empty = findings.counts.get(UNREADABLE, 0), findings.counts.get(EMPTY, 0)
    if unreadable:
        also = f", {empty:,} others have no text" if empty else ""
        what = "row cannot" if unreadable == 1 else "rows cannot"
        message = f"{where}: nothing can be read: {unreadable:,} {what} be read{also}; {'; '.join(findings.reasons)}"
        return CorpusError(message, hint_unreadable(corpus, findings))
    if empty:
        return CorpusError(f"{where}: no document was read: all of its {empty:,} files are empty", hint(corpus))
    if corpus.sample is not None and findings.rows:
        message = f"{where}: no document was read: --sample {corpus.sample} draws none of {findings.rows:,} rows"
        return CorpusError(message, "leave --sample out, or draw a larger share")
    count = len(corpus.sources)
    files = "the file has" if count == 1 else f"the {count:,} files have"
    return CorpusError(f"{where}: no document was read: {files} no rows", hint(corpus))


def hint(corpus: Corpus) -> str:
    """Return the command that shows how much is in the files of a corpus."""
    return f"ls -l {' '.join(quote_path(source.path) for source in corpus.sources[:SHOWN_REASONS])}"


def hint_unreadable(corpus: Corpus, findings: Findings) -> str:
    """Return the command that converts the first unreadable file, or that shows its start."""
    path = next((one.path for one in corpus.sources if one.name in findings.files), corpus.sources[0].path)
    converting = ICONV.search(findings.reasons[0])
    if converting:
        stem, dot, suffix = path.rpartition(".")
        converted = f"{stem}.utf8.{suffix}" if dot else f"{path}.utf8"
        return f"{converting[0]} {quote_path(path)} > {quote_path(converted)}"
    return f"head -c 300 {quote_path(path)}"
