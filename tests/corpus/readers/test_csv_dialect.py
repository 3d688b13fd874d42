"""Quotation marks and delimiters of CSV and TSV: every row is a row, read or with its reason."""

import random

import pandas as pd
import pytest
from helpers.corpora import as_value, read, texts_of

from curate.corpus import Corpus, open_corpus
from curate.errors import UsageError


def write(path, body):
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ('0\t"Hello," she\n1\tplain\n2\t"To be\n3\tthat is"\n', ['"Hello," she', "plain", '"To be', 'that is"']),
        ('0\t"He said ""hi"""\n1\t"two\nlines"\n2\tplain\n', ['He said "hi"', "two\nlines", "plain"]),
        ('0\t"said ""hi"""\n1\t"two\nlines"\n2\t"stray\n3\tplain\n', ['said "hi"', "two\nlines", '"stray', "plain"]),
        ('0\t"whole"\n1\tplain\n', ["whole", "plain"]),
        ('0\ta\n1\t"never closed', ["a", '"never closed']),
    ],
    ids=["stray", "excel", "both", "whole", "end"],
)  # fmt: skip
def test_a_tsv_has_as_many_rows_as_lines_unless_it_is_quoted(tmp_path, body, texts):
    assert texts_of(write(tmp_path / "a.tsv", "id\ttext\n" + body)) == texts


def test_a_quoted_first_column_over_two_lines_is_one_row_and_a_stray_mark_is_not(tmp_path):
    assert texts_of(write(tmp_path / "a.tsv", 'text\tn\n"two\nlines"\t1\nplain\t2\n')) == ["two\nlines", "plain"]
    body = 'text\tn\n"two\t0\nlines\t1\nplain "\t2\nx\t3\n'
    assert texts_of(write(tmp_path / "b.tsv", body)) == ['"two', "lines", 'plain "', "x"]


CODE = ["def f():\n\treturn 1\n\n\tpass\n", "plain", "if x {\n\t\ty\n}", 'a\tb "c"']


@pytest.mark.parametrize("names", ["text", "id text", "text label", "id text label"])
@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_quoted_fields_of_a_tsv_hold_tabs_and_lines_as_pandas_writes_them(tmp_path, suffix, names):
    columns = {"id": [f"x{number}" for number in range(8)], "text": CODE * 2, "label": ["a"] * 8}
    frame = pd.DataFrame({name: columns[name] for name in names.split()})
    frame.to_csv(tmp_path / f"a.{suffix}", sep="\t", index=False)
    assert texts_of(tmp_path / f"a.{suffix}") == CODE * 2


def test_a_ragged_tsv_with_stray_marks_keeps_a_row_for_each_line(tmp_path):
    body = 'id\ttext\n0\t"To be\n1\tx\ty\n2\tthat is"\n3\t"Hello," she\n4\tplain\n'
    found = read(open_corpus(write(tmp_path / "a.tsv", body)))
    assert [text for _, text, _, _ in found.values()] == ['"To be', None, 'that is"', '"Hello," she', "plain"]


