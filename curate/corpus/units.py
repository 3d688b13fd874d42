"""Units: what is worked on at once. A file, a run of small files that share parts, or a piece of a large file.

A file can be cut into pieces where reading may begin within it: its slices are those of the whole file, and each is in
the piece in which it ends, by its last byte or, in Parquet, by its last row. So whoever works on a piece reads the
slices before it once, to find where it begins, unless he is told (``find_entries``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Literal, NamedTuple

from curate.corpus.files.streams import open_binary
from curate.corpus.readers.arrow import open_parquet
from curate.corpus.types import BrokenSourceError, Documents, SliceMark, Source

if TYPE_CHECKING:
    from curate.corpus.corpus import Corpus

MOST_FILES = 1000
"""Files of a unit, and so slices that are gathered, at most: what a part says of each file stays small."""
LINES = ("jsonl", "json", "csv", "tsv")
"""Formats of which the byte after a slice is known, in files that are not compressed."""


class Unit(NamedTuple):
    """The files [first, stop) of a corpus, as indices into ``Corpus.sources``, or a piece of one of them."""

    first: int
    stop: int
    piece: int = 0
    pieces: int = 1
    total: int = 0
    """Of a file in several pieces, its bytes, or the rows of a Parquet file."""

    def list_sources(self, corpus: Corpus) -> tuple[Source, ...]:
        """Return the files."""
        return corpus.sources[self.first : self.stop]

    def covers(self, mark: SliceMark, source: Source) -> bool:
        """Return whether a slice of a file of the unit is in the unit."""
        return self.pieces == 1 or place_slice(mark, source, self) == self.piece

    def is_finished(self, marks: Sequence[SliceMark], source: Source) -> bool:
        """Return whether some slices of a file of the unit, in order, are all that the unit has of it.

        Of a piece the slices around it must be there too: only they tell where it begins and ends.
        """
        if self.pieces == 1:
            return is_gapless(marks) and marks[-1].last
        around = [place_slice(mark, source, self) for mark in marks]
        first = next((index for index, piece in enumerate(around) if piece >= self.piece), None)
        stop = next((index for index, piece in enumerate(around) if piece > self.piece), len(marks))
        if first is None or (stop == len(marks) and not marks[-1].last):
            return False
        needed = marks[max(0, first - 1) : stop + 1]
        return (first > 0 or marks[0].number == 0) and all(
            after.number == before.number + 1 for before, after in itertools.pairwise(needed)
        )


def is_gapless(marks: Sequence[SliceMark]) -> bool:
    """Return whether slices are the first ones of a file, at least one, and none is left out."""
    return bool(marks) and all(mark.number == number for number, mark in enumerate(marks))


def list_units(sources: Sequence[Source], slice_bytes: int) -> list[Unit]:
    """Return the units of a corpus in order: consecutive files of ``slice_bytes`` together as stored, or one file.

    A file whose size is unknown is a unit by itself.
    """
    units: list[Unit] = []
    first, filled = 0, 0
    for index, source in enumerate(sources):
        size = slice_bytes + 1 if source.size is None else source.size
        if index > first and (filled + size > slice_bytes or index - first == MOST_FILES):
            units.append(Unit(first, index))
            first, filled = index, 0
        filled += size
    return [*units, Unit(first, len(sources))] if sources else []


def cut_unit(unit: Unit, sources: Sequence[Source], slice_bytes: int, most_bytes: float) -> list[Unit]:
    """Return the pieces of a unit, none of more than about ``most_bytes`` as stored; itself where it cannot be cut.

    A piece has at least about ``slice_bytes``.
    """
    source = sources[unit.first]
    size = source.size or 0
    wanted = int(min(-(-size // max(1.0, most_bytes)), size // max(1, slice_bytes)))
    if unit.stop - unit.first > 1 or wanted < 2 or not is_enterable(source):
        return [unit]
    total = count_rows(source) if source.format == "parquet" else size
    return [Unit(unit.first, unit.stop, piece, wanted, total) for piece in range(wanted)] if total else [unit]


def is_enterable(source: Source) -> bool:
    """Return whether reading may begin within a file, as far as its name tells."""
    return source.format == "parquet" or (source.format in LINES and source.is_plain)


def count_rows(source: Source) -> int:
    """Return the rows of a Parquet file by its footer; 0 of a damaged one."""
    try:
        with open_binary(source.path) as file, closing(open_parquet(source, file)) as opened:
            return int(opened.metadata.num_rows)
    except BrokenSourceError:
        return 0


def place_slice(mark: SliceMark, source: Source, unit: Unit) -> int:
    """Return the piece that a slice is in. A file that turns out not to be enterable has all in its first."""
    end = mark.next_row if source.format == "parquet" else mark.next_offset
    return 0 if end is None else min(unit.pieces - 1, max(0, end - 1) * unit.pieces // unit.total)


def find_entries(corpus: Corpus, units: Sequence[Unit], behind: SliceMark | None = None) -> Iterator[SliceMark | None]:
    """Yield for each piece of one file, in order, the slice before it, None at the beginning of the file.

    ``behind`` is a slice that is before the first of the pieces, None to read the file from its beginning.
    """
    source, before = corpus.sources[units[0].first], behind
    waiting = list(units)
    if waiting[0].piece == 0:
        yield None
        del waiting[0]
    slices = corpus.slices_behind(units[0].first, before, "text") if waiting else iter(())
    for documents in slices:
        piece = place_slice(documents.mark, source, units[0])
        while waiting and piece >= waiting[0].piece:
            yield before
            del waiting[0]
        if not waiting:
            return
        before = documents.mark
    for _ in waiting:  # pieces without a slice, at the end
        yield before


def find_known_entry(marks: Iterable[SliceMark], source: Source, unit: Unit) -> SliceMark | None:
    """Return the last of some slices of a file that is before a piece; None where none is."""
    before = [mark for mark in marks if place_slice(mark, source, unit) < unit.piece]
    return max(before, key=lambda mark: mark.number, default=None)


def read_piece(
    corpus: Corpus,
    unit: Unit,
    marks: Sequence[SliceMark],
    columns: Literal["text", "all"] | tuple[str, ...],
    entry: SliceMark | Literal["unknown"] | None = "unknown",
) -> Iterator[Documents]:
    """Yield the slices of a piece of a file that follow those of ``marks``, the slices of the file that are known.

    ``entry`` is the slice before the piece (``find_entries``). Raises what ``Corpus.slices`` raises.
    """
    source = corpus.sources[unit.first]
    if entry == "unknown":
        (entry,) = find_entries(corpus, [unit], find_known_entry(marks, source, unit))
    number_to_mark = {mark.number: mark for mark in marks}
    at = entry
    while (following := number_to_mark.get(0 if at is None else at.number + 1)) is not None:
        if not unit.covers(following, source):
            return
        at = following
    if at is not None and at.last:
        return
    for documents in corpus.slices_behind(unit.first, at, columns):
        if not unit.covers(documents.mark, source):
            return
        yield documents
