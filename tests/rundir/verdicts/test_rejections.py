"""No stale, foreign or half-done table of hits or duplicates is used by any verb."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.runs import numbered_run, ppl, reasons_of, write_duplicate_rows, write_duplicates, write_hits, write_lines

from curate.errors import TableError
from curate.rundir import decision_table, parquet, schemas
from curate.rundir.run import open_run
from curate.verbs.explain import explain
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.status import status


def change_record(run, verb, **changes):
    opened = open_run(run.path)
    opened.save(verb, {**opened.stage(verb), **changes})


def forget(run, verb):
    open_run(run.path).save(verb, None)


def rewrite(path, **note):
    parquet.write_part(path, pq.read_table(path), {**parquet.read_metadata(path), **note})


def only_part(run):
    return parquet.list_parts(run.hits)[0]


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
    assert len(parquet.list_parts(run.hits)) > 1
    write_duplicates(run, [{1: "near", 2: "keeper"}])
    return open_run(run.path)


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
    part = parquet.list_parts(both.hits)[-1]
    rows = [{**row, "row": 77} for row in pq.read_table(only_part(both)).to_pylist()]
    parquet.write_part(part, pa.Table.from_pylist(rows, schema=schemas.HITS), parquet.read_metadata(part))
    for verb in (
        lambda: choose(str(both.path), max_ppl=50),
        lambda: export(str(tmp_path / "out"), str(both.path)),
    ):
        with pytest.raises(TableError, match="1 documents of the hits or the duplicates are not in") as caught:
            verb()
        assert caught.value.hint == f"curate decontaminate EVALS… --run {both.path}; curate dedup --run {both.path}"


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
    assert caught.value.hint == f"curate decontaminate EVALS… --run {both.path}; curate dedup --run {both.path}"


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
    assert decision_table.open_filter(open_run(both.path)) is not None
    again(both)
    with pytest.raises(TableError, match=f"stale: curate {verb} has run since") as caught:
        decision_table.open_filter(open_run(both.path))
    assert "curate filter" in caught.value.hint
    with pytest.raises(TableError, match="stale"):
        export(str(tmp_path / "out"), str(both.path))
    assert any("has run since" in line for line in status(str(both.path)).stale)


def test_a_first_decontaminate_makes_an_older_filter_stale(tmp_path):
    run = numbered_run(tmp_path, ppl(10.0, 20.0))
    choose(str(run.path), max_ppl=50)
    write_hits(run, [])
    with pytest.raises(TableError, match="curate decontaminate has run since"):
        decision_table.open_filter(open_run(run.path))


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
