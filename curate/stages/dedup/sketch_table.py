"""The sketches of dedup: a hash of the words and LSH band keys of each document, in parts that resume.

A part covers one slice; its metadata name the slice and what was counted in it. Parts need nothing of one another:
documents are numbered when parts are listed, through all corpora, the one that is cleaned first, in the order of the
corpus. Documents without a word are counted and get no number.
"""

from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Corpus, Documents, SliceMark
from curate.corpus.gathering import gather_documents
from curate.corpus.shares import choose_share
from curate.corpus.slice_marks import list_slices
from curate.errors import CorpusError
from curate.matching import shingles
from curate.rundir import parquet
from curate.rundir.run import compute_fingerprint
from curate.runtime import console
from curate.runtime.arrays import Int64Array, UInt64Array
from curate.runtime.work import threads
from curate.runtime.work.array_tasks import ArrayTask
from curate.stages.dedup.sketches import (
    TALLIES,
    RunBatches,
    SketchConfig,
    SketchedSlice,
    Sketcher,
    batch_texts,
    hash_texts,
    make_sketcher,
    pays_to_compile,
)
from curate.stages.slice_runner import (
    Advance,
    CheckSlice,
    Executor,
    PartNotes,
    ProcessedSlice,
    SliceRun,
    describe_part,
    run_slices,
)

SLICE_BYTES = 32_000_000
"""Bytes of text in a slice."""


@dataclass(frozen=True, slots=True)
class SketchPart:
    """The sketches of the slices of one part."""

    path: Path
    corpus: int
    """0 is the corpus that is cleaned, 1 … those that it is compared with."""
    marks: tuple[SliceMark, ...]
    """The slices that it covers."""
    first: int
    """The number of its first document, over all parts in order."""
    count: int
    """Documents with words, which are those that have a number."""
    tallies: Mapping[str, int]
    unreadable: Sequence[tuple[str, int, str | None]]
    """File and row of those that could not be read, and why."""

    @property
    def stop(self) -> int:
        """The number behind that of its last document."""
        return self.first + self.count


@dataclass(frozen=True, slots=True, eq=False)
class SketchWork:
    """What ``curate dedup`` does with the slices of one corpus (``slice_runner.SliceWork``)."""

    folder: Path
    fingerprint: str
    sketcher: Sketcher
    workers: int
    columns: Literal["text", "all"] | tuple[str, ...] = "text"
    label: str = "sketching"
    done: str = "sketched"

    def process(self, slices: Iterator[Documents], advance: Advance) -> Iterator[ProcessedSlice[SketchedSlice]]:
        """Sketch one slice at a time, its texts in several threads, while the next is read.

        Texts are let go of as they are sketched, so that those of two slices at most are in memory.
        """
        if self.workers <= 1:
            yield from map(self._sketch, slices)
            return
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(self.workers) as pool:
            waiting: Future[ProcessedSlice[SketchedSlice]] | None = None
            for documents in slices:
                begun = ahead.submit(self._sketch, documents, pool.map)
                del documents
                if waiting is not None:
                    yield waiting.result()
                waiting = begun
            if waiting is not None:
                yield waiting.result()

    def _sketch(self, documents: Documents, run: RunBatches = map) -> ProcessedSlice[SketchedSlice]:
        return ProcessedSlice(documents, self.sketcher.sketch(documents, run), documents.read_bytes)

    def write(self, path: Path, processed: ProcessedSlice[SketchedSlice]) -> None:
        """Write the sketches of a slice."""
        write_part(path, processed.result, describe_part(self, processed.documents))


def sketch_corpora(
    folder: Path,
    corpora: Sequence[Corpus],
    config: SketchConfig,
    workers: int,
    check: CheckSlice | None = None,
    executor: Executor | None = None,
) -> list[SketchPart]:
    """Sketch the slices that have no part yet, and return the parts of all corpora in order.

    ``executor`` says where, each worker with ``workers`` threads. ``check`` sees the slices of the first corpus. Raises
    RowError under ``--on-error stop``.
    """
    sketcher = make_sketcher(config, pays_to_compile([corpus.size for corpus in corpora]))
    parts: list[SketchPart] = []
    for number, corpus in enumerate(corpora):
        work = make_work(folder, number, corpus, sketcher, config, workers)
        done = run_slices(corpus, work, executor=executor, check=None if number else check)
        parts += number_parts(done.notes, number, parts[-1].stop if parts else 0)
    return parts


def sketch_share(
    folder: Path,
    corpora: Sequence[Corpus],
    config: SketchConfig,
    workers: int,
    task: ArrayTask,
    check: CheckSlice | None = None,
) -> list[SliceRun]:
    """Sketch what one task of a job array has of each corpus, and return what was done, corpus by corpus.

    ``check`` sees the slices of the first corpus. Raises RowError under ``--on-error stop``.
    """
    sketcher = make_sketcher(config, pays_to_compile([corpus.size for corpus in corpora]))
    return [
        run_slices(
            corpus,
            make_work(folder, number, corpus, sketcher, config, workers),
            check=None if number else check,
            share=choose_share(corpus, task),
        )
        for number, corpus in enumerate(corpora)
    ]


