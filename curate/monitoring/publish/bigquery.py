"""A folder that ``bq load`` takes: the numbers as Parquet, one row each, and their schema as BigQuery writes one.

No client and no credentials: the command that loads it is printed. A table has one column a label, so that rows of runs
and of comparisons, of today and of next year, go into one table; loading appends.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import UsageError
from curate.monitoring.publish.measurements import Publication
from curate.monitoring.publish.metrics import METRICS
from curate.monitoring.publish.summary import SentTo
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.files import check_output_directory, check_output_file, replace_atomically, write_json
from curate.runtime.numbers import count_noun
from curate.runtime.text import join_words

if TYPE_CHECKING:
    import pyarrow as pa

ROWS, SCHEMA = "metrics.parquet", "schema.json"
TABLE = "DATASET.curate_metrics"
"""What the printed command loads into; DATASET is the user's."""
MADE_BY = b"curate publish"
LABELS = tuple(dict.fromkeys(label for kind in METRICS.values() for label in kind.labels))
"""All labels, in the order in which ``METRICS`` names them first."""
SAID = {
    "published_at": "When curate publish wrote the row",
    "name": "Name of the metric",
    "value": "Its value",
    "unit": "Its unit in UCUM; null where it has none",
    "run": "Name of the run",
    "comparison": "Name of the comparison",
    "evaluator_fingerprint": "Fingerprint of the model and of how it read; equal where numbers can be compared",
}


def make_schema() -> list[dict[str, str]]:
    """Return the columns as BigQuery has them in a schema file."""
    kinds = {"published_at": "TIMESTAMP", "name": "STRING", "value": "FLOAT", "unit": "STRING"}
    names = [*kinds, *LABELS, "evaluator_fingerprint"]
    return [
        {
            "name": name,
            "type": kinds.get(name, "STRING"),
            "mode": "REQUIRED" if name in ("published_at", "name", "value") else "NULLABLE",
            "description": SAID.get(name, f"Label {name}; null where the metric has none"),
        }
        for name in names
    ]


def check_folder(location: str) -> None:
    """Raise UsageError where a file of that name is there that curate did not write, StorageError as the disk does."""
    folder = expand_home(location)
    check_output_directory(folder)
    for name, is_ours in ((ROWS, _is_own_table), (SCHEMA, _is_own_schema)):
        path = folder / name
        check_output_file(path)
        if path.exists() and not is_ours(path):
            raise UsageError(f"--to bigquery:{location}: curate did not write {path}", "name a new folder")


def _is_own_table(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(path).metadata or {}).get(b"made_by") == MADE_BY
    except (OSError, pa.ArrowException):
        return False


def _is_own_schema(path: Path) -> bool:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    first = [column["name"] for column in make_schema()][:3]
    return isinstance(value, list) and [one.get("name") for one in value[:3] if isinstance(one, dict)] == first


def write_folder(location: str, publication: Publication) -> SentTo:
    """Write the rows and their schema, each replaced as a whole. Raises StorageError."""
    import pyarrow.parquet as pq

    folder = expand_home(location)
    table = make_table(publication, int(time.time() * 1_000_000))
    with replace_atomically(folder / ROWS) as beside:
        pq.write_table(table, beside)
    write_json(folder / SCHEMA, make_schema())
    words = ["bq", "load", "--source_format=PARQUET", TABLE, str(Path(location) / ROWS), str(Path(location) / SCHEMA)]
    details = {"folder": str(Path(location)), "rows": len(table), "command": join_words(words)}
    return SentTo(f"bigquery:{location}", count_noun(len(table), "row"), details)


def make_table(publication: Publication, now: int) -> "pa.Table":
    """Return all numbers as rows; ``now`` is in microseconds since 1970."""
    import pyarrow as pa

    found, schema = publication.measurements, make_schema()
    columns: dict[str, list[Any]] = {
        "published_at": [now] * len(found),
        "name": [one.name for one in found],
        "value": [one.value for one in found],
        "unit": [METRICS[one.name].unit or None for one in found],
        **{label: [one.labels.get(label) or None for one in found] for label in LABELS},
        "evaluator_fingerprint": [publication.evaluator or None] * len(found),
    }
    types = {"TIMESTAMP": pa.timestamp("us", "UTC"), "STRING": pa.string(), "FLOAT": pa.float64()}
    fields = [pa.field(one["name"], types[one["type"]], one["mode"] == "NULLABLE") for one in schema]
    return pa.table(columns, pa.schema(fields, {b"made_by": MADE_BY}))
