"""Columns of the documents, stored next to the scores so that filters, ledgers and strata can group by them.

    carried/domain/00000-000000.parquet      one column, ``value``; row by row the part of the scores of the same name

``score`` carries columns with well-known names as it reads. Any other column is read from the corpus once, when a verb
first needs it. A column has one type over all parts: int64, double, or text, in which other values are JSON (as in
``curate.corpus``). It is null where a document does not have it or could not be read.
"""

import difflib
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus import Corpus, Documents
from curate.corpus.schema_widening import widen_value
from curate.errors import TableError, UsageError
from curate.rundir import parquet, schemas
from curate.rundir.run import Run
from curate.rundir.signals import SIGNALS
from curate.runtime import console

DOMAINS = ("domain", "subset", "category", "topic", "source")
LANGUAGES = ("language", "lang")
INSIDE = ("", "meta.", "metadata.")
MANY = 1000
"""Values of a column beyond which it names documents rather than kinds of documents."""
KINDS = {"string": pa.large_string(), "int64": pa.int64(), "double": pa.float64()}


def choose_carried(corpus: Corpus, option: str) -> tuple[str, ...]:
    """Return the columns to carry for ``--carry``: names with commas, ``none``, or ``auto`` for well-known names.

    Raises UsageError for a name that the documents do not have.
    """
    if option == "none":
        return ()
    if option == "auto":
        names = [inside + name for name in (*DOMAINS, *LANGUAGES) for inside in INSIDE]
        return tuple(name for name in names if name != corpus.text_field and has_column(corpus, name))
    return tuple(check_document_column(corpus, name) for name in split_names(option))


