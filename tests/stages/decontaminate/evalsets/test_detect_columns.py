"""The layout of each known benchmark is detected from the names of its columns, in any case and spelling."""

import pytest
from helpers.evalsets import read_item, read_rows

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets import detect_columns
from curate.stages.decontaminate.evalsets.column_names import alike

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


def test_names_of_columns_are_alike_in_any_case_and_spelling(tmp_path):
    assert alike("Best Answer") == alike("best_answer") == alike("bestAnswer") == alike("BEST-ANSWER") == "bestanswer"
    item = read_item(tmp_path, {"QUESTION": "Q", "Answer Key": "B", "Answer_Choices": ["w", "x"]})
    assert (item.questions, item.choices, item.answer) == (("Q",), ("w", "x"), "x")


def test_a_file_without_a_question_column_is_an_error_that_lists_the_columns(tmp_path):
    with pytest.raises(CorpusError, match=r"set.jsonl: no column .* there are: url, score") as caught:
        read_rows(tmp_path, [{"url": "http", "score": 3}])
    assert caught.value.hint == "--eval-fields question=COLUMN"


def test_a_new_schema_is_one_row_of_the_table(tmp_path, monkeypatch):
    """Columns that no list of names has, options that one text lists, and what joins the question."""
    row = {"Rubric": "Sort them", "Exhibit": "b, a", "Good Ones": "a; b", "bad_ones": "c"}
    with pytest.raises(CorpusError, match="no column is known as the question"):
        read_item(tmp_path, row)
    schema = detect_columns.EvalSchema(
        ("rubric", "exhibit", "goodones"),
        {"question": ("rubric", "exhibit"), "choices": ("goodones", "badones")},
        joint="\n",
        separated=("goodones",),
    )
    monkeypatch.setattr(detect_columns, "SCHEMAS", (*detect_columns.SCHEMAS, schema))
    item = read_item(tmp_path, row)
    assert (item.questions, item.choices) == (("Sort them\nb, a",), ("a", "b", "c"))
    listed = detect_columns.EvalSchema(("rubric", "exhibit"), {"question": ("rubric",)}, lists=("exhibit",))
    monkeypatch.setattr(detect_columns, "SCHEMAS", (listed,))
    with pytest.raises(CorpusError, match="no column is known as the question"):
        read_item(tmp_path, row)
    assert read_item(tmp_path, {**row, "Exhibit": ["b", "a"]}).questions == ("Sort them",)
