"""Marks of turns that are not to be learnt, under the names that trainers give them; what is not understood is said."""

import pytest

from curate.corpus.chat import learning_marks
from curate.corpus.chat.schemas import read_turns

UNLEARNT = [
    *({"weight": 0}, {"weight": 0.0}, {"weight": False}, {"weight": "0"}),
    *({"train": False}, {"training": False}, {"trainable": False}, {"train": 0}, {"train": "false"}),
    *({"loss": False}, {"loss": 0}, {"loss_mask": 0}, {"step_loss_mask": 0}, {"train_on_turn": False}),
    *({"masked": True}, {"masked": 1}, {"ignore_loss": True}, {"weight": 1, "train": False}),
]
LEARNT = [
    *({}, {"weight": 1}, {"train": True}, {"loss": 1.0}, {"masked": False}, {"weight": None}, {"loss": float("nan")}),
    *({"train": "true"}, {"loss_mask": []}, {"training": ""}, {"name": "mask"}, {"id": 0}),
]
NOTED = {
    "a fraction": ({"weight": 0.5}, "weight: a weight other than 0 and 1 counts as 1"),
    "more than one": ({"loss": 2.31}, "loss: a weight other than 0 and 1 counts as 1"),
    "below zero": ({"weight": -1}, "weight: not understood as a mark; turns that have it are scored"),
    "a list of tokens": (
        {"loss_mask": [0, 1, 1]},
        "loss_mask: not understood as a mark; turns that have it are scored",
    ),
    "a text": ({"train": "sometimes"}, "train: not understood as a mark; turns that have it are scored"),
    "parts of a turn": ({"train_detail": [{"begin_offset": 0}]}, "train_detail: not understood as a mark"),
    "a mask of either sense": ({"mask": True}, "mask: not understood as a mark"),
    "a name that nobody knows": ({"do_not_train": True}, "do_not_train: not understood as a mark"),
    "a part": ({"content": [{"type": "text", "text": "a", "train": False}]}, "a part's train: not understood"),
}


def answer_with(marks, schema="messages"):
    message = {"role": "assistant", "content": "a"} | marks
    (turn,) = read_turns({schema: [message]}, schema)
    return turn


@pytest.mark.parametrize("marks", UNLEARNT, ids=str)
def test_a_mark_says_that_a_turn_is_not_learnt_and_a_note_says_which(marks):
    for schema in ("messages", "conversations"):
        turn = answer_with(marks, schema)
        assert not turn.learnt and any("not to be learnt" in note for note in turn.notes)


@pytest.mark.parametrize("marks", LEARNT, ids=str)
def test_any_other_turn_is_learnt_without_a_word(marks):
    turn = answer_with(marks)
    assert turn.learnt and not turn.notes


@pytest.mark.parametrize(("marks", "note"), NOTED.values(), ids=NOTED)
def test_a_mark_that_cannot_be_followed_is_said(marks, note):
    turn = answer_with(marks)
    assert turn.learnt and turn.notes[0].startswith(note)


def test_marks_of_other_sides_hide_nothing_and_what_asks_for_them_is_said():
    row = {"messages": [{"role": "user", "content": "u", "weight": 0}, {"role": "user", "content": "v", "train": True}]}
    one, other = read_turns(row, "messages")
    assert (one.learnt, one.notes, other.learnt) == (True, (), True)
    assert other.notes == ("train: marks turns of the user to be learnt, which are never scored",)


def test_marks_make_no_other_turn_of_it():
    assert answer_with({"weight": 0}) == answer_with({})


def test_columns_that_hold_no_mark_are_none():
    row = {"train": "split a", "loss": None, "weight": "", "training": {"epochs": 3}, "messages": [], "loss_mask": [1]}
    assert learning_marks.find_row_marks(row) == {"loss_mask": [1]}


def test_a_turn_that_an_answer_repeats_is_learnt_where_both_are():
    asked = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    chosen = [
        asked[0],
        asked[1] | {"weight": 0},
        {"role": "user", "content": "v"},
        {"role": "assistant", "content": "b"},
    ]
    turns = read_turns({"prompt": asked, "chosen": chosen, "rejected": "c"}, "preference")
    assert [(turn.text, turn.learnt) for turn in turns[:4]] == [("u", True), ("a", False), ("v", True), ("b", True)]
