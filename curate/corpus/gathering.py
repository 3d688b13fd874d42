"""Small files share slices: the slices of consecutive files, each a complete file, are gathered into one.

    files ──► units: a large file, or a run of small ones ──► slices of each file ──► gathered while they fit

Which files are a unit (``units.py``) depends on their stored sizes, how the slices of a unit are gathered on their
documents alone. So the same corpus gives the same gathered slices, wherever reading begins and whoever works on which
unit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from curate.corpus.types import Documents, SliceMark
from curate.corpus.units import Unit, list_units, read_piece

if TYPE_CHECKING:
    from curate.corpus.corpus import Corpus


def read_gathered(
    corpus: Corpus,
    done: Mapping[str, Sequence[SliceMark]] = MappingProxyType({}),
    columns: Literal["text", "all"] | tuple[str, ...] = "text",
    units: Sequence[Unit] | None = None,
    entries: Mapping[Unit, SliceMark | None] = MappingProxyType({}),
) -> Iterator[Documents]:
    """Yield the slices of a corpus, or of some units, as parts are to cover them (``gather_slices``).

    Of a file in pieces, ``done`` may have any of its slices, and ``entries`` the slice before a piece. The other
    parameters are those of ``Corpus.slices``, and it raises what that raises.
    """
    units = list_units(corpus.sources, corpus.slice_bytes) if units is None else units
    for is_piece, group in itertools.groupby(units, lambda unit: unit.pieces > 1):
        of_group = list(group)
        if is_piece:
            for unit in of_group:
                marks = done.get(corpus.sources[unit.first].name, ())
                yield from read_piece(corpus, unit, marks, columns, entries.get(unit, "unknown"))
            continue
        slices = corpus.slices(done, columns, {index for unit in of_group for index in range(unit.first, unit.stop)})
        files = [[source.name for source in unit.list_sources(corpus)] for unit in of_group]
        yield from gather_slices(slices, files, corpus.slice_bytes)


def gather_slices(slices: Iterable[Documents], files: Iterable[Sequence[str]], slice_bytes: int) -> Iterator[Documents]:
    """Yield slices, those of complete files that follow one another in a unit gathered up to ``slice_bytes``.

    ``files`` are the names of the files of each unit. Between two slices that are gathered no file is left out.
    """
    places = {name: (number, index) for number, of_unit in enumerate(files) for index, name in enumerate(of_unit)}
    waiting: list[Documents] = []
    filled = 0
    for documents in slices:
        number, index = places[documents.mark.file]
        is_complete = documents.mark.number == 0 and documents.mark.last
        follows = bool(waiting) and places[waiting[-1].mark.file] == (number, index - 1)
        if waiting and not (is_complete and follows and filled + documents.size <= slice_bytes):
            yield gather_documents(waiting)
            waiting, filled = [], 0
        waiting.append(documents)
        filled += documents.size
        if not is_complete:
            yield gather_documents(waiting)
            waiting, filled = [], 0
    if waiting:
        yield gather_documents(waiting)


def gather_along(slices: Iterator[Documents], parts: Iterable[Sequence[SliceMark]]) -> Iterator[Documents]:
    """Yield slices gathered as they are in ``parts``; the caller compares the marks.

    Ends early where there are fewer slices.
    """
    for marks in parts:
        gathered = list(itertools.islice(slices, len(marks)))
        if not gathered:
            return
        yield gather_documents(gathered)


def gather_documents(slices: Sequence[Documents]) -> Documents:
    """Return some slices, at least one, as one; of a single one itself."""
    if len(slices) == 1:
        return slices[0]
    turns = [documents.turns for documents in slices]
    return Documents(
        marks=tuple(mark for documents in slices for mark in documents.marks),
        rows=np.concatenate([documents.rows for documents in slices]),
        ids=[value for documents in slices for value in documents.ids],
        texts=[text for documents in slices for text in documents.texts],
        turns=None if None in turns else [of_one for of_slice in turns for of_one in of_slice or ()],
        statuses=[status for documents in slices for status in documents.statuses],
        reasons=[reason for documents in slices for reason in documents.reasons],
        read_bytes=sum(documents.read_bytes for documents in slices),
        table=None,
        size=sum(documents.size for documents in slices),
        gathered=tuple(single for documents in slices for single in documents.slices),
    )
