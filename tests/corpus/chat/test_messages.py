"""Messages: roles, parts of content, reasoning and tool calls become turns."""

import json

import pytest
from helpers.conversations import assistant, openai, user

from curate.corpus.chat.messages import ROLES, STANDARD
from curate.corpus.chat.schemas import read_conversation, read_turns


@pytest.mark.parametrize("name", STANDARD)
def test_every_known_role_becomes_one_of_four_whatever_its_case(name):
    for spelled in (name, name.upper(), f" {name} "):
        (turn,) = read_turns({"messages": [{"role": spelled, "content": "x"}]}, "messages")
        assert name in ROLES[turn.role]
    assert set(ROLES) == {"system", "user", "assistant", "tool"}


def test_typed_parts_are_joined_and_those_that_are_no_text_are_counted():
    parts = [
        {"type": "text", "text": "What is this?", "image_url": None},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "input_audio"},
        "Say.",
        {"type": "text", "value": "Now."},
        None,
        {"type": "text", "text": None},
    ]
    found = read_conversation({"messages": [{"role": "user", "content": parts}]}, "messages")
    assert found.turns == (user("What is this?\n\nSay.\n\nNow."),)
    assert found.skipped == ("image_url", "input_audio", "text")


def test_parts_of_reasoning_and_tool_calls_are_what_the_assistant_says():
    parts = [
        {"type": "reasoning", "value": "Hm."},
        {"type": "tool_call", "value": '{"name": "add"}'},
        {"type": "reasoning", "summary": ["no plain text"]},
    ]
    found = read_conversation({"messages": [{"role": "assistant", "content": parts}]}, "messages")
    assert found.turns == (assistant('Hm.\n\n{"name": "add"}'),)
    assert found.skipped == ("reasoning",)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_stands_before_the_content_where_it_is_plain_text_and_is_counted_where_not(key):
    message = {"role": "assistant", "content": "Yes.", key: "Hm."}
    assert read_turns({"messages": [message]}, "messages") == [assistant("Hm.\n\nYes.")]
    found = read_conversation({"messages": [message | {key: [{"secret": "…"}]}]}, "messages")
    assert found.turns == (assistant("Yes."),)
    assert found.skipped == (key,)


def test_reasoning_that_is_given_under_two_names_is_read_once():
    message = {"role": "assistant", "content": "Yes.", "reasoning": "Hm.", "reasoning_content": "Hm."}
    assert read_turns({"messages": [message]}, "messages") == [assistant("Hm.\n\nYes.")]


CALL = '{"name": "add", "arguments": {"place": "Zürich"}}'


@pytest.mark.parametrize(
    "said",
    [
        {"tool_calls": [{"type": "function", "function": {"name": "add", "arguments": '{"place": "Zürich"}'}}]},
        {"tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"place": "Zürich"}}}]},
        {"tool_calls": [{"name": "add", "arguments": {"place": "Zürich"}}]},
        {"tool_calls": CALL},
        {"function_call": {"name": "add", "arguments": '{"place": "Zürich"}'}},
    ],
)
def test_a_tool_call_is_assistant_text_as_one_json_object(said):
    assert read_turns({"messages": [{"role": "assistant", "content": None} | said]}, "messages") == [assistant(CALL)]
    assert read_turns({"messages": [{"role": "assistant"} | said]}, "messages") == [assistant(CALL)]


def test_a_tool_call_that_is_no_json_is_kept_as_it_was_said():
    call = {"function": {"name": "add", "arguments": '{"a": '}}
    (turn,) = read_turns({"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}, "messages")
    assert json.loads(turn.text) == {"name": "add", "arguments": '{"a": '}
    (turn,) = read_turns({"messages": [{"role": "assistant", "tool_calls": [{"code": "1 + 1"}]}]}, "messages")
    assert json.loads(turn.text) == {"code": "1 + 1"}


def test_numbers_are_text_and_white_space_nan_and_null_are_none():
    assert read_turns({"question": 7, "answer": 3.5}, "question") == [user("7"), assistant("3.5")]
    assert read_turns({"question": " \n", "answer": float("nan")}, "question") == []
    assert read_turns({"messages": openai(("user", None), ("user", ""), ("user", 0))}, "messages") == [user("0")]


@pytest.mark.parametrize("value", [[], (), "", "  ", "[]", None, [None], float("nan")])
def test_a_conversation_without_messages_has_no_turns(value):
    assert read_turns({"messages": value}, "messages") == []


def test_a_message_that_is_said_twice_in_one_conversation_is_kept_twice():
    said = openai(("user", "a"), ("assistant", "yes"), ("user", "a"), ("assistant", "yes"))
    twice = [user("a"), assistant("yes"), user("a"), assistant("yes")]
    assert read_turns({"messages": said}, "messages") == twice
    assert read_turns({"prompt": said, "completion": ""}, "prompt") == twice
    assert read_turns({"prompt": "", "completion": said}, "prompt") == twice
    assert read_turns({"instruction": "a", "output": "yes", "history": [["a", "yes"]]}, "alpaca") == twice
