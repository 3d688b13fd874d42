"""The narrow tables of a run side by side, part by part: scores, carried columns of the documents, and decisions.

A part of the scores, the parts of carried columns with its name, and the next rows of the decision tables are about the
same documents in the same order, so that nothing is joined. Memory is that of the parts in flight (one a thread).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import SliceMark
from curate.corpus.slice_marks import list_slices
from curate.errors import TableError
from curate.rundir import decision_table, document_columns, parquet, schemas, scores_view, sql
from curate.rundir.columns import kinds, spelling
from curate.rundir.run import Run, name_part, parse_source
from curate.rundir.verdicts import reasons, rejections
from curate.rundir.verdicts.rejections import Rejections
from curate.runtime.arrays import Array, BoolArray, Float64Array, Int16Array, Int64Array
from curate.runtime.work import threads

NO_VALUE = "(none)"
SEPARATOR = " / "


class SliceRows(NamedTuple):
    """The rows of a part that are of one slice."""

    part: str
    """The name that a part of this slice alone has, whether the slice has one or shares it."""
    file: str
    num_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPart:
    """The documents of one part, in their order."""

    name: str
    """Of its file, in the scores and in the carried columns."""
    slices: "list[SliceRows]"
    """Of the corpus, one behind another: all documents are of one of them."""
    table: pa.Table
    """The columns that the caller named."""
    keep: BoolArray | None
    """Whether each is kept: as ``filter`` decided, else what is scored and rejected by no table; None without
    ``decided``."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def numbers(self, name: str) -> Float64Array:
        """Return a column as float64, NaN where it is null."""
        return np.asarray(kinds.view_numbers(kinds.to_numbers(self.table.column(name), pa.float64())), np.float64)

    def counts(self, name: str) -> Int64Array:
        """Return a column of whole numbers, 0 where it is null."""
        column = self.table.column(name)
        return np.asarray(kinds.view_numbers(pc.fill_null(column, 0) if column.null_count else column), np.int64)


def read_parts(
    run: Run,
    columns: Sequence[str],
    carry: Sequence[str] = (),
    decided: bool = True,
    rejected_by: Rejections | None = None,
    coded: bool = False,
) -> Iterator[AlignedPart]:
    """Yield every part of the scores in the order of the corpus, with some of its columns and of the documents'.

    ``columns`` are those of the scores, ``carry`` those of the documents. With ``decided`` parts have ``keep``, for
    which ``rejected_by`` are the tables that reject, where they are open already. ``coded`` gives carried text as
    dictionaries, which is faster where it falls into few groups (``ColumnGroups`` takes either).

    Raises TableError where a part cannot be read, and where a decision is stale or about other rows; UsageError where
    the documents have no such column.
    """
    carried = list(document_columns.carry_columns(run, carry)) if carry else []
    names = list(dict.fromkeys([*columns, *(["status"] if decided else [])]))
    keep_reader = _KeepReader(run, rejected_by) if decided else None
    paths = parquet.list_parts(run.scores)
    keys = {name: document_columns.find_carried(run, name) or name for name in carried}
    read = threads.map_in_order(partial(_read_part, run, names, keys, coded), paths, threads.count_cores())
    for number, (path, (slices, table)) in enumerate(zip(paths, read, strict=True)):
        keep = keep_reader.take(number, table) if keep_reader is not None else None
        yield AlignedPart(path.name, slices, table.select([*columns, *carried]), keep)
    if keep_reader is not None:
        keep_reader.check_end()


def _read_part(
    run: Run, names: Sequence[str], keys: Mapping[str, str], coded: bool, path: Path
) -> tuple[list[SliceRows], pa.Table]:
    """Return the slices of the corpus that a part covers, and its columns.

    ``keys`` are the names of the documents' columns, each with the one under which it is carried.
    """
    with parquet.naming(path), pq.ParquetFile(path, read_dictionary=["status"]) as part:
        note = parquet.load_note(part.schema_arrow)
        table = part.read(columns=list(names), use_threads=False)
    for name in keys:
        part_of_column = document_columns.locate_column(run, keys[name]) / path.name
        coding = ["value"] if coded else []
        carried = parquet.read_table(part_of_column, use_threads=False, read_dictionary=coding)
        if len(carried) != len(table):
            raise TableError(f"{path.name} of {name} does not follow the scores", f"rm -r {run.carried}")
        table = table.append_column(name, carried.column("value"))
    return name_slices(path.name, list_slices(note)), table


