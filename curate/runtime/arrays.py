"""Types of NumPy arrays by their dtype, and arrays of files.

The suffix of a name (``values_ND``) or its docstring gives the shape.
"""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""An array of any dtype: only where a function really takes any."""
BoolArray = NDArray[np.bool_]
Int8Array = NDArray[np.int8]
Int16Array = NDArray[np.int16]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]
UInt32Array = NDArray[np.uint32]
UInt64Array = NDArray[np.uint64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


def read_array(path: Path, dtype: Any, count: int, first: int = 0) -> Array:
    """Return ``count`` elements of a file of nothing but such elements, from the ``first`` on.

    Raises OSError where the file has fewer or cannot be read: ``np.fromfile`` returns what it got.
    """
    kind = np.dtype(dtype)
    values = np.empty(count, kind)
    with open(path, "rb", buffering=0) as file:
        fill_from(file.fileno(), values.view(np.uint8).data, first * kind.itemsize, path)
    return values


def fill_from(handle: int, view: memoryview, offset: int, path: Path) -> None:
    """Fill a view with the bytes of an open file from ``offset`` on. Raises OSError where they are fewer."""
    while view:
        count = os.preadv(handle, [view], offset)
        if not count:
            raise OSError(errno.EIO, "it is shorter than it was", str(path))
        view, offset = view[count:], offset + count
