"""A row that breaks its schema names the place, what was found there and what was expected."""

import pickle

import pytest
from helpers.conversations import QUESTION, openai, sharegpt

from curate.corpus.chat.schemas import read_turns
from curate.corpus.chat.types import ConversationError

# Each broken row with its schema, the place in it, and words of what was found there and of what was expected.
BROKEN = {
    "an unknown role": (
        "messages",
        {"messages": [*QUESTION, {"role": "narrator", "content": "x"}]},
        ("messages[1].role", '"narrator"', "prompter"),
    ),
    "an unknown ShareGPT role": (
        "conversations",
        {"conversations": sharegpt(("king", "x"))},
        ("conversations[0].from", '"king"', "human"),
    ),
    "no role": ("messages", {"messages": [{"content": "x"}]}, ("messages[0].role", "null", "user")),
    "a role that is a list": (
        "messages",
        {"messages": [{"role": ["user"], "content": "x"}]},
        ("messages[0].role", "a list of 1", "user"),
    ),
    "a message without content": (
        "messages",
        {"messages": [{"role": "user", "contents": "x"}]},
        ("messages[0]", "role, contents", "content, value"),
    ),
    "a message that is a string": ("messages", {"messages": ["x"]}, ("messages[0]", '"x"', "role and content")),
    "nested lists": ("messages", {"messages": [[QUESTION]]}, ("messages[0]", "a list of 1", "role and content")),
    "a string that is no JSON": ("messages", {"messages": "hello"}, ("messages", '"hello"', "a list of messages")),
    "a JSON string of strings": ("messages", {"messages": '["a"]'}, ("messages", "the string", "a list of messages")),
    "JSON without end": ("messages", {"messages": "[" * 99_999}, ("messages", "the string", "a list of messages")),
    "an unknown role in a JSON string": (
        "messages",
        {"messages": '[{"role": "king", "content": "x"}]'},
        ("messages[0].role", '"king"', "user"),
    ),
    "messages that are a number": ("messages", {"messages": 3}, ("messages", "3", "a list of messages")),
    "messages that are a boolean": ("messages", {"messages": True}, ("messages", "bool", "a list of messages")),
    "a content that is an object": (
        "messages",
        {"messages": openai(("tool", {"city": "Bern"}))},
        ("messages[0].content", "an object with city", "typed parts"),
    ),
    "a part that is a list": (
        "messages",
        {"messages": openai(("user", ["a", ["b"]]))},
        ("messages[0].content[1]", "a list of 1", "a typed part"),
    ),
    "a lone surrogate": (
        "messages",
        {"messages": '[{"role": "user", "content": "ab\\ud800"}]'},
        ("messages[0].content", "surrogate at character 2", "a string"),
    ),
    "a tool call that is a list": (
        "messages",
        {"messages": [{"role": "assistant", "tool_calls": [[1]]}]},
        ("messages[0].tool_calls", "a list of 1", "name and arguments"),
    ),
    "a tool call that JSON cannot hold": (
        "messages",
        {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {(1, 2): 3}}]}]},
        ("messages[0].tool_calls", "JSON cannot hold", "an object"),
    ),
    "another row's columns": (
        "messages",
        {"prompt": "p", "completion": "c"},
        ("messages", "no such column among prompt, completion", "messages"),
    ),
    "an empty row": ("conversations", {}, ("conversations", "none", "conversations or conversation")),
    "no answer column": (
        "alpaca",
        {"instruction": "q", "outputs": "a"},
        ("output", "instruction, outputs", "output or response"),
    ),
    "no question column": ("question", {"answer": "a"}, ("question", "answer", "question")),
    "an answer that is true": ("question", {"question": "q", "answer": True}, ("answer", "bool True", "a string")),
    "an answer that is an object": (
        "question",
        {"question": "q", "answer": {"text": 5, "start": 1}},
        ("answer.role", "null", "assistant"),
    ),
    "an answer that is bytes": ("question", {"question": "q", "answer": b"a"}, ("answer", "bytes", "a string")),
    "answers as strings": (
        "alpaca",
        {"instruction": "q", "output": ["good", "bad"]},
        ("output[0]", '"good"', "a message"),
    ),
    "history that is no pairs": (
        "alpaca",
        {"instruction": "q", "output": "a", "history": [["x"]]},
        ("history[0]", "a list of 1", "a question and its answer"),
    ),
    "instances that are text": ("instances", {"instances": "x"}, ("instances", '"x"', "a list")),
    "an instance that is text": ("instances", {"instances": ["x"]}, ("instances[0]", '"x"', "input and output")),
    "an instance without output": (
        "instances",
        {"instruction": "i", "instances": [{"output": "x"}, {"input": "x"}]},
        ("instances[1].output", "instruction, input", "output or response"),
    ),
    "no preference": ("preference", {"prompt": "p"}, ("chosen", "among prompt", "chosen or rejected")),
    "a tree that is text": ("tree", {"prompt": "p"}, ("prompt", '"p"', "role and content")),
    "a reply that is text": (
        "tree",
        {"prompt": {"text": "1", "role": "prompter", "replies": ["x"]}},
        ("prompt.replies[0]", '"x"', "role and content"),
    ),
    "replies that are a number": (
        "tree",
        {"prompt": {"text": "1", "role": "prompter", "replies": 2}},
        ("prompt.replies", "the int 2", "a list"),
    ),
}


@pytest.mark.parametrize(("schema", "row", "parts"), BROKEN.values(), ids=BROKEN)
def test_a_broken_row_names_the_place_what_was_found_and_what_was_expected(schema, row, parts):
    with pytest.raises(ConversationError) as raised:
        read_turns(row, schema)
    error, (place, found, expected) = raised.value, parts
    assert error.location == place
    assert found in error.actual
    assert expected in error.expected
    assert str(error) == f"{place}: found {error.actual}, expected {error.expected}"
    assert error.column == place.split(".")[0].split("[")[0]
    assert len(str(error)) < 400


def test_an_error_crosses_from_one_process_to_another():
    error = ConversationError("messages[0].role", "null", "a role")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, ConversationError) and isinstance(copy, ValueError)
    assert (str(copy), copy.column) == (str(error), "messages")
