"""Sizes as people write them."""

import pytest

from curate.errors import UsageError
from curate.runtime.numbers import parse_size


def test_sizes_are_read_as_people_write_them():
    for text, octets in {"500MB": 5 * 10**8, "2GiB": 2**31, "1.5 kb": 1500, "700": 700, "10B": 10}.items():
        assert parse_size(text) == octets
    for text in ("", "many", "-5MB", "0", "nan", "inf", "5XB", "MB", "1e30"):
        with pytest.raises(UsageError):
            parse_size(text)
