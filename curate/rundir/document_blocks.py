"""The documents of a run as NumPy columns, block by block: read once where they fit into memory, else in every pass.

A block has the documents of one part of the scores (``curate.rundir.aligned_parts``), in the order of the corpus. What
works on documents in several passes (where shares end, what is decided, quantiles, histograms) asks one reader for its
blocks again and again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.rundir import aligned_parts, decision_table, schemas
from curate.rundir.aligned_parts import ColumnGroups, RejectionCodes, SliceRows, number_of
from curate.rundir.columns import kinds
from curate.rundir.run import Run
from curate.rundir.signals import find_signal
from curate.rundir.verdicts.reasons import precedes_criteria
from curate.rundir.verdicts.rejections import Rejections
from curate.runtime.arrays import Array, BoolArray, Float64Array, Int8Array, Int16Array, Int64Array

HELD_BYTES = 1_000_000_000
"""Blocks that stay in memory; beyond, each pass reads the tables again."""
TEXT = pa.dictionary(pa.int32(), pa.large_string())


@dataclass(frozen=True, slots=True, eq=False)
class DocumentBlock:
    """The documents of one part of the scores; every array has one entry for each."""

    name: str
    """The name of the part's file."""
    slices: Sequence[SliceRows]
    """Of the corpus, one behind another: all documents are of one of them."""
    codes: Int16Array
    """Why each is rejected, as an index into the reader's ``reasons``; 0 for none."""
    eligible: BoolArray
    """Whether criteria are about it: it was scored, and no table rejects it."""
    tokens: Int64Array
    """0 where null."""
    columns: Mapping[str, Array]
    """Numbers in the precision in which they are stored, NaN where null."""
    domain: Int64Array
    """The group of each in the reader's ``domains``."""
    within: Int64Array
    """The group of each in the reader's ``within``."""
    where: Int8Array | None = None
    """What the SQL of the reader gives for each: 0 false, 1 true, 2 null."""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def rows(self) -> Int64Array:
        """The row of each in its file, where the reader was asked for the column ``row``."""
        return self.columns["row"]

    def name_file(self, index: int) -> str:
        """Return the file of one document."""
        for one in self.slices:
            if index < one.num_rows:
                return one.file
            index -= one.num_rows
        raise IndexError(f"no document {index} behind the last one")

    def numbers(self, column: str) -> Float64Array:
        """Return a column as float64, NaN where null; all NaN where the scores do not have it."""
        if column in self.columns:
            return self.columns[column].astype(np.float64, copy=False)
        if column == "tokens":
            return self.tokens.astype(np.float64)
        return np.full(len(self), np.nan)

    @property
    def nbytes(self) -> int:
        arrays = [self.codes, self.eligible, self.tokens, self.domain, *self.columns.values()]
        if self.within is not self.domain:
            arrays.append(self.within)
        return sum(array.nbytes for array in arrays)


