"""What an export writes of leaks: the eval sets of a row, its text without passages, and how many characters went."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from helpers.runs import make_run, write_hits, write_lines

from curate.errors import TableError, UsageError
from curate.exports import leaked_passages
from curate.exports.leaked_passages import LeakedPassages, LeakTreatment


def hit(start=0, end=0, action="cut", name="gsm8k"):
    return {"start": start, "end": end, "action": action, "eval_set": name}


def slice_of(*texts, rows=None):
    rows = np.arange(len(texts)) if rows is None else np.array(rows)

    class Documents(SimpleNamespace):
        def __len__(self):
            return len(texts)

    return Documents(rows=rows, texts=texts, mark=SimpleNamespace(file="a.jsonl"))


def test_a_row_names_its_eval_sets_once_in_the_order_of_the_alphabet():
    hits = {3: [hit(name="mmlu"), hit(name="arc"), hit(name="mmlu")], 9: [hit()]}
    found = leaked_passages.name_sets([1, 3, 9], hits)
    assert found.to_pylist() == [None, "arc, mmlu", "gsm8k"] and found.type == pa.large_string()


def test_the_passages_of_each_row_are_cut_and_their_characters_counted_once():
    documents = slice_of("one two three", "four five", None, "six", "é日 seven", rows=[2, 4, 5, 6, 8])
    table = pa.table({"id": range(5), "body": list(documents.texts)})
    hits = {
        2: [hit(0, 3), hit(2, 5)],
        4: [hit(0, 4, action="mark")],
        5: [hit(0, 1)],
        8: [hit(1, 2, action="mark"), hit(0, 2)],
    }
    cut, removed = leaked_passages.cut_passages(documents, table, "body", hits)
    assert cut.column("body").to_pylist() == [" wo three", "four five", None, "six", "  seven"]
    assert removed.to_pylist() == [5, 0, 0, 0, 2] and removed.type == pa.int64()
    assert cut.column_names == ["id", "body"] and cut.column("id").to_pylist() == list(range(5))
    unchanged, removed = leaked_passages.cut_passages(documents, table, "body", {4: [hit(0, 4, action="mark")]})
    assert unchanged is table and removed.to_pylist() == [0] * 5


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (pa.string(), pa.large_string()),
        (pa.large_string(), pa.large_string()),
        (pa.binary(), pa.large_binary()),
        (pa.large_binary(), pa.large_binary()),
        (pa.dictionary(pa.int32(), pa.string()), pa.large_string()),
        (pa.dictionary(pa.int32(), pa.binary()), pa.large_binary()),
    ],
)
def test_a_column_keeps_its_kind_when_a_passage_is_cut(kind, written):
    octets = pa.types.is_binary(getattr(kind, "value_type", kind)) or kind == pa.large_binary()
    texts = ["aé b", "ü", None]
    values = pa.array([each if each is None or not octets else each.encode() for each in texts])
    table = pa.table(
        {"t": values.cast(kind) if not isinstance(kind, pa.DictionaryType) else values.dictionary_encode()}
    )
    found, _ = leaked_passages.cut_passages(slice_of(*texts), table, "t", {0: [hit(0, 2)]})
    wanted = ["  b", "ü", None]
    assert found.column("t").type == written
    assert found.column("t").to_pylist() == [w.encode() if octets and w is not None else w for w in wanted]


@pytest.mark.parametrize("span", [(0, 4), (-1, 2), (3, 2)])
def test_a_passage_that_is_not_in_the_text_is_an_error_that_names_the_row(span):
    documents = slice_of("abc", rows=[7])
    with pytest.raises(TableError, match=r"a hit is not inside the text of a\.jsonl, row 7: a span"):
        leaked_passages.cut_passages(documents, pa.table({"t": ["abc"]}), "t", {7: [hit(*span)]})


def test_the_whole_text_may_be_cut_and_nothing_but_it():
    assert leaked_passages.cut_spans("abc", [(0, 3)]) == "\n"
    with pytest.raises(ValueError, match="a span ends at 4, the text at 3"):
        leaked_passages.cut_spans("abc", [(0, 4)])
    assert leaked_passages.merge_spans([(0, 0), (2, 2)]) == []
    assert leaked_passages.merge_spans([(4, 6), (0, 2), (2, 3)]) == [(0, 3), (4, 6)]
    assert leaked_passages.merge_spans([(0, 9), (2, 3)]) == [(0, 9)]


@pytest.fixture
def leaking(tmp_path):
    """A run of two slices, with leaks in the rows 1 (twice), 2 (a review) and 3."""
    rows = [{"text": f"document {number} of four with some words"} for number in range(4)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    hits = [
        {"row": 1, "start": 0, "end": 3},
        {"row": 1, "start": 5, "end": 8, "eval_set": "arc"},
        {"row": 2, "start": 0, "end": 1, "verdict": "review"},
        {"row": 3, "start": 2, "end": 4},
    ]
    write_hits(run, hits, action="cut-span")
    return run


def mark(first, following, name="a.jsonl"):
    return SimpleNamespace(file=name, first_row=first, next_row=following)


def test_leaks_are_taken_slice_by_slice_up_to_the_row_before_the_next(leaking):
    leaks = LeakedPassages(leaking)
    assert leaks.collect(mark(0, 1)) == {}
    found = leaks.collect(mark(1, 3))
    assert [(row, [(one["start"], one["eval_set"]) for one in some]) for row, some in found.items()] == [
        (1, [(0, found[1][0]["eval_set"]), (5, "arc")])
    ]
    with pytest.raises(TableError, match=r"has a hit at a\.jsonl, row 3, where no document is"):
        leaks.check_end()
    assert leaks.collect(mark(0, 9, "b.jsonl")) == {}
    assert list(leaks.collect(mark(3, 4))) == [3]
    leaks.check_end()


def test_a_leak_without_its_document_is_named_by_the_first_row(leaking):
    documents = SimpleNamespace(mark=mark(0, 4), rows=np.array([0, 2]))
    with pytest.raises(TableError, match=r"hits has a hit at a\.jsonl, row 1, where no document is"):
        LeakedPassages(leaking).take(documents)
    documents.rows = np.array([0, 1, 2, 3])
    assert sorted(LeakedPassages(leaking).take(documents)) == [1, 3]


@pytest.mark.parametrize(
    ("action", "actions", "treatment"),
    [
        ("drop", ["drop"], LeakTreatment()),
        ("mark", ["mark"], LeakTreatment(marks=True)),
        ("cut-span", ["cut", "none"], LeakTreatment(cuts=True)),
        ("drop", ["mark", "cut"], LeakTreatment(True, True)),
        ("cut", [], LeakTreatment(cuts=True)),
        (None, [], LeakTreatment()),
    ],
)
def test_an_export_treats_leaks_as_the_options_and_the_hits_say(monkeypatch, action, actions, treatment):
    monkeypatch.setattr(leaked_passages, "_find_actions", lambda run: set(actions))
    hits = {"parameters": {} if action is None else {"action": action}}
    corpus = SimpleNamespace(text_field="text", columns=("text",))
    found = leaked_passages.choose_treatment(None, SimpleNamespace(hits=hits), corpus)
    assert found == treatment and bool(found) is (treatment != LeakTreatment())
    assert leaked_passages.choose_treatment(None, SimpleNamespace(hits=None), corpus) == LeakTreatment()


def test_passages_are_cut_out_of_columns_alone(monkeypatch):
    monkeypatch.setattr(leaked_passages, "_find_actions", lambda run: set())
    rejections = SimpleNamespace(hits={"parameters": {"action": "cut-span"}})
    for field, what in (("@messages", "a conversation"), ("meta.text", r"the nested column meta\.text")):
        corpus = SimpleNamespace(text_field=field, columns=("meta", "text"))
        with pytest.raises(UsageError, match=f"passages cannot be cut out of {what}"):
            leaked_passages.choose_treatment(None, rejections, corpus)
    flat = SimpleNamespace(text_field="meta.text", columns=("meta.text",))
    assert leaked_passages.choose_treatment(None, rejections, flat) == LeakTreatment(cuts=True)


def test_the_actions_of_the_hits_are_read_from_all_of_them(leaking):
    assert leaked_passages._find_actions(leaking) == {"cut"}
