"""``curate dedup --against``: what has a copy in another corpus is dropped for it."""

import re

import pytest
from helpers.near_copies import edited, far, is_conserved, rows_of, run_on, shared, spelled, words_of
from helpers.runs import write_lines

from curate.errors import UsageError
from curate.stages.dedup import sketch_table
from curate.verbs.dedup import dedup


def against(folder, own, other, **options):
    write_lines(folder / "other.jsonl", [{"text": text} for text in other])
    return run_on(folder, own, against=[str(folder / "other.jsonl")], **options)


def test_what_has_a_copy_in_another_corpus_is_dropped_for_it(tmp_path):
    first, second = words_of(16), words_of(17)
    own = [spelled(words_of(18)), spelled(first), spelled(second).upper(), spelled(edited(first, 50)), spelled(second)]
    found = against(tmp_path, own, [spelled(edited(first, 20)), "else", spelled(second)])
    name = str(tmp_path / "other.jsonl")
    shown = [
        (row["row"], row["cluster"], row["kind"], row["keeper_source"], row["keeper_file"], row["keeper_row"])
        for row in rows_of(tmp_path)
    ]
    assert shown == [
        (1, 0, "near", name, "other.jsonl", 0),
        (2, 1, "exact", name, "other.jsonl", 2),
        (3, 0, "near", name, "other.jsonl", 0),
        (4, 1, "exact", name, "other.jsonl", 2),
    ]
    assert [row["jaccard"] for row in rows_of(tmp_path)] == [shared(1), 1, shared(2), 1]
    assert not any(row["keeper"] for row in rows_of(tmp_path))
    assert (found.unique, found.keepers, found.near, found.exact) == (1, 0, 2, 2)
    assert (found.against[0].name, found.against[0].read, found.against[0].dropped) == (name, 3, 4)
    assert is_conserved(found)


def test_the_documents_of_another_corpus_are_not_compared_among_themselves(tmp_path, monkeypatch):
    read, asked = sketch_table.read_sets, []
    monkeypatch.setattr(sketch_table, "read_sets", lambda *given: asked.append(given[2]) or read(*given))
    these = words_of(19)
    other = [spelled(edited(these, place)) for place in range(10, 90, 10)]
    found = against(tmp_path, ["something else", "and more"], [*other, *other])
    assert (found.compared, found.kept, rows_of(tmp_path)) == (0, 2, [])
    assert [numbers.tolist() for numbers in asked] == [[]]


def test_a_copy_of_a_copy_of_another_corpus_stays(tmp_path):
    first = words_of(20)
    own = [spelled(edited(first, *far(4))), spelled(edited(first, *far(2)))]
    found = against(tmp_path, own, [spelled(first)])
    assert [row["row"] for row in rows_of(tmp_path)] == [1]
    assert (found.unique, found.near) == (1, 1)


def test_copies_inside_the_corpus_are_found_beside_those_in_another(tmp_path):
    first, second = words_of(21), words_of(22)
    own = [spelled(first), spelled(second), spelled(edited(second, 50)), spelled(second).title()]
    found = against(tmp_path, own, [spelled(first)], keeper="first")
    rows = [(row["row"], row["cluster"], row["kind"], row["keeper_source"] is None) for row in rows_of(tmp_path)]
    assert rows == [(0, 0, "exact", False), (1, 1, "keeper", True), (2, 1, "near", True), (3, 1, "exact", True)]
    assert (found.exact, found.near, found.keepers) == (2, 1, 1)
    assert "1 documents have a copy among its 1" in re.sub(r"\s+", " ", found.render())


def test_several_other_corpora_are_named_apart(tmp_path):
    texts = [spelled(words_of(seed)) for seed in (23, 24)]
    for name, text in zip(("x", "y"), texts, strict=True):
        write_lines(tmp_path / name / "part.jsonl", [{"body": text}])
    names = [str(tmp_path / name) for name in ("x", "y")]
    found = run_on(tmp_path, [{"text": text} for text in texts], against=names)
    assert [row["keeper_source"] for row in rows_of(tmp_path)] == names
    assert [other.dropped for other in found.against] == [1, 1]


def test_unreadable_rows_of_another_corpus_are_told(tmp_path):
    write_lines(tmp_path / "other.jsonl", [{"text": "one"}, b"{broken"])
    found = run_on(tmp_path, ["two"], against=[str(tmp_path / "other.jsonl")])
    assert (found.unreadable, found.against[0].unreadable, found.exit_code) == (0, 1, 3)
    assert "1 of those could not be read" in re.sub(r"\s+", " ", found.render())


def test_a_corpus_held_against_itself_is_refused(tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"text": "one"}])
    for named, says in ((["corpus"], "the corpus itself"), (["other", "other"], "given twice")):
        write_lines(tmp_path / "other" / "b.jsonl", [{"text": "two"}])
        paths = [str(tmp_path / name) for name in named]
        with pytest.raises(UsageError, match=says):
            dedup(run=str(tmp_path / "run"), corpus=[str(tmp_path / "corpus")], against=paths)
