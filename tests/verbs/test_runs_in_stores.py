"""``--run s3://…``: every verb leaves in the store, file by file, what it leaves in a folder, from any host."""

import json
from dataclasses import asdict, replace

import pytest
from helpers import models, small_files
from helpers.runs import read_files, write_lines
from helpers.stopped_verbs import kill_verb, run_verb, waiting_verb

import curate
from curate.errors import CorpusError, StorageError, TableError, UsageError
from curate.reference import loading
from curate.runtime.disk import claims
from curate.runtime.disk.writers import Writer

SLICE = 2000
TEXTS = ("The harbour was closed for the winter, and nobody came to the island before the ice was gone. ",)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "corpus"
    folder.mkdir()
    small_files.write_mixed(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("stores-model") / "model", "llama"))


@pytest.fixture(scope="module")
def evals(tmp_path_factory, corpus):
    rows = [json.loads(line) for line in sorted(corpus.rglob("*.jsonl"))[0].read_text().splitlines()]
    path = tmp_path_factory.mktemp("stores-evals") / "evals.jsonl"
    write_lines(path, [{"question": rows[0]["text"]}, {"question": TEXTS[0] * 3}])
    return str(path)


def list_steps(corpus, model, evals):
    """What is done to a run, one verb after another."""
    return [
        lambda run: curate.score(str(corpus), run=run, model=model, slice_bytes=SLICE),
        lambda run: curate.decontaminate(evals, run=run),
        lambda run: curate.dedup(run=run),
        lambda run: curate.filter(run=run, max_ppl=1e9, where="domain != 'nothing'"),
        lambda run: curate.filter(run=run, where="bytes > 5"),
        lambda run: curate.bucket(run=run, quantiles=2, within="none"),
        lambda run: curate.order(run=run, schedule="sort"),
    ]


def read_store(bucket, name, folder):
    """The files of a run in a bucket, without its claims, of which only the lock that was given back may be there."""
    files = read_files(bucket.download(name, folder))
    left = {path for path in files if path.startswith(".claims/")}
    assert all(path.startswith(".claims/lock-") and files[path] == b"{}" for path in left), left
    return {path: data for path, data in files.items() if path not in left}


def test_every_verb_on_a_host_of_its_own_leaves_the_files_that_it_leaves_in_a_folder(
    bucket, corpus, model, evals, tmp_path, change_host
):
    for number, step in enumerate(list_steps(corpus, model, evals)):
        step(str(tmp_path / "run"))
        change_host(number)
        step(f"{bucket.url}/runs/run")
    assert read_store(bucket, "runs/run", tmp_path / "down") == read_files(tmp_path / "run")
    assert (
        curate.status(run=f"{bucket.url}/runs/run").as_dict()["kept"]
        == curate.status(run=str(tmp_path / "run")).as_dict()["kept"]
    )
    change_host("last")
    curate.export(str(tmp_path / "from-store"), run=f"{bucket.url}/runs/run", format="jsonl")
    curate.export(str(tmp_path / "from-folder"), run=str(tmp_path / "run"), format="jsonl")
    assert read_files(tmp_path / "from-store") == read_files(tmp_path / "from-folder")


def test_parts_of_hosts_that_share_the_store_alone_come_to_the_same_bytes(bucket, corpus, evals, tmp_path, change_host):
    url, count, order = f"{bucket.url}/run", 3, [2, 0, 1]
    verbs = [
        lambda run, part: curate.score(
            str(corpus), run=run, model="none", slice_bytes=SLICE, carry="domain", part=part
        ),
        lambda run, part: curate.decontaminate(evals, run=run, part=part),
        lambda run, part: curate.dedup(run=run, part=part),
    ]
    for verb in verbs:
        verb(str(tmp_path / "run"), None)
        for index in [*order, order[0]]:
            change_host(f"{index}-{count}")
            done = verb(url, f"{index}/{count}")
        assert done.resumed == done.documents, "the last is one that another host did: its parts are fetched"
        change_host("closing")
        verb(url, None)
    assert read_store(bucket, "run", tmp_path / "down") == read_files(tmp_path / "run")


