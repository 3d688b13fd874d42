"""The tables of a run that a report may use, and its numbers block by block.

What is stale is not counted, as in ``curate status``: without a usable filter the decisions are those of the hits and
the duplicates that may be used, and the page says so. The page shows the documents that criteria are about, as the
ledger of ``curate filter`` does: those that were scored and that no table rejects.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus import Corpus
from curate.errors import CurateError, DamageError, TableError
from curate.reports.funnel import Funnel, read_funnel
from curate.rundir import decision_table, document_columns
from curate.rundir.columns.names import split_group_columns
from curate.rundir.document_blocks import BlockReader, DocumentBlock
from curate.rundir.run import Run
from curate.rundir.verdicts import rejections
from curate.rundir.verdicts.rejections import Rejections


@dataclass(frozen=True, slots=True)
class ReportSources:
    """The tables of a run that may be used, and why the others may not."""

    run: Run
    score: Mapping[str, Any]
    funnel: Funnel
    rejections: Rejections
    filter: Mapping[str, Any] | None
    """The record of the filter, None where there is none that may be used."""
    corpus: Corpus | None
    corpus_missing: str | None
    """Why texts cannot be shown."""
    domains: tuple[str, ...]
    """The columns whose values are the domains."""

    @property
    def domain(self) -> str | None:
        """The names of these columns as one; None without any."""
        return " / ".join(self.domains) or None

    @property
    def has_model(self) -> bool:
        return bool(self.score["made_from"]["model"]["model"] != "none")


def open_sources(run: Run, domain: str | None) -> ReportSources:
    """Open the tables of a run.

    Raises TableError without complete scores, UsageError where the documents have no column ``domain``.
    """
    score = run.finished_scores()
    corpus, missing = _open_corpus(run)
    identity = corpus.identity() if corpus is not None and rejections.has_rejections(run) else None
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
    """Return the columns that are named, else those of the filter's ledger: its ``within``, or the default."""
    if named is None:
        named = (record or {}).get("parameters", {}).get("within")
    if named is None:
        found = document_columns.default_domain(run)
        return (found,) if found else ()
    names = split_group_columns(named)
    document_columns.carry_columns(run, names)
    return tuple(names)


def open_usable(run: Run) -> dict[str, Any] | None:
    """Return the record of the decision table where it may be used, else None."""
    try:
        return decision_table.open_filter(run)
    except DamageError:
        raise
    except TableError:
        return None


class ScoreBlocks(BlockReader):
    """The numbers of a run as a report reads them: with the decisions of a usable filter, else of the other tables."""

    def __init__(self, sources: ReportSources, columns: Sequence[str]):
        names = [name for name in columns if name != "tokens"]  # a block has them anyway
        super().__init__(sources.run, sources.rejections, names, sources.domains, decided=sources.filter is not None)

    def beside(self, path: Path, name: str, kind: pa.DataType) -> Iterator[tuple[DocumentBlock, pa.ChunkedArray]]:
        """Yield the blocks, each with the same rows of a column of another table of the run."""
        rows = decision_table.DecisionReader(path, pa.schema([(name, kind)]))
        for block in self.blocks():
            yield block, rows.take(len(block)).column(name)
        rows.check_end()
