"""The documents of a side of a comparison, as arrays: what they sum to, their groups, and the unit of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.errors import UsageError
from curate.rundir.aligned_parts import ColumnGroups, encode_values
from curate.rundir.columns import kinds, spelling
from curate.runtime.arrays import Array, BoolArray, Float64Array, Int64Array, UInt64Array

MOST_GROUPS = 1000
"""Groups of a comparison at most."""
NUMBERS = ("hash", "nats", "scored_tokens", "scored_bytes", "windows")
"""The columns of the scores that a comparison reads."""


@dataclass(frozen=True, slots=True, eq=False)
class DocumentBatch:
    """Documents that were scored, in the order of their corpus."""

    hashes: UInt64Array
    """xxh3_64 of the text."""
    nats: Float64Array
    tokens: Int64Array
    """Scored ones."""
    bytes: Int64Array
    """Those that the scored tokens spell."""
    groups: Int64Array
    """The number of the group of each, as ``Grouping`` has it; 0 where documents are not grouped."""
    keys: UInt64Array
    """The key of the unit of each: the hash of its text, or of its value of the cluster column."""
    steps: Int64Array
    """The number of the step of time of each, as ``Grouping`` has it; 0 without a time column."""
    windows: int
    """The most windows that one of them was read in; 0 where that is not known."""
    further: dict[str, Float64Array] = field(default_factory=dict)
    """Further columns that were asked for, NaN where null; of a column of lists a matrix."""

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, chosen: BoolArray | Int64Array | slice) -> "DocumentBatch":
        """Return some of the documents."""
        return DocumentBatch(
            self.hashes[chosen],
            self.nats[chosen],
            self.tokens[chosen],
            self.bytes[chosen],
            self.groups[chosen],
            self.keys[chosen],
            self.steps[chosen],
            self.windows,
            {name: values[chosen] for name, values in self.further.items()},
        )


@dataclass(slots=True)
class Grouping:
    """By which columns the documents of all sides are grouped, and the groups that were met so far."""

    within: tuple[str, ...] = ()
    cluster: str | None = None
    time: str | None = None
    further: tuple[str, ...] = ()
    """Columns of the scores that are read as well."""
    spell_step: Callable[[str], str] = str
    """The step of time of a value of the time column."""
    steps: dict[str, int] = field(default_factory=dict)
    """The number of each step of time, as they were met."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of each group by its name, as they were met; that of all documents is 0 where none are asked for."""
    _columns: ColumnGroups = field(init=False)

    def __post_init__(self) -> None:
        self._columns = ColumnGroups(self.within)
        if not self.within:
            self.numbers["all"] = 0

    @property
    def names(self) -> list[str]:
        """The groups, by their numbers."""
        return list(self.numbers)

    def number(self, name: str) -> int:
        """Return the number of a group; a new one gets the next. Raises UsageError where there are too many."""
        found = self.numbers.setdefault(name, len(self.numbers))
        if found >= MOST_GROUPS:
            message = f"--within {','.join(self.within)} has more than {MOST_GROUPS:,} values, of which each is a row"
            raise UsageError(message, "name a column of kinds of documents, such as --within domain")
        return found

    @property
    def columns(self) -> list[str]:
        """The columns of the documents that are read."""
        named = [*self.within, *([self.cluster] if self.cluster else []), *([self.time] if self.time else [])]
        return list(dict.fromkeys(named))

    def make_batch(self, table: pa.Table) -> DocumentBatch:
        """Return the documents of a table that were scored; it has ``NUMBERS`` and the columns of the grouping.

        A document was scored where it has nats and at least one scored token.
        """
        nats = _to_floats(table, "nats")
        tokens = _to_integers(table, "scored_tokens")
        hashes = np.asarray(kinds.view_numbers(pc.fill_null(table.column("hash"), 0)), np.uint64)
        windows = _to_integers(table, "windows")
        count = len(nats)
        batch = DocumentBatch(
            hashes,
            nats,
            tokens,
            _to_integers(table, "scored_bytes"),
            self._number_groups(table) if self.within else np.zeros(count, np.int64),
            hashes if self.cluster is None else _hash_values(table.column(self.cluster), hashes),
            np.zeros(count, np.int64) if self.time is None else self._number_steps(table.column(self.time)),
            int(windows.max()) if count else 0,
            {name: _to_matrix(table, name) for name in self.further},
        )
        return batch.take(np.isfinite(nats) & (tokens > 0))

    def _number_groups(self, table: pa.Table) -> Int64Array:
        """Return the group of each document."""
        own = self._columns.take(table)
        return np.array([self.number(name) for name in self._columns.names], np.int64)[own] if len(own) else own

    def _number_steps(self, column: pa.ChunkedArray) -> Int64Array:
        """Return the step of each value; −1 for null."""
        coded = encode_values(column)
        numbers = []
        for value in spelling.spell_distinct(coded.dictionary):
            step = self.spell_step(value)
            numbers.append(self.steps.setdefault(step, len(self.steps)))
        return _take_or(np.array([*numbers, -1], np.int64), coded)


def _hash_values(column: pa.ChunkedArray, instead_N: UInt64Array) -> UInt64Array:
    """Return a hash of each value, as people write it; that of the text where the value is null."""
    coded = encode_values(column)
    hashes = [xxhash.xxh3_64_intdigest(value.encode()) for value in spelling.spell_distinct(coded.dictionary)]
    found = _take_or(np.array([*hashes, 0], np.uint64), coded)
    return np.where(np.asarray(coded.indices.is_null()), instead_N, found) if coded.indices.null_count else found


def _take_or(values: Array, coded: pa.DictionaryArray) -> Array:
    """Return the value of each code, and the last of ``values`` where the code is null."""
    indices = coded.indices
    filled = pc.fill_null(indices, len(values) - 1) if indices.null_count else indices
    return values[np.asarray(filled, np.int64)]


def _to_floats(table: pa.Table, name: str) -> Float64Array:
    return np.asarray(kinds.view_numbers(kinds.to_numbers(table.column(name), pa.float64())), np.float64)


def _to_matrix(table: pa.Table, name: str) -> Float64Array:
    """Return a column of numbers, or of lists of equal length as rows of a matrix; NaN where null."""
    column = table.column(name)
    if not pa.types.is_list(column.type) and not pa.types.is_fixed_size_list(column.type):
        return _to_floats(table, name)
    whole = column.combine_chunks()
    there = np.asarray(whole.is_valid())
    values = np.asarray(whole.drop_null().flatten().cast(pa.float64()), np.float64)
    width = len(values) // max(int(there.sum()), 1)
    matrix = np.full((len(column), width), np.nan)
    matrix[there] = values.reshape(-1, width) if width else matrix[there]
    return matrix


def _to_integers(table: pa.Table, name: str) -> Int64Array:
    column = table.column(name)
    return np.asarray(kinds.view_numbers(pc.fill_null(column, 0) if column.null_count else column), np.int64)


BatchReader = Callable[[Grouping], Iterator[DocumentBatch]]
"""Gives the documents of a side, each time that it is called, in the same order."""
