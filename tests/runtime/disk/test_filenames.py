"""Names that are made from names of users fit, stay what they were where they did, and never become one."""

from urllib.parse import quote

import pytest

import curate
from curate.runtime.disk.filenames import MOST_BYTES, expand_home, fit_name


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


def test_a_colon_in_the_first_folder_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expand_home("a:b/c") == tmp_path / "a:b/c"
    assert expand_home("a/b:c").as_posix() == "a/b:c" and expand_home("/a:b").as_posix() == "/a:b"
    assert expand_home("s3://bucket/x").as_posix() == "s3:/bucket/x", "left to be refused"
    run = curate.score(str(write(tmp_path / "n:s" / "c.jsonl")), run="a:b/run", model="none")
    assert curate.filter(run="a:b/run", where="bytes > 1").kept.documents == run.documents == 1
    assert curate.export("a:b/out", run="a:b/run").documents == 1


def write(path):
    path.parent.mkdir()
    path.write_text('{"text": "A line of text."}\n')
    return path
