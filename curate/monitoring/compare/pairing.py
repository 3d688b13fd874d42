"""Which documents the sides share, by the hash of their text, and the sums of the units that are drawn.

Sides that read one corpus have the same texts in the same order, and are paired as they are read. Else texts are joined
(in DuckDB, which spills beyond its memory). A text that sides hold several times is paired as often as the side that
has it least; its numbers are then means over its copies. Where the group of a text differs between sides it is two.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from curate.errors import StorageError
from curate.monitoring.compare.documents import BatchReader, DocumentBatch, Grouping
from curate.monitoring.compare.extremes import ExtremePairs
from curate.monitoring.compare.totals import SideTotals
from curate.monitoring.compare.units import UnitSums
from curate.rundir import sql

PAIRED_FROM = 0.5
"""The share of the texts of the smallest side, held by all, from which sides are paired."""
OF_JOIN = 0.7
"""The share of the memory that a join has; the rest is that of the arrays beside it."""
AHEAD = 1 << 16
"""Documents of each batch of a join."""
SHARED_KIND = pa.schema(
    [
        ("side", pa.int8()),
        ("hash", pa.uint64()),
        ("grouped", pa.int32()),
        ("key", pa.uint64()),
        ("nats", pa.float64()),
        ("tokens", pa.int64()),
        ("bytes", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class ReadSide:
    """A side of a comparison as pairing needs it."""

    read: BatchReader
    num_documents: int
    """About how many have numbers."""
    has_hashes: bool


@dataclass(slots=True)
class PairedUnits:
    """The units of the documents that all sides share; columns are documents, then nats, tokens, bytes of each side."""

    sums: UnitSums
    num_pairs: int
    totals: list[SideTotals]
    """Of each side, all of its documents."""


@dataclass(slots=True)
class SideUnits:
    """The units of one side; columns are documents, nats, tokens, bytes."""

    sums: UnitSums
    totals: SideTotals


def read_apart(side: ReadSide, grouping: Grouping) -> SideUnits:
    """Return the units and the totals of a side."""
    units, totals = UnitSums(4, side.num_documents), SideTotals()
    for batch in side.read(grouping):
        totals.add(batch)
        units.add(batch.groups, batch.keys, [np.ones(len(batch)), batch.nats, batch.tokens, batch.bytes])
    return SideUnits(units, totals)


def read_in_step(
    sides: Sequence[ReadSide], grouping: Grouping, extremes: ExtremePairs | None = None
) -> PairedUnits | None:
    """Return the pairs of sides that have the same texts in the same order; None where they have not."""
    if len({side.num_documents for side in sides}) > 1 or not all(side.has_hashes for side in sides):
        return None
    units, totals = UnitSums(1 + 3 * len(sides), sides[0].num_documents), [SideTotals() for _ in sides]
    num_pairs = 0
    for batches in zip_batches([side.read(grouping) for side in sides]):
        first = batches[0]
        for one in batches[1:]:
            if len(one) != len(first) or (one.hashes != first.hashes).any() or (one.groups != first.groups).any():
                return None
        for total, one in zip(totals, batches, strict=True):
            total.add(one)
        columns = [column for one in batches for column in (one.nats, one.tokens, one.bytes)]
        units.add(first.groups, first.keys, [np.ones(len(first)), *columns])
        if extremes is not None:
            extremes.add(first.hashes, first.groups, [np.ones(len(first)), *columns])
        num_pairs += len(first)
    return PairedUnits(units, num_pairs, totals)


def zip_batches(readers: Sequence[Iterator[DocumentBatch]]) -> Iterator[list[DocumentBatch]]:
    """Yield batches of equal length of all readers; at the end what is left of each, in lengths that differ."""
    held: list[DocumentBatch | None] = [None] * len(readers)
    while True:
        for index, reader in enumerate(readers):
            while (one := held[index]) is None or not len(one):
                held[index] = next(reader, None)
                if held[index] is None:
                    break
        there = [one for one in held if one is not None]
        if len(there) < len(held):
            if there:
                yield [one for one in held if one is not None] + [there[0].take(slice(0, 0))]
            return
        length = min(len(one) for one in there)
        yield [one.take(slice(0, length)) for one in there]
        held = [one.take(slice(length, None)) for one in there]


def join_texts(
    sides: Sequence[ReadSide],
    grouping: Grouping,
    totals: list[SideTotals],
    memory: int,
    scratch: Path,
    extremes: ExtremePairs | None = None,
) -> PairedUnits:
    """Return the pairs of sides whose texts are joined by their hashes. ``scratch`` is a folder to spill to.

    Raises StorageError where memory or the disk runs out.
    """
    count = len(sides)
    units = UnitSums(1 + 3 * count, min(side.num_documents for side in sides))
    num_pairs = 0
    with _open_join(memory, scratch) as connection:
        for index, side in enumerate(sides):
            schema = SHARED_KIND
            rows = pa.RecordBatchReader.from_batches(schema, _list_rows(side, index, grouping))
            connection.register("arriving", rows)
            begin = "CREATE TABLE texts AS" if index == 0 else "INSERT INTO texts"
            connection.execute(f"{begin} SELECT * FROM arriving")
            connection.unregister("arriving")
        result = connection.sql(_spell_join(count))
        for batch in result.to_arrow_reader(AHEAD):
            groups, keys, hashes, *rest = batch.columns
            columns = [np.asarray(column, np.float64) for column in rest]
            units.add(np.asarray(groups, np.int64), np.asarray(keys, np.uint64), columns)
            if extremes is not None:
                extremes.add(np.asarray(hashes, np.uint64), np.asarray(groups, np.int64), columns)
            num_pairs += int(columns[0].sum())
    return PairedUnits(units, num_pairs, totals)


def _list_rows(side: ReadSide, index: int, grouping: Grouping) -> Iterator[pa.RecordBatch]:
    for batch in side.read(grouping):
        size = len(batch)
        numbers = [batch.hashes, batch.groups, batch.keys, batch.nats, batch.tokens, batch.bytes]
        arrays = [np.full(size, index, np.int8), *numbers]
        yield pa.record_batch(
            [pa.array(values, kind.type) for values, kind in zip(arrays, SHARED_KIND, strict=True)], schema=SHARED_KIND
        )


def _spell_join(count: int) -> str:
    """Return the SQL that gives group, key, the number of pairs, and the sums of each side, of the shared texts."""
    sums = [
        f"count(*) FILTER (side = {k}) AS n{k}, sum(nats) FILTER (side = {k}) AS x{k}, "
        f"sum(tokens) FILTER (side = {k}) AS t{k}, sum(bytes) FILTER (side = {k}) AS b{k}"
        for k in range(count)
    ]
    inner = f"SELECT grouped, hash, min(key) AS key, {', '.join(sums)} FROM texts GROUP BY hash, grouped"
    least = f"least({', '.join(f'n{k}' for k in range(count))})"
    shares = [f"{name}{k} * pairs / n{k}" for k in range(count) for name in "xtb"]
    counted = (
        f"SELECT *, {least}::DOUBLE AS pairs FROM ({inner}) WHERE {' AND '.join(f'n{k} > 0' for k in range(count))}"
    )
    return f"SELECT grouped, key, hash, pairs, {', '.join(shares)} FROM ({counted})"


@contextmanager
def _open_join(memory: int, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to a database in a file, so that what does not fit into memory goes to the disk."""
    try:
        with sql.connect(f"{int(memory * OF_JOIN)}B", scratch) as connection:
            connection.execute("SET preserve_insertion_order = false")
            yield connection
    except duckdb.OutOfMemoryException as error:
        message = f"DuckDB ran out of memory: {sql.first_line(error)}"
        raise StorageError(message, "raise --memory-limit, or compare as two samples: --pairs never") from error
    except duckdb.IOException as error:
        raise StorageError(f"texts cannot be joined: {sql.first_line(error)}", "set TMPDIR to a larger disk") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
