"""``curate explain``: all that a run knows about one document, and why it was kept or dropped."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import xxhash

from curate.corpus import Corpus, SliceMark
from curate.errors import CurateError, DamageError, TableError, UsageError
from curate.reports.evidence import DocumentEvidence, read_evidence, split_line
from curate.rundir import decision_table, parquet, placements, scores_view
from curate.rundir.run import Run, find_file_parts, note_changed_file, reopen_scored_corpus, spell_first_score_command
from curate.rundir.signals import list_numbers
from curate.rundir.verdicts import reasons, rejections
from curate.rundir.verdicts.reasons import UNREADABLE, duplicate_reason
from curate.rundir.verdicts.rejections import Rejections
from curate.runtime.text import wrap_parts

SHOWN = 20
"""Documents of one id that are shown."""
TEXT_CHARS = 200
"""Characters of a text that are shown."""
NO_SCORES = {"file", "row", "id", "part", "place", "refused", *scores_view.REJECTION_COLUMNS}
"""Columns that ``find_document`` returns in addition to the scores."""
NEAR_ROWS = 1_000_000
"""Ids that an unknown id is compared with."""


@dataclass(frozen=True, slots=True)
class ExplainedDocument:
    """All that a run knows about one document."""

    file: str
    row: int
    id: str | None
    decision: str
    """kept, dropped, undecided or unreadable."""
    reason: str | None
    """Why it is dropped or undecided, or could not be read; None where it is kept."""
    scores: Mapping[str, Any]
    """Its row of the scores, without file, row and id."""
    percentile: float | None
    """The scored documents with a lower perplexity, in percent; None without a perplexity."""
    ranked: int
    """Number of scored documents that the percentile is about."""
    unranked: int | None
    """Documents of the corpus whose scores are not there, so that the percentile leaves them out; None where it is not
    known how many these are."""
    text: str | None
    """The first ``TEXT_CHARS`` characters; None where the text cannot be shown."""
    text_missing: str | None
    """Why the text cannot be shown."""
    bucket: str | None
    """None where there are no buckets, or the document is in none."""
    position: int | None
    """In the order, from 0; None where there is no order, or the document is not in it."""
    positions: int
    """Number of documents in the order."""
    dossier: DocumentEvidence
    """Its hits and its copies."""

    def lines(self) -> list[str]:
        """Return the lines of ``curate explain`` for this document."""
        octets, tokens = self.scores.get("bytes"), self.scores.get("tokens")
        sizes = [f"{number:,} {unit}" for number, unit in ((octets, "bytes"), (tokens, "tokens")) if number is not None]
        scored = self.scores.get("scored_tokens")
        if scored is not None and scored != tokens:
            sizes[-1] += f" ({scored:,} scored)"
        name = visible(self.id or f"{self.file}:{self.row}")
        lines = [f"{name}   {visible(self.file)}, row {self.row}   {', '.join(sizes)}".rstrip()]
        lines += self._decided()
        if self.bucket is not None:
            lines.append(f"{'bucket':<16}{visible(self.bucket)}")
        if self.position is not None:
            lines.append(f"{'position':<16}{self.position + 1:,} of {self.positions:,}")
        lines += self.dossier.lines()
        lines += self._numbers()
        if self.text is not None:
            lines.append(f"{'text':<16}{visible(self.text)}{' …' if len(self.text) >= TEXT_CHARS else ''}")
        elif self.text_missing:
            lines.append(f"{'text':<16}not shown: {visible(self.text_missing)}")
        return lines

    def _decided(self) -> list[str]:
        """Return the lines of the decision; those of a copy name the document that is kept instead."""
        copies = self.dossier.copies
        dropped = copies is not None and self.reason == duplicate_reason(copies.kind)
        reason = copies.reason() if copies is not None and dropped else visible(self.reason or "")
        lines = [line.rstrip() for line in wrap_parts(self.decision, split_line(reason))]
        if copies is None:
            return lines
        return [*lines, *([] if dropped else copies.lines()), *copies.fate_lines()]

    def _of(self) -> str:
        """Return what the percentile is about, where that is not all of the corpus."""
        if self.unranked == 0:
            return ""
        scored = f" of the {self.ranked:,} scored so far"
        return scored if self.unranked is None else f"{scored.removesuffix(' so far')}; {self.unranked:,} are missing"

    def _numbers(self) -> list[str]:
        lines, scores = [], self.scores
        if scores.get("perplexity") is not None:
            rank = "" if self.percentile is None else f" ({ordinal(int(self.percentile))} percentile{self._of()})"
            first = scores.get("first_nats")
            tail = "" if first is None else f", first token {first:.3g} nats"
            lines.append(
                f"{'perplexity':<16}{scores['perplexity']:.4g}{rank}, bits per byte {scores['bits_per_byte']:.3f}{tail}"
            )
        elif scores.get("status") not in ("ok", "unreadable"):
            lines.append(f"{'not scored':<16}{visible(str(scores.get('reason') or scores.get('status')))}")
        signals = [f"{name} {scores[name]:.3g}" for name in _signals(scores)]
        return [*lines, f"{'signals':<16}{', '.join(signals)}"] if signals else lines


@dataclass(frozen=True, slots=True)
class Explanation:
    """The documents of an id; more than one where ids repeat."""

    id: str
    """As given: an id, or FILE:ROW."""
    documents: tuple[ExplainedDocument, ...]
    more: int
    """Documents of this id that are not shown."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        blocks = ["\n".join(document.lines()) for document in self.documents]
        if len(blocks) + self.more > 1:
            blocks.insert(0, f"{len(blocks) + self.more:,} documents have the id {visible(self.id)}")
        if self.more:
            blocks.append(f"and {self.more:,} more")
        return "\n\n".join(blocks)


