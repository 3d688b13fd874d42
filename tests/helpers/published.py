"""What was published, as its readers see it: Prometheus' own parser, and an endpoint that decodes OTLP."""

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.parser import text_string_to_metric_families

HOSTILE = [
    "plain",
    "two\nlines",
    "two lines",
    "two\r\nlines",
    'a "quoted" \\ value',
    '"} 1\n# HELP curate_fake x\ncurate_fake{a="',
    "🙂 émoji ‮ right to left",
    "x" * 10_000,
    "x" * 10_001,
    "a/b/../c",
    "..",
    "",
    " ",
    "(empty)",
    "other",
    "\x00\x1b[31m",
    "\ud800",
    None,
]
"""Names of domains as other people's data have them."""


def parse_textfile(path):
    """The numbers of a file by name and labels; a label without a value is one that is not there."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        assert family.type == "gauge"
        for sample in family.samples:
            key = (sample.name, *sorted((label, value) for label, value in sample.labels.items() if value))
            assert key not in found
            found[key] = sample.value
    return found


def as_keys(summary):
    """The numbers of a summary in the same form."""
    return {(one.name, *sorted((k, v) for k, v in one.labels.items() if v)): one.value for one in measured(summary)}


def measured(summary):
    return summary.publication.measurements


def find_values(summary, name, label=None):
    """The numbers of a name, by the value of a label; without one the only number."""
    own = [one for one in measured(summary) if one.name == name]
    if label is not None:
        return {one.labels[label]: one.value for one in own}
    (only,) = own
    return only.value


def write_comparison(path, comparison):
    """Write what ``curate compare --json`` prints."""
    from curate.runtime.numbers import make_jsonable

    path.write_text(json.dumps(make_jsonable(comparison.as_dict())))
    return path


@contextmanager
def collect_otlp(status=200):
    """An endpoint on this machine: its URL, and what it received as (path, headers, decoded message)."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    kinds = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/logs": ExportLogsServiceRequest}
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append((self.path, dict(self.headers), kinds[self.path].FromString(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_attributes(pairs):
    """The attributes of OTLP as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
