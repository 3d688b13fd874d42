"""``decontaminate --part``: shares searched by any number of processes come to the bytes of the plain command."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers import small_files
from helpers.stopped_verbs import kill_verb, waiting_verb

import curate
from curate.corpus import open_corpus, shares
from curate.errors import BusyError, GateError, TableError, UsageError
from curate.rundir.run import name_part
from curate.stages.decontaminate import detector, scan

QUESTIONS = [
    "Marguerite bought five boxes of pens at two dollars each; how much did she give the cashier?",
    "Which glacial lake in Patagonia drains westward through the Baker river to the Pacific ocean?",
    "How many herring gulls nested on the slate roofs of the harbour before the council sent its ladders?",
]
OPTIONS = {"canaries": 3, "workers": 1}


def write_evals(path, questions=QUESTIONS):
    rows = [{"id": f"q{number}", "question": text, "answer": str(number)} for number, text in enumerate(questions)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def evals(tmp_path_factory):
    return write_evals(tmp_path_factory.mktemp("evals") / "quiz.jsonl")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files of all kinds, gathered small ones and one of several slices, some with a question in them."""
    folder = tmp_path_factory.mktemp("parts") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    (folder / "a/d900.txt").write_text(f"{small_files.make_text(1)} {QUESTIONS[0]} {small_files.make_text(2)}")
    lines = (folder / "j.jsonl").read_text().splitlines()
    planted = [json.dumps({"text": f"{small_files.make_text(3)}\n{question}"}) for question in QUESTIONS]
    (folder / "j.jsonl").write_text("\n".join([*lines[:20], *planted, *lines[20:], planted[1]]) + "\n")
    return folder


@pytest.fixture(scope="module")
def scored(corpus, tmp_path_factory):
    """A run with scores of the corpus, in slices so small that there are many units."""
    run = tmp_path_factory.mktemp("scored") / "run"
    curate.score(str(corpus), run=str(run), model="none", slice_bytes=700)
    return run


@pytest.fixture
def make_run(scored, tmp_path):
    """A function that copies the scored run under a name."""
    return lambda name="run": shutil.copytree(scored, tmp_path / name)


def search(evals, run, **options):
    return curate.decontaminate(evals, run=str(run), **{**OPTIONS, **options})


def read_tables(run):
    """The hits, the lock, the plants and run.json, byte by byte."""
    paths = [*sorted((run / "hits").iterdir()), run / "manifests/hits.json"]
    paths += [run / name for name in ("run.json", "evals.lock", "canaries.jsonl")]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths if path.exists()}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shares_in_any_order_and_the_plain_command_come_to_its_own_bytes(evals, make_run, count):
    plain, dealt = make_run("plain"), make_run("dealt")
    assert search(evals, plain).counts["contaminated"] == 5
    order = list(range(count))
    random.Random(count).shuffle(order)
    read = 0
    for index in [*order, order[0]]:
        done = search(evals, dealt, part=f"{index}/{count}")
        read += done.documents - done.resumed
        assert json.loads((dealt / "run.json").read_text())["decontaminate"]["complete"] is False
    assert done.resumed == done.documents
    assert not (dealt / "evals.lock").exists() and not (dealt / "contamination.html").exists()
    before = {path: path.stat().st_mtime_ns for path in (dealt / "hits").iterdir()}
    whole = search(evals, dealt)
    assert {path: path.stat().st_mtime_ns for path in (dealt / "hits").iterdir()} == before
    assert read == whole.counts["read"] == 87 and whole.recall
    assert read_tables(dealt) == read_tables(plain)


def test_a_share_has_parts_of_its_own_units_alone(evals, make_run):
    run, expected = make_run(), set()
    sources = open_corpus([str(corpus_of(run))], slice_bytes=700).sources
    for index, units in enumerate(shares.deal_units(sources, 700, 3)):
        search(evals, run, part=f"{index}/3")
        expected |= set(small_files.name_parts(corpus_of(run), units))
        assert {path.name for path in (run / "hits").iterdir()} == expected


