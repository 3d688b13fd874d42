"""Arrays of files: all of what was asked for, or an error that names the file."""

import errno
import os

import numpy as np
import pytest

from curate.runtime.arrays import read_array

PAIRS = np.dtype([("key", np.int64), ("size", np.int64)])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, PAIRS])
def test_short_reads_give_all_elements(tmp_path, monkeypatch, dtype):
    values = np.arange(64, dtype=np.int64).view(dtype)
    values.tofile(tmp_path / "a")
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, views, at: read(file, [views[0][:7]], at))
    assert np.array_equal(read_array(tmp_path / "a", dtype, len(values)), values)
    assert np.array_equal(read_array(tmp_path / "a", dtype, len(values) - 9, 5), values[5:-4])
    assert len(read_array(tmp_path / "a", dtype, 0)) == 0


def test_a_file_that_is_shorter_than_it_was_is_named(tmp_path):
    np.arange(9).tofile(tmp_path / "a")
    for count, first in ((10, 0), (1, 9), (5, 5)):
        with pytest.raises(OSError) as caught:
            read_array(tmp_path / "a", np.int64, count, first)
        assert caught.value.errno == errno.EIO and caught.value.filename == str(tmp_path / "a")
