"""Columns of the documents, stored next to the scores so that filters, ledgers and strata can group by them.

    carried/domain/00000-000000.parquet      one column, ``value``; row by row the part of the scores of the same name

``score`` carries columns with well-known names as it reads. Any other column is read from the corpus once, when a verb
first needs it. A column has one type over all parts (``curate.rundir.columns.kinds``). It is null where a document does
not have it or could not be read. A field that the starts of the files do not show is looked for in all rows; one that
no document has is refused. How columns are named is in ``curate.rundir.columns.names``.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from curate.corpus import Corpus, Documents, SliceMark
from curate.corpus.gathering import gather_along
from curate.corpus.slice_marks import describe_slices, list_slices, name_origins
from curate.errors import CurateError, TableError, UsageError
from curate.rundir import parquet
from curate.rundir.columns import kinds, spelling
from curate.rundir.columns.names import (
    PREFIX,
    check_document_column,
    explain_absence,
    find_path,
    has_column,
    is_score_name,
    is_searchable,
    resolve_name,
    split_names,
    suggest_name,
)
from curate.rundir.columns.scored_texts import ScoredTexts
from curate.rundir.guards import manifests, ownership
from curate.rundir.run import Run, spell_mending_command, spell_score_command
from curate.rundir.signals import find_signal, list_measures
from curate.runtime import console
from curate.runtime.disk import claims
from curate.runtime.disk.filenames import fit_name
from curate.runtime.disk.writers import sweep_leftovers

DOMAINS = ("domain", "subset", "category", "topic", "source")
LANGUAGES = ("language", "lang")
INSIDE = ("", "meta.", "metadata.")
MANY = 1000
"""Values of a column beyond which it names documents rather than kinds of documents."""


def choose_carried(corpus: Corpus, option: str) -> tuple[str, ...]:
    """Return the columns to carry for ``--carry``: names with commas, ``none``, or ``auto`` for well-known names.

    Raises UsageError for a name that the documents do not have.
    """
    if option == "none":
        return ()
    if option == "auto":
        names = [inside + name for name in (*DOMAINS, *LANGUAGES) for inside in INSIDE]
        return tuple(name for name in names if name != corpus.text_field and has_column(corpus, name))
    return tuple(_choose_named(corpus, name) for name in split_names(option))


def _choose_named(corpus: Corpus, name: str) -> str:
    is_searched = name.startswith(PREFIX) and is_searchable(corpus, name)
    return resolve_name(corpus, name) if is_searched else check_document_column(corpus, name)


def locate_column(run: Run, name: str) -> Path:
    """Return the folder with the parts of a column; whatever the name, it is inside the run directory."""
    spelled = quote(name, safe="")
    return run.carried / fit_name(spelled.replace(".", "%2E", 1) if spelled.startswith(".") else spelled)


def write_carried(run: Run, names: Sequence[str], documents: Documents, part: str, made_from: Any) -> None:
    """Write the columns of one slice, each in a part with the name of its part of the scores.

    ``made_from`` is JSON: the content of the file, or the fingerprint of the corpus where the part of the scores does
    not state the content. A column is complete after ``complete_carried``. Raises TableError where ``documents`` were
    read without columns.
    """
    note = {"made_from": made_from, **describe_slices(documents.marks)}
    for name in names:
        values = _gather_values(documents, name)
        parquet.write_part(locate_column(run, name) / part, pa.table({"value": values}), note)


def _gather_values(documents: Documents, name: str) -> pa.ChunkedArray:
    """Return a column of all slices, in the type that holds the values of each, or as text where none does."""
    columns = []
    for single in documents.slices:
        if single.table is None:
            raise TableError(f"{single.mark.file} was read without its column {name}")
        columns.append(single.table.column(find_path(name)))
    found = list(dict.fromkeys(kinds.choose_kind(column.type) for column in columns))
    kind = found[0] if len(found) == 1 else kinds.merge_kinds(found)
    pieces = [_convert(column, kind) for column in columns]
    if any(not piece.type.equals(kind) for piece in pieces):
        pieces = [kinds.convert_values(column, kinds.TEXT) for column in columns]
    return pa.chunked_array([chunk for piece in pieces for chunk in _list_chunks(piece)], pieces[0].type)


def _list_chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]


def _convert(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return values under a type, or as text where one of them does not fit."""
    try:
        return kinds.convert_values(values, kind)
    except (pa.ArrowException, ValueError):
        return kinds.convert_values(values, kinds.TEXT)


