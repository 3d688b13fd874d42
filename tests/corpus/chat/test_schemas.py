"""A row of any known schema becomes the turns that its authors meant; what does not follow its schema says so."""

import contextlib
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.conversation import (
    PAIRS,
    ROLES,
    SCHEMAS,
    STANDARD,
    TURNS,
    ConversationError,
    Turn,
    detect_schema,
    joined,
    read_conversation,
    read_turns,
    select_turns,
)


def system(text):
    return Turn("system", text)


def user(text):
    return Turn("user", text)


def assistant(text):
    return Turn("assistant", text)


def tool(text):
    return Turn("tool", text)


def openai(*said):
    return [{"role": role, "content": content} for role, content in said]


def sharegpt(*said):
    return [{"from": role, "value": value} for role, value in said]


QUESTION = openai(("user", "Why?"))
ANSWER = openai(("assistant", "So."))
NESTED = {
    "text": "1",
    "role": "prompter",
    "replies": [
        {"text": "2", "role": "assistant", "replies": [{"text": "3", "role": "prompter", "replies": []}]},
        {"text": "4", "role": "assistant", "replies": None},
    ],
}

# Each row with the schema that is found for it and the turns that it holds.
KNOWN = {
    "Alpaca": (
        "alpaca",
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        [user("Add.\n\n1 and 2"), assistant("3")],
    ),
    "Alpaca without an input": (
        "alpaca",
        {"instruction": "Greet.", "input": "", "output": "Hello"},
        [user("Greet."), assistant("Hello")],
    ),
    "Alpaca with a system prompt and history": (
        "alpaca",
        {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]},
        [system("s"), user("a"), assistant("b"), user("c"), assistant("d")],
    ),
    "GPTeacher": (
        "alpaca",
        {"instruction": "Act.", "input": "as a king", "response": "Kneel!"},
        [user("Act.\n\nas a king"), assistant("Kneel!")],
    ),
    "output and response that say the same": (
        "alpaca",
        {"instruction": "q", "input": "", "response": "a", "output": "a"},
        [user("q"), assistant("a")],
    ),
    "output and response that differ": (
        "alpaca",
        {"instruction": "q", "response": "b", "output": "a"},
        [user("q"), assistant("a"), assistant("b")],
    ),
    "Dolly": (
        "alpaca",
        {"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada", "category": "closed_qa"},
        [user("Who?\n\nAda wrote it."), assistant("Ada")],
    ),
    "prompt and completion": (
        "prompt",
        {"prompt": "The sky is", "completion": " blue."},
        [user("The sky is"), assistant(" blue.")],
    ),
    "prompt and completion of messages": (
        "prompt",
        {"prompt": openai(("system", "s"), ("user", "Why?")), "completion": ANSWER},
        [system("s"), user("Why?"), assistant("So.")],
    ),
    "prompt and response": ("prompt", {"prompt": "p", "response": "r"}, [user("p"), assistant("r")]),
    "KTO of prompt and completion": (
        "prompt",
        {"prompt": "p", "completion": "c", "label": False},
        [user("p"), assistant("c")],
    ),
    "GSM8K": ("question", {"question": "1 + 1?", "answer": "#### 2"}, [user("1 + 1?"), assistant("#### 2")]),
    "OpenOrca": (
        "question",
        {"id": "1", "system_prompt": "Be brief.", "question": "Why?", "response": "So."},
        [system("Be brief."), user("Why?"), assistant("So.")],
    ),
    "MetaMath": ("query", {"query": "q", "response": "r", "type": "MATH"}, [user("q"), assistant("r")]),
    "MATH": ("problem", {"problem": "p", "solution": "s", "level": "5"}, [user("p"), assistant("s")]),
    "OpenAI messages": (
        "messages",
        {"messages": openai(("developer", "d"), ("user", "u"), ("assistant", "a"), ("tool", "t"))},
        [system("d"), user("u"), assistant("a"), tool("t")],
    ),
    "messages as a JSON string": (
        "messages",
        {"messages": json.dumps(QUESTION + ANSWER)},
        [user("Why?"), assistant("So.")],
    ),
    "messages beside a system prompt that they repeat": (
        "messages",
        {"system": "s", "messages": openai(("system", "s"), ("user", "u"))},
        [system("s"), user("u")],
    ),
    "KTO of messages": (
        "messages",
        {"messages": QUESTION + ANSWER, "label": False},
        [user("Why?"), assistant("So.")],
    ),
    "ShareGPT": (
        "conversations",
        {
            "conversations": sharegpt(
                ("system", "s"), ("human", "h"), ("function_call", "{}"), ("observation", "o"), ("gpt", "g")
            ),
            "tools": "[]",
        },
        [system("s"), user("h"), assistant("{}"), tool("o"), assistant("g")],
    ),
    "role and content inside conversations": (
        "conversations",
        {"conversations": QUESTION + ANSWER},
        [user("Why?"), assistant("So.")],
    ),
    "conversation in the singular": ("conversations", {"conversation": QUESTION}, [user("Why?")]),
    "ShareGPT with a chosen and a rejected message": (
        "preference",
        {
            "conversations": sharegpt(("system", "s"), ("human", "h")),
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        },
        [system("s"), user("h"), assistant("good"), assistant("bad")],
    ),
    "a preference of strings": (
        "preference",
        {"system": "s", "question": "q", "chosen": "good", "rejected": "bad"},
        [system("s"), user("q"), assistant("good"), assistant("bad")],
    ),
    "a preference whose answers repeat the prompt": (
        "preference",
        {
            "prompt": "Why?",
            "chosen": QUESTION + ANSWER,
            "rejected": [*QUESTION, *openai(("assistant", "No."))],
            "messages": QUESTION + ANSWER,
        },
        [user("Why?"), assistant("So."), assistant("No.")],
    ),
    "a preference whose answers repeat the prompt without its system column": (
        "preference",
        {"system": "s", "prompt": "Why?", "chosen": QUESTION + ANSWER, "rejected": "No."},
        [system("s"), user("Why?"), assistant("So."), assistant("No.")],
    ),
    "a question that two columns hold": (
        "preference",
        {"prompt": "q", "question": "q", "input": "more", "chosen": "good", "rejected": "bad"},
        [user("q\n\nmore"), assistant("good"), assistant("bad")],
    ),
    "two system columns of which the first is blank": (
        "prompt",
        {"system": " ", "system_prompt": "s", "prompt": "p", "completion": "c"},
        [system("s"), user("p"), assistant("c")],
    ),
    "a preference whose prompt is in its answers alone": (
        "preference",
        {"chosen": QUESTION + ANSWER, "rejected": [*QUESTION, *openai(("assistant", "No."))]},
        [user("Why?"), assistant("So."), assistant("No.")],
    ),
    "a self-instruct seed task": (
        "instances",
        {"instruction": "Add.", "instances": [{"input": "1, 2", "output": "3"}, {"input": "", "output": "0"}]},
        [user("Add.\n\n1, 2"), assistant("3"), user("Add."), assistant("0")],
    ),
    "a seed task without instances": ("instances", {"instruction": "Add.", "instances": []}, [user("Add.")]),
    "an OpenAssistant tree": (
        "tree",
        {"message_tree_id": "t", "prompt": NESTED},
        [user("1"), assistant("2"), user("3"), assistant("4")],
    ),
}


