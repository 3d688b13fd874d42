"""How far each unit of a corpus is, by the parts of one table: exactly where they are few, else by their names.

A process works on the units of its share in order, so that a unit is done where a later one of the same share has
begun. Only the last that has begun needs to be opened to tell how far it is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from curate.corpus.gathering import Unit
from curate.corpus.types import Source
from curate.reports.progress.part_facts import NOTHING, PartFacts, PartReader
from curate.rundir.run import parse_source


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Finished work, of a unit, a share or a corpus."""

    files: int = 0
    """That are finished to their ends."""
    num_bytes: int = 0
    """As stored, those of unfinished files included."""
    documents: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.files + other.files, self.num_bytes + other.num_bytes, self.documents + other.documents)


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """The work that is done of each unit of a corpus that has begun."""

    unit_to_work: Mapping[Unit, WorkDone]
    is_estimated: bool
    """Whether some of it is told by the names of parts alone."""

    def sum_units(self, units: Iterable[Unit]) -> WorkDone:
        """Return the work that is done of some units."""
        return sum((self.unit_to_work[unit] for unit in units if unit in self.unit_to_work), WorkDone())


def count_units(
    sources: Sequence[Source],
    units: Sequence[Unit],
    paths: Sequence[Path],
    shares: Sequence[Sequence[Unit]],
    reader: PartReader,
) -> UnitCounts:
    """Return the work that is done of each unit by the parts of one table.

    ``shares`` are the units that a process works on in order, as far as that is known; ``reader`` opens no more parts
    than one look may.
    """
    unit_to_paths = group_parts(units, paths, len(sources))
    begun = [path for of_unit in unit_to_paths.values() for path in of_unit]
    fronts = {unit for share in shares or [units] if (unit := find_front(share, unit_to_paths)) is not None}
    unknown = reader.list_unknown(begun)
    if len(unknown) > reader.left:
        reader.read(unit_to_paths[unit][-1] for unit in fronts)
        unknown = reader.list_unknown(begun)
        unknown = unknown[:: max(1, len(unknown) // max(1, reader.left))]
    reader.read(unknown)
    known = [reader.facts[path] for path in begun if path in reader.facts]
    mean = sum(facts.documents for facts in known) / max(1, len(known))
    unit_to_work = {
        unit: count_unit(sources, unit, of_unit, reader, unit in fronts, mean)
        for unit, of_unit in unit_to_paths.items()
    }
    return UnitCounts(unit_to_work, len(known) < len(begun))


def group_parts(units: Sequence[Unit], paths: Sequence[Path], num_files: int) -> dict[Unit, list[Path]]:
    """Return the parts of each unit that has any, in order. Files that are no parts are left out."""
    firsts = [unit.first for unit in units]
    unit_to_paths: dict[Unit, list[Path]] = {}
    for path in paths:
        try:
            number = parse_source(path.name)
        except ValueError:
            continue
        if units and number < num_files:
            unit_to_paths.setdefault(units[bisect_right(firsts, number) - 1], []).append(path)
    return unit_to_paths


def find_front(share: Sequence[Unit], unit_to_paths: Mapping[Unit, Sequence[Path]]) -> Unit | None:
    """Return the last unit of a share that has begun; None where none has."""
    return next((unit for unit in reversed(share) if unit in unit_to_paths), None)


def count_unit(
    sources: Sequence[Source], unit: Unit, paths: Sequence[Path], reader: PartReader, is_front: bool, mean: float
) -> WorkDone:
    """Return the work that is done of a unit by its parts; ``mean`` are the documents of a part that is not known.

    Where its parts are not all known, a unit is taken for done, and one that is the last of a share that has begun for
    done up to the end of its last part.
    """
    facts = {path: reader.facts[path] for path in paths if path in reader.facts}
    documents = sum(each.documents for each in facts.values()) + mean * (len(paths) - len(facts))
    if len(facts) == len(paths):
        return add_files(sources, facts, documents)
    last = reader.facts.get(paths[-1], NOTHING)
    first = parse_source(paths[-1].name)
    stop = first + last.files if is_front else unit.stop
    num_bytes = sum(source.size or 0 for source in sources[unit.first : stop])
    return WorkDone(stop - unit.first, num_bytes + (last.next_offset if is_front and not last.files else 0), documents)


def add_files(sources: Sequence[Source], facts: Mapping[Path, PartFacts], documents: float) -> WorkDone:
    """Return the work that is in parts which are all known, with their ``documents``."""
    file_to_bytes: dict[int, int] = {}
    for path, each in facts.items():
        first = parse_source(path.name)
        if not each.files:
            file_to_bytes[first] = max(file_to_bytes.get(first, 0), each.next_offset)
        for number in range(first, min(first + each.files, len(sources))):
            file_to_bytes[number] = sources[number].size or 0
    return WorkDone(sum(each.files for each in facts.values()), sum(file_to_bytes.values()), documents)
