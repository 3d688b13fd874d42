"""How far each unit of a corpus is, by the parts of one table: exactly where they are few, else by their names.

A process works on the units of its share in order, so that a unit is done where a later one of the same share has
begun. Only the last that has begun needs to be opened to tell how far it is, and so does the last part of a file that
several processes work on in pieces. Slices that other processes may still write are taken for as large as the others.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from curate.corpus.shares import measure_unit
from curate.corpus.types import Source
from curate.corpus.units import Unit
from curate.reports.progress.part_facts import NOTHING, PartFacts, PartReader
from curate.rundir.run import parse_slice, parse_source

LARGE = 1.25
"""How much larger than the usual one a slice may be."""


@dataclass(frozen=True, slots=True)
class CountedWork:
    """Finished work, of a unit, a share or a corpus."""

    files: int = 0
    """That are finished to their ends."""
    num_bytes: int = 0
    """As stored, those of unfinished files included."""
    documents: float = 0.0
    units: int = 0
    """Units that are finished."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.files + other.files,
            self.num_bytes + other.num_bytes,
            self.documents + other.documents,
            self.units + other.units,
        )


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """The work that is done of each unit of a corpus, and of each piece of one, that has begun."""

    unit_to_work: Mapping[Unit, CountedWork]
    is_estimated: bool
    """Whether some of it is told by the names of parts alone."""

    def sum_units(self, units: Iterable[Unit]) -> CountedWork:
        """Return the work that is done of some units, or pieces of units."""
        return sum((self.unit_to_work[unit] for unit in units if unit in self.unit_to_work), CountedWork())


