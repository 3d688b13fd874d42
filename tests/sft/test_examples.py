"""A row becomes what it teaches: turns that end with an answer, each scored once, or the reason why it has none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.chat.types import ConversationError, Turn
from curate.sft.examples import (
    EMPTY_ANSWER,
    LABELLED_FALSE,
    MARKED,
    NO_ANSWER,
    NO_TURNS,
    NOT_ASKED,
    REFUSALS,
    Example,
    NothingToLearnError,
    read_examples,
    scored_turns,
    write_tools,
)

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def turns(*said):
    """Turns whose role is the first letter of their text: u1 is said by the user."""
    return tuple(Turn(ROLES[text[0]], text) for text in said)


def messages(*said):
    return [{"role": ROLES[text[0]], "content": text} for text in said]


def node(text, *replies):
    return {"role": "prompter" if text[0] == "u" else ROLES[text[0]], "text": text, "replies": list(replies)}


# Each row with its schema, and of each example the turns, where it is fresh, and all turns that are scored.
KNOWN = {
    "alpaca": ("alpaca", {"instruction": "u1", "input": "", "output": "a1"}, [(turns("u1", "a1"), 0, (1,))]),
    "history is scored too, since it was asked": (
        "alpaca",
        {"system": "s", "history": [["u1", "a1"]], "instruction": "u2", "output": "a2"},
        [(turns("s", "u1", "a1", "u2", "a2"), 0, (2, 4))],
    ),
    "different answers are an example each": (
        "alpaca",
        {"instruction": "u1", "output": "a1", "response": "a2"},
        [(turns("u1", "a1"), 0, (1,)), (turns("u1", "a2"), 0, (1,))],
    ),
    "equal answers are one": (
        "alpaca",
        {"instruction": "u1", "output": "a1", "response": "a1"},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "an answer beside an empty one": (
        "alpaca",
        {"instruction": "u1", "output": " ", "response": "a1"},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "prompt of messages": (
        "prompt",
        {"prompt": messages("u1", "a1", "u2"), "completion": messages("a2")},
        [(turns("u1", "a1", "u2", "a2"), 0, (1, 3))],
    ),
    "question": ("question", {"question": "u1", "answer": "a1"}, [(turns("u1", "a1"), 0, (1,))]),
    "query": (
        "query",
        {"query": "u1", "response": "a1", "answer": "a2"},
        [(turns("u1", "a1"), 0, (1,)), (turns("u1", "a2"), 0, (1,))],
    ),
    "problem": ("problem", {"problem": "u1", "solution": "a1"}, [(turns("u1", "a1"), 0, (1,))]),
    "messages, without what is behind the last answer": (
        "messages",
        {"messages": messages("s", "u1", "a1", "u2", "a2", "u3", "t3")},
        [(turns("s", "u1", "a1", "u2", "a2"), 0, (2, 4))],
    ),
    "a greeting is context": (
        "messages",
        {"messages": messages("a0", "u1", "a1")},
        [(turns("a0", "u1", "a1"), 0, (2,))],
    ),
    "the result of a tool asks as well": (
        "messages",
        {"messages": messages("a0", "t1", "a1")},
        [(turns("a0", "t1", "a1"), 0, (2,))],
    ),
    "a call, what it gave, and two answers in a row": (
        "conversations",
        {
            "conversations": [
                {"from": "human", "value": "u1"},
                {"from": "function_call", "value": "a1"},
                {"from": "observation", "value": "t1"},
                {"from": "gpt", "value": "a2"},
                {"from": "gpt", "value": "a3"},
            ]
        },
        [(turns("u1", "a1", "t1", "a2", "a3"), 0, (1, 3, 4))],
    ),
    "a label of true": (
        "messages",
        {"messages": messages("u1", "a1"), "label": True},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "a label that is a class": (
        "question",
        {"question": "u1", "answer": "a1", "label": 0},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "the chosen answer": (
        "preference",
        {"prompt": "u1", "chosen": "a1", "rejected": "a2"},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "a chosen conversation": (
        "preference",
        {"chosen": messages("u1", "a1", "u2", "a2"), "rejected": messages("u1", "a1", "u2", "a3"), "label": False},
        [(turns("u1", "a1", "u2", "a2"), 0, (1, 3))],
    ),
    "a chosen message behind the context": (
        "preference",
        {"conversations": messages("u1"), "chosen": messages("a1")[0], "rejected": messages("a2")[0]},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "a chosen answer that the messages hold as well": (
        "preference",
        {"prompt": "u1", "messages": messages("u1", "a1"), "chosen": messages("u1", "a1"), "rejected": "a2"},
        [(turns("u1", "a1"), 0, (1,))],
    ),
    "instances": (
        "instances",
        {"system": "s", "instruction": "u1", "instances": [{"output": "a1"}, {"output": ""}, {"output": "a2"}]},
        [(turns("s", "u1", "a1"), 0, (2,)), (turns("s", "u1", "a2"), 0, (2,))],
    ),
    "a tree": (
        "tree",
        {"prompt": node("u0", node("a1", node("u2", node("a3"), node("a4"))), node("a5", node("u6")))},
        [
            (turns("u0", "a1", "u2", "a3"), 0, (1, 3)),
            (turns("u0", "a1", "u2", "a4"), 3, (3,)),
            (turns("u0", "a5"), 1, (1,)),
        ],
    ),
    "a path of a tree that ends with a question is part of the one that is answered": (
        "tree",
        {"prompt": node("u0", node("a1", node("u2"), node("u3", node("a4")), node("u5", node("u6"))))},
        [(turns("u0", "a1", "u3", "a4"), 0, (1, 3))],
    ),
    "an empty message of a tree is none": (
        "tree",
        {"prompt": node("u0", {"role": "assistant", "text": "", "replies": [node("a1"), node("a2")]})},
        [(turns("u0", "a1"), 0, (1,)), (turns("u0", "a2"), 1, (1,))],
    ),
    "a tree that begins with the assistant": (
        "tree",
        {"prompt": node("a0", node("u1"), node("u2", node("a3")))},
        [(turns("a0", "u2", "a3"), 0, (2,))],
    ),
}


@pytest.mark.parametrize(("schema", "row", "expected"), KNOWN.values(), ids=KNOWN)
def test_a_row_gives_the_examples_that_it_teaches(schema, row, expected):
    found = read_examples(row, schema)
    assert [(one.turns, one.fresh, scored_turns(one, "all")) for one in found] == expected


@pytest.mark.parametrize(("schema", "row", "expected"), KNOWN.values(), ids=KNOWN)
def test_the_last_turn_of_every_example_is_an_answer_that_no_other_scores_as_its_last(schema, row, expected):
    for one in read_examples(row, schema):
        assert scored_turns(one, "last") == (len(one.turns) - 1,) == scored_turns(one, "all")[-1:]
        assert one.turns[-1].role == "assistant"


def test_every_schema_has_a_known_answer_here():
    assert {schema for schema, _, _ in KNOWN.values()} == set(SCHEMAS)


REFUSED = {
    "nothing is said": (NO_TURNS, "messages", {"messages": []}),
    "null columns": (NO_TURNS, "alpaca", {"instruction": None, "output": None}),
    "no answer": (NO_ANSWER, "messages", {"messages": messages("s", "u1")}),
    "an answer without text": (
        NO_ANSWER,
        "messages",
        {"messages": [*messages("u1"), {"role": "assistant", "content": " "}]},
    ),
    "a tree of questions": (NO_ANSWER, "tree", {"prompt": node("u0", node("u1"), node("u2"))}),
    "the assistant alone": (NOT_ASKED, "messages", {"messages": messages("s", "a1")}),
    "the assistant, and a question behind": (NOT_ASKED, "messages", {"messages": messages("a1", "u1")}),
    "a tree that is asked behind its answer": (NOT_ASKED, "tree", {"prompt": node("a0", node("u1"))}),
    "an answer to an empty question": (NOT_ASKED, "question", {"question": "", "answer": "a1"}),
    "an empty output": (EMPTY_ANSWER, "alpaca", {"instruction": "u1", "input": "", "output": ""}),
    "an empty output behind a history": (
        EMPTY_ANSWER,
        "alpaca",
        {"history": [["u0", "a0"]], "instruction": "u1", "output": "\n"},
    ),
    "an empty completion of an answered prompt": (
        EMPTY_ANSWER,
        "prompt",
        {"prompt": messages("u1", "a1", "u2"), "completion": []},
    ),
    "an empty chosen answer": (
        EMPTY_ANSWER,
        "preference",
        {"messages": messages("u0", "a0", "u1"), "chosen": "", "rejected": "a2"},
    ),
    "no chosen answer": (EMPTY_ANSWER, "preference", {"prompt": "u1", "rejected": "a2"}),
    "no instance": (EMPTY_ANSWER, "instances", {"instruction": "u1", "instances": []}),
    "empty instances": (EMPTY_ANSWER, "instances", {"instruction": "u1", "instances": [{"output": ""}]}),
    "KTO of messages": (LABELLED_FALSE, "messages", {"messages": messages("u1", "a1"), "label": False}),
    "marked answers": (MARKED, "messages", {"messages": messages("u1", "a1"), "loss_mask": [0, 0]}),
    "a marked row": (MARKED, "question", {"question": "u1", "answer": "a1", "train": False}),
    "a marked tree": (MARKED, "tree", {"prompt": node("u1", node("a1")), "weight": 0}),
    "KTO of a pair": (LABELLED_FALSE, "prompt", {"prompt": "u1", "completion": "a1", "label": "False"}),
}


@pytest.mark.parametrize(("reason", "schema", "row"), REFUSED.values(), ids=REFUSED)
def test_a_row_with_nothing_to_learn_says_why(reason, schema, row):
    with pytest.raises(NothingToLearnError) as raised:
        read_examples(row, schema)
    assert raised.value.reason == str(raised.value) == reason


def test_every_refusal_has_a_row_here():
    assert {reason for reason, _, _ in REFUSED.values()} == set(REFUSALS)


@pytest.mark.parametrize(
    ("schema", "row", "place"),
    [
        ("messages", {"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ("alpaca", {"instruction": "u1"}, "output"),
        ("instances", {"instruction": "u1", "instances": [{"output": "a1"}, {"input": "x"}]}, "instances[1].output"),
        ("preference", {"prompt": "u1", "chosen": "a1", "rejected": True}, "rejected"),
        ("tree", {"prompt": node("u0", node("a1"), "text")}, "prompt.replies[1]"),
    ],
)
def test_a_row_that_does_not_follow_its_schema_is_no_refusal_though_a_part_of_it_could_be_read(schema, row, place):
    with pytest.raises(ConversationError) as raised:
        read_examples(row, schema)
    assert raised.value.location == place


def test_an_unknown_schema_and_unknown_turns_are_a_programmers_mistake():
    with pytest.raises(ValueError, match="unknown schema"):
        read_examples({}, "chatml")
    with pytest.raises(ValueError, match="must be all or last, not 'first'"):
        scored_turns(Example(turns("u1", "a1")), "first")


def nodes(children):
    return st.tuples(st.sampled_from("uuaa s"), st.lists(children, max_size=3))


TREES = st.recursive(st.tuples(st.sampled_from("uuaa s"), st.just([])), nodes, max_leaves=12)


def grow(kind, replies, asked, numbers, wanted):
    """A tree with numbered texts; ``wanted`` gathers the answers that were asked for. A blank kind is a silent user."""
    text = "" if kind == " " else f"{kind}{next(numbers)}"
    if kind == "a" and asked:
        wanted.append(text)
    grown = [grow(*reply, asked or kind == "u", numbers, wanted) for reply in replies]
    return {"role": ROLES.get(kind, "user"), "text": text, "replies": grown}


@given(TREES)
def test_every_answer_of_a_tree_is_scored_once_in_paths_that_are_paths(tree):
    wanted = []
    row = {"prompt": grow(*tree, False, iter(range(1000)), wanted)}
    try:
        found = read_examples(row, "tree")
    except NothingToLearnError:
        found = []
    scored = [one.turns[index].text for one in found for index in scored_turns(one, "all")]
    assert sorted(scored) == sorted(wanted)
    told = [turn.text for turn in read_turns(row, "tree")]
    for one in found:
        places = [told.index(turn.text) for turn in one.turns]
        assert places == sorted(places) and scored_turns(one, "last") == (len(one.turns) - 1,)
    ends = [one.turns for one in found]
    assert not any(a != b and b[: len(a)] == a for a in ends for b in ends)


def test_a_tree_deeper_than_python_recurses_is_one_example():
    tree = node("a-end")
    for number in range(3000):
        tree = node(f"u{number}", tree)
    (one,) = read_examples({"prompt": tree}, "tree")
    assert len(one.turns) == 3001 and scored_turns(one, "all") == (3000,)


# ------------------------------------------------------------------------------------------------------------- tools

TOOL = {"name": "add", "parameters": {"a": "int"}}


@pytest.mark.parametrize(
    "value",
    [
        [TOOL],
        json.dumps([TOOL]),
        [json.dumps(TOOL)],
        TOOL,
        json.dumps(TOOL),
        [{**TOOL, "strict": None, "parameters": {"a": "int", "b": None}}],
    ],
    ids=str,
)
def test_tools_are_one_json_text_however_they_are_stored(value):
    row = {"messages": messages("u1", "a1"), "tools": value}
    (one,) = read_examples(row, "messages")
    assert json.loads(one.tools) == [TOOL]


@pytest.mark.parametrize(
    "value", [None, "", " ", "[]", "null", [], {}, "{}", "hammer, saw", ["hammer"], "[{]", 3, [{}]]
)
def test_what_is_no_list_of_objects_is_no_tools(value):
    assert write_tools(value) is None
    assert read_examples({"messages": messages("u1", "a1"), "tools": value}, "messages")[0].tools is None


def test_a_row_without_the_column_has_no_tools():
    assert read_examples({"messages": messages("u1", "a1")}, "messages")[0].tools is None
