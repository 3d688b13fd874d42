"""The parts of a corpus that has changed are put in the order of the corpus as it is now; none is scored twice.

    scores/ ──► aside/     parts that are not where they belong, each under a name of its own
    aside/  ──► scores/    parts of files that the corpus has, under the names and numbers that these have now

A part says in its metadata of which content it is, so that files are recognised under any name. Moving can be killed at
any point: every part is in one of the two folders, and the next call goes on with what it finds. Parts of files that
are gone stay aside, and come back when their files do.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus, SliceMark, Source
from curate.corpus.files.file_identity import find_continuation
from curate.corpus.readers.appended import is_read_alike
from curate.errors import TableError
from curate.rundir import parquet
from curate.rundir.run import Run, compute_fingerprint
from curate.runtime.numbers import count_noun
from curate.stages.slice_runner import follows, name_part


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """A part of the scores, wherever it lies."""

    path: Path
    note: Mapping[str, Any]

    @property
    def mark(self) -> SliceMark:
        """The slice that it covers."""
        return SliceMark(**self.note["slice"])

    @property
    def origin(self) -> tuple[Any, ...]:
        """The content of its file (``identify_source``)."""
        return tuple(self.note["source"])


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part with its place in the corpus as it is now."""

    part: ScoredPart
    name: str
    note: Mapping[str, Any]
    """Its metadata there."""

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing has to be written anew."""
        return dict(self.part.note) == dict(self.note)


@dataclass(slots=True)
class Arrangement:
    """Which parts go where, and what became of the files. Counts are of files unless they say otherwise."""

    placed: list[PlacedPart] = field(default_factory=list)
    """In the order of the corpus."""
    left_out: list[ScoredPart] = field(default_factory=list)
    """Those of no slice of the corpus."""
    needless: list[ScoredPart] = field(default_factory=list)
    """Those that lie aside although another part of the same rows is placed, as a kill leaves them; and those behind a
    part that is missing, which may be of no use."""
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
        return sum(int(each.note["slice"]["documents"]) for each in self.placed)

    @property
    def is_uneven(self) -> bool:
        """Whether reading goes on behind what was the end: the slices are no longer those that one reading makes."""
        return any(each.note["slice"]["last"] != each.part.note["slice"]["last"] for each in self.placed)

    def is_done(self, scores: Path) -> bool:
        """Return whether all parts are where they belong."""
        settled = all(each.is_unchanged and each.part.path == scores / each.name for each in self.placed)
        return settled and not self.needless and not any(part.path.parent == scores for part in self.left_out)

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


def read_scored_parts(folder: Path, fingerprint: str) -> list[ScoredPart]:
    """Return the parts of a folder. Raises TableError for one that is made from something else."""
    parts = [ScoredPart(path, parquet.read_metadata(path)) for path in parquet.list_parts(folder)]
    foreign = next((part for part in parts if part.note.get("made_from") != fingerprint), None)
    if foreign is not None:
        raise TableError(f"{foreign.path} belongs to another run", "start over with --restart, or name another --run")
    return parts


def arrange_parts(
    corpus: Corpus, origins: Sequence[Sequence[Any]], parts: Sequence[ScoredPart], scores: Path
) -> Arrangement:
    """Return where each part belongs in a corpus whose files have the contents ``origins``.

    A file takes the parts of its content, those of its own name first, from its first slice on; a file that has grown
    also those of its beginning. In a sample a file is known by its name too, since the draw depends on it. With a
    ``limit`` files are taken up to the first whose parts do not reach its end: what follows depends on it.
    """
    pool: dict[tuple[Any, ...], dict[int, list[ScoredPart]]] = {}
    names: dict[str, set[tuple[Any, ...]]] = {}
    for part in parts:
        pool.setdefault(part.origin, {}).setdefault(part.mark.number, []).append(part)
        names.setdefault(part.mark.file, set()).add(part.origin)
    chooser = _PartChooser(corpus, pool, names, scores)
    for source, origin in zip(corpus.sources, origins, strict=True):
        chooser.claims.setdefault(tuple(origin), set()).add(source.name)
    arrangement, left = Arrangement(), corpus.limit
    before = {part.mark.file for part in parts if part.path.parent == scores}
    for index, (source, origin) in enumerate(zip(corpus.sources, origins, strict=True)):
        chain = chooser.choose(source, tuple(origin), left) if left is None or left >= 0 else []
        for part, mark in chain:
            note = {**part.note, "source": list(origin), "slice": asdict(replace(mark, file=source.name))}
            arrangement.placed.append(PlacedPart(part, name_part(index, mark.number), note))
        is_complete = bool(chain) and chain[-1][1].last
        _count_file(arrangement, source, tuple(origin), chain, before)
        if left is not None:
            left = left - sum(mark.documents for _, mark in chain) if is_complete else -1
    taken = {each.part.path for each in arrangement.placed}
    left_out = [part for part in parts if part.path not in taken]
    needless = {path for path in chooser.doubled if path.parent != scores} | chooser.severed
    arrangement.needless = [part for part in left_out if part.path in needless]
    arrangement.left_out = [part for part in left_out if part.path not in needless]
    indices = {source.name: index for index, source in enumerate(corpus.sources)}
    arrangement.behind = [
        part
        for part in arrangement.needless
        if part.path in chooser.severed and part.path.name == name_part(indices[part.mark.file], part.mark.number)
    ]
    current = {source.name for source in corpus.sources} | {each.part.mark.file for each in arrangement.placed}
    arrangement.gone = sorted(before - current)
    return arrangement


def _count_file(
    arrangement: Arrangement,
    source: Source,
    origin: tuple[Any, ...],
    chain: Sequence[tuple[ScoredPart, SliceMark]],
    before: set[str],
) -> None:
    """Count a file of the corpus by what became of it."""
    if not chain:
        if source.name in before:
            arrangement.changed.append(source.name)
        else:
            arrangement.new += 1
    elif any(part.origin != origin for part, _ in chain):
        arrangement.grown += 1
    elif any(part.mark.file != source.name for part, _ in chain):
        arrangement.renamed += 1
    else:
        arrangement.kept += 1


@dataclass(frozen=True, slots=True)
class _PartChooser:
    """Chooses parts for one file after the other; each part is given out once."""

    corpus: Corpus
    pool: Mapping[tuple[Any, ...], Mapping[int, Sequence[ScoredPart]]]
    """Parts by content and number of the slice."""
    names: Mapping[str, set[tuple[Any, ...]]]
    """The contents that each name had."""
    scores: Path
    claims: dict[tuple[Any, ...], set[str]] = field(default_factory=dict)
    """The names under which the corpus has each content now: parts of these names are for them."""
    taken: set[Path] = field(default_factory=set)
    doubled: set[Path] = field(default_factory=set)
    """Parts of the same rows of the same content as one that was given out."""
    severed: set[Path] = field(default_factory=set)
    """Parts of the right file behind one that is missing."""

    def choose(self, source: Source, origin: tuple[Any, ...], left: int | None) -> list[tuple[ScoredPart, SliceMark]]:
        """Return the parts of a file in order, each with the mark that it has now; at most ``left`` documents."""
        ends = {origin: None} | {
            other: _find_end(source, other) for other in self.names.get(source.name, ()) if other != origin
        }
        origins = [each for each, end in ends.items() if each == origin or end is not None]
        chain: list[tuple[ScoredPart, SliceMark]] = []
        total, last = 0, None
        while (part := self._find(source, origins, last, len(chain))) is not None:
            mark = part.mark
            if part.origin != origin:
                reopened = _reopen_grown(part, ends[part.origin] or 0)
                if reopened is None:
                    break
                mark = reopened
            total += mark.documents
            if left is not None and total > left:
                break
            mark = _reopen_limited(part, mark, total, left)
            chain.append((part, mark))
            self.taken.add(part.path)
            last = mark
        else:
            behind = [
                part for number, parts in self.pool.get(origin, {}).items() if number >= len(chain) for part in parts
            ]
            self.severed.update(
                part.path for part in behind if part.mark.file == source.name and part.path.parent == self.scores
            )
        return chain

    def _find(
        self, source: Source, origins: Sequence[tuple[Any, ...]], last: SliceMark | None, number: int
    ) -> ScoredPart | None:
        candidates = [
            part
            for origin in origins
            for part in self.pool.get(origin, {}).get(number, ())
            if part.path not in self.taken and follows(last, part.mark) and self._may_take(source, part)
        ]
        if not candidates:
            return None
        first = min(candidates, key=lambda part: (part.mark.file != source.name, part.path.parent != self.scores))
        self.doubled.update(part.path for part in candidates if part.mark.next_row == first.mark.next_row)
        return first

    def _may_take(self, source: Source, part: ScoredPart) -> bool:
        if part.mark.file == source.name:
            return True
        return self.corpus.sample is None and part.mark.file not in self.claims.get(part.origin, ())


def _find_end(source: Source, origin: Sequence[Any]) -> int | None:
    """Return the byte from which a file that has grown is read on, None where it is another file, or read otherwise."""
    end = find_continuation(source, origin)
    return end if end is not None and is_read_alike(source, origin[2]) else None


def _reopen_grown(part: ScoredPart, end: int) -> SliceMark | None:
    """Return the mark of a part of a file that has grown, from which reading goes on; None where it cannot.

    ``end`` is the byte behind the rows that the file had.
    """
    mark, size = part.mark, part.origin[2]
    if not mark.last:
        return mark
    if mark.next_offset is None or (mark.next_offset == size and _ends_in_doubt(part)):
        return None
    return replace(mark, last=False, next_offset=end if mark.next_offset == size else mark.next_offset)


def _ends_in_doubt(part: ScoredPart) -> bool:
    """Return whether the last row of a part could be another one now that more follows: an open quote may go on."""
    if part.origin[0] == "jsonl" or not part.mark.documents:
        return False
    status = pq.read_table(part.path, columns=["status"], partitioning=None).column("status")
    return bool(status[-1].as_py() == "unreadable")


def _reopen_limited(part: ScoredPart, mark: SliceMark, total: int, left: int | None) -> SliceMark:
    """Return the mark of a part that was the last one for a limit, if now more is read; ``left`` documents at most."""
    before = part.note.get("left")
    if before is None or total < before or (left is not None and left <= before):
        return mark
    return replace(mark, last=False)


def move_parts(run: Run, arrangement: Arrangement) -> dict[Path, Mapping[str, Any]]:
    """Put the parts where they belong, with their carried columns, and return the metadata of all in order."""
    columns = [path for path in run.carried.iterdir() if path.is_dir()] if run.carried.is_dir() else []
    for part in arrangement.needless:
        if part not in arrangement.behind:
            part.path.unlink()
    in_place = {each.part.path for each in arrangement.placed if each.part.path == run.scores / each.name}
    lying: dict[Path, Path] = {}
    for part in [*(each.part for each in arrangement.placed), *arrangement.left_out]:
        if part.path.parent == run.scores and part.path not in in_place:
            lying[part.path] = _put_aside(run, part, columns)
    notes = {}
    for each in arrangement.placed:
        path = lying.get(each.part.path, each.part.path)
        if not (each.is_unchanged and path == run.scores / each.name):
            _put_in_place(run, path, each)
        notes[run.scores / each.name] = each.note
    if run.aside.exists() and not parquet.list_parts(run.aside):
        shutil.rmtree(run.aside)
    return notes


def _put_aside(run: Run, part: ScoredPart, columns: Sequence[Path]) -> Path:
    """Move the carried columns of a part out of the way, then the part, and return where it lies."""
    path = run.aside / f"{compute_fingerprint(part.note)}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in columns:
        if (carried := folder / part.path.name).exists():
            (run.aside / folder.name).mkdir(exist_ok=True)
            os.replace(carried, run.aside / folder.name / path.name)
    os.replace(part.path, path)
    return path


def _put_in_place(run: Run, path: Path, placed: PlacedPart) -> None:
    """Move or write a part, after its carried columns, to where it belongs."""
    for carried in _list_carried_beside(run, path):
        note = parquet.read_metadata(carried)
        if is_carried_for(note, placed.part.note):
            target = run.carried / carried.parent.name / placed.name
            _rewrite(
                carried, target, placed, {**note, "made_from": placed.note["source"], "slice": placed.note["slice"]}
            )
    _rewrite(path, run.scores / placed.name, placed, placed.note)


def is_carried_for(note: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Return whether a part of a carried column has the rows of a part of the scores, by their metadata."""
    return bool(note.get("made_from") == part["source"] and note.get("slice") == part["slice"])


def _list_carried_beside(run: Run, path: Path) -> Iterator[Path]:
    """Yield the parts of carried columns with the name of a part, in the run or aside."""
    root = run.carried if path.parent == run.scores else path.parent
    if root.is_dir():
        yield from sorted(root.glob(f"*/{path.name}"))


def _rewrite(path: Path, target: Path, placed: PlacedPart, note: Mapping[str, Any]) -> None:
    """Write a file with new metadata to ``target``, or rename it where they are as before; the old one goes."""
    if placed.is_unchanged:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        return
    table = pq.read_table(path, partitioning=None)
    parquet.write_part(target, restate_names(table, placed), note)
    if path != target:
        path.unlink()


def restate_names(table: pa.Table, placed: PlacedPart) -> pa.Table:
    """Return the rows of a part under the name that their file has now; a carried column has no names."""
    index = table.schema.get_field_index("file")
    if index < 0:
        return table
    name = pa.array([placed.note["slice"]["file"]] * len(table), table.schema.field(index).type)
    return table.set_column(index, table.schema.field(index), name)
