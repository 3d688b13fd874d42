"""Scoring slice by slice: slices without a part are scored, their parts written behind the scorer."""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.errors import Interrupted, ModelError

if TYPE_CHECKING:
    from curate.corpus import Corpus, Documents
    from curate.reference.likelihood import Likelihoods, Passage
    from curate.reference.protocol import ReferenceModel
    from curate.rundir.run import Run
    from curate.runtime.console import Progress

SLICE_SECONDS = 30  # of forward pass on a CPU that a slice is sized for: what a kill may cost


def slice_for(reference: "ReferenceModel") -> int:
    """Bytes of text in a slice: some half a minute of work on a CPU, whole tens of megabytes on an accelerator.

    A function of the model's size and the device alone, so that a resumed run cuts the corpus in the same places.
    """
    if reference.identity["device"] != "cpu":
        return 64_000_000
    flops = 3e11 if reference.identity["dtype"] == "bf16" else 1e11
    tokens = SLICE_SECONDS * flops / (2 * max(reference.parameters, 1))
    return int(min(4_000_000, max(250_000, 4 * tokens)))


def with_slices(corpus: "Corpus", slice_bytes: int) -> "Corpus":
    """The same corpus, cut into slices of another size."""
    return replace(corpus, slice_bytes=slice_bytes)


def score_slices(
    run: "Run",
    corpus: "Corpus",
    reference: "ReferenceModel",
    signals: list[str],
    fingerprint: str,
    carry: tuple[str, ...] = (),
) -> float:
    """Score the slices that have no part yet, and write their parts.  → seconds of work

    What is carried of a slice is written before its part, so that a part that exists has it.
    """
    from curate.rundir import document_columns, parquet
    from curate.rundir.run import list_done_slices
    from curate.runtime import console, profiler, threads
    from curate.stages.score import rows

    done = list_done_slices(run, fingerprint)
    resumed = sum(mark.documents for marks in done.values() for mark in marks)
    if resumed:
        console.say("resuming", f"{resumed:,} documents are scored already")
    numbers = {source.name: number for number, source in enumerate(corpus.sources)}
    sizes = [source.size for source in corpus.sources]
    total = sum(size or 0 for size in sizes) if all(size is not None for size in sizes) else None
    finished = sum(
        source.size or 0 for source in corpus.sources if done.get(source.name) and done[source.name][-1].last
    )
    waiting: deque[tuple[Documents, list[int], list[Any]]] = deque()
    made_from = corpus.fingerprint() if carry else ""

    def write(documents: "Documents", scored: list[int], found: "Likelihoods", extra: list[Any]) -> None:
        with profiler.span("write"):
            table = rows.assemble(documents, scored, found, extra, signals)
            name = f"{numbers[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
            note = {"made_from": fingerprint, "slice": asdict(documents.mark)}
            document_columns.write(run, carry, documents, name, made_from)
            parquet.write_part(run.scores / name, table, note)
        unread = documents.read_bytes if not scored or not reference.parameters else 0
        progress.advance(documents=len(documents.rows), done_bytes=unread)

    with console.progress("scoring", total, finished) as progress:
        try:
            with threads.BackgroundWriter() as behind:
                feed = passages(corpus, done, waiting, signals, carry, workers_for(reference))
                for found in reference.score(feed, lambda tokens, share: advance(progress, waiting, tokens, share)):
                    documents, scored, extra = waiting.popleft()
                    refuse_hopeless(found, reference)
                    behind.put(partial(write, documents, scored, found, extra))
        except KeyboardInterrupt:
            message = f"stopped after {resumed + progress.documents:,} documents; whole parts are kept"
            raise Interrupted(message, "the same command goes on from here") from None
        return progress.seconds


def workers_for(reference: "ReferenceModel") -> int:
    """Threads that compute signals: one where the model itself runs on this machine's cores, else some of them."""
    from curate.runtime import threads

    return 1 if reference.identity["device"] == "cpu" else min(8, threads.cores())


def passages(
    corpus: "Corpus",
    done: Any,
    waiting: deque[Any],
    signals: list[str],
    carry: tuple[str, ...] = (),
    workers: int = 1,
) -> "Iterator[list[Passage]]":
    """The scorable texts of each slice; what the part will need besides waits in ``waiting``, in the same order."""
    from curate.reference.likelihood import Passage
    from curate.runtime import profiler
    from curate.stages.score import rows

    for documents in corpus.slices(done, columns=carry or "text"):
        scored = [row for row, status in enumerate(documents.statuses) if status == "ok"]
        with profiler.span("signals"):
            extra = rows.text_columns(documents, signals, workers)
        waiting.append((documents, scored, extra))
        yield [Passage(documents.texts[row] or "") for row in scored]


def advance(progress: "Progress", waiting: deque[Any], tokens: int, share: float) -> None:
    """Move the bar by one forward pass: the slice in hand is the oldest that waits."""
    octets = waiting[0][0].read_bytes if waiting else 0
    progress.advance(tokens=tokens, done_bytes=round(octets * share))


def refuse_hopeless(found: "Likelihoods", reference: "ReferenceModel") -> None:
    """A model that gives NaN for a whole slice of documents is broken, and going on would only fill a disk."""
    broken = sum(status == "not_finite" for status in found.status)
    if broken > 20 and broken == len(found.status):
        message = f"{reference.identity['model']} gave NaN or infinity for all {broken} documents of a slice"
        raise ModelError(message, "try --dtype fp32; if that does not help, the weights are damaged")