@pytest.mark.parametrize(("schema", "row", "turns"), KNOWN.values(), ids=KNOWN)
def test_a_row_of_each_schema_gives_the_turns_that_it_was_written_with(schema, row, turns):
    assert read_turns(row, schema) == turns


@pytest.mark.parametrize(("schema", "row", "turns"), KNOWN.values(), ids=KNOWN)
def test_each_schema_is_found_by_its_columns_and_by_them_alone_where_no_row_was_read(schema, row, turns):
    assert detect_schema(row.keys(), [row]) == schema
    assert detect_schema(iter(row), []) == schema


@pytest.mark.parametrize(("schema", "row", "turns"), KNOWN.values(), ids=KNOWN)
def test_columns_that_are_all_null_hold_no_turn(schema, row, turns):
    empty = dict.fromkeys(row)
    assert read_turns(empty, schema) == []
    assert detect_schema(row.keys(), [empty, row]) == schema


def test_every_schema_has_a_known_answer_here():
    assert {schema for schema, _, _ in KNOWN.values()} == set(SCHEMAS)


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


def test_texts_are_kept_as_they_are():
    assert read_turns({"prompt": " a\n", "completion": "\tb "}, "prompt") == [user(" a\n"), assistant("\tb ")]


@pytest.mark.parametrize("value", [[], (), "", "  ", "[]", None, [None], float("nan")])
def test_a_conversation_without_messages_has_no_turns(value):
    assert read_turns({"messages": value}, "messages") == []


def test_an_answer_that_is_json_stays_an_answer_and_one_that_is_messages_is_read_as_messages():
    for text in ('[{"a": 1}]', "[]", "[1, 2]", '["x"]', "[not json", '[{"role": "king", "content": "x"}]'):
        assert read_turns({"prompt": "p", "completion": text}, "prompt") == [user("p"), assistant(text)]
    row = {"prompt": json.dumps(QUESTION), "completion": json.dumps(ANSWER)}
    assert read_turns(row, "prompt") == [user("Why?"), assistant("So.")]


