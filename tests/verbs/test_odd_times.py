"""Dates and times that Python or JSON cannot hold, from the score to what ``datasets`` loads."""

import datetime

import datasets
import pyarrow as pa
import pytest
from helpers.corpora import write_columns
from helpers.runs import write_order

from curate.rundir.run import open_run
from curate.verbs.export import export
from curate.verbs.score import score

pytestmark = pytest.mark.usefixtures("own_cache")


def ticks(kind, *numbers):
    return pa.array(numbers, pa.int64()).cast(kind)


COLUMNS = {
    "far day": pa.array([10**8, 0, None], pa.int32()).cast(pa.date32()),
    "far time": ticks(pa.timestamp("us"), 2**62, -(2**62), 5),
    "far within": pa.StructArray.from_arrays([ticks(pa.timestamp("ms"), 1000 * 2**40, 0, 1000)], ["at"]),
    "no zone": ticks(pa.timestamp("us", "Mars/Olympus"), 1, None, 10**15),
    "milliseconds": ticks(pa.timestamp("ms"), 1, 1000, 10**12 + 10),
    "milliseconds of a zone": ticks(pa.timestamp("ms", "Europe/Berlin"), 1, 1000, 10**12),
    "nanoseconds": ticks(pa.timestamp("ns"), 1, 1000, None),
    "time": ticks(pa.time64("ns"), 1, 1000, None),
    "duration": ticks(pa.duration("ns"), 1, -1000, None),
}
SPELLED = {
    "far day": ["275760-09-13", "1970-01-01", None],
    "far time": ["148108-07-06T14:00:27.387904", "-144169-06-28T09:59:32.612096", "1970-01-01T00:00:00.000005"],
    "far within": [{"at": "36812-02-20T00:36:16"}, {"at": "1970-01-01T00:00:00"}, {"at": "1970-01-01T00:00:01"}],
    "time": ["00:00:00.000000001", "00:00:00.000001", None],
    "duration": ["1 ns", "-1 day, 23:59:59.999999", None],
}
"""What JSON lines have as strings."""


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", ["hf", "parquet", "jsonl"])
def test_times_are_exported_as_they_are_or_as_text(tmp_path, kind, ordered):
    write_columns(tmp_path / "a.arrow", pa.table({"text": ["a b", "c d", "e f"], **COLUMNS}), 2)
    score(str(tmp_path / "a.arrow"), model="none", run=str(tmp_path / "run"))
    if ordered:
        write_order(open_run(str(tmp_path / "run")), [0, 1, 2])
    export(str(tmp_path / "out"), str(tmp_path / "run"), format=kind)
    table = datasets.load_dataset(str(tmp_path / "out"), split="train").data
    for name, column in COLUMNS.items():
        found = table.column(name).combine_chunks()
        if kind == "jsonl" and name in SPELLED:
            assert found.to_pylist() == SPELLED[name]
        else:
            assert found.type == column.type and found.equals(column)


def test_the_export_says_which_dates_are_strings(tmp_path, monkeypatch):
    day = [datetime.date(2020, 1, 1), None, None]
    table = pa.table({"text": ["a b", "c d", "e f"], "near": day, "far": COLUMNS["far day"]})
    write_columns(tmp_path / "a.arrow", table, 3)
    score(str(tmp_path / "a.arrow"), model="none", run=str(tmp_path / "run"))
    export(str(tmp_path / "out"), str(tmp_path / "run"), format="jsonl")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "dates before year 1 or after 9999 make `far` strings in JSON lines" in card and "`near` strings" not in card