def test_the_closing_command_needs_no_model_for_what_others_scored(
    bucket, corpus, model, tmp_path, change_host, monkeypatch
):
    curate.score(str(corpus), run=f"{bucket.url}/run", model=model, slice_bytes=SLICE, part="0/1")
    change_host("other")
    monkeypatch.setattr(loading, "load_causal", None)
    done = curate.score(str(corpus), run=f"{bucket.url}/run", model=model, slice_bytes=SLICE)
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none", slice_bytes=SLICE)
    assert done.documents > 0 and "run.json" in read_store(bucket, "run", tmp_path / "down")


@pytest.mark.parametrize("at", ["00000-000000.parquet", "run.json"])
def test_a_kill_leaves_nothing_that_the_same_command_does_not_mend(at, bucket, corpus, tmp_path, change_host):
    words = ["score", corpus, "--run", f"{bucket.url}/run", "--model", "none", "--slice-bytes", SLICE]
    kill_verb(words, at)
    assert run_verb(words)[0] in (0, 3)
    curate.score(str(corpus), run=str(tmp_path / "run"), model="none", slice_bytes=SLICE)
    assert read_store(bucket, "run", tmp_path / "down") == read_files(tmp_path / "run")
    change_host("other")
    assert curate.filter(run=f"{bucket.url}/run", where="bytes > 5").kept.documents > 0


def test_two_at_once_are_told_apart_and_messages_name_the_url(bucket, corpus, tmp_path, monkeypatch):
    url = f"{bucket.url}/run"
    words = ["score", corpus, "--run", url, "--model", "none", "--slice-bytes", SLICE]
    with waiting_verb(words, "scores.json", tmp_path / "mark"):
        monkeypatch.setenv("CURATE_MIRRORS", str(tmp_path / "other-host"))
        code, messages = run_verb(words)
        assert code == 1 and f"curate score is writing {url}/scores" in messages and str(tmp_path) not in messages
        assert f"curate status --run {url} shows how far it is" in messages
        assert run_verb(["status", "--run", url])[0] == 0
        code, messages = run_verb(["filter", "--where", "bytes > 5", "--run", url])
        assert code == 1 and "is writing" in messages
    assert run_verb(["filter", "--where", "bytes > 5", "--run", url])[0] == 0


def test_a_claim_of_another_host_in_the_store_counts(bucket, corpus, tmp_path):
    url = f"{bucket.url}/run"
    curate.score(str(corpus), run=url, model="none")
    claim = replace(claims.make_claim("score", ("scores",)), writer=Writer("0123456789", 1, "2"), host="elsewhere")
    bucket.write(f"run/.claims/score-{claim.token}.json", json.dumps(asdict(claim)).encode())
    code, messages = run_verb(["filter", "--where", "bytes > 5", "--run", url])
    assert code == 1 and f"curate score is writing {url}/scores: pid 1 on elsewhere" in messages


def test_a_part_that_is_damaged_in_the_store_is_found_and_made_again(bucket, corpus, tmp_path, change_host):
    url = f"{bucket.url}/run"
    curate.score(str(corpus), run=url, model="none", slice_bytes=SLICE)
    whole = read_store(bucket, "run", tmp_path / "whole")
    name = sorted(each for each in bucket.list("run/scores/"))[1]
    bucket.write(name, bucket.read(name)[:-9])
    with pytest.raises(TableError, match="is truncated"):
        curate.filter(run=url, where="bytes > 5")
    change_host("other")
    curate.score(str(corpus), run=url, model="none", slice_bytes=SLICE)
    assert read_store(bucket, "run", tmp_path / "again") == whole


