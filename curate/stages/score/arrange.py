"""The parts of a corpus that has changed are put in the order of the corpus as it is now; none is scored twice.

    scores/ ──► aside/     parts that are not where they belong, each under a name of its own
    aside/  ──► scores/    parts of files that the corpus has, under the names and numbers that these have now

A part says in its metadata of which content it is, so that files are recognised under any name. Moving can be killed at
any point: every part is in one of the two folders, and the next call goes on with what it finds. Parts of files that
are gone stay aside, and come back when their files do.

A part that small files share is taken apart where one of them is gone, or has changed, or where another file is between
two of them now: the slices that still follow one another stay in one part, and none is scored again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curate.corpus import Corpus, SliceMark, Source
from curate.corpus.files.file_identity import find_continuation
from curate.corpus.readers.appended import is_read_alike
from curate.corpus.slice_marks import describe_origins, describe_slices, list_origins, list_slices
from curate.errors import TableError
from curate.rundir import parquet
from curate.rundir.run import name_part
from curate.runtime.numbers import count_noun
from curate.stages.slice_runner import follows


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """A part of the scores, wherever it lies."""

    path: Path
    note: Mapping[str, Any]

    def list_slices(self) -> "list[ScoredSlice]":
        """Return the slices that it covers, in order."""
        slices: list[ScoredSlice] = []
        first, left = 0, self.note.get("left")
        for mark, origin in zip(list_slices(self.note), list_origins(self.note), strict=True):
            slices.append(ScoredSlice(self, len(slices), first, mark, tuple(origin), left))
            first += mark.documents
            left = None if left is None else left - mark.documents
        return slices


@dataclass(frozen=True, slots=True)
class ScoredSlice:
    """A slice of a part of the scores. What is chosen for a file, and what is left out, are slices."""

    part: ScoredPart
    index: int
    """0, 1, 2 … within the part."""
    first: int
    """Rows of the part before those of the slice."""
    mark: SliceMark
    origin: tuple[Any, ...]
    """The content of its file (``identify_source``)."""
    left: int | None
    """The documents that its file might have at most under a limit; None without one."""

    @property
    def path(self) -> Path:
        """Where its part lies."""
        return self.part.path

    @property
    def key(self) -> tuple[Path, int]:
        """Which slice of which part it is."""
        return self.path, self.index


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """Slices of one part, one behind another there, with their place in the corpus as it is now."""

    slices: Sequence[ScoredSlice]
    marks: Sequence[SliceMark]
    """Those that the slices have now."""
    name: str
    note: Mapping[str, Any]
    """The metadata of the part that they become."""

    @property
    def part(self) -> ScoredPart:
        """The part that has the rows."""
        return self.slices[0].part

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing has to be written anew: it is a complete part, with its metadata."""
        return dict(self.part.note) == dict(self.note)

    def pair_marks(self) -> Iterator[tuple[ScoredSlice, SliceMark]]:
        """Return each slice with the mark that it has now."""
        return zip(self.slices, self.marks, strict=True)

    @property
    def num_documents(self) -> int:
        """Rows of all slices."""
        return sum(mark.documents for mark in self.marks)


