"""A verb that was killed with SIGKILL: the same command takes over, says so, and leaves nothing of either behind."""

import json
import os
import shutil

import pytest
from helpers.stopped_verbs import kill_verb, list_hidden, run_verb, waiting_verb

import curate

KILLED = {
    "score": (["score", "CORPUS", "--model", "none", "--restart"], "00000-000000.parquet"),
    "score, its record": (["score", "CORPUS", "--model", "none", "--restart"], "run.json"),
    "decontaminate": (["decontaminate", "EVALS", "--canaries", "4", "--restart"], "00000-000000.parquet"),
    "decontaminate, its page": (["decontaminate", "EVALS", "--canaries", "4"], "contamination.html"),
    "dedup": (["dedup"], "duplicates.parquet"),
    "filter": (["filter", "--where", "bytes > 60", "--ledger", "none"], "filter.parquet"),
    "filter, its record": (["filter", "--where", "bytes > 60", "--ledger", "none"], "run.json"),
    "bucket": (["bucket", "--by", "bytes", "--within", "none"], "buckets.parquet"),
    "bucket, its cut-offs": (["bucket", "--by", "bytes", "--save-cutoffs", "CUTOFFS"], "CUTOFFS"),
    "order": (["order", "--by", "bytes", "--memory-limit", "1kb"], "order.parquet"),
    "report": (["report"], "report.html"),
    "report elsewhere": (["report", "--out", "PAGE.html"], "PAGE.json"),
    "export": (["export", "OUT", "--format", "jsonl", "--overwrite"], "OUT"),
    "probe": (["filter", "--probe", "PROBE"], "PROBE"),
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    corpus = folder / "CORPUS"
    corpus.mkdir()
    rows = [{"text": f"document {i} has {'many ' * (i % 7)}words about {i * 7} things"} for i in range(90)]
    (corpus / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = [
        {"question": f"How many of the {i} apples in a box on the table are left?", "answer": "4"} for i in range(6)
    ]
    (folder / "EVALS").mkdir()
    (folder / "EVALS" / "apples.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


@pytest.mark.parametrize("name", KILLED)
def test_the_same_command_takes_over_and_leaves_nothing(scored, tmp_path, name):
    for each in ("CORPUS", "EVALS"):
        shutil.copytree(scored / each, tmp_path / each)
    run = tmp_path / "run"
    curate.score(tmp_path / "CORPUS", model="builtin" if name == "probe" else "none", run=run)
    words, at = KILLED[name]
    words = [*(str(tmp_path / word) if word[:3].isupper() else word for word in words), "--run", str(run)]
    kill_verb(words, at)
    assert list_hidden(tmp_path) != []
    code, messages = run_verb(words)
    assert code == 0, messages
    assert "taken over" in messages or name in ("export", "report elsewhere", "probe"), messages
    assert list_hidden(tmp_path) == []


def test_what_is_taken_over_is_said_with_the_verb_the_process_and_the_host(scored, tmp_path):
    run = tmp_path / "run"
    words = ["score", scored / "CORPUS", "--model", "none", "--run", run]
    kill_verb(words, "00000-000000.parquet")
    holder = json.loads(next((run / ".claims").glob("score-*.json")).read_text())
    messages = run_verb(words)[1].replace("\n            ", " ")
    gone = f"pid {holder['writer']['pid']} on {holder['host']}, which began {holder['began']} and is gone"
    assert f"taken over  from curate score, {gone}" in messages


def test_an_export_that_was_put_aside_when_its_successor_was_killed_comes_back(scored, tmp_path):
    """Killed between the two renamings, neither export stood at OUT, and the next sweep removed both."""
    run, out = tmp_path / "run", tmp_path / "OUT"
    curate.score(scored / "CORPUS", model="none", run=run)
    curate.export(out, run=run, format="jsonl")
    earlier = (out / "manifest.json").read_bytes()
    kill_verb(["export", out, "--run", run, "--format", "parquet", "--overwrite"], "OUT")
    assert not out.exists()
    code, messages = run_verb(["export", out, "--run", run, "--format", "parquet"])
    assert code == 2 and "holds an earlier export" in messages
    assert (out / "manifest.json").read_bytes() == earlier and list_hidden(tmp_path) == []


def test_what_a_living_writer_has_on_its_way_stays(scored, tmp_path):
    """A second ``score`` removed the file that the first was writing, which then ended in an error."""
    run = tmp_path / "run"
    words = ["score", scored / "CORPUS", "--model", "none", "--run", run]
    with waiting_verb(words, "00000-000000.parquet", tmp_path / "mark") as process:
        before = [name for name in os.listdir(run / "scores") if name.startswith(".")]
        assert len(before) == 1 and run_verb(words)[0] == 1
        assert [name for name in os.listdir(run / "scores") if name.startswith(".")] == before
    assert process.returncode == 0, process.messages


@pytest.mark.parametrize("verb", ["train-reference", "rank-sft"])
def test_a_folder_that_is_no_run_is_taken_over_too(tmp_path, verb):
    rows = [{"text": f"some words to learn from, number {i}, about {i * 3} things"} for i in range(300)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"instruction": f"Add {i} and {i}.", "output": f"It is {2 * i}, as {i} twice."} for i in range(12)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = ["--tokens", "2000", "--vocabulary", "300", "--width", "16", "--layers", "1", "--heads", "1"]
    words, at = {
        "train-reference": (["train-reference", tmp_path / "texts.jsonl", "--context", "32", *small], "premise.json"),
        "rank-sft": (["rank-sft", tmp_path / "pairs.jsonl", "--draws", "100"], "ranking.json"),
    }[verb]
    words = [*words, "--out", tmp_path / "OUT"]
    with waiting_verb(words, at, tmp_path / "mark") as process:
        code, messages = run_verb(words)
        assert code == 1 and f"curate {verb} is writing {tmp_path}/OUT: pid {process.pid} on " in messages
        process.kill()
        process.wait()
    code, messages = run_verb(words)
    assert code == 0 and "taken over" in messages
    assert list_hidden(tmp_path) == []
