"""Rows whose columns and roles have other names are read as those of a known schema."""

import pyarrow as pa
import pytest
from helpers.corpora import write_columns

from curate.corpus import open_corpus
from curate.corpus.chat.named_columns import NO_NAMES, FieldNames, read_spelling, rename_row, spell
from curate.corpus.chat.rows import find_conversation, list_columns
from curate.corpus.chat.schemas import read_turns
from curate.corpus.chat.types import ConversationError, Turn

SAID = [Turn("user", "why?"), Turn("assistant", "so")]
NAMES = FieldNames(messages=("talk",), roles=(("kunde", "user"), ("a=b", "assistant")))


def read(row, names):
    return read_turns(rename_row(row, names), names.schema)


@pytest.mark.parametrize(
    "talk",
    [
        [{"role": "Kunde", "content": "why?"}, {"role": "a=b", "content": "so"}],
        [{"speaker": "kunde", "utterance": "why?"}, {"speaker": "A=B", "utterance": "so"}],
        {"role": ["kunde", "a=b"], "content": ["why?", "so"]},
        "[{'from': 'kunde', 'value': 'why?'}, {'from': 'gpt', 'value': 'so'}]",
        "\n\nHuman: why?\n\nAssistant: so",
        ["why?", "so"],
    ],
    ids=["messages", "speakers", "lists", "text", "transcript", "strings"],
)
def test_a_column_of_messages_that_is_named_is_read_in_every_form(talk):
    assert read({"talk": talk, "messages": [{"role": "user", "content": "another"}]}, NAMES) == SAID


def test_named_questions_are_joined_and_columns_of_a_schema_that_are_not_named_are_not_read():
    row = {
        "task": "why?",
        "data": {"more": "be brief"},
        "reply": "so",
        "output": "other",
        "system": "You.",
        "input": "x",
    }
    names = FieldNames(prompt=("task", "data.more"), response=("reply",))
    assert read(row, names) == [Turn("system", "You."), Turn("user", "why?\n\nbe brief"), Turn("assistant", "so")]


def test_a_row_without_the_column_or_with_a_text_that_is_no_messages_says_so():
    with pytest.raises(ConversationError, match="talk: found no such column among text, expected talk"):
        rename_row({"text": "x"}, NAMES)
    with pytest.raises(ConversationError, match='talk: found the string "hello", expected messages'):
        rename_row({"talk": "hello"}, NAMES)
    assert read({"talk": None}, NAMES) == [] and read({"data": None}, FieldNames(messages=("data.talk",))) == []


def test_a_row_is_itself_without_names():
    row = {"messages": []}
    assert rename_row(row, NO_NAMES) is row


@pytest.mark.parametrize(
    "names", [NO_NAMES, NAMES, FieldNames(prompt=("a b", "c?d&e=f"), response=("é",), transcripts=("x",))]
)
def test_names_are_read_as_they_were_spelled(names):
    assert read_spelling(spell("alpaca", names)) == ("alpaca", names)
    assert find_conversation(f"@{spell('alpaca', names)}") == spell("alpaca", names)


def test_other_words_behind_a_schema_are_no_conversation():
    assert find_conversation("@alpaca?nonsense=1") is None and find_conversation("@unknown?prompt=x") is None
    assert list_columns("alpaca?prompt=task&response=reply") == ("system", "system_prompt", "history", "task", "reply")


def test_a_corpus_is_read_by_a_text_field_with_names(tmp_path):
    path = write_columns(
        tmp_path / "a.parquet", pa.table({"data": [{"ask": "why?", "reply": "so"}] * 3, "n": [1, 2, 3]}), 2
    )
    corpus = open_corpus(
        [str(path or tmp_path / "a.parquet")], text_field="@alpaca?prompt=data.ask&response=data.reply"
    )
    turns = [row for documents in corpus.slices() for row in documents.turns]
    assert turns == [tuple(SAID)] * 3


WHO = FieldNames(
    messages=("talk",), role_key=("who",), content_key=("said",), roles=(("1", "user"), ("b", "assistant"))
)


@pytest.mark.parametrize(
    ("talk", "names"),
    [
        ([{"who": 1, "said": "why?", "text": "not this"}, {"who": "B", "said": "so", "from": "x"}], WHO),
        (
            [
                {"author": {"role": role}, "content": {"parts": [text]}}
                for role, text in (("user", "why?"), ("bot", "so"))
            ],
            FieldNames(messages=("talk",), role_key=("author.role",), content_key=("content.parts",)),
        ),
        ([{"user": "why?", "assistant": "so", "at": "noon"}], FieldNames(messages=("talk",))),
        ([{"user": "why?"}, {"bot": "so"}], FieldNames(messages=("talk",))),
        ([{"b": "so", "1": "why?"}][::-1], WHO),
    ],
    ids=["keys", "paths", "exchange", "one_key", "named_roles"],
)
def test_keys_of_messages_that_are_named_are_read(talk, names):
    turns = read({"talk": talk}, names)
    assert sorted((turn.role, turn.text) for turn in turns) == [("assistant", "so"), ("user", "why?")]
    assert all(turn.fields is None or not turn.fields.others for turn in turns if names.role_key)


def test_keys_are_named_of_a_known_column_too():
    names = FieldNames(role_key=("who",), content_key=("said",))
    row = rename_row({"messages": [{"who": "user", "said": "why?"}, {"who": "bot", "said": "so"}]}, names)
    assert read_turns(row, "messages") == SAID
    assert read_spelling(spell("messages", names)) == ("messages", names)