def make_work(
    folder: Path, number: int, corpus: Corpus, sketcher: Sketcher, config: SketchConfig, workers: int
) -> SketchWork:
    """Return what is done with the slices of one corpus."""
    return SketchWork(name_folder(folder, number, corpus, config), name_making(corpus, config), sketcher, workers)


def name_making(corpus: Corpus, config: SketchConfig) -> str:
    """Return a fingerprint of what the sketches of a corpus are made from."""
    return compute_fingerprint([corpus.identity(), corpus.slice_bytes, asdict(config)])


def name_folder(folder: Path, number: int, corpus: Corpus, config: SketchConfig) -> Path:
    """Return the folder of the sketches of one corpus: those that are made otherwise have another one."""
    return folder / f"{number:03d}-{name_making(corpus, config)[:16]}"


def list_folders(folder: Path, corpora: Sequence[Corpus], config: SketchConfig) -> list[Path]:
    """Return the folders of the sketches of all corpora."""
    return [name_folder(folder, number, corpus, config) for number, corpus in enumerate(corpora)]


def count_unused(folder: Path, used: Container[Path]) -> int:
    """Return how many parts in a folder of sketches are not in one of the folders that are ``used``."""
    return sum(len(parquet.list_parts(each)) for each in sorted(folder.glob("*/")) if each not in used)


def write_part(path: Path, sketched: SketchedSlice, note: Mapping[str, Any]) -> None:
    """Write the sketches of one slice, with ``note`` and what was counted in its metadata."""
    documents = sketched.documents
    rows = zip(documents.files, documents.rows.tolist(), documents.statuses, documents.reasons, strict=True)
    unreadable = [(file, row, reason) for file, row, status, reason in rows if status == "unreadable"]
    counted = {"count": len(sketched.table), "tallies": sketched.tallies, "unreadable": unreadable}
    parquet.write_part(path, sketched.table, {**note, **counted})


def number_parts(notes: PartNotes, corpus: int, first: int) -> Iterator[SketchPart]:
    """Yield the parts of one corpus, whose documents are numbered from ``first`` on; ``notes`` is in their order."""
    for path, note in notes.items():
        marks = tuple(list_slices(note))
        unreadable = [(marks[0].file, *row)[-3:] for row in note["unreadable"]]  # earlier versions: without the file
        yield SketchPart(path, corpus, marks, first, note["count"], note["tallies"], unreadable)
        first += note["count"]


def list_marks(parts: Sequence[SketchPart], corpus: int) -> dict[str, list[SliceMark]]:
    """Return the slices of one corpus that have parts, by file."""
    marks: dict[str, list[SliceMark]] = {}
    for part in parts:
        if part.corpus == corpus:
            for mark in part.marks:
                marks.setdefault(mark.file, []).append(mark)
    return marks


def count_read(folders: Sequence[Path]) -> int:
    """Return the documents that were read for the parts in some folders."""
    paths = [path for folder in folders for path in parquet.list_parts(folder)]
    return sum(int(parquet.read_metadata(path)["tallies"]["read"]) for path in paths)


def add_tallies(parts: Sequence[SketchPart], corpus: int) -> dict[str, int]:
    """Return what was counted in all slices of one corpus, by name."""
    return {name: sum(part.tallies[name] for part in parts if part.corpus == corpus) for name in TALLIES}


def take_rows(
    parts: Sequence[SketchPart], numbers: Int64Array, columns: Sequence[str]
) -> Iterator[tuple[SketchPart, pa.Table]]:
    """Yield some columns of the sketches of documents, a table for each part that has any of them, in order.

    ``numbers`` is ascending. Raises TableError for a part that cannot be read.
    """
    for part in parts:
        first, stop = np.searchsorted(numbers, [part.first, part.stop])
        if first < stop:
            with parquet.naming(part.path):
                table = _read_columns(part, columns)
            yield part, table.take(pa.array(numbers[first:stop] - part.first))


