"""The rows of a slice: what the texts give, what the model gives, and null where nothing was measured."""

import math

import pytest
import xxhash
from helpers.scored_slices import make_documents, make_likelihoods

from curate.rundir.schemas import scores_schema
from curate.stages.score.rows import assemble_part, measure_texts

TEXTS = ["Größe", None, "  ", "one line\none line", "last"]
STATUSES = ["ok", "unreadable", "empty", "ok", "ok"]


def test_hashes_and_sizes_are_those_of_the_text_in_utf_8_and_null_where_there_is_none():
    columns = measure_texts(make_documents(TEXTS, STATUSES), ["repeated_lines", "max_nats"])
    assert columns["hash"] == [xxhash.xxh3_64_intdigest(text.encode()) if text else None for text in TEXTS]
    assert columns["bytes"] == [7, None, 2, 17, 4] and columns["chars"] == [5, None, 2, 17, 4]
    assert columns["repeated_lines"][3] == 0.5 and columns["repeated_lines"][1] is None
    assert columns["max_nats"] == [None] * 5, "the model gives it"


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_any_number_of_threads_gives_the_same_columns_in_order(workers):
    documents = make_documents([f"text number {number}" for number in range(50)])
    assert measure_texts(documents, ["zlib_ratio"], workers) == measure_texts(documents, ["zlib_ratio"])
    assert measure_texts(make_documents([]), [], workers) == {"hash": [], "bytes": [], "chars": []}


def test_sums_become_columns_and_null_stands_where_nothing_was_measured():
    documents = make_documents(TEXTS, STATUSES)
    likelihoods = make_likelihoods([2 * math.log(2), math.nan, 8 * math.log(2)], [2, 3, 4], [2, 5, 4])
    signals = ["zlib_ratio", "max_nats"]
    table = assemble_part(documents, [0, 3, 4], likelihoods, measure_texts(documents, signals), signals)
    assert table.schema == scores_schema(signals)
    columns = table.to_pydict()
    assert columns["file"] == ["a.jsonl"] * 5 and columns["row"] == [0, 1, 2, 3, 4]
    assert columns["status"] == ["ok", "unreadable", "empty", "not_finite", "ok"]
    assert columns["reason"] == [None, "line 1: invalid JSON", None, "NaN", None]
    assert columns["perplexity"] == [pytest.approx(2), None, None, None, pytest.approx(4)]
    assert columns["bits_per_byte"] == [pytest.approx(1), None, None, None, pytest.approx(2)]
    assert (columns["tokens"], columns["scored_tokens"]) == ([3, None, None, None, 5], [2, None, None, None, 4])
    for name in ("nats", "scored_bytes", "windows", "truncated"):
        assert [value is None for value in columns[name]] == [False, True, True, True, False], name
    assert columns["max_nats"] == columns["first_nats"] == [None] * 5, "NaN is null"
    assert columns["bytes"] == [7, None, 2, 17, 4], "a text that was not scored has its size"
    assert columns["zlib_ratio"][1] is None and columns["zlib_ratio"][3] is not None


def test_a_slice_without_a_document_is_a_part_without_a_row():
    documents = make_documents([])
    table = assemble_part(documents, [], make_likelihoods([], [], []), measure_texts(documents, []), [])
    assert table.num_rows == 0 and table.schema == scores_schema([])
