"""Records that several processes save, and runs whose tables change while a verb reads them."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.leftovers import name_leftover, name_living

from curate.corpus.files.run_marks import MARK
from curate.errors import BusyError, TableError
from curate.rundir.guards.claims import USES, blame_writers, describe_writing, open_claimed
from curate.rundir.run import Run, open_run
from curate.runtime.disk import claims
from curate.runtime.disk.writers import Writer
from curate.verbs import VERBS


def test_fifty_threads_that_save_different_records_lose_none(tmp_path):
    opened = [open_run(tmp_path, create=True) for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda number: opened[number].save(f"stage{number}", {"number": number}), range(50)))
    record = open_run(tmp_path).record
    assert record == {"format": 1} | {f"stage{number}": {"number": number} for number in range(50)}
    assert sorted(os.listdir(tmp_path)) == [MARK, "run.json"]


def test_processes_that_save_different_records_lose_none(tmp_path):
    script = (
        "import sys; from curate.rundir.run import open_run\n"
        "for n in range(10): open_run(sys.argv[1], create=True).save(f'{sys.argv[2]}-{n}', {'n': n})\n"
    )
    words = [sys.executable, "-c", script, tmp_path]
    processes = [subprocess.Popen([*words, str(number)]) for number in range(5)]
    assert [process.wait(120) for process in processes] == [0] * 5
    assert len(open_run(tmp_path).record) == 51


def test_a_record_is_saved_as_part_of_what_the_file_has_now_and_can_be_removed(tmp_path):
    early, late = open_run(tmp_path, create=True), open_run(tmp_path, create=True)
    late.save("bucket", {"a": 1})
    early.save("order", {"b": 2})
    assert open_run(tmp_path).record == {"format": 1, "bucket": {"a": 1}, "order": {"b": 2}}
    late.save("bucket", None)
    assert open_run(tmp_path).record == {"format": 1, "order": {"b": 2}}


@pytest.mark.parametrize("stage", ["score", "decontaminate", "dedup"])
def test_a_table_whose_sources_were_made_again_meanwhile_is_not_recorded(tmp_path, stage):
    Run(tmp_path).save(stage, {"fingerprint": "old", "complete": True})
    run = open_run(tmp_path)
    open_run(tmp_path).save(stage, {"fingerprint": "new", "complete": True})
    with pytest.raises(TableError, match=rf"curate {stage} has run in .* since curate filter began"):
        run.save("filter", {"fingerprint": "mine"})
    assert "filter" not in open_run(tmp_path).record
    run.save("carried", {"columns": {}})  # which is made of none of them


def test_a_verb_whose_claim_was_taken_over_does_not_save(tmp_path):
    Run(tmp_path).save("score", {"fingerprint": "x"})
    with claims.scope():
        run = open_claimed(tmp_path, "filter")
        run.claim.path.unlink()
        with pytest.raises(TableError, match=r"the claim of curate filter .* was taken over"):
            run.save("filter", {})
    assert "filter" not in open_run(tmp_path).record


def test_every_verb_that_writes_a_run_has_its_tables_listed():
    others = {"status", "explain", "verify", "train_reference"}
    assert {verb.replace("_", "-") for verb in set(VERBS) - others} == set(USES)


def test_a_reader_that_fails_while_another_writes_says_who_does(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="there is no run"), blame_writers(tmp_path):
        open_run(tmp_path)
    other = claims.make_claim("score", ("scores", "carried"))
    path = tmp_path / claims.FOLDER / "score-1.json"
    path.parent.mkdir()
    record = {"verb": "score", "writes": ["scores"], "reads": [], "host": "node\x1b[31m7", "began": other.began}
    path.write_text(json.dumps(record | {"writer": {"host": "0123456789", "pid": 7, "start": "1"}, "token": "1"}))
    message = r"curate score is writing .*scores: pid 7 on node\\x1b\[31m7 since"
    for error in (TableError("gone", "start over with --restart"), OSError("gone"), KeyError("gone")):
        with pytest.raises(BusyError, match=message) as caught, blame_writers(tmp_path):
            raise error
        assert "restart" not in caught.value.hint
    assert Writer("0123456789", 7, "1").is_gone() is False


def test_processes_that_write_parts_of_one_table_are_one_sentence(tmp_path):
    path = tmp_path / claims.FOLDER
    path.mkdir()
    writes = [f"scores/{index}-of-64.0a{index:02d}" for index in [*range(3, 15), 3]] + ["hits"]
    for number, name in enumerate(writes):
        claim = claims.make_claim("score" if "-of-" in name else "decontaminate", (name,))
        record = {"verb": claim.verb, "writes": [name], "reads": [], "host": f"node{number % 2}", "began": claim.began}
        writer = {"host": "0123456789", "pid": number, "start": "1"}
        (path / f"{number}.json").write_text(json.dumps({**record, "writer": writer, "token": str(number)}))
    other, parts = describe_writing(tmp_path)
    assert other.startswith("curate decontaminate is writing")
    which = "parts 3, 4, 5, 6, 7, 8, 9, 10 and 4 more of 64"
    assert parts.startswith(f"curate score is writing {tmp_path}/scores, {which}: 13 processes on 2 hosts")


@pytest.mark.parametrize("verb", sorted(verb for verb, use in USES.items() if use.writes))
def test_every_verb_that_writes_removes_what_a_killed_one_left_at_the_records_and_manifests(tmp_path, verb):
    Run(tmp_path).save("score", {"fingerprint": "x"})
    places = [tmp_path, tmp_path / "manifests", tmp_path / "manifests" / "carried"]
    for folder in places:
        folder.mkdir(exist_ok=True)
        (folder / name_leftover("run.json.json")).write_text("left")
        (folder / name_living("run.json.json")).write_text("somebody is writing it")
    open_claimed(tmp_path, verb)
    left = [path.name for folder in places for path in folder.iterdir() if path.name.startswith(".run.json.json")]
    assert left == [name_living("run.json.json")] * 3