class BlockReader:
    """Gives the documents of a run block by block, as often as it is asked; keeps them in memory where they fit."""

    def __init__(
        self,
        run: Run,
        rejections: Rejections,
        columns: Sequence[str],
        domain: Sequence[str] = (),
        within: Sequence[str] | None = None,
        *,
        where: Callable[[], Iterator[pa.RecordBatch]] | None = None,
        decided: bool = False,
        held_bytes: int | None = None,
    ):
        """Name what is read; nothing is read before the first pass.

        ``columns`` are numbers of the scores or of the documents (``tokens`` is always read); ``domain`` and ``within``
        (None: the same) are columns of the documents that put each into a group. ``where`` gives what a condition says
        of each row, in the order of the corpus, anew at each call. With ``decided`` the reasons are those of the
        decision table, else those of ``rejections`` and of the scores. ``held_bytes`` is ``HELD_BYTES`` by default.
        """
        self.run, self.rejections, self.columns = run, rejections, tuple(columns)
        self.domains = ColumnGroups(domain)
        self.within = self.domains if within is None or list(within) == list(domain) else ColumnGroups(within)
        self.reasons: list[str | None] = [None]
        """Reasons by code: first those of the tables, in the order of the corpus, then those that users add."""
        self.held_bytes = HELD_BYTES if held_bytes is None else held_bytes
        self._where, self._decided = where, decided
        self._held: list[DocumentBlock] | None = None

    def blocks(self) -> Iterator[DocumentBlock]:
        """Yield all blocks in the order of the corpus. Raises TableError where tables do not have the same rows."""
        if self._held is not None:
            yield from self._held
            return
        held, room = list[DocumentBlock](), self.held_bytes
        for block in self._read():
            room -= block.nbytes
            if room >= 0:
                held.append(block)
            else:
                held.clear()
            yield block
        self._held = held if room >= 0 else None

    def load(self) -> None:
        """Read everything once: then all groups and all reasons of the tables are known, and what fits is held."""
        for _ in self.blocks():
            pass

    def is_held(self) -> bool:
        """Return whether the blocks stay in memory; False before they were all read."""
        return self._held is not None

    def _read(self) -> Iterator[DocumentBlock]:
        of_documents = [name for name in self.columns if not _is_of_scores(name)]
        known = aligned_parts.read_schema(self.run).names
        of_scores = [name for name in self.columns if _is_of_scores(name) and name in known]
        names = list(dict.fromkeys(["tokens", *of_scores, *([] if self._decided else ["status"])]))
        carry = list(dict.fromkeys([*self.domains.columns, *self.within.columns, *of_documents]))
        decisions = _DecisionCodes(self.run, self.reasons) if self._decided else None
        refusals = None if self._decided else RejectionCodes(self.run, self.rejections, self.reasons)
        answers = _Answers(self._where()) if self._where is not None else None
        for index, part in enumerate(aligned_parts.read_parts(self.run, names, carry, decided=False, coded=True)):
            if refusals is not None:
                codes = refusals.take(index, part.table.column("status"))
            else:
                assert decisions is not None
                codes = decisions.take(len(part))
            domain = self.domains.take(part.table)
            yield DocumentBlock(
                name=part.name,
                slices=part.slices,
                codes=codes,
                eligible=self._find_eligible(codes),
                tokens=part.counts("tokens"),
                columns={name: _to_numpy(part.table.column(name)) for name in (*of_scores, *of_documents)},
                domain=domain,
                within=domain if self.within is self.domains else self.within.take(part.table),
                where=answers.take(len(part)) if answers is not None else None,
            )
        if decisions is not None:
            decisions.check_end()

    def _find_eligible(self, codes: Int16Array) -> BoolArray:
        refused = np.array([reason is not None and precedes_criteria(reason) for reason in self.reasons])
        return np.asarray(~refused[codes])


class _DecisionCodes:
    """The reasons of the decision table as codes, part by part."""

    def __init__(self, run: Run, reasons: list[str | None]):
        self._rows = decision_table.DecisionReader(run.filter, pa.schema([("reason", TEXT)]))
        self._reasons = reasons

    def take(self, count: int) -> Int16Array:
        """Return the codes of the next documents; reasons that are new are added."""
        pieces = [np.zeros(0, np.int16)]
        for chunk in self._rows.take(count).column("reason").chunks:
            codes = [number_of(self._reasons, reason) for reason in chunk.dictionary.to_pylist()]
            indices = pc.fill_null(chunk.indices, len(codes)).to_numpy(zero_copy_only=False)
            pieces.append(np.array([*codes, 0], np.int16)[indices])
        return np.concatenate(pieces)

    def check_end(self) -> None:
        self._rows.check_end()


class _Answers:
    """What SQL says of each row, given out part by part."""

    def __init__(self, batches: Iterator[pa.RecordBatch]):
        self._batches = batches
        self._rest = np.zeros(0, np.int8)

    def take(self, count: int) -> Int8Array:
        pieces, length = [self._rest], len(self._rest)
        while length < count:
            batch = next(self._batches)
            pieces.append(batch.column(0).to_numpy(zero_copy_only=False).astype(np.int8))
            length += len(pieces[-1])
        joined = np.concatenate(pieces)
        self._rest = joined[count:]
        return joined[:count]


def _is_of_scores(name: str) -> bool:
    """Return whether a column is one of the scores, and not one of the documents."""
    return name in schemas.SCORES.names or find_signal(name) is not None


def _to_numpy(column: pa.ChunkedArray) -> Array:
    """Return numbers in the precision that they have; as float64 with NaN for null where whole numbers have nulls."""
    exact = pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count)
    return kinds.view_numbers(column if exact else kinds.to_numbers(column, pa.float64()))
