"""A corpus in which every reason overlaps with every other: one document, one first reason, in every verb."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from helpers.near_copies import edited, spelled, words_of
from helpers.runs import decisions_of, make_run, write_lines

from curate.errors import TableError
from curate.rundir.run import open_run
from curate.verbs.decontaminate import decontaminate
from curate.verbs.dedup import dedup
from curate.verbs.explain import explain
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.report import report
from curate.verbs.status import status

ITEM = "Which violet heron quietly polished fourteen brass telescopes beneath the crooked cathedral of Vellmar?"
UNSCORED, LEAKED, FAR_OFF = "unscored: too_long", "contaminated: evals", "perplexity > 100"


def numbers(text):
    """What is written in capitals is too long, what ends with an exclamation mark has a high perplexity."""
    if text == text.upper():
        return {"status": "too_long"}
    return {"perplexity": 200.0 if text.endswith("!") else 10.0, "tokens": 5}


def corpus_of():
    """Documents with their first reasons; the sixth part of the combinations cannot be: no text, no other reason."""
    rows, reasons = [{"text": ""}, b"no JSON"], ["unscored: empty", "unreadable"]
    for seed, (unscored, leaked, kind, high) in enumerate(product([0, 1], [0, 1], [None, "exact", "near"], [0, 1])):
        these = words_of(1000 + seed)
        leak = [ITEM.rstrip("?")] if leaked else []
        if kind is not None:  # the longer, so that it is kept; clean where its copy may be another one
            kept = [*these, *(leak if kind == "exact" else [])]
            rows.append({"text": spelled(kept) + ' """"""'})
            reasons.append(LEAKED if leaked and kind == "exact" else None)
        text = spelled([*(edited(these, 50) if kind == "near" and not leak else these), *leak]) + ("!" if high else "")
        rows.append({"text": text.upper() if unscored else text})
        copy = kind and f"{kind} duplicate"
        reasons.append(UNSCORED if unscored else LEAKED if leaked else copy or (FAR_OFF if high else None))
    return rows, reasons


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    rows, reasons = corpus_of()
    write_lines(folder / "a.jsonl", rows)
    write_lines(folder / "evals.jsonl", [{"id": "1", "question": ITEM, "answer": "nobody ever said"}])
    run = make_run(folder / "run", [folder / "a.jsonl"], numbers)
    found = {"run": str(run.path), "folder": folder, "reasons": reasons}
    found["decontaminate"] = decontaminate([str(folder / "evals.jsonl")], run=run.path)
    found["dedup"] = dedup(run=run.path)
    found["dry"] = choose(run=run.path, max_ppl=100, dry_run=True)
    found["filter"] = choose(run=run.path, max_ppl=100)
    found["status"] = status(run=run.path)
    return found


def counted(ran):
    return Counter(reason for reason in ran["reasons"] if reason not in (None, "unreadable"))


def test_every_verb_counts_every_document_once_under_its_first_reason(ran):
    expected, kept = counted(ran), ran["reasons"].count(None)
    assert len(expected) == 6, "each reason comes first somewhere"
    assert list(decisions_of(open_run(ran["run"])).values()) == ran["reasons"]
    for verb in ("filter", "dry"):
        assert {why: share.documents for why, share in ran[verb].rejected.items()} == expected
        assert (ran[verb].kept.documents, ran[verb].unreadable) == (kept, 1)
    assert dict(ran["status"].rejected) == expected
    assert (ran["status"].read, ran["status"].kept, ran["status"].unreadable) == (len(ran["reasons"]), kept, 1)
    assert ran["status"].read == kept + sum(expected.values()) + 1


def test_the_report_the_card_and_the_manifest_have_the_numbers_of_status(ran):
    written = report(run=ran["run"], out=str(ran["folder"] / "report.html"))
    page, numbers_of = (ran["folder"] / "report.html").read_text(), json.loads(Path(written.numbers).read_text())
    assert numbers_of["funnel"]["rejected"] == counted(ran)
    assert all(line in page for line in ran["status"].also)
    out = ran["folder"] / "out"
    export(str(out), run=ran["run"])
    manifest, card = json.loads((out / "manifest.json").read_text()), (out / "README.md").read_text()
    assert manifest["rejected"] == counted(ran)
    for reason, documents in counted(ran).items():
        assert f"- rejected, `{reason}`: {documents}\n" in card
    for line in ran["status"].also:
        assert line in card


def test_what_a_verb_finds_is_what_is_counted_for_it_and_what_an_earlier_reason_took(ran):
    found, expected = ran["dedup"], counted(ran)
    for kind in ("exact", "near"):
        elsewhere = sum(found.elsewhere[kind].values())
        assert elsewhere and getattr(found, kind) == expected[f"{kind} duplicate"] + elsewhere
        named = ", ".join(f"{label} {documents}" for label, documents in found.elsewhere[kind].items())
        shown = (
            f"{elsewhere} of the {kind} duplicates have a reason that comes first, and are counted under it: {named}"
        )
        assert shown in " ".join(found.render().split())
        for label, documents in found.elsewhere[kind].items():
            assert f"{kind} duplicates: {documents} more, counted as {label}" in ran["status"].render()
    kept_later = ran["status"].kept + expected[FAR_OFF]
    assert found.kept == kept_later + sum(found.elsewhere["kept"].values())
    leaks = ran["decontaminate"].counts["contaminated"]
    unscored = leaks - expected[LEAKED]
    assert unscored and f"contaminated: {unscored} more, counted as {UNSCORED}" in ran["status"].render()
    assert f"contaminated: {unscored} more, counted as {UNSCORED}" in ran["decontaminate"].render()


def test_the_filter_explains_the_same_numbers(ran):
    for line in ran["status"].also:
        assert line in ran["filter"].render() and line in ran["dry"].render()


def test_explain_gives_each_document_the_reason_under_which_it_is_counted(ran):
    for row, reason in enumerate(ran["reasons"]):
        (one,) = explain(f"a.jsonl:{row}", run=ran["run"]).documents
        assert one.decision == {None: "kept", "unreadable": "unreadable"}.get(reason, "dropped")
        if reason not in (None, "unreadable"):
            assert one.reason == reason


def test_the_copy_of_a_document_that_is_rejected_says_so_and_is_counted(tmp_path):
    these = words_of(7)
    rows = [spelled(these) + ' ""!', spelled(these), spelled(edited(these, 50)), spelled(words_of(8))]
    write_lines(tmp_path / "a.jsonl", [{"text": text} for text in rows])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], numbers)
    dedup(run=run.path)
    choose(run=run.path, max_ppl=100)
    assert "2 of the duplicates are copies of documents that are rejected too" in status(run=run.path).render()
    assert "that one is dropped too, perplexity > 100" in explain("a.jsonl:1", run=run.path).render()
    keeper = explain("a.jsonl:0", run=run.path).render()
    assert "stood for 2 copies" in keeper and "nothing is kept in its place" in keeper


def test_a_document_that_could_not_be_scored_keeps_none_that_could(tmp_path):
    these = words_of(9)
    write_lines(tmp_path / "a.jsonl", [{"text": spelled(these).upper() + ' ""'}, {"text": spelled(these)}])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], numbers)
    found = dedup(run=run.path)
    assert (found.exact, found.elsewhere["exact"]) == (1, {UNSCORED: 1})
    assert status(run=run.path).kept == 1
    assert explain("a.jsonl:1", run=run.path).documents[0].dossier.copies.kind == "keeper"


def test_duplicates_of_before_the_scores_are_stale_where_what_they_keep_could_not_be_scored(tmp_path):
    these = words_of(9)
    texts = [spelled(these).upper() + ' ""', spelled(these), spelled(words_of(10)).upper()]
    write_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    dedup(run=tmp_path / "run", corpus=[str(tmp_path / "a.jsonl")])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], numbers)
    shown = status(run=run.path)
    assert shown.kept == 1 and "documents dropped for copies that could not be scored: 1" in shown.stale[0]
    with pytest.raises(TableError, match="could not be scored"):
        choose(run=run.path, max_ppl=100)
    dedup(run=run.path)
    assert not status(run=run.path).stale and status(run=run.path).kept == 1


@pytest.mark.parametrize(("slices", "complete", "said"), [(1, False, "of the 2 scored so far"), (1, True, "missing")])
def test_a_percentile_says_what_it_is_of_where_scores_are_missing(tmp_path, slices, complete, said):
    write_lines(tmp_path / "a.jsonl", [{"text": f"document {row}"} for row in range(4)])
    of_row = {row: {"perplexity": 10.0 + row, "tokens": 5} for row in range(4)}
    options = {"slice_bytes": 20, "complete": True}
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], lambda text: of_row[int(text.split()[1])], **options)
    assert "(25th percentile)" in explain("a.jsonl:1", run=run.path).render()
    parts = sorted(run.scores.glob("*.parquet"))
    for part in parts[len(parts) // 2 :]:
        part.unlink()
    if not complete:
        run.save("score", {**run.stage("score"), "complete": False})
    shown = explain("a.jsonl:1", run=run.path).render()
    assert "(50th percentile of the 2 scored" in shown and said in shown
