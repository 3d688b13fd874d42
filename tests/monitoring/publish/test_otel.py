"""OpenTelemetry: an endpoint receives what was published, and one that does not answer is one line, soon."""

import logging

import pytest
from helpers.published import as_keys, collect_otlp, read_attributes
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import StorageError, UsageError


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)


def read_gauges(message):
    """The numbers of a request of metrics in the form of ``as_keys``, each with its unit."""
    (resource,) = message.resource_metrics
    (scope,) = resource.scope_metrics
    found = {}
    for metric in scope.metrics:
        assert metric.WhichOneof("data") == "gauge"
        for point in metric.gauge.data_points:
            assert point.time_unix_nano > 1_700_000_000_000_000_000
            found[(metric.name, *sorted(read_attributes(point.attributes).items()))] = point.as_double
    return found


def read_events(message):
    (resource,) = message.resource_logs
    (scope,) = resource.scope_logs
    assert {record.event_name for record in scope.log_records} == {"gen_ai.evaluation.result"}
    return [read_attributes(record.attributes) for record in scope.log_records]


def test_an_endpoint_receives_the_very_numbers_and_an_event_a_domain(compared):
    with collect_otlp() as (url, received):
        found = curate.publish(compared.gate, to=f"otel:{url}/")
    (path, _, metrics), (log_path, _, logs) = received
    assert (path, log_path) == ("/v1/metrics", "/v1/logs")
    assert read_gauges(metrics) == as_keys(found)
    resource = read_attributes(metrics.resource_metrics[0].resource.attributes)
    assert resource["service.name"] == "curate"
    events = {event.get("curate.domain", ""): event for event in read_events(logs)}
    assert events.keys() == {"", "code", "law", "news"}
    code = events["code"]
    assert code["gen_ai.evaluation.name"] == "perplexity"
    assert code["gen_ai.evaluation.score.label"] == "beyond"
    assert code["gen_ai.evaluation.score.value"] > 1
    assert "tolerance 1%" in code["gen_ai.evaluation.explanation"] and "[" in code["gen_ai.evaluation.explanation"]
    assert code["curate.documents"] == 30
    assert {event["curate.evaluator.fingerprint"] for event in events.values()} == {found.publication.evaluator}
    assert events["news"]["error.type"] == events["news"]["gen_ai.evaluation.score.label"] == "unmeasured"
    assert "gen_ai.evaluation.score.value" not in events["news"] and "error.type" not in code


def test_a_run_has_an_event_for_each_measure_of_each_domain(compared):
    with collect_otlp() as (url, received):
        curate.publish(compared.folder / "before", to=f"otel:{url}", within="domain")
    events = [
        (event["gen_ai.evaluation.name"], event.get("curate.domain", "")) for event in read_events(received[1][2])
    ]
    measures, domains = ("perplexity", "bits_per_byte"), ("", "code", "law", "news")
    assert sorted(events) == sorted((measure, domain) for measure in measures for domain in domains)


def test_the_environment_says_where_and_as_whom(compared, monkeypatch):
    with collect_otlp() as (url, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        curate.publish(compared.gate, to="otel")
    assert [path for path, _, _ in received] == ["/v1/metrics", "/v1/logs"]
    assert all(headers["x-tenant"] == "blue" for _, headers, _ in received)
    assert read_attributes(received[0][2].resource_metrics[0].resource.attributes)["service.name"] == "nightly"


@pytest.mark.parametrize(("status", "reason"), [(404, "404"), (400, "400")])
def test_an_endpoint_that_refuses_is_one_line(compared, status, reason, caplog):
    with collect_otlp(status) as (url, _):
        done = CliRunner().invoke(app, ["publish", str(compared.gate), "--to", f"otel:{url}"])
    assert done.exit_code == 1
    lines = done.output.strip().splitlines()
    assert lines[0].startswith("error: otel: http://127.0.0.1:") and reason in lines[0] and len(lines) == 2
    assert logging.getLogger("opentelemetry").propagate


def test_an_endpoint_that_does_not_answer_is_one_line_and_the_others_are_written(compared, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")  # less than the wait before the exporter tries again
    path = tmp_path / "a.prom"
    with pytest.raises(StorageError) as caught:
        curate.publish(compared.gate, to=["otel:http://user:secret@127.0.0.1:9", f"prometheus:{path}"])
    assert "did not take the metrics: no answer in time; sent to prometheus:" in caught.value.message
    assert "secret" not in caught.value.message and path.exists()


def test_mistakes_are_refused_before_the_work(monkeypatch):
    for place in ("localhost:4318", "ftp://x", "http://"):
        with pytest.raises(UsageError, match="must be a URL"):
            curate.publish("there is no such run", to=f"otel:{place}")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(UsageError, match="OTEL_SDK_DISABLED"):
        curate.publish("there is no such run", to="otel")
