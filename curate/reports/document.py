"""``curate explain``: everything known about one document, and why it was kept or dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, TableError, UsageError
from curate.reports.evidence import DocumentEvidence, open_dossier, split_line
from curate.rundir import scores_view
from curate.rundir.reasons import UNREADABLE, duplicate_reason
from curate.runtime.text import command, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from curate.corpus import Corpus
    from curate.rundir.rejections import Rejections
    from curate.rundir.run import Run


SHOWN = 20  # documents of one id
TEXT_CHARS = 200
NO_SCORES = {"file", "row", "id", "part", "place", "refused", *scores_view.REJECTION_COLUMNS}
NEAR_ROWS = 1_000_000  # ids that a mistyped one is compared with


@dataclass(frozen=True, slots=True)
class ExplainedDocument:
    """One document."""

    file: str
    row: int
    id: str | None
    decision: str
    """kept, dropped, undecided or unreadable."""
    reason: str | None
    scores: Mapping[str, Any]
    """Its row of the scores, without the key."""
    percentile: float | None
    """Share in percent of the scored documents with a lower perplexity."""
    text: str | None
    """How the text begins."""
    text_missing: str | None
    """Why the text cannot be shown."""
    bucket: str | None
    position: int | None
    """In the order, from 0; None where there is no order, or none for this document."""
    positions: int
    """Documents of the order."""
    dossier: DocumentEvidence
    """What the hits and the duplicates say of it."""

    def lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        octets, tokens = self.scores.get("bytes"), self.scores.get("tokens")
        sizes = [f"{number:,} {unit}" for number, unit in ((octets, "bytes"), (tokens, "tokens")) if number is not None]
        name = visible(self.id or f"{self.file}:{self.row}")
        found = [f"{name}   {visible(self.file)}, row {self.row}   {', '.join(sizes)}".rstrip()]
        found += self._decided()
        if self.bucket is not None:
            found.append(f"{'bucket':<16}{visible(self.bucket)}")
        if self.position is not None:
            found.append(f"{'position':<16}{self.position + 1:,} of {self.positions:,}")
        found += self.dossier.lines()
        found += self._numbers()
        if self.text is not None:
            found.append(f"{'text':<16}{visible(self.text)}{' …' if len(self.text) >= TEXT_CHARS else ''}")
        elif self.text_missing:
            found.append(f"{'text':<16}not shown: {visible(self.text_missing)}")
        return found

    def _decided(self) -> list[str]:
        """The decision; where it was made for a copy, with the document that is kept instead."""
        copies = self.dossier.copies
        dropped = copies is not None and self.reason == duplicate_reason(copies.kind)
        reason = copies.reason() if copies is not None and dropped else visible(self.reason or "")
        lines = [line.rstrip() for line in lay_out(self.decision, split_line(reason))]
        return lines if copies is None or dropped else [*lines, *copies.lines()]

    def _numbers(self) -> list[str]:
        lines, scores = [], self.scores
        if scores.get("perplexity") is not None:
            rank = "" if self.percentile is None else f" ({ordinal(int(self.percentile))} percentile)"
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
    """The documents that an id names; more than one where ids repeat."""

    id: str
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


def explain_document(run: "Run", id: str) -> Explanation:
    """Return everything known about the documents of an id. TableError without scores; UsageError for an unknown id."""
    from curate.rundir import scores_view

    if run.stage("score") is None:
        raise TableError(f"{run.path} holds no scores", command("score CORPUS", run.path))
    teller = DocumentReader(run)
    with scores_view.open_scores(run, rejections=teller.found) as connection:
        rows, more = find_document(connection, id)
        if not rows:
            raise unknown_document(connection, id)
        percentiles = [percentile_of(connection, row["perplexity"]) for row in rows]
    return Explanation(id, tuple(map(teller.explain, rows, percentiles)), more)


def visible(text: str) -> str:
    """Text on one line, with what a terminal would obey or hide spelled out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _signals(scores: Mapping[str, Any]) -> list[str]:
    from curate.rundir.schemas import SIGNALS

    return [name for name in SIGNALS if scores.get(name) is not None]


def find_document(connection: "duckdb.DuckDBPyConnection", name: str) -> tuple[list[dict[str, Any]], int]:
    """The rows of the scores that an id or FILE:ROW names, in corpus order, and how many more there are.

    ``refused`` is why a document would be rejected before any criterion is asked.
    """
    from curate.rundir import reasons

    file, _, row = name.rpartition(":")
    place = [file, int(row)] if file and row.isdecimal() and len(row) < 18 else [None, None]
    query = "FROM documents WHERE id = ? OR (file = ? AND row = ?)"
    refused = reasons.status_reason_sql()
    asked = f"SELECT * EXCLUDE (rejection), {refused} AS refused {query} ORDER BY part, place LIMIT {SHOWN}"
    found = connection.execute(asked, [name, *place])
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
    total = connection.execute(f"SELECT count(*) {query}", [name, *place]).fetchall()[0][0]
    return rows, total - len(rows)


def percentile_of(connection: "duckdb.DuckDBPyConnection", perplexity: float | None) -> float | None:
    if perplexity is None:
        return None
    query = "SELECT count(*) FILTER (perplexity < ?), count(perplexity) FROM documents WHERE status = 'ok'"
    below, total = connection.execute(query, [perplexity]).fetchall()[0]
    return 100.0 * below / total if total else None


def unknown_document(connection: "duckdb.DuckDBPyConnection", name: str) -> UsageError:
    """The error for an id that nothing has, with the nearest ones among the first million."""
    near = f"SELECT DISTINCT id FROM (SELECT id FROM documents WHERE id IS NOT NULL LIMIT {NEAR_ROWS})"
    query = f"SELECT id FROM ({near}) ORDER BY jaro_winkler_similarity(id, ?) DESC, id LIMIT 3"
    found = [visible(str(row[0])) for row in connection.execute(query, [name]).fetchall()]
    hint = f"the nearest ids are: {', '.join(found)}" if found else "name it by its place, as in a.jsonl:17"
    return UsageError(f"no document has the id {visible(name)}", hint)


