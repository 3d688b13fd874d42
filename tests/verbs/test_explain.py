"""``curate explain``: one document is told in full, with its hits and its copies."""

import pytest
from helpers.mixed_runs import make_mixed_run
from helpers.runs import make_run, numbered_run, write_duplicate_rows, write_duplicates, write_hits, write_lines

from curate.errors import UsageError
from curate.reports.document import ordinal, visible
from curate.rundir import parquet
from curate.verbs.explain import explain
from curate.verbs.filter import filter as choose


@pytest.fixture
def run(tmp_path):
    return make_mixed_run(tmp_path)


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
    known = [row for part in parquet.list_parts(run.scores) for row in parquet.pq.read_table(part).to_pylist()]
    assert len(known) == 20
    for row in known[:: len(known) // 4]:
        (document,) = explain(row["id"], str(run.path)).documents
        assert document.text == f"document {row['row']}"


def test_an_undecided_document_says_that_no_filter_was_run(tmp_path):
    run = numbered_run(tmp_path, [{}])
    (document,) = explain("d0", str(run.path)).documents
    assert (document.decision, document.reason) == ("undecided", "no filter was run")


# Hits and copies.


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
    rows = parquet.pq.read_table(leaky.duplicates).to_pylist()
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
