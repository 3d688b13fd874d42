"""The schema of a dataset is found by its columns and first rows, and plain text has none."""

import pytest
from helpers.conversations import openai

from curate.corpus.chat.detect import detect_schema


@pytest.mark.parametrize(
    "row",
    [
        {"text": "plain"},
        {"prompt": "nothing answers it"},
        {"question": "q", "context": "c"},
        {"text": "plain", "messages": 12},
        {"text": "plain", "messages": "12 of them"},
        {},
    ],
)
def test_rows_of_plain_text_follow_no_schema(row):
    assert detect_schema(row.keys(), [row]) is None


def test_a_count_that_is_called_messages_does_not_hide_the_pair_beside_it():
    row = {"messages": 2, "prompt": "p", "completion": "c"}
    assert detect_schema(row.keys(), [row]) == "prompt"


def test_a_dataset_whose_rows_are_all_broken_keeps_its_schema_so_that_they_are_counted():
    row = {"messages": openai(("narrator", "x")), "text": "x"}
    assert detect_schema(row.keys(), [row]) == "messages"


def test_a_readable_schema_comes_before_a_broken_one():
    row = {"messages": openai(("narrator", "x")), "question": "q", "answer": "a"}
    assert detect_schema(row.keys(), [row]) == "question"
