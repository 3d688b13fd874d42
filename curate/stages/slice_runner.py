"""The loop over the slices of a corpus that score, decontaminate and dedup share.

    corpus ──► slices without a part ──► SliceWork.process ──► parts, each complete or absent

What differs between the verbs is a ``SliceWork``: a function of slices and a way to write a part. What is the same is
here: which slices have a part already, names of parts, progress, interruption, and the check that the parts reach the
end of every file.

A unit of work is one file of the corpus, read behind its last complete part, or a run of small files, which share
parts (``curate.corpus.gathering``). Units are independent: any process may work on any of them, in any order, again or
at the same time as another, and leaves the same parts. An ``Executor`` decides where units run; the one here runs all
of them in this process, so that work goes on across the ends of files.

What an executor gets can be pickled where the work can: those of decontaminate and dedup hold options and arrays, that
of score a model, which another process has loaded for itself (``reference/remote.py``).
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, TypeVar

from curate.corpus import Corpus, Documents, SliceMark
from curate.corpus.gathering import read_gathered
from curate.corpus.shares import measure_unit
from curate.corpus.slice_marks import count_documents, describe_slices, list_slices
from curate.corpus.types import Source
from curate.corpus.units import Unit, find_entries, list_units
from curate.errors import Interrupted, TableError
from curate.rundir import parquet
from curate.rundir.run import name_part, parse_source
from curate.runtime import console
from curate.runtime.disk.mirrors import find_mirror
from curate.runtime.disk.writers import sweep_leftovers
from curate.runtime.work import profiler
from curate.runtime.work.threads import BackgroundWriter

Result = TypeVar("Result")

PART = re.compile(r"[a-z]*\d+-[a-z]*\d+\.parquet")
"""The names of parts (``name_part``)."""

PartNotes = Mapping[Path, Mapping[str, Any]]
"""The metadata of parts by their paths, in the order of the corpus."""
NO_NOTES: PartNotes = MappingProxyType({})

PartsOfSlices = Mapping[str, Mapping[int, Path]]
"""Paths of parts by the file and the number of their slice."""
NO_PARTS: PartsOfSlices = MappingProxyType({})


class Advance(Protocol):
    """Moves the progress bar by work that is finished."""

    def __call__(self, documents: int = 0, tokens: int = 0, done_bytes: int = 0) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class ProcessedSlice(Generic[Result]):
    """The slices of one part with what a verb made of them."""

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
        """Write the part of some slices, complete or not at all. Called in a thread, in order."""
        ...


CheckSlice = Callable[[Documents], None]
"""Raises an error for a slice that is not what it should be."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceJob:
    """What is done with units: a function of them that can be sent to other processes, where the work can."""

    corpus: Corpus
    work: SliceWork[Any]
    done: Mapping[str, Sequence[SliceMark]]
    """The slices of each file that have parts, from its first one on; of a file in pieces all that have."""
    check: CheckSlice | None = None
    behind: PartsOfSlices = field(default_factory=dict)
    """Parts behind one that is missing."""
    entries: Mapping[Unit, SliceMark | None] = field(default_factory=dict)
    """The slice before each of some pieces of files, where it is known (``units.find_entries``)."""

    def __call__(self, units: Sequence[Unit], advance: Advance) -> int:
        """Work on some units, and return the documents that were read, once all their parts are there."""
        return work_on_units(self.corpus, self.work, self.done, units, advance, self.check, self.behind, self.entries)

    def forget_parts(self) -> "SliceJob":
        """Return the job without the parts that there are: whoever works on a unit looks for them."""
        return replace(self, done={}, behind={})

    def find_entries(self, pieces: Sequence[Unit]) -> list[SliceMark | None]:
        """Return the slice before each of some pieces of one file, after reading it up to the last of them."""
        return list(find_entries(self.corpus, pieces))

    def find_parts(self, unit: Unit) -> "SliceJob":
        """Return the job with the parts of one unit that are there now, up to the first that is missing."""
        entry = self.entries.get(unit)
        start = 0 if entry is None else entry.number + 1
        paths = [path for number in range(unit.first, unit.stop) for path in self._list_parts_of(number, start)]
        notes = {path: parquet.read_metadata(path) for path in paths}
        return replace(self, done=list_marks(check_notes(notes, self.work.fingerprint, entry)))

    def _list_parts_of(self, file: int, start: int) -> list[Path]:
        """Return the parts of a file, given by its index, from the slice ``start`` on up to one that is missing."""
        paths = (self.work.folder / name_part(file, number) for number in itertools.count(start))
        return list(itertools.takewhile(_is_there, paths))