@dataclass(slots=True)
class Arrangement:
    """Which parts go where, and what became of the files. Counts are of files unless they say otherwise."""

    placed: list[PlacedPart] = field(default_factory=list)
    """In the order of the corpus."""
    left_out: list[ScoredSlice] = field(default_factory=list)
    """Those that the corpus does not have."""
    needless: list[ScoredSlice] = field(default_factory=list)
    """Those that lie aside although another slice of the same rows is placed, as a kill leaves them; those behind a
    slice that is missing, which may be of no use; and those of files that changed while they were read."""
    behind: list[ScoredPart] = field(default_factory=list)
    """Of the needless those behind a part that is missing that lie where they belong: the slices of the missing parts
    alone may be made again."""
    kept: int = 0
    grown: int = 0
    renamed: int = 0
    changed: list[str] = field(default_factory=list)
    new: int = 0
    gone: list[str] = field(default_factory=list)

    @property
    def documents(self) -> int:
        """Documents that are kept."""
        return sum(each.num_documents for each in self.placed)

    @property
    def is_uneven(self) -> bool:
        """Whether reading goes on behind what was the end: the slices are no longer those that one reading makes."""
        pairs = (
            (one.mark.last, mark.last)
            for each in self.placed
            for one, mark in zip(each.slices, each.marks, strict=True)
        )
        return any(before != now for before, now in pairs)

    def is_done(self, scores: Path) -> bool:
        """Return whether all parts are where they belong."""
        settled = all(each.is_unchanged and each.part.path == scores / each.name for each in self.placed)
        return settled and not self.needless and not any(one.path.parent == scores for one in self.left_out)

    def describe(self) -> str:
        """Return one line: what is kept, and what is new, grown, changed and gone."""
        files = self.kept + self.grown + self.renamed
        line = f"kept {count_noun(files, 'file')}, {count_noun(self.documents, 'document')}"
        counts = {
            "new": self.new, "grew": self.grown, "renamed": self.renamed,
            "changed": len(self.changed), "gone": len(self.gone),
        }  # fmt: skip
        others = [f"{count:,} {word}" for word, count in counts.items() if count]
        return f"{line}; {', '.join(others)}" if others else line


def read_scored_parts(
    folder: Path, fingerprint: str, read_note: Callable[[Path], Mapping[str, Any]] = parquet.read_metadata
) -> list[ScoredPart]:
    """Return the parts of a folder. Raises TableError for one that is made from something else."""
    parts = [ScoredPart(path, read_note(path)) for path in parquet.list_parts(folder)]
    foreign = next((part for part in parts if part.note.get("made_from") != fingerprint), None)
    if foreign is not None:
        raise TableError(f"{foreign.path} belongs to another run", "start over with --restart, or name another --run")
    return parts


def arrange_parts(
    corpus: Corpus,
    origins: Sequence[Sequence[Any]],
    parts: Sequence[ScoredPart],
    scores: Path,
    reread: Mapping[str, int] = MappingProxyType({}),
) -> Arrangement:
    """Return where each part belongs in a corpus whose files have the contents ``origins``.

    A file takes the parts of its content, those of its own name first, from its first slice on; a file that has grown
    also those of its beginning. Where a sample is drawn by file and row, a file is known by its name too. With a
    ``limit`` files are taken up to the first whose parts do not reach its end: what follows depends on it. Of files
    that are to be read again, ``reread``, only slices of so many first bytes are taken.
    """
    slices = [one for part in parts for one in part.list_slices()]
    dropped = {one.key for one in slices if is_to_be_reread(one.mark, reread)}
    chooser = _SliceChooser(corpus, *_pool_slices([one for one in slices if one.key not in dropped]), scores)
    for source, origin in zip(corpus.sources, origins, strict=True):
        chooser.claims.setdefault(tuple(origin), set()).add(source.name)
    arrangement, left = Arrangement(), corpus.limit
    before = {one.mark.file for one in slices if one.path.parent == scores}
    chosen: list[_ChosenSlice] = []
    for index, (source, origin) in enumerate(zip(corpus.sources, origins, strict=True)):
        chain = chooser.choose(source, tuple(origin), left) if left is None or left >= 0 else []
        chosen += [_ChosenSlice(index, one, replace(mark, file=source.name), origin) for one, mark in chain]
        is_complete = bool(chain) and chain[-1][1].last
        _count_file(arrangement, source, tuple(origin), chain, before)
        if left is not None:
            left = left - sum(mark.documents for _, mark in chain) if is_complete else -1
    arrangement.placed = list(_place_slices(chosen))
    left_out = [one for one in slices if one.key not in chooser.taken]
    needless = {key for key in chooser.doubled if key[0].parent != scores} | chooser.severed | dropped
    arrangement.needless = [one for one in left_out if one.key in needless]
    arrangement.left_out = [one for one in left_out if one.key not in needless]
    indices = {source.name: index for index, source in enumerate(corpus.sources)}
    arrangement.behind = [
        one.part
        for one in arrangement.needless
        if one.key in chooser.severed and one.path.name == name_part(indices[one.mark.file], one.mark.number)
    ]
    current = {source.name for source in corpus.sources} | {each.one.mark.file for each in chosen}
    arrangement.gone = sorted(before - current)
    return arrangement


