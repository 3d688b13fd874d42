"""Documents that are not those that were scored are refused by file and row."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from curate.errors import CorpusError
from curate.exports import joined_slices
from curate.rundir.run import Run

TEXTS = ["one", None, "two words", ""]
STATUSES = ["ok", "unreadable", "ok", "empty"]


def scored(texts=TEXTS, statuses=STATUSES):
    encoded = [None if text is None else text.encode() for text in texts]
    hashes = [None if octets is None else xxhash.xxh3_64_intdigest(octets) for octets in encoded]
    lengths = [None if octets is None else len(octets) for octets in encoded]
    return pa.table(
        {
            "row": pa.array(range(len(texts)), pa.int64()),
            "bytes": pa.array(lengths, pa.int64()),
            "hash": pa.array(hashes, pa.uint64()),
            "status": statuses,
        }
    )


def read(texts, rows=None):
    rows = np.arange(len(texts)) if rows is None else np.array(rows)
    return SimpleNamespace(rows=rows, texts=texts, mark=SimpleNamespace(file="a.jsonl"))


def check(documents, scores, tmp_path):
    joined_slices.check_same(Run(tmp_path), documents, scores)


def test_the_documents_that_were_scored_pass_unreadable_and_empty_ones_too(tmp_path):
    check(read(TEXTS), scored(), tmp_path)


@pytest.mark.parametrize(
    ("texts", "row", "what"),
    [
        (["one", "readable now", "two words", ""], 1, "another document"),
        (["one", "", "two words", ""], 1, "another document"),
        (["one", None, None, ""], 2, "another document"),
        (["one", None, "two words", None], 3, "another document"),
        (["One", None, "two words", ""], 0, "another one"),
        (["one", None, "two wordt", ""], 2, "another one"),
        (["one", None, "two words", " "], 3, "another one"),
    ],
)
def test_a_document_that_changed_is_named_by_its_row_whatever_it_was(tmp_path, texts, row, what):
    with pytest.raises(CorpusError, match=rf"a\.jsonl, row {row}: .*{what}"):
        check(read(texts), scored(), tmp_path)


def test_a_row_that_lies_elsewhere_is_named(tmp_path):
    with pytest.raises(CorpusError, match="row 5: another document"):
        check(read(TEXTS, rows=[0, 1, 2, 5]), scored(), tmp_path)


@pytest.mark.parametrize("texts", [["one"], ["one", "two", "three"]])
def test_a_slice_of_more_or_fewer_texts_than_were_scored_is_refused(tmp_path, texts):
    scores = scored(["one", "two"], ["ok", "ok"])
    joined_slices.check_texts(Run(tmp_path), "a.jsonl", scores, pa.array(["one", "two"], pa.large_string()))
    with pytest.raises(CorpusError, match="another document"):
        joined_slices.check_texts(Run(tmp_path), "a.jsonl", scores, pa.array(texts, pa.large_string()))


def test_texts_checked_at_once_are_named_by_the_first_row_that_differs(tmp_path):
    scores = scored(["one", "two", "three"], ["ok"] * 3)
    texts = pa.array(["zero", "one", "Two", "Three"], pa.large_string()).slice(1)
    with pytest.raises(CorpusError, match="row 1: its text"):
        joined_slices.check_texts(Run(tmp_path), "a.jsonl", scores, texts)
