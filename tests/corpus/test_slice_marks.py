"""What metadata say of the slices of a part: one as ever, several as columns, and both are read."""

import pytest

from curate.corpus import SliceMark
from curate.corpus.slice_marks import (
    count_documents,
    describe_origins,
    describe_slices,
    list_origins,
    list_slices,
    name_origins,
)

ONE = SliceMark("a.jsonl", 3, 7, 9, 100, 2, False)
SEVERAL = [SliceMark("a.txt", 0, 0, 1, 5, 1, True), SliceMark("b.txt", 0, 0, 0, 0, 0, True)]


def test_one_slice_is_described_as_earlier_versions_do():
    note = describe_slices([ONE]) | describe_origins([["jsonl", None, 1]])
    fields = {"number": 3, "first_row": 7, "next_row": 9, "next_offset": 100, "documents": 2, "last": False}
    assert note == {"slice": {"file": "a.jsonl", **fields}, "source": ["jsonl", None, 1]}
    assert list_slices(note) == [ONE] and list_origins(note) == [["jsonl", None, 1]]
    assert (count_documents(note), name_origins(note)) == (2, ["jsonl", None, 1])


def test_several_slices_are_columns():
    note = describe_slices(SEVERAL) | describe_origins([["text", 5], ["text", 0]])
    assert note["slices"]["file"] == ["a.txt", "b.txt"] and note["slices"]["last"] == [True, True]
    assert list_slices(note) == SEVERAL and list_origins(note) == [["text", 5], ["text", 0]]
    assert count_documents(note) == 1
    assert name_origins(note) == note["sources"]


def test_parts_that_do_not_state_contents_have_a_default():
    assert name_origins(describe_slices([ONE]), "corpus") == "corpus"
    with pytest.raises(KeyError):
        list_origins(describe_slices([ONE]))
