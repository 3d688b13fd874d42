"""Scoring slice by slice: the texts of a slice are measured by the model and by signals, and become a part."""

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curate.corpus.slice_marks import describe_origins, name_origins
from curate.errors import ModelError
from curate.reference.likelihood import Passage
from curate.rundir import document_columns, parquet
from curate.rundir.columns.names import find_path
from curate.rundir.signals import list_measures
from curate.runtime import console
from curate.runtime.work import profiler, threads
from curate.stages.score import rows
from curate.stages.score.logprobs import list_passages, stop_at_unscorable
from curate.stages.slice_runner import Advance, ProcessedSlice, describe_part

if TYPE_CHECKING:
    from curate.corpus import Corpus, Documents
    from curate.reference.likelihood import Likelihoods
    from curate.reference.protocol import ReferenceModel
    from curate.rundir.run import Run
    from curate.stages.score.summary import ScoreSummary

SLICE_SECONDS = 30
"""Seconds of forward pass on a CPU that a slice is sized for: what a kill may cost."""


def choose_slice_bytes(reference: "ReferenceModel") -> int:
    """Return the bytes of text in a slice: half a minute of work on a CPU, tens of megabytes on an accelerator.

    A function of the model's size and the device alone, so that a resumed run cuts the corpus at the same rows.
    """
    if reference.identity["device"] != "cpu":
        return 64_000_000
    flops = 3e11 if reference.identity["dtype"] == "bf16" else 1e11
    tokens = SLICE_SECONDS * flops / (2 * max(reference.parameters, 1))
    return int(min(4_000_000, max(250_000, 4 * tokens)))


