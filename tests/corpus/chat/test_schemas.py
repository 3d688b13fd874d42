"""A row of any known schema becomes the turns that its authors meant, whatever its spelling."""

import contextlib
import json

import pytest
from helpers.conversations import ANSWER, QUESTION, assistant, openai, sharegpt, system, tool, user
from hypothesis import given
from hypothesis import strategies as st

from curate.corpus import open_corpus
from curate.corpus.chat.detect import detect_schema
from curate.corpus.chat.messages import ROLES, STANDARD
from curate.corpus.chat.pairs import PAIRS
from curate.corpus.chat.schemas import SCHEMAS, ChatSchema, read_turns
from curate.corpus.chat.types import TURNS, ConversationError, Turn, join_turns, select_turns

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
    assert join_turns(turns) == "\n\n".join(turn.text for turn in turns)


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


def test_a_row_of_the_table_is_all_that_a_new_schema_needs(tmp_path, monkeypatch):
    dialogue = ChatSchema(
        fits=lambda names, rows: {"left", "right"} <= names,
        columns=("left", "right"),
        read=lambda row, skipped: [Turn("user", str(row["left"])), Turn("assistant", str(row["right"]))],
    )
    monkeypatch.setitem(SCHEMAS, "dialogue", dialogue)
    (tmp_path / "a.jsonl").write_text('{"left": "Who?", "right": "Me.", "other": "o"}\n')
    corpus = open_corpus([str(tmp_path)])
    assert corpus.conversation == "dialogue" and "(left, right)" in corpus.describe()
    (documents,) = corpus.slices()
    assert documents.texts == ["Who?\n\nMe."] and [turn.role for turn in documents.turns[0]] == ["user", "assistant"]
