"""What dedup keeps of each document while it works: a hash of its words and its LSH band keys, in parts that resume.

Documents are numbered through all corpora, the one to be cleaned first, in the order of reading. Those without a word
are counted and get no number. Each part covers one slice; its metadata name the slice and what was counted in it, so
that a run that was interrupted goes on behind its last whole part.
"""

import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus, Documents, SliceMark
from curate.errors import CorpusError, TableError
from curate.matching import shingles, words
from curate.rundir import parquet
from curate.runtime import console, threads
from curate.stages.dedup.sketches import TALLIES, SketchConfig, SketchedSlice, Sketcher, batch_texts

Array = np.ndarray[Any, np.dtype[Any]]

SLICE_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class SketchPart:
    """The sketches of one slice."""

    path: Path
    corpus: int
    """0 is the corpus to be cleaned, 1 … those it is held against."""
    mark: SliceMark
    first: int
    """The number of its first document."""
    count: int
    tallies: Mapping[str, int]
    unreadable: Sequence[tuple[int, str | None]]
    """Rows that could not be read, and why."""

    @property
    def stop(self) -> int:
        return self.first + self.count


def sketch_corpora(
    folder: Path, corpora: Sequence[Corpus], recipe: SketchConfig, made_from: str, workers: int
) -> list[SketchPart]:
    """Sketch what is not sketched yet.  → the parts of all corpora, in order

    Parts that were made from anything else are thrown away. Raises RowError under ``--on-error stop``.
    """
    parts = resume_parts(folder, corpora, made_from)
    if parts:
        console.say("resuming", f"{sum(part.tallies['read'] for part in parts):,} documents are sketched already")
    sizes = [corpus.size for corpus in corpora]
    done = sum(source_size(corpora[part.corpus], part.mark.file) for part in parts if part.mark.last)
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    sketcher = Sketcher(recipe)
    with console.progress("sketching", total, done) as progress:
        for number, corpus in enumerate(corpora):
            feed = corpus.slices(marks_of(parts, number))
            for sketched in threads.in_order(sketcher.sketch, feed, workers):
                parts.append(write_part(folder, parts, number, corpus, sketched, made_from))
                progress.advance(len(sketched.documents), done_bytes=sketched.documents.read_bytes)
    return parts


def source_size(corpus: Corpus, name: str) -> int:
    return next((source.size or 0 for source in corpus.sources if source.name == name), 0)


def marks_of(parts: Sequence[SketchPart], corpus: int) -> dict[str, list[SliceMark]]:
    """The slices of one corpus that have parts, by file."""
    found: dict[str, list[SliceMark]] = {}
    for part in parts:
        if part.corpus == corpus:
            found.setdefault(part.mark.file, []).append(part.mark)
    return found


# Parts.


def part_name(corpus: int, source: int, number: int) -> str:
    return f"{corpus:03d}-{source:06d}-{number:06d}.parquet"


def write_part(
    folder: Path, before: Sequence[SketchPart], number: int, corpus: Corpus, sketched: SketchedSlice, made_from: str
) -> SketchPart:
    """Number the documents of a slice behind those before them, and write their sketches."""
    mark, first = sketched.documents.mark, before[-1].stop if before else 0
    source = next(place for place, one in enumerate(corpus.sources) if one.name == mark.file)
    pairs = zip(sketched.documents.rows.tolist(), sketched.documents.statuses, sketched.documents.reasons, strict=True)
    unreadable = [(row, reason) for row, status, reason in pairs if status == "unreadable"]
    part = SketchPart(
        folder / part_name(number, source, mark.number), number, mark, first, len(sketched.table), sketched.tallies,
        unreadable,
    )  # fmt: skip
    numbers = np.arange(part.first, part.stop)
    note = {key: value for key, value in asdict(part).items() if key != "path"}
    parquet.write_part(
        part.path, sketched.table.add_column(0, "number", pa.array(numbers)), {"made_from": made_from, "part": note}
    )
    return part


def resume_parts(folder: Path, corpora: Sequence[Corpus], made_from: str) -> list[SketchPart]:
    """The parts that follow one another from the first slice on; what lies behind a gap, or is foreign, is removed."""
    parquet.remove_leftovers(folder)
    found: list[SketchPart] = []
    for path in parquet.parts(folder):
        note = parquet.read_metadata(path)
        if note.get("made_from") != made_from:
            shutil.rmtree(folder)
            return []
        if path.name in next_names(found[-1] if found else None, corpora):
            found.append(SketchPart(path, **{**note["part"], "mark": SliceMark(**note["part"]["mark"])}))
        else:
            path.unlink()
    return found


