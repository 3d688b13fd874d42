"""From the corpus to the spill: what is found in one slice of a task is not lost in the next."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import LEAKY, leaky_run, shuffled
from helpers.runs import make_run, write_lines, write_order

from curate.exports.formats.json_types import NOT_FINITE, OVERSIZE, TIMES
from curate.exports.ordered import partition, tasks
from curate.runtime import console
from curate.verbs.export import export


def export_in_reverse(folder, run, count, monkeypatch, **options):
    """Export the documents in reverse as JSON lines; return what each task found in its columns, and the warnings."""
    results, warnings, run_task = [], [], partition.partition_task
    monkeypatch.setattr(partition, "partition_task", lambda *args: results.append(run_task(*args)) or results[-1])
    monkeypatch.setattr(console, "warn", warnings.append)
    write_order(run, list(range(count))[::-1])
    export(str(folder / "out"), str(run.path), format="jsonl", workers=1, **options)
    return [result.misread for result in results], warnings


@pytest.mark.parametrize(("task_bytes", "num_tasks"), [(10**6, 1), (1, 6)])
def test_what_json_lines_change_in_one_slice_of_a_table_is_still_known_after_the_next(
    tmp_path, monkeypatch, task_bytes, num_tasks
):
    """Of six slices, in one task or a task each, one has a NaN, a later one a number beyond int64, the last neither."""
    monkeypatch.setattr(tasks.list_tasks, "__defaults__", (task_bytes,))
    rows = [{"text": f"document {n}", "real": 0.5, "big": 1} for n in range(6)]
    rows[0]["real"], rows[2]["big"] = float("nan"), 2**63
    schema = pa.schema([("text", pa.string()), ("real", pa.float64()), ("big", pa.uint64())])
    (tmp_path / "c").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "c" / "a.parquet", row_group_size=2)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=30)
    found, warnings = export_in_reverse(tmp_path, run, 6, monkeypatch)
    assert len(found) == num_tasks and set().union(*found) == {("real", NOT_FINITE), ("big", OVERSIZE)}
    assert [line.split(" ", 5)[:5] for line in warnings] == [
        ["NaN", "and", "infinities", "of", "`real`"],
        ["load_dataset", "rounds", "fractions", "of", "JSON"],
    ]
    lines = (tmp_path / "out" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert [(json.loads(line)["real"], json.loads(line)["big"]) for line in lines] == [
        *[(0.5, 1)] * 3,
        (0.5, 2**63),
        (0.5, 1),
        (None, 1),
    ]


def test_what_loading_changes_in_one_slice_of_lines_is_still_known_after_the_next(tmp_path, monkeypatch):
    """Three slices in a task: the first has dates alone in one column, the second in another, the third in none."""
    rows = [{"text": f"document {n}", "day": "soon", "meta": {"a": "x"}} for n in range(9)]
    for row in rows[:3]:
        row["day"] = "2020-01-01"
    for row in rows[3:6]:
        row["meta"] = {"a": "2021-12-31"}
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=180)
    found, _ = export_in_reverse(tmp_path, run, 9, monkeypatch)
    assert found == [{("day", TIMES), ("meta", TIMES)}]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_cut_characters_of_slices_without_hits_are_whole_numbers_too(tmp_path, kind):
    run = leaky_run(tmp_path, [{"text": text} for text in LEAKY])
    shuffled(run, list(range(40)), 40)
    export(str(tmp_path / "out"), str(run.path), format=kind)
    (path,) = (tmp_path / "out" / "data").iterdir()
    if kind == "parquet":
        assert pq.read_schema(path).field("curate_cut_characters").type == pa.int64()
        return
    counts = [json.loads(line)["curate_cut_characters"] for line in path.read_text().splitlines()]
    assert counts.count(0) == 32 and {type(count) for count in counts} == {int}
