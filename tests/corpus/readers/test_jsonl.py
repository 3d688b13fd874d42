"""JSON Lines: long lines, and lines in chunks of any size."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.corpora import nasty, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus
from curate.corpus import types as corpus_types
from curate.corpus.readers import read_blocks
from curate.corpus.readers.json import split_elements
from curate.corpus.readers.json_layout import JsonLayout
from curate.corpus.readers.jsonl import split_lines
from curate.corpus.types import ReadOptions, ReadStart, Source


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(nasty, min_size=1, max_size=6), chunk=st.integers(1, 40), indent=st.none() | st.integers(0, 3))
def test_the_size_of_the_chunks_is_invisible(texts, chunk, indent):
    records = [{"text": text, "more": {"a": [text, 1, [2]]}} for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        for name, body in {
            "a.json": json.dumps(records, indent=indent),
            "b.json": "\n".join(json.dumps(record, indent=indent, ensure_ascii=False) for record in records),
            "c.jsonl": "\n\n".join(json.dumps(record) for record in records),
        }.items():
            path = Path(folder, name)
            path.write_text(body, encoding="utf-8")
            source = Source(str(path), name, "jsonl" if name == "c.jsonl" else "json", None, path.stat().st_size)
            blocks = read_blocks(source, ReadStart(), ReadOptions("text", None, chunk_bytes=chunk))
            assert [text for block in blocks for text in block.texts] == texts


def test_a_line_longer_than_a_document_may_be_is_a_row_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_types, "MAX_DOCUMENT_BYTES", 1000)
    long = b'{"text": "' + b"x" * 5000 + b'"}'
    path = write_lines(tmp_path / "a.jsonl", [b'{"text": "a"}', long, b'{"text": "b"}', long])
    array = tmp_path / "a.json"
    array.write_bytes(b'[{"text": "a"},' + long + b',{"text": "b"},' + long + b"]")
    for name in (path, array):
        kind = name.suffix[1:]
        source = Source(str(name), "a", kind, None, name.stat().st_size)
        for chunk in (64, 1 << 20):
            blocks = list(read_blocks(source, ReadStart(), ReadOptions("text", None, chunk_bytes=chunk)))
            assert [text for block in blocks for text in block.texts] == ["a", None, "b", None]
            assert all("more than a document may have" in r for block in blocks for r in block.reasons if r)


def test_a_document_of_fifty_megabytes_on_one_line_is_read_in_linear_time(tmp_path):
    text = "word " * 10_000_000
    path = write_lines(tmp_path / "a.jsonl", [json.dumps({"text": text}).encode(), b'{"text": "next"}'])
    array = tmp_path / "b.json"
    array.write_text(json.dumps([{"text": text}, {"text": "next"}]))
    for name in (path, array):
        slices = list(open_corpus([str(name)]).slices())
        assert [documents.texts for documents in slices] == [[text], ["next"]]


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"k":', "}")])
def test_values_nested_too_deeply_cost_their_row_at_the_same_depth_wherever_they_are_read(tmp_path, opens, closes):
    """Beyond Python's limit of recursion they would end the run, and the limit depends on the caller."""
    deep = [f'{{"text": "{depth}", "x": {opens * depth}1{closes * depth}}}' for depth in (1, 249, 250, 1000, 5000)]
    (tmp_path / "a.jsonl").write_text("\n".join(deep))
    (tmp_path / "b.json").write_text(f"[{', '.join(deep)}]")
    for columns in ("text", "all"):
        for documents in open_corpus([str(tmp_path)]).slices(columns=columns):
            assert documents.texts == ["1", "249", None, None, None]
            assert all("JSON nested too deeply" in reason for reason in documents.reasons[2:])


def test_a_line_is_not_copied_for_each_of_its_chunks(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [b"x" * 400_000])
    source = Source(str(path), "a", "jsonl", None, None)
    items, _ = split_lines(source, 0, 16)
    assert items.items[0][2] == 400_001
    array = tmp_path / "a.json"
    array.write_bytes(b'["' + b'\\"' * 200_000 + b'"]')
    (items,) = [
        items for items in split_elements(replace(source, path=str(array)), JsonLayout("array"), 0, 16) if items.items
    ]
    assert len(items.items[0][0]) == 400_002
