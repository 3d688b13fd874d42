"""DuckDB over the tables of a run: text is quoted, order is preserved, parts are named and not globbed."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UsageError
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
