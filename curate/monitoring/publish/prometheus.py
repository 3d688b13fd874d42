"""A file in Prometheus' text format, for the textfile collector of node_exporter: batch jobs have nothing to scrape.

The collector reads files that end with ``.prom``, and whole ones: prometheus-client writes a temporary file beside it
and renames that. A name in two files of one folder must have the same help, which ``METRICS`` fixes, and no number may
be in two of them, for which the labels ``run`` and ``comparison`` are there: see ``--name``.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.monitoring.publish.labels import clean_label
from curate.monitoring.publish.measurements import Measurement, Publication
from curate.monitoring.publish.metrics import METRICS
from curate.monitoring.publish.summary import SentTo
from curate.runtime import console
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.files import EDGE_BYTES, check_output_file, make_storage_error
from curate.runtime.numbers import count_noun

FIRST = b"# HELP curate_"
"""How a file of ours begins."""


def check_file(location: str) -> None:
    """Raise UsageError where a file would not be read, or is of something else; StorageError where none can be made."""
    path = expand_home(location)
    if path.suffix != ".prom":
        message = f"--to prometheus:{location}: node_exporter reads files that end with .prom"
        raise UsageError(message, f"--to prometheus:{path.with_suffix('.prom')}")
    check_output_file(path)
    if path.exists():
        with open(path, "rb") as handle:
            head = handle.read(EDGE_BYTES)
        if head.strip() and not head.startswith(FIRST):
            message = f"--to prometheus:{location}: there is a file that curate did not write"
            raise UsageError(message, "name a new file")


class ListCollector:
    """Gives a flat list to prometheus-client, one family of gauges a name."""

    def __init__(self, publication: Publication):
        self._publication = publication

    def collect(self) -> Iterator[Any]:
        """Yield the families, in the order of ``METRICS``."""
        from prometheus_client.core import GaugeMetricFamily

        for name, kind in METRICS.items():
            own = [one for one in self._publication.measurements if one.name == name]
            if own:
                family = GaugeMetricFamily(name, kind.help, labels=kind.labels)
                for one in own:
                    family.add_metric([one.labels[label] for label in kind.labels], one.value)
                yield family


def _find_same(path: Path, publication: Publication) -> Iterator[Path]:
    """Yield the other files of curate in a folder that have numbers of the same name."""
    named = Measurement("", 0, {publication.kind: clean_label(publication.name)}).spell()[1:].partition("}")[0]
    for other in sorted(path.parent.glob("*.prom")):
        with suppress(OSError):
            content = other.read_bytes()
            if other.name != path.name and content.startswith(FIRST) and named.encode() in content:
                yield other


def write_textfile(location: str, publication: Publication) -> SentTo:
    """Write all numbers to a file, replaced as a whole. Raises StorageError."""
    from prometheus_client import CollectorRegistry, write_to_textfile

    path = expand_home(location)
    for other in _find_same(path, publication):
        what = f"the {publication.kind} {publication.name}"
        console.warn(f"{other} has numbers of {what}, too, and node_exporter refuses both: give one another --name")
    registry = CollectorRegistry()
    registry.register(ListCollector(publication))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise make_storage_error(error, path) from error
    message = count_noun(len(publication.measurements), "number")
    return SentTo(f"prometheus:{location}", message, {"file": str(Path(location))})
