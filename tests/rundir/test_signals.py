"""Known answers for the signals that need no model."""

import math

import pyarrow.parquet as pq
from helpers.runs import write_lines

import curate
from curate.rundir import parquet
from curate.rundir.signals import SIGNALS, Signal, repeated_5grams, repeated_lines, zlib_ratio


def test_repetition_is_a_share_of_what_has_occurred_before():
    assert repeated_lines("a\nb\na\n\n a ") == 0.5
    assert repeated_5grams("a b c d e a b c d e") == 1 / 6
    assert math.isnan(repeated_5grams("a b c d")) and math.isnan(repeated_lines(" \n"))
    assert zlib_ratio("", b"x" * 1000) < 0.05 < 0.9 < zlib_ratio("", bytes(range(256)))
    assert math.isnan(zlib_ratio("", b""))


def test_a_line_in_the_table_is_all_that_a_new_signal_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(SIGNALS, "num_words", Signal("num_words", lambda text, _: len(text.split()), "words", "int32"))
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}, {"text": "four"}, {"text": ""}])
    run = str(tmp_path / "run")
    curate.score(str(tmp_path / "a.jsonl"), model="none", run=run, signals="num_words,zlib_ratio")
    (path,) = parquet.list_parts(tmp_path / "run" / "scores")
    table = pq.read_table(path)
    assert table.column_names[-2:] == ["zlib_ratio", "num_words"]
    assert table["num_words"].to_pylist() == [3, 1, 0] and str(table.schema.field("num_words").type) == "int32"
    kept = curate.filter(run, where="num_words > 2")
    assert kept.kept.documents == 1
