"""The shingle sets of the documents that may have near copies, on disk, so that pairs can be compared exactly.

Sets are read with plain reads and not mapped, so that sets that were read long ago do not stay in memory.
"""

from array import array
from pathlib import Path

import numpy as np

from curate.matching import shingles
from curate.runtime.arrays import UInt64Array

CACHE_BYTES = 32_000_000
ELEMENT_BYTES = 8


class ShingleStore:
    """Sorted shingle hashes of some documents. A document's index is the order in which it was added."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.open("w+b")
        self._ends = array("q", [0])
        self._recent: dict[int, UInt64Array] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __enter__(self) -> "ShingleStore":
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.close()

    def add(self, hashes: UInt64Array) -> None:
        """Append the set of the next document, ascending and without repeats."""
        self._handle.write(hashes.tobytes())
        self._ends.append(self._ends[-1] + len(hashes))

    @property
    def sizes(self) -> "array[int]":
        """The number of elements of each set."""
        return array("q", np.diff(self._ends).tobytes())

    def read(self, index: int) -> UInt64Array:
        """Return the set of one document. The last CACHE_BYTES of sets that were read stay in memory."""
        hashes = self._recent.get(index)
        if hashes is not None:
            return hashes
        first, stop = self._ends[index], self._ends[index + 1]
        self._handle.seek(first * ELEMENT_BYTES)
        hashes = np.frombuffer(self._handle.read((stop - first) * ELEMENT_BYTES), np.uint64)
        self._recent[index] = hashes
        self._cached_bytes += hashes.nbytes
        while self._cached_bytes > CACHE_BYTES and len(self._recent) > 1:
            self._cached_bytes -= self._recent.pop(next(iter(self._recent))).nbytes
        return hashes

    def similarity(self, first: int, second: int) -> float:
        """Return the exact Jaccard similarity of two documents."""
        return shingles.jaccard(self.read(first), self.read(second))