def is_to_be_reread(mark: SliceMark, reread: Mapping[str, int]) -> bool:
    """Return whether a slice is of a file that changed while it was read, and not of the bytes that stayed."""
    if mark.file not in reread:
        return False
    return mark.last or mark.next_offset is None or mark.next_offset > reread[mark.file]


_Pool = Mapping[tuple[Any, ...], Mapping[int, Sequence[ScoredSlice]]]
"""Slices by the content of their file and their number."""


def _pool_slices(slices: Sequence[ScoredSlice]) -> tuple[_Pool, dict[str, set[tuple[Any, ...]]]]:
    """Return slices by content and number, and the contents that each name had."""
    pool: dict[tuple[Any, ...], dict[int, list[ScoredSlice]]] = {}
    names: dict[str, set[tuple[Any, ...]]] = {}
    for one in slices:
        pool.setdefault(one.origin, {}).setdefault(one.mark.number, []).append(one)
        names.setdefault(one.mark.file, set()).add(one.origin)
    return pool, names


@dataclass(frozen=True, slots=True)
class _ChosenSlice:
    """A slice that was chosen for a file of the corpus."""

    source: int
    """Index of the file."""
    one: ScoredSlice
    mark: SliceMark
    """That it has now."""
    origin: Sequence[Any]
    """The content of its file now."""

    def follows(self, before: "_ChosenSlice") -> bool:
        """Return whether it stays in one part with another: it follows there, and in the corpus now."""
        if self.one.key != (before.one.path, before.one.index + 1):
            return False
        if self.source == before.source:
            return follows(before.mark, self.mark)
        return self.source == before.source + 1 and before.mark.last and self.mark.number == 0


def _place_slices(chosen: Sequence[_ChosenSlice]) -> Iterator[PlacedPart]:
    """Yield the parts that the chosen slices become: slices of one part that still follow one another stay together."""
    first = 0
    for stop in range(1, len(chosen) + 1):
        if stop < len(chosen) and chosen[stop].follows(chosen[stop - 1]):
            continue
        group, first = chosen[first:stop], stop
        slices, marks = [each.one for each in group], [each.mark for each in group]
        note = describe_part(slices, marks, [each.origin for each in group])
        yield PlacedPart(slices, marks, name_part(group[0].source, marks[0].number), note)


