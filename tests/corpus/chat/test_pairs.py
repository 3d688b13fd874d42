"""Pairs of question and answer: texts are kept as they are, and messages within a column are read as such."""

import json

from helpers.conversations import ANSWER, QUESTION, assistant, openai, user

from curate.corpus.chat.schemas import read_turns


def test_texts_are_kept_as_they_are():
    assert read_turns({"prompt": " a\n", "completion": "\tb "}, "prompt") == [user(" a\n"), assistant("\tb ")]


def test_an_answer_that_is_json_stays_an_answer_and_one_that_is_messages_is_read_as_messages():
    for text in ('[{"a": 1}]', "[]", "[1, 2]", '["x"]', "[not json", '[{"role": "king", "content": "x"}]'):
        assert read_turns({"prompt": "p", "completion": text}, "prompt") == [user("p"), assistant(text)]
    row = {"prompt": json.dumps(QUESTION), "completion": json.dumps(ANSWER)}
    assert read_turns(row, "prompt") == [user("Why?"), assistant("So.")]


def test_messages_in_a_prompt_keep_their_roles_beside_other_columns():
    row = {"prompt": openai(("user", "a"), ("assistant", "b")), "input": "c", "chosen": "d", "rejected": "e"}
    expected = [user("a"), assistant("b"), user("c"), assistant("d"), assistant("e")]
    assert read_turns(row, "preference") == expected
