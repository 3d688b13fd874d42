"""The hits and the duplicates reject first: nothing is lost, one reason each, and no stale table is used."""

import itertools
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.runs import (
    decisions_of,
    kept_of,
    make_run,
    numbered_run,
    widest,
    write_duplicate_rows,
    write_duplicates,
    write_hits,
    write_lines,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import decisions, runs, spans, tables
from curate.errors import TableError, UsageError
from curate.explanation import explain
from curate.exporting import export
from curate.funnel import status
from curate.selection import filter as choose


def ppl(*values, **more):
    """A document for each perplexity."""
    return [{"perplexity": value, **more} for value in values]


def reasons_of(run):
    return list(decisions_of(run).values())


# What rejects, and in which order.


def test_a_document_is_rejected_for_a_hit_to_be_dropped_and_for_a_copy_that_is_kept_elsewhere(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 6))
    write_hits(run, [{"row": 1}])
    write_duplicates(run, [{0: "keeper", 2: "near", 3: "exact"}])
    found = choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == [None, "contaminated: gsm8k", "near duplicate", "exact duplicate", None, None]
    counted = {reason: share.documents for reason, share in found.rejected.items()}
    assert counted == {"contaminated: gsm8k": 1, "exact duplicate": 1, "near duplicate": 1}
    assert (found.read.documents, found.scored.documents, found.kept.documents) == (6, 3, 3)
    shown = found.render()
    assert all(reason in shown for reason in counted)
    assert widest(shown) <= 100


def test_the_first_that_rejects_is_the_reason(tmp_path):
    """Unscored, then contaminated, then a duplicate, then the criteria, whatever else is true of a document."""
    numbers = [{"status": "too_long"}, *ppl(90.0, 90.0, 90.0, 1.0)]
    run = numbered_run(tmp_path, numbers)
    write_hits(run, [{"row": row} for row in (0, 1)])
    write_duplicates(run, [{0: "near", 1: "exact", 2: "near", 3: "keeper"}])
    choose(str(run.path), max_ppl=50, where="id = 'd4'", keep="low")
    assert reasons_of(run) == ["unscored: too_long", "contaminated: gsm8k", "near duplicate", "perplexity > 50", None]


def test_an_unreadable_row_stays_unreadable_whatever_the_tables_say(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "one"}, b"{broken"])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_hits(run, [{"row": 1}])
    found = choose(str(run.path), min_tokens=1)
    assert reasons_of(run) == [None, "unreadable"]
    assert (found.unreadable, dict(found.rejected)) == (1, {})


def test_the_reason_names_the_set_of_the_strongest_hit_and_of_equals_the_first_by_name(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 10.0, 10.0, 10.0))
    strong, weak = {"eval_set": "mbpp", "bits": 90.0}, {"eval_set": "gsm8k", "bits": 40.0}
    equals = [{"row": 1, "eval_set": name, "bits": 50.0} for name in ("zebra", "apple")]
    louder = {"row": 2, "eval_set": "loud", "bits": 99.0, "verdict": "review", "action": "none"}
    write_hits(run, [{"row": 0, **weak}, {"row": 0, **strong}, *equals, {"row": 2, **weak}, louder])
    choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == ["contaminated: mbpp", "contaminated: apple", "contaminated: gsm8k", None]


def test_only_the_action_drop_rejects(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 4))
    actions = [("contaminated", "mark"), ("contaminated", "cut"), ("review", "none"), ("contaminated", "drop")]
    write_hits(run, [{"row": row, "verdict": v, "action": a} for row, (v, a) in enumerate(actions)])
    choose(str(run.path), max_ppl=50)
    assert reasons_of(run) == [None, None, None, "contaminated: gsm8k"]


STATUSES = st.sampled_from(["ok", "ok", "ok", "too_long"])
HITS = st.lists(
    st.fixed_dictionaries(
        {
            "eval_set": st.sampled_from(["a", "b, c", "d'e"]),
            "bits": st.sampled_from([30.0, 50.0, 80.0]),
            "action": st.sampled_from(["drop", "mark", "cut", "none"]),
        }
    ),
    max_size=3,
)
DOCUMENT = st.tuples(STATUSES, st.sampled_from([10.0, 60.0, None]), HITS, st.sampled_from(["", "near", "exact"]))


