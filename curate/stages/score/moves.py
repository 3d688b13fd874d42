"""Parts are moved to where an arrangement has them, with their carried columns; what is left out is kept aside.

A part that changes is put aside first, then the parts that it becomes are written, then it goes. So a kill at any point
leaves every row in one place at least, and the next call, which arranges what it finds, ends in the same files.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus.slice_marks import describe_slices, list_slices, name_origins
from curate.rundir import parquet
from curate.rundir.guards import ownership
from curate.rundir.run import Run, compute_fingerprint
from curate.runtime.disk.files import move_file
from curate.stages.score.arrange import Arrangement, PlacedPart, ScoredPart, ScoredSlice, describe_part


def move_parts(run: Run, arrangement: Arrangement) -> dict[Path, Mapping[str, Any]]:
    """Put the parts where they belong, with their carried columns, and return the metadata of all in order."""
    columns = [path for path in run.carried.iterdir() if path.is_dir()] if run.carried.is_dir() else []
    settled = {each.part.path for each in arrangement.placed if each.is_unchanged and _lies_right(run, each)}
    left_out: dict[Path, list[ScoredSlice]] = {}
    for one in arrangement.left_out:
        left_out.setdefault(one.path, []).append(one)
    kept = {each.part.path for each in arrangement.placed} | left_out.keys()
    kept |= {part.path for part in arrangement.behind}
    for path in dict.fromkeys(one.path for one in arrangement.needless):
        if path not in kept:
            _remove_part(run, path)
    lying: dict[Path, Path] = {}
    parts = {part.path: part for part in (one.part for each in arrangement.placed for one in each.slices[:1])}
    parts |= {one.path: one.part for one in arrangement.left_out}
    for path, part in parts.items():
        if path not in settled:
            lying[path] = _put_aside(run, part, columns) if path.parent == run.scores else path
    for each in arrangement.placed:
        if each.part.path not in settled:
            _put_in_place(run, lying[each.part.path], each)
    for path, lies in lying.items():
        _keep_aside(run, lies, left_out.get(path, []))
    if run.aside.exists() and not parquet.list_parts(run.aside):
        run.remove("aside")
    return {run.scores / each.name: each.note for each in arrangement.placed}


def _lies_right(run: Run, placed: PlacedPart) -> bool:
    return placed.part.path == run.scores / placed.name


def _put_aside(run: Run, part: ScoredPart, columns: Sequence[Path]) -> Path:
    """Move the carried columns of a part out of the way, then the part, and return where it lies."""
    path = _name_aside(run, part.note)
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in columns:
        if (carried := folder / part.path.name).exists():
            (run.aside / folder.name).mkdir(exist_ok=True)
            move_file(carried, run.aside / folder.name / path.name)
    move_file(part.path, path)
    return path


def _name_aside(run: Run, note: Mapping[str, Any]) -> Path:
    return run.aside / f"{compute_fingerprint(note)}.parquet"


def _put_in_place(run: Run, path: Path, placed: PlacedPart) -> None:
    """Write a part, after its carried columns, to where it belongs, or move it where nothing in it changes."""
    target = run.scores / placed.name
    for carried in _list_carried_aside(path):
        note = parquet.read_metadata(carried)
        if is_carried_for(note, placed.part.note):
            beside = run.carried / carried.parent.name / placed.name
            if placed.is_unchanged:
                beside.parent.mkdir(parents=True, exist_ok=True)
                move_file(carried, beside)
            else:
                write_slices(carried, beside, placed, describe_carried(note, placed.note))
    if placed.is_unchanged:
        move_file(path, target)
    else:
        write_slices(path, target, placed, placed.note)


def _keep_aside(run: Run, path: Path, left_out: Sequence[ScoredSlice]) -> None:
    """Leave of a part that lies aside only the slices that are left out; those that have a place are written."""
    if not path.exists() or len(left_out) == len(list_slices(parquet.read_metadata(path))):
        return
    carried = list(_list_carried_aside(path))
    for group in _group_consecutive(left_out):
        marks = [one.mark for one in group]
        note = describe_part(group, marks, [one.origin for one in group])
        kept = PlacedPart(group, marks, _name_aside(run, note).name, note)
        for column in carried:
            of_column = parquet.read_metadata(column)
            if is_carried_for(of_column, kept.part.note):
                write_slices(column, column.with_name(kept.name), kept, describe_carried(of_column, note))
        write_slices(path, run.aside / kept.name, kept, note)
    _remove_part(run, path)


def _remove_part(run: Run, path: Path) -> None:
    """Remove a part, and the carried columns that lie aside with it before."""
    for each in (*(_list_carried_aside(path) if path.parent == run.aside else ()), path):
        ownership.remove_part(each)


def _group_consecutive(slices: Sequence[ScoredSlice]) -> Iterator[list[ScoredSlice]]:
    """Yield slices of one part in runs that follow one another there."""
    for _, group in itertools.groupby(enumerate(slices), key=lambda each: each[1].index - each[0]):
        yield [one for _, one in group]


def is_carried_for(note: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Return whether a part of a carried column has the rows of a part of the scores, by their metadata."""
    return bool(note.get("made_from") == name_origins(part) and list_slices(note) == list_slices(part))


def describe_carried(note: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata ``note`` of a part of a carried column as those of a part of the scores as it is now."""
    others = {name: value for name, value in note.items() if name not in ("slice", "slices")}
    return {**others, "made_from": name_origins(part), **describe_slices(list_slices(part))}


def _list_carried_aside(path: Path) -> Iterator[Path]:
    """Yield the parts of carried columns of a part that lies aside."""
    yield from sorted(path.parent.glob(f"*/{path.name}"))


def write_slices(path: Path, target: Path, placed: PlacedPart, note: Mapping[str, Any]) -> None:
    """Write the rows of some slices of a part, or of a carried column, as another part."""
    rows = parquet.read_table(path).slice(placed.slices[0].first, placed.num_documents)
    parquet.write_part(target, restate_names(rows.combine_chunks(), placed), note)


def restate_names(table: pa.Table, placed: PlacedPart) -> pa.Table:
    """Return the rows of a part under the names that their files have now; a carried column has no names."""
    index = table.schema.get_field_index("file")
    if index < 0:
        return table
    names = [mark.file for mark in placed.marks for _ in range(mark.documents)]
    return table.set_column(index, table.schema.field(index), pa.array(names, table.schema.field(index).type))
