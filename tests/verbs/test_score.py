"""The verb `score`: what it writes, that it goes on where it was, and what it says when something is wrong."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import models
from helpers.paths import TESTS
from typer.testing import CliRunner

from curate.cli import app
from curate.errors import CorpusError, DamageError, ModelError, StorageError, TableError, UsageError
from curate.reference import causal
from curate.rundir import parquet
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.score import score

WORDS = ["ledger", "window", "token", "byte", "sum", "slice", "corpus", "model", "prefix", "nat", "bit", "pack"]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("models") / "llama", "llama"))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("models") / "gpt2", "gpt2", seed=1))


def text(number):
    draw = np.random.default_rng(number)
    return " ".join(draw.choice(WORDS, size=int(draw.integers(3, 60)))) + f" {number}."


@pytest.fixture
def corpus(tmp_path):
    """Three files in three formats, with rows that cannot be read or scored among them."""
    root = tmp_path / "corpus"
    (root / "below").mkdir(parents=True)
    rows = [json.dumps({"id": f"a{n}", "text": text(n), "domain": "one"}) for n in range(60)]
    rows[7] = '{"id": "broken", "text": '
    rows[11] = json.dumps({"id": "void", "text": "  \n"})
    rows[13] = json.dumps({"id": "number", "text": 13})
    (root / "a.jsonl").write_text("\n".join(rows) + "\n")
    with gzip.open(root / "below" / "a.jsonl.gz", "wt") as handle:
        handle.writelines(json.dumps({"id": f"b{n}", "text": text(n)}) + "\n" for n in range(100, 140))
    table = pa.table({"id": [f"c{n}" for n in range(30)], "text": [text(n) for n in range(30)]})
    pq.write_table(table, root / "c.parquet")
    return root


def read(run):
    return pa.concat_tables([pq.read_table(path) for path in parquet.list_parts(Path(run) / "scores")])


def everything(run):
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(Path(run).rglob("*")) if path.is_file()}


def cli(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_every_row_of_the_corpus_has_one_row_with_a_status_and_the_sums_add_up(corpus, model, tmp_path):
    run = tmp_path / "run"
    summary = score([str(corpus)], model=model, run=str(run), slice_bytes=3000, signals="all")
    table = read(run)
    assert table.num_rows == 130
    parts = f"'{run}/scores/*.parquet'"
    found = duckdb.sql(f"SELECT status, count(*) FROM {parts} GROUP BY 1 ORDER BY 1").fetchall()
    assert found == [("empty", 1), ("ok", 127), ("unreadable", 2)]
    keys = list(zip(table["file"].to_pylist(), table["row"].to_pylist(), strict=True))
    assert len(set(keys)) == 130 and keys == sorted(keys, key=lambda key: (key[0], key[1]))
    assert {file for file, _ in keys} == {"a.jsonl", "below/a.jsonl.gz", "c.parquet"}
    sums = "sum(nats), sum(tokens), sum(bytes), avg(perplexity)"
    (ok,) = duckdb.sql(f"SELECT {sums} FROM {parts} WHERE status = 'ok'").fetchall()
    assert summary.documents == 127 and summary.tokens == ok[1] and summary.bytes == ok[2]
    assert summary.perplexity == pytest.approx(np.exp(ok[0] / ok[1]), rel=1e-12)
    assert summary.bits_per_byte == pytest.approx(ok[0] / ok[2] / np.log(2), rel=1e-12)
    assert summary.mean_perplexity == pytest.approx(ok[3], rel=1e-12)
    assert summary.not_scored == {"unreadable": 2, "empty": 1} and summary.exit_code == 3
    assert sum(summary.histogram["counts"]) == 127


def test_null_and_not_zero_stands_where_nothing_was_measured(corpus, model, tmp_path):
    score([str(corpus)], model=model, run=str(tmp_path / "run"), signals="all")
    rows = [row for row in read(tmp_path / "run").to_pylist() if row["status"] != "ok"]
    assert len(rows) == 3
    for row in rows:
        for name in ("nats", "tokens", "perplexity", "bits_per_byte", "first_nats", "windows", "max_nats"):
            assert row[name] is None
        assert row["reason"] or row["status"] == "empty"
    place = {row["id"]: row["bytes"] for row in rows}
    assert place["void"] == 3 and None in place.values()


def test_unreadable_rows_are_listed_with_their_places(corpus, model, tmp_path):
    score([str(corpus)], model=model, run=str(tmp_path / "run"))
    listed = [json.loads(line) for line in (tmp_path / "run" / "unreadable.jsonl").read_text().splitlines()]
    assert [(one["file"], one["row"]) for one in listed] == [("a.jsonl", 7), ("a.jsonl", 13)]
    assert all(one["reason"] for one in listed)


def test_the_same_text_scores_the_same_in_any_file_slice_and_company(corpus, model, tmp_path):
    score([str(corpus)], model=model, run=str(tmp_path / "many"), slice_bytes=2000, exact=True)
    score([str(corpus)], model=model, run=str(tmp_path / "one"), slice_bytes=10**9, exact=True)
    many, one = read(tmp_path / "many"), read(tmp_path / "one")
    assert many.drop(["nats", "perplexity", "bits_per_byte", "first_nats"]).equals(
        one.drop(["nats", "perplexity", "bits_per_byte", "first_nats"])
    )
    parts = [len(parquet.list_parts(tmp_path / run / "scores")) for run in ("many", "one")]
    assert parts[0] > 3 and parts[1] == 1, "three files in many slices, and all in one"
    gap = np.abs(many["nats"].to_numpy() - one["nats"].to_numpy()) / one["tokens"].to_numpy()
    assert np.nanmax(gap) < 1e-5


def test_a_run_killed_twenty_times_ends_in_the_bytes_of_one_that_was_not(corpus, model, tmp_path):
    script, whole, killed = str(TESTS / "helpers" / "kill_score.py"), tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-W", "ignore", script, str(corpus), model, str(whole), str(killed), "20", "7"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cut, *parts = map(int, done.stdout.split())
    assert cut >= 10 and len(set(parts)) >= 3, f"the kills missed the work: {done.stdout}"
    expected, found = everything(whole), everything(killed)
    assert expected.keys() == found.keys() and len(expected) > 10
    assert [name for name in expected if expected[name] != found[name]] == []


def test_a_finished_run_started_again_scores_nothing_and_changes_nothing(corpus, model, tmp_path):
    first = score([str(corpus)], model=model, run=str(tmp_path / "run"))
    before = everything(tmp_path / "run")
    again = score([str(corpus)], model=model, run=str(tmp_path / "run"))
    assert everything(tmp_path / "run") == before
    assert again.tokens_per_second is None and again.perplexity == first.perplexity


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"window": 32}, "--window 32: these scores were made with 64"),
        ({"max_tokens": 9}, "--truncate 9"),
        ({"limit": 5}, "--limit 5"),
    ],
)
def test_other_parameters_are_refused_by_name_and_restart_starts_over(corpus, model, tmp_path, change, says):
    run = str(tmp_path / "run")
    score([str(corpus)], model=model, run=run)
    before = everything(run)
    with pytest.raises(TableError) as caught:
        score([str(corpus)], model=model, run=run, **change)
    assert says in caught.value.message and "--restart" in caught.value.hint
    assert everything(run) == before
    score([str(corpus)], model=model, run=run, restart=True, **change)
    assert everything(run) != before


def test_another_model_is_refused_by_its_files(corpus, model, other_model, tmp_path):
    score([str(corpus)], model=model, run=str(tmp_path / "run"))
    with pytest.raises(TableError) as caught:
        score([str(corpus)], model=other_model, run=str(tmp_path / "run"))
    message = f"--model {other_model}: these scores were made with {model} (config.json, model.safetensors differ)"
    assert message in caught.value.message


def test_a_full_disk_is_one_line_and_whole_parts_stay(corpus, model, tmp_path, monkeypatch):
    run, written, real = tmp_path / "run", [], pq.write_table

    def full(table, path, **options):
        if len(written) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        real(table, path, **options)

    monkeypatch.setattr(parquet.pq, "write_table", full)
    with pytest.raises(StorageError, match="disk is full"):
        score([str(corpus)], model=model, run=str(run), slice_bytes=3000, carry="none")
    assert len(list((run / "scores").iterdir())) == 2
    monkeypatch.undo()
    score([str(corpus)], model=model, run=str(run), slice_bytes=3000, carry="none")
    score([str(corpus)], model=model, run=str(tmp_path / "whole"), slice_bytes=3000, carry="none")
    assert everything(run) == everything(tmp_path / "whole")


def test_control_c_keeps_whole_parts_and_says_how_to_go_on(corpus, model, tmp_path, monkeypatch):
    real, passes = causal.CausalModel.start, []  # not nats, which the self-check calls as well

    def interrupted(self, pack):
        passes.append(1)
        if len(passes) > 7:
            raise KeyboardInterrupt
        return real(self, pack)

    monkeypatch.setattr(causal.CausalModel, "start", interrupted)
    found = cli("score", corpus, "--model", model, "--run", tmp_path / "run", "--slice-bytes", 1000)
    assert found.exit_code == 130
    assert "error: stopped after" in found.stderr and "hint:  the same command goes on from here" in found.stderr
    kept = len(parquet.list_parts(tmp_path / "run" / "scores"))
    assert 0 < kept < 30
    monkeypatch.undo()
    found = cli("score", corpus, "--model", model, "--run", tmp_path / "run", "--slice-bytes", 1000)
    assert found.exit_code == 3 and "resuming" in found.stderr
    assert read(tmp_path / "run").num_rows == 130


def test_a_real_sigint_ends_a_real_process_with_130(corpus, model, tmp_path):
    big = corpus / "big.jsonl"
    with open(big, "w") as handle:
        handle.writelines(json.dumps({"text": text(n) * 30}) + "\n" for n in range(4000))
    words = ["-m", "curate", "score", str(corpus), "--model", model, "--run", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, *words, "--slice-bytes", "20000"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's & makes it ignored
    )
    scores = tmp_path / "run" / "scores"
    for _ in range(600):
        if scores.exists() and len(parquet.list_parts(scores)) >= 3:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped after" in said and "Traceback" not in said
    assert not list(scores.glob(".*.tmp"))


def test_limit_and_sample_read_less_and_say_so(corpus, model, tmp_path):
    few = score([str(corpus)], model=model, run=str(tmp_path / "few"), limit=20)
    assert read(tmp_path / "few").num_rows == 20 and few.documents == 17
    some = score([str(corpus)], model=model, run=str(tmp_path / "some"), sample=0.5)
    assert 30 < read(tmp_path / "some").num_rows < 100
    assert some.documents < 127


def test_json_is_one_object_on_stdout_and_the_rest_goes_to_stderr(corpus, model, tmp_path):
    found = cli("score", corpus, "--model", model, "--run", tmp_path / "run", "--json")
    value = json.loads(found.stdout)
    assert value["documents"] == 127 and value["not_scored"] == {"unreadable": 2, "empty": 1}
    assert "reading" in found.stderr and "self-check" in found.stderr


def test_a_person_sees_the_summary_in_a_hundred_columns(corpus, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = cli("score", "corpus", "--model", model)
    assert all(len(line) <= 100 for line in found.stdout.splitlines())
    words = ("127 documents", "token-weighted", "bits per byte", "50%", "log scale", "not scored", "next: curate")
    for word in words:
        assert word in found.stdout, found.stdout


def test_a_corpus_with_nothing_to_score_says_so_without_a_number(tmp_path, model):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": " "}\n')
    summary = score([str(tmp_path / "a.jsonl")], model=model, run=str(tmp_path / "run"))
    assert summary.documents == 0 and summary.perplexity is None
    assert "2 empty" in summary.render() and "perplexity " not in summary.render()


def test_a_corpus_of_which_nothing_can_be_read_stops_before_the_model_is_loaded(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": 1}\n{"text": "open}\n')
    with pytest.raises(CorpusError, match=r"2 rows cannot be read; a.jsonl: line 1"):
        score([str(tmp_path / "a.jsonl")], model="no/such", run=str(tmp_path / "run"), text_field="text")


def test_nan_for_a_whole_slice_stops_the_run(corpus, model, tmp_path, monkeypatch):
    from curate.reference.forward_pass import batches

    monkeypatch.setattr(batches, "finish_batch", _all_nan(batches.finish_batch))
    with pytest.raises(ModelError, match="NaN or infinity for all"):
        score([str(corpus)], model=model, run=str(tmp_path / "run"))


def _all_nan(real):
    def finish(prepared):
        found = real(prepared)
        for row in range(len(found.status)):
            found.refuse(row, "not_finite", "NaN")
        return found

    return finish


def test_a_foreign_part_in_the_run_is_never_mixed_in(corpus, model, tmp_path):
    score([str(corpus)], model=model, run=str(tmp_path / "a"))
    score([str(corpus)], model=model, run=str(tmp_path / "b"), window=32)
    foreign = parquet.list_parts(tmp_path / "b" / "scores")[0]
    replaced = tmp_path / "a" / "scores" / foreign.name
    own = replaced.read_bytes()
    replaced.write_bytes(foreign.read_bytes())
    with pytest.raises(DamageError, match="is altered"):
        choose(str(tmp_path / "a"), max_ppl=50)
    score([str(corpus)], model=model, run=str(tmp_path / "a"))
    assert replaced.read_bytes() == own


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"pack_tokens": 0}, {"slice_bytes": 0}, {"signals": "beauty"}])
def test_options_that_mean_nothing_are_usage_errors(corpus, model, tmp_path, wrong):
    with pytest.raises(UsageError):
        score([str(corpus)], model=model, run=str(tmp_path / "run"), **wrong)


def test_without_a_model_documents_are_counted_and_every_number_is_null(tmp_path):
    """For decontaminating and deduplicating alone: nothing was measured, so nothing is 0."""
    rows = [{"text": "Some words."}, {"text": ""}, {"text": "More words here."}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    found = score([str(tmp_path / "a.jsonl")], model="none", run=str(run))
    assert (found.documents, found.perplexity, found.bits_per_byte, found.quantiles) == (2, None, None, {})
    assert "decontaminate" in found.render()
    [path] = (run / "scores").glob("*.parquet")
    table = pq.read_table(path)
    assert table.column("status").to_pylist() == ["ok", "empty", "ok"]
    for name in ("nats", "tokens", "perplexity", "bits_per_byte", "windows", "scored_bytes", "first_nats"):
        assert table.column(name).null_count == 3, name
    assert table.column("bytes").to_pylist() == [11, 0, 16] and table.column("hash").null_count == 0
    assert export(str(tmp_path / "out"), run=str(run)).documents == 2
