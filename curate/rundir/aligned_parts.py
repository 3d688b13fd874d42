"""The narrow tables of a run side by side, part by part: scores, what the documents carry, and what was decided.

A part of the scores, the parts of carried columns with its name, and the next rows of the decision tables are about the
same documents in the same order, so that nothing is joined. Memory goes with one part.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.errors import TableError
from curate.rundir import decision_table, document_columns, parquet, reasons, rejections, schemas, scores_view, sql
from curate.rundir.rejections import Rejections
from curate.rundir.run import Run
from curate.runtime import threads

NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPart:
    """The documents of one slice, in their order."""

    name: str
    """Of its file, in the scores and in the carried columns."""
    file: str
    """The file of the corpus that it is of."""
    table: pa.Table
    """The columns that were asked for."""
    keep: NDArray[np.bool_] | None
    """Whether each is kept: as ``filter`` decided, else what is scored and rejected by no table; None unless asked."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as float64, NaN where it is null."""
        values = self.table.column(name)
        if not pa.types.is_floating(values.type):
            values = values.cast(pa.float64())
        return np.asarray(values.to_numpy(), np.float64)

    def counts(self, name: str) -> NDArray[np.int64]:
        """A column of whole numbers, 0 where it is null."""
        return np.asarray(pc.fill_null(self.table.column(name), 0).to_numpy(), np.int64)


def read_parts(
    run: Run,
    columns: Sequence[str],
    carry: Sequence[str] = (),
    decided: bool = True,
    found: Rejections | None = None,
    coded: bool = False,
) -> Iterator[AlignedPart]:
    """Every part of the scores in the order of the corpus, with some of its columns and of those that are carried.

    ``decided`` asks for ``keep`` too; ``found`` are the tables that reject, where they are open already; ``coded``
    gives carried text as dictionaries, which is faster where it falls into groups (``ColumnGroups`` takes either).
    TableError where a decision is stale, UsageError where the documents have no such column to carry.
    """
    kinds = document_columns.carry(run, carry) if carry else {}
    names = list(dict.fromkeys([*columns, *(["status"] if decided else [])]))
    judge = _Judge(run, found) if decided else None
    paths = parquet.parts(run.scores)
    read = threads.in_order(partial(_read_part, run, names, list(kinds), coded), paths, threads.cores())
    for number, (path, (file, table)) in enumerate(zip(paths, read, strict=True)):
        keep = judge.judge(number, table) if judge is not None else None
        yield AlignedPart(path.name, file, table.select([*columns, *kinds]), keep)
    if judge is not None:
        judge.check_end()


def _read_part(run: Run, names: Sequence[str], carry: Sequence[str], coded: bool, path: Path) -> tuple[str, pa.Table]:
    """The file of the corpus that a part is of, and its columns."""
    with naming(path), pq.ParquetFile(path, read_dictionary=["status"]) as part:
        note = json.loads((part.schema_arrow.metadata or {})[b"curate"])
        table = part.read(columns=list(names), use_threads=False)
    for name in carry:
        beside = pq.read_table(
            document_columns.folder(run, name) / path.name,
            partitioning=None,
            use_threads=False,
            read_dictionary=["value"] if coded else None,
        )
        if len(beside) != len(table):
            raise TableError(f"{path.name} of {name} does not follow the scores", f"rm -r {run.carried}")
        table = table.append_column(name, beside.column("value"))
    return str(note["slice"]["file"]), table


def schema(run: Run) -> pa.Schema:
    """The columns of the scores with their types; those of a run without parts are the declared ones."""
    parts = parquet.parts(run.scores)
    if not parts:
        return schemas.SCORES
    with naming(parts[0]):
        return pq.read_schema(parts[0])


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A part that cannot be read is an error of ours, with the command that makes it again."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        hint = "score again with --restart, or name another run with --run"
        raise TableError(f"{path} cannot be read: {sql.first_line(error)}", hint) from error


class _Judge:
    """Whether each row is kept, part by part."""

    def __init__(self, run: Run, found: Rejections | None):
        record = decision_table.open_filter(run)
        self._path = run.filter
        self._kept = _stream_keep(run) if record is not None else None
        self._refusals = None if record is not None else RejectionCodes(run, found)

    def judge(self, number: int, table: pa.Table) -> NDArray[np.bool_]:
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
    """A generator that is sent a count and gives so many decisions; sent −1, those that are left."""

    def stream() -> Any:
        rest = np.zeros(0, bool)
        batches = pq.ParquetFile(run.filter).iter_batches(batch_size=sql.BATCH_ROWS, columns=["keep"])
        wanted = yield
        while True:
            held = [rest]
            have = len(rest)
            while have < wanted or wanted < 0:
                batch = next(batches, None)
                if batch is None:
                    break
                held.append(batch.column(0).to_numpy(zero_copy_only=False))
                have += len(held[-1])
            rest = np.concatenate(held)
            if have < wanted:
                return
            given, rest = (rest, rest[:0]) if wanted < 0 else (rest[:wanted], rest[wanted:])
            wanted = yield given

    stream_of = stream()
    next(stream_of)
    return stream_of