def test_marks_that_are_escaped_by_a_backslash_are_named_in_the_reason(tmp_path):
    found = read(open_corpus(write(tmp_path / "a.csv", 'id,text\n0,"he said \\"hi\\", ok"\n1,x\n')))
    assert [text for _, text, _, _ in found.values()] == [None, "x"]
    assert 'one is written "", not \\"' in found["a.csv", 0][2]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ('0,"two\nlines, and more"\n1,"a ""b"" c"\n2,plain\n', ["two\nlines, and more", 'a "b" c', "plain"]),
        ('0,"Dear all,\nthanks, bye\n\nyours, B"\n1,x\n', ["Dear all,\nthanks, bye\n\nyours, B", "x"]),
        ('0,"Hello," she\n1,plain\n2,"To be\n3,that is"\n4,x\n', [None, "plain", None, 'that is"', "x"]),
        ('0,"never\n1,abc\n2,plain\n', [None, "abc", "plain"]),
        ('0,a\n1,"never', ["a", None]),
        ("0,a\rb\n1,c\n", ["a\rb", "c"]),
        ("0,a,b\n1\n2,ok\n", [None, None, "ok"]),
    ],
)
def test_a_mark_that_is_not_closed_costs_its_own_row_of_a_csv(tmp_path, body, texts):
    found = read(open_corpus(write(tmp_path / "a.csv", "id,text\n" + body)))
    assert [text for _, text, _, _ in found.values()] == texts
    assert [row for _, row in found] == list(range(len(texts)))


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_no_row_is_lost_among_a_thousand_with_stray_marks(tmp_path, suffix):
    draw = random.Random(0)
    ends = ["", '," said', '" x', '"']
    rows = [f"{'' if draw.random() > 0.2 else chr(34)}word {number}{draw.choice(ends)}" for number in range(1000)]
    rows = [row.replace(",", "") for row in rows]
    mark = "\t" if suffix == "tsv" else ","
    body = f"id{mark}text\n" + "".join(f"{number}{mark}{row}\n" for number, row in enumerate(rows))
    corpus = open_corpus(write(tmp_path / f"a.{suffix}", body), slice_bytes=400)
    found = read(corpus)
    assert [row for _, row in found] == list(range(1000))
    assert not any("\n" in text for _, text, _, _ in found.values() if text)
    if suffix == "tsv":
        assert [text for _, text, _, _ in found.values()] == rows
    slices = list(corpus.slices(columns="all"))
    done = {f"a.{suffix}": [one.mark for one in slices[: len(slices) // 2]]}
    assert list(map(as_value, corpus.slices(done, columns="all"))) == list(map(as_value, slices[len(slices) // 2 :]))


@pytest.mark.parametrize(
    ("name", "body", "texts", "note"),
    [
        ("a.csv", 'id;text\n1;"a; b"\n2;c, d\n', ["a; b", "c, d"], "semicolons"),
        ("a.csv", "id;score;text\n1;0,5;aa\n2;1,5;b\n", ["aa", "b"], "semicolons"),
        ("a.csv", "id|text\n1|a,b\n2|c\n", ["a,b", "c"], "vertical bars"),
        ("a.csv", "id\ttext\n1\ta,b\n2\tc\n", ["a,b", "c"], "tabs"),
        ("a.tsv", "id,text\n1,aa\n2,cc\n", ["aa", "cc"], "commas"),
        ("a.csv", "sep=;\r\nid;text\r\n1;aa\r\n", ["aa"], "semicolons"),
        ("a.csv", "\ufeffid;text\n1;aa\n", ["aa"], "semicolons"),
        ("a.csv", "text\na; b\nc; d\n", ["a; b", "c; d"], None),
        ("a.csv", 'text\n"a, b"\nc\n', ["a, b", "c"], None),
        ("a.csv", "id,text\r1,aa\r2,b\r", ["aa", "b"], None),
        ("a.csv", "\n\nid,text\n\n1,aa\n\n\n2,b\n", ["aa", "b"], None),
    ],
)
def test_the_delimiter_is_found_and_an_unusual_one_is_said(tmp_path, name, body, texts, note):
    corpus = open_corpus(write(tmp_path / name, body))
    assert corpus.text_field == "text" and [text for _, text, _, _ in read(corpus).values()] == texts
    assert (f"fields separated by {note}" in corpus.describe()) == (note is not None)


def test_what_the_user_says_of_delimiter_and_quoting_is_done_and_travels_with_the_corpus(tmp_path):
    hashes = write(tmp_path / "a.csv", 'id#text\n1#"aa\n2#b"\n')
    assert texts_of(hashes, delimiter="#", quoting="none") == ['"aa', 'b"']
    assert texts_of(write(tmp_path / "b.tsv", 'id\ttext\n1\t"aa\n2\tb"\n'), quoting="csv") == ["aa\n2\tb"]
    corpus = open_corpus(hashes, delimiter="#", quoting="none")
    again = Corpus.from_spec(corpus.spec())
    assert again.fingerprint() == corpus.fingerprint() and read(again) == read(corpus)
    assert open_corpus(hashes, delimiter="#").fingerprint() != corpus.fingerprint()
    plain = open_corpus(write(tmp_path / "c.csv", "id,text\n1,a\n"))
    assert "delimiter" not in plain.spec() and "quoting" not in plain.spec()
    for options in ({"delimiter": "ab"}, {"delimiter": '"'}, {"quoting": "some"}):
        with pytest.raises(UsageError, match=r"--delimiter|--quoting"):
            open_corpus(hashes, **options)