def expected_reason(status, perplexity, hits, kind):
    """The rules once more, on one document."""
    dropped = sorted((-hit["bits"], hit["eval_set"]) for hit in hits if hit["action"] == "drop")
    if status != "ok":
        return f"unscored: {status}"
    if dropped:
        return f"contaminated: {dropped[0][1]}"
    if kind:
        return f"{kind} duplicate"
    if perplexity is None:
        return "perplexity is null"
    return "perplexity > 50" if perplexity > 50 else None


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(DOCUMENT, min_size=1, max_size=30))
def test_whatever_the_tables_say_nothing_is_lost_and_the_order_is_that_of_the_scores(tmp_path_factory, documents):
    folder = tmp_path_factory.mktemp("run")
    numbers = [{"status": status, "perplexity": perplexity} for status, perplexity, _, _ in documents]
    run = numbered_run(folder, [*numbers, {"perplexity": 1.0}], slice_bytes=200)
    for row, (_, _, hits, _) in enumerate(documents):
        for hit in hits:
            hit.update(row=row, verdict="review" if hit["action"] == "none" else "contaminated")
    write_hits(run, [hit for _, _, hits, _ in documents for hit in hits])
    copies = {row: kind for row, (_, _, _, kind) in enumerate(documents) if kind}
    write_duplicates(run, [{**copies, len(documents): "keeper"}])
    found = choose(str(run.path), max_ppl=50)
    expected = [*(expected_reason(*document) for document in documents), None]
    assert list(decisions_of(run)) == [("a.jsonl", row) for row in range(len(expected))]
    assert reasons_of(run) == expected
    assert found.read.documents == found.kept.documents + sum(one.documents for one in found.rejected.values())


def test_the_order_is_that_of_the_scores_though_a_join_has_none(tmp_path):
    """Several files, many slices, and enough documents for several threads."""
    paths = [tmp_path / "c" / name for name in ("a.jsonl", "m.jsonl", "z.jsonl")]
    for path in paths:
        write_lines(path, [{"text": f"{path.name} {row}"} for row in range(3000)])
    run = make_run(tmp_path / "run", paths, slice_bytes=20_000)
    write_hits(run, [{"file": path.name, "row": row} for path in paths for row in range(0, 3000, 3)])
    choose(str(run.path), min_tokens=1)
    expected = [(path.name, row) for path in paths for row in range(3000)]
    assert list(decisions_of(run)) == expected
    dropped = [key for key, reason in decisions_of(run).items() if reason]
    assert dropped == [(name, row) for name, row in expected if row % 3 == 0]


# What the criteria are about.


def test_percentiles_medians_and_shares_are_of_the_documents_that_are_left(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 13))))
    write_hits(run, [{"row": 0}, {"row": 1}])
    write_duplicates(run, [{2: "near", 3: "exact", 4: "keeper"}])
    found = choose(str(run.path), keep="low", rate=0.5)
    assert kept_of(run) == [4, 5, 6, 7]  # the lower half of the perplexities 5 to 12
    assert (found.scored.documents, found.scored.median_perplexity) == (8, 8.5)
    with pytest.raises(UsageError, match=r"Perplexity of this one: min 5, .*50 % 8\.5"):
        choose(str(run.path))


def test_a_sweep_is_of_the_documents_that_are_left_and_says_how_many_went(tmp_path):
    run = numbered_run(tmp_path, ppl(*map(float, range(1, 104))))
    write_hits(run, [{"row": 101}, {"row": 102, "eval_set": "mbpp"}])
    write_duplicates(run, [{0: "near", 1: "keeper"}])
    found = choose(str(run.path), dry_run=True)
    assert found.scored.documents == 100
    assert {trial.criterion: trial.kept.documents for trial in found.sweep}["--keep middle --rate 0.5"] == 50
    shown = found.render()
    assert "after decontaminate, dedup" in shown
    assert "rejected before: contaminated 2, near duplicates 1" in shown
    assert widest(shown) <= 100
    assert not run.filter.exists()


def test_a_dry_run_counts_as_the_decision_does(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, 30.0, 20.0))
    write_hits(run, [{"row": 0}])
    tried = choose(str(run.path), max_ppl=50, dry_run=True)
    decided = choose(str(run.path), max_ppl=50)
    assert (tried.kept, tried.rejected, tried.scored, tried.verbs) == (
        decided.kept, decided.rejected, decided.scored, decided.verbs,
    )  # fmt: skip


