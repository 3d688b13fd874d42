"""``status`` beside the work of others: how far each table and each part of an array is."""

import json
import shutil

import pytest
from helpers import small_files
from helpers.stopped_verbs import kill_verb, waiting_verb

import curate
from curate.corpus import open_corpus, shares
from curate.corpus.slice_marks import list_slices
from curate.errors import DamageError, TableError
from curate.reports.progress import tables
from curate.reports.progress.part_facts import PartReader
from curate.reports.progress.tables import PartProgress, TableProgress, read_progress
from curate.rundir import parquet


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    return folder


@pytest.fixture(scope="module")
def evals(tmp_path_factory):
    path = tmp_path_factory.mktemp("evals") / "quiz.jsonl"
    question = "How many herring gulls nested on the slate roofs of the harbour before the council sent its ladders?"
    path.write_text(json.dumps({"id": "q", "question": question}) + "\n")
    return str(path)


def score(corpus, run, **options):
    return curate.score(str(corpus), run=str(run), **{"model": "none", "slice_bytes": 700, **options})


def deal(corpus, count):
    sources = open_corpus([str(corpus)], slice_bytes=700).sources
    return sources, shares.deal_units(sources, 700, count)


def words_of(corpus, run, part):
    words = ["score", str(corpus), "--model", "none", "--carry", "none", "--slice-bytes", "700"]
    return [*words, "--run", str(run), "--part", part]


def test_the_counts_are_those_of_the_parts_that_are_there(corpus, tmp_path):
    run = tmp_path / "run"
    sources, _ = deal(corpus, 3)
    sizes = {source.name: source.size for source in sources}
    for index in range(3):
        score(corpus, run, part=f"{index}/3")
        marks = [
            mark for path in parquet.list_parts(run / "scores") for mark in list_slices(parquet.read_metadata(path))
        ]
        ended = {mark.file for mark in marks if mark.last}
        (table,) = read_progress(run).tables
        assert (table.verb, table.complete, table.working, table.parts) == ("score", False, 0, ())
        assert table.documents == sum(mark.documents for mark in marks)
        assert (table.files, table.total_files) == (len(ended), len(sources))
        begun = {mark.file for mark in marks}
        assert sum(sizes[name] for name in ended) <= table.num_bytes <= sum(sizes[name] for name in begun)
        assert table.total_bytes == sum(sizes.values())
        assert table.is_done == (index == 2)
    shown = curate.status(run=str(run)).render()
    assert f"score         {len(sources)} of {len(sources)} files, 82 documents" in shown and "(100 %)" in shown
    assert "every file is done; curate score without --part completes it" in shown
    score(corpus, run)
    assert read_progress(run).tables == () and curate.status(run=str(run)).progress is None


def test_parts_that_work_that_stopped_and_that_have_not_begun_are_told_apart(corpus, tmp_path):
    run = tmp_path / "run"
    _, dealt = deal(corpus, 4)
    assert any(unit.pieces > 1 for share in dealt for unit in share)
    names = [small_files.name_parts(corpus, share) for share in dealt]
    killed = max(range(4), key=lambda number: len(names[number]))
    first, second, _ = (number for number in range(4) if number != killed)
    score(corpus, run, part=f"{first}/4")
    kill_verb(words_of(corpus, run, f"{killed}/4"), names[killed][2])
    with waiting_verb(words_of(corpus, run, f"{second}/4"), names[second][0], tmp_path / "mark"):
        (table,) = read_progress(run).tables
        states = {part.part: part for part in table.parts}
        assert len(states) == 4 and table.working == 1
        assert states[f"{first}/4"].state == "done" and states[f"{first}/4"].share == 1
        stopped, live = states[f"{killed}/4"], states[f"{second}/4"]
        assert (stopped.state, live.state) == ("stopped", "working") and stopped.pid != live.pid
        assert 0 < stopped.share < 1 and live.num_bytes == 0
        assert sum(part.state == "not begun" for part in table.parts) == 1
        assert abs(sum(part.total_bytes for part in table.parts) - table.total_bytes) < 4
        assert abs(sum(part.num_bytes for part in table.parts) - table.num_bytes) <= 700
        found = curate.status(run=str(run))
        json.dumps(found.as_dict())
        lines = found.render().splitlines()
        assert "              4 parts: 1 stopped, 1 working, 1 not begun, 1 done" in lines
        rows = [line for line in lines if line[:13].strip() in states]
        assert [line.split()[1] for line in rows] == ["stopped", "working"] and f"pid {stopped.pid} on " in rows[0]
    with waiting_verb(words_of(corpus, run, f"{killed}/4"), names[killed][3], tmp_path / "again"):
        again = next(part for part in read_progress(run).tables[0].parts if part.part == stopped.part)
        assert again.state == "working" and again.pid != stopped.pid and again.share > stopped.share
    (table,) = read_progress(run).tables
    assert all(part.state != "stopped" for part in table.parts)


