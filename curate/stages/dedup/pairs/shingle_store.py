"""The shingle sets of the documents that may have near copies, on disk, so that pairs can be compared exactly.

    numbers   the number of each document, ascending (int64)
    ends      the elements of the sets up to the end of each (int64)
    sets      the elements, set after set (uint64)

Sets are read with plain reads and not mapped, so that sets that were read long ago do not stay in memory.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np

from curate.runtime.arrays import Array, Int64Array, UInt64Array, fill_from

ELEMENT_BYTES = 8
ENDS_AT_ONCE = 65_536
"""Ends that are written at a time."""


class ShingleStore:
    """Writes the sorted shingle hashes of some documents, whose numbers ascend."""

    def __init__(self, folder: Path, numbers: Int64Array):
        folder.mkdir(parents=True, exist_ok=True)
        numbers.tofile(folder / "numbers")
        self._opened = ExitStack()
        self._sets, self._ends = (self._opened.enter_context((folder / name).open("wb")) for name in ("sets", "ends"))
        self._end, self._waiting = 0, list[int]()

    def __enter__(self) -> "ShingleStore":
        return self

    def __exit__(self, *error: object) -> None:
        with self._opened:
            self._write_ends()

    def add(self, hashes: UInt64Array) -> None:
        """Append the set of the next document, ascending and without repeats."""
        self._sets.write(hashes.tobytes())
        self._end += len(hashes)
        self._waiting.append(self._end)
        if len(self._waiting) >= ENDS_AT_ONCE:
            self._write_ends()

    def _write_ends(self) -> None:
        self._ends.write(np.array(self._waiting, np.int64).tobytes())
        self._waiting = []


class StoredSets:
    """Reads the sets of a store that is complete, by the numbers of documents."""

    def __init__(self, folder: Path):
        self._numbers, self._ends = map_array(folder / "numbers", np.int64), map_array(folder / "ends", np.int64)
        self._path = folder / "sets"

    def find(self, documents: Int64Array) -> Int64Array:
        """Return the place of each document in the store, where all of them must be."""
        return np.searchsorted(self._numbers, documents)

    def measure(self, places: Int64Array) -> Int64Array:
        """Return the number of elements of each set."""
        sizes: Int64Array = self._ends[places] - self._begin(places)
        return sizes

    def read(self, places: Int64Array) -> tuple[UInt64Array, Int64Array]:
        """Return the elements of some sets, whose places ascend, set after set, and the offsets of each.

        Set i has the elements in [offsets[i], offsets[i + 1]). Raises OSError where the file is cut short.
        """
        begins, ends = self._begin(places), self._ends[places]
        offsets = np.concatenate([[0], np.cumsum(ends - begins)])
        hashes = np.empty(offsets[-1], np.uint64)
        view = memoryview(hashes.view(np.uint8).data)
        with open(self._path, "rb", buffering=0) as file:
            for first, stop in list_runs(begins, ends):
                piece = view[offsets[first] * ELEMENT_BYTES : offsets[stop] * ELEMENT_BYTES]
                fill_from(file.fileno(), piece, int(begins[first]) * ELEMENT_BYTES, self._path)
        return hashes, offsets

    def _begin(self, places: Int64Array) -> Int64Array:
        return np.where(places > 0, self._ends[np.maximum(places, 1) - 1], 0)


def list_runs(begins: Int64Array, ends: Int64Array) -> Iterator[tuple[int, int]]:
    """Yield runs [first, stop) of sets that follow one another in the file."""
    breaks = np.flatnonzero(begins[1:] != ends[:-1]) + 1
    edges = [0, *breaks.tolist(), len(begins)] if len(begins) else [0]
    yield from pairwise(edges)


def map_array(path: Path, dtype: type) -> Array:
    """Return a file of nothing but elements of a type, mapped; of one that is empty an empty array."""
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)
