"""Laws of reading eval sets: what is asked is found by its column's name, every row is accounted for, nothing is empty
unseen, and a lock tells what became different."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from helpers.corpora import FORMATS, write_records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import console
from curate.errors import CorpusError, StorageError, UsageError
from curate.evalsets import check_lock, hash_item, known_names, open_evals, parse_fields, read_lock, write_lock
from curate.evalsets.columns import alike
from curate.evalsets.hub import pin_url, unpin_url
from curate.evalsets.known import read_known
from curate.evalsets.options import UNSURE, Options, as_options, find_base, split_options, strip_letters

COMMIT, OTHER = "a" * 40, "b" * 40


def read_rows(tmp_path, rows, fields=None, name="set.jsonl"):
    """The eval set that one file of these rows is."""
    path = write_records(tmp_path / name, rows)
    (found,) = open_evals([str(path)], parse_fields(fields))
    return found


def read_item(tmp_path, row, fields=None):
    """The item that a file of one row holds."""
    (item,) = read_rows(tmp_path, [row], fields).items
    return item


# What one row of each benchmark's layout becomes: questions, context, choices, answer.
LAYOUTS = {
    "gsm8k": ({"question": "2 + 2?", "answer": "It is #### 4"}, ("2 + 2?",), "", (), "It is #### 4"),
    "math": ({"problem": "Solve x.", "level": "Level 1", "solution": "x = 1"}, ("Solve x.",), "", (), "x = 1"),
    "math_500": ({"problem": "P", "solution": "long", "answer": "4", "unique_id": "a"}, ("P",), "", (), "4"),
    "mmlu": ({"question": "Q", "subject": "s", "choices": ["w", "x"], "answer": 1}, ("Q",), "", ("w", "x"), "x"),
    "mmlu_pro": (
        {"question_id": 7, "question": "Q", "options": ["w", "x"], "answer": "B", "answer_index": 1, "cot_content": ""},
        ("Q",), "", ("w", "x"), "x",
    ),
    "arc": (
        {"id": "m", "question": "Q", "choices": {"text": ["w", "x"], "label": ["1", "2"]}, "answerKey": "2"},
        ("Q",), "", ("w", "x"), "x",
    ),
    "arc_original": (
        {"id": "m", "question": {"stem": "Q", "choices": [{"text": "w", "label": "A"}, {"text": "x", "label": "B"}]},
         "answerKey": "A"},
        ("Q",), "", ("w", "x"), "w",
    ),
    "openbookqa": (
        {"question_stem": "Q", "choices": {"text": ["w", "x"], "label": ["A", "B"]}, "answerKey": "B "},
        ("Q",), "", ("w", "x"), "x",
    ),
    "hellaswag": (
        {"ind": 4, "ctx_a": "a", "ctx_b": "b", "ctx": "A man sits. He", "endings": ["runs.", "eats."], "label": "0"},
        ("A man sits. He",), "", ("runs.", "eats."), "runs.",
    ),
    "winogrande": (
        {"sentence": "The _ is big.", "option1": "box", "option2": "hat", "answer": "1"},
        ("The _ is big.",), "", ("box", "hat"), "box",
    ),
    "piqa": ({"goal": "Open it", "sol1": "w", "sol2": "x", "label": 1}, ("Open it",), "", ("w", "x"), "x"),
    "siqa": (
        {"context": "C", "question": "Q", "answerA": "w", "answerB": "x", "answerC": "y", "label": "3"},
        ("Q",), "C", ("w", "x", "y"), "y",
    ),
    "boolq": ({"question": "is it", "passage": "It is.", "answer": True}, ("is it",), "It is.", (), "true"),
    "superglue_boolq": ({"question": "is it", "passage": "It is.", "idx": 3, "label": 1}, ("is it",), "It is.", (), ""),
    "copa": (
        {"premise": "It fell.", "choice1": "w", "choice2": "x", "question": "cause", "label": 1},
        ("It fell.",), "", ("w", "x"), "x",
    ),
    "nli": ({"premise": "P", "hypothesis": "H", "label": "entailment"}, ("H",), "P", (), "entailment"),
    "sciq": (
        {"question": "Q", "distractor1": "w", "distractor2": "x", "correct_answer": "y", "support": "S"},
        ("Q",), "S", ("w", "x", "y"), "y",
    ),
    "gpqa": (
        {"Pre-Revision Question": "old", "Question": "Q", "Correct Answer": "y", "Incorrect Answer 1": "w",
         "Incorrect Answer 2": "x", "Record ID": "rec"},
        ("Q",), "", ("w", "x", "y"), "y",
    ),
    "medmcqa": ({"question": "Q", "opa": "w", "opb": "x", "opc": "y", "cop": 2}, ("Q",), "", ("w", "x", "y"), "y"),
    "letters": ({"Question": "Q", "A": "w", "B": "x", "C": "y", "Answer": "C"}, ("Q",), "", ("w", "x", "y"), "y"),
    "option_a": ({"question": "Q", "option_a": "w", "option_b": "x", "answer": "a"}, ("Q",), "", ("w", "x"), "w"),
    "aqua": (
        {"question": "Q", "options": ["A)5", "B)6"], "rationale": "so it is 6", "correct": "B"},
        ("Q",), "", ("5", "6"), "so it is 6",
    ),
    "agieval": (
        {"passage": None, "question": "Q", "options": ["(A)w", "(B)x"], "label": "B", "answer": None},
        ("Q",), "", ("w", "x"), "x",
    ),
    "agieval_cloze": ({"question": "Q", "options": None, "label": None, "answer": "7"}, ("Q",), "", (), "7"),
    "agieval_hub": ({"query": "Q", "choices": ["(A)w", "(B)x"], "gold": [1]}, ("Q",), "", ("w", "x"), "x"),
    "bbh": ({"input": "not True is", "target": "False"}, ("not True is",), "", (), "False"),
    "bbh_letter": ({"input": "Which? (A) w (B) x", "target": "(A)"}, ("Which? (A) w (B) x",), "", (), ""),
    "bbq": (
        {"example_id": 8, "question_index": "1", "answer_info": {"ans0": ["x"]}, "context": "C", "question": "Q",
         "ans0": "w", "ans1": "x", "ans2": "y", "label": 2},
        ("Q",), "C", ("w", "x", "y"), "y",
    ),
    "humaneval": (
        {"task_id": "h/0", "prompt": "def f():\n", "canonical_solution": "    return 1\n", "test": "t"},
        ("def f():\n",), "", (), "    return 1\n",
    ),
    "mbpp": ({"task_id": 1, "text": "Write f.", "code": "f = 1", "test_list": ["t"]}, ("Write f.",), "", (), "f = 1"),
    "mbpp_sanitised": ({"task_id": 1, "prompt": "Write f.", "code": "f = 1"}, ("Write f.",), "", (), "f = 1"),
    "livecodebench": ({"question_title": "t", "question_content": "Q", "starter_code": ""}, ("Q",), "", (), ""),
    "svamp": (
        {"ID": "c-1", "Body": "There are 3.", "Question": "How many?", "Equation": "3", "Answer": 3.0, "Type": "t"},
        ("There are 3. How many?",), "", (), "3",
    ),
    "alpaca": ({"instruction": "Do it.", "input": "this", "output": "done"}, ("Do it.\nthis",), "", (), "done"),
    "alpaca_bare": ({"instruction": "Do it.", "input": "", "output": "done"}, ("Do it.",), "", (), "done"),
    "self_instruct": (
        {"id": "u", "instruction": "Do it.", "instances": [{"input": "", "output": ""}, {"input": "i", "output": "o"}]},
        ("Do it.\ni",), "", (), "o",
    ),
    "ifeval": ({"key": 1, "prompt": "Write.", "instruction_id_list": ["a"], "kwargs": [{}]}, ("Write.",), "", (), ""),
    "mt_bench": (
        {"question_id": 81, "category": "c", "turns": ["Q1", "Q2"], "reference": ["A1", "A2"]},
        ("Q1", "Q2"), "", (), "A1\nA2",
    ),
    "messages": (
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Q1"},
                      {"role": "assistant", "content": "A1"},
                      {"role": "user", "content": [{"type": "text", "text": "Q2"}]},
                      {"role": "assistant", "content": "A2"}]},
        ("Q1", "Q2"), "", (), "A2",
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, ("Q",), "", (), "A",
    ),
    "squad": (
        {"id": "s", "context": "C", "question": "Q", "answers": {"text": ["first", "second"], "answer_start": [0, 1]}},
        ("Q",), "C", (), "first",
    ),
    "squad_v2": ({"context": "C", "question": "Q", "answers": {"text": [], "answer_start": []}}, ("Q",), "C", (), ""),
    "xquad": ({"context": "C", "question": "Q", "answers": [{"answer_start": 3, "text": "8"}]}, ("Q",), "C", (), "8"),
    "coqa": (
        {"story": "S", "questions": ["Q1", "Q2"], "answers": {"input_text": ["A1", "A2"], "answer_start": [0, 1]}},
        ("Q1", "Q2"), "S", (), "A1\nA2",
    ),
    "nq_open": ({"question": "Q", "answer": ["first", "second"]}, ("Q",), "", (), "first"),
    "triviaqa": ({"question": "Q", "answer": {"aliases": ["x"], "value": "the one"}}, ("Q",), "", (), "the one"),
    "drop": ({"passage": "P", "question": "Q", "answers_spans": {"spans": ["4"], "types": []}}, ("Q",), "P", (), "4"),
    "race": (
        {"example_id": "h", "article": "P", "question": "Q", "options": ["w", "x"], "answer": "A"},
        ("Q",), "P", ("w", "x"), "w",
    ),
    "reclor": (
        {"context": "C", "question": "Q", "answers": ["w", "x", "y"], "label": 1, "id_string": "r"},
        ("Q",), "C", ("w", "x", "y"), "x",
    ),
    "truthfulqa": (
        {"Type": "t", "Question": "Q", "Best Answer": "No", "Correct Answers": "No; Never", "Incorrect Answers": "Yes"},
        ("Q",), "", ("No", "Never", "Yes"), "No",
    ),
    "truthfulqa_hub": (
        {"question": "Q", "best_answer": "No; not", "correct_answers": ["No; not"], "incorrect_answers": ["Yes"]},
        ("Q",), "", ("No; not", "Yes"), "No; not",
    ),
    "truthfulqa_mc": (
        {"question": "Q", "mc1_targets": {"choices": ["w", "x"], "labels": [0, 1]},
         "mc2_targets": {"choices": ["w", "x", "y"], "labels": [1, 1, 0]}},
        ("Q",), "", ("w", "x"), "x",
    ),
    "mathqa": (
        {"Problem": "Q", "options": "a ) 38 , b ) 27.675 , c ) 30", "correct": "c", "Rationale": ""},
        ("Q",), "", ("38", "27.675", "30"), "30",
    ),
    "musr": (
        {"narrative": "N", "question": "Q", "choices": "['w', 'x']", "answer_index": 0}, ("Q",), "N", ("w", "x"), "w",
    ),
    "hotpotqa": (
        {"question": "Q", "answer": "yes", "context": {"title": ["T"], "sentences": [["One.", "Two."]]}},
        ("Q",), "T\nOne.\nTwo.", (), "yes",
    ),
    "lambada": ({"text": "and so it was."}, ("and so it was.",), "", (), ""),
    "wikitext": ({"page": "= Title ="}, ("= Title =",), "", (), ""),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_a_benchmark_is_known(tmp_path, layout):
    row, questions, context, choices, answer = LAYOUTS[layout]
    item = read_item(tmp_path, row)
    assert (item.questions, item.context, item.choices, item.answer) == (questions, context, choices, answer)


PARQUET = ["gsm8k", "mmlu", "arc", "arc_original", "svamp", "mt_bench", "sharegpt", "squad", "self_instruct", "coqa"]


@pytest.mark.parametrize("layout", PARQUET)
def test_parquet_gives_what_json_gives(tmp_path, layout):
    row, questions, context, choices, answer = LAYOUTS[layout]
    (item,) = read_rows(tmp_path, [row], name="set.parquet").items
    assert (item.questions, item.context, item.choices, item.answer) == (questions, context, choices, answer)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_eval_set_may_have_any_format_that_a_corpus_has(tmp_path, suffix):
    rows = [{"id": str(number), "question": f"What is {number}?", "answer": str(number + 1)} for number in range(5)]
    found = read_rows(tmp_path, rows, name=f"sums.{suffix}")
    assert [(item.id, *item.questions, item.answer, item.row) for item in found.items] == [
        (str(number), f"What is {number}?", str(number + 1), number) for number in range(5)
    ]
    assert found.read == 5 and found.fields == {"question": ("question",), "answer": ("answer",), "id": ("id",)}


def test_names_of_columns_are_alike_in_any_case_and_spelling(tmp_path):
    assert alike("Best Answer") == alike("best_answer") == alike("bestAnswer") == alike("BEST-ANSWER") == "bestanswer"
    item = read_item(tmp_path, {"QUESTION": "Q", "Answer Key": "B", "Answer_Choices": ["w", "x"]})
    assert (item.questions, item.choices, item.answer) == (("Q",), ("w", "x"), "x")


def test_an_original_file_that_wraps_its_rows_is_unwrapped(tmp_path):
    bbh = {"canary": "do not train", "examples": [{"input": "Q", "target": "yes"}, {"input": "R", "target": "no"}]}
    (tmp_path / "bbh.json").write_text(json.dumps(bbh))
    asked = {"id": "1", "question": "Q", "answers": [{"text": "yes", "answer_start": 0}]}
    squad = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "C", "qas": [asked]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(squad, indent=1))
    first, second = open_evals([str(tmp_path)])
    assert [(*item.questions, item.answer) for item in first.items] == [("Q", "yes"), ("R", "no")]
    assert [(item.id, *item.questions, item.context, item.answer) for item in second.items] == [("1", "Q", "C", "yes")]


# ----------------------------------------------------------------------------------------------- options and pointers


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
    assert as_options({"A": "w", "B": "x"}) == Options(("w", "x"), ("A", "B"))


FOUR = Options(("w", "x", "y", "z"))


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
    assert base("answer", ["1", "2"], options=Options(("1", "2", "3"))) is None  # texts of options


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


def test_odd_values_become_text_or_nothing(tmp_path):
    rows = [
        {"question": "nan", "answer": float("nan"), "context": None},
        {"question": "list", "answer": [1, 2, 3], "context": ["one", None, "two"]},
        {"question": "date", "answer": {"number": "", "date": {"day": "3", "month": "May"}, "spans": []}},
        {"question": "surrogate \ud800", "answer": "", "context": 7},
        {"question": 42, "answer": False},
    ]
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = open_evals([str(path)])
    assert [item.answer for item in found.items] == ["", "[1, 2, 3]", "3 May", "", "false"]
    assert [item.context for item in found.items] == ["", "one\ntwo", "", "7", ""]
    assert [item.questions for item in found.items][3:] == [("surrogate \ufffd",), ("42",)]
    "".join(map(hash_item, found.items)).encode()


# --------------------------------------------------------------------------------------------------------- accounting


def test_every_row_is_an_item_or_counted_under_what_it_is(tmp_path):
    lines = [
        '{"id": "a", "question": "Q1", "answer": "1"}',
        "",
        '{"id": "b", "question": " ", "answer": "2"}',
        "[1, 2]",
        '{"id": "c", "question": "Q1", "answer": "1"}',
        '{"id": "a", "question": "Q1", "answer": "3"}',
        '{"question": "cut off',
        '{"id": "a#2", "question": "Q4"}',
        '{"question": "Q5", "id": null}',
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    (found,) = open_evals([str(tmp_path / "set.jsonl")])
    assert (found.read, len(found.items), found.duplicates, found.empty, found.unreadable) == (8, 4, 1, 1, 2)
    assert [(item.id, item.row) for item in found.items] == [("a", 0), ("a#2", 5), ("a#2#2", 7), ("8", 8)]
    assert found.clashing_ids == 2
    assert found.problems[0] == "set.jsonl, row 2: no text in question"
    assert found.problems[1].startswith("set.jsonl, row 3: ") and "a list, not an object" in found.problems[1]
    assert "not valid JSON" in found.problems[2]
    assert found.describe() == (
        'set   4 items   question "question", answer "answer"   '
        "(1 repeated, 1 without a question, 2 unreadable, 2 with the id of another)"
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["A", "(B)", "1", "Q?"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "label", "choices", "role", "content", "labels", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["id", "Question", "messages", "context", "choices", "A", "B", "ans0", "ans1", "answer", "label"]
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=6) | VALUES, min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_whatever_the_rows_hold_they_are_accounted_for_or_refused(tmp_path, rows):
    path = tmp_path / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        (found,) = open_evals([str(path)])
    except CorpusError:
        return
    assert found.read == len(rows) == len(found.items) + found.duplicates + found.empty + found.unreadable
    assert len({item.id for item in found.items}) == len(found.items) >= 1
    for item in found.items:
        texts = [item.id, *item.questions, item.context, *item.choices, item.answer]
        assert item.questions and all(type(text) is str for text in texts)
        "".join(texts).encode()
        assert all(text and not text.isspace() for text in (*item.questions, *item.choices))
    write_lock(tmp_path / "evals.lock", [found])
    assert check_lock(read_lock(tmp_path / "evals.lock"), [found]) == []


def test_only_the_first_problems_are_told_and_the_others_counted(tmp_path):
    found = read_rows(tmp_path, [{"question": "Q"}, *({"question": ""} for _ in range(9))])
    assert found.empty == 9 and len(found.problems) == 6 and found.problems[-1] == "and 4 more"


def test_rows_that_differ_in_anything_are_no_duplicates(tmp_path):
    row = {"question": "Q", "context": "C", "choices": ["w", "x"], "answer": "A"}
    rows = [row, {**row, "context": "D"}, {**row, "choices": ["w", "y"]}, {**row, "answer": "B"}, {**row}]
    found = read_rows(tmp_path, rows)
    assert len(found.items) == 4 and found.duplicates == 1


def test_the_fields_told_are_those_that_gave_texts(tmp_path):
    rows = [
        {"question": "Q1", "answer": "free", "label": None, "options": None, "solution": "unused"},
        {"question": "Q2", "answer": None, "label": "B", "options": ["w", "x"], "solution": "unused"},
    ]
    found = read_rows(tmp_path, rows)
    assert [item.answer for item in found.items] == ["free", "unused"]
    assert found.fields == {"question": ("question",), "choices": ("options",), "answer": ("answer", "solution")}


def test_a_set_of_one_row_is_a_set(tmp_path):
    found = read_rows(tmp_path, [{"prompt": "Q"}])
    assert found.read == len(found.items) == 1 and found.items[0].id == "0" and found.items[0].set == "set"


@pytest.mark.parametrize("name", ["set.jsonl", "set.csv", "set.parquet"])
def test_an_empty_file_is_an_error(tmp_path, name):
    if name.endswith(".parquet"):
        datasets.Dataset.from_dict({"question": []}).to_parquet(tmp_path / name)
    else:
        (tmp_path / name).write_text("question,answer\n" if name.endswith(".csv") else "\n")
    with pytest.raises(CorpusError, match="0 items") as caught:
        open_evals([str(tmp_path / name)])
    assert "clean result would mean nothing" in caught.value.hint


def test_a_file_without_a_readable_row_or_question_is_an_error(tmp_path):
    (tmp_path / "bad.jsonl").write_text("1\n2\n")
    with pytest.raises(CorpusError, match=r"no row can be read; bad.jsonl, row 0: .*a number, not an object"):
        open_evals([str(tmp_path / "bad.jsonl")])
    with pytest.raises(CorpusError, match=r"2 rows and not one question; none has text in \"question\""):
        read_rows(tmp_path, [{"question": ""}, {"question": " "}], "question=question")


def test_a_file_without_a_question_column_is_an_error_that_lists_the_columns(tmp_path):
    with pytest.raises(CorpusError, match=r"set.jsonl: no column .* there are: url, score") as caught:
        read_rows(tmp_path, [{"url": "http", "score": 3}])
    assert caught.value.hint == "--eval-fields question=COLUMN"


def test_damage_costs_its_own_rows_alone(tmp_path):
    path = write_records(tmp_path / "set.parquet", [{"question": f"Q{row}"} for row in range(9)], rows_per_group=3)
    data = bytearray(path.read_bytes())
    place = data.index(b"Q4") - 4
    data[place : place + 12] = b"\xff" * 12
    path.write_bytes(data)
    (found,) = open_evals([str(path)])
    assert found.read == 9 and found.unreadable == 3 and "damaged" in found.problems[0]
    assert [item.row for item in found.items] == [0, 1, 2, 6, 7, 8]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(CorpusError, match=r"no row can be read; .*the Parquet file is damaged"):
        open_evals([str(path)])


# ------------------------------------------------------------------------------------------------------- --eval-fields


def test_fields_are_parsed_for_all_sets_and_for_one():
    assert parse_fields(None) == parse_fields("") == {}
    assert parse_fields("question=problem, answer = solution") == {
        "": {"question": ("problem",), "answer": ("solution",)}
    }
    assert parse_fields("gsm8k_test:question=Body+Question,context=; a/b@c:test:answer=x.y;id=n") == {
        "gsm8k_test": {"question": ("Body", "Question"), "context": ()},
        "a/b@c:test": {"answer": ("x.y",)},
        "": {"id": ("n",)},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question", "not of the form ROLE=COLUMN"),
        ("=a", 'no role ""'),
        ("question=", "without questions is none"),
        ("question=a+", "not of the form"),
        ("question=a=b", "not of the form"),
        ("questoin=a", 'no role "questoin"'),
        ("question=a,question=b", "twice"),
        ("question=a,b", "not of the form"),
    ],
)
def test_nonsense_in_fields_is_a_usage_error(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_fields(text)
    assert caught.value.hint


def test_what_the_user_says_goes_before_what_is_found(tmp_path):
    row = {
        "question": "short",
        "full_prompt": "long",
        "answer": "yes",
        "meta": {"gold": "deep"},
        "Body": "B",
        "key": "k",
    }
    assert read_item(tmp_path, row, "question=full_prompt").questions == ("long",)
    assert read_item(tmp_path, row, "question=Body+Full Prompt").questions == ("B long",)
    assert read_item(tmp_path, row, "answer=meta.gold").answer == "deep"
    assert read_item(tmp_path, row, "answer=answer+meta.gold").answer == "yes deep"
    assert read_item(tmp_path, row, "answer=").answer == ""
    assert read_item(tmp_path, row, "context=full_prompt+Body").context == "long\nB"
    assert read_item(tmp_path, row, "id=key+Body").id == "k/B"
    assert read_item(tmp_path, row, "choices=answer+Body").choices == ("yes", "B")
    found = read_rows(tmp_path, [row], "QUESTION=full_prompt".lower())
    assert found.fields["question"] == ("full_prompt",) and found.fields["answer"] == ("answer",)


def test_paths_lead_into_lists_and_objects(tmp_path):
    row = {"turns": [{"asked": "Q1"}, {"asked": "Q2"}], "question": "no"}
    assert read_item(tmp_path, row, "question=turns.asked").questions == ("Q1", "Q2")
    assert read_item(tmp_path, row, "question=turns.1.asked").questions == ("Q2",)


def test_a_column_that_no_row_has_is_an_error_that_lists_the_columns(tmp_path):
    with pytest.raises(
        CorpusError, match=r'no column "qestion" for the question; there are: question, answer'
    ) as caught:
        read_rows(tmp_path, [{"question": "Q", "answer": "A"}], "question=qestion")
    assert caught.value.hint == "--eval-fields question=question"
    with pytest.raises(CorpusError, match=r'no column "question.text"'):
        read_rows(tmp_path, [{"question": "Q", "answer": "A"}], "question=question.text")


def test_fields_for_one_set_leave_the_others_alone(tmp_path):
    write_records(tmp_path / "one.jsonl", [{"question": "Q", "prompt": "P"}])
    write_records(tmp_path / "two.jsonl", [{"question": "Q", "prompt": "P"}])
    one, two = open_evals([str(tmp_path)], parse_fields("two:question=prompt"))
    assert one.items[0].questions == ("Q",) and two.items[0].questions == ("P",)
    with pytest.raises(UsageError, match='is for "twoo", which is none of the eval sets: one, two') as caught:
        open_evals([str(tmp_path)], parse_fields("twoo:question=prompt"))
    assert caught.value.hint == "did you mean two?"


# --------------------------------------------------------------------------------------------------------------- names


def test_a_folder_and_a_pattern_give_a_set_for_each_file(tmp_path, capsys):
    for name in ("part-10.jsonl", "part-2.csv", "deep/other.jsonl.gz"):
        write_records(tmp_path / name, [{"question": name}])
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "notes.txt").write_text("about")
    console.enable()
    try:
        found = open_evals([str(tmp_path)])
    finally:
        console.enable(False)
    assert [one.name for one in found] == ["other", "part-2", "part-10"]
    assert "2 other files passed over" in capsys.readouterr().err
    assert [one.name for one in open_evals([f"{tmp_path}/*.jsonl"])] == ["part-10"]
    twice = open_evals([str(tmp_path / "part-2.csv"), f"{tmp_path}/part*"])
    assert [one.name for one in twice] == ["part-2", "part-10"]


def test_sets_of_one_stem_are_told_apart_by_their_paths(tmp_path):
    for name in ("a/test.jsonl", "b/test.jsonl", "b/test.csv", "b/sum.jsonl"):
        write_records(tmp_path / name, [{"question": name}])
    found = {one.name: one.items[0].questions[0] for one in open_evals([str(tmp_path)])}
    assert found == {
        "a/test": "a/test.jsonl",
        "b/test.csv": "b/test.csv",
        "b/test.jsonl": "b/test.jsonl",
        "sum": "b/sum.jsonl",
    }


def test_plain_text_alone_is_no_eval_set(tmp_path):
    (tmp_path / "notes.txt").write_text("What is this?")
    with pytest.raises(CorpusError, match="plain text has no columns"):
        open_evals([str(tmp_path / "notes.txt")])


def test_shards_of_one_file_are_one_set(tmp_path):
    for shard in range(2):
        rows = [{"question": f"Q{shard}{row}"} for row in range(3)]
        write_records(tmp_path / f"test-{shard:05d}-of-00002.parquet", rows)
    (found,) = open_evals([str(tmp_path)])
    assert found.name == "test" and found.source.endswith("test-*.parquet")
    assert [(item.id, item.row) for item in found.items] == [(str(place), place % 3) for place in range(6)]
    assert found.items[3].file == "test-00001-of-00002.parquet"


def test_a_saved_dataset_is_a_set_of_the_name_of_its_folder(tmp_path):
    saved = datasets.DatasetDict({"test": datasets.Dataset.from_list([{"question": "Q", "answer": "yes"}])})
    saved.save_to_disk(tmp_path / "sums")
    (found,) = open_evals([str(tmp_path / "sums")])
    assert found.name == "test" and found.source.endswith("sums/test") and found.items[0].answer == "yes"


def test_a_local_path_wins_over_a_known_name(tmp_path, monkeypatch):
    write_records(tmp_path / "gsm8k" / "mine.jsonl", [{"question": "Q"}])
    monkeypatch.chdir(tmp_path)
    (found,) = open_evals(["gsm8k"])
    assert found.name == "mine" and found.source == "gsm8k/mine.jsonl" and found.revision is None


def test_an_unknown_name_is_an_error_that_lists_the_nearest(tmp_path, monkeypatch):
    write_records(tmp_path / "my_evals.jsonl", [{"question": "Q"}])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="gsm8 is no file, no folder and no well-known eval set") as caught:
        open_evals(["gsm8"])
    assert "did you mean gsm8k" in caught.value.hint and "name a file" in caught.value.hint
    assert all(name in caught.value.hint for name in known_names())
    with pytest.raises(UsageError, match=r"my_eval\.jsonl does not exist") as caught:
        open_evals(["my_eval.jsonl"])
    assert "did you mean my_evals.jsonl" in caught.value.hint
    for nothing in ([], "gsm8k"):
        with pytest.raises(UsageError, match="no eval set is named"):
            open_evals(nothing)


# ------------------------------------------------------------------------------------------------------------- the Hub


@pytest.fixture
def hub(monkeypatch):
    """A Hub of whatever the test puts in ``rows``: split as the corpus spells it → rows. ``asked`` has every load."""

    state = SimpleNamespace(rows={}, asked=[], sha=COMMIT, error=None, checksums=None)

    def load(path, name=None, *, split, revision):
        state.asked.append((path, name, split, revision))
        if state.error is not None:
            raise state.error
        found = datasets.Dataset.from_list(state.rows[f"{path}@{name}:{split}" if name else f"{path}:{split}"])
        found.info.download_checksums = state.checksums
        return found

    class Api:
        def dataset_info(self, name, revision=None):
            if state.sha is None:
                raise ConnectionError("out of reach")
            return huggingface_hub.hf_api.DatasetInfo(id=name, sha=state.sha, tags=[])

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return state


GSM8K = [{"question": "2 + 2?", "answer": "#### 4"}, {"question": "1 + 1?", "answer": "#### 2"}]


@pytest.mark.parametrize("name", ["gsm8k", "GSM8K"])
def test_a_known_set_is_loaded_at_the_commit_that_the_hub_has(hub, name):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    (found,) = open_evals([name])
    assert hub.asked == [("openai/gsm8k", "main", "test", COMMIT)]
    assert (found.name, found.source, found.revision) == ("gsm8k", "openai/gsm8k@main:test", COMMIT)
    assert [item.answer for item in found.items] == ["#### 4", "#### 2"]
    assert found.items[1].file == "openai/gsm8k@main:test" and found.items[1].row == 1


def test_a_known_set_of_several_parts_has_the_rows_of_all(hub):
    known = read_known()["math"]
    for number, part in enumerate(known.parts):
        hub.rows[part] = [{"problem": f"P{number}", "solution": "S", "level": "1", "type": "t"}]
    (found,) = open_evals(["math"])
    assert len(found.items) == len(hub.asked) == 7 and found.items[0].id == "algebra/0"
    assert found.revision == COMMIT and found.clashing_ids == 0


def test_a_known_set_of_several_datasets_keeps_a_commit_for_each(hub, tmp_path):
    for number, part in enumerate(read_known()["agieval"].parts):
        hub.rows[part] = [{"query": f"Q{number}", "choices": ["(A)w", "(B)x"], "gold": [1]}]
    (found,) = open_evals(["agieval"])
    assert found.items[0].id == "agieval-aqua-rat/0" and found.items[0].answer == "x"
    assert found.revision == " ".join([COMMIT] * 10)
    write_lock(tmp_path / "evals.lock", [found])
    hub.asked.clear()
    hub.sha = OTHER
    (again,) = open_evals(["agieval"], lock=tmp_path / "evals.lock")
    assert {asked[3] for asked in hub.asked} == {COMMIT} and again == found


def test_a_split_of_the_hub_is_named_as_the_corpus_names_it(hub):
    hub.rows["me/sums:test"] = GSM8K
    (found,) = open_evals(["me/sums:test"], parse_fields("me/sums:test:answer="))
    assert found.name == found.source == "me/sums:test" and found.revision == COMMIT
    assert found.items[0].answer == ""


def test_the_packaged_columns_give_way_to_the_users(hub):
    hub.rows["openai/gsm8k@main:test"] = [{**row, "hint": "add"} for row in GSM8K]
    (found,) = open_evals(["gsm8k"], parse_fields("gsm8k:answer=hint"))
    assert found.items[0].answer == "add" and found.items[0].questions == ("2 + 2?",)


def test_a_packaged_column_that_is_gone_is_an_error(hub):
    hub.rows["openai/gsm8k@main:test"] = [{"problem": "Q", "answer": "A"}]
    with pytest.raises(CorpusError, match='has no column "question"'):
        open_evals(["gsm8k"])


def test_the_commit_that_was_loaded_is_told_where_the_hub_cannot_be_asked(hub):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    hub.sha = None
    (found,) = open_evals(["gsm8k"])
    assert hub.asked[-1][3] is None and found.revision is None
    hub.checksums = {f"hf://datasets/openai/gsm8k@{OTHER}/main/test-00000-of-00001.parquet": {"num_bytes": 1}}
    (found,) = open_evals(["gsm8k"])
    assert found.revision == OTHER


def test_a_pinned_commit_is_loaded_or_nothing(hub, tmp_path):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    write_lock(tmp_path / "evals.lock", open_evals(["gsm8k"]))
    hub.sha = OTHER
    (found,) = open_evals(["gsm8k"], lock=tmp_path / "evals.lock")
    assert hub.asked[-1][3] == found.revision == COMMIT
    assert open_evals(["gsm8k"], lock=tmp_path / "no.lock")[0].revision == OTHER
    hub.checksums = {f"hf://datasets/openai/gsm8k@{OTHER}/main/test-00000-of-00001.parquet": {"num_bytes": 1}}
    with pytest.raises(CorpusError, match=f"{COMMIT} was asked for, and {OTHER} came"):
        open_evals(["gsm8k"], lock=tmp_path / "evals.lock")


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (FileNotFoundError("no dataset 'openai/gsm8k'"), CorpusError, "OWNER/NAME:SPLIT"),
        (FileNotFoundError("'x' is a gated dataset"), CorpusError, "HF_TOKEN"),
        (RuntimeError("Dataset scripts are no longer supported, but found x.py"), CorpusError, "name those"),
        (ConnectionError("out of reach"), StorageError, "within reach"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_mends_it(hub, error, kind, hint):
    hub.error = error
    with pytest.raises(kind) as caught:
        open_evals(["gsm8k"])
    assert hint in caught.value.hint


def test_a_url_of_the_hub_is_pinned_to_a_commit(hub):
    url = "hf://datasets/openai/gsm8k/main/*.parquet"
    at = f"hf://datasets/openai/gsm8k@{COMMIT}/main/*.parquet"
    assert pin_url(url, None) == (at, COMMIT) and unpin_url(at) == url
    assert pin_url(url, OTHER) == (at.replace(COMMIT, OTHER), OTHER)
    assert pin_url(at, OTHER) == (at, COMMIT)  # the user's own commit wins
    hub.sha = None
    assert pin_url(url, None) == (url, None)
    assert pin_url("s3://bucket/file.jsonl", OTHER) == ("s3://bucket/file.jsonl", None)


def test_the_packaged_list_is_sound():
    known = read_known()
    assert len(known) >= 30 and {"gsm8k", "mmlu", "arc_challenge", "humaneval", "bbh"} <= set(known)
    assert len({alike(name) for name in known}) == len(known)
    for name, entry in known.items():
        assert entry.parts and entry.seen_in and entry.fields["question"], name
        assert all(part.count(":") == 1 and "/" in part for part in entry.parts), name
        assert entry.revision is None or (len(entry.revision) == 40 and entry.revision.isalnum())


# ------------------------------------------------------------------------------------------------- hashes and the lock


def test_the_hash_of_an_item_is_of_what_it_says_alone(tmp_path):
    first = read_item(tmp_path, {"id": "a", "question": "What is\nit?", "answer": "caf\u00e9"})
    again = read_item(tmp_path, {"prompt": "What  is it? ", "solution": "cafe\u0301", "key": 9})
    assert hash_item(first) == hash_item(again)
    rest = {"question": "What is it?", "answer": "café"}
    for other in ({"context": "C"}, {"options": ["w", "x"]}, {"answer": "CAFÉ"}, {"question": "What is it"}):
        assert hash_item(read_item(tmp_path, {**rest, **other})) != hash_item(first)
    assert hash_item(read_item(tmp_path, {"turns": ["a", "b"]})) != hash_item(read_item(tmp_path, {"turns": ["a b"]}))


def test_the_fingerprint_of_a_set_is_of_its_items_in_order(tmp_path):
    rows = [{"question": "Q1"}, {"question": "Q2"}]
    prints = [read_rows(tmp_path, some).fingerprint for some in (rows, rows[::-1], rows[:1], rows)]
    assert len(set(prints)) == 3 and prints[0] == prints[3]
    assert (
        read_rows(tmp_path, [{"prompt": "Q1", "id": 5}, {"prompt": "Q2", "id": 6}], name="x.csv").fingerprint
        == prints[0]
    )


def test_a_lock_says_nothing_of_sets_that_are_the_same(tmp_path):
    rows = [{"id": f"n{row}", "question": f"Q{row} é"} for row in range(3)]
    found = read_rows(tmp_path, rows)
    write_lock(tmp_path / "evals.lock", [found])
    first = (tmp_path / "evals.lock").read_bytes()
    lock = read_lock(tmp_path / "evals.lock")
    assert check_lock(lock, [found]) == []
    assert asdict(lock["set"]) == {
        "name": "set",
        "source": found.source,
        "revision": None,
        "fields": {"question": ("question",), "id": ("id",)},
        "hashes": {item.id: hash_item(item) for item in found.items},
    }
    write_lock(tmp_path / "evals.lock", [found])
    assert (tmp_path / "evals.lock").read_bytes() == first
    assert sum(b'"n1"' in line for line in first.splitlines()) == 1  # one line for each item


def test_a_lock_tells_every_kind_of_difference_in_words(tmp_path):
    rows = [{"id": f"n{row}", "question": f"Q{row}", "answer": "yes"} for row in range(4)]
    old = [read_rows(tmp_path, rows), read_rows(tmp_path, rows, name="gone.jsonl")]
    write_lock(tmp_path / "evals.lock", old)
    lock = read_lock(tmp_path / "evals.lock")
    changed = [{**rows[0], "question": "new"}, rows[1], rows[3], {"id": "n9", "question": "Q9"}]
    changed = [{**row, "solution": row.get("answer")} for row in changed]
    new = [read_rows(tmp_path, changed, "answer=solution"), read_rows(tmp_path, rows, name="more.jsonl")]
    assert check_lock(lock, new) == [
        "more: not in the lock",
        "gone: in the lock, and not among these eval sets",
        'set: answer is taken from "solution" instead of "answer"',
        "set: 1 item added (n9)",
        "set: 1 item removed (n2)",
        "set: 1 item changed (n0)",
    ]
    assert check_lock({"set": lock["set"]}, [read_rows(tmp_path, rows[::-1])]) == [
        "set: the same items in another order"
    ]
    many = [{"id": f"n{row}", "question": "other", "context": str(row), "answer": "yes"} for row in range(7)]
    assert check_lock({"set": lock["set"]}, [read_rows(tmp_path, many)]) == [
        'set: context is taken from "context" instead of nothing',
        "set: 3 items added (n4, n5, n6)",
        "set: 4 items changed (n0, n1, n2, n3)",
    ]


def test_a_lock_tells_another_commit(hub, tmp_path):
    hub.rows["openai/gsm8k@main:test"] = GSM8K
    write_lock(tmp_path / "evals.lock", open_evals(["gsm8k"]))
    hub.sha = OTHER
    assert check_lock(read_lock(tmp_path / "evals.lock"), open_evals(["gsm8k"])) == [
        f"gsm8k: revision {COMMIT} became {OTHER}"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("not json", "is no lock"),
        ("[]", "is no lock"),
        ('{"version": 1, "sets": {"a": {"hashes": {}}}}', "is no lock"),
        ('{"version": 2, "sets": {}}', "version 2"),
        (
            '{"version": 1, "sets": {"a": {"source": "s", "revision": null, "fields": {}, "items": 2, "hashes": {}}}}',
            "0 hashes for 2 items",
        ),
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error(tmp_path, text, message):
    path = tmp_path / "evals.lock"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_lock(path)