def name_slices(part: str, marks: Sequence[SliceMark]) -> list[SliceRows]:
    """Return the slices that a part covers, by the name of the part and their marks.

    Those of a shared part are of files that follow one another in the corpus.
    """
    if len(marks) == 1:
        return [SliceRows(part, marks[0].file, marks[0].documents)]
    first = parse_source(part)
    return [SliceRows(name_part(first + index, m.number), m.file, m.documents) for index, m in enumerate(marks)]


def read_schema(run: Run) -> pa.Schema:
    """Return the columns of the scores with their types; of a run without parts those of every run."""
    parts = parquet.list_parts(run.scores)
    if not parts:
        return schemas.SCORES
    with parquet.naming(parts[0]):
        schema = parquet.read_schema(parts[0])
    hidden = run.list_hidden_signals()
    return pa.schema([column for column in schema if column.name not in hidden])


class _KeepReader:
    """Gives whether each row is kept, part by part."""

    def __init__(self, run: Run, rejected_by: Rejections | None):
        record = decision_table.open_filter(run)
        self._path = run.filter
        self._kept = _stream_keep(run) if record is not None else None
        self._refusals = None if record is not None else RejectionCodes(run, rejected_by)

    def take(self, number: int, table: pa.Table) -> BoolArray:
        if self._refusals is not None:
            return np.asarray(self._refusals.take(number, table.column("status")) == 0)
        assert self._kept is not None
        try:
            return np.asarray(self._kept.send(len(table)), bool)
        except StopIteration:
            raise TableError(f"{self._path} has fewer rows than the scores", "run curate filter again") from None

    def check_end(self) -> None:
        if self._kept is not None and self._kept.send(-1).size:
            raise TableError(f"{self._path} has more rows than the scores", "run curate filter again")


def _stream_keep(run: Run) -> Any:
    """Return a generator that is sent a count and yields so many decisions; sent −1, those that are left."""

    def stream() -> Any:
        rest = np.zeros(0, bool)
        batches = parquet.stream_batches(run.filter, sql.BATCH_ROWS, ["keep"])
        count = yield
        while True:
            pieces, length = [rest], len(rest)
            while length < count or count < 0:
                batch = next(batches, None)
                if batch is None:
                    break
                pieces.append(batch.column(0).to_numpy(zero_copy_only=False))
                length += len(pieces[-1])
            rest = np.concatenate(pieces)
            if length < count:
                return
            given, rest = (rest, rest[:0]) if count < 0 else (rest[:count], rest[count:])
            count = yield given

    stream_of = stream()
    next(stream_of)
    return stream_of


def number_of(reasons: list[str | None], reason: str) -> int:
    """Return the index of a reason in a list of reasons; a new reason is appended to the list."""
    if reason not in reasons:
        reasons.append(reason)
    return reasons.index(reason)


class RejectionCodes:
    """Why documents are rejected before any criterion, as codes: 0 for no reason, else an index into ``names``.

    The reasons are those of ``curate.stages.filter.criteria``: unreadable, unscored, contaminated, a duplicate.
    """

    def __init__(self, run: Run, rejected_by: Rejections | None = None, names: list[str | None] | None = None):
        self.names: list[str | None] = [None] if names is None else names
        self._rejections = rejections.open_rejections(run) if rejected_by is None else rejected_by
        self._rows = self._stream(run) if self._rejections else None
        self._next: tuple[int, int, str] | None = next(self._rows, None) if self._rows else None

    def number(self, reason: str) -> int:
        """Return the code of a reason; a new reason gets the next code."""
        return number_of(self.names, reason)

    def take(self, part: int, status: pa.ChunkedArray) -> Int16Array:
        """Return the codes of the documents of a part; parts must come in order, counted from 0."""
        joined = status.combine_chunks()
        coded = joined if pa.types.is_dictionary(joined.type) else joined.dictionary_encode()
        given = [reasons.status_reason(name) for name in coded.dictionary.to_pylist()]
        code_of_status = [0 if reason is None else self.number(reason) for reason in given]
        missing = self.number(reasons.unscored_reason(None)) if coded.indices.null_count else 0
        table = np.array([*code_of_status, missing], np.int16)
        codes = np.asarray(table.take(number_nulls(coded.indices, len(code_of_status))), np.int16)
        if self._next is not None and self._next[0] == part:
            self._reject(part, codes)
        return codes

    def _reject(self, part: int, codes: Int16Array) -> None:
        while self._next is not None and self._next[0] == part:
            if not codes[self._next[1]]:
                codes[self._next[1]] = self.number(self._next[2])
            self._next = next(self._rows, None) if self._rows else None

    def _stream(self, run: Run) -> Iterator[tuple[int, int, str]]:
        """Yield (part, index in it, reason) of the documents that the tables reject, in the order of the corpus."""
        query = "SELECT part, place, rejection FROM documents WHERE rejection IS NOT NULL ORDER BY part, place"
        with scores_view.open_scores(run, rejections=self._rejections) as connection:
            scores_view.check_rejections_are_scored(connection, run, self._rejections)
            for batch in sql.stream_batches(connection, query):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


