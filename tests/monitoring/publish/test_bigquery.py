"""The folder for BigQuery: Parquet that has the columns of the schema, never over files of somebody else."""

import json
import shlex

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.published import as_keys, measured

import curate
from curate.errors import UsageError
from curate.monitoring.publish.bigquery import LABELS
from curate.monitoring.publish.metrics import METRICS

TYPES = {"TIMESTAMP": "timestamp[us, tz=UTC]", "STRING": "string", "FLOAT": "double"}


def test_rows_are_the_very_numbers_and_have_the_columns_of_the_schema(compared, tmp_path):
    folder = tmp_path / "a folder"
    found = curate.publish(compared.folder / "before", to=f"bigquery:{folder}", within="domain")
    table = pq.read_table(folder / "metrics.parquet")
    rows = table.to_pylist()
    assert {(row["name"], *sorted((key, row[key]) for key in LABELS if row[key])): row["value"] for row in rows} == (
        as_keys(found)
    )
    assert not any(value == "" for row in rows for value in row.values())
    schema = json.loads((folder / "schema.json").read_text())
    assert [(one["name"], TYPES[one["type"]]) for one in schema] == [(one.name, str(one.type)) for one in table.schema]
    assert [one["mode"] == "NULLABLE" for one in schema] == [one.nullable for one in table.schema]
    assert all(one["description"] for one in schema)
    assert {row["evaluator_fingerprint"] for row in rows} == {found.publication.evaluator}


def test_runs_and_comparisons_have_one_schema_and_the_command_loads_both(compared, tmp_path):
    curate.publish(compared.folder / "before", to=f"bigquery:{tmp_path / 'a'}")
    sent = curate.publish(compared.gate, to=f"bigquery:{tmp_path / 'b b'}").sent[0]
    assert (tmp_path / "a/schema.json").read_bytes() == (tmp_path / "b b/schema.json").read_bytes()
    words = shlex.split(sent.details["command"])
    assert words[:3] == ["bq", "load", "--source_format=PARQUET"]
    assert words[4:] == [str(tmp_path / "b b/metrics.parquet"), str(tmp_path / "b b/schema.json")]
    assert sent.details["rows"] == len(pq.read_table(words[4]))


def test_every_label_is_a_column_and_no_column_is_two():
    names = {label for kind in METRICS.values() for label in kind.labels}
    assert set(LABELS) == names and not names & {"published_at", "name", "value", "unit", "evaluator_fingerprint"}


def test_a_folder_is_written_again_but_no_foreign_file_is_replaced(compared, tmp_path):
    first = measured(curate.publish(compared.gate, to=f"bigquery:{tmp_path}"))
    assert measured(curate.publish(compared.gate, to=f"bigquery:{tmp_path}")) == first
    pq.write_table(pa.table({"name": ["x"]}), tmp_path / "foreign.parquet")
    foreign = (tmp_path / "foreign.parquet").read_bytes()
    contents = (("metrics.parquet", b"PAR1"), ("metrics.parquet", foreign), ("schema.json", b'[{"name": "id"}]'))
    for name, content in contents:
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="curate did not write"):
            curate.publish(compared.gate, to=f"bigquery:{tmp_path}")
        assert (tmp_path / name).read_bytes() == content
        (tmp_path / name).write_bytes(kept)
