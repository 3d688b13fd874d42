"""A run of MLflow: numbers as metrics, the identity of the model and its reading as tags, pages as artefacts.

A metric of MLflow has no labels, so that they are parts of its key: ``curate_domain_perplexity/code``. Characters that
MLflow refuses become ``_``, and a value that this changes gets a hash, so that no two are one.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import xxhash

from curate.errors import StorageError, UsageError
from curate.monitoring.publish.failures import shorten_reason
from curate.monitoring.publish.measurements import Measurement, Publication
from curate.monitoring.publish.summary import SentTo
from curate.runtime.numbers import count_noun
from curate.runtime.published import hide_folder

EXPERIMENT = "curate"
"""The experiment, where MLFLOW_EXPERIMENT_NAME names no other."""
INFO = "curate_run_info"
"""Its labels are tags."""
COMMON = ("run", "comparison", "before", "after")
"""Labels that may be the same for all numbers."""
KEY_CHARS = 40
"""Characters of one value of a label in a key: MLflow takes 250 in all, of up to four values."""
REFUSED = re.compile(r"[^\w.\- ]")
TAG_CHARS = 5000
BATCH = 900
"""Metrics of one request; MLflow takes 1,000. It takes 100 tags."""
TAG_BATCH = 90
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
"""Variables that are set while MLflow works, unless the user has: some seconds for a server that does not answer, and
folders, which MLflow calls a legacy, where one is named. Nothing is told to MLflow's makers."""


def check_uri(location: str) -> None:
    """Raise UsageError where neither the option nor the environment says where MLflow's runs are."""
    if not (location or os.environ.get("MLFLOW_TRACKING_URI")):
        message = "--to mlflow needs a tracking URI, or the variable MLFLOW_TRACKING_URI"
        raise UsageError(message, "--to mlflow:http://localhost:5000, or a folder: --to mlflow:file:mlruns")


def log_run(location: str, publication: Publication) -> SentTo:
    """Log all numbers as one run. Raises StorageError where the server, or the folder, does not take them."""
    uri = location or os.environ["MLFLOW_TRACKING_URI"]
    with _settings():
        from mlflow.exceptions import MlflowException

        try:
            run_id, experiment = _log(uri, publication)
        except (MlflowException, OSError) as error:
            reason = shorten_reason(str(error))
            raise StorageError(f"{hide_folder(uri)} did not take the run: {reason}", _hint(uri)) from error
    sent = f"{count_noun(len(publication.measurements), 'metric')} as run {run_id} of experiment {experiment}"
    return SentTo(f"mlflow:{hide_folder(uri)}", sent, {"run_id": run_id, "experiment": experiment})


def _hint(uri: str) -> str | None:
    if uri.startswith("sqlite:"):
        return "pip install mlflow, which has databases; curate[monitor] has mlflow-skinny"
    return None


@contextmanager
def _settings() -> Iterator[None]:
    """Set ``SETTINGS`` within the block."""
    missing = [name for name in SETTINGS if name not in os.environ]
    os.environ.update({name: SETTINGS[name] for name in missing})
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _log(uri: str, publication: Publication) -> tuple[str, str]:
    """Return the id of the run that was logged, and the name of its experiment."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag

    client, now = MlflowClient(tracking_uri=uri), int(time.time() * 1000)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if found is None else found.experiment_id
    run_id = str(client.create_run(experiment, run_name=publication.name).info.run_id)
    status = "FAILED"
    try:
        tags = [RunTag(key, value) for key, value in make_tags(publication).items()]
        metrics = [Metric(key, value, now, 0) for key, value in make_metrics(publication).items()]
        for first in range(0, len(tags), TAG_BATCH):
            client.log_batch(run_id, tags=tags[first : first + TAG_BATCH])
        for first in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        for path in publication.artefacts:
            client.log_artifact(run_id, str(path))
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status=status)
    return run_id, name


def make_metrics(publication: Publication) -> dict[str, float]:
    """Return all numbers by key: the name, and the values of labels with slashes.

    What all have in common, as the name of the run and the sides of the only pair, is no part of keys, so that runs of
    MLflow can be compared by them.
    """
    values = dict[str, set[str]]()
    for one in publication.measurements:
        for label in COMMON:
            values.setdefault(label, set()).update([one.labels[label]] if label in one.labels else [])
    common = {label for label in COMMON if len(values[label]) <= 1}
    return {_make_key(one, common): one.value for one in publication.measurements}


def _make_key(measurement: Measurement, left_out: set[str]) -> str:
    parts = [make_key_part(value) for label, value in measurement.labels.items() if value and label not in left_out]
    return "/".join([measurement.name, *parts] if measurement.name != INFO else [INFO])


def make_key_part(value: str) -> str:
    """Return a value of a label as MLflow takes it in a key, and file systems in a name."""
    part = REFUSED.sub("_", value)[:KEY_CHARS].strip(" .")
    if value and part == value:
        return part
    return f"{part or '_'}-{xxhash.xxh3_64_hexdigest(value.encode('utf-8', 'surrogatepass'))[:8]}"


def make_tags(publication: Publication) -> dict[str, str]:
    """Return what was measured by what, as tags."""
    tags = {f"curate.{REFUSED.sub('_', key)[:200]}": value for key, value in publication.identity.items()}
    tags |= {"curate.kind": publication.kind, "curate.evaluator": publication.evaluator}
    return {key: value[:TAG_CHARS] for key, value in tags.items() if value}
