"""What a report reads of a run: its scores part by part, each with the domain and the decision of every document.

What is stale is not counted, as in ``curate status``: without a usable filter the decisions are those of the hits and
the duplicates that may be used, and the page says so. Memory holds one part.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate import carried, criteria, decisions, funnel, ledger, rejections, tables
from curate.corpus import Corpus
from curate.errors import CurateError, TableError
from curate.rejections import Rejections
from curate.runs import Run

NO_DOMAIN = "(none)"  # of a document without a value in the column
ROWS = 1_000_000  # of a part that are looked at at a time


@dataclass(frozen=True, slots=True)
class Sources:
    """The tables of a run that may be used, and why the others may not."""

    run: Run
    score: Mapping[str, Any]
    funnel: funnel.Funnel
    found: Rejections
    filter: Mapping[str, Any] | None
    """The record of the filter, None where there is none that may be used."""
    decided: Path
    """A decision table: a row for each row of the scores."""
    corpus: Corpus | None
    corpus_missing: str | None
    """Why texts cannot be shown."""
    domain: str | None
    """The column that tells domains apart."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of the scores in order."""

    table: pa.Table
    keep: NDArray[np.bool_]
    reasons: pa.DictionaryArray
    """Why not; null for what is kept."""
    domains: pa.DictionaryArray | None

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as numbers, NaN for null; all NaN where the scores do not have it."""
        if column not in self.table.column_names:
            return np.full(len(self.table), np.nan)
        values = self.table.column(column).combine_chunks().cast(pa.float64())
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)

    def is_scored(self) -> NDArray[np.bool_]:
        """Whether a document has the status ``ok``."""
        known = pc.fill_null(pc.equal(self.table.column("status"), "ok"), False)
        return np.asarray(known.to_numpy(), dtype=np.bool_)


@contextmanager
def open_sources(run: Run, domain: str | None) -> Iterator[Sources]:
    """Look at the tables of a run. TableError without complete scores; UsageError for a column that nothing has."""
    score = run.finished_scores()
    corpus, missing = _open_corpus(run)
    identity = corpus.identity() if corpus is not None and rejections.is_there(run) else None
    found, _ = rejections.find_rejections(run, identity)
    column, notes = _choose_domain(run, domain)
    record = open_usable(run)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=run.path) as folder:
        decided = run.filter if record is not None else _decide(run, found, Path(folder))
        shown = funnel.status(str(run.path))
        yield Sources(run, score, shown, found, record, decided, corpus, missing, column, notes)


def _open_corpus(run: Run) -> tuple[Corpus | None, str | None]:
    try:
        return run.corpus(), None
    except CurateError as error:
        return None, error.message


def _choose_domain(run: Run, named: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The column that is named, else the usual one; a column that was named and cannot be had is an error."""
    if named is not None:
        carried.carry(run, [named])
        return named, ()
    return carried.default_domain(run), ()


def open_usable(run: Run) -> dict[str, Any] | None:
    """The record of the decision table where it may be used."""
    try:
        return decisions.open_filter(run)
    except TableError:
        return None


def _decide(run: Run, found: Rejections, folder: Path) -> Path:
    """The decisions without a filter."""
    path, tally = folder / "decisions.parquet", ledger.Tally()
    with decisions.open_scores(run, found=found) as connection:
        reason = criteria.reason_of(connection, criteria.NOTHING)
        decisions.write_decisions(path, ledger.decide(connection, reason, tally), {})
    return path


def read_parts(sources: Sources, columns: Sequence[str]) -> Iterator[Part]:
    """The named columns of the scores (those that they have) with domains and decisions, in order.

    TableError where the tables do not have the same rows.
    """
    decided = Rows(sources.decided, ["keep", "reason"])
    for path in tables.parts(sources.run.scores):
        with pq.ParquetFile(path) as file:
            known = [name for name in ("status", *columns) if name in file.schema_arrow.names]
            beside = _open_domains(sources, path)
            for batch in file.iter_batches(ROWS, columns=list(dict.fromkeys(known))):
                choice = decided.take(batch.num_rows)
                domains = None if beside is None else _encode(beside.take(batch.num_rows).column("value"), NO_DOMAIN)
                keep = np.asarray(choice.column("keep").to_numpy(), dtype=np.bool_)
                yield Part(pa.Table.from_batches([batch]), keep, _encode(choice.column("reason")), domains)
    decided.check_end()


def name_domains(part: Part) -> tuple[list[str], NDArray[np.int64]]:
    """The domains of a part, and which of them each row is of."""
    if part.domains is None:
        return [""], np.zeros(len(part.table), np.int64)
    return [str(name) for name in part.domains.dictionary.to_pylist()], part.domains.indices.to_numpy()


def _open_domains(sources: Sources, part: Path) -> "Rows | None":
    if sources.domain is None:
        return None
    return Rows(carried.folder(sources.run, sources.domain) / part.name, ["value"])


def _encode(values: pa.ChunkedArray, missing: str | None = None) -> pa.DictionaryArray:
    """Values as text, each distinct one once."""
    whole = values.combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    texts = whole.dictionary.cast(pa.large_string())
    indices = whole.indices.cast(pa.int64())
    if missing is None:
        return pa.DictionaryArray.from_arrays(indices, texts)
    filled = pc.fill_null(indices, len(texts))
    return pa.DictionaryArray.from_arrays(filled, pa.concat_arrays([texts, pa.array([missing], pa.large_string())]))


class Rows:
    """The rows of a table, given out in order."""

    def __init__(self, path: Path, columns: Sequence[str]):
        self._path, texts = path, [name for name in columns if name in ("reason", "value")]
        kinds = pq.read_schema(path)
        texts = [name for name in texts if pa.types.is_large_string(kinds.field(name).type)]
        self._file = pq.ParquetFile(path, read_dictionary=texts)
        self._batches = self._file.iter_batches(ROWS, columns=list(columns))
        self._rest: pa.Table | None = None

    def take(self, count: int) -> pa.Table:
        while self._rest is None or self._rest.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise TableError(f"{self._path} has fewer rows than the scores", "make it again")
            more = pa.Table.from_batches([batch])
            self._rest = more if self._rest is None else pa.concat_tables([self._rest, more]).unify_dictionaries()
        found, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return found.combine_chunks()

    def check_end(self) -> None:
        if (self._rest is not None and self._rest.num_rows) or next(self._batches, None) is not None:
            raise TableError(f"{self._path} has more rows than the scores", "make it again")