def _is_there(path: Path) -> bool:
    """Return whether there is a part, after fetching it where it is in a store."""
    if (mirror := find_mirror(path)) is not None:
        mirror.refresh(mirror.find_name(path))
    return path.exists()


class Executor(Protocol):
    """Where units run: in this process, as tasks of a job array, in actors of a cluster."""

    def map(self, job: SliceJob, units: Sequence[Unit], advance: Advance) -> Iterator[int]:
        """Call ``job`` with every unit once, in as many calls as suits, and yield what the calls return.

        ``advance`` moves the bar of this process. A call in another one gets an ``advance`` of its own. There may be no
        units.
        """
        ...


class LocalExecutor:
    """All units in one call, in this process."""

    def map(self, job: SliceJob, units: Sequence[Unit], advance: Advance) -> Iterator[int]:
        """Yield the one result of ``job`` for all units, nothing where there are none."""
        if units:
            yield job(units, advance)


@dataclass(frozen=True, slots=True)
class SliceRun:
    """What one pass over the slices came to."""

    seconds: float
    """Of work in this process."""
    resumed: int
    """Documents whose parts were there before."""
    documents: int
    """Documents whose parts were written."""
    notes: PartNotes
    """The metadata of all parts, so that nobody needs to read them again."""

    @property
    def read(self) -> int:
        """Documents of all parts."""
        return sum_documents(self.notes)


def run_slices(
    corpus: Corpus,
    work: SliceWork[Any],
    leftovers: Sequence[Path] = (),
    executor: Executor | None = None,
    known: PartNotes = NO_NOTES,
    check: CheckSlice | None = None,
    share: Sequence[Unit] | None = None,
) -> SliceRun:
    """Work on all slices of a corpus that have no part yet, or on those of a share of it, and return what was done.

    ``leftovers`` are further folders in which a killed writer may have left temporary files. The metadata of each part
    are read once, those in ``known`` not again. ``check`` is called with each slice that is read, in order. ``share``
    are the units to work on, None all of them: other processes may work on others in the same folder, whose parts are
    not looked at. Raises Interrupted after Ctrl-C, when the parts that are complete stay; TableError for a foreign
    part, or where the parts are not those of the corpus in the end; what the corpus and the work raise.
    """
    work.folder.mkdir(parents=True, exist_ok=True)
    if share is not None:
        fetch_parts(work.folder, share)
    for folder in (work.folder, *leftovers):
        sweep_leftovers(folder)
    parquet.discard_damaged(path for path in list_parts_of_share(work.folder, share) if path not in known)
    before = read_notes(work.folder, work.fingerprint, known, share)
    done = list_marks(before)
    every = list_units(corpus.sources, corpus.slice_bytes) if share is None else share
    later = {} if corpus.limit is not None else read_notes_behind(work.folder, before, share)
    marks = add_pieces(done, later, corpus, every)
    resumed = sum_documents(before) if share is None else sum_covered(marks, corpus, share)
    if resumed:
        console.say("resuming", f"{resumed:,} documents are {work.done} already")
    units = [unit for unit in every if not is_unit_finished(corpus, unit, marks)]
    whole = [source for unit in every if unit.pieces == 1 for source in unit.list_sources(corpus)]
    done_bytes = sum(count_done_bytes(source, done.get(source.name, ())) for source in whole)
    size = corpus.size if share is None else sum(measure_unit(unit, corpus.sources, 0) for unit in every)
    with console.progress(work.label, size, done_bytes) as progress:
        job = SliceJob(corpus, work, marks, check, find_parts_behind(later))
        try:
            documents = sum((executor or LocalExecutor()).map(job, units, progress.advance))
        except KeyboardInterrupt:
            message = f"stopped after {resumed + progress.documents:,} documents; complete parts are kept"
            raise Interrupted(message, "the same command goes on from here") from None
        fetch_parts(work.folder, share)  # those of other hosts, and what was removed from the mirror meanwhile
        notes = read_notes(work.folder, work.fingerprint, before, share)
        check_finished(whole, work.folder, notes)
        if share is None:
            check_no_stray(work.folder, notes)
        else:
            notes |= read_notes_behind(work.folder, notes, share)
        return SliceRun(progress.seconds, resumed, documents, notes)


