"""The targets of ``--to``: how each is typed, what is checked before any work, and who writes it.

Each target is a file of this folder with two functions: ``check`` sees that it could be written, before the run is read
and before anything is sent, and ``send`` writes it and says what was written.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from curate.errors import CurateError, StorageError, UsageError
from curate.monitoring.publish import bigquery, mlflow, otel, prometheus
from curate.monitoring.publish.measurements import Publication
from curate.monitoring.publish.summary import SentTo
from curate.runtime.published import hide_folder

INSTALL = "pip install 'curate[monitor]'"
FORMS = "prometheus:FILE.prom, otel, otel:URL, mlflow, mlflow:URI or bigquery:FOLDER"
EXAMPLE = "--to prometheus:curate.prom"


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of target."""

    example: str
    needs_location: bool
    """Whether a file or a folder must follow the colon; a location that may be left out comes from the environment."""
    package: str
    """What must be installed."""
    check: Callable[[str], None]
    send: Callable[[str, Publication], SentTo]


KINDS = {
    "prometheus": TargetKind(
        "prometheus:curate.prom", True, "prometheus_client", prometheus.check_file, prometheus.write_textfile
    ),
    "otel": TargetKind(
        "otel:http://localhost:4318",
        False,
        "opentelemetry.exporter.otlp.proto.http",
        otel.check_endpoint,
        otel.send_telemetry,
    ),
    "mlflow": TargetKind("mlflow:http://localhost:5000", False, "mlflow", mlflow.check_uri, mlflow.log_run),
    "bigquery": TargetKind("bigquery:folder/", True, "pyarrow", bigquery.check_folder, bigquery.write_folder),
}


@dataclass(frozen=True, slots=True)
class PublishTarget:
    """One target as it was given."""

    kind: str
    location: str
    """What follows the colon; empty where the environment says it."""

    @property
    def shown(self) -> str:
        """The target as it is printed, without a password."""
        return f"{self.kind}:{hide_folder(self.location) if '://' in self.location else self.location}".rstrip(":")


def parse_targets(texts: Sequence[str]) -> list[PublishTarget]:
    """Return the targets of some texts. Raises UsageError for one that is none, or that is given twice."""
    found: list[PublishTarget] = []
    for text in texts:
        name, _, location = text.partition(":")
        kind = KINDS.get(name)
        if kind is None:
            raise UsageError(f"--to {text}: a target is {FORMS}", EXAMPLE)
        if kind.needs_location and not location.strip():
            raise UsageError(f"--to {text}: {name} needs a file or a folder", f"--to {kind.example}")
        target = PublishTarget(name, location)
        if target in found:
            raise UsageError(f"--to {text} is given twice", "leave out one of them")
        found.append(target)
    return found


def check_targets(targets: Sequence[PublishTarget]) -> None:
    """Raise where a target cannot be written: a package is missing, a file is of something else, a URL is none."""
    for target in targets:
        kind = KINDS[target.kind]
        _import_package(target.kind, kind.package)
        kind.check(target.location)


def _import_package(target: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UsageError(f"--to {target}: {error}", INSTALL) from None


def send_all(targets: Sequence[PublishTarget], publication: Publication) -> tuple[SentTo, ...]:
    """Write every target, also after one that fails; raise the first failure at the end, which names the others."""
    sent: list[SentTo] = []
    failed: list[tuple[PublishTarget, CurateError]] = []
    for target in targets:
        try:
            sent.append(KINDS[target.kind].send(target.location, publication))
        except CurateError as error:
            failed.append((target, error))
    if failed:
        parts = [f"{target.kind}: {failure.message}" for target, failure in failed]
        done = f"; sent to {', '.join(one.target for one in sent)}" if sent else ""
        raise StorageError("; ".join(parts) + done, failed[0][1].hint)
    return tuple(sent)
