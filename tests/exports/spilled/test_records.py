"""What a task spilled is read as it was written."""

import math

import pyarrow as pa
from helpers.exports import rich_table

from curate.corpus.values.arrow_types import JSON_TEXT
from curate.corpus.values.arrow_values import JSON_TYPE
from curate.corpus.values.schema_widening import SchemaShape
from curate.exports.counts import ExportCounts
from curate.exports.ordered.spill import SpillPiece
from curate.exports.spilled.places import SpillFolder
from curate.exports.spilled.records import TaskResult, read_result, write_result


def make_shape(*tables):
    shape = SchemaShape(last=("curate_row",))
    for table in tables:
        shape.see(table)
    return shape


def test_a_result_is_read_as_it_was_written(tmp_path):
    spill, result = SpillFolder(tmp_path, "curate_"), TaskResult()
    feature = b'{"info": {"features": {"x": {"_type": "ClassLabel", "names": ["a"]}}}}'
    labelled = pa.table({"x": [0]}).replace_schema_metadata({b"huggingface": feature})
    mixed = [pa.table({"x": [{"a": math.nan}], "b": [b"x"], "n": [-(2**60)]}), pa.table({"x": ["y"], "b": ["z"]})]
    for shape in (make_shape(rich_table(9)), make_shape(rich_table(9)), make_shape(labelled), make_shape(*mixed)):
        result.see(shape)
    for kind in (JSON_TYPE, JSON_TEXT, pa.list_(JSON_TEXT)):
        result.see(SchemaShape({"j": kind, "curate_row": pa.int64()}))
    assert len(result.shapes) == 6 and result.shapes[2].mixed and result.shapes[2].infinite
    result.misread, result.counts, result.read_bytes = {("a", "far"), ("b", "times")}, ExportCounts(5, 3, 1, 1, 99), 7
    with spill.build_task(2) as folder:
        numbers = (4, 5, 2**61, 2**62, 8, 9, 10)
        result.pieces = [SpillPiece(str(folder / f"run-{run}"), *numbers) for run in range(2)]
        write_result(folder, result)
    found = read_result(spill, 2, SpillPiece)
    assert [piece.run for piece in found.pieces] == [str(tmp_path / "curate_000002" / f"run-{run}") for run in range(2)]
    found.pieces = result.pieces
    assert found == result
    with spill.build_task(0) as folder:
        write_result(folder, TaskResult())
    assert read_result(spill, 0, SpillPiece) == TaskResult()