class DocumentReader:
    """Looks up evidence, decisions and texts for the rows of one run, opening table and corpus at most once."""

    def __init__(self, run: "Run"):
        from curate.rundir import rejections

        self._run = run
        self._corpus: Corpus | str = _open_corpus(run)
        readable = None if isinstance(self._corpus, str) else self._corpus
        identity = readable.identity() if readable is not None and rejections.is_there(run) else None
        self.found: Rejections
        self.found, self._problems = rejections.find_rejections(run, identity)
        self._filter = _filter_state(run)
        self._buckets, self._order = (_open_place(run, verb) for verb in ("bucket", "order"))

    def explain(self, row: Mapping[str, Any], percentile: float | None) -> ExplainedDocument:
        decision, reason = self._decision(row)
        text, missing = self._text(row)
        scores = {name: value for name, value in row.items() if name not in NO_SCORES}
        evidence = open_dossier(self._run, self.found, row["file"], row["row"])
        place = row["file"], row["row"], row["id"]
        bucket = self._look_up(self._run.buckets, row) if self._buckets is not None else None
        position = self._look_up(self._run.order, row) if self._order is not None else None
        many = 0 if self._order is None else self._order["counts"]["kept"]
        placed = None if bucket is None else str(bucket), position, many
        return ExplainedDocument(*place, decision, reason, scores, percentile, text, missing, *placed, evidence)

    def _look_up(self, path: "Path", row: Mapping[str, Any]) -> Any:
        """The last column of a table of buckets or positions for a row of the scores."""
        import pyarrow.parquet as pq

        found = pq.read_table(path, filters=[("file", "==", row["file"]), ("row", "==", row["row"])], partitioning=None)
        return found.column(2)[0].as_py() if len(found) == 1 else None

    def _decision(self, row: Mapping[str, Any]) -> tuple[str, str | None]:
        import pyarrow.parquet as pq

        if row["status"] == "unreadable":
            return UNREADABLE, row["reason"]
        if self._filter is not None:
            return self._undecided(row, self._filter)
        wanted = [("file", "==", row["file"]), ("row", "==", row["row"])]
        found = pq.read_table(self._run.filter, filters=wanted, partitioning=None).to_pylist()
        if len(found) != 1:
            return "undecided", "the decision table does not know this document; run curate filter again"
        return ("kept", None) if found[0]["keep"] else ("dropped", found[0]["reason"])

    def _undecided(self, row: Mapping[str, Any], why: str) -> tuple[str, str | None]:
        """Without a decision table: what no filter would keep is dropped, unless a table is stale."""
        if self._problems:
            return "undecided", self._problems[0]
        return ("undecided", why) if row["refused"] is None else ("dropped", row["refused"])

    def _text(self, row: Mapping[str, Any]) -> tuple[str | None, str | None]:
        if row["status"] == "unreadable":
            return None, None
        if isinstance(self._corpus, str):
            return None, self._corpus
        try:
            return read_text(self._run, self._corpus, row["file"], row["row"], row["hash"])[:TEXT_CHARS], None
        except CurateError as error:
            return None, error.message


def _filter_state(run: "Run") -> str | None:
    """Why the decision table says nothing, None where it does."""
    from curate.rundir import decision_table

    try:
        return "no filter was run" if decision_table.open_filter(run) is None else None
    except TableError as error:
        return f"{error.message} (run curate filter again)"


def _open_place(run: "Run", verb: str) -> dict[str, Any] | None:
    """The record of the buckets or of the order; None where there is none, or it is stale (``status`` says so)."""
    from curate.rundir import placements

    try:
        return placements.open_buckets(run) if verb == "bucket" else placements.open_order(run)
    except TableError:
        return None


def _open_corpus(run: "Run") -> "Corpus | str":
    """The corpus that was scored, or why it cannot be shown."""
    from curate.corpus import Corpus

    score = run.stage("score") or {}
    try:
        corpus = Corpus.from_spec(score["corpus"])
        same = corpus.fingerprint() == score["made_from"]["corpus"]
    except CurateError as error:
        return error.message
    return corpus if same else "the corpus has changed since it was scored"


def read_text(run: "Run", corpus: "Corpus", file: str, row: int, digest: int) -> str:
    """One text, from its slice of its file alone. TableError where it is not the text that was scored."""
    from dataclasses import replace

    import xxhash

    found = next(((place, one) for place, one in enumerate(corpus.sources) if one.name == file), None)
    documents, text = None, None
    if found is not None:
        number, source = found
        before = _marks_before(run, number, row)
        alone = replace(corpus, sources=(source,), on_error="quarantine")
        documents = next(alone.slices({file: before}), None)  # none where the file ends before
    if documents is not None:
        places: Sequence[int] = documents.rows.tolist()
        text = documents.texts[places.index(row)] if row in places else None
    if text is None or xxhash.xxh3_64_intdigest(text.encode()) != digest:
        raise TableError("the text at this place is not the one that was scored", "curate score … --restart")
    return text


def _marks_before(run: "Run", number: int, row: int) -> list[Any]:
    """The slices of a file that end before a row, from the parts of that file alone."""
    from curate.corpus import SliceMark
    from curate.rundir import parquet

    marks = []
    for path in sorted(run.scores.glob(f"{number:05d}-*.parquet")):
        mark = SliceMark(**parquet.read_metadata(path)["slice"])
        if mark.next_row > row:
            break
        marks.append(mark)
    return marks
