"""One evaluation: a corpus scored by a model in training, into a run directory like those of ``curate score``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from curate.corpus import Corpus, check_holds_text, open_corpus
from curate.errors import TableError, UsageError
from curate.monitoring.callback.series import HeldOutSums
from curate.reference.causal import CausalReference
from curate.reference.checkpoints.live_names import is_live_name
from curate.reference.protocol import ScoringConfig
from curate.rundir import document_columns, parquet
from curate.rundir.guards.claims import open_claimed
from curate.rundir.guards.ownership import SCORE_FOLDERS, SCORE_NAMES, check_apart
from curate.rundir.run import Run
from curate.runtime import console
from curate.runtime.arrays import Float64Array, Int64Array
from curate.runtime.disk import claims
from curate.stages.score.request import describe_request
from curate.stages.score.resume import resume_scores
from curate.stages.score.signals import choose_signals
from curate.stages.score.slices import check_scores_finite
from curate.stages.score.summary import ScoreSummary, check_anything_read, summarise_scores
from curate.stages.slice_runner import run_slices

NO_DOMAIN = "(none)"
"""The domain of documents whose column is null."""
COLUMNS = ("file", "row", "hash", "status", "nats", "scored_tokens", "scored_bytes")


@dataclass(frozen=True, slots=True)
class HeldOutCorpus:
    """A corpus that is scored again and again."""

    name: str | None
    paths: tuple[str, ...]
    options: Mapping[str, Any]
    """Those of ``open_corpus``."""
    within: str | None
    """The column of the domains; None without."""
    carried: tuple[str, ...]
    signals: str

    def open(self) -> Corpus:
        """Return the corpus as its files are now. Raises CorpusError."""
        return open_corpus(self.paths, **self.options)


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """Sums of the documents of a run that were scored. N documents, in the order of the corpus."""

    keys: tuple[tuple[str, int, int], ...]
    """File, row and hash of each."""
    nats_N: Float64Array
    tokens_N: Float64Array
    bytes_N: Int64Array
    domains: tuple[str, ...]
    """The domain of each; empty without."""

    def sum_domains(self) -> dict[str, HeldOutSums]:
        """Return the sums of each domain, by name; none without domains."""
        names, index_N = np.unique(np.array(self.domains, dtype=object).astype(str), return_inverse=True)
        sums = {}
        for number, name in enumerate(names if self.domains else ()):
            of_N = index_N == number
            figures = (values[of_N].sum() for values in (self.nats_N, self.tokens_N, self.bytes_N))
            nats, tokens, octets = figures
            sums[str(name)] = HeldOutSums(int(of_N.sum()), float(nats), int(tokens), int(octets))
        return sums


def choose_corpus(
    name: str | None, paths: Sequence[str], options: Mapping[str, Any], within: str | None, carry: str, signals: str
) -> HeldOutCorpus:
    """Return a corpus with the columns that are stored next to its scores, after looking into its files.

    ``within`` is a column, None for no domains, or ``auto``: the first of domain, source … that the documents have.
    Raises CorpusError for a corpus that cannot be read or has no text, UsageError for a column that it does not have.
    """
    choose_signals(signals)
    corpus = open_corpus(paths, **options)
    check_holds_text(corpus)
    carried = document_columns.choose_carried(corpus, carry)
    if within == "auto":
        within = next(iter(document_columns.choose_carried(corpus, "auto")), None)
    elif within is not None:
        (within,) = document_columns.choose_carried(corpus, within)
    if within is not None and within not in carried:
        carried = (*carried, within)
    return HeldOutCorpus(name, tuple(paths), options, within, carried, signals)


def score_corpus(
    corpus: HeldOutCorpus, path: Path, reference: CausalReference, config: ScoringConfig
) -> tuple[ScoreSummary, DocumentSums]:
    """Score a corpus into a run directory, replacing an earlier evaluation there; return its totals and documents.

    Raises what ``curate score`` raises, and TableError where the run holds scores of anything but a model in training.
    """
    with claims.scope(), console.silence():
        run = open_claimed(path, "score", create=True)
        run.reserve(*SCORE_NAMES, emptied=SCORE_FOLDERS)
        check_apart(corpus.paths, run.path)
        before = run.stage("score")
        scored_by = None if before is None else str(before["made_from"]["model"]["model"])
        if scored_by is not None and not is_live_name(scored_by):
            raise TableError(f"{run.path} holds scores of {scored_by}, no model in training", "name another save=")
        opened = corpus.open()
        request = describe_request(str(reference.identity["model"]), config, corpus.options)
        signals = choose_signals(corpus.signals)
        scores = resume_scores(run, opened, request, signals, corpus.carried, restart=True)
        scores.begin(reference)
        done = run_slices(*scores.make_work(reference), leftovers=[run.path], known=scores.notes)
        document_columns.complete_carried(run, scores.carried, scores.fingerprint_corpus())
        document_columns.record_clashes(run, opened)
        changed = scores.find_changes(done.notes)
        summary = replace(summarise_scores(run, scores.model, done.seconds, reference), changed=changed)
        check_scores_finite(summary, scores.identity)
        scores.complete(summary.as_record(), done.read)
        check_anything_read(summary)
        if not summary.scored_tokens:
            raise UsageError("no document of the corpus has a token to score", "name documents with text")
        return summary, read_sums(run, corpus.within)


def read_sums(run: Run, within: str | None) -> DocumentSums:
    """Return the sums of the documents of a run that were scored and have at least one scored token."""
    keys: list[tuple[str, int, int]] = []
    domains: list[str] = []
    numbers: list[Any] = []
    for path in parquet.list_parts(run.scores):
        table = parquet.read_table(path, list(COLUMNS), use_threads=False)
        is_ok = np.array(table["status"].to_pylist()) == "ok"
        is_ok &= np.nan_to_num(table["scored_tokens"].to_numpy().astype(np.float64)) > 0
        chosen = table.filter(is_ok)
        keys += zip(*(chosen[name].to_pylist() for name in ("file", "row", "hash")), strict=True)
        numbers.append([chosen[name].to_numpy().astype(np.float64) for name in COLUMNS[4:]])
        if within is not None:
            values = parquet.read_table(document_columns.locate_column(run, within) / path.name, ["value"])
            domains += [spell_domain(value) for value in values["value"].filter(is_ok).to_pylist()]
    nats, tokens, octets = (np.concatenate([each[at] for each in numbers]) for at in range(3))
    return DocumentSums(tuple(keys), nats, tokens, octets.astype(np.int64), tuple(domains))


def spell_domain(value: object) -> str:
    """Return the name of a domain."""
    return NO_DOMAIN if value is None else str(value)
