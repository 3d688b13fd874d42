"""The rows of an eval set in every format: wrapped files are unwrapped, damage costs its own rows alone."""

import json

import pytest
from helpers.corpora import FORMATS, write_records
from helpers.evalsets import read_rows

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
