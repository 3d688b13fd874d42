"""The loop over the slices of a corpus that score, decontaminate and dedup share.

    corpus ──► slices without a part ──► SliceWork.process ──► parts, each complete or absent

What differs between the verbs is a ``SliceWork``: a function of slices and a way to write a part. What is the same is
here: which slices have a part already, names of parts, progress, interruption, and the check that the parts reach the
end of every file.

A unit of work is one file of the corpus, read behind its last complete part. Units are independent: any process may
work on any of them, in any order, again or at the same time as another, and leaves the same parts. An ``Executor``
decides where units run; the one here runs all of them in this process, so that work goes on across the ends of files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from curate.corpus import Corpus, Documents, SliceMark
from curate.errors import Interrupted, TableError
from curate.rundir.parquet import remove_leftovers
from curate.rundir.run import list_done_slices
from curate.runtime import console, profiler
from curate.runtime.threads import BackgroundWriter

Result = TypeVar("Result")

Unit = int
"""A file of the corpus, as an index into ``Corpus.sources``."""


class Advance(Protocol):
    """Moves the progress bar by work that is finished. A worker elsewhere has one that does nothing."""

    def __call__(self, documents: int = 0, tokens: int = 0, done_bytes: int = 0) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class ProcessedSlice(Generic[Result]):
    """One slice with what a verb made of it."""

    documents: Documents
    result: Result
    bytes_left: int
    """Bytes of the file by which the progress bar moves once the part is written; the rest was advanced before."""


class SliceWork(Protocol[Result]):
    """What one verb does with slices: everything that a worker needs to turn units into parts."""

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        ...

    @property
    def fingerprint(self) -> str:
        """What the parts are made from. A part with another fingerprint is foreign."""
        ...

    @property
    def columns(self) -> Literal["text", "all"] | tuple[str, ...]:
        """The columns of the documents that the work reads (``Corpus.slices``)."""
        ...

    @property
    def label(self) -> str:
        """The word of the progress line: ``scoring``."""
        ...

    @property
    def done(self) -> str:
        """What is true of documents that have a part: ``scored``."""
        ...

    def process(self, slices: Iterator[Documents], advance: Advance) -> Iterator[ProcessedSlice[Result]]:
        """Yield the result of each slice, in the order of the slices. Several slices may be under way at once."""
        ...

    def write(self, path: Path, processed: ProcessedSlice[Result]) -> None:
        """Write the part of a slice, complete or not at all. Called in a thread, in order."""
        ...


UnitFunction = Callable[[Sequence[Unit]], int]
"""A function that works on units and returns the documents that it read, once all their parts are there."""


class Executor(Protocol):
    """Where units run: in this process, as tasks of a job array, in actors of a cluster."""

    def map(self, function: UnitFunction, units: Sequence[Unit]) -> Iterator[int]:
        """Call ``function`` with every unit once, in as many calls as suits, and yield what the calls return."""
        ...


class LocalExecutor:
    """All units in one call, in this process."""

    def map(self, function: UnitFunction, units: Sequence[Unit]) -> Iterator[int]:
        """Yield the one result of ``function(units)``."""
        yield function(units)


@dataclass(frozen=True, slots=True)
class SliceRun:
    """What one pass over the slices came to."""

    seconds: float
    """Of work in this process."""
    resumed: int
    """Documents whose parts were there before."""
    documents: int
    """Documents whose parts were written."""


def run_slices(
    corpus: Corpus, work: SliceWork[Any], leftovers: Sequence[Path] = (), executor: Executor | None = None
) -> SliceRun:
    """Work on all slices of a corpus that have no part yet, and return what was done.

    ``leftovers`` are further folders in which a killed writer may have left temporary files. Raises Interrupted after
    Ctrl-C, when the parts that are complete stay; TableError for a foreign part, or where parts are missing in the end;
    what the corpus and the work raise.
    """
    work.folder.mkdir(parents=True, exist_ok=True)
    for folder in leftovers:
        remove_leftovers(folder)
    done = list_done_slices(work.folder, work.fingerprint)
    resumed = sum(mark.documents for marks in done.values() for mark in marks)
    if resumed:
        console.say("resuming", f"{resumed:,} documents are {work.done} already")
    units = [index for index, source in enumerate(corpus.sources) if not is_finished(done.get(source.name, ()))]
    finished = sum(source.size or 0 for source in corpus.sources if is_finished(done.get(source.name, ())))
    with console.progress(work.label, corpus.size, finished) as progress:
        function = partial(work_on_units, corpus, work, done, progress.advance)
        try:
            documents = sum((executor or LocalExecutor()).map(function, units)) if units else 0
        except KeyboardInterrupt:
            message = f"stopped after {resumed + progress.documents:,} documents; complete parts are kept"
            raise Interrupted(message, "the same command goes on from here") from None
        check_finished(corpus, work)
        return SliceRun(progress.seconds, resumed, documents)


def work_on_units(
    corpus: Corpus,
    work: SliceWork[Any],
    done: Mapping[str, Sequence[SliceMark]],
    advance: Advance,
    units: Sequence[Unit],
) -> int:
    """Work on some files of a corpus, behind their parts in ``done``, and return the documents that were read.

    All parts are written when it returns. Needs nothing but its arguments.
    """
    sources = {source.name: number for number, source in enumerate(corpus.sources)}
    documents = 0

    def write(processed: ProcessedSlice[Any]) -> None:
        mark = processed.documents.mark
        with profiler.span("write"):
            work.write(work.folder / name_part(sources[mark.file], mark.number), processed)
        advance(documents=len(processed.documents), done_bytes=processed.bytes_left)

    with BackgroundWriter() as writer:
        slices = corpus.slices(done, columns=work.columns, only=frozenset(units))
        for processed in work.process(slices, advance):
            documents += len(processed.documents)
            writer.put(partial(write, processed))
    return documents


def name_part(source: int, number: int) -> str:
    """Return the file name of a part: the index of its file in the corpus and the number of its slice, in order."""
    return f"{source:05d}-{number:06d}.parquet"


def describe_part(work: SliceWork[Any], documents: Documents) -> dict[str, Any]:
    """Return what the metadata of every part say: what it was made from, and the slice that it covers."""
    return {"made_from": work.fingerprint, "slice": asdict(documents.mark)}


def is_finished(marks: Sequence[SliceMark]) -> bool:
    """Return whether the parts of a file, in order and without a gap, reach its end."""
    return bool(marks) and marks[-1].last


def check_finished(corpus: Corpus, work: SliceWork[Any]) -> None:
    """Raise TableError where the parts end before the corpus does."""
    done = list_done_slices(work.folder, work.fingerprint)
    unfinished = [source.name for source in corpus.sources if not is_finished(done.get(source.name, ()))]
    if unfinished:
        message = f"the parts in {work.folder} end before the corpus does: {', '.join(unfinished[:3])}"
        raise TableError(message, "start over with --restart")
