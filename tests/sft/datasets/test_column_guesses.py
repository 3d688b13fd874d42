"""Which columns hold questions and answers is told by their names, then by what they hold; never by their places."""

import pytest

from curate.sft.datasets.column_guesses import ANSWERED_WORDS, guess_pair, guess_side, split_name

LONG = [f"The answer to number {number} is a sentence of many more words than its question." for number in range(6)]
SHORT = [f"What is number {number}?" for number in range(6)]
MARKS = {
    "uid": [f"row-{number}" for number in range(6)],
    "topic": ["maths", "prose"] * 3,
    "source_url": [f"https://example.org/a/{number}" for number in range(6)],
    "hint": ["easy"] * 6,
    "score": list(range(6)),
}


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        *(("body_q", "body_r"), ("Q", "A"), ("userInput", "botReply"), ("frage", "antwort"), ("ask", "loesung")),
        *(("the_question", "text"), ("text", "gold_answer"), ("instructions", "outputs"), ("x", "y")),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_pair_is_found_behind_columns_about_the_row(asked, answered, turned):
    columns = MARKS | ({answered: LONG, asked: SHORT} if turned else {asked: SHORT, answered: LONG})
    if turned and asked == "frage":  # whose names say nothing: the order of the columns decides
        asked, answered = answered, asked
    assert guess_pair(columns) == (asked, answered)


def test_one_text_and_no_text_are_no_pair():
    assert guess_pair(MARKS | {"text": LONG}) is None or "text" in (guess_pair(MARKS | {"text": LONG}) or ())
    assert guess_pair({"id": list(range(6)), "text": LONG}) is None and guess_pair({}) is None


@pytest.mark.parametrize(("column", "expected"), [("loesung", "loesung"), ("gold_label", "gold_label")])
def test_the_missing_side_is_neither_an_id_nor_one_text_alone(column, expected):
    values = ["yes", "no"] * 3 if "label" in column else LONG
    assert guess_side(MARKS | {"task": SHORT, column: values}, ANSWERED_WORDS, ["task"]) == expected


def test_names_have_parts():
    assert split_name("goldAnswerText") == ["gold", "answer", "text"] and split_name("HTMLBody_q2") == [
        *("html", "body", "q")
    ]