def complete_carried(run: Run, names: Sequence[str], made_from: str, optional: Collection[str] = ()) -> list[str]:
    """Give the parts of each column one type, record the columns as complete, and return those without any value.

    A column that lacks the part of a slice is left out; ``carry_columns`` then reads it when a verb needs it. So is one
    of ``optional`` that has no value.
    """
    known: dict[str, Any] = {}
    empty = []
    parts = [path.name for path in parquet.list_parts(run.scores)]
    known_parts, before = set(parts), (run.stage("carried") or {}).get("columns", {})
    for name in names:
        sweep_leftovers(locate_column(run, name))
        for path in parquet.list_parts(locate_column(run, name)):
            if path.name not in known_parts:
                ownership.remove_part(path)  # of a file that is gone
        paths = [locate_column(run, name) / part for part in parts]
        if not all(path.exists() for path in paths):
            continue  # scoring began without this column
        folder = locate_column(run, name)
        table = f"{folder.parent.name}/{folder.name}"
        if before.get(name, {}).get("made_from") == made_from and run.is_as_recorded(table, before[name]):
            known[name] = before[name]
            if not known[name]["values"]:
                empty.append(name)
            continue
        kind = _unify(name, paths)
        num_values = _count_values(paths, kind)
        if not num_values:
            empty.append(name)
        if num_values or name not in optional:
            manifest = run.record_manifest(table)
            column = {"made_from": made_from, "type": kinds.name_kind(kind), "values": num_values}
            known[name] = {**column, manifests.KEY: manifest}
    run.amend("carried", lambda before: _add_columns(before or {}, known))
    return empty


