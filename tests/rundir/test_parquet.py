"""Parts of a table: complete or absent, with metadata; a file of another program is an error that names it."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import TableError
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
