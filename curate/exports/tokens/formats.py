"""Token files: Megatron's ``.bin`` + ``.idx``, and NumPy's ``.npy`` + ``.offsets.npy``.

Megatron (its class ``IndexedDataset``; layout read from ``megatron/core/datasets/indexed_dataset.py`` of Megatron-LM
0.20): ``.bin`` is nothing but the token ids of all sequences, little endian. ``.idx`` is

    9 bytes    "MMIDIDX" 0 0
    uint64     version, 1
    uint8      dtype of the ids: 4 int32, 8 uint16
    uint64     S, the number of sequences; here one for each document
    uint64     number of document indices, S + 1
    int32  S   length of each sequence in ids
    int64  S   where it begins in ``.bin``, in bytes
    int64  S+1 the sequence with which each document begins, and S: here 0 … S

NumPy: ``.npy`` is one array of all ids, ``.offsets.npy`` one of int64, where each document begins and, last, ends;
``numpy.load(…, mmap_mode="r")`` opens both without reading them. Ids are uint16 below ``WIDE_VOCABULARY`` entries, else
int32: Megatron's own rule (``DType.optimal_dtype``).
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from curate.runtime.arrays import Int32Array, Int64Array

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {"int32": 4, "uint16": 8}
"""Megatron's number of each type of ids."""
WIDE_VOCABULARY = 65_500
HEADER_BYTES = 128
"""Of a ``.npy``: room for its shape, which is known only when all ids are written."""
LAYOUTS = {"megatron": "tokens/train-{:05d}-of-{:05d}.bin", "numpy": "tokens/train-{:05d}-of-{:05d}.npy"}
"""The names of the files of ids, to be formatted with the number of a file and the number of files."""
INDEX_SUFFIXES = (".idx", ".offsets.npy")
"""Of the small files that say where the documents begin in a file of ids."""


def choose_dtype(vocabulary: int) -> str:
    """Return the dtype of the ids of a vocabulary of so many entries: uint16 or int32."""
    return "uint16" if vocabulary < WIDE_VOCABULARY else "int32"


def index_of(tokens: Path) -> Path:
    """Return the path of the index of a file of tokens."""
    return tokens.with_suffix(".idx" if tokens.suffix == ".bin" else ".offsets.npy")


@dataclass(slots=True)
class TokenShard:
    """A file of tokens under construction. Memory: 4 bytes a document."""

    path: Path
    dtype: str
    """uint16 or int32."""
    lengths: array = field(default_factory=lambda: array("i"))  # type: ignore[type-arg]
    """Ids of each document."""
    tokens: int = 0
    """Ids of all of them."""
    _sink: BinaryIO | None = None

    def write(self, documents: Sequence[Int32Array]) -> None:
        """Append documents, each an array of its ids."""
        sink = self._sink or self._begin()
        for ids in documents:
            sink.write(ids.astype("<u2" if self.dtype == "uint16" else "<i4").tobytes())
            self.lengths.append(len(ids))
            self.tokens += len(ids)

    def _begin(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = self.path.open("wb")
        if self.path.suffix == ".npy":
            self._sink.write(b"\x00" * HEADER_BYTES)
        return self._sink

    def size(self) -> int:
        """Return the bytes of the ids."""
        return self.tokens * (2 if self.dtype == "uint16" else 4)

    def close(self) -> None:
        """Write what is known only at the end: the header of a ``.npy``, and the index."""
        if self._sink is None:
            return
        try:
            if self.path.suffix == ".npy":
                self._sink.seek(0)
                self._sink.write(_npy_header(self.dtype, self.tokens))
        finally:
            self._sink.close()
            self._sink = None
        lengths = np.frombuffer(self.lengths, dtype=np.int32)
        index = index_of(self.path)
        if self.path.suffix == ".bin":
            _write_index(index, lengths, self.dtype)
        else:
            np.save(index, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype("<i8"))

    def abandon(self) -> None:
        """Close the file without an index, when something else has failed."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None


def _npy_header(dtype: str, tokens: int) -> bytes:
    """Return the header of a ``.npy``, version 1.0 (numpy.lib.format), padded to ``HEADER_BYTES``."""
    descr = "<u2" if dtype == "uint16" else "<i4"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({tokens},), }}"
    length = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def _write_index(path: Path, lengths: Int32Array, dtype: str) -> None:
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = (ends - lengths) * np.dtype(dtype).itemsize
    with open(path, "wb") as out:
        out.write(MAGIC + struct.pack("<QBQQ", VERSION, CODES[dtype], len(lengths), len(lengths) + 1))
        out.write(lengths.astype("<i4").tobytes())
        out.write(starts.astype("<i8").tobytes())
        out.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())


@dataclass(frozen=True, slots=True, eq=False)
class TokenIndex:
    """What an index says of a file of N documents."""

    dtype: str
    """uint16 or int32."""
    offsets: Int64Array
    """N + 1 positions in the file, in ids: where each document begins and, last, where the file ends."""


def read_index(tokens: Path) -> TokenIndex:
    """Return the index of a file of tokens.

    Raises ValueError where it is none, or where it contradicts the size of the file; OSError where it is missing.
    """
    index = _read_megatron(index_of(tokens)) if tokens.suffix == ".bin" else _read_numpy(tokens)
    header = 0 if tokens.suffix == ".bin" else HEADER_BYTES
    num_bytes = tokens.stat().st_size - header
    if index.offsets[-1] * np.dtype(index.dtype).itemsize != num_bytes:
        raise ValueError(f"{tokens.name} has {num_bytes:,} bytes of ids, its index counts {index.offsets[-1]:,} ids")
    return index


def _read_megatron(path: Path) -> TokenIndex:
    octets = path.read_bytes()
    if len(octets) < 34 or octets[:9] != MAGIC:
        raise ValueError(f"{path.name} is not an index of Megatron")
    version, code, count, indices = struct.unpack("<QBQQ", octets[9:34])
    dtype = {number: name for name, number in CODES.items()}.get(code)
    if version != VERSION or dtype is None or indices != count + 1 or len(octets) != 34 + 20 * count + 8:
        raise ValueError(f"{path.name} is not an index of Megatron as curate writes it")
    lengths = np.frombuffer(octets, "<i4", count, 34).astype(np.int64)
    starts = np.frombuffer(octets, "<i8", count, 34 + 4 * count)
    begins = np.frombuffer(octets, "<i8", count + 1, 34 + 12 * count)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if not np.array_equal(starts, offsets[:-1] * np.dtype(dtype).itemsize):
        raise ValueError(f"{path.name}: the starts of the documents do not follow from their lengths")
    if not np.array_equal(begins, np.arange(count + 1)):
        raise ValueError(f"{path.name}: its documents are not one sequence each")
    return TokenIndex(dtype, offsets)


def _read_numpy(tokens: Path) -> TokenIndex:
    offsets = np.load(index_of(tokens), allow_pickle=False)
    ids = np.load(tokens, mmap_mode="r", allow_pickle=False)
    if ids.ndim != 1 or ids.dtype.name not in CODES or offsets.ndim != 1 or not len(offsets) or offsets[0] != 0:
        raise ValueError(f"{tokens.name} and its offsets are not token files as curate writes them")
    if np.any(np.diff(offsets) < 0):
        raise ValueError(f"{index_of(tokens).name}: a document ends before it begins")
    return TokenIndex(ids.dtype.name, offsets)
