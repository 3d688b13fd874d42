"""Columns that are added to parts which are there: signals, ids and columns of the documents. No model reads again.

The texts of the slices that lack one are read from the corpus, checked against the hashes of their parts, and each part
is written again, complete or not at all. A part says in its metadata which it has, so that this can be resumed.
"""

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from curate.corpus import Corpus, Documents, SliceMark
from curate.corpus.gathering import gather_documents
from curate.corpus.slice_marks import list_slices, name_origins
from curate.errors import TableError
from curate.rundir import document_columns, parquet
from curate.rundir.run import Run, note_changed_file
from curate.rundir.schemas import scores_schema
from curate.rundir.signals import SIGNALS, list_columns
from curate.runtime import console
from curate.runtime.work import threads
from curate.stages.score.moves import is_carried_for
from curate.stages.score.rows import measure_texts
from curate.stages.slice_runner import PartNotes


def list_lacking(
    run: Run, notes: PartNotes, id_field: str | None, signals: Sequence[str], carried: Sequence[str]
) -> dict[Path, tuple[str, ...]]:
    """Return the parts that lack something, each with the carried columns that it lacks."""
    lacking = {}
    for path, note in notes.items():
        missing = tuple(name for name in carried if not _has_carried(run, name, path, note))
        if missing or lacks_columns(note, id_field, signals):
            lacking[path] = missing
    return lacking


def lacks_columns(note: Mapping[str, Any], id_field: str | None, signals: Sequence[str]) -> bool:
    """Return whether a part has ids of another field, or lacks a signal, by its metadata."""
    return note["id_field"] != id_field or not set(signals) <= set(note["signals"])


def _has_carried(run: Run, name: str, path: Path, note: Mapping[str, Any]) -> bool:
    carried = document_columns.locate_column(run, name) / path.name
    return carried.exists() and is_carried_for(run.read_note(carried), note)


def add_columns(
    run: Run,
    corpus: Corpus,
    notes: PartNotes,
    lacking: Mapping[Path, tuple[str, ...]],
    signals: Sequence[str],
) -> dict[Path, Mapping[str, Any]]:
    """Write what parts lack, and return the metadata of all parts.

    ``corpus`` names the ids, ``signals`` are all that a part is to have. Raises TableError where a text is another one
    than was scored.
    """
    renewed = dict(notes)
    columns = tuple(dict.fromkeys(name for names in lacking.values() for name in names))
    with console.progress("adding columns", corpus.size) as progress:
        for path, documents in _read_again(run, corpus, notes, lacking, columns or "text"):
            progress.advance(documents=len(documents), done_bytes=documents.read_bytes)
            if path in lacking:
                renewed[path] = _renew_part(run, path, documents, notes[path], lacking[path], corpus, signals)
    return renewed


def _read_again(
    run: Run, corpus: Corpus, notes: PartNotes, lacking: Container[Path], columns: Literal["text"] | tuple[str, ...]
) -> Iterator[tuple[Path, Documents]]:
    """Yield the documents of the parts that lack something, and of those between two such parts of one file.

    Each file is read once, from the first slice that is needed to the last. Raises TableError where the corpus has
    other slices.
    """
    slices = _read_slices(run, corpus, notes, lacking, columns)
    for path, of_part in itertools.groupby(slices, key=itemgetter(0)):
        yield path, gather_documents([documents for _, documents in of_part])


def _read_slices(
    run: Run, corpus: Corpus, notes: PartNotes, lacking: Container[Path], columns: Literal["text"] | tuple[str, ...]
) -> Iterator[tuple[Path, Documents]]:
    marks: dict[str, list[tuple[SliceMark, Path]]] = {}
    for path, note in notes.items():
        for mark in list_slices(note):
            marks.setdefault(mark.file, []).append((mark, path))
    cuts = {file: [mark for mark, _ in of_file] for file, of_file in marks.items()}
    along = replace(corpus, cuts=lambda file: cuts.get(file, []), limit=None, on_error="quarantine")
    for source in corpus.sources:
        of_file = marks.get(source.name, [])
        needed = [number for number, (_, path) in enumerate(of_file) if path in lacking]
        if not needed:
            continue
        done = {source.name: cuts[source.name][: needed[0]]}
        slices = replace(along, sources=(source,)).slices(done, columns)
        for mark, path in of_file[needed[0] : needed[-1] + 1]:
            documents = next(slices, None)
            if documents is None or documents.mark != mark:
                raise _make_changed_error(run, mark.file, mark.first_row)
            yield path, documents


def _renew_part(
    run: Run,
    path: Path,
    documents: Documents,
    note: Mapping[str, Any],
    carried: Sequence[str],
    corpus: Corpus,
    signals: Sequence[str],
) -> Mapping[str, Any]:
    """Write the columns that a part lacks, and return its metadata."""
    missing = [name for name in signals if name not in note["signals"]]
    added = list_columns(missing)
    measured = measure_texts(documents, missing, threads.count_cores())
    table = parquet.read_table(path)
    _check_same(run, documents, table, measured["hash"])
    document_columns.write_carried(run, carried, documents, path.name, name_origins(note))
    if not lacks_columns(note, corpus.id_field, signals):
        return note
    present = [name for name in SIGNALS if name in note["signals"] or name in missing]
    schema = scores_schema(present)
    columns = [
        pa.array(measured[column.name], column.type, from_pandas=True)
        if column.name in added
        else pa.array(documents.ids, column.type)
        if column.name == "id"
        else table.column(column.name)
        for column in schema
    ]
    note = {**note, "id_field": corpus.id_field, "signals": present}
    parquet.write_part(path, pa.table(columns, schema=schema), note)
    return note


def _check_same(run: Run, documents: Documents, table: pa.Table, hashes: Sequence[int | None]) -> None:
    """Raise TableError, naming the first row, where texts are not those that were scored."""
    same_rows = np.array_equal(documents.rows, table.column("row").to_numpy())
    scored = table.column("hash").combine_chunks()
    if same_rows and pa.array(hashes, pa.uint64()).equals(scored):
        return
    pairs = zip(documents.rows.tolist(), hashes, strict=True)
    known = zip(table.column("row").to_pylist(), scored.to_pylist(), strict=True)
    first = next((index for index, (now, before) in enumerate(zip(pairs, known, strict=False)) if now != before), None)
    if first is None or first >= len(documents):
        raise _make_changed_error(run, documents.marks[-1].file, documents.marks[-1].first_row)
    raise _make_changed_error(run, documents.files[first], int(documents.rows[first]))


def _make_changed_error(run: Run, file: str, row: int) -> TableError:
    message = f"{run.scores} does not follow the corpus: {file}, row {row}: its text is another one than was scored"
    return TableError(message, note_changed_file(run, file))
