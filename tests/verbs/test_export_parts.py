"""``export --part``: shares done by any number of processes, in any order, come to the bytes of the plain command."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers.exports import FORMATS, LEAKY, files_of, leaky_run, plain_run
from helpers.random_exports import draw_run
from helpers.runs import make_run, write_lines
from helpers.stopped_verbs import list_hidden, waiting_verb

import curate
from curate.errors import BusyError, UsageError
from curate.exports import slice_rows
from curate.exports.ordered import tasks
from curate.exports.spilled import sequence

WAYS = {
    "plain": {"no_order": True},
    "ordered": {},
    "by bucket": {"by_bucket": True},
    "bucket alone": {"by_bucket": True, "no_order": True},
}


@pytest.fixture(autouse=True)
def many_tasks(monkeypatch):
    """Small tasks, so that there are several."""
    monkeypatch.setattr(tasks, "TASK_BYTES", 8000)
    monkeypatch.setattr(sequence, "MEASURED_BYTES", 3000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with an order and buckets, of several files."""
    return draw_run(tmp_path_factory.mktemp("parts"), "parts 3", placed=True).path


def export(out, run, **options):
    return curate.export(str(out), run=str(run), **{"shard_size": "6kB", "workers": 1, **options})


def export_parts(out, run, order, count, **options):
    return [export(out, run, part=f"{index}/{count}", **options) for index in order]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("way", WAYS)
def test_parts_in_any_order_and_the_plain_command_come_to_its_own_bytes(run, tmp_path, kind, way):
    options = {"format": kind, **WAYS[way]}
    plain = export(tmp_path / "plain", run, **options)
    for count in (1, 7) if (FORMATS.index(kind) + list(WAYS).index(way)) % 2 else (2, 3):
        out, order = tmp_path / f"dealt-{count}", list(range(count))
        random.Random(count).shuffle(order)
        done = export_parts(out, run, [*order, order[0]], count, **options)
        assert done[-1].tasks_finished == done[-1].tasks_in_all == sum(each.tasks for each in done[:-1]) > 7
        assert done[-1].resumed == done[-1].documents and not out.exists()
        assert sum(each.documents for each in done[:-1]) == plain.counts["read"]
        again = count % 3  # some arrays are run again, and write shards too
        for _ in range(again):
            done = export_parts(out, run, order, count, **options)
        if again == 2:
            assert done[-1].shards_finished == done[-1].shards_in_all == plain.shards
        summary = export(out, run, **options)
        assert files_of(out) == files_of(tmp_path / "plain") and not (tmp_path / f".dealt-{count}.parts").exists()
        assert summary.counts == plain.counts and summary.documents == plain.documents
    assert list_hidden(tmp_path) == []


def test_what_is_done_is_not_done_again(run, tmp_path, monkeypatch):
    export(tmp_path / "plain", run, format="jsonl", no_order=True)
    for _ in range(2):
        export_parts(tmp_path / "out", run, range(3), 3, format="jsonl", no_order=True)
    monkeypatch.setattr(slice_rows, "read_task", lambda *_: pytest.fail("the corpus is read"))
    monkeypatch.setattr(sequence.sequence_shards, "write_shard", lambda *_: pytest.fail("a shard is written"))
    export(tmp_path / "out", run, format="jsonl", no_order=True)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")


def test_rejected_documents_and_cut_passages_are_exported_in_parts(tmp_path):
    leaky = leaky_run(tmp_path, [{"text": text, "other": text} for text in LEAKY])
    for options in ({"format": "parquet"}, {"format": "jsonl"}):
        out = tmp_path / f"out-{options['format']}"
        export(tmp_path / f"plain-{options['format']}", leaky.path, **options)
        export_parts(out, leaky.path, (1, 0), 2, **options)
        export(out, leaky.path, **options)
        assert files_of(out) == files_of(tmp_path / f"plain-{options['format']}")
    curate.filter(max_ppl=60, run=str(leaky.path))
    for rejected in (True, False):
        options = {"format": "hf", "rejected": rejected, "overwrite": True}
        export(tmp_path / "plain", leaky.path, **options)
        export_parts(tmp_path / "out", leaky.path, (0, 1), 2, **options)
        export(tmp_path / "out", leaky.path, **options)
        assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")


def test_a_name_that_is_taken_late_moves_the_columns_of_all_parts(tmp_path):
    rows = [{"text": f"document {n} " + "x" * 300} for n in range(40)]
    rows[30]["curate_tokens"], rows[35]["curate2_row"] = 1, 2
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=1500)
    assert export(tmp_path / "plain", run.path, format="jsonl").prefix == "curate3_"
    export_parts(tmp_path / "out", run.path, (0, 1, 2, 0), 3, format="jsonl")
    export(tmp_path / "out", run.path, format="jsonl")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")


