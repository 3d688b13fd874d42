"""The labelled set of the benchmark of decontamination is what its README says."""

import sys
from collections import Counter, defaultdict

import pytest
from helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from decontamination_set import code_rules, derive, rows, text_rules


@pytest.fixture(scope="module")
def labelled():
    return rows.read_rows()


def test_every_row_has_the_columns_and_is_about_an_item_of_the_set(labelled):
    items = {(name, item["id"]) for name, records in rows.read_items().items() for item in records}
    assert len({row["id"] for row in labelled}) == len(labelled)
    for row in labelled:
        assert tuple(row) == rows.COLUMNS and row["text"].strip() and row["label"] in rows.LABELS, row["id"]
        assert (row["set"], row["item"]) in items, row["id"]


def test_there_are_enough_rows_of_each_label_and_language(labelled):
    counts = Counter(row["label"] for row in labelled)
    assert counts["not"] >= 400 and counts["leak"] >= 200 and counts["variant"] >= 100
    found = Counter((row["language"], row["label"], row["half"]) for row in labelled)
    languages = {row["language"] for row in labelled}
    assert len(languages - {"code"}) >= 8 and "code" in languages
    for language in languages:
        for half in rows.HALVES:
            assert found[language, "not", half] >= 10 and found[language, "leak", half] >= 10, (language, half)
    assert len({row["text"] for row in labelled}) == len(labelled), "no text stands twice"


def test_the_rows_of_an_item_are_in_one_half(labelled):
    halves = defaultdict(set)
    for row in labelled:
        halves[row["set"], row["item"]].add(row["half"])
        assert row["half"] == rows.choose_half(row["set"], row["item"])
    assert all(len(half) == 1 for half in halves.values())


def test_the_rules_give_the_derived_rows_again(labelled):
    assert derive.derive_rows() == [row for row in labelled if row["rule"] != "written"]


def test_every_kind_of_leak_is_there_and_written_rows_are_no_leaks(labelled):
    kinds = {row["kind"] for row in labelled if row["label"] == "leak"}
    assert kinds == {*text_rules.LEAKS, *code_rules.LEAKS}
    assert {row["label"] for row in labelled if row["rule"] == "written"} == {"not", "variant"}


def test_a_question_with_other_numbers_has_no_number_of_before(labelled):
    items = {(name, item["id"]): item for name, records in rows.read_items().items() for item in records}
    for row in labelled:
        if row["kind"] == "numbers" and row["set"].startswith("questions-"):
            item = items[row["set"], row["item"]]
            before, after = (text_rules.NUMBER.findall(text) for text in (item["question"], row["text"]))
            assert len(before) == len(after) and all(x != y for x, y in zip(before, after, strict=True)), row["id"]


def test_programs_are_renamed_and_spaced_without_a_change_of_what_they_do():
    code = (
        "def f(text, sep=','):\n  parts = [one.strip() for one in text.split(sep)]\n  return sorted(parts, key = len)\n"
    )
    renamed = code_rules.replace_names(code, {"f": "g", "text": "a", "sep": "b", "parts": "c", "one": "d"})
    assert "text" not in renamed and "d.strip()" in renamed and "key = len" in renamed
    spaces = {}
    for source, name in ((code, "f"), (renamed, "g"), (code_rules.respace_python(code), "f")):
        exec(source, spaces)
        assert spaces[name]("ccc, a,bb") == ["a", "bb", "ccc"]
    assert "key" not in code_rules.find_names("key = 1\nsorted([], key=len)\n")


def squeeze(text):
    return "".join(character for character in text.casefold() if character.isalnum())


def test_no_hard_negative_holds_a_whole_question_and_whole_leaks_do(labelled):
    whole = {
        "verbatim",
        "prose",
        "question only",
        "question and answer",
        "white space",
        "punctuation",
        "json",
        "quoted",
    }
    asked = {
        (name, item["id"]): squeeze(derive.read_item(name, item)[1])
        for name, records in rows.read_items().items()
        for item in records
        if name not in derive.CODE
    }
    for row in labelled:
        text = squeeze(row["text"])
        if row["label"] == "leak" and row["kind"] in whole:
            assert asked[row["set"], row["item"]] in text, row["id"]
        elif row["label"] != "leak":
            assert not [item for item, question in asked.items() if len(question) > 12 and question in text], row["id"]
