"""The kept documents of a run ranked by a column: narrow arrays, in memory or mapped to files beyond a limit.

Memory holds ten numbers a document at most (``BYTES``). Where that passes the limit, the arrays are mapped to files
in the run directory, which are gone when the program ends however it ends, and DuckDB sorts, spilling beyond the
limit; everything else walks the arrays block by block. Both ways give the same ranks.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.rundir import aligned_parts, sql
from curate.rundir.columns import kinds, spelling
from curate.runtime.disk import files
from curate.stages.order import permutations
from curate.stages.order.permutations import Ranks, blocks

BYTES = 81  # a document needs at most: 80.4 with 20 strata, 66.1 without (tracemalloc, 4 million documents)
MOST_STRATA = 10_000


@dataclass(frozen=True, slots=True)
class RankScratch:
    """Where large arrays live."""

    folder: Path | None
    """None: in memory."""
    limit: int
    """Bytes of memory."""

    def empty(self, count: int) -> Ranks:
        """An array that is not yet set. StorageError where the disk has no room for it."""
        if self.folder is None or count == 0:
            return np.empty(count, np.int64)
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, 8 * count)  # a hole in the file would end in a bus error
                return np.frombuffer(mmap.mmap(file.fileno(), 8 * count), np.int64)
        except OSError as error:
            raise files.make_storage_error(error, self.folder) from error


@contextmanager
def open_scratch(folder: Path, documents: int, limit: int) -> Iterator[RankScratch]:
    """Memory where so many documents fit into the limit, else files in ``folder`` for as long as the block lasts."""
    import shutil

    if documents * BYTES <= limit:
        yield RankScratch(None, limit)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield RankScratch(folder, limit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, eq=False)
class RankedDocuments:
    """The documents that have a key, by rank, the first in the direction asked first; ties as in the corpus."""

    places: Ranks
    """Which of the kept documents it is, counted in the order of the corpus."""
    tokens: Ranks
    keys: NDArray[Any]
    strata: Ranks | None
    """A number for the value of the column that is stratified by."""
    names: tuple[Any, ...]
    """Those values, by number."""
    kept: int
    """Documents that are kept, those without a key too."""
    all_tokens: int
    """Of the kept documents."""
    missing: Ranks
    """The kept documents whose key is null or NaN, in the order of the corpus."""


class RankCollector:
    """Takes columns of kept documents, part by part, then ranks them."""

    def __init__(self, most: int, scratch: RankScratch, kind: pa.DataType, stratified: bool):
        self._scratch, self._whole = scratch, pa.types.is_integer(kind) and not pa.types.is_uint64(kind)
        self._keys, self._tokens, self._places = (scratch.empty(most) for _ in range(3))
        self._strata = scratch.empty(most) if stratified else None
        self._codes: dict[Any, int] = {}
        self._count, self._kept, self._all = 0, 0, 0
        self._missing: list[Ranks] = []

    def add(self, key: pa.ChunkedArray, tokens: pa.ChunkedArray, stratum: pa.ChunkedArray | None) -> None:
        """The next documents: their keys (null or NaN for none), tokens, and values to stratify by."""
        kind = pa.int64() if self._whole else pa.float64()
        found = kinds.to_numbers(key, kind)
        has = found.is_valid().to_numpy()
        values = np.asarray(found.fill_null(0).to_numpy())
        has &= ~np.isnan(values)
        places = np.arange(self._kept, self._kept + len(has))
        self._missing.append(places[~has])
        here = slice(self._count, self._count + int(has.sum()))
        self._keys.view(values.dtype)[here] = values[has]
        weights = pc.fill_null(tokens, 0).to_numpy()
        self._all += int(weights.sum())
        self._tokens[here] = weights[has]
        self._places[here] = places[has]
        if self._strata is not None and stratum is not None:
            self._strata[here] = self._encode(stratum)[has]
        self._count, self._kept = here.stop, self._kept + len(has)

    def _encode(self, column: pa.ChunkedArray) -> Ranks:
        """The values of a column as numbers, in the order in which they are first met."""
        coded = aligned_parts.encode_values(column)
        values = [*spelling.spell_distinct(coded.dictionary), None]
        codes = pc.fill_null(coded.indices, len(values) - 1).to_numpy(zero_copy_only=False)
        occurring, first = np.unique(codes, return_index=True)
        for code in occurring[np.argsort(first)].tolist():
            self._codes.setdefault(values[code], len(self._codes))
        if len(self._codes) > MOST_STRATA:
            message = f"--stratify: the column has more than {MOST_STRATA:,} values among the documents that are kept"
            raise UsageError(message, "stratify by a column of few values, such as a domain or a language")
        own = np.array([self._codes.get(value, -1) for value in values], np.int64)
        return np.asarray(own[codes])

    def rank(self, descending: bool) -> RankedDocuments:
        """All that was added, ranked; nothing may be added after."""
        keys = self._keys.view(np.int64 if self._whole else np.float64)[: self._count]
        order = sort_stably(keys, descending, self._scratch)
        missing = np.concatenate(self._missing) if self._missing else np.empty(0, np.int64)
        ranked_keys = self._take(self._keys, order).view(keys.dtype)
        del keys
        self._keys = np.empty(0, np.int64)
        tokens = self._take(self._tokens, order)
        self._tokens = np.empty(0, np.int64)
        strata = None if self._strata is None else self._take(self._strata, order)
        self._strata = None
        places = order if not len(missing) else self._take(self._places, order)
        return RankedDocuments(places, tokens, ranked_keys, strata, tuple(self._codes), self._kept, self._all, missing)

    def _take(self, values: Ranks, order: Ranks) -> Ranks:
        out = self._scratch.empty(len(order))
        for block in blocks(len(order)):
            out[block] = values[order[block]]
        return out


def sort_stably(keys: NDArray[Any], descending: bool, scratch: RankScratch) -> Ranks:
    """The places of the keys from the first to the last; equal keys stay in their order in both directions."""
    if scratch.folder is not None:
        return _sort_outside(keys, descending, scratch, scratch.folder)
    if descending:
        keys = ~keys if keys.dtype == np.int64 else -keys
    return np.argsort(keys, kind="stable")


def _sort_outside(keys: NDArray[Any], descending: bool, scratch: RankScratch, folder: Path) -> Ranks:
    """The same by DuckDB, in half the memory: the other half is for the pages of the arrays."""
    limit = f"{max(scratch.limit // 2, 64_000_000)}B"
    names, kinds = ["key", "place"], [pa.from_numpy_dtype(keys.dtype), pa.int64()]
    pieces = (
        pa.RecordBatch.from_arrays([pa.array(keys[block]), pa.array(np.arange(*block.indices(len(keys))))], names)
        for block in blocks(len(keys))
    )
    with sql.connect(limit, folder / "sort") as connection:
        reader = pa.RecordBatchReader.from_batches(pa.schema(list(zip(names, kinds, strict=True))), pieces)
        connection.register("listed", reader)
        query = f"SELECT place FROM listed ORDER BY key {'DESC' if descending else 'ASC'}, place"
        out, done = scratch.empty(len(keys)), 0
        for batch in connection.sql(query).to_arrow_reader(65_536):
            out[done : done + batch.num_rows] = batch.column(0).to_numpy()
            done += batch.num_rows
    return out


def part_strata(ranked: RankedDocuments, scratch: RankScratch) -> list[Ranks]:
    """The ranks of each stratum, ascending: a counting sort by the number of the stratum."""
    strata = ranked.strata
    if strata is None:
        return [permutations.sort(len(ranked.tokens), scratch.empty)]
    counts = np.zeros(len(ranked.names), np.int64)
    for block in blocks(len(strata)):
        counts += np.bincount(strata[block], minlength=len(counts))
    out, ends = scratch.empty(len(strata)), np.cumsum(counts)
    begins = ends - counts
    for block in blocks(len(strata)):
        codes = strata[block]
        order = np.argsort(codes, kind="stable")
        here = np.bincount(codes, minlength=len(counts))
        within = np.arange(len(codes)) - np.repeat(np.cumsum(here) - here, here)
        out[begins[codes[order]] + within] = block.start + order
        begins = begins + here
    return [out[end - count : end] for end, count in zip(ends, counts, strict=True)]
