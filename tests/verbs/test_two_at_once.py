"""Two verbs at once on one run: what one writes no other reads or writes, and who has it is said."""

import json
import os
import shutil
import signal
import threading

import pytest
from helpers.stopped_verbs import list_hidden, run_verb, waiting_verb

import curate
from curate.errors import BusyError

VERBS = {
    "score": lambda run, corpus: curate.score(corpus, model="none", run=run),
    "decontaminate": lambda run, corpus: curate.decontaminate(corpus.parent / "evals.jsonl", run=run, canaries=4),
    "dedup": lambda run, corpus: curate.dedup(run=run),
    "filter": lambda run, corpus: curate.filter(where="bytes > 60", ledger="none", run=run),
    "bucket": lambda run, corpus: curate.bucket(by="bytes", within="none", run=run),
    "order": lambda run, corpus: curate.order(by="bytes", run=run),
    "report": lambda run, corpus: curate.report(run=run),
    "export": lambda run, corpus: curate.export(f"{run}-out", run=run, format="jsonl"),
}
HOLDERS = {
    "score": (["score", "CORPUS", "--model", "none", "--slice-bytes", "2000"], "00000-000001.parquet"),
    "decontaminate": (["decontaminate", "EVALS", "--canaries", "4", "--restart"], "00000-000000.parquet"),
    "dedup": (["dedup"], "duplicates.parquet"),
    "filter": (["filter", "--where", "bytes > 60", "--ledger", "none"], "filter.parquet"),
    "bucket": (["bucket", "--by", "bytes", "--within", "none"], "buckets.parquet"),
    "order": (["order", "--by", "bytes"], "order.parquet"),
    "report": (["report"], "report.html"),
    "export": (["export", "OUT", "--format", "jsonl"], "OUT"),
}
ADMITTED = {
    "bucket": {"order"},
    "order": {"bucket"},
    "report": {"export"},
    "export": {"report"},
}
"""Beside the verb that works, the ones that may: neither writes what the other reads or writes."""
RECORDS = ("score", "decontaminate", "dedup", "filter", "bucket", "order")
TABLES = ("scores", "hits", "duplicates.parquet", "filter.parquet", "buckets.parquet", "order.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A corpus, and a run of it in which every verb has run alone."""
    folder = tmp_path_factory.mktemp("two")
    corpus = folder / "corpus.jsonl"
    rows = [
        {"id": f"d{i}", "text": f"document {i} has {'many ' * (i % 7)}words about {i * 7} things"} for i in range(90)
    ]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = [
        {"question": f"How many of the {i} apples in a box on the table are left?", "answer": "4"} for i in range(6)
    ]
    (folder / "evals.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    curate.score(corpus, model="none", run=folder / "run", slice_bytes=2000)
    for verb in RECORDS[1:]:
        VERBS[verb](folder / "run", corpus)
    return folder


def read_tables(run):
    record = json.loads((run / "run.json").read_text())
    files = [path for name in TABLES for path in ([run / name] if (run / name).is_file() else (run / name).iterdir())]
    return record, {path.relative_to(run): path.read_bytes() for path in files if path.name[0] != "."}


def read_status(run):
    """What ``status`` says of who writes: in its summary, or, where the tables are in the making, as the error."""
    try:
        return " ".join(curate.status(run=run).writing)
    except BusyError as error:
        return error.message


def spell_words(words, folder, run):
    named = {"CORPUS": folder / "corpus.jsonl", "EVALS": folder / "evals.jsonl", "OUT": run.parent / "OUT"}
    return [*(str(named.get(word, word)) for word in words), "--run", str(run)]


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_verb_that_works_keeps_out_the_others_and_ends_as_alone(finished, tmp_path, holder):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    if holder == "score":
        (run / "scores" / "00000-000001.parquet").unlink()
    words, at = HOLDERS[holder]
    with waiting_verb(spell_words(words, finished, run), at, tmp_path / "mark") as process:
        for verb, call in VERBS.items():
            if verb in ADMITTED.get(holder, ()):
                call(run, finished / "corpus.jsonl")
                continue
            if {verb, holder} == {"export"}:
                with pytest.raises(BusyError, match="curate export is writing"):
                    curate.export(tmp_path / "OUT", run=run, format="jsonl")
                continue
            with pytest.raises(BusyError) as caught:
                call(run, finished / "corpus.jsonl")
            assert f"curate {holder} is " in caught.value.message and f"pid {process.pid} on " in caught.value.message
            assert "restart" not in str(caught.value.hint) and caught.value.hint.startswith("curate status --run")
        assert read_status(run).startswith(f"curate {holder} is writing {run}") or holder == "export"
    assert process.returncode == 0, process.messages
    assert read_tables(run) == read_tables(finished / "run")
    assert list_hidden(tmp_path) == []


def test_a_refused_command_is_one_line_and_one_hint_and_ends_with_1(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    words = spell_words(HOLDERS["filter"][0], finished, run)
    with waiting_verb(words, "filter.parquet", tmp_path / "mark") as process:
        code, messages = run_verb(["bucket", "--run", run])
        lines = messages.strip().splitlines()
        assert code == 1 and len(lines) == 2
        assert lines[0].startswith(f"error: curate filter is writing {run}/filter.parquet: pid {process.pid} on ")
        assert " since " in lines[0] and "last sign of life" in lines[0]
        code, messages = run_verb(["status", "--run", run])
        assert code == 0
        process.send_signal(signal.SIGSTOP)
        assert run_verb(["bucket", "--run", run])[0] == 1  # a process that is stopped lives
        process.send_signal(signal.SIGCONT)
    assert process.returncode == 0


def test_records_that_are_saved_at_once_are_all_there(finished, tmp_path):
    """The last one to write ``run.json`` erased those of the others, which it had not read."""
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    before = json.loads((run / "run.json").read_text())
    for verb in ("bucket", "order"):
        (run / f"{verb}{'s' * (verb == 'bucket')}.parquet").unlink()
    (run / "run.json").write_text(
        json.dumps({name: before[name] for name in before if name not in ("bucket", "order")})
    )
    with waiting_verb(spell_words(HOLDERS["order"][0], finished, run), "order.parquet", tmp_path / "mark") as process:
        VERBS["bucket"](run, None)
    assert process.returncode == 0 and read_tables(run) == read_tables(finished / "run")


def test_two_threads_that_run_one_verb_exclude_one_another_and_calls_within_calls_do_not(finished, tmp_path):
    run, results = tmp_path / "run", []
    shutil.copytree(finished / "run", run)
    begun, ends = threading.Event(), threading.Event()
    real = os.replace

    def replace(source, target, **options):
        if str(target).endswith("filter.parquet") and not begun.is_set():
            begun.set()
            ends.wait(60)
        return real(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        thread = threading.Thread(target=lambda: results.append(VERBS["filter"](run, None)))
        thread.start()
        assert begun.wait(60)
        with pytest.raises(BusyError, match="curate filter is writing"):
            VERBS["filter"](run, None)
        ends.set()
        thread.join()
    assert results[0].kept.documents
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"run: {run}\nsteps:\n- filter: {{where: bytes > 60, ledger: none}}\n- order: {{by: bytes}}\n")
    assert [step.state for step in curate.run(recipe).steps] == ["done", "done"]


def test_a_recipe_that_runs_excludes_another_one_of_its_run(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"run: {run}\nsteps:\n- order: {{by: bytes, seed: 3}}\n")
    waiting = waiting_verb(["run", recipe], "order.parquet", tmp_path / "mark")
    with waiting as process, pytest.raises(BusyError, match=r"curate (run|order) is writing"):
        curate.run(recipe)
    assert process.returncode == 0, process.messages


def test_a_column_that_two_verbs_need_is_carried_once_and_the_second_waits(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    by_id = ["--within", "none", "--by", "doc.size"]
    corpus = tmp_path / "sized.jsonl"
    corpus.write_text("".join(json.dumps({"text": f"a text of {i}", "size": i % 9}) + "\n" for i in range(40)))
    curate.score(corpus, model="none", run=tmp_path / "sized", carry="none")
    words = ["bucket", *by_id, "--run", str(tmp_path / "sized")]
    results = []
    with waiting_verb(words, "00000-000000.parquet", tmp_path / "mark") as process:
        thread = threading.Thread(target=lambda: results.append(curate.order(by="size", run=tmp_path / "sized")))
        thread.start()
        thread.join(1.5)
        assert thread.is_alive() and not results
    thread.join(60)
    assert process.returncode == 0, process.messages
    assert results[0].documents == 40
    record = json.loads((tmp_path / "sized" / "run.json").read_text())
    assert {"bucket", "order", "carried"} <= set(record) and list(record["carried"]["columns"]) == ["size"]


def test_a_run_that_may_not_be_written_is_read_without_a_claim(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    real = os.mkdir

    def mkdir(path, *rest, **options):
        if str(path).startswith(str(run)):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", mkdir)
        assert curate.status(run=run).kept and curate.explain("d3", run=run)
        assert curate.export(tmp_path / "out", run=run, format="jsonl").documents
        assert curate.report(run=run, out=tmp_path / "page.html").kept