def _add_columns(record: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of carried columns with some more."""
    return {**record, "columns": dict(sorted({**record.get("columns", {}), **known}.items()))}


def _read_kind(path: Path) -> pa.DataType:
    return parquet.read_schema(path).field("value").type


def _unify(name: str, paths: Sequence[Path]) -> pa.DataType:
    """Bring all parts of a column to one type, and return it: text where another does not hold every value."""
    before = list(dict.fromkeys(map(_read_kind, paths)))
    kind = kinds.merge_kinds(before)
    others = [path for path in paths if not _read_kind(path).equals(kind)] if before != [kind] else []
    if not all(_fits(path, kind) for path in others):
        kind, others = kinds.TEXT, [path for path in paths if not _read_kind(path).equals(kinds.TEXT)]
    mixed = [kinds.describe_kind(one) for one in before if not pa.types.is_null(one)]
    if len(mixed) > 1 and kind.equals(kinds.TEXT):
        console.say("carrying", f"{name} holds {' and '.join(dict.fromkeys(mixed))}: all of its values become text")
    for path in others:
        table, note = parquet.read_table(path), parquet.read_metadata(path)
        parquet.write_part(path, pa.table({"value": kinds.convert_values(table.column("value"), kind)}), note)
    return kind


def _fits(path: Path, kind: pa.DataType) -> bool:
    try:
        kinds.convert_values(parquet.read_table(path).column("value"), kind)
    except (pa.ArrowException, ValueError):
        return False
    return True


def _count_values(paths: Sequence[Path], kind: pa.DataType) -> int:
    """Return how many values a column has, at most ``MANY`` + 1; lists and objects count as that many."""
    seen: set[str] = set()
    for path in paths:
        column = parquet.read_table(path).column("value")
        if pa.types.is_nested(kind):
            if column.null_count < len(column):
                return MANY + 1
        elif len(seen) <= MANY:
            seen.update(spelling.spell_distinct(column.unique().drop_null()))
    return min(len(seen), MANY + 1)


def carry_columns(run: Run, names: Sequence[str]) -> dict[str, pa.DataType]:
    """Carry the named columns, and return the type of each; those that are not carried yet are read from the corpus.

    Raises UsageError, with the nearest name, where the documents have no such column.
    """
    made_from = run.finished_scores()["made_from"]["corpus"]
    missing = [name for name in names if find_carried(run, name) is None]
    if missing:
        corpus = run.corpus()
        for name in missing:
            if not is_searchable(corpus, name):
                check_document_column(corpus, name)
        resolved = tuple(dict.fromkeys(resolve_name(corpus, name) for name in missing))
        with claims.scope():
            folders = [f"carried/{locate_column(run, name).name}" for name in resolved]
            claims.hold_claim(run.path, claims.name_verb(), folders, waits=True)
            run.refresh("carried")  # another verb may have carried it meanwhile
            if rest := tuple(name for name in resolved if not is_carried(run, name)):
                _read(run, corpus, rest, made_from)
    return {name: _kind_of(run, name) for name in names}


def _kind_of(run: Run, name: str) -> pa.DataType:
    parts = parquet.list_parts(locate_column(run, find_carried(run, name) or name))
    return _read_kind(parts[0]) if parts else kinds.TEXT


def find_carried(run: Run, name: str) -> str | None:
    """Return the name under which a column is carried, which is without the prefix ``doc.``; None where it is not."""
    inner = name.removeprefix(PREFIX)
    return next((known for known in dict.fromkeys((inner, name)) if is_carried(run, known)), None)


def record_clashes(run: Run, corpus: Corpus) -> None:
    """Record the columns of the documents that have the names of columns of the scores."""
    clashes = [name for name in corpus.columns if is_score_name(name)]
    run.amend("carried", lambda before: {"columns": {}, **(before or {}), "clashes": clashes})


def tell_clash(run: Run, name: str) -> None:
    """Say which column a bare name means, where the scores and the documents both have one of that name."""
    if name in (run.stage("carried") or {}).get("clashes", ()):
        console.say("columns", f"{name} is that of the scores; the documents' column is {PREFIX}{name}")


def explain_missing_signal(run: Run, option: str, name: str) -> UsageError:
    """Return the error for a signal that was not measured, with the documents' column of its name if they have one."""
    try:
        clashes = name in run.corpus().columns
    except CurateError:
        clashes = False
    other = f"; {option} {PREFIX}{name} is the documents' column" if clashes else ""
    record = run.finished_scores()
    again = spell_score_command(run, record, record["corpus"]["paths"])
    signal = find_signal(name)
    asked = name if signal is None else signal.name
    way = f"{again} --signals {asked} adds it"
    model = record["made_from"]["model"]["model"]
    if list_measures([asked]) and model == "served":
        way = f"the scores are log probabilities that were served, and only a model measures {asked}"
    elif list_measures([asked]) and model != "none":
        way = f"{again} --signals {asked} --restart adds it, and scores everything again"
    return UsageError(f"{option}: the scores have no {name}", f"{way}{other}")


def list_carried(run: Run) -> tuple[str, ...]:
    """Return the columns that are carried; those of ``rank-sft`` are its measures, not columns of the documents."""
    return tuple(name for name in (run.stage("carried") or {}).get("columns", {}) if is_carried(run, name))


def is_carried(run: Run, name: str) -> bool:
    """Return whether a column is carried: complete, and with a part for each part of the scores.

    Raises DamageError where parts of it are missing, truncated or altered.
    """
    record = (run.stage("carried") or {}).get("columns", {}).get(name)
    score = run.stage("score")
    if record is None or score is None or record["made_from"] != score["made_from"]["corpus"]:
        return False
    if score.get("complete") and manifests.KEY in record:
        folder = locate_column(run, name)
        mend = spell_mending_command(run, score)
        run.check_manifest(f"{folder.parent.name}/{folder.name}", record, mend)
    return [path.name for path in parquet.list_parts(locate_column(run, name))] == [
        path.name for path in parquet.list_parts(run.scores)
    ]


def _read(run: Run, corpus: Corpus, names: tuple[str, ...], made_from: str) -> None:
    """Read columns of the complete corpus, slice by slice, each with its part of the scores."""
    run.reserve("carried")
    for name in names:
        run.remove("carried", locate_column(run, name).name)
    console.say("carrying", f"{', '.join(names)}: read from the corpus once, then stored next to the scores")
    unseen = [name for name in names if not has_column(corpus, find_path(name))]
    for name in unseen:
        near = suggest_name(corpus, name)
        meant = f" (did you mean {near}?)" if near else ""
        console.say("carrying", f"no document looked at so far has {name}{meant}; all of them are searched for it")
    slices, scored = corpus.slices(columns=tuple(map(find_path, names))), ScoredTexts(run)
    with console.progress("carrying", corpus.size) as progress:
        for path in parquet.list_parts(run.scores):
            note = run.read_note(path)
            marks = list_slices(note)
            documents = next(gather_along(slices, [marks]), None)
            if documents is None or documents.marks != tuple(marks):
                raise _make_astray_error(run, marks[0])
            scored.check(documents)
            write_carried(run, names, documents, path.name, name_origins(note, made_from))
            progress.advance(documents=len(documents), done_bytes=documents.read_bytes)
        if (more := next(slices, None)) is not None:
            raise _make_astray_error(run, more.mark)
    for name in complete_carried(run, names, made_from, optional=unseen):
        if name in unseen:
            run.remove("carried", locate_column(run, name).name)
            raise explain_absence(corpus, find_path(name), searched=True)


def _make_astray_error(run: Run, mark: SliceMark) -> TableError:
    start = f"{mark.file}, row {mark.first_row}"
    return TableError(f"{run.scores} does not follow the corpus at {start}", "curate score … --restart")


def default_domain(run: Run) -> str | None:
    """Return the column that groups documents by default: the first well-known one with 2 to ``MANY`` values."""
    carried = (run.stage("carried") or {}).get("columns", {})
    names = [inside + name for name in DOMAINS for inside in INSIDE]
    kinds = [name for name in names if name in carried and 2 <= carried[name]["values"] <= MANY]
    return next((name for name in kinds if is_carried(run, name)), None)


def default_language(run: Run) -> str | None:
    """Return the column of the language; None where the documents do not carry one."""
    names = [inside + name for name in LANGUAGES for inside in INSIDE]
    return next((name for name in names if is_carried(run, name)), None)