def start(out, run, part, workers):
    words = ["export", str(out), "--run", str(run), "--format", "jsonl", "--shard-size", "40kB", "--part", part]
    code = "import curate.exports.ordered.tasks as t; t.TASK_BYTES = 20_000\nfrom curate.cli import app\napp()"
    command = [sys.executable, "-c", code, *words, "--workers", str(workers)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_processes_at_once_one_part_twice_and_one_killed_come_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "TASK_BYTES", 20_000)
    run, _ = plain_run(tmp_path, 2500)
    options = {"format": "jsonl", "shard_size": "40kB"}
    export(tmp_path / "plain", run.path, **options)
    out, parts = tmp_path / "out", tmp_path / ".out.parts"
    working = [start(out, run.path, part, 1 + (part == "0/3")) for part in ("0/3", "1/3", "1/3", "2/3")]
    while not list(parts.glob("curate_0*")) and any(each.poll() is None for each in working):
        time.sleep(0.01)
    working[3].send_signal(signal.SIGKILL)
    for each in working:
        _, told = each.communicate(timeout=120)
        assert each.returncode == (-signal.SIGKILL if each is working[3] else 0), told
    export(out, run.path, **options)
    assert files_of(out) == files_of(tmp_path / "plain")
    assert list_hidden(tmp_path) == [] and not parts.exists()


def test_the_plain_command_and_another_export_wait_for_parts_that_work(tmp_path, monkeypatch):
    monkeypatch.undo()  # the processes have the size of tasks that is used
    run, _ = plain_run(tmp_path, 60)
    out, words = tmp_path / "out", ["export", str(tmp_path / "out"), "--run", str(run.path), "--format", "jsonl"]
    with waiting_verb([*words, "--part", "0/2"], "data+train-00000-of-00001.jsonl", tmp_path / "waiting"):
        export(out, run.path, format="jsonl", shard_size="500MB", part="1/2")
        with pytest.raises(BusyError, match=r"curate export is writing .*out/0-of-2"):
            export(out, run.path, format="jsonl", shard_size="500MB")
        with pytest.raises(UsageError, match="holds parts of another export: --format jsonl, not hf"):
            export(out, run.path, format="hf", part="1/2", overwrite=True)
    with waiting_verb(words, "out", tmp_path / "waiting"):
        for part in (None, "0/2"):
            with pytest.raises(BusyError, match="curate export is writing"):
                export(out, run.path, format="jsonl", shard_size="500MB", part=part)
    assert not (tmp_path / ".out.parts").exists()
    export(tmp_path / "plain", run.path, format="jsonl", shard_size="500MB")
    assert files_of(out) == files_of(tmp_path / "plain")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"push_to_hub": "me/name"}, "--part and --push-to-hub"),
        ({"format": "tokens", "tokenizer": "builtin"}, "--part and --format tokens"),
        ({"part": "2/2"}, "parts count from 0"),
        ({"append": "none"}, "are about token files"),
    ],
)
def test_options_that_cannot_hold_for_a_part_are_refused(run, tmp_path, options, message):
    with pytest.raises(UsageError, match=message) as caught:
        export(tmp_path / "out", run, **{"part": "0/2", **options})
    assert caught.value.hint and list(tmp_path.iterdir()) == []


def test_parts_of_another_export_are_refused_by_name_and_discarded_where_that_is_asked_for(tmp_path):
    run, _ = plain_run(tmp_path, 60)
    out = tmp_path / "out"
    export(out, run.path, part="0/2", format="jsonl")
    before = files_of(tmp_path / ".out.parts")
    for part in (None, "1/2"):
        for options, message in (
            ({"format": "hf"}, "--format jsonl, not hf"),
            ({"format": "jsonl", "shard_size": "7kB"}, "--shard-size 6000, not 7000"),
        ):
            with pytest.raises(UsageError, match=message) as caught:
                export(out, run.path, part=part, **options)
            assert "--overwrite" in caught.value.hint and "--part" not in caught.value.hint
    with pytest.raises(UsageError, match="--format jsonl, not hf"):  # that would be the end of what others have done
        export(out, run.path, part="1/2", format="hf", overwrite=True)
    curate.filter(max_ppl=70, run=str(run.path))
    with pytest.raises(UsageError, match="curate filter has run since") as caught:
        export(out, run.path, format="jsonl", part="1/2")
    assert files_of(tmp_path / ".out.parts") == before and not out.exists()
    export(out, run.path, format="parquet", overwrite=True)
    export(tmp_path / "plain", run.path, format="parquet")
    assert files_of(out) == files_of(tmp_path / "plain") and not (tmp_path / ".out.parts").exists()
    with pytest.raises(UsageError, match="holds an earlier export"):
        export(out, run.path, format="jsonl", part="1/2")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    run, _ = plain_run(tmp_path, 20)
    (tmp_path / ".out.parts").mkdir()
    (tmp_path / ".out.parts" / "mine.txt").write_text("mine")
    for part in ("0/2", None):
        with pytest.raises(UsageError, match="did not write"):
            export(tmp_path / "out", run.path, part=part, overwrite=True)
    assert files_of(tmp_path / ".out.parts") == {"mine.txt": b"mine"} and not (tmp_path / "out").exists()