def describe_part(
    slices: Sequence[ScoredSlice], marks: Sequence[SliceMark], origins: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Return the metadata of a part of some slices of another."""
    of_slices = ("slice", "slices", "source", "sources", "left")
    note = {name: value for name, value in slices[0].part.note.items() if name not in of_slices}
    note |= {**describe_slices(marks), **describe_origins(origins)}
    return note if slices[0].left is None else {**note, "left": slices[0].left}


def _count_file(
    arrangement: Arrangement,
    source: Source,
    origin: tuple[Any, ...],
    chain: Sequence[tuple[ScoredSlice, SliceMark]],
    before: set[str],
) -> None:
    """Count a file of the corpus by what became of it."""
    if not chain:
        if source.name in before:
            arrangement.changed.append(source.name)
        else:
            arrangement.new += 1
    elif any(one.origin != origin for one, _ in chain):
        arrangement.grown += 1
    elif any(one.mark.file != source.name for one, _ in chain):
        arrangement.renamed += 1
    else:
        arrangement.kept += 1


@dataclass(frozen=True, slots=True)
class _SliceChooser:
    """Chooses slices for one file after the other; each is given out once."""

    corpus: Corpus
    pool: _Pool
    names: Mapping[str, set[tuple[Any, ...]]]
    """The contents that each name had."""
    scores: Path
    claims: dict[tuple[Any, ...], set[str]] = field(default_factory=dict)
    """The names under which the corpus has each content now: slices of these names are for them."""
    taken: set[tuple[Path, int]] = field(default_factory=set)
    """Keys of slices, as in the next two."""
    doubled: set[tuple[Path, int]] = field(default_factory=set)
    """Slices of the same rows of the same content as one that was given out."""
    severed: set[tuple[Path, int]] = field(default_factory=set)
    """Slices of the right file behind one that is missing."""

    def choose(self, source: Source, origin: tuple[Any, ...], left: int | None) -> list[tuple[ScoredSlice, SliceMark]]:
        """Return the slices of a file in order, each with the mark that it has now; at most ``left`` documents."""
        ends = {origin: None} | {
            other: _find_end(source, other) for other in self.names.get(source.name, ()) if other != origin
        }
        origins = [each for each, end in ends.items() if each == origin or end is not None]
        chain: list[tuple[ScoredSlice, SliceMark]] = []
        total, last = 0, None
        while (one := self._find(source, origins, last, len(chain))) is not None:
            mark = one.mark
            if one.origin != origin:
                reopened = _reopen_grown(one, ends[one.origin] or 0)
                if reopened is None:
                    break
                mark = reopened
            total += mark.documents
            if left is not None and total > left:
                break
            mark = _reopen_limited(one, mark, total, left)
            chain.append((one, mark))
            self.taken.add(one.key)
            last = mark
        else:
            behind = [one for number, of in self.pool.get(origin, {}).items() if number >= len(chain) for one in of]
            self.severed.update(
                one.key for one in behind if one.mark.file == source.name and one.path.parent == self.scores
            )
        return chain

    def _find(
        self, source: Source, origins: Sequence[tuple[Any, ...]], last: SliceMark | None, number: int
    ) -> ScoredSlice | None:
        candidates = [
            one
            for origin in origins
            for one in self.pool.get(origin, {}).get(number, ())
            if one.key not in self.taken and follows(last, one.mark) and self._may_take(source, one)
        ]
        if not candidates:
            return None
        first = min(candidates, key=lambda one: (one.mark.file != source.name, one.path.parent != self.scores))
        self.doubled.update(one.key for one in candidates if one.mark.next_row == first.mark.next_row)
        return first

    def _may_take(self, source: Source, one: ScoredSlice) -> bool:
        if one.mark.file == source.name:
            return True
        return not self.corpus.is_drawn_by_place and one.mark.file not in self.claims.get(one.origin, ())


def _find_end(source: Source, origin: Sequence[Any]) -> int | None:
    """Return the byte from which a file that has grown is read on, None where it is another file, or read otherwise."""
    end = find_continuation(source, origin)
    return end if end is not None and is_read_alike(source, origin[2]) else None


def _reopen_grown(one: ScoredSlice, end: int) -> SliceMark | None:
    """Return the mark of a slice of a file that has grown, from which reading goes on; None where it cannot.

    ``end`` is the byte behind the rows that the file had.
    """
    mark, size = one.mark, one.origin[2]
    if not mark.last:
        return mark
    if mark.next_offset is None or (mark.next_offset == size and _ends_in_doubt(one)):
        return None
    return replace(mark, last=False, next_offset=end if mark.next_offset == size else mark.next_offset)


def _ends_in_doubt(one: ScoredSlice) -> bool:
    """Return whether the last row of a slice could be another one now that more follows: an open quote may go on."""
    if one.origin[0] == "jsonl" or not one.mark.documents:
        return False
    status = parquet.read_table(one.path, columns=["status"]).column("status")
    return bool(status[one.first + one.mark.documents - 1].as_py() == "unreadable")


def _reopen_limited(one: ScoredSlice, mark: SliceMark, total: int, left: int | None) -> SliceMark:
    """Return the mark of a slice that was the last one for a limit, if now more is read; ``left`` documents at most."""
    before = one.left
    if before is None or total < before or (left is not None and left <= before):
        return mark
    return replace(mark, last=False)