@pytest.mark.parametrize("method", ["ngram", "minhash"])
def test_a_corpus_that_was_not_scored_is_dealt_too(evals, corpus, tmp_path, method):
    options = {"corpus": str(corpus), "method": method, "action": "mark"}
    search(evals, tmp_path / "plain", **options)
    for index in (2, 0, 1):
        done = search(evals, tmp_path / "dealt", part=f"{index}/3", **options)
    assert done.completing.startswith("curate decontaminate ") and "--part" not in done.completing
    assert "--action mark" in done.completing and "--corpus" not in done.completing
    assert f"part {done.part}" in done.render() and "scanned" in done.render()
    search(evals, tmp_path / "dealt", method=method, action="mark")
    assert read_tables(tmp_path / "dealt") == read_tables(tmp_path / "plain")


def test_the_plain_command_searches_what_no_share_did(evals, make_run):
    plain, dealt = make_run("plain"), make_run("dealt")
    search(evals, plain)
    search(evals, dealt, part="1/3")
    found = curate.status(run=str(dealt))
    assert any("decontaminate" in line for line in found.stale)
    search(evals, dealt)
    assert read_tables(dealt) == read_tables(plain)


def test_parts_go_on_with_what_a_killed_plain_command_left(evals, make_run):
    plain, dealt = make_run("plain"), make_run("dealt")
    search(evals, plain)
    words = ["decontaminate", evals, "--run", str(dealt), "--canaries", "3", "--workers", "1"]
    kill_verb(words, sorted(path.name for path in (plain / "hits").iterdir())[9])
    resumed = [search(evals, dealt, part=f"{index}/2").resumed for index in range(2)]
    search(evals, dealt)
    assert sum(resumed) > 0 and read_tables(dealt) == read_tables(plain)


def start(evals, run, part):
    words = ["decontaminate", evals, "--run", str(run), "--canaries", "3", "--workers", "1", "--part", part]
    return subprocess.Popen([sys.executable, "-m", "curate", *words], stderr=subprocess.PIPE, text=True)


def test_processes_at_once_one_share_twice_and_one_killed_come_to_the_same_bytes(evals, make_run):
    plain, dealt = make_run("plain"), make_run("dealt")
    search(evals, plain)
    working = [start(evals, dealt, part) for part in ("0/3", "1/3", "1/3", "2/3")]
    while not list((dealt / "hits").glob("0*.parquet")) and any(each.poll() is None for each in working):
        time.sleep(0.02)
    working[3].send_signal(signal.SIGKILL)
    for each in working:
        _, told = each.communicate(timeout=120)
        assert each.returncode == (-signal.SIGKILL if each is working[3] else 0), told
    search(evals, dealt, part="2/3")
    search(evals, dealt)
    assert read_tables(dealt) == read_tables(plain)


def test_parts_work_beside_one_another_and_the_plain_command_waits_for_them(evals, make_run, tmp_path):
    run = make_run()
    (first, *_), _ = shares.deal_units(open_corpus([str(corpus_of(run))], slice_bytes=700).sources, 700, 2)
    words = ["decontaminate", evals, "--run", str(run), "--canaries", "3", "--workers", "1", "--part", "0/2"]
    with waiting_verb(words, name_part(first.first, 0), tmp_path / "waiting"):
        search(evals, run, part="1/2")
        with pytest.raises(BusyError, match=r"curate decontaminate is writing .*hits/0-of-2"):
            search(evals, run)
        with pytest.raises(BusyError, match=r"curate decontaminate is reading .*scores"):
            curate.score(str(corpus_of(run)), run=str(run), model="none", part="0/2")


