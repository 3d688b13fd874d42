"""``curate status`` and ``curate explain``: the funnel adds up, and one document is told in full."""

import pytest
from helpers.runs import make_run, numbered_run, write_duplicate_rows, write_duplicates, write_hits, write_lines

from curate import runs, tables
from curate.errors import TableError, UsageError
from curate.explanation import explain, ordinal, visible
from curate.funnel import list_sets, status
from curate.selection import filter as choose


@pytest.fixture
def run(tmp_path):
    """Two files; one document each that is empty, unreadable, without an id, and one id twice."""
    rows = [{"id": f"web-{n}", "text": f"document {n} " + "word " * n} for n in range(8)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, {"id": "hollow", "text": "\n"}, b"{broken", {"text": "document 8"}])
    write_lines(tmp_path / "c" / "b.jsonl", [{"id": "web-3", "text": "document 9 \x1b[31m\u202e \n`tick`"}])
    numbers = [{"perplexity": 10.0 * (n + 1), "tokens": n + 2} for n in range(10)]
    return make_run(tmp_path / "run", [tmp_path / "c"], lambda text: numbers[int(text.split()[1])], slice_bytes=300)


def adds_up(found):
    return found.read == found.kept + sum(found.rejected.values()) + found.unreadable


def test_the_funnel_before_a_filter_shows_what_was_scored(run):
    found = status(str(run.path))
    assert (found.read, found.unreadable, found.rejected, found.kept) == (12, 1, {"unscored: empty": 1}, 10)
    assert adds_up(found)
    assert found.complete
    assert not found.filtered
    assert not found.stale
    assert "next: curate filter --dry-run" in found.render()


def test_the_funnel_after_a_filter_has_every_reason_and_adds_up(run):
    choose(str(run.path), max_ppl=70, min_tokens=3)
    found = status(str(run.path))
    assert found.rejected == {"perplexity > 70": 3, "tokens < 3": 1, "unscored: empty": 1}
    assert (found.kept, found.tokens) == (6, 3 + 4 + 5 + 6 + 7 + 8)
    assert adds_up(found)
    shown = found.render()
    for line in ("read", "unreadable", "perplexity > 70", "tokens < 3", "unscored: empty", "kept"):
        assert line in shown
    assert "unreadable.jsonl" in shown
    assert "50.0 %" in shown
    assert "next: curate export" in shown


def test_a_run_in_progress_shows_the_documents_so_far(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"line {n}"} for n in range(40)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800, complete=False, only_slices=2)
    found = status(str(run.path))
    assert 0 < found.read < 40
    assert not found.complete
    assert "goes on" in found.render()


def test_a_run_that_has_just_begun_reads_as_nothing_yet(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "line"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], complete=False, only_slices=0)
    assert status(str(run.path)).read == 0


def test_a_filter_of_other_scores_is_stale_and_not_counted(run):
    choose(str(run.path), max_ppl=70)
    opened = runs.open_run(run.path)
    opened.save("score", {**opened.stage("score"), "fingerprint": "other"})
    found = status(str(run.path))
    assert not found.filtered
    assert "stale" in found.render()
    assert found.kept == 10


def test_a_corpus_that_changed_makes_the_scores_stale(run, tmp_path):
    write_lines(tmp_path / "c" / "b.jsonl", [{"id": "web-3", "text": "something else"}])
    assert "has changed" in status(str(run.path)).render()
    (tmp_path / "c" / "a.jsonl").unlink()
    (tmp_path / "c" / "b.jsonl").unlink()
    assert "cannot be opened" in status(str(run.path)).render()


def test_documents_that_vanish_from_the_table_are_an_error(run):
    tables.parts(run.scores)[0].unlink()
    with pytest.raises(TableError, match="documents read"):
        status(str(run.path))


def test_the_funnel_shows_what_is_contaminated_and_what_are_duplicates_without_a_filter(run):
    write_hits(run, [{"row": 0}, {"row": 1, "eval_set": "mbpp"}, {"row": 2, "eval_set": "mbpp"}])
    write_duplicates(run, [{3: "near", 4: "exact", 5: "keeper"}], keep="longest")
    found = status(str(run.path))
    assert found.rejected == {
        "contaminated: mbpp": 2,
        "contaminated: gsm8k": 1,
        "exact duplicate": 1,
        "near duplicate": 1,
        "unscored: empty": 1,
    }
    assert (found.read, found.kept, found.keeper) == (12, 5, "longest")
    assert adds_up(found)
    lines = found.render().splitlines()
    assert lines[2].split() == ["contaminated", "3", "mbpp", "2,", "gsm8k", "1"]
    assert lines[3].split() == ["exact", "duplicates", "1", "keeper:", "longest"]
    assert lines[4].split() == ["near", "duplicates", "1", "keeper:", "longest"]
    assert lines[5].split() == ["unscored:", "empty", "1"]
    assert lines[6].startswith("kept ")
    assert "next: curate filter --dry-run" in found.render()


