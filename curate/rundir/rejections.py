"""What rejects a document before any criterion is asked: the hits and the duplicates of a run.

    table        rejects                                        reason
    hits         what has a hit with the action ``drop``        contaminated: EVALSET (of its hit of the most bits)
    duplicates   what is not the keeper of its cluster          exact duplicate, near duplicate

Hits with another action reject nothing: ``mark`` and ``cut`` change what ``export`` writes, ``none`` is for review. A
document that both tables reject is contaminated. A table is used when its record is complete, its fingerprint is the
one in its files, and it was made from the corpus that was scored; any other stops the verbs that decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.corpus import Corpus
from curate.errors import TableError
from curate.rundir import parquet, reasons, sql
from curate.rundir.run import Run
from curate.runtime.text import command


@dataclass(frozen=True, slots=True)
class Rejections:
    """The tables of a run that may be used; None stands for one that was never made."""

    hits: Mapping[str, Any] | None = None
    """The record of ``curate decontaminate``."""
    duplicates: Mapping[str, Any] | None = None
    """The record of ``curate dedup``."""

    def __bool__(self) -> bool:
        return self.hits is not None or self.duplicates is not None

    def fingerprints(self) -> dict[str, str | None]:
        """What a decision must have been made from to be still valid."""
        return {
            "hits": None if self.hits is None else self.hits["fingerprint"],
            "duplicates": None if self.duplicates is None else self.duplicates["fingerprint"],
        }

    def verbs(self) -> tuple[str, ...]:
        """The verbs whose tables these are."""
        made = (("curate decontaminate", self.hits), ("curate dedup", self.duplicates))
        return tuple(name for name, record in made if record is not None)


NONE = Rejections()


def is_there(run: Run) -> bool:
    """Whether a run has anything of the two tables, usable or not."""
    return bool(run.stage("decontaminate") or run.stage("dedup") or run.duplicates.exists() or parquet.parts(run.hits))


def open_rejections(run: Run, corpus: Corpus | None = None) -> Rejections:
    """The tables of a run that reject; TableError, naming the command, where one of them may not be used.

    ``corpus`` is the one that was scored, where it is open already; it is opened only when there is a table.
    """
    if not is_there(run):
        return NONE
    identity = (corpus or run.corpus()).identity()
    return Rejections(open_hits(run, identity), open_duplicates(run, identity))


def find_rejections(run: Run, identity: str | None) -> tuple[Rejections, list[str]]:
    """The tables that may be used, and what is wrong with the others, one sentence each, with the command.

    ``identity`` is that of the corpus that was scored; None, where it is not known, is taken for the same.
    """
    problems: list[str] = []
    found = []
    for opener in (open_hits, open_duplicates):
        try:
            found.append(opener(run, identity))
        except TableError as error:
            problems.append(f"{error.message} ({error.hint})")
            found.append(None)
    return Rejections(*found), problems


def open_hits(run: Run, identity: str | None) -> dict[str, Any] | None:
    """The record of the hits, None where there are none; TableError where they may not be used."""
    record, parts = run.stage("decontaminate"), parquet.parts(run.hits)
    hint = command("decontaminate EVALS…", run.path)
    if record is None and not parts:
        return None
    if record is None or not record.get("complete"):
        raise TableError(f"the last curate decontaminate in {run.path} did not finish", hint)
    _check_source(run, record, identity, f"the hits in {run.hits} are", hint)
    notes = [_read_note(path, record["fingerprint"], "made_from", hint) for path in parts]
    covered, read = sum(note["slice"]["documents"] for note in notes), record["counts"]["read"]
    if covered != read:
        raise TableError(f"the hits in {run.hits} cover {covered:,} documents of {read:,}", hint)
    return record


def open_duplicates(run: Run, identity: str | None) -> dict[str, Any] | None:
    """The record of the duplicates, None where there are none; TableError where they may not be used."""
    record, hint = run.stage("dedup"), command("dedup", run.path)
    if record is None and not run.duplicates.exists():
        return None
    if record is None or not run.duplicates.exists() or not record.get("complete", True):
        raise TableError(f"the last curate dedup in {run.path} did not finish", hint)
    _check_source(run, record, identity, f"{run.duplicates} is", hint)
    _read_note(run.duplicates, record["fingerprint"], "fingerprint", hint)
    hits = run.stage("decontaminate") or {}
    if "hits" in record["made_from"] and record["made_from"]["hits"] != hits.get("fingerprint"):
        raise TableError(
            f"{run.duplicates} is stale: curate decontaminate has run since, which decides who stays", hint
        )
    return record


def _check_source(run: Run, record: Mapping[str, Any], identity: str | None, what: str, hint: str) -> None:
    """TableError where a table was made from another corpus, or from other scores, than those of the run."""
    score, made_from = run.stage("score") or {}, record["made_from"]
    if identity is not None and made_from["corpus"] != identity:
        raise TableError(f"{what} stale: made from another corpus than the one that was scored", hint)
    if made_from.get("scores", score.get("fingerprint")) != score.get("fingerprint"):
        raise TableError(f"{what} stale: made from other scores", hint)
    read = score["counts"]["read"] if score.get("complete") else record["counts"]["read"]
    if record["counts"]["read"] != read:
        raise TableError(f"{what} of {record['counts']['read']:,} documents, but {read:,} were scored", hint)


def _read_note(path: Path, fingerprint: str, key: str, hint: str) -> dict[str, Any]:
    """The metadata of a file of a table; TableError where it is not the one that the record speaks of."""
    try:
        note = parquet.read_metadata(path)
    except TableError as error:
        raise TableError(error.message, hint) from error
    if note.get(key) != fingerprint:
        raise TableError(f"{path} and run.json do not belong together", hint)
    return note


# The relation that the scores are joined with.


def create_relation(connection: Any, run: Run, found: Rejections) -> None:
    """Make the DuckDB table ``rejections``: file, row, rejection, eval_sets, duplicate; a row for each such document.

    ``rejection`` is the reason, null where the document is marked or cut; ``eval_sets`` those of its leaks, review
    left out. It is narrow, has a row for each document of the two tables at most, and spills as DuckDB's tables do.
    """
    import duckdb

    select = (
        f"SELECT file, row, {reasons.rejection_sql('dropped', 'copied')} AS rejection, eval_sets, "
        f"copied IS NOT NULL AS duplicate FROM ({_hits_query(run, found)}) FULL JOIN "
        f"({_duplicates_query(run, found)}) USING (file, row)"
    )
    try:
        connection.execute(f"CREATE TEMP TABLE rejections AS {select}")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        message = f"the hits or the duplicates in {run.path} cannot be read: {str(error).strip().splitlines()[0]}"
        raise TableError(message, "; ".join(command(verb, run.path) for verb in found.verbs())) from error


def _hits_query(run: Run, found: Rejections) -> str:
    """One row for each document with a leak: the set for which it is dropped, and all sets that it leaks."""
    dropped = "first(eval_set ORDER BY bits DESC NULLS LAST, eval_set) FILTER (action = 'drop') AS dropped"
    leaked = "string_agg(DISTINCT eval_set, ', ' ORDER BY eval_set) FILTER (verdict = 'contaminated') AS eval_sets"
    if found.hits is None or not parquet.parts(run.hits):
        return f"SELECT {_NO_KEY}, NULL::VARCHAR AS dropped, NULL::VARCHAR AS eval_sets WHERE false"
    leaks = f"FROM {sql.parquet_source(run.hits)} WHERE action = 'drop' OR verdict = 'contaminated'"
    return f"SELECT file, row, {dropped}, {leaked} {leaks} GROUP BY file, row"


def _duplicates_query(run: Run, found: Rejections) -> str:
    if found.duplicates is None:
        return f"SELECT {_NO_KEY}, NULL::VARCHAR AS copied WHERE false"
    source = sql.parquet_source(run.duplicates)
    return f"SELECT file, row, kind AS copied FROM {source} WHERE NOT keeper"


_NO_KEY = "NULL::VARCHAR AS file, NULL::BIGINT AS row"