@dataclass(frozen=True, slots=True, eq=False)
class TextsToScore:
    """What the part of a slice needs besides the model's answer."""

    documents: "Documents"
    scored: Sequence[int]
    """Indices of the documents that the model reads."""
    columns: dict[str, list[Any]]
    """What the texts give without a model: hash, sizes, signals; one entry for each document."""
    left: int | None
    """The documents that the first file may have at most under a limit, None without one."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreWork:
    """What ``curate score`` does with slices (``slice_runner.SliceWork``)."""

    run: "Run"
    reference: "ReferenceModel"
    signals: Sequence[str]
    carried: tuple[str, ...]
    """Columns of the documents that are stored next to the scores."""
    fingerprint: str
    corpus: "Corpus"
    origins: Mapping[str, Sequence[Any]]
    """The content of each file by its name (``identify_source``); empty where the parts do not say it."""
    scored_before: Mapping[str, int]
    """The documents of each file that have parts already."""
    logprobs_field: str | None = None
    """The column with the numbers, where no model gives them."""
    label: str = "scoring"
    done: str = "scored"

    @property
    def folder(self) -> Path:
        return self.run.scores

    @property
    def columns(self) -> "Literal['text', 'all'] | tuple[str, ...]":
        logprobs = () if self.logprobs_field is None else (self.logprobs_field,)
        return tuple(dict.fromkeys(map(find_path, (*self.carried, *logprobs)))) or "text"

    def process(
        self, slices: "Iterator[Documents]", advance: Advance
    ) -> "Iterator[ProcessedSlice[tuple[TextsToScore, Likelihoods]]]":
        """Score slice after slice. The model begins a slice before the last is finished, so several wait."""
        waiting: deque[TextsToScore] = deque()

        def advance_pass(tokens: int, share: float) -> None:
            """Advance by one forward pass, ``share`` of the slice being scored: ``waiting[0]``."""
            octets = waiting[0].documents.read_bytes if waiting else 0
            advance(tokens=tokens, done_bytes=round(octets * share))

        measures = list_measures(self.signals)
        for likelihoods in self.reference.score(self._read_passages(slices, waiting), advance_pass, measures):
            texts = waiting.popleft()
            check_any_finite(likelihoods, self.reference)
            if self.logprobs_field is not None and self.corpus.on_error == "stop":
                stop_at_unscorable(texts.documents, texts.scored, likelihoods)
            is_read = bool(texts.scored) and bool(self.reference.parameters)
            bytes_left = 0 if is_read else texts.documents.read_bytes
            yield ProcessedSlice(texts.documents, (texts, likelihoods), bytes_left)

    def write(self, path: Path, processed: "ProcessedSlice[tuple[TextsToScore, Likelihoods]]") -> None:
        """Write the stored columns of a slice, then its part, so that a part that exists has its columns."""
        texts, likelihoods = processed.result
        documents = processed.documents
        table = rows.assemble_part(documents, texts.scored, likelihoods, texts.columns, self.signals)
        note = describe_origins([self.origins[mark.file] for mark in documents.marks])
        note |= {"id_field": self.corpus.id_field, "signals": self.signals}
        if texts.left is not None:
            note["left"] = texts.left
        document_columns.write_carried(self.run, self.carried, documents, path.name, name_origins(note))
        parquet.write_part(path, table, {**describe_part(self, documents), **note})

    def _count_left(self, counts: Mapping[str, int], file: str) -> int | None:
        """Return the documents that a file may have at most, ``counts`` being those of the files before it."""
        if self.corpus.limit is None:
            return None
        before = itertools.takewhile(lambda name: name != file, (source.name for source in self.corpus.sources))
        return self.corpus.limit - sum(counts.get(name, 0) for name in before)

    def _read_passages(self, slices: "Iterator[Documents]", waiting: deque[TextsToScore]) -> Iterator[list[Passage]]:
        workers, counts = choose_workers(self.reference), dict(self.scored_before)
        for documents in slices:
            left = self._count_left(counts, documents.marks[0].file)
            for mark in documents.marks:
                counts[mark.file] = counts.get(mark.file, 0) + mark.documents
            scored = [index for index, status in enumerate(documents.statuses) if status == "ok"]
            with profiler.span("signals"):
                columns = rows.measure_texts(documents, self.signals, workers)
            waiting.append(TextsToScore(documents, scored, columns, left))
            if self.logprobs_field is None:
                yield [Passage(documents.texts[index] or "") for index in scored]
            else:
                yield list_passages(documents, scored, self.logprobs_field)


def choose_workers(reference: "ReferenceModel") -> int:
    """Return the threads that compute signals: one where the model uses this machine's cores, else up to eight."""
    return 1 if reference.identity["device"] == "cpu" else min(8, threads.count_cores())


def check_any_finite(likelihoods: "Likelihoods", reference: "ReferenceModel") -> None:
    """Raise ModelError where a model gives NaN for all of more than 20 documents: going on would only fill a disk."""
    broken = sum(status == "not_finite" for status in likelihoods.status)
    if broken > 20 and broken == len(likelihoods.status):
        raise make_not_finite_error(reference.identity, broken, "of a slice")


def check_scores_finite(summary: "ScoreSummary", identity: "Mapping[str, Any]") -> None:
    """Raise ModelError where a model gave NaN or infinity for every document that it read; warn where for some."""
    broken = summary.not_scored.get("not_finite", 0)
    if broken and not summary.documents:
        raise make_not_finite_error(identity, broken, "that it read")
    if broken and identity["dtype"] != "fp32":
        console.warn(f"{broken:,} documents gave NaN or infinity in {identity['dtype']}: --dtype fp32 may score them")


def make_not_finite_error(identity: "Mapping[str, Any]", broken: int, which: str) -> ModelError:
    """Return the error for ``broken`` documents, all ``which``, for which a model gave NaN or infinity."""
    documents = f"all {broken:,} documents {which}" if broken > 1 else f"the one document {which}"
    message = f"{identity['model']} gave NaN or infinity for {documents}, in {identity['dtype']}"
    if identity["dtype"] == "fp32":
        return ModelError(message, "its weights are damaged: download them again, or name another --model")
    return ModelError(message, "the same command with --dtype fp32 --restart")