def number_of(names: list[str | None], reason: str) -> int:
    """The number of a reason in a list of them, to which a new one is added."""
    if reason not in names:
        names.append(reason)
    return names.index(reason)


class RejectionCodes:
    """Why a document is rejected before any criterion is asked, as small numbers: 0 is not, others are in ``names``.

    The reasons are those of ``curate.stages.filter.criteria``: unreadable, unscored, contaminated, a duplicate.
    """

    def __init__(self, run: Run, found: Rejections | None = None, names: list[str | None] | None = None):
        self.names: list[str | None] = [None] if names is None else names
        self._found = rejections.open_rejections(run) if found is None else found
        self._rows = self._stream(run) if self._found else None
        self._next: tuple[int, int, str] | None = next(self._rows, None) if self._rows else None

    def number(self, reason: str) -> int:
        """The number of a reason, a new one where it is new."""
        return number_of(self.names, reason)

    def take(self, part: int, status: pa.ChunkedArray) -> NDArray[np.int16]:
        """The numbers of the documents of the next part."""
        whole = status.combine_chunks()
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        given = [reasons.status_reason(name) for name in coded.dictionary.to_pylist()]
        known = [0 if reason is None else self.number(reason) for reason in given]
        missing = self.number(reasons.unscored_reason(None)) if coded.indices.null_count else 0
        table = np.array([*known, missing], np.int16)
        found = np.asarray(table[pc.fill_null(coded.indices, len(known)).to_numpy(zero_copy_only=False)], np.int16)
        if self._next is not None and self._next[0] == part:
            self._reject(part, found)
        return found

    def _reject(self, part: int, found: NDArray[np.int16]) -> None:
        while self._next is not None and self._next[0] == part:
            if not found[self._next[1]]:
                found[self._next[1]] = self.number(self._next[2])
            self._next = next(self._rows, None) if self._rows else None

    def _stream(self, run: Run) -> Iterator[tuple[int, int, str]]:
        """Part, place and reason of the documents that the tables reject, in the order of the corpus."""
        query = "SELECT part, place, rejection FROM documents WHERE rejection IS NOT NULL ORDER BY part, place"
        with scores_view.open_scores(run, rejections=self._found) as connection:
            scores_view.check_met(connection, run, self._found)
            for batch in sql.stream(connection, query):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


class ColumnGroups:
    """The groups that documents fall into by some carried columns, numbered as they come."""

    def __init__(self, columns: Sequence[str]):
        self.columns = tuple(columns)
        self.names: list[str] = [] if columns else ["all"]
        self._numbers: dict[tuple[str, ...], int] = {}

    def take(self, table: pa.Table) -> NDArray[np.int64]:
        """The number of each row's group; what has no value is in a group of its own."""
        if not self.columns:
            return np.zeros(len(table), np.int64)
        coded = [_encode(table.column(name)) for name in self.columns]
        lanes = np.zeros(len(table), np.int64)
        for codes, values in coded:
            lanes = lanes * len(values) + codes
        distinct, back = np.unique(lanes, return_inverse=True) if len(coded) > 1 else _compact(*coded[0])
        numbers = [self._number(self._spell(int(lane), [values for _, values in coded])) for lane in distinct]
        return np.array(numbers, np.int64)[back] if numbers else np.zeros(0, np.int64)

    def _spell(self, lane: int, values: Sequence[Sequence[str]]) -> tuple[str, ...]:
        found = []
        for names in reversed(values):
            lane, place = divmod(lane, len(names))
            found.append(names[place])
        return tuple(reversed(found))

    def _number(self, key: tuple[str, ...]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.names)
            self.names.append(" / ".join(key))
        return self._numbers[key]


def _encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """The place of each value in the list of those that occur; the last of the list is for none."""
    coded = column.combine_chunks().dictionary_encode()
    values = [str(value) for value in coded.dictionary.to_pylist()]
    return pc.fill_null(coded.indices, len(values)).to_numpy(zero_copy_only=False).astype(np.int64), [*values, NO_VALUE]


def _compact(codes: NDArray[np.int64], values: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The codes that occur, and the place of each row's among them."""
    there = np.flatnonzero(np.bincount(codes, minlength=len(values)))
    place = np.zeros(len(values), np.int64)
    place[there] = np.arange(len(there))
    return there, place[codes]