def test_sql_sees_what_is_marked_and_which_sets(tmp_path):
    run = numbered_run(tmp_path, ppl(*[10.0] * 4))
    hits = [{"row": 0}, {"row": 0, "eval_set": "arc"}, {"row": 1, "eval_set": "arc"}]
    write_hits(run, [*hits, {"row": 2, "verdict": "review", "action": "none"}], action="mark")
    write_duplicates(run, [{2: "keeper"}])
    for where, kept in {
        "not contaminated": [2, 3],
        "scores.contaminated": [0, 1],
        "eval_sets = 'arc, gsm8k'": [0],
        "eval_sets is null": [2, 3],
        "not duplicate": [0, 1, 2, 3],
        "(select count(*) from scores where contaminated) = 2": [0, 1, 2, 3],
    }.items():
        choose(str(run.path), where=where)
        assert kept_of(run) == kept, where


def test_the_scores_that_sql_asks_are_those_of_the_documents_that_are_left(tmp_path):
    run = numbered_run(tmp_path, ppl(1.0, 10.0, 20.0, 900.0))
    write_hits(run, [{"row": 3}])
    choose(str(run.path), where="perplexity < (select avg(perplexity) from scores)")
    assert kept_of(run) == [0, 1]


def test_a_column_that_a_verb_would_bring_is_answered_with_the_verb(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    for where, verb in {"not contaminated": "curate decontaminate", "duplicate": "curate dedup"}.items():
        with pytest.raises(UsageError) as caught:
            choose(str(run.path), where=where)
        assert verb in caught.value.hint


def test_sql_reaches_neither_the_files_of_the_tables_nor_our_own_columns(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    write_hits(run, [{"row": 0}], action="mark")
    (part,) = tables.parts(run.hits)
    for where in (f"0 < (select count(*) from read_parquet('{part}'))", "rejection is null", "place = 0"):
        with pytest.raises(UsageError):
            choose(str(run.path), where=where)


def test_a_small_memory_limit_is_kept_to(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 60.0, 20.0))
    write_hits(run, [{"row": 0}])
    choose(str(run.path), max_ppl=50, memory_limit="50MB")
    assert kept_of(run) == [2]
    assert not (run.path / ".spill").exists()


def test_tables_without_rows_reject_nothing_and_are_recorded(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 20.0))
    write_hits(run, [])
    write_duplicates(run, [])
    found = choose(str(run.path), max_ppl=50)
    assert (found.kept.documents, found.verbs) == (2, ("curate decontaminate", "curate dedup"))
    record = runs.open_run(run.path).stage("filter")
    assert record["hits"] == runs.open_run(run.path).stage("decontaminate")["fingerprint"]
    assert record["duplicates"] == runs.open_run(run.path).stage("dedup")["fingerprint"]


def test_without_the_tables_the_record_says_null(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0))
    choose(str(run.path), max_ppl=50)
    record = runs.open_run(run.path).stage("filter")
    assert (record["hits"], record["duplicates"]) == (None, None)


# Stale, foreign and half-done tables.


def change_record(run, verb, **changes):
    opened = runs.open_run(run.path)
    opened.save(verb, {**opened.stage(verb), **changes})


def forget(run, verb):
    runs.open_run(run.path).save(verb, None)


def rewrite(path, **note):
    tables.write_part(path, pq.read_table(path), {**tables.read_metadata(path), **note})


def only_part(run):
    return tables.parts(run.hits)[0]


