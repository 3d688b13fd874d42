"""Texts for people: what cannot be seen is spelled out."""

import os
import subprocess

import datasets.packaged_modules
import pytest

from curate.runtime.text import (
    DATASET_FORMATS,
    align_columns,
    align_right,
    command,
    count_columns,
    escape_unprintable,
    join_words,
    pad_columns,
    quote_path,
    quote_word,
    spell_dataset_path,
)


def test_spelling_out_leaves_what_can_be_seen():
    seen = "naïve 東京 🙂 “x” – € ﬁ"
    assert escape_unprintable(seen) == seen
    assert escape_unprintable("a\u00a0b\u200b\ud800\x07") == r"a b\u200b\ud800\x07"
    assert escape_unprintable("a\n\u200db", "\n\u200d") == "a\n\u200db"


def test_every_name_that_datasets_takes_for_a_format_is_known():
    assert set(datasets.packaged_modules._PACKAGED_DATASETS_MODULES) <= DATASET_FORMATS


@pytest.mark.parametrize(
    ("folder", "spelled"),
    [("out", "out"), ("parquet", "./parquet"), ("json", "./json"), ("a/parquet", "a/parquet"), ("a~", "a~"),
     ("/~", "/~"), ("/parquet", "/parquet"), ("-x", "-x")],
)  # fmt: skip
def test_a_folder_that_datasets_would_take_for_something_else_is_spelled_as_a_path(folder, spelled):
    assert spell_dataset_path(folder) == spelled


def test_a_folder_that_begins_like_a_home_directory_is_spelled_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert spell_dataset_path("~me/out") == str(tmp_path / "~me" / "out")


def test_columns_of_any_numbers_keep_a_space_between_them_and_line_up():
    shares = ["5%", "50%", "95%"]
    for values in (["2", "3.5", "20"], ["219.4", "6.035e+04", "1e+300"], ["1e+05", "inf", "9.999e+299"]):
        first, second = align_columns([shares, values], 9)
        assert first.split() == shares and second.split() == values and len(first) == len(second)
    assert align_columns([["1", "2"]], 4) == ["   1   2"]


def test_a_cell_that_is_too_long_has_a_space_before_it():
    assert [align_right(cell, 4) for cell in ("1", "123", "1234", "123456")] == ["   1", " 123", " 1234", " 123456"]


@pytest.mark.parametrize("name", [b"plain", b"sp ace", b"it's", b"caf\xe9", b"new\nline", "日本".encode(), b"\\'\xff"])
def test_a_quoted_path_is_read_by_the_shell_as_it_was(name):
    quoted = quote_path(os.fsdecode(name))
    assert quoted.isprintable() and quoted.encode()
    assert subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True).stdout == name


@pytest.mark.parametrize(
    "word", ["plain", "a b", "it's", "\x1b[31m'", "a\nb", "\u202e\u2028", "\x9b", "日本", "a\u00a0b", "", "-x"]
)
def test_a_word_of_a_hint_can_be_printed_and_is_read_by_the_shell_as_it_was(word):
    quoted = quote_word(word)
    assert escape_unprintable(quoted, "\u00a0") == quoted
    for line in (f"printf %s {quoted}", join_words(["printf", "%s", word])):
        assert subprocess.run(["bash", "-c", line], capture_output=True).stdout == word.encode()
    assert command("status", word).endswith(f" --run {quoted}")


def test_cells_of_wide_and_combining_characters_have_the_width_of_a_terminal():
    for text in ("abc", "日本語", "e\u0301a\u0308", "🙂", "", "ＡＢ"):
        assert count_columns(pad_columns(text, 12)) == count_columns(align_right(text, 12)) == 12
    assert pad_columns("日本語", 4) == "日本語" and align_right("日本語", 4) == " 日本語"
    first, second = align_columns([["日本", "1"], ["a", "22"]], 4)
    assert count_columns(first) == count_columns(second)