def next_names(before: SketchPart | None, corpora: Sequence[Corpus]) -> list[str]:
    """What the part behind another may be called."""
    if before is None:
        return [part_name(0, 0, 0)]
    source = int(before.path.name.split("-")[1])
    if not before.mark.last:
        return [part_name(before.corpus, source, before.mark.number + 1)]
    if source + 1 < len(corpora[before.corpus].sources):
        return [part_name(before.corpus, source + 1, 0)]
    return [part_name(before.corpus + 1, 0, 0)]


def count_read(folder: Path) -> int:
    """Documents that have been read for the parts in a folder."""
    return sum(int(parquet.read_metadata(path)["part"]["tallies"]["read"]) for path in parquet.parts(folder))


def add_tallies(parts: Sequence[SketchPart], corpus: int) -> dict[str, int]:
    """What was counted in all slices of one corpus."""
    return {name: sum(part.tallies[name] for part in parts if part.corpus == corpus) for name in TALLIES}


def take_rows(
    parts: Sequence[SketchPart], numbers: Array, columns: Sequence[str]
) -> Iterator[tuple[SketchPart, pa.Table]]:
    """The sketches of some documents (their numbers ascending): a table for each part that has any, in order."""
    for part in parts:
        first, stop = np.searchsorted(numbers, [part.first, part.stop])
        if first < stop:
            try:
                table = pq.read_table(part.path, columns=list(columns), use_threads=False)
            except (OSError, pa.ArrowException) as error:
                raise TableError(f"{part.path} cannot be read: {error}", "start over with --restart") from error
            yield part, table.take(pa.array(numbers[first:stop] - part.first))


# Reading again.


def read_sets(
    corpora: Sequence[Corpus], parts: Sequence[SketchPart], numbers: Array, size: int, workers: int
) -> Iterator[Array]:
    """The sorted shingle hashes of the documents of these numbers (ascending), from their texts, in that order.

    CorpusError where a document is not what it was when it was sketched.
    """
    wanted = [part for part in parts if np.searchsorted(numbers, part.first) < np.searchsorted(numbers, part.stop)]

    def read_again(job: tuple[Documents, SketchPart]) -> list[Array]:
        return list(sets_of(*job, numbers, size))

    with console.progress("re-reading") as progress:
        for number, corpus in enumerate(corpora):
            held = {(part.mark.file, part.mark.number): part for part in wanted if part.corpus == number}
            feed = find_slices(corpus, marks_of(parts, number), held)
            for sets in threads.in_order(read_again, feed, workers):
                yield from sets
                progress.advance(len(sets))


def find_slices(
    corpus: Corpus, marks: dict[str, list[SliceMark]], held: Mapping[tuple[str, int], SketchPart]
) -> Iterator[tuple[Documents, SketchPart]]:
    """The slices of one corpus in which documents are wanted; what lies before the first of a file is passed over."""
    left = len(held)
    for documents in corpus.slices(skippable(marks, held)) if left else ():
        part = held.get((documents.mark.file, documents.mark.number))
        if part is not None:
            yield documents, part
            left -= 1
            if not left:
                return


def skippable(marks: dict[str, list[SliceMark]], wanted: Container[tuple[str, int]]) -> dict[str, list[SliceMark]]:
    """Of each file the slices before the first that is wanted; all of a file where none is."""
    found = {}
    for file, known in marks.items():
        first = next((place for place, mark in enumerate(known) if (file, mark.number) in wanted), len(known))
        found[file] = known[:first]
    return found


def sets_of(documents: Documents, part: SketchPart, numbers: Array, size: int) -> Iterator[Array]:
    """The sorted shingle hashes of the wanted documents of a slice."""
    ((_, rows),) = take_rows([part], numbers, ["row", "high", "low"])
    wanted = rows["row"].to_numpy()
    if documents.mark != part.mark or not np.isin(wanted, documents.rows).all():
        raise changed(part)
    places = np.searchsorted(documents.rows, wanted)
    expected, first = np.stack([rows["high"].to_numpy(), rows["low"].to_numpy()]), 0
    for texts in batch_texts([documents.texts[place] or "" for place in places]):
        split = words.split_words(texts)
        if not np.array_equal(np.stack(shingles.hash_sequences(split)), expected[:, first : first + len(texts)]):
            raise changed(part)
        hashes, offsets = shingles.shingle_sets(split, size)
        yield from (shingles.as_set(hashes[begin:end]) for begin, end in pairwise(offsets.tolist()))
        first += len(texts)


def changed(part: SketchPart) -> CorpusError:
    return CorpusError(f"{part.mark.file} has changed while it was read", "start over with --restart")
