"""``--eval-fields``: what the user says of the columns goes before what is found, for all sets or for one."""

import pytest
from helpers.corpora import write_records
from helpers.evalsets import read_item, read_rows

from curate.errors import CorpusError, UsageError
from curate.stages.decontaminate.evalsets import open_evals, parse_fields


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
        ("question=", "an eval set needs questions"),
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