def split_names(text: str) -> list[str]:
    """Return the names in a text such as ``domain,language``, each once, in order."""
    return list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def check_document_column(corpus: Corpus, name: str) -> str:
    """Return the name of a column. Raises UsageError, with the nearest name, where the documents do not have it."""
    if has_column(corpus, name) or name.split(".")[0] in corpus.columns:
        return name
    close = difflib.get_close_matches(name, corpus.columns, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UsageError(f"the documents have no column {name!r}", f"{meant}there are: {', '.join(corpus.columns)}")


def list_mentioned(corpus: Corpus, sql: str, known: Sequence[str] = ()) -> list[str]:
    """Return the columns of the documents, without the text, that an SQL expression may use.

    Where the scores have a column of the same name, that one is meant. ``known`` are columns that are carried already,
    whether or not the documents have them.
    """
    columns = [
        name
        for name in dict.fromkeys([*corpus.columns, *known])
        if name != corpus.text_field and name not in schemas.SCORES.names
    ]
    words = set(re.findall(r"\w+", sql))
    paths = [name for name in re.findall(r'"([^"]+)"', sql) if "." in name and has_column(corpus, name)]
    return list(dict.fromkeys([*(name for name in columns if name in words and name not in SIGNALS), *paths]))


def has_column(corpus: Corpus, name: str) -> bool:
    """Return whether the first rows of the files show a column, or a field within one (``meta.domain``)."""
    if name in corpus.columns:
        return True
    first, *rest = name.split(".")
    if not rest or corpus.schema is None or first not in corpus.schema.names:
        return False
    kind = corpus.schema.field(first).type
    for part in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return False
        kind = kind.field(part).type
    return True


def locate_column(run: Run, name: str) -> Path:
    """Return the folder with the parts of a column; whatever the name, it is inside the run directory."""
    spelled = quote(name, safe="")
    return run.carried / (spelled.replace(".", "%2E", 1) if spelled.startswith(".") else spelled)


def write_carried(run: Run, names: Sequence[str], documents: Documents, part: str, made_from: Any) -> None:
    """Write the columns of one slice, in a part with the name of its part of the scores.

    ``made_from`` is JSON, the content of the file where the part of the scores has it.

    They are complete after ``complete_carried``. Raises TableError where ``documents`` were read without columns.
    """
    note = {"made_from": made_from, "slice": asdict(documents.mark)}
    for name in names:
        if documents.table is None:
            raise TableError(f"{documents.mark.file} was read without its column {name}")
        values = simplify(documents.table.column(name))
        parquet.write_part(locate_column(run, name) / part, pa.table({"value": values}), note)


def simplify(values: pa.ChunkedArray) -> pa.Array:
    """Return values as int64, float64 or large text; a column of nulls alone stays one."""
    kind, whole = values.type, values.combine_chunks()
    if pa.types.is_dictionary(kind):
        return simplify(pa.chunked_array([whole.cast(kind.value_type)]))
    if pa.types.is_null(kind):
        return whole
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return whole.cast(pa.int64())
    if pa.types.is_floating(kind):
        return whole.cast(pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return whole.cast(pa.large_string())
    return pa.array([widen_value(value, pa.large_string()) for value in whole.to_pylist()], pa.large_string())


def complete_carried(run: Run, names: Sequence[str], made_from: str) -> None:
    """Give the parts of each column one type, and record the columns as complete.

    A column that lacks the part of a slice is left out; ``carry_columns`` then reads it when a verb needs it.
    """
    known = dict((run.stage("carried") or {}).get("columns", {}))
    parts = [path.name for path in parquet.list_parts(run.scores)]
    known_parts = set(parts)
    for name in names:
        parquet.remove_leftovers(locate_column(run, name))
        for path in parquet.list_parts(locate_column(run, name)):
            if path.name not in known_parts:
                path.unlink()  # of a file that is gone
        paths = [locate_column(run, name) / part for part in parts]
        if not all(path.exists() for path in paths):
            continue  # scoring began without this column
        kind = _widest({pq.read_schema(path).field("value").type for path in paths})
        seen: set[Any] = set()
        for path in paths:
            _retype(path, KINDS[kind])
            if len(seen) <= MANY:
                seen.update(pq.read_table(path, partitioning=None).column("value").unique().to_pylist())
        known[name] = {"made_from": made_from, "type": kind, "values": min(len(seen - {None}), MANY + 1)}
    run.save("carried", {"columns": dict(sorted(known.items()))})


def _widest(kinds: set[pa.DataType]) -> str:
    known = {kind for kind in kinds if not pa.types.is_null(kind)}
    if known and known <= {pa.int64(), pa.float64()}:
        return "int64" if known == {pa.int64()} else "double"
    return "string"


def _retype(path: Path, kind: pa.DataType) -> None:
    if pq.read_schema(path).field("value").type.equals(kind):
        return
    table, note = pq.read_table(path, partitioning=None), parquet.read_metadata(path)
    parquet.write_part(path, pa.table({"value": table.column("value").cast(kind)}), note)


def carry_columns(run: Run, names: Sequence[str]) -> dict[str, pa.DataType]:
    """Carry the named columns, and return the type of each; those that are not carried yet are read from the corpus.

    Raises UsageError, with the nearest name, where the documents have no such column.
    """
    made_from = run.finished_scores()["made_from"]["corpus"]
    missing = [name for name in names if not is_carried(run, name)]
    if missing:
        corpus = run.corpus()
        for name in missing:
            check_document_column(corpus, name)
        _read(run, corpus, tuple(missing), made_from)
    carried = (run.stage("carried") or {}).get("columns", {})
    return {name: KINDS[carried[name]["type"]] for name in names}


def list_carried(run: Run) -> tuple[str, ...]:
    """Return the columns that are carried; those of ``rank-sft`` are its measures, not columns of the documents."""
    return tuple(name for name in (run.stage("carried") or {}).get("columns", {}) if is_carried(run, name))


def is_carried(run: Run, name: str) -> bool:
    """Return whether a column is carried: complete, and with a part for each part of the scores."""
    record = (run.stage("carried") or {}).get("columns", {}).get(name)
    score = run.stage("score")
    if record is None or score is None or record["made_from"] != score["made_from"]["corpus"]:
        return False
    return [path.name for path in parquet.list_parts(locate_column(run, name))] == [
        path.name for path in parquet.list_parts(run.scores)
    ]


def _read(run: Run, corpus: Corpus, names: tuple[str, ...], made_from: str) -> None:
    """Read columns of the complete corpus, slice by slice, each with its part of the scores."""
    for name in names:
        shutil.rmtree(locate_column(run, name), ignore_errors=True)
    console.say("carrying", f"{', '.join(names)}: read from the corpus once, then stored next to the scores")
    parts = iter(parquet.list_parts(run.scores))
    with console.progress("carrying", corpus.size) as progress:
        for documents in corpus.slices(columns=names):
            path = next(parts, None)
            note = {} if path is None else parquet.read_metadata(path)
            if path is None or note["slice"] != asdict(documents.mark):
                start = f"{documents.mark.file}, row {documents.mark.first_row}"
                raise TableError(f"{run.scores} does not follow the corpus at {start}", "curate score … --restart")
            write_carried(run, names, documents, path.name, note.get("source", made_from))
            progress.advance(documents=len(documents), done_bytes=documents.read_bytes)
    complete_carried(run, names, made_from)


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
