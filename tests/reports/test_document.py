"""A text is read again only where it is the one that was scored."""

import pytest
from helpers.reports import NUMBERS
from helpers.runs import numbered_run, write_lines

from curate.errors import TableError
from curate.reports.document import read_text


def test_a_place_that_the_corpus_lacks_is_a_table_error(tmp_path):
    run = numbered_run(tmp_path, NUMBERS[:3])
    corpus = run.corpus()
    for file, row in (("b.jsonl", 0), ("a.jsonl", 3), ("a.jsonl", 10**6)):
        with pytest.raises(TableError, match="not the one that was scored"):
            read_text(run, corpus, file, row, 0)
    write_lines(tmp_path / "corpus" / "a.jsonl", [])
    with pytest.raises(TableError, match="not the one that was scored"):
        read_text(run, corpus, "a.jsonl", 0, 0)
