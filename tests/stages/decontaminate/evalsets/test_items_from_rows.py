"""From rows to items: every row is an item or counted under what it is, and nothing is empty unseen."""

import json

import datasets
import pytest
from helpers.evalsets import read_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets import check_lock, hash_item, open_evals, read_lock, write_lock


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
    assert "clean result proves nothing" in caught.value.hint


def test_a_file_without_a_readable_row_or_question_is_an_error(tmp_path):
    (tmp_path / "bad.jsonl").write_text("1\n2\n")
    with pytest.raises(CorpusError, match=r"no row can be read; bad.jsonl, row 0: .*a number, not an object"):
        open_evals([str(tmp_path / "bad.jsonl")])
    with pytest.raises(CorpusError, match=r"2 rows and not one question; none has text in \"question\""):
        read_rows(tmp_path, [{"question": ""}, {"question": " "}], "question=question")
