"""The fields of messages for chat templates: what a turn's one text no longer tells apart."""

import pickle

import pytest

from curate.corpus.chat.fields import MessageFields
from curate.corpus.chat.schemas import read_turns

CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}


def fields(message):
    (turn,) = read_turns({"messages": [message]}, "messages")
    return turn.fields


def test_a_role_and_a_text_need_no_fields_and_nulls_are_none():
    assert fields({"role": "user", "content": "x", "name": None, "tool_calls": None}) is None
    assert fields({"from": "human", "value": "x", "content": None}) is None


@pytest.mark.parametrize(
    "given",
    [
        {"tool_calls": [CALL]},
        {"tool_calls": [{"name": "add", "arguments": '{"a": 1}'}]},
        {"tool_calls": {"function": {"name": "add", "arguments": ' {"a": 1}'}}},
        {"tool_calls": [{"name": "add", "parameters": {"a": 1}}]},
        {"function_call": {"name": "add", "arguments": {"a": 1}}},
    ],
)
def test_calls_have_one_form_whatever_they_had(given):
    found = fields({"role": "assistant", "content": None, **given})
    assert found == MessageFields("", is_null=True, calls=(CALL,))


def test_arguments_that_are_no_object_stay_as_they_are_and_none_are_an_empty_one():
    for arguments, wanted in (("1 + 1", "1 + 1"), ("{1}", "{1}"), (None, {}), ("", {}), ([1], [1])):
        (call,) = fields({"role": "assistant", "tool_calls": [{"name": "f", "arguments": arguments}]}).calls
        assert call["function"]["arguments"] == wanted


def test_a_call_without_a_name_is_no_call():
    found = fields({"role": "assistant", "content": "x", "tool_calls": [CALL, {"code": "1"}]})
    assert found is None  # its text has the calls
    assert fields({"role": "function_call", "content": '{"arguments": {}}'}) is None


def test_calls_as_text_are_calls_and_known_to_be_text():
    found = fields({"role": "tool_call", "content": '[{"name": "add", "arguments": {"a": 1}}]'})
    assert found == MessageFields("", is_null=True, calls=(CALL,), is_text=True)
    parts = [
        {"type": "text", "text": "I add."},
        {"type": "tool_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
    ]
    assert fields({"role": "assistant", "content": parts}) == MessageFields(("I add.",), calls=(CALL,), is_text=True)
    broken = [{"type": "tool_call", "value": "add(1)"}]
    assert fields({"role": "assistant", "content": broken}) == MessageFields(("add(1)",))


def test_reasoning_keeps_its_name_and_other_fields_their_values():
    message = {"role": "assistant", "content": "x", "thinking": "Hm.", "id": 7, "replies": [1], "weight": 0}
    found = fields(message)
    assert (found.reasoning, found.reasoning_key) == ("Hm.", "thinking")
    assert found.others == {"id": 7, "weight": 0}
    tool = {"role": "tool", "content": "4", "tool_call_id": "c", "name": "add"}
    assert fields(tool).others == {"tool_call_id": "c", "name": "add"}


def test_fields_are_no_part_of_what_a_turn_is_and_can_be_pickled():
    (plain,) = read_turns({"messages": [{"role": "user", "content": "x"}]}, "messages")
    (named,) = read_turns({"messages": [{"role": "user", "content": "x", "name": "Bo"}]}, "messages")
    assert plain == named and hash(plain) == hash(named)
    assert pickle.loads(pickle.dumps(named)).fields == named.fields
