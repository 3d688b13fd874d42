"""``--engine ray`` on a cluster of two machines: the bytes of the plain command, whatever dies meanwhile."""

import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from helpers import models, small_files
from helpers.corpora import write_records
from helpers.runs import read_files

import curate
from curate.errors import TableError, UsageError
from curate.runtime.work import ray_scheduler

pytest.importorskip("ray")

from helpers.ray_clusters import start_cluster


@pytest.fixture(scope="module")
def cluster():
    with start_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files of all kinds, small ones, and one that is dealt in pieces."""
    folder = tmp_path_factory.mktemp("ray") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    rng = random.Random(3)
    words = ["the", "river", "ran", "past", "seven", "old", "mills", "before", "it", "met", "another", "one"]
    rows = [{"text": " ".join(rng.choices(words, k=rng.randint(3, 30))), "domain": "made"} for _ in range(120)]
    write_records(folder / "large.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("ray-model") / "model", "llama"))


def score(corpus, run, **options):
    return curate.score(str(corpus), run=str(run), **{"slice_bytes": 700, "carry": "domain", **options})


def find_workers():
    """The processes of Ray's workers that hold an actor of curate."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::RayWorker"):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("workers", [2])
def test_the_bytes_are_those_of_the_plain_command_for_any_number_of_workers(cluster, corpus, model, tmp_path, workers):
    plain = score(corpus, tmp_path / "plain", model=model)
    done = score(corpus, tmp_path / "ray", model=model, engine="ray", workers=workers)
    assert read_files(tmp_path / "ray", leftovers=False) == read_files(tmp_path / "plain", leftovers=False)
    assert (done.documents, done.not_scored) == (plain.documents, plain.not_scored) and done.tokens_per_second > 0
    again = score(corpus, tmp_path / "ray", model=model, engine="ray", workers=workers)
    assert again.documents == plain.documents and read_files(tmp_path / "ray", leftovers=False) == read_files(
        tmp_path / "plain", leftovers=False
    )


def test_what_scoring_left_before_is_kept_and_the_rest_is_dealt(cluster, corpus, tmp_path):
    score(corpus, tmp_path / "plain", model="none")
    score(corpus, tmp_path / "ray", model="none", part="1/3")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "ray/scores").iterdir()}
    score(corpus, tmp_path / "ray", model="none", engine="ray", workers=2)
    assert kept and all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert read_files(tmp_path / "ray", leftovers=False) == read_files(tmp_path / "plain", leftovers=False)


def pass_on_credentials(monkeypatch):
    """Give workers the environment by which the store is found, which on a cluster is that of their machines."""
    passed_on = ray_scheduler.is_passed_on
    monkeypatch.setattr(ray_scheduler, "is_passed_on", lambda name: name.startswith("AWS_") or passed_on(name))


def test_workers_put_their_parts_into_a_store(cluster, corpus, bucket, tmp_path, monkeypatch):
    pass_on_credentials(monkeypatch)
    score(corpus, tmp_path / "plain", model="none")
    score(corpus, f"{bucket.url}/run", model="none", part="1/3")
    score(corpus, f"{bucket.url}/run", model="none", engine="ray", workers=2)
    assert read_files(download(bucket, "run", tmp_path)) == read_files(tmp_path / "plain")


def download(bucket, name, folder):
    """The files of a run in a bucket, without its lock."""
    down = bucket.download(name, folder / f"{name}-down")
    shutil.rmtree(down / ".claims")
    return down


def kill_beside(run, strike, times=1):
    """Call ``strike`` in a thread each time that a few more parts are there."""

    def wait():
        parts = 0
        for _ in range(times):
            deadline = time.monotonic() + 60
            while (now := len(list((run / "scores").glob("0*.parquet")))) <= parts and time.monotonic() < deadline:
                time.sleep(0.01)
            parts = now + 3
            strike()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_workers_that_are_killed_change_nothing(cluster, corpus, model, tmp_path, monkeypatch, capsys):
    warned = []
    monkeypatch.setattr(ray_scheduler.console, "warn", warned.append)
    score(corpus, tmp_path / "plain", model=model)

    def kill():
        for process in find_workers()[:1]:
            os.kill(process, signal.SIGKILL)

    thread = kill_beside(tmp_path / "ray", kill, times=3)
    score(corpus, tmp_path / "ray", model=model, engine="ray", workers=2, pack_tokens=64)
    thread.join()
    assert capsys.readouterr().out == "", "Ray would say it on stdout, where the summary goes"
    assert any("has died; what it worked on is done again" in line for line in warned)
    assert read_scores_of(tmp_path / "ray") == read_scores_of(tmp_path / "plain")


def read_scores_of(run):
    """The files of the scores and of the carried columns."""
    return {
        name: data for name, data in read_files(run, leftovers=False).items() if name.startswith(("scores", "carried"))
    }