def explain_document(run: Run, id: str) -> Explanation:
    """Return all that a run knows about the documents of an id (or FILE:ROW), at most ``SHOWN`` of them.

    Raises TableError where there are no scores, UsageError, with the nearest ids, where no document has the id.
    """
    if run.stage("score") is None:
        raise TableError(f"{run.path} has no scores", spell_first_score_command(run))
    run.check_scores()
    reader = DocumentReader(run)
    with scores_view.open_scores(run, rejections=reader.rejections) as connection:
        rows, more = find_document(connection, id)
        if not rows:
            raise unknown_document(connection, id)
        percentiles = [percentile_of(connection, row["perplexity"]) for row in rows]
        ranked, unranked = count_ranked(connection, run)
        evidence = [reader.read_evidence(connection, row) for row in rows]
    explained = map(reader.explain, rows, percentiles, evidence)
    return Explanation(id, tuple(replace(one, ranked=ranked, unranked=unranked) for one in explained), more)


def visible(text: str) -> str:
    """Return text with the characters spelled out that a terminal would obey or hide, such as line breaks."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def ordinal(number: int) -> str:
    """Return a number as 1st, 2nd, 3rd, 4th … 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _signals(scores: Mapping[str, Any]) -> list[str]:
    return [name for name in list_numbers() if scores.get(name) is not None]


