"""Multiple choice: letters are stripped, and an answer that only points becomes the text of its option."""

from helpers.evalsets import read_item, read_rows

from curate.stages.decontaminate.evalsets.choices import (
    UNSURE,
    AnswerChoices,
    as_options,
    find_base,
    split_options,
    strip_letters,
)


def test_letters_are_stripped_from_options_only_where_each_has_its_own():
    for spelled in ("({0}) {1}", "{0}) {1}", "{0}. {1}", "{0}: {1}", "({0}){1}", "{0} ) {1}"):
        texts = [spelled.format(letter, text) for letter, text in zip("ABC", ("w", "x y", "z"), strict=True)]
        assert strip_letters(texts) == ("w", "x y", "z")
    assert strip_letters(["A. Lincoln", "G. Washington"]) == ("A. Lincoln", "G. Washington")
    assert strip_letters(["A) alone"]) == ("A) alone",)
    assert strip_letters([]) == ()


def test_one_text_may_list_all_options():
    assert split_options("w; x;y") == ["w", "x", "y"]
    assert split_options("(A) w (B) x") == ["w", "x"]
    assert split_options('["w", "x; y"]') == ["w", "x; y"]
    assert split_options("w\nx; y\n") == ["w", "x; y"]
    assert as_options({"A": "w", "B": "x"}) == AnswerChoices(("w", "x"), ("A", "B"))


def test_a_text_that_python_cannot_read_is_one_option(tmp_path):
    """literal_eval raises five kinds of errors, and warns."""
    odd = (
        "{{7}}",
        "{{}}",
        "{[1]: 2}",
        "{{1}: 2}",
        "[1",
        "(" * 300 + ")" * 300,
        "9" * 5000,
        "[*[1]]",
        r'"\d" + x',
        "\0",
    )
    for text in odd:
        assert split_options(text) == [text]
        rows = [{"question": "What is it?", "choices": choices} for choices in (text, ["w", "x"])]
        assert [item.choices for item in read_rows(tmp_path, rows).items] == [(text,), ("w", "x")]


FOUR = AnswerChoices(("w", "x", "y", "z"))


def test_the_number_of_the_first_option_is_told_by_all_answers():
    def base(column, values, first=None, options=FOUR):
        return find_base(column, [(value, options) for value in values], first)

    assert base("answer", [0, 3, 1]) == base("label", ["0", "2"]) == 0
    assert base("answer", [1, 4, 2]) == base("label", ["4"]) == 1
    assert base("answer", [1, 2]) == 0  # numbers count from 0 where nothing says otherwise
    assert base("answer", ["1", "2"]) == UNSURE  # strings may count from either
    assert base("answer", ["1", "2"], first=1) == 1  # option1, option2
    assert base("answer", [0, 4]) is base("answer", [18, 2]) is base("answer", ["1", "Paris"]) is None
    assert base("label", [-1, 0]) == 0  # -1 stands for a hidden label
    assert base("answer", ["1", "2"], options=AnswerChoices(("1", "2", "3"))) is None  # texts of options


def test_an_answer_that_only_points_becomes_the_text_of_its_option(tmp_path):
    rows = [{"question": f"Q{number}", "choices": ["w", "x", "y"], "answer": number} for number in (0, 2, 7)]
    rows[2]["answer"] = 1
    assert [item.answer for item in read_rows(tmp_path, rows).items] == ["w", "y", "x"]
    for pointer in ("(C)", "C)", "C.", "C", "c", "C) y"):
        assert read_item(tmp_path, {"question": "Q", "choices": ["w", "x", "y"], "answer": pointer}).answer == "y"
    assert read_item(tmp_path, {"question": "Q", "choices": ["w", "x", "y"], "answer": "E"}).answer == ""
    assert read_item(tmp_path, {"question": "Q", "choices": ["w", "x"], "answer": ["A", "B"]}).answer == "w\nx"


def test_numbers_that_are_answers_stay_numbers(tmp_path):
    assert read_item(tmp_path, {"question": "Q", "answer": 18}).answer == "18"
    assert read_item(tmp_path, {"question": "Q", "answer": "0.50"}).answer == "0.50"
    assert read_item(tmp_path, {"question": "Q", "choices": ["12", "3", "18"], "answer": "3"}).answer == "3"
    assert read_item(tmp_path, {"question": "Q", "choices": ["w", "x"], "answer": 18}).answer == "18"


def test_a_pointer_without_options_is_no_answer(tmp_path):
    for answer in ("B", "(B)", "B."):
        assert read_item(tmp_path, {"question": "Q", "answer": answer}).answer == ""
    assert read_item(tmp_path, {"question": "Q", "label": 3}).answer == ""
    assert read_item(tmp_path, {"question": "Q", "answer": "B", "solution": "since …"}).answer == "since …"