def test_a_machine_that_goes_and_another_that_comes_change_nothing(cluster, corpus, model, tmp_path):
    score(corpus, tmp_path / "plain", model=model)
    cluster.add_machine()  # from the main thread, since Ray sets handlers of signals; it takes over
    thread = kill_beside(tmp_path / "ray", cluster.cut_off)
    score(corpus, tmp_path / "ray", model=model, engine="ray", workers=2)
    thread.join()
    assert read_files(tmp_path / "ray", leftovers=False) == read_files(tmp_path / "plain", leftovers=False)


def test_a_model_that_only_one_kind_of_machine_has_scored_is_not_gone_on_with_by_another(
    cluster, corpus, model, tmp_path
):
    score(corpus, tmp_path / "run", model=model, part="0/3")
    record = json.loads((tmp_path / "run/run.json").read_text())
    record["score"]["made_from"]["model"]["versions"]["torch"] = "1.0"
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    with pytest.raises(TableError, match="was made on another machine"):
        score(corpus, tmp_path / "run", model=model, engine="ray", workers=1)


def read_below(folder):
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_decontaminate_dedup_and_export_come_to_the_bytes_of_the_plain_commands(cluster, bucket, tmp_path, monkeypatch):
    """One run is made on this machine, others by two workers, here and in a store; all have leaks, copies, an order."""
    pass_on_credentials(monkeypatch)
    rng = random.Random(5)
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "omicron",
        "pi",
        "rho",
    ]
    question = "Who repaired the astronomical clock of Ghent in the year of the great flood of 1431?"
    rows = [{"text": " ".join(rng.choices(words, k=rng.randint(20, 60))), "n": number} for number in range(150)]
    rows += [{**row, "n": 1000 + row["n"]} for row in rows[:20]]
    rows += [{"text": f"{question} {' '.join(rng.choices(words, k=20))}", "n": 2000}]
    rng.shuffle(rows)
    (tmp_path / "corpus").mkdir()
    for number in range(4):
        write_records(tmp_path / f"corpus/{number}.jsonl", rows[number::5])
    write_records(tmp_path / "corpus/large.jsonl", rows[4::5] * 3)
    write_records(tmp_path / "evals.jsonl", [{"question": question}])
    made = {}
    ray = {"engine": "ray", "workers": 2}
    for name, run, engine in (
        ("here", tmp_path / "here", {}),
        ("there", tmp_path / "there", ray),
        ("stored", f"{bucket.url}/stored", ray),
    ):
        score(tmp_path / "corpus", run, model="none", carry="none", slice_bytes=1500)
        hits = curate.decontaminate(
            str(tmp_path / "evals.jsonl"), run=str(run), canaries=2, report=str(tmp_path / "page.html"), **engine
        )
        copies = curate.dedup(run=str(run), **engine)
        assert hits.counts["contaminated"] == 1 and copies.exact > 20
        curate.filter(where="n % 7 <> 3", run=str(run))
        made[name] = {"run": read_files(run if name != "stored" else download(bucket, name, tmp_path), leftovers=False)}
        for kind in ("hf", "parquet", "jsonl") if name != "stored" else ("jsonl",):
            for order in ("corpus", "shuffled"):
                if order == "shuffled":
                    curate.order(schedule="shuffle", by="n", run=str(run))
                out = tmp_path / f"{name}-{kind}-{order}" / "out"
                out.parent.mkdir()
                curate.export(
                    str(out), run=str(run), format=kind, shard_size="20kB", no_order=order == "corpus", **engine
                )
                made[name][kind, order] = read_below(out)
    assert made["there"].keys() == made["here"].keys()
    for key, files in [*made["there"].items(), *made["stored"].items()]:
        assert made["here"][key] == files, key
    assert any(len(files) > 6 for key, files in made["here"].items() if key != "run"), "several shards"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "0/2"}, "--part and --engine ray"),
        ({"limit": 5}, "--limit and --engine ray"),
        ({"devices": "cpu,cpu"}, "--devices and --engine ray do not go together"),
        ({"engine": "local", "workers": 2}, "--workers has no effect without --engine ray"),
    ],
)
def test_options_that_an_engine_cannot_keep_are_refused(corpus, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        score(corpus, tmp_path / "run", model="none", **{"engine": "ray", **options})


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("decontaminate", {"evals": "e.jsonl", "verify": "out"}, "--verify and --engine ray"),
        ("decontaminate", {"evals": "e.jsonl", "part": "0/2"}, "--part and --engine ray"),
        ("dedup", {"part": "0/2"}, "--part and --engine ray"),
        ("export", {"out": "out", "format": "tokens", "tokenizer": "t"}, "token formats are written on one machine"),
        ("export", {"out": "out", "part": "0/2"}, "--part and --engine ray"),
    ],
)
def test_other_verbs_refuse_what_they_cannot_do_with_an_engine(tmp_path, verb, options, message):
    with pytest.raises(UsageError, match=message):
        getattr(curate, verb)(run=str(tmp_path / "run"), engine="ray", **options)
    with pytest.raises(UsageError, match="--address has no effect without --engine ray"):
        getattr(curate, verb)(
            run=str(tmp_path / "run"),
            address="auto",
            **{**options, "part": None, "verify": None} if "verify" in options else {**options, "part": None},
        )