def test_a_corpus_in_the_store_is_read_and_a_run_below_it_is_not(bucket, corpus, tmp_path):
    url = bucket.upload(corpus, "data/corpus")
    first = curate.score(url, run=f"{url}/runs/one", model="none", slice_bytes=SLICE)
    local = curate.score(str(corpus), run=str(tmp_path / "run"), model="none", slice_bytes=SLICE)
    assert (first.documents, first.not_scored) == (local.documents, local.not_scored)
    again = curate.score(url, run=f"{bucket.url}/two", model="none", slice_bytes=SLICE)
    assert (again.documents, again.not_scored) == (local.documents, local.not_scored), "tables are no documents"
    with pytest.raises(UsageError, match="itself: the tables would be read"):
        curate.score(url, run=url, model="none")
    with pytest.raises(CorpusError, match="is a run directory of curate"):
        curate.score(f"{url}/runs/one", run=f"{bucket.url}/three", model="none")


def test_what_a_run_in_a_store_cannot_have_is_refused(bucket, corpus, tmp_path):
    url = f"{bucket.url}/run"
    with pytest.raises(TableError, match="there is no run in"):
        curate.filter(run=url, where="bytes > 5")
    with pytest.raises(StorageError, match="The specified bucket does not exist"):
        curate.score(str(corpus), run="s3://no-such-bucket-of-ours/run", model="none")
    with pytest.raises(UsageError, match="names no folder in a bucket"):
        curate.score(str(corpus), run=bucket.url, model="none")
    with pytest.raises(UsageError, match="// follows the colon"):
        curate.score(str(corpus), run="s3:/bucket/run", model="none")
    with pytest.raises(UsageError, match="is a stream, which is kept in the run directory"):
        curate.score("-", run=url, model="none")
    curate.score(str(corpus), run=url, model="none")


def test_parts_that_go_from_the_mirror_during_the_work_are_fetched_again(bucket, corpus, tmp_path, monkeypatch):
    options = {"model": "none", "slice_bytes": SLICE, "carry": "none"}
    curate.score(str(corpus), run=str(tmp_path / "run"), **options)
    last = sorted(path.name for path in (tmp_path / "run/scores").iterdir())[-1]
    monkeypatch.setenv("CURATE_MIRRORS", str(tmp_path / "mirrors"))
    words = ["score", corpus, "--run", f"{bucket.url}/run"]
    words += ["--model", "none", "--slice-bytes", SLICE, "--carry", "none"]
    with waiting_verb(words, last, tmp_path / "mark") as holder:
        (scores,) = (tmp_path / "mirrors").glob("*/run/scores")
        removed = list(scores.glob("0*.parquet"))
        for path in removed:
            path.unlink()
    assert holder.returncode in (0, 3) and removed, holder.messages
    assert read_store(bucket, "run", tmp_path / "down") == read_files(tmp_path / "run")


def test_cut_offs_of_a_run_in_a_store_are_applied_to_another(bucket, corpus, model, tmp_path):
    for name in ("one", "two"):
        curate.score(str(corpus), run=f"{bucket.url}/{name}", model=model)
    curate.bucket(run=f"{bucket.url}/one", quantiles=2, within="none")
    applied = curate.bucket(run=f"{bucket.url}/two", cutoffs=f"{bucket.url}/one/cutoffs.json")
    assert applied.as_dict()["buckets"]
    assert bucket.read("two/cutoffs.json") == bucket.read("one/cutoffs.json")


def test_a_foreign_object_is_named_and_left(bucket, corpus, tmp_path):
    url = f"{bucket.url}/run"
    curate.score(str(corpus), run=url, model="none")
    bucket.write("run/filter.parquet", b"mine")
    with pytest.raises(UsageError, match="curate did not make it") as found:
        curate.filter(run=url, where="bytes > 5")
    assert found.value.hint.startswith(f"move {url}/filter.parquet away in the store")
    assert bucket.read("run/filter.parquet") == b"mine"


def test_a_recipe_runs_in_a_store(bucket, corpus, tmp_path, change_host):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"run: {bucket.url}/run\nsteps:\n  - score: {{corpus: {corpus}, model: none}}\n"
        f"  - dedup: {{}}\n  - filter: {{where: bytes > 5}}\n"
    )
    curate.run(str(recipe))
    change_host("other")
    again = curate.run(str(recipe))
    assert [step.state for step in again.steps] == ["skipped"] * 3
    assert bucket.read("run/recipe.yaml").startswith(b"# Written by curate run")
