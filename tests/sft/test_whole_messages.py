"""Of messages, blank ones and those behind the last answer are rendered too; what is scored stays the same."""

import pytest

from curate.sft.examples import NothingToLearnError, read_examples, scored_turns


def read(*said, **row):
    messages = [{"role": role, "content": text} for role, text in said]
    (example,) = read_examples({"messages": messages, **row}, "messages")
    return example


def test_turns_behind_the_last_answer_are_kept_apart():
    example = read(("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", " "), ("tool", ""))
    assert [turn.text for turn in example.turns] == ["u", "a"]
    assert [turn.role for turn in example.after] == ["user", "assistant", "tool"]
    assert example.conversation == (*example.turns, *example.after) and scored_turns(example, "all") == (1,)


def test_blank_messages_are_no_questions_and_no_answers():
    example = read(("system", ""), ("user", "u"), ("assistant", None), ("user", ""), ("assistant", "a"))
    assert len(example.turns) == 5 and scored_turns(example, "all") == (4,)
    with pytest.raises(NothingToLearnError, match="speaks first"):
        read(("user", " "), ("assistant", "a"))


def test_a_blank_system_message_is_left_out_beside_a_system_column():
    example = read(("system", ""), ("user", "u"), ("assistant", "a"), system="Be short.")
    assert [(turn.role, turn.text) for turn in example.turns][:2] == [("system", "Be short."), ("user", "u")]