ELSEWHERE = {"corpus": "another"}
BROKEN_HITS = {
    "incomplete": lambda run: write_hits(run, [{"row": 0}], only_slices=1),
    "whole but not complete": lambda run: change_record(run, "decontaminate", complete=False),
    "made from another corpus": lambda run: change_record(run, "decontaminate", made_from=ELSEWHERE),
    "part of another fingerprint": lambda run: rewrite(only_part(run), made_from="other"),
    "part gone": lambda run: only_part(run).unlink(),
    "folder gone": lambda run: shutil.rmtree(run.hits),
    "record gone": lambda run: forget(run, "decontaminate"),
    "part cut short": lambda run: only_part(run).write_bytes(only_part(run).read_bytes()[:50]),
    "other number of documents": lambda run: change_record(run, "decontaminate", counts={"read": 4}),
}
BROKEN_DUPLICATES = {
    "made from another corpus": lambda run: change_record(run, "dedup", made_from=ELSEWHERE),
    "made from other scores": lambda run: change_record(
        run, "dedup", made_from={**run.stage("dedup")["made_from"], "scores": "other"}
    ),
    "made with other hits": lambda run: change_record(
        run, "dedup", made_from={**run.stage("dedup")["made_from"], "hits": "other"}
    ),
    "of another fingerprint": lambda run: rewrite(run.duplicates, fingerprint="other"),
    "file gone": lambda run: run.duplicates.unlink(),
    "record gone": lambda run: forget(run, "dedup"),
    "cut short": lambda run: run.duplicates.write_bytes(run.duplicates.read_bytes()[:50]),
    "other number of documents": lambda run: change_record(run, "dedup", counts={"read": 3}),
}
CASES = [
    *(("decontaminate EVALS…", name, act) for name, act in BROKEN_HITS.items()),
    *(("dedup", name, act) for name, act in BROKEN_DUPLICATES.items()),
]


@pytest.fixture
def both(tmp_path):
    """Five documents: 0 is contaminated, 1 a copy of 2."""
    run = numbered_run(tmp_path, ppl(*[10.0] * 5), slice_bytes=100)
    write_hits(run, [{"row": 0}], slice_bytes=100)
    assert len(tables.parts(run.hits)) > 1
    write_duplicates(run, [{1: "near", 2: "keeper"}])
    return runs.open_run(run.path)


@pytest.mark.parametrize(("command", "case", "act"), CASES, ids=[f"{verb[:5]} {name}" for verb, name, _ in CASES])
def test_a_table_that_may_not_be_used_stops_filter_and_export_and_status_says_so(both, tmp_path, command, case, act):
    act(both)
    for verb in (
        lambda: choose(str(both.path), max_ppl=50),
        lambda: choose(str(both.path), dry_run=True),
        lambda: export(str(tmp_path / "out"), str(both.path)),
    ):
        with pytest.raises(TableError) as caught:
            verb()
        assert caught.value.hint == f"curate {command} --run {both.path}", case
    assert not both.filter.exists()
    assert not (tmp_path / "out").exists()
    found = status(str(both.path))
    assert len(found.stale) == 1
    assert f"curate {command}" in found.stale[0]
    reasons = {"contaminated: gsm8k": 1, "near duplicate": 1}
    del reasons["near duplicate" if command == "dedup" else "contaminated: gsm8k"]
    assert (found.rejected, found.kept) == (reasons, 4)
    assert "next:" not in found.render()
    (document,) = explain("d0", str(both.path)).documents
    assert document.decision == "undecided"
    assert f"curate {command}" in document.reason


def test_hits_of_documents_that_the_scores_do_not_have_are_refused(both, tmp_path):
    part = tables.parts(both.hits)[-1]
    rows = [{**row, "row": 77} for row in pq.read_table(only_part(both)).to_pylist()]
    tables.write_part(part, pa.Table.from_pylist(rows, schema=tables.HITS), tables.read_metadata(part))
    for verb in (
        lambda: choose(str(both.path), max_ppl=50),
        lambda: export(str(tmp_path / "out"), str(both.path)),
    ):
        with pytest.raises(TableError, match="1 documents of the hits or the duplicates are not in") as caught:
            verb()
        assert "curate decontaminate" in caught.value.hint


def test_a_document_that_is_twice_in_the_duplicates_breaks_the_conservation_law(both):
    rows = pq.read_table(both.duplicates).to_pylist()
    write_duplicate_rows(both, [*rows, rows[0]])
    with pytest.raises(TableError):
        choose(str(both.path), max_ppl=50)


def test_damage_behind_a_sound_footer_names_the_commands(both):
    part = only_part(both)
    octets = bytearray(part.read_bytes())
    octets[4:200] = bytes(196)
    part.write_bytes(bytes(octets))
    with pytest.raises(TableError, match="cannot be read") as caught:
        choose(str(both.path), max_ppl=50)
    assert "curate decontaminate" in caught.value.hint


