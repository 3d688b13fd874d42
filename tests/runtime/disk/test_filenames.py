"""Names that are made from names of users fit, stay what they were where they did, and never become one."""

from urllib.parse import quote

import pytest

from curate.runtime.disk.filenames import MOST_BYTES, fit_name


@pytest.mark.parametrize("name", ["domain", "a" * 255, quote("域" * 28, safe=""), "%41"])
def test_a_name_that_fits_is_kept(name):
    assert fit_name(name) == name


@pytest.mark.parametrize("char", ["域", "a", "😀", "%", "/", "é"])
@pytest.mark.parametrize("length", [26, 29, 64, 256, 300, 5000])
def test_a_long_name_fits_and_two_of_one_beginning_differ(char, length):
    first, second = (fit_name(quote(char * length + end, safe="")) for end in "xy")
    assert first != second and all(len(one.encode()) <= MOST_BYTES for one in (first, second))
    assert fit_name(first) == first


def test_a_shortened_name_is_no_spelling_of_another_name():
    long = fit_name(quote("域" * 100, safe=""))
    assert quote(long, safe="") != long and fit_name(quote(long, safe="")) != long
