"""``curate status`` and ``curate explain``: the funnel adds up, and one document is told in full."""

import pytest
from runs_helper import make_run, numbered_run, write_lines

from curate import runs, tables
from curate.errors import TableError, UsageError
from curate.explanation import explain, ordinal, visible
from curate.funnel import status
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


def test_ordinals_and_escapes():
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 31, 101)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "31st", "101st"]
    )
    assert visible("a\tb\x7f") == "a\\tb\\x7f"