def corpus_of(run):
    return json.loads((run / "run.json").read_text())["score"]["corpus"]["paths"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "minhash"}, "with --method ngram, now minhash"),
        ({"action": "mark"}, "with --action drop, now mark"),
        ({"variants": "drop"}, "with --variants keep, now drop"),
    ],
)
def test_shares_that_would_not_fit_together_are_refused_by_name(evals, make_run, options, message):
    run = make_run()
    search(evals, run, part="0/2")
    before = read_hits(run)
    for again in ({"part": "1/2"}, {}):
        with pytest.raises(TableError, match=message) as caught:
            search(evals, run, **again, **options)
        assert "--restart" in caught.value.hint and "--part" not in caught.value.hint
    assert read_hits(run) == before
    assert search(evals, run, restart=True, **options).counts["read"] == 87


def read_hits(run):
    return {path.name: path.read_bytes() for path in (run / "hits").iterdir()}


def test_other_eval_sets_are_refused_by_name_before_and_after_the_hits_are_complete(evals, make_run, tmp_path):
    run = make_run()
    other = write_evals(tmp_path / "other.jsonl")
    changed = tmp_path / "more" / "quiz.jsonl"
    changed.parent.mkdir()
    write_evals(changed, QUESTIONS[:2])
    for step in ({"part": "0/2"}, {}):
        search(evals, run, **step)
        for names, message in (
            ([evals, other], "without the eval set other$"),
            ([other], "without the eval set other; with the eval set quiz too$"),
            ([str(changed)], "from other items of quiz$"),
        ):
            with pytest.raises(TableError, match=message):
                curate.decontaminate(names, run=str(run), part="1/2", **OPTIONS)


def test_a_corpus_dealt_in_other_slices_is_refused(evals, corpus, tmp_path):
    search(evals, tmp_path / "run", corpus=str(corpus), part="0/2")
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none", slice_bytes=700)
    with pytest.raises(TableError, match="dealt in slices of 4 MB, and was scored since in slices of 700 bytes"):
        search(evals, tmp_path / "run", part="1/2")
    assert search(evals, tmp_path / "run").counts["read"] == 87


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restart": True}, "--part and --restart"),
        ({"verify": "out"}, "--part and --verify"),
        ({"fail_on_hit": True}, "--part and --fail-on-hit"),
        ({"report": "page.html"}, "--part and --report"),
        ({"corpus": "-"}, "another standard input"),
        ({"part": "2/2"}, "parts count from 0"),
    ],
)
def test_options_that_cannot_hold_for_a_share_are_refused(evals, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        search(evals, tmp_path / "run", **{"part": "0/2", **options})
    assert not (tmp_path / "run").exists()


def test_a_corpus_that_was_scored_under_a_limit_is_not_dealt(evals, corpus, tmp_path):
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none", limit=9)
    with pytest.raises(UsageError, match="--limit 9, which counts over all files"):
        search(evals, tmp_path / "run", part="0/2")


def test_a_share_that_could_find_nothing_is_refused_before_anything_is_recorded(evals, make_run, tmp_path, monkeypatch):
    run = make_run()
    short = write_evals(tmp_path / "short.jsonl", ["Who?"])
    with pytest.raises(GateError, match="too short or too common"):
        search(short, run, part="0/2")
    monkeypatch.setattr(detector.Detector, "scan", lambda self, texts: [])
    with pytest.raises(GateError, match="verbatim plants were not found"):
        search(evals, run, part="0/2")
    assert "decontaminate" not in json.loads((run / "run.json").read_text()) and not (run / "canaries.jsonl").exists()


def test_the_recall_is_measured_by_the_first_share_and_by_the_plain_command(evals, make_run, monkeypatch):
    run, measured = make_run(), []
    real = scan.DecontaminationJob.measure

    def measure(self, *options, **named):
        measured.append(named["write"])
        return real(self, *options, **named)

    monkeypatch.setattr(scan.DecontaminationJob, "measure", measure)
    for index in range(3):
        search(evals, run, part=f"{index}/3")
    assert measured == [False]
    search(evals, run)
    assert measured == [False, True]