def test_a_message_that_is_said_twice_in_one_conversation_is_kept_twice():
    said = openai(("user", "a"), ("assistant", "yes"), ("user", "a"), ("assistant", "yes"))
    twice = [user("a"), assistant("yes"), user("a"), assistant("yes")]
    assert read_turns({"messages": said}, "messages") == twice
    assert read_turns({"prompt": said, "completion": ""}, "prompt") == twice
    assert read_turns({"prompt": "", "completion": said}, "prompt") == twice
    assert read_turns({"instruction": "a", "output": "yes", "history": [["a", "yes"]]}, "alpaca") == twice


def test_messages_in_a_prompt_keep_their_roles_beside_other_columns():
    row = {"prompt": openai(("user", "a"), ("assistant", "b")), "input": "c", "chosen": "d", "rejected": "e"}
    expected = [user("a"), assistant("b"), user("c"), assistant("d"), assistant("e")]
    assert read_turns(row, "preference") == expected


def test_a_tree_deeper_than_python_recurses_is_read():
    tree = {"text": "end", "role": "assistant", "replies": []}
    for _ in range(3000):
        tree = {"text": "x", "role": "prompter", "replies": [tree]}
    turns = read_turns({"prompt": tree}, "tree")
    assert len(turns) == 3001 and turns[-1] == assistant("end")


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
    assert error.place == place
    assert found in error.found
    assert expected in error.expected
    assert str(error) == f"{place}: found {error.found}, expected {error.expected}"
    assert error.column == place.split(".")[0].split("[")[0]
    assert len(str(error)) < 400


def test_an_error_crosses_from_one_process_to_another():
    error = ConversationError("messages[0].role", "null", "a role")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, ConversationError) and isinstance(copy, ValueError)
    assert (str(copy), copy.column) == (str(error), "messages")


def test_a_schema_or_a_side_that_is_unknown_is_a_programmers_mistake():
    with pytest.raises(ValueError, match="unknown schema 'chatml'; expected one of tree") as raised:
        read_turns({}, "chatml")
    assert not isinstance(raised.value, ConversationError)
    with pytest.raises(ValueError, match="unknown turns 'human'; expected one of all, user, assistant"):
        select_turns([], "human")


def test_user_is_all_that_the_model_is_given_and_assistant_all_that_it_says():
    turns = [system("s"), user("u"), assistant("a"), tool("t"), assistant("b")]
    assert select_turns(turns, "user") == [system("s"), user("u"), tool("t")]
    assert select_turns(turns, "assistant") == [assistant("a"), assistant("b")]
    assert select_turns(iter(turns), "all") == turns
    assert TURNS == ("all", "user", "assistant")


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
TALKS = st.lists(st.tuples(st.sampled_from(sorted(STANDARD)), TEXTS), max_size=6)


@given(TALKS)
def test_one_conversation_reads_alike_in_every_spelling(talk):
    expected = [Turn(STANDARD[role], text) for role, text in talk if text.strip()]
    assert read_turns({"messages": openai(*talk)}, "messages") == expected
    assert read_turns({"messages": json.dumps(openai(*talk))}, "messages") == expected
    assert read_turns({"conversations": tuple(sharegpt(*talk))}, "conversations") == expected
    typed = [(role, [{"type": "text", "text": text}]) for role, text in talk]
    assert read_turns({"messages": openai(*typed)}, "messages") == expected


@given(TALKS)
def test_each_turn_is_on_exactly_one_side_and_all_texts_are_joined(talk):
    turns = read_turns({"messages": openai(*talk)}, "messages")
    sides = [select_turns(turns, "user"), select_turns(turns, "assistant")]
    assert sorted(map(repr, sides[0] + sides[1])) == sorted(map(repr, turns))
    assert joined(turns) == "\n\n".join(turn.text for turn in turns)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("[{}]"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "text", "type", "replies", "input"]), inner)
    ),
    max_leaves=6,
)
COLUMNS = ["messages", "conversations", "instances", "history", "system", "chosen", "rejected"]
COLUMNS += [name for pair in PAIRS.values() for name in (*pair.asked, *pair.answered)]


@given(st.dictionaries(st.sampled_from(sorted(set(COLUMNS))), JSON, max_size=5))
def test_whatever_a_row_holds_it_gives_turns_with_text_or_a_conversation_error(row):
    for schema in SCHEMAS:
        turns = []
        with contextlib.suppress(ConversationError):
            turns = read_turns(row, schema)
        assert all(turn.role in ROLES and turn.text.strip() for turn in turns)
    assert detect_schema(row.keys(), [row]) in {None, *SCHEMAS}
