"""The rows of an eval set in every format: wrapped files are unwrapped, damage costs its own rows alone."""

import json

import pyarrow as pa
import pytest
from helpers.corpora import FORMATS, write_columns, write_records
from helpers.evalsets import read_rows

from curate.corpus.values.arrow_values import encode_json
from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets import open_evals


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_eval_set_may_have_any_format_that_a_corpus_has(tmp_path, suffix):
    rows = [{"id": str(number), "question": f"What is {number}?", "answer": str(number + 1)} for number in range(5)]
    found = read_rows(tmp_path, rows, name=f"sums.{suffix}")
    assert [(item.id, *item.questions, item.answer, item.row) for item in found.items] == [
        (str(number), f"What is {number}?", str(number + 1), number) for number in range(5)
    ]
    assert found.read == 5 and found.fields == {"question": ("question",), "answer": ("answer",), "id": ("id",)}


def test_an_original_file_that_wraps_its_rows_is_unwrapped(tmp_path):
    bbh = {"canary": "do not train", "examples": [{"input": "Q", "target": "yes"}, {"input": "R", "target": "no"}]}
    (tmp_path / "bbh.json").write_text(json.dumps(bbh))
    asked = {"id": "1", "question": "Q", "answers": [{"text": "yes", "answer_start": 0}]}
    squad = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "C", "qas": [asked]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(squad, indent=1))
    first, second = open_evals([str(tmp_path)])
    assert [(*item.questions, item.answer) for item in first.items] == [("Q", "yes"), ("R", "no")]
    assert [(item.id, *item.questions, item.context, item.answer) for item in second.items] == [("1", "Q", "C", "yes")]


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


ITEMS = [
    {"id": 1, "question": "What is it?", "choices": ["w", "x"], "answer": 1},
    {"id": "b", "question": ["One?", "Two?"], "choices": {"A": "y", "B": "z"}, "answer": "A"},
    {"id": None, "question": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]},
    {"id": 3, "question": {"stem": "Where?"}, "choices": '["here", "there"]', "answer": ["here", "there"]},
]


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_items_in_columns_of_json_values_are_those_of_json_lines(tmp_path, name):
    (lines,) = open_evals([str(write_records(tmp_path / "lines" / "set.jsonl", ITEMS))])
    names = ("id", "question", "choices", "answer")
    columns = {name: encode_json([item.get(name) for item in ITEMS]) for name in names}
    write_columns(tmp_path / "typed" / name, pa.table(columns), 2)
    (typed,) = open_evals([str(tmp_path / "typed" / name)])
    assert typed.fields == lines.fields and len(typed.items) == 4
    for found, expected in zip(typed.items, lines.items, strict=True):
        assert (found.id, found.questions, found.choices, found.answer) == (
            expected.id, expected.questions, expected.choices, expected.answer
        )  # fmt: skip


def test_an_item_that_is_no_json_is_unreadable_and_the_others_are_read(tmp_path):
    questions = pa.array(['"Who?"', '"Where', "[" * 600 + "]" * 600, '"When?"'])
    column = pa.ExtensionArray.from_storage(pa.json_(), questions)
    write_columns(
        tmp_path / "set.parquet",
        pa.table({"question": column, "when": pa.array([10**8] * 4, pa.int32()).cast(pa.date32())}),
        4,
    )
    (found,) = open_evals([str(tmp_path / "set.parquet")])
    assert [(item.row, item.questions) for item in found.items] == [(0, ("Who?",)), (3, ("When?",))]
    assert found.unreadable == 2 and "not valid JSON" in found.problems[0]


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_columns_of_one_name_and_odd_types_are_read(tmp_path, name):
    answers = pa.array([["x", "y"]], pa.list_view(pa.string_view()))
    table = pa.table([pa.array(["Who?"]), answers, pa.array(["other"])], ["question", "choices", "question"])
    write_columns(tmp_path / name, table, 4)
    (found,) = open_evals([str(tmp_path / name)])
    assert [(item.questions, item.choices) for item in found.items] == [(("Who?",), ("x", "y"))]