def test_the_funnel_of_a_filter_has_the_same_lines_and_its_own(run):
    write_hits(run, [{"row": 0}])
    write_duplicates(run, [{3: "near", 5: "keeper"}])
    choose(str(run.path), max_ppl=70)
    found = status(str(run.path))
    expected = {"contaminated: gsm8k": 1, "near duplicate": 1, "perplexity > 70": 3, "unscored: empty": 1}
    assert found.rejected == expected
    assert (found.kept, found.filtered, found.stale) == (5, True, ())
    assert adds_up(found)
    labels = [line[:22].strip() for line in found.render().splitlines()[:7]]
    assert labels == [
        "read", "unreadable", "contaminated", "near duplicates", "perplexity > 70", "unscored: empty", "kept",
    ]  # fmt: skip


def test_a_run_in_progress_is_counted_without_what_its_tables_reject(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"line {n}"} for n in range(40)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800, complete=False, only_slices=2)
    write_hits(run, [{"row": row} for row in (0, 1, 39)])
    found = status(str(run.path))
    assert found.rejected == {"contaminated: gsm8k": 2}
    assert (found.stale, found.complete) == ((), False)
    assert adds_up(found)


def test_what_is_for_review_marked_or_to_be_cut_is_told_below_the_counts(run):
    review = [{"row": row, "verdict": "review", "action": "none"} for row in (0, 1, 2)]
    cut = [{"row": 3, "action": "cut"}, {"row": 3, "action": "cut", "eval_set": "mbpp"}]
    write_hits(run, [*review, *cut, {"row": 4, "action": "mark"}])
    shown = status(str(run.path)).render()
    assert "3 documents for review: curate explain ID shows the evidence" in shown
    assert "1 document with eval items marked, not rejected" in shown
    assert "2 passages of 1 document with eval items to be cut out by curate export" in shown
    (run.path / "contamination.html").write_text("page")
    assert f"3 documents for review: {run.path}/contamination.html" in status(str(run.path)).render()


def test_nothing_is_said_below_the_counts_where_everything_is_dropped(run):
    write_hits(run, [{"row": 0}])
    assert status(str(run.path)).aside.lines() == []


def test_many_eval_sets_and_hostile_names_stay_within_the_line(run):
    names = [f"benchmark \x1b[31m number {n} of many" for n in range(8)]
    write_hits(run, [{"row": n, "eval_set": name} for n, name in enumerate(names)])
    for found in (status(str(run.path)), choose(str(run.path), max_ppl=92), status(str(run.path))):
        shown = found.render()
        assert "\x1b" not in shown
        assert max(len(line) for line in shown.splitlines() if str(run.path) not in line) <= 100
    assert "and 7 more" in shown


def test_sets_are_listed_as_far_as_they_fit():
    sets = {"gsm8k": 210, "humaneval": 12, "mbpp": 3}
    assert list_sets(sets, 40) == "gsm8k 210, humaneval 12, mbpp 3"
    assert list_sets(sets, 30) == "gsm8k 210, and 2 more"
    assert list_sets(sets, 5) == "3 eval sets"


def test_no_run_and_no_scores_name_the_command(tmp_path):
    for verb in (lambda: status(str(tmp_path / "none")), lambda: explain("x", str(tmp_path / "none"))):
        with pytest.raises(TableError) as caught:
            verb()
        assert "curate score CORPUS" in caught.value.hint


# explain


def test_a_kept_document_is_told_in_full(run):
    choose(str(run.path), max_ppl=70)
    found = explain("web-2", str(run.path))
    (document,) = found.documents
    assert (document.file, document.row, document.decision, document.reason) == ("a.jsonl", 2, "kept", None)
    assert document.percentile == 20.0  # two of the ten scored documents are below it
    assert document.text == "document 2 word word "
    shown = found.render()
    for part in ("web-2", "a.jsonl, row 2", "21 bytes, 4 tokens", "perplexity      30 (20th percentile)", "7.1 nats"):
        assert part in shown


def test_a_dropped_document_says_why(run):
    choose(str(run.path), max_ppl=70)
    (document,) = explain("web-7", str(run.path)).documents
    assert (document.decision, document.reason) == ("dropped", "perplexity > 70")


def test_a_document_is_found_by_its_place_too(run):
    (document,) = explain("a.jsonl:10", str(run.path)).documents
    assert document.id is None
    assert document.text == "document 8"


def test_documents_with_one_id_are_all_shown(run):
    found = explain("web-3", str(run.path))
    assert [(one.file, one.row) for one in found.documents] == [("a.jsonl", 3), ("b.jsonl", 0)]
    assert found.render().startswith("2 documents have the id web-3")


