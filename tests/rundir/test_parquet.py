"""Parts of a table: complete or absent, with metadata; a file of another program is an error that names it."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import DamageError, TableError
from curate.rundir import parquet

TABLE = pa.table({"row": [0, 1, 2]})


def test_the_bytes_depend_on_table_and_metadata_alone(tmp_path):
    parquet.write_part(tmp_path / "a.parquet", TABLE, {"x": 1, "y": "é"})
    parquet.write_part(tmp_path / "b.parquet", TABLE.replace_schema_metadata({"x": "z"}), {"y": "é", "x": 1})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert parquet.read_metadata(tmp_path / "a.parquet") == {"x": 1, "y": "é"}
    assert pq.read_table(tmp_path / "a.parquet").column("row").to_pylist() == [0, 1, 2]


def test_a_part_that_cannot_be_written_leaves_the_one_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    parquet.write_part(path, TABLE, {"x": 1})

    def fail(table, where, **options):
        with open(where, "wb") as handle:
            handle.write(b"half")
        raise pa.ArrowInvalid("made up")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(pa.ArrowInvalid):
        parquet.write_part(path, TABLE, {"x": 2})
    assert parquet.read_metadata(path) == {"x": 1} and os.listdir(tmp_path) == ["a.parquet"]


def test_what_is_not_ours_is_an_error_that_names_the_file(tmp_path):
    broken, foreign, missing = (tmp_path / f"{name}.parquet" for name in ("broken", "foreign", "missing"))
    broken.write_bytes(b"PAR1 and no more")
    pq.write_table(TABLE, foreign)
    for path, message in (
        (broken, "not a complete Parquet file"),
        (foreign, "was not written by curate"),
        (missing, "not a complete Parquet file"),
    ):
        with pytest.raises(TableError, match=rf"{path.name} .*{message}"):
            parquet.read_metadata(path)


def test_parts_come_by_name_without_what_a_killed_writer_left(tmp_path):
    assert parquet.list_parts(tmp_path / "none") == []
    for name in (
        "00001-000000.parquet",
        "00000-000010.parquet",
        "00000-000002.parquet",
        ".00000-000003.parquet.99999999.tmp",
    ):
        (tmp_path / name).touch()
    names = ["00000-000002.parquet", "00000-000010.parquet", "00001-000000.parquet"]
    assert [path.name for path in parquet.list_parts(tmp_path)] == names


@pytest.mark.parametrize("columns", [None, ["word", "row"], ["number"], []])
@pytest.mark.parametrize("num_rows", [0, 1, 1000])
def test_a_table_is_read_as_arrow_reads_it(tmp_path, columns, num_rows):
    path = tmp_path / "a.parquet"
    words = pa.array([None if row % 7 == 0 else f"w{row % 5}" for row in range(num_rows)], pa.large_string())
    numbers = pa.array([None if row % 3 == 0 else row / 2 for row in range(num_rows)], pa.float64())
    lists = pa.array([[row] * (row % 3) for row in range(num_rows)], pa.large_list(pa.int64()))
    columns_of = {"row": pa.array(range(num_rows), pa.int64()), "word": words, "number": numbers, "many": lists}
    note = {b"curate": b"{}"}
    pq.write_table(pa.table(columns_of).replace_schema_metadata(note), path, row_group_size=300)
    for coded in ([], ["word", "many"]):
        expected = pq.read_table(path, columns=columns, partitioning=None, read_dictionary=coded)
        found = parquet.read_table(path, columns, read_dictionary=coded)
        assert found == expected and found.schema.equals(expected.schema, check_metadata=True)
    kept = parquet.read_table(path, filters=[("row", ">", 500)])
    assert kept.column("row").to_pylist() == list(range(501, num_rows))


def test_a_column_that_a_file_does_not_have_is_damage(tmp_path):
    parquet.write_part(tmp_path / "a.parquet", TABLE, {})
    with pytest.raises(DamageError, match=r"a.parquet cannot be read: it has no column word"):
        parquet.read_table(tmp_path / "a.parquet", ["row", "word"])