def find_document(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of the scores of an id or FILE:ROW, in the order of the corpus, and the number of further ones.

    Each row has the columns of ``documents``, but ``refused`` for ``rejection``: the reason for which the document is
    rejected before any criterion, null for none. Without such a document there is no row.
    """
    file, _, row = name.rpartition(":")
    key = [file, int(row)] if file and row.isdecimal() and len(row) < 18 else [None, None]
    query = "FROM documents WHERE id = ? OR (file = ? AND row = ?)"
    refused = reasons.status_reason_sql()
    select = f"SELECT * EXCLUDE (rejection), {refused} AS refused {query} ORDER BY part, place LIMIT {SHOWN}"
    result = connection.execute(select, [name, *key])
    names = [column[0] for column in result.description]
    rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    total = connection.execute(f"SELECT count(*) {query}", [name, *key]).fetchall()[0][0]
    return rows, total - len(rows)


def percentile_of(connection: duckdb.DuckDBPyConnection, perplexity: float | None) -> float | None:
    """Return the scored documents with a lower perplexity, in percent; None for None."""
    if perplexity is None:
        return None
    query = "SELECT count(*) FILTER (perplexity < ?), count(perplexity) FROM documents WHERE status = 'ok'"
    below, total = connection.execute(query, [perplexity]).fetchall()[0]
    return 100.0 * below / total if total else None


def count_ranked(connection: duckdb.DuckDBPyConnection, run: Run) -> tuple[int, int | None]:
    """Return the number of documents with a perplexity, and how many rows of the scores are missing.

    The latter is None while scoring is not finished.
    """
    query = "SELECT count(perplexity) FILTER (status = 'ok'), count(*) FROM documents"
    ranked, there = connection.execute(query).fetchall()[0]
    score = run.stage("score") or {}
    return int(ranked), max(score["counts"]["read"] - int(there), 0) if score.get("complete") else None


def unknown_document(connection: duckdb.DuckDBPyConnection, name: str) -> UsageError:
    """Return the error for an id that no document has, with the three nearest of the first ``NEAR_ROWS`` ids."""
    near = f"SELECT DISTINCT id FROM (SELECT id FROM documents WHERE id IS NOT NULL LIMIT {NEAR_ROWS})"
    query = f"SELECT id FROM ({near}) ORDER BY jaro_winkler_similarity(id, ?) DESC, id LIMIT 3"
    nearest = [visible(str(row[0])) for row in connection.execute(query, [name]).fetchall()]
    hint = f"the nearest ids are: {', '.join(nearest)}" if nearest else "name it by file and row, as in a.jsonl:17"
    return UsageError(f"no document has the id {visible(name)}", hint)


class DocumentReader:
    """Reads evidence, decisions and texts of documents of one run; opens each table and the corpus at most once."""

    def __init__(self, run: Run):
        self._run = run
        self._corpus: Corpus | str = _open_corpus(run)
        readable = None if isinstance(self._corpus, str) else self._corpus
        identity = readable.identity() if readable is not None and rejections.has_rejections(run) else None
        self.rejections: Rejections
        self.rejections, self._problems = rejections.find_rejections(run, identity)
        self._undecided = _explain_undecided(run)
        self._buckets, self._order = (_open_placement(run, verb) for verb in ("bucket", "order"))

    def read_evidence(self, connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> DocumentEvidence:
        """Return the hits and the copies of a document, with what became of the one that is kept for it.

        ``connection`` is that of the scores, ``row`` one of ``find_document``.
        """
        evidence = read_evidence(self._run, self.rejections, row["file"], row["row"])
        copies = evidence.copies
        if copies is None or copies.keeper.source is not None:
            return evidence
        rows, _ = find_document(connection, f"{copies.keeper.file}:{copies.keeper.row}")
        keeper = next(
            (one for one in rows if (one["file"], one["row"]) == (copies.keeper.file, copies.keeper.row)), None
        )
        fate = ("undecided", "its scores are missing") if keeper is None else self._decision(keeper)
        return replace(evidence, copies=replace(copies, fate=fate))

    def explain(
        self, row: Mapping[str, Any], percentile: float | None, evidence: DocumentEvidence
    ) -> ExplainedDocument:
        """Return all that is known about a document; ``row`` is one of ``find_document``."""
        decision, reason = self._decision(row)
        text, missing = self._text(row)
        scores = {name: value for name, value in row.items() if name not in NO_SCORES}
        key = row["file"], row["row"], row["id"]
        bucket = self._look_up(self._run.buckets, row) if self._buckets is not None else None
        position = self._look_up(self._run.order, row) if self._order is not None else None
        many = 0 if self._order is None else self._order["counts"]["kept"]
        placed = None if bucket is None else str(bucket), position, many
        return ExplainedDocument(*key, decision, reason, scores, percentile, 0, 0, text, missing, *placed, evidence)

    def _look_up(self, path: Path, row: Mapping[str, Any]) -> Any:
        """Return the bucket or the position of a document; None where the table does not have exactly one row of it."""
        table = parquet.read_table(path, filters=[("file", "==", row["file"]), ("row", "==", row["row"])])
        return table.column(2)[0].as_py() if len(table) == 1 else None

    def _decision(self, row: Mapping[str, Any]) -> tuple[str, str | None]:
        if row["status"] == "unreadable":
            return UNREADABLE, row["reason"]
        if self._undecided is not None:
            return self._decide_without_filter(row, self._undecided)
        filters = [("file", "==", row["file"]), ("row", "==", row["row"])]
        rows = parquet.read_table(self._run.filter, filters=filters).to_pylist()
        if len(rows) != 1:
            return "undecided", "the decision table does not have this document; run curate filter again"
        return ("kept", None) if rows[0]["keep"] else ("dropped", rows[0]["reason"])

    def _decide_without_filter(self, row: Mapping[str, Any], explanation: str) -> tuple[str, str | None]:
        """Return dropped for a document that no filter would keep, unless a table is stale; else undecided."""
        if self._problems:
            return "undecided", self._problems[0]
        return ("undecided", explanation) if row["refused"] is None else ("dropped", row["refused"])

    def _text(self, row: Mapping[str, Any]) -> tuple[str | None, str | None]:
        if row["status"] == "unreadable":
            return None, None
        if isinstance(self._corpus, str):
            return None, self._corpus
        try:
            return read_text(self._run, self._corpus, row["file"], row["row"], row["hash"])[:TEXT_CHARS], None
        except CurateError as error:
            return None, error.message


def _explain_undecided(run: Run) -> str | None:
    """Return why there is no decision: no filter was run, or it is stale; None where there is a decision."""
    try:
        return "no filter was run" if decision_table.open_filter(run) is None else None
    except DamageError:
        raise
    except TableError as error:
        return f"{error.message} (run curate filter again)"


def _open_placement(run: Run, verb: str) -> dict[str, Any] | None:
    """Return the record of the buckets or of the order; None where there is none, or it is stale (see ``status``)."""
    try:
        return placements.open_buckets(run) if verb == "bucket" else placements.open_order(run)
    except DamageError:
        raise
    except TableError:
        return None


def _open_corpus(run: Run) -> Corpus | str:
    """Return the corpus that was scored, or why its texts cannot be shown."""
    score = run.stage("score") or {}
    try:
        corpus = reopen_scored_corpus(run, score)
        same = corpus.fingerprint() == score["made_from"]["corpus"]
    except CurateError as error:
        return error.message
    return corpus if same else "the corpus has changed since it was scored"


def read_text(run: Run, corpus: Corpus, file: str, row: int, digest: int) -> str:
    """Return the text of a document; only its slice of its file is read.

    ``digest`` is the xxh3_64 of the text that was scored. Raises TableError where the text is another one.
    """
    numbered = next(((number, one) for number, one in enumerate(corpus.sources) if one.name == file), None)
    documents, text = None, None
    if numbered is not None:
        number, source = numbered
        before = _marks_before(run, file, number, row)
        alone = replace(corpus, sources=(source,), on_error="quarantine")
        documents = next(alone.slices({file: before}), None)  # none where the file ends before
    if documents is not None:
        rows: Sequence[int] = documents.rows.tolist()
        text = documents.texts[rows.index(row)] if row in rows else None
    if text is None or xxhash.xxh3_64_intdigest(text.encode()) != digest:
        raise TableError("the text of this row is not the one that was scored", note_changed_file(run, file))
    return text


def _marks_before(run: Run, file: str, number: int, row: int) -> list[SliceMark]:
    """Return the slices of a file that end at or before a row; ``number`` is that of the file in the corpus."""
    parts = find_file_parts(run, file, number)
    return list(itertools.takewhile(lambda mark: mark.next_row <= row, (part.mark for part in parts)))