def test_a_text_cannot_command_the_terminal(run):
    shown = explain("b.jsonl:0", str(run.path)).render()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[31m\\u202e \\n`tick`" in shown


def test_every_text_of_every_slice_is_found_again(run):
    for row in range(8):
        (document,) = explain(f"a.jsonl:{row}", str(run.path)).documents
        assert document.text == f"document {row} " + "word " * row


def test_empty_and_unreadable_documents_are_explained(run):
    choose(str(run.path), max_ppl=70)
    (empty,) = explain("hollow", str(run.path)).documents
    assert (empty.decision, empty.reason, empty.text) == ("dropped", "unscored: empty", "\n")
    (broken,) = explain("a.jsonl:9", str(run.path)).documents
    assert broken.decision == "unreadable"
    assert "line 10" in broken.reason
    assert broken.text is None


def test_an_unknown_id_is_answered_with_the_nearest(run):
    with pytest.raises(UsageError) as caught:
        explain("web-33", str(run.path))
    assert "web-3" in caught.value.hint.split(": ")[1].split(", ")


def test_hostile_ids_are_looked_up_as_they_are(tmp_path):
    ids = ["'; DROP VIEW scores; --", 'a"b', "x:y:1", "new\nline", "💥", "100%"]
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": name, "text": f"document {n}"} for n, name in enumerate(ids)])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    for row, name in enumerate(ids):
        (document,) = explain(name, str(run.path)).documents
        assert document.row == row
    assert "new\\nline" in explain("new\nline", str(run.path)).render()


def test_many_documents_of_one_id_are_counted_and_not_all_printed(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": "same", "text": f"document {n}"} for n in range(25)])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = explain("same", str(run.path))
    assert (len(found.documents), found.more) == (20, 5)
    assert "and 5 more" in found.render()


def test_a_changed_corpus_shows_no_text(run, tmp_path):
    write_lines(tmp_path / "c" / "b.jsonl", [{"id": "web-3", "text": "something else"}])
    (document,) = explain("b.jsonl:0", str(run.path)).documents
    assert document.text is None
    assert "has changed" in document.text_missing


def test_a_sampled_and_limited_corpus_is_read_at_the_right_place(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": f"d{n}", "text": f"document {n}"} for n in range(60)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], sample=0.5, limit=20, slice_bytes=500)
    known = [row for part in tables.parts(run.scores) for row in tables.pq.read_table(part).to_pylist()]
    assert len(known) == 20
    for row in known[:: len(known) // 4]:
        (document,) = explain(row["id"], str(run.path)).documents
        assert document.text == f"document {row['row']}"


def test_an_undecided_document_says_that_no_filter_was_run(tmp_path):
    run = numbered_run(tmp_path, [{}])
    (document,) = explain("d0", str(run.path)).documents
    assert (document.decision, document.reason) == ("undecided", "no filter was run")


# explain: hits and copies

TEXT = "Some words stand before. Marguerite bought five boxes of pens at two dollars each and gave the cashier a note."
ITEM = "Last week Marguerite bought five boxes of pens at two dollars each. How much did she spend?"


def a_hit(row, **more):
    begin, end = TEXT.index("Marguerite"), TEXT.index(" and gave")
    around = {"before": TEXT[:begin], "matched_text": TEXT[begin:end], "after": TEXT[end:]}
    return {"row": row, "start": begin, "end": end, "eval_text": ITEM, **around, **more}


@pytest.fixture
def leaky(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": f"d{n}", "text": TEXT} for n in range(9)])
    return make_run(tmp_path / "run", [tmp_path / "c"], lambda text: {"perplexity": 10.0, "tokens": 20})


@pytest.mark.parametrize("filtered", [False, True])
def test_a_contaminated_document_is_told_with_its_evidence(leaky, filtered):
    write_hits(leaky, [a_hit(1)])
    if filtered:
        choose(str(leaky.path), max_ppl=50)
    found = explain("d1", str(leaky.path))
    (document,) = found.documents
    assert (document.decision, document.reason) == ("dropped", "contaminated: gsm8k")
    shown = found.render()
    assert "contaminated: gsm8k test #417, aligned, 94 % of its words, 82 bits" in shown
    lines = " ".join(shown.split())
    common = "Marguerite bought five boxes of pens at two dollars each"
    assert f"document Some words stand before. ⟦{common}⟧ and gave" in lines
    assert f"eval item Last week ⟦{common}⟧. How much" in lines
    assert max(len(line) for line in shown.splitlines() if not line.startswith("text")) <= 100
    assert document.dossier.hits[0]["eval_text"] == ITEM


def test_hits_are_told_the_strongest_first_and_review_last(leaky):
    weak = [a_hit(1, eval_id=f"weak {n}", bits=40.0 + n) for n in range(6)]
    write_hits(leaky, [a_hit(1, eval_id="maybe", bits=99.0, verdict="review", action="none"), *weak])
    (document,) = explain("d1", str(leaky.path)).documents
    assert [hit["eval_id"] for hit in document.dossier.hits] == ["weak 5", "weak 4", "weak 3", "weak 2", "weak 1"]
    assert document.dossier.more_hits == 2
    assert "and 2 more" in explain("d1", str(leaky.path)).render()


def test_a_document_for_review_is_kept_and_says_so(leaky):
    write_hits(leaky, [a_hit(1, verdict="review", action="none")])
    choose(str(leaky.path), max_ppl=50)
    found = explain("d1", str(leaky.path))
    assert found.documents[0].decision == "kept"
    assert "for review      review: gsm8k test #417" in found.render()


def test_a_hit_in_a_conversation_names_its_turn(leaky):
    write_hits(leaky, [a_hit(1, action="mark", turn=2, role="user")], action="mark")
    shown = explain("d1", str(leaky.path)).render()
    assert "marked          contaminated: gsm8k test #417" in shown
    assert "turn 2 (user)" in " ".join(shown.split())


def test_a_text_without_spaces_and_a_hostile_item_stay_within_the_line(leaky):
    hostile = {"eval_set": "日本" * 60, "eval_id": "\x1b[31m", "eval_text": "漢字" * 300, "matched_text": "漢字" * 300}
    write_hits(leaky, [a_hit(1, **hostile)])
    shown = explain("d1", str(leaky.path)).render()
    assert "\x1b" not in shown
    lines = [line for line in shown.splitlines() if not line.startswith(("text", "dropped"))]
    assert max(map(len, lines)) <= 100


def test_a_copy_names_what_is_kept_instead(leaky):
    write_duplicates(leaky, [{2: "keeper", 3: "near", 4: "exact"}])
    for filtered in (False, True):
        if filtered:
            choose(str(leaky.path), max_ppl=50)
        assert (
            "dropped         near duplicate of a.jsonl:2 (d2), Jaccard .93\n" in explain("d3", str(leaky.path)).render()
        )
        assert "dropped         exact duplicate of a.jsonl:2 (d2)\n" in explain("d4", str(leaky.path)).render()
        assert explain("d3", str(leaky.path)).documents[0].reason == "near duplicate"


def test_a_keeper_names_the_first_of_its_copies(leaky):
    write_duplicates(leaky, [{0: "keeper", 1: "near"}, {**dict.fromkeys(range(2, 7), "near"), 7: "keeper"}])
    assert "keeps 1 copy: a.jsonl:1 (d1)" in explain("d0", str(leaky.path)).render()
    shown = " ".join(explain("d7", str(leaky.path)).render().split())
    assert "keeps 5 copies: a.jsonl:2 (d2), a.jsonl:3 (d3), a.jsonl:4 (d4), and 2 more" in shown
    assert explain("d7", str(leaky.path)).documents[0].decision == "undecided"


def test_a_copy_of_a_document_of_another_corpus_names_that(leaky):
    write_duplicates(leaky, [{2: "keeper", 3: "near"}])
    rows = tables.pq.read_table(leaky.duplicates).to_pylist()
    other = {"keeper": False, "kind": "near", "keeper_source": "wiki/", "keeper_file": "b.jsonl", "keeper_row": 8}
    write_duplicate_rows(leaky, [{**row, **other} for row in rows])
    assert "near duplicate of wiki/ b.jsonl:8, Jaccard" in explain("d3", str(leaky.path)).render()


def test_a_document_that_is_rejected_twice_tells_both(leaky):
    write_hits(leaky, [a_hit(3)])
    write_duplicates(leaky, [{2: "keeper", 3: "near"}])
    shown = explain("d3", str(leaky.path)).render()
    assert "dropped         contaminated: gsm8k\n" in shown
    assert "a copy          near duplicate of a.jsonl:2 (d2), Jaccard .93" in shown


def test_percentiles_of_explain_are_among_all_scored_documents(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": float(n)} for n in range(1, 11)])
    before = explain("d5", str(run.path)).documents[0].percentile
    write_hits(run, [{"row": row} for row in range(4)])
    assert explain("d5", str(run.path)).documents[0].percentile == before == 50.0


def test_the_evidence_is_json(leaky):
    import json

    write_hits(leaky, [a_hit(0)])
    write_duplicates(leaky, [{0: "keeper", 3: "near"}])
    told = json.loads(json.dumps(explain("d0", str(leaky.path)).as_dict()))["documents"][0]["dossier"]
    assert (told["hits"][0]["bits"], told["copies"]["number"]) == (82.4, 1)
    assert "contaminated" not in explain("d0", str(leaky.path)).documents[0].scores


def test_ordinals_and_escapes():
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 31, 101)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "31st", "101st"]
    )
    assert visible("a\tb\x7f") == "a\\tb\\x7f"
