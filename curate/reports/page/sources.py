"""What a report reads of a run: which of its tables may be used, and its numbers block by block.

What is stale is not counted, as in ``curate status``: without a usable filter the decisions are those of the hits and
the duplicates that may be used, and the page says so. The page is about the documents that criteria are about, as the
ledger of ``curate filter`` is: those that were scored and that no table rejects.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.corpus import Corpus
from curate.errors import CurateError, TableError
from curate.reports.funnel import Funnel, read_funnel
from curate.rundir import aligned_parts, decision_table, document_columns, parquet, rejections
from curate.rundir.reasons import precedes_criteria
from curate.rundir.rejections import Rejections
from curate.rundir.run import Run

HELD_BYTES = 1_000_000_000  # of blocks that stay in memory; beyond, each pass reads the tables again
TEXT = pa.dictionary(pa.int32(), pa.large_string())

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ReportSources:
    """The tables of a run that may be used, and why the others may not."""

    run: Run
    score: Mapping[str, Any]
    funnel: Funnel
    found: Rejections
    filter: Mapping[str, Any] | None
    """The record of the filter, None where there is none that may be used."""
    corpus: Corpus | None
    corpus_missing: str | None
    """Why texts cannot be shown."""
    domains: tuple[str, ...]
    """The columns that tell domains apart."""

    @property
    def domain(self) -> str | None:
        """Their names as one."""
        return " / ".join(self.domains) or None

    @property
    def has_model(self) -> bool:
        return bool(self.score["made_from"]["model"]["model"] != "none")


def open_sources(run: Run, domain: str | None) -> ReportSources:
    """Look at the tables of a run. TableError without complete scores; UsageError for a column that nothing has."""
    score = run.finished_scores()
    corpus, missing = _open_corpus(run)
    identity = corpus.identity() if corpus is not None and rejections.is_there(run) else None
    found, _ = rejections.find_rejections(run, identity)
    record = open_usable(run)
    domains = _choose_domains(run, domain, record)
    return ReportSources(run, score, read_funnel(run), found, record, corpus, missing, domains)


def _open_corpus(run: Run) -> tuple[Corpus | None, str | None]:
    try:
        return run.corpus(), None
    except CurateError as error:
        return None, error.message


def _choose_domains(run: Run, named: str | None, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The columns that are named, else those of the filter's ledger: what it took percentiles within, or the usual."""
    if named is None:
        named = (record or {}).get("parameters", {}).get("within")
    if named is None:
        found = document_columns.default_domain(run)
        return (found,) if found else ()
    names = document_columns.split(named)
    document_columns.carry(run, names)
    return tuple(names)


def open_usable(run: Run) -> dict[str, Any] | None:
    """The record of the decision table where it may be used."""
    try:
        return decision_table.open_filter(run)
    except TableError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBlock:
    """The documents of one part of the scores in order; every array has one entry for each."""

    part: str
    """The name of its file."""
    columns: Mapping[str, NDArray[Any]]
    tokens: NDArray[np.int64]
    codes: Codes
    """The reason of each by its number in the table's ``names``; 0 for what is kept."""
    asked: NDArray[np.bool_]
    """Whether criteria are about it: scored, and rejected by no table."""
    domain: NDArray[np.int32]
    """Its number in the table's ``groups``."""

    def __len__(self) -> int:
        return len(self.codes)

    def numbers(self, column: str) -> Floats:
        """A column as numbers, NaN for null; all NaN where the scores do not have it."""
        if column == "tokens":
            return self.tokens.astype(np.float64)
        if column not in self.columns:
            return np.full(len(self), np.nan)
        return self.columns[column].astype(np.float64, copy=False)

    @property
    def nbytes(self) -> int:
        own = self.tokens.nbytes + self.codes.nbytes + self.asked.nbytes + self.domain.nbytes
        return own + sum(column.nbytes for column in self.columns.values())


class ScoreBlocks:
    """The numbers of a run block by block, again and again; read once where they fit into memory."""

    def __init__(self, sources: ReportSources, columns: Sequence[str]):
        self.names: list[str | None] = [None]
        """Reasons by number."""
        self.groups = aligned_parts.ColumnGroups(sources.domains)
        self._sources, self._room = sources, HELD_BYTES
        parts = parquet.parts(sources.run.scores)
        known = pq.read_schema(parts[0]).names if parts else []
        self._columns = [name for name in columns if name in known and name != "tokens"]
        self._held: list[ScoreBlock] | None = None

    def blocks(self) -> Iterator[ScoreBlock]:
        """All documents. TableError where the tables do not have the same rows."""
        if self._held is not None:
            yield from self._held
            return
        held, room = list[ScoreBlock](), self._room
        for block in self._read():
            room -= block.nbytes
            if room >= 0:
                held.append(block)
            else:
                held.clear()
            yield block
        self._held = held if room >= 0 else None

    def beside(self, path: Path, name: str, kind: pa.DataType) -> Iterator[tuple[ScoreBlock, pa.ChunkedArray]]:
        """The blocks, each with the same rows of a column of another table of the run."""
        rows = decision_table.DecisionReader(path, pa.schema([(name, kind)]))
        for block in self.blocks():
            yield block, rows.take(len(block)).column(name)
        rows.check_end()

    def _read(self) -> Iterator[ScoreBlock]:
        run, record = self._sources.run, self._sources.filter
        reasons = (
            decision_table.DecisionReader(run.filter, pa.schema([("reason", TEXT)])) if record is not None else None
        )
        refusals = aligned_parts.RejectionCodes(run, self._sources.found, self.names) if record is None else None
        columns = ["tokens", *self._columns, *(["status"] if refusals else [])]
        for number, part in enumerate(aligned_parts.read_parts(run, columns, self._sources.domains, decided=False)):
            if refusals is not None:
                codes = refusals.take(number, part.table.column("status"))
            else:
                assert reasons is not None
                codes = self._number(reasons.take(len(part)).column("reason"))
            numbers = {name: _plain(part.table.column(name)) for name in self._columns}
            domain = self.groups.take(part.table).astype(np.int32)
            yield ScoreBlock(part.name, numbers, part.counts("tokens"), codes, self._asked(codes), domain)
        if reasons is not None:
            reasons.check_end()

    def _number(self, reasons: pa.ChunkedArray) -> Codes:
        pieces = [np.zeros(0, np.int16)]
        for chunk in reasons.chunks:
            names = [aligned_parts.number_of(self.names, name) for name in chunk.dictionary.to_pylist()]
            places = pc.fill_null(chunk.indices, len(names)).to_numpy(zero_copy_only=False)
            pieces.append(np.array([*names, 0], np.int16)[places])
        return np.concatenate(pieces)

    def _asked(self, codes: Codes) -> NDArray[np.bool_]:
        refused = np.array([name is not None and precedes_criteria(name) for name in self.names])
        return np.asarray(~refused[codes])


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers in the precision that they have, NaN for null."""
    return np.asarray(column.to_numpy() if pa.types.is_floating(column.type) else column.cast("double").to_numpy())