def _read_columns(part: SketchPart, columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(part.path) as file:
        known = file.schema_arrow.names
        table = file.read([name for name in columns if name in known], use_threads=False)
    if "file" in columns and "file" not in known:  # an earlier version, whose parts are of one file
        table = table.append_column("file", pa.array([part.marks[0].file] * len(table), pa.large_string()))
    return table


def read_sets(
    corpora: Sequence[Corpus], parts: Sequence[SketchPart], numbers: Int64Array, config: SketchConfig, workers: int
) -> Iterator[UInt64Array]:
    """Read documents again and yield the sorted hashes of their shingles.

    ``numbers`` is ascending, and so is the order of what is yielded. Raises CorpusError where a document is not what it
    was when it was sketched.
    """
    needed = [part for part in parts if np.searchsorted(numbers, part.first) < np.searchsorted(numbers, part.stop)]

    compiled = pays_to_compile([corpus.size for corpus in corpora])

    def read_again(job: tuple[Documents, SketchPart]) -> list[UInt64Array]:
        return list(hash_shingles(*job, numbers, config, compiled))

    with console.progress("re-reading") as progress:
        for number, corpus in enumerate(corpora):
            of_corpus = [part for part in needed if part.corpus == number]
            feed = find_slices(corpus, list_marks(parts, number), of_corpus, numbers)
            for sets in threads.map_in_order(read_again, feed, workers):
                yield from sets
                progress.advance(len(sets))


class WantedRows:
    """Tells which rows of a file are of some documents; those of one slice are in memory at a time."""

    def __init__(self, file: str, parts: Sequence[SketchPart], numbers: Int64Array):
        """Begin with the slices of ``file`` in ``parts``, in order; ``numbers`` are the documents, ascending."""
        slices = [(mark, part) for part in parts for mark in part.marks if mark.file == file]
        self._file, self._slices, self._numbers = file, slices, numbers
        self._ends = [mark.next_row for mark, _ in slices]
        self._first, self._stop, self._rows = 0, 0, frozenset[int]()

    def __call__(self, row: int) -> bool:
        """Return whether a row is of one of the documents."""
        if not self._first <= row < self._stop:
            self._load(row)
        return row in self._rows

    def _load(self, row: int) -> None:
        """Load the slice with a row, or the gap that it is in."""
        index = bisect_right(self._ends, row)
        self._first, self._rows = self._ends[index - 1] if index else 0, frozenset()
        self._stop = row + 1
        if index < len(self._slices) and row >= self._slices[index][0].first_row:
            mark, part = self._slices[index]
            ((_, rows),) = take_rows([part], self._numbers, ["file", "row"])
            is_here = pc.equal(rows["file"], self._file)
            self._first, self._stop = mark.first_row, mark.next_row
            self._rows = frozenset(rows["row"].filter(is_here).to_pylist())


def find_slices(
    corpus: Corpus, marks: dict[str, list[SliceMark]], needed: Sequence[SketchPart], numbers: Int64Array
) -> Iterator[tuple[Documents, SketchPart]]:
    """Yield the needed slices of one corpus, those of a part gathered, with their parts.

    They have the documents in ``numbers`` alone, which is ascending. The slices before the first of a file are skipped.
    """
    by_slice = {(mark.file, mark.number): part for part in needed for mark in part.marks}
    of_file: dict[str, list[SketchPart]] = {}
    for part in needed:
        for file in dict.fromkeys(mark.file for mark in part.marks):
            of_file.setdefault(file, []).append(part)
    along = replace(corpus, cuts=lambda file: marks.get(file, []))
    left, waiting = len(by_slice), list[Documents]()
    skipped = list_skippable(marks, by_slice)
    slices = along.slices(skipped, rows=lambda file: WantedRows(file, of_file.get(file, ()), numbers))
    for documents in slices if left else ():
        of_slice = by_slice.get((documents.mark.file, documents.mark.number))
        if of_slice is not None:
            waiting.append(documents)
            left -= 1
            if len(waiting) == len(of_slice.marks):
                yield gather_documents(waiting), of_slice
                waiting = []
            if not left:
                return


def list_skippable(marks: dict[str, list[SliceMark]], needed: Container[tuple[str, int]]) -> dict[str, list[SliceMark]]:
    """Return of each file the slices before the first that is needed; all of them where none is."""
    skippable = {}
    for file, known in marks.items():
        first = next((index for index, mark in enumerate(known) if (file, mark.number) in needed), len(known))
        skippable[file] = known[:first]
    return skippable


def hash_shingles(
    documents: Documents, part: SketchPart, numbers: Int64Array, config: SketchConfig, compiled: bool
) -> Iterator[UInt64Array]:
    """Yield the sorted shingle hashes of the documents of a slice that are in ``numbers``; ``compiled`` by numba."""
    ((_, rows),) = take_rows([part], numbers, ["file", "row", "high", "low"])
    places = {key: index for index, key in enumerate(zip(documents.files, documents.rows.tolist(), strict=True))}
    found = [places.get(key) for key in zip(rows["file"].to_pylist(), rows["row"].to_pylist(), strict=True)]
    indices = [index for index in found if index is not None]
    if len(indices) < len(found):
        raise changed_corpus(part)
    expected, first = np.stack([rows["high"].to_numpy(), rows["low"].to_numpy()]), 0
    for texts in batch_texts([documents.texts[index] or "" for index in indices]):
        sets = hash_texts(texts, config, compiled)
        if not np.array_equal(np.stack([sets.high, sets.low]), expected[:, first : first + len(texts)]):
            raise changed_corpus(part)
        yield from (shingles.sort_unique(sets.hashes[begin:end]) for begin, end in pairwise(sets.offsets.tolist()))
        first += len(texts)


def changed_corpus(part: SketchPart) -> CorpusError:
    """Return the error of a file that is not what it was when it was sketched."""
    files = part.marks[0].file if len(part.marks) == 1 else f"{part.marks[0].file} or a file behind it"
    return CorpusError(f"{files} has changed while it was read", "start over with --restart")
