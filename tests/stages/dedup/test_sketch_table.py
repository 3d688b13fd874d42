"""The sketches are read again from the first slice that is wanted, and a text that changed is an error."""

import pytest
from helpers.near_copies import edited, run_on, spelled, words_of

from curate.corpus import SliceMark
from curate.errors import CorpusError
from curate.stages.dedup import sketch_table


def test_a_text_that_changed_since_it_was_sketched_is_an_error(tmp_path, monkeypatch):
    these = words_of(27)
    read = sketch_table.read_sets

    def change_first(*arguments):
        path = tmp_path / "corpus" / "a.jsonl"
        path.write_text(path.read_text().replace(these[3], these[4]))
        return read(*arguments)

    monkeypatch.setattr(sketch_table, "read_sets", change_first)
    with pytest.raises(CorpusError, match=r"a\.jsonl has changed"):
        run_on(tmp_path, [spelled(these), spelled(edited(these, 50))])


def test_reading_again_begins_at_the_first_slice_of_a_file_that_is_wanted():
    marks = {
        name: [SliceMark(name, number, 10 * number, 10 * number + 10, None, 10, number == 3) for number in range(4)]
        for name in ("a", "b", "c")
    }
    found = sketch_table.list_skippable(marks, {("a", 2), ("a", 3), ("c", 0)})
    assert {name: len(skipped) for name, skipped in found.items()} == {"a": 2, "b": 4, "c": 0}
