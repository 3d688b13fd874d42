"""Canaries: which items are planted, how they are edited, where they stand, and when one counts as found."""

import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest

from curate.stages.decontaminate import canaries
from curate.stages.decontaminate.canaries import Canary

HOST = "One sentence here. Another there!\nA line of its own"
TEXT = "Which lake, of all lakes, drains westward through the Baker river? The other one."


def queries_of(*rows):
    """Queries from (set, item, part), each with a text of its own."""
    sets = {item: name for name, item, _ in rows}
    items = [SimpleNamespace(set=sets.get(number, "none")) for number in range(max(sets) + 1)]
    made = [SimpleNamespace(item=item, part=part, text=f"text {number}") for number, (_, item, part) in enumerate(rows)]
    return SimpleNamespace(items=items, queries=made)


def test_one_query_of_every_set_is_planted_in_turn_and_of_an_item_the_first_that_proves_a_leak():
    made = queries_of(
        ("a", 0, "context"), ("a", 0, "question"), ("a", 0, "choices"), ("a", 1, "question"), ("a", 2, "answered"),
        ("b", 3, "in_context"), ("c", 4, "answer"),
    )  # fmt: skip
    assert sorted(canaries.choose_queries(made, 99, seed=1)) == [1, 3, 4, 5]
    two = canaries.choose_queries(made, 2, seed=1)
    assert len(two) == 2 and 5 in two and canaries.choose_queries(made, 3, seed=1)[:2] == two
    assert canaries.choose_queries(made, 0, seed=1) == []
    assert {tuple(canaries.choose_queries(made, 1, seed)) for seed in range(40)} == {(1,), (3,), (4,)}


def test_each_kind_is_planted_of_every_chosen_item_in_a_document_cut_to_its_first_part(monkeypatch):
    monkeypatch.setattr(canaries, "HOST_CHARS", 30)
    made = queries_of(("a", 0, "question"), ("b", 1, "question"))
    hosts = ["x" * 100, "y" * 100]
    planted = canaries.plant_canaries(made, hosts, each=2, seed=3)
    assert Counter((one.kind, one.item) for one in planted) == {(kind, n): 1 for kind in canaries.KINDS for n in (0, 1)}
    assert {one.host for one in planted} == {0, 1}
    for one in planted:
        assert one.text[: one.start].strip() + one.text[one.end :].strip() == hosts[one.host][:30]
    assert canaries.plant_canaries(made, hosts, each=2, seed=3) == planted
    assert canaries.plant_canaries(made, hosts, each=2, seed=4) != planted
    assert canaries.plant_canaries(made, hosts, each=2) == canaries.plant_canaries(made, hosts, each=2, seed=0)


def test_an_item_stands_as_a_paragraph_at_an_end_of_a_line_or_a_sentence_or_of_the_text():
    found = {canaries.insert_text("case", 7, 5, HOST, "ITEM", random.Random(seed)) for seed in range(60)}
    assert {one.text for one in found} == {
        f"ITEM\n\n{HOST}",
        "One sentence here.\n\nITEM\n\nAnother there!\nA line of its own",
        "One sentence here. Another there!\n\nITEM\n\nA line of its own",
        f"{HOST}\n\nITEM\n\n",
    }
    assert {one.text[one.start : one.end] for one in found} == {"ITEM"}
    assert {(one.kind, one.item, one.host) for one in found} == {("case", 7, 5)}
    blank = canaries.insert_text("case", 0, 0, "  ", "ITEM", random.Random(0))
    assert blank.text.strip() == "ITEM" and blank.text[blank.start : blank.end] == "ITEM" and blank.start == 0


def test_edits_are_what_their_names_say():
    draws = [random.Random(seed) for seed in range(60)]
    assert canaries.edit_text(TEXT, "verbatim", HOST, draws[0]) == TEXT
    cases = {canaries.edit_text(TEXT, "case", HOST, draw) for draw in draws}
    assert cases == {TEXT.upper(), TEXT.lower(), TEXT.title()}
    with pytest.raises(ValueError, match="upside down"):
        canaries.edit_text(TEXT, "upside down", HOST, draws[0])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a b c d e f g h i j", "a b c d e f"),
        ("  a, b", "  a,"),
        ("a b c", "a b"),
        ("a", "a"),
        ("", ""),
        (" \n", " \n"),
    ],
)
def test_a_truncated_item_keeps_six_tenths_of_its_words(text, kept):
    assert canaries.edit_text(text, "truncated", HOST, random.Random(0)) == kept


def test_spacing_changes_white_space_between_words_and_some_punctuation_alone():
    allowed = {" ": {" ", "  ", "\n", "\t"}, ",": {",", ";"}, "?": {"?", " ?"}, ".": {".", "!"}}
    found = {canaries.edit_text(TEXT, "spacing", HOST, random.Random(seed)) for seed in range(80)}
    seen = {char: set() for char in allowed}
    for text in found:
        assert re.findall(r"\w+", text) == re.findall(r"\w+", TEXT)
        pieces = re.split(r"\w+", text)
        for piece, before in zip(pieces, re.split(r"\w+", TEXT), strict=True):
            if len(before) == 1:
                seen[before].add(piece)
            elif before:
                assert piece.lstrip(" ")[:1] in allowed[before[0]] and piece.endswith(" ")
    assert seen[" "] == allowed[" "] and seen["."] == allowed["."]
    for mark, marks in ((";", {";", ","}), ("?", {"?", " ?"}), (",", {",", ";"}), ("-", {"-"})):
        assert {canaries.change_spacing(mark, random.Random(seed)) for seed in range(20)} == marks


@pytest.mark.parametrize(("words", "replaced"), [(1, 1), (4, 1), (14, 1), (16, 2), (30, 3)])
def test_a_tenth_of_the_words_at_least_one_is_replaced_by_words_of_the_host(words, replaced):
    text = " ".join(f"w{'abcdefghijklmnopqrstuvwxyzäöüß'[number]}q" for number in range(words)) + " 12 3_4"
    for seed in range(5):
        before, after = (
            text.split(),
            canaries.edit_text(text, "words", "so be it, Marguerite", random.Random(seed)).split(),
        )
        different = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        assert [other for _, other in different] == ["Marguerite"] * replaced
    assert canaries.replace_words("hello", "no", random.Random(0)) == "something"
    assert canaries.replace_words("12 3", HOST, random.Random(0)) == "12 3"


@pytest.mark.parametrize(
    ("verdict", "start", "end", "is_found"),
    [
        ("contaminated", 100, 200, True),
        ("contaminated", 150, 250, True),
        ("contaminated", 151, 251, False),
        ("contaminated", 50, 150, True),
        ("contaminated", 49, 149, False),
        ("contaminated", 0, 200, True),
        ("contaminated", 0, 201, False),
        ("contaminated", 300, 400, False),
        ("review", 100, 200, False),
    ],
)
def test_a_canary_is_found_by_a_leak_that_lies_by_half_within_it(verdict, start, end, is_found):
    match = SimpleNamespace(verdict=verdict, start=start, end=end)
    canary = Canary("verbatim", 0, 0, "", 100, 200)
    assert canaries.is_canary_found(canary, [match]) is is_found
    assert canaries.is_canary_found(canary, [SimpleNamespace(verdict="review", start=0, end=1), match]) is is_found
    assert canaries.is_canary_found(canary, []) is False
