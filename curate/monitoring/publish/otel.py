"""OpenTelemetry: gauges, and an event ``gen_ai.evaluation.result`` for each measure of each group, over OTLP and HTTP.

The event has the attributes of the semantic conventions of GenAI (``gen_ai.evaluation.name``, ``.score.value``,
``.score.label``, ``.explanation``, ``error.type``). Those say neither which evaluator it was nor over what, without
which scores cannot be compared: ``curate.evaluator.fingerprint`` is one text for the model and how it read, and
``curate.domain`` and ``curate.documents`` say what was read.

The endpoint is that of the option, to which ``/v1/metrics`` and ``/v1/logs`` are added, or what the variables
``OTEL_EXPORTER_OTLP_…`` say, as are headers, certificates and time limits.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from curate.errors import StorageError, UsageError
from curate.monitoring.publish.failures import shorten_reason
from curate.monitoring.publish.measurements import EvaluationEvent, Publication
from curate.monitoring.publish.metrics import METRICS
from curate.monitoring.publish.summary import SentTo
from curate.runtime.numbers import count_noun
from curate.runtime.published import hide_folder
from curate.runtime.version import __version__

EVENT = "gen_ai.evaluation.result"
SECONDS = 5.0
"""Time for one request with its repetitions, where the environment says nothing."""
PATHS = {"METRICS": "v1/metrics", "LOGS": "v1/logs"}
DEFAULT_ENDPOINT = "http://localhost:4318"
LOGGER = "opentelemetry"


def check_endpoint(location: str) -> None:
    """Raise UsageError for an endpoint that is no URL, and where the environment turns OpenTelemetry off."""
    url = urlsplit(location)
    if location and (url.scheme not in ("http", "https") or not url.netloc):
        raise UsageError(f"--to otel:{location}: the endpoint must be a URL", f"--to otel:{DEFAULT_ENDPOINT}")
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        raise UsageError("--to otel: nothing is sent while OTEL_SDK_DISABLED is set", "unset OTEL_SDK_DISABLED")


def send_telemetry(location: str, publication: Publication) -> SentTo:
    """Send all numbers and events. Raises StorageError where the endpoint does not take them, after some seconds."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk._logs.export import LogRecordExportResult
    from opentelemetry.sdk.metrics.export import MetricExportResult

    now = time.time_ns()
    metrics = OTLPMetricExporter(**_make_options(location, "METRICS"))
    with _watch_requests() as said:
        if metrics.export(make_metrics(publication, now)) is not MetricExportResult.SUCCESS:
            raise _make_error(location, "METRICS", said)
    logs = OTLPLogExporter(**_make_options(location, "LOGS"))
    events = make_events(publication, now)
    with _watch_requests() as said:
        if events and logs.export(events) is not LogRecordExportResult.SUCCESS:
            raise _make_error(location, "LOGS", said)
    metrics.shutdown()
    logs.shutdown()
    sent = f"{count_noun(len(publication.measurements), 'number')}, {count_noun(len(events), 'event')}"
    return SentTo(f"otel:{hide_folder(_find_base(location))}", sent, {"endpoint": hide_folder(_find_base(location))})


def _find_base(location: str) -> str:
    return (location or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def _make_options(location: str, signal: str) -> dict[str, Any]:
    """Return what the exporter of a signal is made with; what is left out it reads from the environment."""
    options: dict[str, Any] = {"endpoint": f"{location.rstrip('/')}/{PATHS[signal]}"} if location else {}
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in (f"{signal}_TIMEOUT", "TIMEOUT")):
        options["timeout"] = SECONDS
    return options


class _RecordList(logging.Handler):
    """Keeps what a library logs."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _watch_requests() -> Iterator[list[str]]:
    """Give what the exporters log within the block, which is kept from the screen."""
    logger, kept = logging.getLogger(LOGGER), _RecordList()
    before = logger.propagate
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield kept.texts
    finally:
        logger.removeHandler(kept)
        logger.propagate = before


def _make_error(location: str, signal: str, messages: list[str]) -> StorageError:
    """Return the error for an endpoint that did not take a signal: the first that the exporter said of it."""
    name = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") if not location else None
    where = hide_folder(name or f"{_find_base(location)}/{PATHS[signal]}")
    reason = shorten_reason(messages[0]) if messages else "no answer"
    hint = "name the OTLP endpoint for HTTP (port 4318, not 4317): --to otel:http://HOST:4318"
    return StorageError(f"{where} did not take the {signal.lower()}: {reason}", hint)


def _make_resource() -> Any:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource

    ours = Resource({SERVICE_NAME: "curate", SERVICE_VERSION: __version__})
    return ours.merge(OTELResourceDetector().detect())


def _make_scope() -> Any:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return InstrumentationScope("curate", __version__)


def make_metrics(publication: Publication, now: int) -> Any:
    """Return all numbers as gauges of one moment; ``now`` is in nanoseconds since 1970."""
    from opentelemetry.sdk.metrics.export import (
        Gauge,
        Metric,
        MetricsData,
        NumberDataPoint,
        ResourceMetrics,
        ScopeMetrics,
    )

    made = []
    for name, kind in METRICS.items():
        own = [one for one in publication.measurements if one.name == name]
        points = [
            NumberDataPoint({key: value for key, value in one.labels.items() if value}, None, now, one.value)
            for one in own
        ]
        if points:
            made.append(Metric(name, kind.help, kind.unit, Gauge(points)))
    scope = ScopeMetrics(_make_scope(), made, "")
    return MetricsData([ResourceMetrics(_make_resource(), [scope], "")])


def make_events(publication: Publication, now: int) -> list[Any]:
    """Return an event for each evaluation; ``now`` is in nanoseconds since 1970."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord

    resource, scope = _make_resource(), _make_scope()
    return [
        ReadableLogRecord(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                severity_number=SeverityNumber.INFO,
                event_name=EVENT,
                attributes=describe_evaluation(publication, one),
            ),
            resource,
            scope,
        )
        for one in publication.evaluations
    ]


def describe_evaluation(publication: Publication, evaluation: EvaluationEvent) -> Mapping[str, str | float | int]:
    """Return the attributes of the event of an evaluation: those of the conventions, then ours."""
    found: dict[str, str | float | int | None] = {
        "gen_ai.evaluation.name": evaluation.measure,
        "gen_ai.evaluation.score.value": evaluation.value,
        "gen_ai.evaluation.score.label": evaluation.verdict,
        "gen_ai.evaluation.explanation": evaluation.explanation,
        "error.type": "unmeasured" if evaluation.value is None else None,
        f"curate.{publication.kind}": publication.name,
        "curate.domain": evaluation.domain,
        "curate.documents": evaluation.documents,
        "curate.evaluator.fingerprint": publication.evaluator,
        "curate.evaluator.model": publication.identity.get("model.model") or publication.identity.get("after.model"),
        "curate.evaluator.version": __version__,
    }
    return {key: value for key, value in found.items() if value is not None and value != ""}