def test_hits_of_a_corpus_that_was_not_scored_are_all_that_is_told(corpus, evals, tmp_path):
    run = tmp_path / "run"
    options = {"corpus": str(corpus), "run": str(run), "workers": 1, "canaries": 1}
    with pytest.raises(TableError, match="no run"):
        curate.status(run=str(run))
    curate.decontaminate(evals, part="0/2", **options)
    found = curate.status(run=str(run))
    assert [table.verb for table in found.tables] == ["decontaminate"] and found.tables[0].total_files == 23
    assert "decontaminate " in found.render() and "of 23 files" in found.render()
    curate.decontaminate(evals, **options)
    with pytest.raises(TableError, match="has no scores"):
        curate.status(run=str(run))


def test_what_is_damaged_foreign_or_gone_stops_no_look(corpus, tmp_path):
    run = tmp_path / "run"
    score(corpus, run, part="0/2")
    before = read_progress(run).tables[0]
    (run / "scores" / "notes.parquet").write_bytes(b"of somebody")
    parts = parquet.list_parts(run / "scores")
    parts[0].write_bytes(b"half")
    after = read_progress(run).tables[0]
    assert after.documents < before.documents and after.total_bytes == before.total_bytes
    shutil.copytree(corpus, tmp_path / "other")
    record = json.loads((run / "run.json").read_text())
    record["score"]["corpus"]["paths"] = [str(tmp_path / "gone")]
    del record["checksum"]
    (run / "run.json").write_text(json.dumps(record))
    told = read_progress(run)
    assert "does not exist" in told.note and told.tables[0].files is None and told.tables[0].documents > 0
    record["score"]["corpus"]["paths"] = ["https://host/corpus.jsonl"]
    (run / "run.json").write_text(json.dumps(record))
    assert "not local" in read_progress(run).note
    (run / "run.json").write_text("{")
    with pytest.raises(DamageError):
        read_progress(run)


def test_of_many_parts_the_stopped_and_the_slowest_are_listed_and_the_others_counted():
    parts = [PartProgress(f"{n}/900", "working", n, 1000, 0, 1, "node", n) for n in range(800)]
    parts += [PartProgress(f"{n}/900", "stopped", n, 1000, 0, 1, "node", 1, 700.0) for n in range(800, 803)]
    parts += [PartProgress(f"{n}/900", "done", 1000, 1000, 1, 1) for n in range(803, 900)]
    table = TableProgress(
        "score", "scores", False, 10**9, 5, 900, 3 * 10**11, 10**12, True, 800, tuple(reversed(parts))
    )
    lines = table.lines()
    assert len(lines) <= 20 and max(map(len, lines)) <= 100
    assert lines[0] == "score         5 of 900 files, about 1,000,000,000 documents, 300 GB of 1 TB (30 %)"
    assert lines[1].strip() == "900 parts: 3 stopped, 800 working, 97 done"
    assert [line.split()[0] for line in lines[2:7]] == ["800/900", "801/900", "802/900", "0/900", "1/900"]
    assert lines[2].endswith("pid 1 on node, no sign of life for 12 min")
    assert lines[-1] == "  and 789 more, 1 % to 79 % done"


def test_a_look_opens_no_more_parts_than_it_may_and_the_next_ones_open_the_others(corpus, tmp_path):
    run = tmp_path / "run"
    score(corpus, run, part="0/1")
    exact, reader = read_progress(run).tables[0], PartReader(at_once=4)
    first = read_progress(run, reader).tables[0]
    assert first.estimated and len(reader.facts) <= 4 and "about" in first.summary()
    assert (first.files, first.num_bytes) == (exact.files, exact.num_bytes)
    for _ in range(20):
        last = read_progress(run, reader).tables[0]
    assert last == exact


def test_a_limit_and_sizes_that_are_unknown_give_no_share(corpus, tmp_path):
    score(corpus, tmp_path / "run", limit=5)
    record = json.loads((tmp_path / "run/run.json").read_text())
    record["score"]["complete"] = False
    del record["checksum"]
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    (table,) = read_progress(tmp_path / "run").tables
    assert table.total_bytes is None and table.share is None and "%" not in table.summary()
    sized = PartProgress("0/1", "working", 0, 0, 3, 4)
    assert sized.share == 0.75
    assert tables.format_minutes(90) == "90 s" and tables.format_minutes(7300) == "2 h"