class ColumnGroups:
    """The groups of documents by the values of some carried columns, numbered as they first occur.

    A group has the values as a person writes them (2024-06-01, true), with `` / `` between columns, and ``(none)`` for
    null. Different groups have different names: a text that would read as another group stands in double quotes.
    """

    def __init__(self, columns: Sequence[str]):
        self.columns = tuple(columns)
        self.names: list[str] = [] if columns else ["all"]
        self._numbers: dict[tuple[str, ...], int] = {}

    def take(self, table: pa.Table) -> Int64Array:
        """Return the number of each row's group; null is a value, too. Without columns all are in group 0."""
        if not self.columns:
            return np.zeros(len(table), np.int64)
        coded = [self._encode(table.column(name)) for name in self.columns]
        keys = np.zeros(len(table), np.int64)
        for codes, values in coded:
            keys = keys * len(values) + codes
        distinct, inverse = np.unique(keys, return_inverse=True) if len(coded) > 1 else _compact(*coded[0])
        numbers = [self._number(self._spell(int(key), [values for _, values in coded])) for key in distinct]
        return np.array(numbers, np.int64)[inverse] if numbers else np.zeros(0, np.int64)

    def _encode(self, column: pa.ChunkedArray) -> tuple[Int64Array, list[str]]:
        """Return the code of each value, and the names of the values by code; the last code is for null."""
        coded = encode_values(column)
        names = [self._name(value) for value in spelling.spell_distinct(coded.dictionary)]
        return number_nulls(coded.indices, len(names)).astype(np.int64), [*names, NO_VALUE]

    def _name(self, value: str) -> str:
        is_part = len(self.columns) > 1 and (SEPARATOR in value or value.startswith('"'))
        return sql.quote_name(value) if is_part else name_value(value)

    def _spell(self, key: int, values: Sequence[Sequence[str]]) -> tuple[str, ...]:
        names = []
        for column_values in reversed(values):
            key, code = divmod(key, len(column_values))
            names.append(column_values[code])
        return tuple(reversed(names))

    def _number(self, key: tuple[str, ...]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.names)
            self.names.append(SEPARATOR.join(key))
        return self._numbers[key]


def name_value(value: str | None) -> str:
    """Return the name of a value: ``(none)`` for null, in double quotes where a text would read like that."""
    if value is None:
        return NO_VALUE
    return sql.quote_name(value) if value.strip('"') == NO_VALUE else value


def encode_values(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column as a dictionary of its distinct values; of lists and objects as a dictionary of their JSON."""
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        return whole
    return (spelling.spell_values(whole) if pa.types.is_nested(whole.type) else whole).dictionary_encode()


def number_nulls(indices: pa.Array, number: int) -> Array:
    """Return indices as they are, with ``number`` where they are null."""
    return kinds.view_numbers(pc.fill_null(indices, number) if indices.null_count else indices)


def _compact(codes: Int64Array, values: Sequence[str]) -> tuple[Int64Array, Int64Array]:
    """Return the codes that occur, ascending, and the index of each row's code among them."""
    occurring = np.flatnonzero(np.bincount(codes, minlength=len(values)))
    index_of = np.zeros(len(values), np.int64)
    index_of[occurring] = np.arange(len(occurring))
    return occurring, index_of[codes]
