"""A corpus of which nothing can be read is an error before any model is loaded, with the reasons."""

import gzip

import pytest

from curate.corpus import check_holds_text, open_corpus
from curate.errors import CorpusError

NOTHING = {
    "a.jsonl": b"", "b.jsonl": b"\n \n", "c.json": b"[]", "d.json": b'{"version": "1", "data": []}',
    "e.csv": b"id,text\n",
    "f.csv": b"text", "g.tsv": b"", "h.txt": b"", "i.jsonl.gz": gzip.compress(b""), "j.json": b" ",
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_no_document_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(NOTHING[name])
    with pytest.raises(CorpusError, match="no document was read") as caught:
        check_holds_text(open_corpus(tmp_path / name))
    assert caught.value.hint and caught.value.exit_code == 1


def test_a_folder_of_empty_files_and_a_sample_of_nothing_are_errors(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CorpusError, match="all of its 2 files are empty"):
        check_holds_text(open_corpus(tmp_path))
    (tmp_path / "c.jsonl").write_text('{"text": "a"}\n')
    check_holds_text(open_corpus(tmp_path))
    with pytest.raises(CorpusError, match=r"--sample 1e-06 draws none of 1 rows"):
        check_holds_text(open_corpus(tmp_path / "c.jsonl", sample=1e-6))


def test_rows_that_cannot_be_read_are_an_error_with_the_first_reasons_and_their_number(tmp_path):
    path = tmp_path / "a b.jsonl"
    path.write_bytes(b'{"text": 1}\n{"text": broken}\n\n["text"]\n{"no": "text"}\n')
    with pytest.raises(CorpusError) as caught:
        check_holds_text(open_corpus(path, text_field="text"))
    message = caught.value.message
    assert "4 rows cannot be read" in message and "is a number" in message and "line 2, byte 21" in message
    assert caught.value.hint == f"head -c 300 '{path}'"
    path.write_bytes(path.read_bytes() + b'{"text": "one that can"}\n')
    check_holds_text(open_corpus(path, text_field="text"))


def test_the_hint_converts_a_file_of_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,text\n1,a b c\n".encode("utf-16-le"))
    with pytest.raises(CorpusError) as caught:
        check_holds_text(open_corpus(tmp_path / "a.csv", text_field="text"))
    path = tmp_path / "a.csv"
    assert caught.value.hint == f"iconv -f UTF-16LE -t UTF-8 {path} > {tmp_path}/a.utf8.csv"


def test_documents_of_white_space_are_read_and_counted_as_empty(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": " "}\n')
    check_holds_text(open_corpus(tmp_path / "a.jsonl"))
