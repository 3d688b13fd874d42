"""A slice of the corpus joined with its scores, its decisions and its leaks, and what is wrong where they do not fit.

A document is joined with its decision by its row. Its bytes and hash are checked before anything is cut out of it, so
that a corpus that changed is refused and not mislabelled.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.corpus import Documents, SliceMark
from curate.corpus.slice_marks import list_slices
from curate.errors import CorpusError, TableError
from curate.exports import leaked_passages, redacted_texts
from curate.exports.formats.shards import FORMATS
from curate.exports.job import COLUMN_TO_VERB, ExportJob
from curate.exports.redacted_texts import RedactedRows
from curate.rundir.run import Run, fingerprint_of_parts, note_changed_file
from curate.runtime.arrays import BoolArray
from curate.runtime.text import command


@dataclass(frozen=True, slots=True, eq=False)
class JoinedSlice:
    """A slice of the corpus with what is known about its documents, row by row."""

    documents: Documents
    scores: pa.Table
    choice: pa.Table
    """keep, reason and, where the export follows them, position and bucket."""
    hits: Mapping[int, Any]
    """The leaks by row, where the export does something about them."""


def read_marks(path: Path, run: Run) -> list[SliceMark]:
    """Return the slices that a part of the scores covers. Raises TableError where the part belongs to other scores."""
    note = run.read_note(path)
    if note.get("made_from") != fingerprint_of_parts(run.finished_scores()):
        raise TableError(f"{path} belongs to other scores", command("score CORPUS --restart", run.path))
    return list_slices(note)


def changed_error(run: Run, file: str, row: int, what: str) -> CorpusError:
    """Return the error for a corpus that is not the one that was scored; ``what`` is wrong with that row.

    The next ``score`` reads the file again.
    """
    message = f"the corpus has changed since it was scored: {file}, row {row}: {what}"
    return CorpusError(message, note_changed_file(run, file))


def moved_error(run: Run, mark: SliceMark) -> CorpusError:
    """Return the error for a slice that is not where it was when it was scored."""
    return changed_error(run, mark.file, mark.first_row, "the documents lie elsewhere")


def foreign_rows_error(name: str, run: Run) -> TableError:
    """Return the error for the table with the column ``name`` that has other rows than the scores."""
    verb = COLUMN_TO_VERB[name]
    return TableError(f"the table of curate {verb} does not follow the scores", command(f"{verb} …", run.path))


def check_texts(run: Run, file: str, scores: pa.Table, texts: pa.LargeStringArray) -> None:
    """Do as ``check_same`` does for rows that all have a text, at once. Raises CorpusError, naming the first row."""
    rows, lengths, hashes = (scores.column(name) for name in ("row", "bytes", "hash"))
    if len(scores) != len(texts) or lengths.null_count or hashes.null_count:
        raise changed_error(run, file, rows[0].as_py() if len(rows) else 0, "another document stands there")
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    view, digest = memoryview(texts.buffers()[2]), xxhash.xxh3_64_intdigest
    digests = np.fromiter(
        (digest(view[start:stop]) for start, stop in itertools.pairwise(offsets.tolist())), np.uint64, len(texts)
    )
    same = (lengths.to_numpy() == np.diff(offsets)) & (hashes.to_numpy() == digests)
    if not same.all():
        raise changed_error(run, file, rows[int(np.argmin(same))].as_py(), "its text is another one")


def check_same(run: Run, documents: Documents, scores: pa.Table) -> None:
    """Raise CorpusError, naming the first row, where a text is not the one that was scored."""
    columns = (scores.column(name).to_pylist() for name in ("row", "bytes", "hash", "status"))
    rows = zip(documents.rows.tolist(), documents.texts, *columns, strict=True)
    for row, text, scored_row, num_bytes, digest, status in rows:
        encoded = None if text is None else text.encode()
        if row != scored_row or (encoded is None) != (status == "unreadable"):
            raise changed_error(run, documents.mark.file, row, "another document stands there")
        if encoded is not None and (len(encoded) != num_bytes or xxhash.xxh3_64_intdigest(encoded) != digest):
            raise changed_error(run, documents.mark.file, row, "its text is another one")


class NameTakenError(Exception):
    """A column of the corpus has the name of one that is added; its argument is the name."""


def check_names(names: Sequence[str], job: ExportJob) -> None:
    """Raise NameTakenError where a column of the corpus has the name of one that is added."""
    taken = set(names) & set(job.names.values())
    if taken:
        raise NameTakenError(min(taken))


def add_columns(
    table: pa.Table, piece: JoinedSlice, job: ExportJob, kept: BoolArray
) -> tuple[pa.Table, RedactedRows | None]:
    """Return the table of a slice with the columns that are added, without the passages that are cut out, redacted.

    Rows that are not ``kept`` may be redacted or not. The other result is what was replaced, None without redaction.
    """
    rows = None
    made: dict[str, Any] = {
        name: piece.choice.column(name)
        for name in ("reason", *job.placed.columns())
        if name in piece.choice.column_names
    }
    if job.treatment.marks:
        made["eval_sets"] = leaked_passages.name_sets(piece.documents.rows.tolist(), piece.hits)
    field = job.corpus.text_field
    if job.treatment.cuts and not job.redactor:
        table, made["cut_characters"] = leaked_passages.cut_passages(piece.documents, table, field, piece.hits)
    elif job.treatment.cuts:
        table, made["cut_characters"], rows = redacted_texts.cut_and_redact(
            piece.documents, table, field, piece.hits, kept, job.redactor
        )
    elif job.redactor:
        columns = redacted_texts.list_text_columns(job.corpus, table.column_names)
        table, rows = redacted_texts.redact_columns(table, columns, kept, job.redactor)
    if rows is not None:
        made["redacted"] = rows.count_rows(len(table))
    for name, new in job.names.items():
        table = table.append_column(new, made[name] if name in made else piece.scores.column(name))
    return table, rows


def select_records(
    table: pa.Table, piece: JoinedSlice, job: ExportJob, kept: BoolArray, rows: RedactedRows | None
) -> list[dict[str, Any] | None] | None:
    """Return the rows of a slice that are kept as they were read, with the text of ``table``.

    They are what JSON lines are made of; None for other formats, and where the format that was read has types.
    ``rows`` are those in which something was replaced.
    """
    records = piece.documents.records
    if records is None or not FORMATS[job.format].writes_lines:
        return None
    if job.treatment.cuts:
        field = job.corpus.text_field
        texts = table.column(field).to_pylist()
        records = [
            record if record is None else {**record, field: text} for record, text in zip(records, texts, strict=True)
        ]
    elif rows is not None:
        columns = redacted_texts.list_text_columns(job.corpus, table.column_names)
        records = [
            record
            if record is None or index not in rows.replacements
            else redacted_texts.redact_record(record, columns, job.redactor)
            for index, record in enumerate(records)
        ]
    return list(itertools.compress(records, kept.tolist()))
