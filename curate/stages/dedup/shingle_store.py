"""The shingle sets of the documents that may have near copies, on disk, so that pairs can be compared exactly.

Sets are read with plain reads and not mapped, so that what was read long ago does not stay in memory.
"""

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from curate.matching import shingles

Array = np.ndarray[Any, np.dtype[Any]]

CACHE_BYTES = 32_000_000
ELEMENT_BYTES = 8


class ShingleStore:
    """Sorted shingle hashes of some documents, each by its place in the order in which they were added."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.open("w+b")
        self._ends = array("q", [0])
        self._recent: dict[int, Array] = {}
        self._held = 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __enter__(self) -> "ShingleStore":
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.close()

    def add(self, hashes: Array) -> None:
        """Append the set of the next document."""
        self._handle.write(hashes.tobytes())
        self._ends.append(self._ends[-1] + len(hashes))

    @property
    def sizes(self) -> "array[int]":
        """Elements of each set."""
        return array("q", np.diff(self._ends).tobytes())

    def read(self, place: int) -> Array:
        """The set of one document; what was read is held in memory until CACHE_BYTES came behind it."""
        found = self._recent.get(place)
        if found is not None:
            return found
        first, stop = self._ends[place], self._ends[place + 1]
        self._handle.seek(first * ELEMENT_BYTES)
        found = np.frombuffer(self._handle.read((stop - first) * ELEMENT_BYTES), np.uint64)
        self._recent[place] = found
        self._held += found.nbytes
        while self._held > CACHE_BYTES and len(self._recent) > 1:
            self._held -= self._recent.pop(next(iter(self._recent))).nbytes
        return found

    def similarity(self, first: int, second: int) -> float:
        """The exact Jaccard similarity of two documents."""
        return shingles.jaccard(self.read(first), self.read(second))
