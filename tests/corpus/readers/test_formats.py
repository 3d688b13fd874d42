"""The table of formats: what is added to it is found, looked at and read, and its suffixes lead to one format each."""

import pyarrow as pa
import pytest

from curate.corpus import open_corpus, readers
from curate.corpus.files import sources
from curate.corpus.readers.jsonl import read_lines
from curate.corpus.types import ReadOptions, ReadStart, Source
from curate.errors import CorpusError


def test_every_suffix_leads_to_one_format_and_is_named_where_nothing_could_be_read(tmp_path):
    suffixes = [suffix for file_format in readers.FORMATS.values() for suffix in file_format.suffixes]
    assert len(set(suffixes)) == len(suffixes) and all(suffix == suffix.lower() for suffix in suffixes)
    (tmp_path / "a.xyz").write_text("?")
    with pytest.raises(CorpusError) as caught:
        open_corpus([str(tmp_path)])
    assert all(suffix in caught.value.hint.replace(",", "").split() for suffix in suffixes)


def test_a_row_of_the_table_is_all_that_a_new_format_needs(tmp_path, monkeypatch):
    def read_schema(source):
        return pa.schema([("text", pa.string())])

    row = readers.Format((".log",), read_lines, read_schema, magic=(b'{"log',))
    monkeypatch.setitem(readers.FORMATS, "log", row)
    monkeypatch.setitem(
        sources.SUFFIX_TO_FORMAT, ".log", "log"
    )  # What is made of the table when the module is imported.
    (tmp_path / "a.log").write_text('{"text": "by suffix"}\n')
    (tmp_path / "bare").write_text('{"log": 1, "text": "by its first bytes"}\n')
    (tmp_path / "a.log.gz").write_text("columnar formats are compressed within")
    corpus = open_corpus([str(tmp_path), str(tmp_path / "bare")])
    assert [(source.name, source.format) for source in corpus.sources] == [("a.log", "log"), ("bare", "log")]
    assert [text for documents in corpus.slices() for text in documents.texts] == ["by suffix", "by its first bytes"]
    assert corpus.passed_over == ("a.log.gz",)


def test_an_unknown_format_is_a_mistake_of_the_programmer():
    source = Source("a.warc", "a.warc", "warc", None, 0)
    with pytest.raises(ValueError, match=r"unknown format 'warc'; expected one of jsonl, "):
        readers.read_blocks(source, ReadStart(), ReadOptions("text", None))