def work_on_units(
    corpus: Corpus,
    work: SliceWork[Any],
    done: Mapping[str, Sequence[SliceMark]],
    units: Sequence[Unit],
    advance: Advance,
    check: CheckSlice | None = None,
    behind: PartsOfSlices = NO_PARTS,
    entries: Mapping[Unit, SliceMark | None] = MappingProxyType({}),
) -> int:
    """Work on some units of a corpus, behind their parts in ``done``, and return the documents that were read.

    All parts are written when it returns. Needs nothing but its arguments. With ``Corpus.limit``, ``done`` must have
    the parts of all files, and one call all units: the limit counts over files. Slices with a part in ``behind`` are
    read, but not worked on.
    """
    sources = {corpus.sources[index].name: index for unit in units for index in range(unit.first, unit.stop)}
    documents = 0

    def write(processed: ProcessedSlice[Any]) -> None:
        mark = processed.documents.marks[0]
        with profiler.span("write"):
            work.write(work.folder / name_part(sources[mark.file], mark.number), processed)
        advance(documents=len(processed.documents), done_bytes=processed.bytes_left)

    with BackgroundWriter() as writer:
        slices = read_gathered(corpus, done, work.columns, units, entries)
        if check is not None:
            slices = check_slices(slices, check)
        if behind:
            slices = skip_written(slices, work, behind, advance)
        for processed in work.process(slices, advance):
            documents += len(processed.documents)
            writer.put(partial(write, processed))
    return documents


def check_slices(slices: Iterator[Documents], check: CheckSlice) -> Iterator[Documents]:
    """Yield slices, each after ``check`` has seen it."""
    for documents in slices:
        check(documents)
        yield documents


def skip_written(
    slices: Iterator[Documents], work: SliceWork[Any], there: PartsOfSlices, advance: Advance
) -> Iterator[Documents]:
    """Yield the slices that have no part; those behind a part that was lost may have theirs.

    ``there`` are the parts that may be met again.
    """
    for documents in slices:
        first = documents.marks[0]
        path = there.get(first.file, {}).get(first.number) if len(documents.marks) == 1 else None
        if path is not None and describe_part(work, documents).items() <= parquet.read_metadata(path).items():
            advance(documents=len(documents), done_bytes=documents.read_bytes)
        else:
            yield documents


def describe_part(work: SliceWork[Any], documents: Documents) -> dict[str, Any]:
    """Return what the metadata of every part say: what it was made from, and the slices that it covers."""
    return {"made_from": work.fingerprint, **describe_slices(documents.marks)}


def fetch_parts(folder: Path, share: Sequence[Unit] | None = None) -> None:
    """Fetch the parts that other hosts have put into the store of a run, those of a share alone or all with None.

    Does nothing for a run that is in no store. The carried columns come with the parts.
    """
    mirror = find_mirror(folder)
    if mirror is None:
        return
    own = None if share is None else {index for unit in share for index in range(unit.first, unit.stop)}

    def wants(name: str) -> bool:
        part = name.rpartition("/")[2]
        return PART.fullmatch(part) is not None and (own is None or parse_source(part) in own)

    for below in dict.fromkeys((mirror.find_name(folder), "carried")):
        mirror.pull(below, wants)


def list_parts_of_share(folder: Path, share: Sequence[Unit] | None) -> list[Path]:
    """Return the parts of a folder that are of the files of a share, all parts with None, in the order of the corpus.

    Small files share a part that has the number of the first of them, so that those of a unit are numbered in it.
    """
    paths = parquet.list_parts(folder)
    if share is None:
        return paths
    own = {index for unit in share for index in range(unit.first, unit.stop)}
    return [path for path in paths if PART.fullmatch(path.name) and parse_source(path.name) in own]


def read_notes(
    folder: Path, fingerprint: str, known: PartNotes = NO_NOTES, share: Sequence[Unit] | None = None
) -> dict[Path, Mapping[str, Any]]:
    """Return the metadata of the parts that follow one another from the first slice of each file on.

    The parts in ``known`` are not read again, and with ``share`` those of other files neither. A part behind a gap, or
    one that was cut elsewhere than where the part before it ends, is left out. Raises TableError for a part with
    another fingerprint.
    """
    every = {path: known.get(path) or parquet.read_metadata(path) for path in list_parts_of_share(folder, share)}
    return check_notes(every, fingerprint)


def check_notes(every: PartNotes, fingerprint: str, behind: SliceMark | None = None) -> dict[Path, Mapping[str, Any]]:
    """Return those of some parts, which are in the order of the corpus, that follow one another (``read_notes``).

    ``behind`` is the slice before the first one, None for those that begin their files. Raises TableError for a part
    with another fingerprint.
    """
    notes: dict[Path, Mapping[str, Any]] = {}
    ends: dict[str, SliceMark] = {} if behind is None else {behind.file: behind}
    for path, note in every.items():
        if note.get("made_from") != fingerprint:
            raise TableError(f"{path} belongs to another run", "start over with --restart, or name another --run")
        marks = list_slices(note)
        if all(follows(ends.get(mark.file), mark) for mark in marks):
            notes[path] = note
            ends.update((mark.file, mark) for mark in marks)
    return notes


