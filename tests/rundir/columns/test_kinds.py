"""Columns are carried in the Arrow types that Parquet and DuckDB read, one for all parts."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from curate.rundir.columns.kinds import TEXT, choose_kind, convert_values, describe_kind, merge_kinds, view_numbers

US, MS, NS = (pa.timestamp(unit) for unit in ("us", "ms", "ns"))


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        (pa.int8(), pa.int64()),
        (pa.uint32(), pa.int64()),
        (pa.uint64(), pa.uint64()),
        (pa.float16(), pa.float32()),
        (pa.float32(), pa.float32()),
        (pa.date64(), pa.date32()),
        (pa.timestamp("s", "UTC"), pa.timestamp("ms", "UTC")),
        (NS, NS),
        (pa.time32("s"), pa.time64("us")),
        (pa.duration("ns"), pa.float64()),
        (pa.decimal256(30, 2), pa.decimal128(30, 2)),
        (pa.decimal128(5, -2), pa.decimal128(7, 0)),
        (pa.binary(4), pa.large_binary()),
        (pa.string_view(), TEXT),
        (pa.dictionary(pa.int8(), pa.bool_()), pa.bool_()),
        (pa.json_(), TEXT),
        (pa.uuid(), TEXT),
        (pa.list_(pa.int8(), 3), pa.large_list(pa.int64())),
        (pa.struct([("a", pa.string())]), pa.struct([("a", TEXT)])),
        (pa.map_(pa.string(), pa.date64()), pa.map_(TEXT, pa.date32())),
        (pa.struct([]), TEXT),
        (pa.struct([("a", pa.int8()), ("A", pa.int8())]), TEXT),
        (pa.list_(pa.month_day_nano_interval()), TEXT),
        (pa.null(), pa.null()),
    ],
)
def test_a_type_is_carried_as_the_one_that_parquet_and_duckdb_read(given, carried):
    assert choose_kind(given).equals(carried)


@pytest.mark.parametrize(
    ("left", "right", "merged"),
    [
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.uint64(), pa.decimal128(20, 0)),
        (pa.int64(), pa.decimal128(10, 2), pa.decimal128(21, 2)),
        (pa.decimal128(10, 2), pa.decimal128(10, 4), pa.decimal128(12, 4)),
        (pa.date32(), US, US),
        (MS, NS, NS),
        (pa.timestamp("us", "Europe/Berlin"), pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC")),
        (US, pa.timestamp("us", "UTC"), TEXT),
        (pa.date32(), pa.timestamp("us", "UTC"), TEXT),
        (pa.bool_(), pa.int64(), TEXT),
        (TEXT, pa.int64(), TEXT),
        (pa.large_list(pa.int64()), pa.large_list(pa.float64()), pa.large_list(pa.float64())),
        (pa.large_list(pa.int64()), pa.large_list(TEXT), TEXT),
        (pa.large_list(pa.int64()), pa.int64(), TEXT),
        (
            pa.struct([("a", pa.int64())]),
            pa.struct([("b", TEXT), ("a", pa.float64())]),
            pa.struct([("a", pa.float64()), ("b", TEXT)]),
        ),
        (pa.struct([("a", pa.int64())]), pa.struct([("A", pa.int64())]), TEXT),
    ],
)
def test_two_types_have_the_narrowest_that_holds_both_or_text(left, right, merged):
    assert merge_kinds([left, right]).equals(merged)
    assert pa.types.is_struct(merged) or merge_kinds([right, left]).equals(merged)


@pytest.mark.parametrize(
    ("values", "kind", "converted"),
    [
        (pa.array([dt.timedelta(seconds=90), None]), pa.float64(), [90.0, None]),
        (pa.array([uuid.UUID(int=1).bytes, None], pa.uuid()), TEXT, [str(uuid.UUID(int=1)), None]),
        (pa.array([dt.date(2024, 6, 1), None]), US, [dt.datetime(2024, 6, 1), None]),
        (pa.array([Decimal("12.50")], pa.decimal128(10, 2)), TEXT, ["12.50"]),
        (pa.array([True, None]), TEXT, ["true", None]),
        (pa.array([{"a": 1}, None]), pa.struct([("a", pa.float64()), ("b", TEXT)]), [{"a": 1.0, "b": None}, None]),
        (pa.array([[dt.timedelta(seconds=1)]]), pa.large_list(pa.float64()), [[1.0]]),
        (pa.array(["x", None]).dictionary_encode(), TEXT, ["x", None]),
    ],
)
def test_values_move_into_the_type_that_holds_them(values, kind, converted):
    found = convert_values(pa.chunked_array([values]), kind)
    assert found.type.equals(kind) and found.to_pylist() == converted


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([2**60 + 1]), pa.float64()),
        (pa.array([dt.date(9999, 1, 1)]), NS),
        (pa.array([Decimal("1" * 50)], pa.decimal256(60, 0)), pa.decimal128(38, 0)),
    ],
)
def test_a_value_that_does_not_fit_is_not_changed_in_silence(values, kind):
    with pytest.raises((pa.ArrowException, ValueError)):
        convert_values(pa.chunked_array([values]), kind)


def test_errors_say_what_a_column_holds():
    kinds = [pa.date32(), US, pa.bool_(), TEXT, pa.large_list(TEXT), pa.int64()]
    assert list(map(describe_kind, kinds)) == ["dates", "timestamps", "booleans", "text", "lists", "int64"]


@pytest.mark.parametrize("kind", [pa.int16(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("pieces", [[], [[]], [[1, 2, 3]], [[1, 2], [], [5]], [[1, None, 3], [4]]])
def test_numbers_are_viewed_as_numpy_converts_them(kind, pieces):
    column = pa.chunked_array([pa.array(piece, kind) for piece in pieces], kind)
    expected = column.to_numpy()
    found = view_numbers(column)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    for chunk in column.chunks:
        np.testing.assert_array_equal(view_numbers(chunk.slice(1)), chunk.slice(1).to_numpy(zero_copy_only=False))


def test_numbers_in_one_piece_are_not_copied():
    values = np.arange(5)
    assert np.shares_memory(view_numbers(pa.chunked_array([pa.array(values)])), values)
