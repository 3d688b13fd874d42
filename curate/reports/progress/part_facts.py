"""What parts say of the work that they hold: read from their metadata once each, a bounded number at a time.

Opening a part takes .7 ms on a local disk, and the names of parts cost nothing: a name has the number of a file and of
a slice in it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curate.corpus.slice_marks import list_slices
from curate.errors import CurateError
from curate.rundir import parquet
from curate.runtime.work import threads

AT_ONCE = 2000
"""Parts that are opened in one look: a second or two."""


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What one part holds."""

    documents: int
    files: int
    """Files of which it has the end; those of a part of several follow one another."""
    next_offset: int
    """Bytes of its file before the next slice; 0 where that is unknown, as in compressed files."""
    next_row: int = 0
    """Rows of its file before the next slice."""


NOTHING = PartFacts(0, 0, 0)


@dataclass(slots=True)
class PartReader:
    """Reads the facts of parts, and remembers them from one look to the next."""

    at_once: int = AT_ONCE
    facts: dict[Path, PartFacts] = field(default_factory=dict)
    left: int = 0
    """Parts that may still be opened in this look."""

    def begin_look(self) -> None:
        """Allow as many parts to be opened as one look may."""
        self.left = self.at_once

    def read(self, paths: Iterable[Path]) -> None:
        """Read those of some parts that are not known, the first of them first, as far as the look allows it."""
        unknown = [path for path in paths if path not in self.facts][: self.left]
        self.left -= len(unknown)
        self.facts.update(zip(unknown, threads.map_in_order(read_facts, unknown, 4), strict=True))

    def list_unknown(self, paths: Sequence[Path]) -> list[Path]:
        """Return the parts that have not been read."""
        return [path for path in paths if path not in self.facts]


def read_facts(path: Path) -> PartFacts:
    """Return what a part holds; nothing where it cannot be read: damaged, or gone since it was listed."""
    try:
        note = parquet.read_metadata(path)
        marks = list_slices(note)
        documents = sum(mark.documents for mark in marks)
        last = marks[-1]
        return PartFacts(documents, sum(mark.last for mark in marks), last.next_offset or 0, last.next_row)
    except (CurateError, KeyError, TypeError, ValueError, IndexError):
        return NOTHING
