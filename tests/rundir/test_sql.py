"""DuckDB over the tables of a run: text is quoted, order is preserved, parts are named and not globbed."""

import errno
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import DamageError, StorageError, UsageError
from curate.rundir import parquet, sql


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_text_is_the_text(text):
    assert duckdb.execute(f"SELECT {sql.quote(text)}").fetchall()[0][0] == text


def test_parts_are_read_in_the_order_of_their_names_from_a_folder_whose_name_is_a_pattern(tmp_path):
    folder = tmp_path / "it's run[1]*"
    for name in ("00001-000000", "00000-000001", "00000-000000"):
        parquet.write_part(folder / f"{name}.parquet", pa.table({"name": [name]}), {})
    parquet.write_part(tmp_path / "run1" / "00000-000000.parquet", pa.table({"name": ["another run"]}), {})
    query = f"SELECT name FROM {sql.parquet_source(folder)}"
    names = ["00000-000000", "00000-000001", "00001-000000"]
    assert [name for (name,) in sql.connect().execute(query).fetchall()] == names
    one = sql.parquet_source(folder / "00001-000000.parquet")
    assert sql.connect().execute(f"SELECT name FROM {one}").fetchall() == [("00001-000000",)]


def test_a_query_is_streamed_in_batches_in_order():
    connection = sql.connect()
    count = 2 * sql.BATCH_ROWS + 7
    batches = list(sql.stream_batches(connection, f"SELECT range AS row FROM range({count})"))
    assert len(batches) > 1 and max(len(batch) for batch in batches) <= sql.BATCH_ROWS
    assert pa.Table.from_batches(batches).column("row").to_pylist() == list(range(count))
    assert sum(len(batch) for batch in sql.stream_batches(connection, "SELECT 1 WHERE false")) == 0


def test_a_connection_has_the_limit_and_the_spill_folder_that_it_was_given(tmp_path):
    with sql.connect("100MB", tmp_path / "it's") as connection:
        settings = "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
        limit, folder = connection.execute(settings).fetchone()
    assert limit == "95.3 MiB" and folder == str(tmp_path / "it's")


@pytest.mark.parametrize("limit", ["much", "-1GB"])
def test_a_limit_that_is_no_size_is_refused_under_the_name_of_its_option(limit):
    with pytest.raises(UsageError, match=f"--memory-limit.* {limit}"):
        sql.connect(limit)


def test_the_first_line_of_an_error_is_its_message():
    assert sql.first_line(ValueError("  what\nwhere\nwhy")) == "what"
    assert sql.first_line(ValueError()) == ""


ASKERS = [
    lambda query: sql.ask(query),
    lambda query: sql.ask_dicts(query),
    lambda query: list(sql.stream_rows(query, 7)),
]


def spoil_footer(path):
    os.truncate(path, path.stat().st_size - 5)


def spoil_page(path):
    data = bytearray(path.read_bytes())
    data[8:40] = bytes(32)
    path.write_bytes(data)


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("ask", ASKERS)
@pytest.mark.parametrize("spoil", [spoil_footer, spoil_page, make_folder, Path.unlink])
def test_the_damaged_part_of_a_query_is_named(tmp_path, ask, spoil):
    paths = [tmp_path / "it's" / f"00000-00000{number}.parquet" for number in range(3)]
    for path in paths:
        parquet.write_part(path, pa.table({"n": list(range(5000))}), {})
    query = f"SELECT n, count(*) FROM {sql.parts_source(paths)} GROUP BY 1"
    assert len(list(ask(query))) in (5000, 715)
    spoil(paths[1])
    with pytest.raises(DamageError, match=f"{paths[1].name} cannot be read"):
        ask(query)


@pytest.mark.parametrize("line", ['Could not read from file "{}"', "Input/output error"])
def test_an_error_of_the_disk_names_a_file_and_suggests_no_removal(tmp_path, monkeypatch, line):
    path = tmp_path / "00000-000000.parquet"
    parquet.write_part(path, pa.table({"n": [1]}), {})

    class Failing:
        def execute(self, query, values=()):
            raise duckdb.IOException(line.format(path))

    monkeypatch.setattr(sql, "connect", Failing)
    with pytest.raises(StorageError, match=str(path)) as caught:
        sql.ask(f"SELECT n FROM {sql.parts_source([path])}")
    assert caught.value.hint == "run the same command again"


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_parts_that_the_disk_refuses_to_read_are_neither_damaged_nor_removed(tmp_path, monkeypatch, number):
    path = tmp_path / "00000-000000.parquet"
    parquet.write_part(path, pa.table({"n": [1]}), {})

    def refuse(*_, **__):
        raise OSError(number, "[Errno 5] Error reading bytes from file. Detail: ...")

    for name in ("ParquetFile", "read_schema", "read_table"):
        monkeypatch.setattr(parquet.pq, name, refuse)
    for read in (parquet.read_table, parquet.read_schema, parquet.read_metadata, parquet.is_complete):
        with pytest.raises(StorageError, match=f"{path} cannot be read: {os.strerror(number)}"):
            read(path)
    for read_all in (parquet.discard_damaged, parquet.find_damage):
        with pytest.raises(StorageError, match=str(path)):
            read_all([path])
    with pytest.raises(StorageError, match=str(path)):
        list(parquet.stream_batches(path, 1, ["n"]))
    assert path.exists()