def read_notes_behind(
    folder: Path, notes: PartNotes, share: Sequence[Unit] | None = None
) -> dict[Path, Mapping[str, Any]]:
    """Return the metadata of the parts of a folder that are not in ``notes``, which are behind one that is missing.

    With ``share`` only those of its files.
    A file that shares its part with others has no slice behind that, so that these are parts of one slice.
    """
    later = {path: parquet.read_metadata(path) for path in list_parts_of_share(folder, share) if path not in notes}
    return {path: note for path, note in later.items() if len(list_slices(note)) == 1}


def find_parts_behind(notes: PartNotes) -> dict[str, dict[int, Path]]:
    """Return parts of one slice each by file and number."""
    found: dict[str, dict[int, Path]] = {}
    for path, note in notes.items():
        (mark,) = list_slices(note)
        found.setdefault(mark.file, {})[mark.number] = path
    return found


def add_pieces(
    done: Mapping[str, Sequence[SliceMark]], later: PartNotes, corpus: Corpus, units: Sequence[Unit]
) -> Mapping[str, Sequence[SliceMark]]:
    """Return the slices of ``done``, of files that are in pieces with those of the parts in ``later`` too, in order."""
    names = {corpus.sources[unit.first].name for unit in units if unit.pieces > 1}
    if not names:
        return done
    marks = {name: list(of_file) for name, of_file in done.items()}
    for note in later.values():
        for mark in list_slices(note):
            if mark.file in names:
                marks.setdefault(mark.file, []).append(mark)
    return {name: sorted(of_file, key=lambda mark: mark.number) for name, of_file in marks.items()}


def sum_covered(marks: Mapping[str, Sequence[SliceMark]], corpus: Corpus, units: Sequence[Unit]) -> int:
    """Return the documents of the slices, by file, that are in some units."""
    return sum(
        mark.documents
        for unit in units
        for source in unit.list_sources(corpus)
        for mark in marks.get(source.name, ())
        if unit.covers(mark, source)
    )


def is_unit_finished(corpus: Corpus, unit: Unit, marks: Mapping[str, Sequence[SliceMark]]) -> bool:
    """Return whether the slices of each file of a unit are all that it has."""
    return all(unit.is_finished(marks.get(source.name, ()), source) for source in unit.list_sources(corpus))


def follows(before: SliceMark | None, mark: SliceMark) -> bool:
    """Return whether a slice begins where the one before it ends; None stands for the beginning of the file."""
    if before is None:
        return mark.number == 0
    return not before.last and (mark.number, mark.first_row) == (before.number + 1, before.next_row)


def list_marks(notes: PartNotes) -> dict[str, list[SliceMark]]:
    """Return the slices that parts cover, by file."""
    marks: dict[str, list[SliceMark]] = {}
    for note in notes.values():
        for mark in list_slices(note):
            marks.setdefault(mark.file, []).append(mark)
    return marks


def sum_documents(notes: PartNotes) -> int:
    """Return the documents that parts cover."""
    return sum(map(count_documents, notes.values()))


def is_finished(marks: Sequence[SliceMark]) -> bool:
    """Return whether the parts of a file, in order and without a gap, reach its end."""
    return bool(marks) and marks[-1].last


def count_done_bytes(source: Source, marks: Sequence[SliceMark]) -> int:
    """Return how much of a file its parts cover, in bytes as stored; of an unfinished compressed file 0."""
    if not marks:
        return 0
    return (source.size or 0) if marks[-1].last else (marks[-1].next_offset or 0)


def check_finished(sources: Sequence[Source], folder: Path, notes: PartNotes) -> None:
    """Raise TableError where the parts of a folder end before these files do."""
    marks = list_marks(notes)
    unfinished = [source.name for source in sources if not is_finished(marks.get(source.name, ()))]
    if unfinished:
        message = f"the parts in {folder} end before the corpus does: {', '.join(unfinished[:3])}"
        raise TableError(message, "start over with --restart")


def check_no_stray(folder: Path, notes: PartNotes) -> None:
    """Raise TableError where one of the parts in a folder is not of the slices of the corpus."""
    stray = next((path for path in parquet.list_parts(folder) if path not in notes), None)
    if stray is not None:
        raise TableError(f"{stray} is the part of a slice that the corpus does not have", "start over with --restart")
