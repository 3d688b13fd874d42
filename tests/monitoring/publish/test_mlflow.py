"""MLflow's file store has the metrics, the identity as tags, and what shows more as artefacts."""

import os

import pytest
from helpers.compared_runs import make_side
from helpers.published import HOSTILE, find_values, measured
from helpers.runs import write_lines

import curate
from curate.errors import StorageError, UsageError
from curate.monitoring.publish.mlflow import SETTINGS, make_key_part


@pytest.fixture(scope="module")
def _loaded():
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    pytest.importorskip("mlflow")


@pytest.fixture
def client(tmp_path, monkeypatch, _loaded):
    from mlflow import MlflowClient

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    (tmp_path / "mlruns").mkdir()
    return MlflowClient(tracking_uri=f"file:{tmp_path / 'mlruns'}")


def test_the_file_store_has_numbers_tags_and_pages(compared, tmp_path, client):
    run = compared.folder / "before"
    curate.report(run)
    found = curate.publish(run, to=f"mlflow:file:{tmp_path / 'mlruns'}", within="domain", name="nightly")
    logged = client.get_run(found.sent[0].details["run_id"])
    assert logged.info.status == "FINISHED" and logged.info.run_name == "nightly"
    metrics = logged.data.metrics
    assert len(metrics) == len(measured(found))
    assert metrics["curate_perplexity"] == find_values(found, "curate_perplexity")
    by_domain = find_values(found, "curate_domain_bits_per_byte", "domain")
    assert {
        f"curate_domain_bits_per_byte/{name}": value for name, value in by_domain.items()
    }.items() <= metrics.items()
    assert metrics["curate_documents/kept"] == 90
    tags = logged.data.tags
    assert tags["curate.model.model"] == "made-up" and tags["curate.evaluator"] == found.publication.evaluator
    assert {one.path for one in client.list_artifacts(logged.info.run_id)} == {"report.html", "report.json"}
    (experiment,) = client.search_experiments(filter_string="name = 'curate'")
    assert experiment.experiment_id == logged.info.experiment_id


def test_keys_of_two_comparisons_are_the_same_keys(compared, tmp_path, client):
    runs = []
    for sides in (("before", "worse"), ("worse", "twice")):
        from helpers.published import write_comparison

        value = curate.compare([compared.folder / side for side in sides], within="domain", tolerance="1%")
        path = write_comparison(tmp_path / f"{sides[1]}.json", value)
        sent = curate.publish(path, to=f"mlflow:file:{tmp_path / 'mlruns'}").sent[0]
        runs.append(client.get_run(sent.details["run_id"]))
    keys = [{key for key in run.data.metrics if "side" not in key} for run in runs]
    assert keys[0] == keys[1] and "curate_domain_gate/code" in keys[0]
    assert runs[0].data.tags["curate.verdict"] == "beyond"
    assert [one.path for one in client.list_artifacts(runs[0].info.run_id)] == ["worse.json"]


def test_hostile_domains_are_keys_that_mlflow_takes(tmp_path, client):
    rows = [{"text": f"text {number}", "domain": name} for number, name in enumerate(HOSTILE) if name != "\ud800"]
    write_lines(tmp_path / "c.jsonl", rows)
    run = make_side(tmp_path, "run", tmp_path / "c.jsonl")
    found = curate.publish(run, to=f"mlflow:file:{tmp_path / 'mlruns'}", within="domain", name="../x\n")
    metrics = client.get_run(found.sent[0].details["run_id"]).data.metrics
    assert len(metrics) == len(measured(found))
    assert len([key for key in metrics if key.startswith("curate_domain_documents/")]) == len(rows)


@pytest.mark.parametrize("value", ["..", ".", "a/b", "a:b", "", " a", "a" * 41, "日本/語"])
def test_a_value_that_a_key_cannot_have_gets_a_hash(value):
    part = make_key_part(value)
    assert part != value and "/" not in part and ":" not in part and part.strip(" .") == part
    assert make_key_part("日本語") == "日本語"


def test_the_environment_says_where_and_is_left_as_it_was(compared, tmp_path, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "weekly")
    before = {name: os.environ.get(name) for name in SETTINGS}
    assert None in before.values()
    found = curate.publish(compared.gate, to="mlflow")
    assert found.sent[0].details["experiment"] == "weekly"
    assert {name: os.environ.get(name) for name in SETTINGS} == before


def test_a_store_that_cannot_be_had_is_one_line(compared, monkeypatch, client):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError) as caught:
        curate.publish(compared.gate, to="mlflow:http://127.0.0.1:9")
    assert caught.value.message == "mlflow: http://127.0.0.1:9 did not take the run: connection refused"
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI"):
        curate.publish(compared.gate, to="mlflow")
    with pytest.raises(StorageError) as caught:
        curate.publish(compared.gate, to="mlflow:sqlite:///x.db")
    assert "pip install mlflow" in caught.value.hint
