"""The tables that reject documents before any criterion does: the hits and the duplicates of a run.

    table        rejects                                        reason
    hits         documents with a hit of the action ``drop``    contaminated: EVALSET (of its hit with the most bits),
                                                                 else variant: EVALSET
    duplicates   documents that are not the keeper of a cluster exact duplicate, near duplicate

Hits with another action reject nothing: ``mark`` and ``cut`` change what ``export`` writes, ``none`` is for review,
or a variant that stays. A
document that both tables reject is contaminated. A table can be used when its record is complete, its fingerprint is
the one in its files, and it was made from the corpus that was scored; any other table stops the verbs that decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from curate.corpus import Corpus
from curate.corpus.slice_marks import count_documents
from curate.corpus.types import EMPTY, OK, UNREADABLE
from curate.errors import DamageError, StorageError, TableError
from curate.rundir import parquet, sql
from curate.rundir.guards import mending
from curate.rundir.run import Run
from curate.rundir.verdicts import reasons
from curate.runtime.text import command


@dataclass(frozen=True, slots=True)
class Rejections:
    """The records of the tables of a run that reject documents; None for a table that was never made."""

    hits: Mapping[str, Any] | None = None
    """The record of ``curate decontaminate`` in ``run.json``."""
    duplicates: Mapping[str, Any] | None = None
    """The record of ``curate dedup`` in ``run.json``."""

    def __bool__(self) -> bool:
        return self.hits is not None or self.duplicates is not None

    def fingerprints(self) -> dict[str, str | None]:
        """Return the fingerprint of each table; a decision is stale once one of them has changed."""
        return {
            "hits": None if self.hits is None else self.hits["fingerprint"],
            "duplicates": None if self.duplicates is None else self.duplicates["fingerprint"],
        }

    def verbs(self) -> tuple[str, ...]:
        """Return the verbs that made the tables: ``curate decontaminate``, ``curate dedup``."""
        made = (("curate decontaminate", self.hits), ("curate dedup", self.duplicates))
        return tuple(name for name, record in made if record is not None)

    def hint(self, run: Path) -> str:
        """Return the commands that make the tables of the run directory ``run`` again."""
        words = (("decontaminate EVALS…", self.hits), ("dedup", self.duplicates))
        return "; ".join(command(verb, run) for verb, record in words if record is not None)


NO_REJECTIONS = Rejections()
"""No table that rejects."""


def has_rejections(run: Run) -> bool:
    """Return whether a run has a record or a file of one of the tables, usable or not."""
    return bool(
        run.stage("decontaminate") or run.stage("dedup") or run.duplicates.exists() or parquet.list_parts(run.hits)
    )


def open_rejections(run: Run, corpus: Corpus | None = None) -> Rejections:
    """Return the tables of a run that reject documents.

    ``corpus`` is the one that was scored, where it is open already; otherwise it is opened, but only where there is a
    table. Raises TableError, with the command to run, where a table is stale, foreign or not complete.
    """
    if not has_rejections(run):
        return NO_REJECTIONS
    identity = (corpus or run.corpus()).identity()
    return Rejections(open_hits(run, identity), open_duplicates(run, identity))


def find_rejections(run: Run, identity: str | None) -> tuple[Rejections, list[str]]:
    """Return the tables that can be used, and one sentence, with the command to run, for each that cannot.

    ``identity`` is that of the corpus that was scored; with None the tables are taken to be made from it.
    """
    problems: list[str] = []
    records = []
    for opener in (open_hits, open_duplicates):
        try:
            records.append(opener(run, identity))
        except DamageError:
            raise
        except TableError as error:
            problems.append(f"{error.message} ({error.hint})")
            records.append(None)
    return Rejections(*records), problems


def open_hits(run: Run, identity: str | None) -> dict[str, Any] | None:
    """Return the record of the hits; None where ``decontaminate`` never ran.

    ``identity`` is that of the corpus that was scored, None where it is not known. Raises TableError where the hits
    are stale, foreign or not complete.
    """
    record, parts = run.stage("decontaminate"), parquet.list_parts(run.hits)
    hint = command("decontaminate EVALS…", run.path)
    if record is None and not parts:
        return None
    check_hits_are_finished(run, record)
    assert record is not None
    check_hits(run, record)
    _check_source(run, record, identity, f"the hits in {run.hits} are", hint)
    notes = (_read_note(run, path, record["fingerprint"], "made_from", hint) for path in parts)
    covered, read = sum(map(count_documents, notes)), record["counts"]["read"]
    if covered != read:
        raise TableError(f"the hits in {run.hits} cover {covered:,} documents of {read:,}", hint)
    return record


def check_hits_are_finished(run: Run, record: Mapping[str, Any] | None) -> None:
    """Raise TableError where ``decontaminate`` was begun and did not finish; ``record`` is its record."""
    if record is None or not record.get("complete"):
        hint = command("decontaminate EVALS…", run.path)
        raise TableError(f"the last curate decontaminate in {run.path} did not finish", hint)


def check_hits(run: Run, record: Mapping[str, Any]) -> None:
    """Raise DamageError where parts of finished hits are missing, truncated or altered; ``record`` is theirs."""
    run.check_manifest("hits", record, mending.spell_decontaminate_command(run, record))


def open_duplicates(run: Run, identity: str | None) -> dict[str, Any] | None:
    """Return the record of the duplicates; None where ``dedup`` never ran.

    ``identity`` is that of the corpus that was scored, None where it is not known. Raises TableError where the table
    is stale, foreign or not complete.
    """
    record, hint = run.stage("dedup"), command("dedup", run.path)
    if record is None and not run.duplicates.exists():
        return None
    run.check_there(run.duplicates.name, record, mending.spell_dedup_command)
    if record is None or not run.duplicates.exists() or not record.get("complete", True):
        raise TableError(f"the last curate dedup in {run.path} did not finish", hint)
    _check_source(run, record, identity, f"{run.duplicates} is", hint)
    _read_note(run, run.duplicates, record["fingerprint"], "fingerprint", hint)
    run.check_manifest(run.duplicates.name, record, mending.spell_dedup_command(run, record))
    hits = run.stage("decontaminate") or {}
    if "hits" in record["made_from"] and record["made_from"]["hits"] != hits.get("fingerprint"):
        raise TableError(
            f"{run.duplicates} is stale: curate decontaminate has run since, which decides who stays", hint
        )
    _check_keepers_are_scored(run, record, hint)
    return record


def _check_source(run: Run, record: Mapping[str, Any], identity: str | None, subject: str, hint: str) -> None:
    """Raise TableError where a table was made from another corpus, or from other scores, than those of the run."""
    score, made_from = run.stage("score") or {}, record["made_from"]
    if identity is not None and made_from["corpus"] != identity:
        raise TableError(f"{subject} stale: made from another corpus than the one that was scored", hint)
    if made_from.get("scores", score.get("fingerprint")) != score.get("fingerprint"):
        raise TableError(f"{subject} stale: made from other scores", hint)
    read = score["counts"]["read"] if score.get("complete") else record["counts"]["read"]
    if record["counts"]["read"] != read:
        raise TableError(f"{subject} of {record['counts']['read']:,} documents, but {read:,} were scored", hint)


def _read_note(run: Run, path: Path, fingerprint: str, key: str, hint: str) -> dict[str, Any]:
    """Return the metadata of a file of a table. Raises TableError where its fingerprint is not that of the record."""
    try:
        note = run.read_note(path)
    except TableError as error:
        raise TableError(error.message, hint) from error
    if note.get(key) != fingerprint:
        raise TableError(f"{path} and run.json do not belong together", hint)
    return note


def create_relation(connection: duckdb.DuckDBPyConnection, run: Run, rejections: Rejections) -> None:
    """Create the DuckDB table ``rejections``, with which the scores are joined.

    Its columns are file, row, ``rejection`` (the reason, null where the document is only marked or cut), ``eval_sets``
    (text with commas, without hits for review), ``duplicate`` (bool), and the reasons of the two tables apart, null for
    none: ``leak_reason`` and ``copy_reason``. It has at most one row for each document of the two tables, and spills as
    DuckDB's tables do. Raises TableError where a table cannot be read.
    """
    select = (
        f"SELECT file, row, {reasons.rejection_sql('dropped', 'varied', 'copied')} AS rejection, eval_sets, "
        f"copied IS NOT NULL AS duplicate, {reasons.rejection_sql('dropped', 'varied', 'NULL')} AS leak_reason, "
        f"{reasons.rejection_sql('NULL', 'NULL', 'copied')} AS copy_reason "
        f"FROM ({_hits_query(run, rejections)}) FULL JOIN ({_duplicates_query(run, rejections)}) USING (file, row)"
    )
    try:
        connection.execute(f"CREATE TEMP TABLE rejections AS {select}")
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.IOException as error:
        raise StorageError(sql.first_line(error), "run the same command again") from error
    except duckdb.Error as error:
        message = f"the hits or the duplicates in {run.path} cannot be read: {str(error).strip().splitlines()[0]}"
        raise TableError(message, rejections.hint(run.path)) from error


def query_before_copies(run: Run) -> str:
    """Return SQL (file, row, value) of the documents with a reason that precedes that of a copy, the first as value.

    They are those that finished scores have no number for, texts without a word aside, and those that finished hits
    drop.
    """
    hits, score = run.stage("decontaminate") or {}, run.stage("score") or {}
    unscored = f"SELECT {_NO_KEY}, NULL::VARCHAR AS status WHERE false"
    if score.get("complete") and count_unscored(score):
        aside = ", ".join(sql.quote(status) for status in (OK, EMPTY, UNREADABLE))
        run.check_scores()
        unscored = f"SELECT file, row, status FROM {sql.parquet_source(run.scores)} WHERE status NOT IN ({aside})"
    if hits.get("complete"):
        check_hits(run, hits)
    leaks = _hits_query(run, Rejections(hits=hits if hits.get("complete") else None))
    first = (
        f"SELECT file, row, coalesce(status, {sql.quote(OK)}) AS status, "
        f"{reasons.rejection_sql('dropped', 'varied', 'NULL')} AS rejection "
        f"FROM ({unscored}) FULL JOIN ({leaks}) USING (file, row)"
    )
    query = f"SELECT file, row, {reasons.status_reason_sql()} AS value FROM ({first})"
    return f"SELECT * FROM ({query}) WHERE value IS NOT NULL"


def count_unscored(score: Mapping[str, Any]) -> int:
    """Return how many documents with text have no score; ``score`` is the record of finished scores."""
    aside = ("read", OK, EMPTY, UNREADABLE)
    return sum(documents for status, documents in score["counts"].items() if status not in aside)


def _check_keepers_are_scored(run: Run, record: Mapping[str, Any], hint: str) -> None:
    """Raise TableError where a document is dropped for a copy of it that could not be scored, and dedup did not know.

    Then nothing of the two would be kept.
    """
    score = run.stage("score") or {}
    if "scores" in record["made_from"] or not score.get("complete") or not count_unscored(score):
        return
    run.check_scores()
    scores, copies = sql.parquet_source(run.scores), sql.parquet_source(run.duplicates)
    unscored = f"SELECT file, row FROM {scores} WHERE status <> {sql.quote(OK)}"
    lost = (
        f"SELECT count(*) FROM {copies} AS copies JOIN ({unscored}) AS kept "
        "ON copies.keeper_file = kept.file AND copies.keeper_row = kept.row "
        f"ANTI JOIN ({unscored}) AS refused ON copies.file = refused.file AND copies.row = refused.row "
        "WHERE NOT keeper AND keeper_source IS NULL"
    )
    documents = sql.ask(lost)[0][0]
    if documents:
        message = f"{run.duplicates} is stale: documents dropped for copies that could not be scored: {documents:,}"
        raise TableError(message, hint)


def hits_source(run: Run) -> str:
    """Return the SQL that reads the hits of a run, which has parts of them; those known to be empty are left out."""
    return sql.parts_source(run.list_filled_parts(run.hits), mixed=False)


def _hits_query(run: Run, rejections: Rejections) -> str:
    """Return SQL of one row for each document with a leak, or with a variant that is dropped.

    Its columns are the set for which it is dropped, that for whose variant it is, and all sets that leaked into it.
    """
    best = "first(eval_set ORDER BY bits DESC NULLS LAST, eval_set) FILTER (action = 'drop' AND verdict"
    dropped = f"{best} <> 'variant') AS dropped, {best} = 'variant') AS varied"
    leaked = "string_agg(DISTINCT eval_set, ', ' ORDER BY eval_set) FILTER (verdict = 'contaminated') AS eval_sets"
    if rejections.hits is None or not parquet.list_parts(run.hits):
        nothing = ", ".join(f"NULL::VARCHAR AS {name}" for name in ("dropped", "varied", "eval_sets"))
        return f"SELECT {_NO_KEY}, {nothing} WHERE false"
    leaks = f"FROM {hits_source(run)} WHERE action = 'drop' OR verdict = 'contaminated'"
    return f"SELECT file, row, {dropped}, {leaked} {leaks} GROUP BY file, row"


def _duplicates_query(run: Run, rejections: Rejections) -> str:
    """Return SQL of one row for each copy that is not kept, with its kind."""
    if rejections.duplicates is None:
        return f"SELECT {_NO_KEY}, NULL::VARCHAR AS copied WHERE false"
    source = sql.parquet_source(run.duplicates)
    return f"SELECT file, row, kind AS copied FROM {source} WHERE NOT keeper"


_NO_KEY = "NULL::VARCHAR AS file, NULL::BIGINT AS row"