def test_a_corpus_that_changed_is_refused_where_there_are_tables(both, tmp_path):
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"id": f"d{n}", "text": f"document {n} other"} for n in range(5)])
    with pytest.raises(TableError, match="has changed"):
        choose(str(both.path), max_ppl=50)
    found = status(str(both.path))
    assert found.stale == ("the corpus has changed since it was scored (curate score … --restart)",)


def test_hits_that_were_sliced_otherwise_than_the_scores_serve_as_well(tmp_path):
    for slice_bytes in (50, 170, 10_000):
        folder = tmp_path / str(slice_bytes)
        run = numbered_run(folder, ppl(*[10.0] * 40), slice_bytes=300)
        write_hits(run, [{"row": row} for row in (3, 17, 39)], slice_bytes=slice_bytes)
        choose(str(run.path), max_ppl=50)
        assert [row for row, reason in enumerate(reasons_of(run)) if reason] == [3, 17, 39]


@pytest.mark.parametrize(
    ("verb", "again"),
    [
        ("decontaminate", lambda run: write_hits(run, [{"row": 1}])),
        ("decontaminate", lambda run: forget(run, "decontaminate")),
        ("dedup", lambda run: write_duplicates(run, [{3: "near", 4: "keeper"}])),
    ],
)
def test_a_filter_is_stale_once_another_table_stands_beside_it(both, tmp_path, verb, again):
    choose(str(both.path), max_ppl=50)
    assert decisions.open_filter(runs.open_run(both.path)) is not None
    again(both)
    with pytest.raises(TableError, match=f"stale: curate {verb} has run since") as caught:
        decisions.open_filter(runs.open_run(both.path))
    assert "curate filter" in caught.value.hint
    with pytest.raises(TableError, match="stale"):
        export(str(tmp_path / "out"), str(both.path))
    assert any("has run since" in line for line in status(str(both.path)).stale)


def test_a_first_decontaminate_makes_an_older_filter_stale(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 20.0))
    choose(str(run.path), max_ppl=50)
    write_hits(run, [])
    with pytest.raises(TableError, match="curate decontaminate has run since"):
        decisions.open_filter(runs.open_run(run.path))


def test_the_same_decision_from_the_same_tables_is_the_same_bytes(both):
    taken = []
    for _ in range(2):
        choose(str(both.path), keep="middle")
        taken.append((both.filter.read_bytes(), (both.path / "run.json").read_bytes()))
    assert taken[0] == taken[1]


def test_export_without_a_filter_decides_as_a_filter_that_asks_nothing(both, tmp_path):
    without = export(str(tmp_path / "one"), str(both.path), format="jsonl")
    choose(str(both.path), where="true")
    filtered = export(str(tmp_path / "two"), str(both.path), format="jsonl")
    assert without.counts == filtered.counts == {"read": 5, "kept": 3, "rejected": 2, "unreadable": 0}
    first, second = (next((tmp_path / name).rglob("*.jsonl")).read_bytes() for name in ("one", "two"))
    assert first == second
    assert [json.loads(line)["curate_row"] for line in first.splitlines()] == [2, 3, 4]


# Spans.

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))), max_size=6)


@given(SPANS)
def test_merged_spans_cover_the_same_characters_and_stand_apart(found):
    merged = spans.merge_spans(found)
    assert {place for start, end in merged for place in range(start, end)} == {
        place for start, end in found for place in range(start, end)
    }
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(merged))
    assert spans.count_characters(merged) == sum(end - start for start, end in merged)


@given(text=st.text("ab 1.,\n¿日", min_size=30, max_size=40), found=SPANS)
def test_a_cut_text_is_the_rest_with_one_character_for_each_span(text, found):
    merged = spans.merge_spans(found)
    cut = spans.cut_spans(text, merged)
    assert len(cut) == len(text) - spans.count_characters(merged) + len(merged)
    place = 0
    for number, (start, _) in enumerate(merged):
        before = merged[number - 1][1] if number else 0
        assert cut[place : place + start - before] == text[before:start]
        place += start - before
        assert cut[place] in " \n"
        place += 1
    assert cut[place:] == text[merged[-1][1] if merged else 0 :]


def test_what_is_no_span_of_the_text_is_a_mistake():
    for wrong in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError):
            spans.merge_spans([wrong])
    with pytest.raises(ValueError):
        spans.cut_spans("short", [(2, 9)])
