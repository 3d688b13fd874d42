"""A file that has grown is read on only where its first rows are read as before."""

import pytest

from curate.corpus import open_corpus
from curate.corpus.readers.appended import is_read_alike

LONG = '{"text": "' + "x" * 70_000 + '"}\n'


@pytest.mark.parametrize(
    ("name", "before", "after", "alike"),
    [
        ("a.jsonl", '{"text": "a"}\n', '{"text": "b"}\n', True),
        ("a.jsonl", LONG, LONG, True),
        ("a.jsonl", '[{"text": "a"},\n', '{"text": "b"}]\n', False),
        ("a.jsonl", '{"data": [{"text": "a b c d"}]}\n', '{"text": "b"}\n', False),
        ("a.jsonl", '{"data": [' + LONG.strip() + "]}\n", '{"text": "b"}\n', False),
        ("a.csv", "id,text\n1,a\n", "2,b\n", True),
        ("a.csv", "id;text\n1;a\n", '2;"b, c"\n', True),
        ("a.csv", "id,a;text\n", "1;b\n2;c\n", False),
        ("a.tsv", "id\ttext\n1\ta\n", '2\t"two\nlines"\n', True),
        ("a.tsv", 'id\ttext\n1\t"two\nlines"\n', '2\t"x\n3\t"y\n4\t"z\n', False),
    ],
)
def test_rows_before_the_end_are_read_as_they_were(tmp_path, name, before, after, alike):
    (tmp_path / name).write_text(before + after)
    (source,) = open_corpus(tmp_path / name, text_field="text").sources
    assert is_read_alike(source, len(before)) is alike


def test_a_file_in_utf_16_is_not_read_on(tmp_path):
    body = b"\xfe\xff" + '{"text": "a"}\n'.encode("utf-16-be")
    (tmp_path / "a.jsonl").write_bytes(body + '{"text": "b"}\n'.encode("utf-16-be"))
    (source,) = open_corpus(tmp_path / "a.jsonl").sources
    assert not is_read_alike(source, len(body))