def count_units(
    sources: Sequence[Source],
    units: Sequence[Unit],
    paths: Sequence[Path],
    shares: Sequence[Sequence[Unit]],
    reader: PartReader,
) -> UnitCounts:
    """Return the work that is done of each unit by the parts of one table.

    ``shares`` are the units, and pieces of units, that a process works on in order, as far as that is known; ``reader``
    opens no more parts than one look may.
    """
    unit_to_paths = group_parts(units, paths, len(sources))
    begun = [path for of_unit in unit_to_paths.values() for path in of_unit]
    pieces = [unit for share in shares for unit in share if unit.pieces > 1]
    firsts = {piece.first: piece for piece in pieces}
    fronts = {unit for share in shares or [units] if (unit := find_front(share, unit_to_paths)) is not None}
    fronts |= {unit for unit in unit_to_paths if unit.first in firsts}
    unknown = reader.list_unknown(begun)
    if len(unknown) > reader.left:
        reader.read(unit_to_paths[unit][-1] for unit in fronts)
        unknown = reader.list_unknown(begun)
        unknown = unknown[:: max(1, len(unknown) // max(1, reader.left))]
    reader.read(unknown)
    known = [reader.facts[path] for path in begun if path in reader.facts]
    mean = sum(facts.documents for facts in known) / max(1, len(known))
    unit_to_work: dict[Unit, CountedWork] = {}
    for unit, of_unit in unit_to_paths.items():
        documents = sum(reader.facts[path].documents if path in reader.facts else mean for path in of_unit)
        work = count_unit(sources, unit, of_unit, reader, unit in fronts, firsts.get(unit.first))
        unit_to_work[unit] = work + CountedWork(documents=documents)
    for piece in pieces:
        of_file = unit_to_paths.get(Unit(piece.first, piece.stop), [])
        of_piece = count_piece(sources[piece.first], piece, of_file, reader) if of_file else None
        if of_piece is not None:
            unit_to_work[piece] = of_piece
    return UnitCounts(unit_to_work, len(known) < len(begun))


def group_parts(units: Sequence[Unit], paths: Sequence[Path], num_files: int) -> dict[Unit, list[Path]]:
    """Return the parts of each unit that has any, in order. Files that are no parts are left out."""
    firsts = [unit.first for unit in units]
    unit_to_paths: dict[Unit, list[Path]] = {}
    for path in paths:
        try:
            number, _ = parse_source(path.name), parse_slice(path.name)
        except (ValueError, IndexError):
            continue
        if units and number < num_files:
            unit_to_paths.setdefault(units[bisect_right(firsts, number) - 1], []).append(path)
    return unit_to_paths


def find_front(share: Sequence[Unit], unit_to_paths: Mapping[Unit, Sequence[Path]]) -> Unit | None:
    """Return the last unit of a share that has begun; None where none has."""
    return next((unit for unit in reversed(share) if unit in unit_to_paths), None)


def count_unit(
    sources: Sequence[Source],
    unit: Unit,
    paths: Sequence[Path],
    reader: PartReader,
    is_front: bool,
    piece: Unit | None,
) -> CountedWork:
    """Return the work that is done of a unit by its parts, but for the documents.

    Where its parts are not all known, a unit is taken for done, and one that is the last of a share that has begun for
    done up to the end of its last part. ``piece`` is a piece of it where several processes work on it.
    """
    facts = {path: reader.facts[path] for path in paths if path in reader.facts}
    files = sources[unit.first : unit.stop]
    sizes = [source.size or 0 for source in files]
    if len(facts) < len(paths) and not is_front:
        return CountedWork(len(sizes), sum(sizes), units=1)
    if len(sizes) == 1:
        last = facts.get(paths[-1], NOTHING)
        highest = parse_slice(paths[-1].name) + 1
        total = piece.total if piece is not None else sizes[0]
        end = find_end(last, files[0], total)
        num_bytes = sizes[0] * end * len(paths) // (max(1, total) * highest)
        is_done = bool(last.files) and len(paths) == highest
        return CountedWork(int(is_done), min(num_bytes, sizes[0]), units=int(is_done))
    done = _count_gathered(unit, paths, facts)
    return CountedWork(len(done), sum(sizes[number] for number in done), units=int(len(done) == len(sizes)))


def _count_gathered(unit: Unit, paths: Sequence[Path], facts: Mapping[Path, PartFacts]) -> set[int]:
    """Return the files of a unit of several, counted from its first, that have their end in one of its parts.

    Of parts that are not all known, those before the last are taken for done.
    """
    last = paths[-1]
    done = set() if len(facts) == len(paths) else set(range(parse_source(last.name) - unit.first))
    for path, each in facts.items():
        first = parse_source(path.name) - unit.first
        done |= set(range(first, min(first + each.files, unit.stop - unit.first)))
    return done


def find_end(facts: PartFacts, source: Source, total: int) -> int:
    """Return where a part ends in its file: in rows of Parquet, else in bytes; ``total`` at the end."""
    if facts.files:
        return total
    return min(total, facts.next_row if source.format == "parquet" else facts.next_offset)


def count_piece(source: Source, piece: Unit, paths: Sequence[Path], reader: PartReader) -> CountedWork | None:
    """Return the work that is done of a piece of a file by the parts of the file; None where it has not begun.

    A piece counts as done where no slice of the usual size is left: the slice that crosses its end is of the next.
    """
    last = reader.facts.get(paths[-1], NOTHING)
    highest = parse_slice(paths[-1].name)
    usual = find_end(last, source, piece.total) / (highest + 1)
    begin, stop = (piece.total * number / piece.pieces for number in (piece.piece, piece.piece + 1))
    ends = [
        find_end(reader.facts[path], source, piece.total)
        if path in reader.facts
        else (parse_slice(path.name) + 1) * usual
        for path in paths
    ]
    count = sum(begin < end <= stop for end in ends)
    if not count:
        return None
    done = min(stop - begin, count * usual)
    is_done = stop - begin - done < LARGE * (usual if not last.files else piece.total / max(1, highest))
    size = measure_unit(piece, [source] * (piece.first + 1), 0)
    return CountedWork(0, size if is_done else int(size * done / (stop - begin)), units=int(is_done))
