"""Messages in one string are read where they say who speaks, and nothing else is taken for them."""

import json

import numpy as np
import pytest

from curate.corpus.chat.schemas import read_turns
from curate.corpus.chat.written import are_transcripts, find_rendering, read_python_list, read_transcript

TALK = [{"role": "user", "content": "It's why?"}, {"role": "assistant", "content": 'So "it" is.\n{"a": 1} {2}'}]
HH = "\n\nHuman: Why, and\nwhat for?\n\nAssistant: So.\n\nHuman: And then?\n\nAssistant: Human: is a word."


@pytest.mark.parametrize(
    "text",
    [
        str(TALK),
        json.dumps(TALK),
        str(np.array(TALK, dtype=object)),
        f"  {TALK}\n",
    ],
    ids=["python", "json", "numpy", "spaces"],
)
def test_a_list_of_messages_is_read_from_a_string_as_from_values(text):
    assert read_turns({"messages": text}, "messages") == read_turns({"messages": TALK}, "messages")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[{'a': nan, 'b': None}]", [{"a": None, "b": None}]),
        ("[{'a': array([{'b': 1}], dtype=object)}]", [{"a": [{"b": 1}]}]),
        ("[{'a': 1}\n {'a': '} {'}]", [{"a": 1}, {"a": "} {"}]),
        ("[{'a': 1}, ..., {'a': 2}]", None),
        ("[{'a': open('x')}]", None), ("[{'a': 1}", None), ("['a', 'b']", ["a", "b"]),
        ("[INST] Why? [/INST]", None), ("(1, 2)", None), ("[" * 5000, None), ("why?", None),
    ],
)  # fmt: skip
def test_a_python_list_is_read_as_literals_and_a_shortened_one_is_none(text, value):
    assert read_python_list(text) == value


def test_a_transcript_gives_its_turns_without_the_space_around_them():
    assert read_transcript(HH) == [
        {"role": "user", "content": "Why, and\nwhat for?"},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Human: is a word."},
    ]
    assert read_transcript("\n\nHuman: Why?\n\nAssistant:")[-1] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    "text", ["### Human: Why?### Assistant: So.", "USER: Why?\nASSISTANT: So.", "Human: Why?\n\nAI: So."]
)
def test_other_spellings_of_the_sides_are_read(text):
    assert [(one["role"], one["content"]) for one in read_transcript(text)] == [("user", "Why?"), ("assistant", "So.")]


@pytest.mark.parametrize(
    "text", ["", "Why?", "Human: alone", "Tell me what follows.\n\nHuman: Why?\n\nAssistant: So.", "Assistant: So."]
)
def test_a_text_without_two_sides_from_its_beginning_is_no_transcript(text):
    assert read_transcript(text) is None


def test_a_column_holds_transcripts_where_most_of_its_texts_are_some():
    assert (
        are_transcripts([HH, HH, "x", None, ""]) and not are_transcripts([HH, "x", "y"]) and not are_transcripts([None])
    )


@pytest.mark.parametrize(
    ("text", "mark"), [("<|im_start|>user\nhi", "<|im_start|>"), ("[INST] hi [/INST]", "[INST]"), ("hi", None)]
)
def test_a_text_that_a_template_wrote_is_known_by_its_mark(text, mark):
    assert find_rendering([text, text, ""]) == mark
